"""The page in a real browser: what a person sees and does after a column was renamed and another one dropped."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import harness

webdriver = pytest.importorskip("selenium.webdriver", reason="python3-selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = [pytest.mark.pgmend, pytest.mark.slow,
              pytest.mark.skipif(shutil.which("chromium") is None or shutil.which("chromedriver") is None, reason="chromium is not installed")]

TOKEN = "the page's token"


@pytest.fixture
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1000"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(harness.LIMIT)
    yield driver
    driver.quit()


def text_of(browser: Any, selector: str) -> str:
    """Of the element as it is now; the page may build it anew at any time."""
    return str(browser.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", selector))


def test_a_newcomer_finds_what_broke_who_sends_it_and_what_to_write_and_approves_a_heal(start_pgmend: Any, postgres: harness.Postgres, browser: Any) -> None:
    port = harness.free_port()
    proxy = start_pgmend(control="user=postgres", admin={"http": str(port), "http_token": TOKEN})
    postgres.run("DROP TABLE IF EXISTS page_users", "CREATE TABLE page_users(id int, email text, flag bool)", "INSERT INTO page_users VALUES (1, 'a@b', true)", database="test")
    with psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True) as admin, \
         psycopg.connect(harness.conninfo(proxy.port, application_name="web-shop"), autocommit=True) as shop:
        harness.know(proxy)
        browser.get(f"http://127.0.0.1:{port}/")
        harness.wait_until(lambda: "Every statement fits" in text_of(browser, "#verdict"), "the page says that all is well")

        postgres.run("ALTER TABLE page_users RENAME email TO email_address", "ALTER TABLE page_users DROP flag", database="test")
        assert shop.execute("SELECT email FROM page_users WHERE email = 'a@b'").fetchall() == [("a@b",)]
        with pytest.raises(psycopg.errors.UndefinedColumn):
            shop.execute("SELECT id, flag FROM page_users")

        # What broke, who sends it, and what to write instead.
        harness.wait_until(lambda: "2 statements of 1 application were written for an older schema. pgmend heals 1, 1 fails." in text_of(browser, "#verdict .big"), "the page says what happened")
        assert "public.page_users.email was renamed → email_address" in text_of(browser, "#verdict").replace("  ", " ")
        assert "still sent by web-shop (1 statement): write email_address instead" in text_of(browser, "#verdict")
        assert "still sent by web-shop (1 statement) — see them" in text_of(browser, "#verdict")  # the dropped column: there is no other name
        assert "For example, web-shop sends" in text_of(browser, "#verdict .example") and "email_address" in text_of(browser, "#verdict .example .sql")
        assert "1 statement of web-shop still uses the old name" in text_of(browser, "#changes-list")
        panel = '#drift-list [data-app="web-shop"]'
        assert browser.execute_script("return [...document.querySelectorAll(arguments[0] + ' ins')].map(e => e.textContent.trim())", panel)[:2] != []
        marked = browser.execute_script("return [...document.querySelectorAll(arguments[0] + ' .sql')].map(e => [...e.querySelectorAll('del, ins')].map(p => p.localName + ' ' + p.textContent))", panel)
        assert ["del email", "ins email_address AS email", "del email", "ins email_address"] in marked  # the old name is marked, although it stays as the label
        assert "known from the catalog's own history" in text_of(browser, panel) and "Fails until you decide on: dropped column public.page_users.flag" in text_of(browser, panel)
        assert "email_address AS " in text_of(browser, panel) and "'a@b'" not in text_of(browser, "body")

        # A decision: the page asks for the token, and refuses a wrong one.
        pattern = harness.wait_until(lambda: [r for r in admin.execute("SHOW PATTERNS").fetchall() if r[4] == "proposed"], "a pattern is proposed")[0][0]
        for _ in range(400):  # as somebody without a mouse
            browser.switch_to.active_element.send_keys(Keys.TAB)
            if browser.switch_to.active_element.get_attribute("data-key") == f"approve-{pattern}":
                break
        browser.switch_to.active_element.send_keys(Keys.ENTER)
        harness.wait_until(lambda: browser.execute_script("return document.getElementById('ask').open"), "the page asks for the token")
        field = browser.find_element(By.ID, "ask-token")
        field.send_keys(TOKEN)
        field.send_keys(Keys.ENTER)
        harness.wait_until(lambda: [r for r in admin.execute("SHOW PATTERNS").fetchall() if r[0] == pattern and r[4] == "active"], "the pattern is approved")
        assert shop.execute("SELECT id, flag FROM page_users").fetchall() == [(1, None)]
        harness.wait_until(lambda: "pgmend heals all of them" in text_of(browser, "#verdict .big"), "the page shows the heal")
        assert "No decision is waiting" in text_of(browser, "#patterns-list")

        # Keys, the dark, and a phone.
        browser.find_element(By.TAG_NAME, "body").send_keys("/")
        assert browser.switch_to.active_element.get_attribute("id") == "find"
        browser.switch_to.active_element.send_keys("nothing has this")
        harness.wait_until(lambda: "Nobody" in text_of(browser, "#drift-list"), "the search hides what does not fit")
        browser.switch_to.active_element.send_keys(Keys.ESCAPE)
        before = browser.execute_script("return document.documentElement.dataset.theme")
        browser.find_element(By.TAG_NAME, "body").send_keys("t")
        assert browser.execute_script("return document.documentElement.dataset.theme") != before
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})
        for _ in ("dark", "light"):
            browser.execute_script("scrollTo(0, 0)")
            assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
            # What broke, who sends it and what to write instead can be seen without scrolling.
            assert browser.execute_script("return document.querySelector('#verdict .example .sql').getBoundingClientRect().bottom <= innerHeight")
            browser.find_element(By.TAG_NAME, "body").send_keys("t")
        foreign = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith(location.origin))")
        assert foreign == []
        complaints = [e for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]
        assert complaints == []
        picture = pathlib.Path(proxy.directory) / "page.png"
        assert browser.save_screenshot(str(picture))
