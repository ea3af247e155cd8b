"""What is counted of healed and refused statements: one execution is one, and one statement is one event of the log."""

from __future__ import annotations

import collections
import json
import subprocess
import urllib.request
from typing import Any, Callable

import psycopg
import pytest

import harness
import raw

pytestmark = pytest.mark.pgmend

def error(answer: list[raw.Message]) -> str | None:
    failed = raw.error_of(answer)
    return failed.get("C") if failed else None


SQL = "SELECT email FROM counted WHERE id = "


def simple(client: raw.Client) -> int:
    for i in range(9):
        assert not raw.error_of(client.ask(raw.query(f"{SQL}{i}")))
    return 9


def unnamed(client: raw.Client) -> int:
    for i in range(9):
        assert not raw.error_of(client.ask(raw.extended(f"{SQL}$1", (str(i).encode(),))))
    return 9


def prepared(client: raw.Client) -> int:
    assert not raw.error_of(client.ask(raw.parse(f"{SQL}$1", "s") + raw.describe("S", "s") + raw.SYNC))
    for i in range(9):
        assert not raw.error_of(client.ask(raw.bind((str(i).encode(),), statement="s") + raw.execute() + raw.SYNC))
    return 9


def pipelined(client: raw.Client) -> int:
    several = b"".join(raw.bind((str(i).encode(),), statement="s") + raw.execute() for i in range(3))
    for _ in range(3):
        assert not raw.error_of(client.ask(raw.parse(f"{SQL}$1", "s") + several + raw.close("S", "s") + raw.SYNC))
    return 9


def fetched_in_parts(client: raw.Client) -> int:
    for _ in range(9):
        assert not raw.error_of(client.ask(raw.parse("SELECT email FROM counted ORDER BY id", "s") + raw.bind(statement="s", portal="p") + raw.execute("p", 2)
                                           + raw.execute("p", 2) + raw.execute("p") + raw.close("S", "s") + raw.SYNC))
    return 9


@pytest.mark.parametrize("known", (True, False), ids=("before-it-fails", "after-it-failed"))
@pytest.mark.parametrize("run", (simple, unnamed, prepared, pipelined, fetched_in_parts))
def test_an_execution_counts_once_however_it_is_sent(start_pgmend: Any, postgres: harness.Postgres, database: str, run: Callable[[raw.Client], int],
                                                     known: bool) -> None:
    postgres.run("CREATE TABLE counted (id int, email text)", "INSERT INTO counted SELECT i, 'a@b' FROM generate_series(0, 8) i", database=database)
    port = harness.free_port()
    watch = {} if known else {"watch": {"poll": "0s", "verify": "0s"}}
    proxy = start_pgmend(control="user=postgres", admin={"http": str(port)}, state="pgmend.db", **watch)
    with raw.Client(proxy.port) as client, psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True) as admin:
        client.log_in(user="postgres", database=database, application_name="counting")
        harness.know(proxy, database)
        postgres.run("ALTER TABLE counted RENAME email TO email_address", database=database)
        if known:
            proxy.wait_for_event("schema.changed", lambda e: e["database"] == database and "email" in json.dumps(e))
        times = run(client)

        def rows(table: str) -> list[dict[str, Any]]:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{table}", timeout=harness.LIMIT) as answer:
                return list(json.load(answer)["rows"])

        # The client has its answer before the last of them is counted.
        harness.wait_until(lambda: sum(row["healed"] for row in rows("drift")) >= times, "all are counted")
        assert sum(row["healed"] for row in rows("drift")) == times
        assert sum(row["not_healed"] for row in rows("drift")) == 0
        assert sum(row["times"] for row in rows("heals")) == times
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=harness.LIMIT) as answer:
            counted = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line.startswith("pgmend_heals_total{")]
        assert sum(int(n) for name, n in counted if 'outcome="healed"' in name) == times
        assert sum(int(n) for name, n in counted if 'outcome="healed"' not in name) == 0
        # The first one fails where nothing was known; what is prepared once is one event.
        event = proxy.wait_for_event("statement.healed")
        assert event["sqlstate"] == "42703" and event["tier"] in ((1,) if known else (1, 2))  # what know() has called for may be read late, and see it
        assert sum(row["successes"] for row in rows("patterns")) == times
    proxy.finish()
    report = json.loads(subprocess.run([harness.BINARY, "report", "-c", proxy.config_path, "--format", "json"], check=True, capture_output=True, text=True, cwd=proxy.directory).stdout)
    assert times in [row.get("count") for row in (report if isinstance(report, list) else report["statements"])]


@pytest.mark.parametrize("guard", ("off", "savepoint"))
def test_a_statement_that_is_not_healed_is_one_event(start_pgmend: Any, postgres: harness.Postgres, database: str, guard: str) -> None:
    postgres.run("CREATE TABLE counted (id int, flag bool)", database=database)
    proxy = start_pgmend(control="user=postgres", healing={"transaction_guard": guard})
    with raw.Client(proxy.port) as client, psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True) as admin:
        client.log_in(user="postgres", database=database)
        harness.know(proxy, database)
        postgres.run("ALTER TABLE counted DROP flag", database=database)
        proxy.wait_for_event("schema.changed", lambda e: e["database"] == database and "flag" in json.dumps(e))
        asked = (raw.query("SELECT flag FROM counted"), raw.extended("SELECT flag FROM counted"))
        for times in range(3):
            for sent in asked:
                assert error(client.ask(sent)) == "42703"
        for sent in asked: # inside a block, where without a guard nothing is held
            client.ask(raw.query("BEGIN"))
            assert error(client.ask(sent)) == "42703"
            client.ask(raw.query("ROLLBACK"))
        refused = harness.wait_until(lambda: len(e := proxy.events("statement.refused")) >= 8 and e, "all of them are told of")
        assert len(refused) == 8
        assert {event["sqlstate"] for event in refused} == {"42703"}
        assert collections.Counter(event["tier"] for event in refused) == ({1: 2, 2: 6} if guard == "off" else {2: 8})
        (row,) = [r for r in admin.execute("SHOW DRIFT").fetchall() if r[1] == database]
        assert (row[5], row[6]) == (0, 8)
