"""Batches of which some rows fail: by a rule, and by it alone, the good rows are stored and the bad ones set aside."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
import pytest

import harness
import raw


@pytest.fixture
def proxy(start_pgmend: Any) -> harness.Pgmend:
    proxy = start_pgmend(control="user=postgres", state="pgmend.db", start=False)
    (proxy.directory / "rules.yaml").write_text("rules:\n  - { name: bulk, table: events, on_error: { split: rows, dead_letter: true } }\n")
    proxy.config["rules"] = "rules.yaml"
    proxy.write_config()
    proxy.start()
    return proxy


@pytest.fixture
def events(proxy: harness.Pgmend, postgres: harness.Postgres, database: str) -> str:
    postgres.run("CREATE TABLE events (id int PRIMARY KEY, kind text NOT NULL CHECK (kind <> 'bad'), day date)",
                 "CREATE TABLE plain (id int PRIMARY KEY)", database=database)
    harness.know(proxy, database)
    return database


def letters(proxy: harness.Pgmend) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{proxy.directory}/pgmend.db?mode=ro", uri=True) as file:
        return file.execute("SELECT statement, sqlstate, state FROM dead_letters ORDER BY id").fetchall()


def app(proxy: harness.Pgmend, database: str) -> "psycopg.Connection[Any]":
    return psycopg.connect(harness.conninfo(proxy.port, database, application_name="loader"), autocommit=True)


BATCH = "INSERT INTO events (id, kind, day) VALUES (1, 'a', '2024-01-01'), (2, NULL, NULL), (3, 'c', NULL), (3, 'again', NULL), (4, 'bad', NULL), (5, 'it''s', DEFAULT)"


def test_the_good_rows_are_stored_and_the_bad_ones_kept_with_their_errors(proxy: harness.Pgmend, postgres: harness.Postgres, events: str) -> None:
    with raw.Client(proxy.port) as client:
        client.log_in(user="postgres", database=events)
        answers = client.ask(raw.query(BATCH))
        assert raw.kinds(answers) == "NCZ"
        assert b"WARNING" in answers[0].body and b"pgmend set 3 of 6 rows aside" in answers[0].body and b"bulk" in answers[0].body
        assert answers[1].body == b"INSERT 0 3\0" and answers[2].body == b"I"
    assert postgres.run("SELECT id, kind FROM events ORDER BY id", database=events) == [(1, "a"), (3, "c"), (5, "it's")]
    insert = "INSERT INTO events (id, kind, day) VALUES "
    assert letters(proxy) == [(insert + "(2, NULL, NULL)", "23502", "waiting"), (insert + "(3, 'again', NULL)", "23505", "waiting"),
                              (insert + "(4, 'bad', NULL)", "23514", "waiting")]
    assert "again" not in proxy.log_text()
    # What can be stored by now is stored.
    postgres.run("ALTER TABLE events ALTER kind DROP NOT NULL", database=events)
    listed = harness.run([harness.BINARY, "dead-letters", "list", "-c", proxy.config_path], cwd=proxy.directory).stdout
    assert listed.count("waiting") == 3 and "rule bulk: 23505" in listed
    retried = harness.run([harness.BINARY, "dead-letters", "retry", "-c", proxy.config_path], cwd=proxy.directory, check=False)
    assert retried.returncode == 1 and retried.stdout == "1: stored\n" and "pgmend: 2: " in retried.stderr
    assert postgres.run("SELECT id FROM events ORDER BY id", database=events) == [(1,), (2,), (3,), (5,)]
    assert [row[2] for row in letters(proxy)] == ["retried", "waiting", "waiting"]
    script = harness.run([harness.BINARY, "dead-letters", "export", "-c", proxy.config_path], cwd=proxy.directory).stdout
    assert "(3, 'again', NULL);" in script and "(2, NULL, NULL)" not in script


def test_parameters_and_transaction_blocks(proxy: harness.Pgmend, postgres: harness.Postgres, events: str) -> None:
    text = "INSERT INTO events VALUES ($1, $2, NULL), ($3, $4, now()), ($5, $6, $7)"
    values = (b"1", b"a", b"2", None, b"3", b"it's \\ here", b"2024-02-30")
    with raw.Client(proxy.port) as client:
        client.log_in(user="postgres", database=events)
        for begin, status in ((b"", b"I"), (raw.query("BEGIN"), b"T")):
            if begin:
                client.ask(begin)
                client.ask(raw.query("INSERT INTO plain VALUES (1)"))
                values = (b"11", *values[1:])
            client.send(raw.parse(text) + raw.bind(values) + raw.describe("P", "") + raw.execute() + raw.SYNC)
            answers = client.until("Z")
            assert [a.type for a in answers if a.type != "N"] == ["1", "2", "n", "C", "Z"]
            assert [a.body for a in answers if a.type == "C"] == [b"INSERT 0 1\0"] and answers[-1].body == status
        client.ask(raw.query("COMMIT"))
    assert postgres.run("SELECT id FROM events ORDER BY id", database=events) == [(1,), (11,)]
    assert postgres.run("SELECT id FROM plain", database=events) == [(1,)]
    assert letters(proxy)[1] == ("INSERT INTO events VALUES ('3',  E'it''s \\\\ here', '2024-02-30')", "22008", "waiting")
    with app(proxy, events) as loader, loader.transaction(force_rollback=True):
        assert loader.execute("INSERT INTO events VALUES (21, 'a'), (22, NULL)").rowcount == 1
        assert loader.execute("INSERT INTO events VALUES (23, NULL), (24, 'bad')").rowcount == 0
        assert loader.execute("INSERT INTO events VALUES (25, 'a'), (22, 'b')").rowcount == 2
        assert loader.execute("SELECT array_agg(id ORDER BY id) FROM events").fetchone() == ([1, 11, 21, 22, 25],)
    assert postgres.run("SELECT count(*) FROM events", database=events) == [(2,)]


@pytest.mark.parametrize("statement, state", [
    (BATCH.replace("events", "plain").replace(" (id, kind, day)", "").replace("(1, 'a', '2024-01-01')", "(1)").split("(2")[0] + "(1)", "23505"),
    (BATCH + " RETURNING id", "23502"),
    (BATCH + " ON CONFLICT (id) DO NOTHING", "23502"),
    ("INSERT INTO events SELECT 1, NULL UNION ALL SELECT 2, 'a'", "23502"),
    ("INSERT INTO events VALUES (1, 'a'), (2, (SELECT max(kind) FROM events WHERE id = 7))", "23502"),
    ("INSERT INTO events VALUES (1, NULL)", "23502"),
    ("INSERT INTO events VALUES (1, 'a'), (2, NULL); SELECT 1", "23502"),
    ("INSERT INTO events VALUES (1, 'a'), (2, no_such_column)", "42703"),
])
def test_what_cannot_be_split_exactly_fails_as_a_whole(proxy: harness.Pgmend, postgres: harness.Postgres, events: str, statement: str, state: str) -> None:
    with app(proxy, events) as loader:
        with pytest.raises(psycopg.Error) as failed:
            loader.execute(statement)
        assert failed.value.sqlstate == state
        with pytest.raises(psycopg.Error), loader.transaction():
            loader.execute(statement)
    assert postgres.run("SELECT count(*) FROM events", database=events) == [(0,)] and letters(proxy) == []


def test_tables_on_which_rows_depend_on_each_other_are_not_split(proxy: harness.Pgmend, postgres: harness.Postgres, events: str) -> None:
    postgres.run("ALTER TABLE events ADD parent int REFERENCES events", database=events)
    with app(proxy, events) as loader, pytest.raises(psycopg.errors.NotNullViolation):
        loader.execute("INSERT INTO events VALUES (1, 'a', NULL, 2), (2, 'b', NULL, NULL), (3, NULL, NULL, NULL)")
    assert postgres.run("SELECT count(*) FROM events", database=events) == [(0,)] and letters(proxy) == []


def test_without_a_durable_dead_letter_the_batch_fails(proxy: harness.Pgmend, postgres: harness.Postgres, events: str) -> None:
    with sqlite3.connect(f"{proxy.directory}/pgmend.db") as file:
        file.execute("DROP TABLE dead_letters")
        file.commit()
        with app(proxy, events) as loader, pytest.raises(psycopg.errors.NotNullViolation):
            loader.execute(BATCH)
    assert postgres.run("SELECT count(*) FROM events", database=events) == [(0,)]
