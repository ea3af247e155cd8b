"""Rule files: read at the start, on SIGHUP and when they are saved; a bad one changes nothing."""
import subprocess
import threading
import time

import psycopg
import pytest

import harness

GOOD = "rules:\n  - { name: users-email, column: users.email, now: email_address }\n"
BAD = "rules:\n  - { name: users-email, colum: users.email, now: email_address }\n"
MORE = GOOD + "  - { name: customers, table: customers, now: crm.clients }\n"


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules.d"
    folder.mkdir()
    (folder / "shop.yaml").write_text(GOOD)
    return folder


def count(proxy, event):
    return len(proxy.events(event))


def test_a_bad_rule_file_keeps_pgmend_from_starting(rules, postgres):
    (rules / "shop.yaml").write_text(BAD)
    proxy = harness.Pgmend(postgres, start=False, rules=str(rules))
    done = subprocess.run([harness.BINARY, "serve", "-c", proxy.config_path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert f'{rules}/shop.yaml:2:26: error: unknown key "colum"; did you mean "column"?' in done.stderr
    checked = subprocess.run([harness.BINARY, "check", "-c", proxy.config_path], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 1 and "colum" in checked.stderr


def test_check_counts_rules_and_files(rules, postgres):
    proxy = harness.Pgmend(postgres, start=False, rules=str(rules), control="user=postgres")
    done = subprocess.run([harness.BINARY, "check", "-c", proxy.config_path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert ": ok, 1 rule in 1 file" in done.stdout


def test_check_asks_the_server_whether_the_rules_lead_anywhere(rules, postgres, database):
    postgres.run("CREATE TABLE users (id int, email_address text)", database=database)
    text = f"rules:\n  - {{ name: a, column: users.email, now: email_adress, when: {{ database: {database} }} }}\n"
    (rules / "shop.yaml").write_text(text)
    proxy = harness.Pgmend(postgres, start=False, rules=str(rules), control=f"user=postgres dbname={database}")
    done = subprocess.run([harness.BINARY, "check", "-c", proxy.config_path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert f'shop.yaml:2:5: warning: rule a: in database {database} public.users has no column "email_adress"; did you mean "email_address"?' in done.stderr
    (rules / "shop.yaml").write_text(text.replace("email_adress", "email_address"))
    done = subprocess.run([harness.BINARY, "check", "-c", proxy.config_path], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reload_reports_rules_that_lead_nowhere(rules, start_pgmend, postgres, database):
    postgres.run("CREATE TABLE users (id int, email_address text)", database=database)
    proxy = start_pgmend(rules=str(rules), control="user=postgres", log={"format": "json", "level": "debug"})
    with psycopg.connect(harness.conninfo(proxy.port, database)) as connection: # its schema is known then
        connection.execute("SELECT 1")
        proxy.wait_for_event("catalog.loaded", lambda e: e.get("database") == database)
        (rules / "shop.yaml").write_text(f"rules: [ {{ name: a, column: users.email, now: email_adress, when: {{ database: {database} }} }} ]")
        proxy.reload()
        assert 'did you mean "email_address"?' in proxy.wait_for_event("rules.doubtful")["reason"]


def test_sighup_reads_all_rules_or_none(rules, start_pgmend):
    proxy = start_pgmend(rules=str(rules))
    assert proxy.wait_for_event("proxy.started")["rules"] == 1
    (rules / "shop.yaml").write_text(MORE)
    (rules / "z.yaml").write_text(BAD)
    proxy.reload()
    assert 'z.yaml:2:26: error: unknown key "colum"' in proxy.wait_for_event("config.rejected")["reason"]
    (rules / "z.yaml").unlink()
    proxy.reload()
    assert proxy.wait_for_event("config.reloaded")["rules"] == 2


def test_a_saved_rule_file_is_read_within_a_second(rules, start_pgmend):
    proxy = start_pgmend(rules={"path": str(rules), "watch": True})
    proxy.wait_for_event("proxy.started")
    began = time.monotonic()
    (rules / "shop.yaml").write_text(MORE)
    proxy.wait_for_event("config.reloaded", lambda e: e["rules"] == 2)
    assert time.monotonic() - began < 1
    # As editors do it: a new file, renamed over the old one.
    (rules / ".shop.yaml.new").write_text(GOOD)
    (rules / ".shop.yaml.new").rename(rules / "shop.yaml")
    proxy.wait_for_event("config.reloaded", lambda e: e["rules"] == 1)


def test_a_file_that_is_edited_under_load_fails_no_statement(rules, start_pgmend):
    proxy = start_pgmend(rules={"path": str(rules), "watch": True})
    proxy.wait_for_event("proxy.started")
    failures, done = [], threading.Event()

    def work():
        try:
            with psycopg.connect(harness.conninfo(proxy.port), autocommit=True) as connection:
                while not done.is_set():
                    connection.execute("SELECT 1")
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    file = rules / "shop.yaml"
    file.write_text("")                                  # emptied
    proxy.wait_for_event("config.rejected", lambda e: "the file is empty" in e["reason"])
    file.write_text(MORE[: len(GOOD) + 20])              # half saved
    harness.wait_until(lambda: count(proxy, "config.rejected") == 2, "the half file is refused")
    file.write_text(MORE[: len(GOOD) + 20])              # saved again as it was: said once
    time.sleep(0.5)
    assert count(proxy, "config.rejected") == 2 and count(proxy, "config.reloaded") == 0
    file.write_text(MORE)                                # right again
    proxy.wait_for_event("config.reloaded", lambda e: e["rules"] == 2)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
