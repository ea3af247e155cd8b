"""Batches of which some rows fail: by a rule, and by it alone, the good rows are stored and the bad ones set aside."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from typing import Any

import asyncpg
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


@pytest.mark.parametrize("in_block", [False, True])
def test_named_statements_and_binary_values(proxy: harness.Pgmend, postgres: harness.Postgres, events: str, in_block: bool) -> None:
    """What psycopg and asyncpg make of one INSERT of several rows that they have prepared: numbers and dates come in binary form. What is prepared stays
    what it is."""
    import datetime

    day = datetime.date(2024, 2, 29)
    text = "INSERT INTO events VALUES (%s, %s, %s), (%s, %s, %s), (%s, %s, %s)"
    with psycopg.connect(harness.conninfo(proxy.port, events), autocommit=not in_block) as loader:
        for first in (0, 10, 20):
            cursor = loader.execute(text, (first, "a", day, first + 1, "bad", day, first + 2, None, None), prepare=True)
            assert cursor.rowcount == 1
        assert loader.execute(text, (30, "a", day, 31, "b", None, 32, "it's", None), prepare=True).rowcount == 3
        if in_block:
            loader.commit()

    async def load() -> None:
        connection = await asyncpg.connect(host=harness.HOST, port=proxy.port, user="postgres", database=events)
        try:
            await connection.execute("SET DateStyle = 'German, DMY'")
            prepared = await connection.prepare("INSERT INTO events (day, id, kind) VALUES ($1, $2, $3), ($4, $5, $6)")
            for first in (40, 50):
                if in_block:
                    async with connection.transaction():
                        await prepared.fetch(day, first, "bad", None, first + 1, "b")
                else:
                    await prepared.fetch(day, first, "bad", None, first + 1, "b")
                assert prepared.get_statusmsg() == "INSERT 0 1"
            await prepared.fetch(day, 60, "a", None, 61, "b")
        finally:
            await connection.close()

    asyncio.run(load())
    assert stored(postgres, events) == [0, 10, 20, 30, 31, 32, 41, 51, 60, 61]
    found = letters(proxy)
    assert found[:2] == [("INSERT INTO events VALUES ('1', 'bad', '2024-02-29')", "23514", "waiting"), ("INSERT INTO events VALUES ('2', NULL, NULL)", "23502", "waiting")]
    assert found[6:] == [(f"INSERT INTO events (day, id, kind) VALUES ('2024-02-29', '{n}', 'bad')", "23514", "waiting") for n in (40, 50)]
    postgres.run("ALTER TABLE events DROP CONSTRAINT events_kind_check", database=events)
    done = harness.run([harness.BINARY, "dead-letters", "retry", "-c", proxy.config_path], cwd=proxy.directory, check=False)
    assert done.stdout.count("stored") == 5
    assert postgres.run("SELECT day FROM events WHERE kind = 'bad'", database=events) == [(day,)] * 5


def test_values_in_binary_form_are_kept_exactly(proxy: harness.Pgmend, postgres: harness.Postgres, events: str) -> None:
    import struct

    postgres.run("ALTER TABLE events ADD f float8, ADD b bytea", database=events)
    number = 0.1 + 0.2
    with raw.Client(proxy.port) as client:
        client.log_in(user="postgres", database=events)
        client.ask(raw.query("SET extra_float_digits = 0; SET bytea_output = escape"))
        text = "INSERT INTO events (id, kind, f, b) VALUES ($1, $2, $3, $4), ($5, $6, $7, $8)"
        client.ask(raw.parse(text, "s") + raw.SYNC)
        values = (struct.pack("!i", 1), b"bad", struct.pack("!d", number), b"\x00'\xff\\", struct.pack("!i", 2), b"good", struct.pack("!d", number), None)
        client.send(raw.bind(values, statement="s", formats=(1, 0, 1, 1, 1, 0, 1, 1)) + raw.execute() + raw.SYNC)
        answers = client.until("Z")
        assert [a.body for a in answers if a.type == "C"] == [b"INSERT 0 1\0"] and raw.kinds(answers) == "N2CZ"
    postgres.run("ALTER TABLE events DROP CONSTRAINT events_kind_check", database=events)
    harness.run([harness.BINARY, "dead-letters", "retry", "-c", proxy.config_path], cwd=proxy.directory)
    assert postgres.run("SELECT id, f, b FROM events ORDER BY id", database=events) == [(1, number, b"\x00'\xff\\"), (2, number, None)]


def wide_rows(first: int, count: int, bad: set[int]) -> list[tuple[Any, ...]]:
    return [(n, None if n in bad else f"row {n} " + "x" * 1000) for n in range(first, first + count)]


@pytest.mark.parametrize("in_block", [False, True])
@pytest.mark.parametrize("form", ["literals", "parameters", "prepared", "executemany"])
def test_long_batches(proxy: harness.Pgmend, postgres: harness.Postgres, events: str, form: str, in_block: bool) -> None:
    """Longer than what is healed (64 KiB), and than what is read at once; shorter than healing.max_batch_bytes."""
    with psycopg.connect(harness.conninfo(proxy.port, events), autocommit=not in_block) as loader:
        for first in (0, 1000, 2000):
            values = wide_rows(first, 300, {first + 7, first + 250})
            cursor = loader.cursor()
            if form == "executemany":
                cursor.executemany("INSERT INTO events (id, kind) VALUES (%s, %s)", values)
            else:
                text = "INSERT INTO events (id, kind) VALUES " + ", ".join(["(%s, %s)"] * len(values))
                if form == "literals":
                    with psycopg.ClientCursor(loader) as plain:
                        text = plain.mogrify(text, [it for row in values for it in row])
                    cursor.execute(text)
                else:
                    cursor.execute(text, [it for row in values for it in row], prepare=form == "prepared")
            assert cursor.rowcount == 298
        if in_block:
            loader.commit()
        # A text that is as long.
        extra = "INSERT INTO events (id, kind) VALUES (9001, %s), (9002, NULL) -- " + "y" * 70000
        assert loader.execute(extra, ("a",)).rowcount == 1
        assert loader.execute("SELECT count(*) FROM events").fetchone() == (3 * 298 + 1,)
        loader.commit()
    assert len(stored(postgres, events)) == 3 * 298 + 1 and len(letters(proxy)) == 7


def test_batches_that_are_too_long_fail_as_a_whole_and_say_why(proxy: harness.Pgmend, postgres: harness.Postgres, events: str) -> None:
    notices: list[Any] = []
    with app(proxy, events) as loader:
        loader.add_notice_handler(lambda it: notices.append((it.severity, it.message_primary, it.message_detail)))
        cursor = loader.cursor()
        values = wide_rows(0, 1200, {7})
        text = "INSERT INTO events (id, kind) VALUES " + ", ".join(["(%s, %s)"] * len(values))
        with pytest.raises(psycopg.errors.NotNullViolation):
            cursor.execute(text, [it for row in values for it in row])
        with pytest.raises(psycopg.errors.NotNullViolation):
            cursor.executemany("INSERT INTO events (id, kind) VALUES (%s, %s)", values)
        assert len(notices) == 2 and {it[:2] for it in notices} == {("WARNING", "pgmend did not split this batch: its request is too long")}
        assert notices[0][2].startswith("healing.max_batch_bytes is 1048576.")
        with pytest.raises(psycopg.errors.UniqueViolation): # no rule is for this one
            loader.execute("INSERT INTO plain VALUES " + ", ".join(["(1)"] * 300000))
        assert len(notices) == 2
    assert stored(postgres, events) == [] and letters(proxy) == []


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


@pytest.mark.parametrize("what", ["ADD parent int REFERENCES events", "ADD parent int UNIQUE DEFERRABLE INITIALLY DEFERRED"])
def test_tables_on_which_rows_depend_on_each_other_are_not_split(proxy: harness.Pgmend, postgres: harness.Postgres, events: str, what: str) -> None:
    postgres.run(f"ALTER TABLE events {what}", database=events)
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


# ------------------------------------------------------------------------------------------------ pipelines

ROW = "INSERT INTO events (id, kind, day) VALUES (%s, %s, %s)"


def rows(first: int, last: int, bad: dict[int, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [bad.get(n, (n, f"it's {n}", None)) for n in range(first, last)]


def stored(postgres: harness.Postgres, database: str) -> list[int]:
    return [row[0] for row in postgres.run("SELECT id FROM events ORDER BY id", database=database)]


@pytest.mark.parametrize("autocommit", [True, False])
def test_executemany_of_psycopg_stores_the_good_rows(proxy: harness.Pgmend, postgres: harness.Postgres, events: str, autocommit: bool) -> None:
    """Numbers come in binary form, statements are prepared on the way, and without autocommit BEGIN is in the same request."""
    notices: list[Any] = []
    with psycopg.connect(harness.conninfo(proxy.port, events), autocommit=autocommit) as loader:
        loader.add_notice_handler(lambda it: notices.append((it.severity, it.message_primary)))
        cursor = loader.cursor()
        for first in (0, 100, 200): # later ones execute what is prepared, in the block that is open
            bad = {first + 3: (first + 3, None, None), first + 17: (first + 4, "again", "2024-02-28"), first + 49: (first + 49, "bad", None)}
            cursor.executemany(ROW, rows(first, first + 50, bad))
            assert cursor.rowcount == 47
            assert loader.info.transaction_status == (psycopg.pq.TransactionStatus.IDLE if autocommit else psycopg.pq.TransactionStatus.INTRANS)
        assert loader.execute("SELECT count(*) FROM events").fetchone() == (141,)
        if not autocommit:
            loader.commit()
    assert stored(postgres, events) == [n for n in range(250) if n % 100 < 50 and n % 100 not in (3, 17, 49)]
    assert notices == [("WARNING", "pgmend set 3 of 50 rows aside")] * 3
    found = letters(proxy)
    assert len(found) == 9 and {row[2] for row in found} == {"waiting"}
    assert found[3:6] == [("INSERT INTO events (id, kind, day) VALUES ('103', NULL, NULL)", "23502", "waiting"),
                          ("INSERT INTO events (id, kind, day) VALUES ('104', 'again', '2024-02-28')", "23505", "waiting"),
                          ("INSERT INTO events (id, kind, day) VALUES ('149', 'bad', NULL)", "23514", "waiting")]
    done = harness.run([harness.BINARY, "dead-letters", "retry", "-c", proxy.config_path], cwd=proxy.directory, check=False)
    assert done.returncode == 1 and done.stdout == ""
    postgres.run("ALTER TABLE events ALTER kind DROP NOT NULL", database=events)
    done = harness.run([harness.BINARY, "dead-letters", "retry", "-c", proxy.config_path], cwd=proxy.directory, check=False)
    assert done.stdout.count("stored") == 3 and 203 in stored(postgres, events)


@pytest.mark.parametrize("in_block", [False, True])
def test_executemany_of_asyncpg_stores_the_good_rows(proxy: harness.Pgmend, postgres: harness.Postgres, events: str, in_block: bool) -> None:
    """All of it in binary form, of a statement that an earlier request has prepared."""
    import datetime

    async def load() -> None:
        connection = await asyncpg.connect(host=harness.HOST, port=proxy.port, user="postgres", database=events)
        try:
            for first in (0, 100):
                day = datetime.date(2024, 2, 29)
                bad = {first + 20: (first + 20, None, day), first + 30: (first + 19, "again", day)}
                if in_block:
                    async with connection.transaction():
                        await connection.execute("SELECT 1")
                        await connection.executemany("INSERT INTO events VALUES ($1, $2, $3)", rows(first, first + 60, bad))
                else:
                    await connection.executemany("INSERT INTO events VALUES ($1, $2, $3)", rows(first, first + 60, bad))
            assert await connection.fetchval("SELECT count(*) FROM events") == 116
        finally:
            await connection.close()

    asyncio.run(load())
    assert stored(postgres, events) == [n for n in range(160) if n % 100 < 60 and n % 100 not in (20, 30)]
    assert letters(proxy)[:2] == [("INSERT INTO events VALUES ('20', NULL, '2024-02-29')", "23502", "waiting"),
                                  ("INSERT INTO events VALUES ('19', 'again', '2024-02-29')", "23505", "waiting")]


def test_a_pipeline_whose_first_answers_the_client_has_had(proxy: harness.Pgmend, postgres: harness.Postgres, events: str) -> None:
    """The server sends answers as soon as it has 8 KiB of them: a thousand rows later some have arrived, and must not come twice."""
    with raw.Client(proxy.port) as client:
        client.log_in(user="postgres", database=events)
        client.ask(raw.parse("INSERT INTO events VALUES ($1, $2)", "row") + raw.SYNC)
        bad = {900, 950}
        client.send(b"".join(raw.bind((str(n).encode(), None if n in bad else b"x"), statement="row") + raw.execute() for n in range(1000)) + raw.SYNC)
        answers = [a for a in client.until("Z")]
        assert raw.kinds([a for a in answers if a.type != "N"]) == "2C" * 1000 + "Z"
        tags = [a.body for a in answers if a.type == "C"]
        assert [n for n in range(1000) if tags[n] == b"INSERT 0 0\0"] == sorted(bad) and tags.count(b"INSERT 0 1\0") == 998
        assert client.ask(raw.query("SELECT count(*) FROM events"))[1].body.endswith(b"998")
    assert len(stored(postgres, events)) == 998 and len(letters(proxy)) == 2


def test_a_client_that_sends_its_sync_late_or_flushes(proxy: harness.Pgmend, postgres: harness.Postgres, events: str) -> None:
    def row(n: int, kind: bytes | None) -> bytes:
        return raw.bind((str(n).encode(), kind), statement="row") + raw.execute()

    with raw.Client(proxy.port) as client:
        client.log_in(user="postgres", database=events)
        client.ask(raw.parse("INSERT INTO events VALUES ($1, $2)", "row") + raw.SYNC)

        def send_and_fail(good: int, bad: int) -> None:
            client.send(row(good, b"a") + row(bad, None))
            harness.wait_until(lambda: f"Failing row contains ({bad}, " in postgres.log_text(), "the server has refused a row")

        send_and_fail(41001, 41002)
        client.send(row(41003, b"c") + raw.SYNC)
        assert raw.kinds([a for a in client.until("Z") if a.type != "N"]) == "2C2C2CZ"
        assert raw.kinds(client.ask(raw.query("SELECT 7"))) == "TDCZ"
        assert stored(postgres, events) == [41001, 41003]
        # A Flush: the client wants to know now, and what it gets is the error.
        client.send(row(41004, b"a") + row(41005, None) + raw.FLUSH)
        assert raw.kinds(client.until("E"))[-1] == "E"
        client.send(row(41006, b"b") + raw.SYNC)
        assert raw.kinds(client.until("Z")) == "Z"
        send_and_fail(41007, 41008)
        client.send(raw.FLUSH)
        assert raw.kinds(client.until("E"))[-1] == "E"
        client.send(row(41009, b"b") + raw.SYNC)
        assert raw.kinds(client.until("Z")) == "Z"
    assert stored(postgres, events) == [41001, 41003] and len(letters(proxy)) == 1


@pytest.mark.parametrize("other", ["UPDATE events SET kind = 'x'", "INSERT INTO plain VALUES (99)", "SELECT 1", "INSERT INTO events VALUES (98, 'x') RETURNING id",
                                   "INSERT INTO events VALUES (96, 'x'), (97, 'y')"])
@pytest.mark.parametrize("block", [False, True])
def test_a_pipeline_of_other_statements_too_fails_as_a_whole(proxy: harness.Pgmend, postgres: harness.Postgres, events: str, other: str, block: bool) -> None:
    def one(sql: str) -> bytes:
        return raw.parse(sql) + raw.bind() + raw.execute()

    with raw.Client(proxy.port) as client:
        client.log_in(user="postgres", database=events)
        client.send((one("BEGIN") if block else b"") + one("INSERT INTO events VALUES (1, 'a')") + one(other) + one("INSERT INTO events VALUES (2, NULL)") + raw.SYNC)
        answers = client.until("Z")
        assert answers[-2].type == "E" and b"23502" in answers[-2].body and answers[-1].body == (b"E" if block else b"I")
        if block:
            assert b"25P02" in client.ask(raw.query("SELECT 1"))[0].body
            client.ask(raw.query("ROLLBACK"))
        assert raw.kinds(client.ask(raw.query("SELECT 1"))) == "TDCZ"
    assert stored(postgres, events) == [] and letters(proxy) == [] and postgres.run("SELECT count(*) FROM plain", database=events) == [(0,)]


def test_a_pipeline_on_a_table_without_a_rule_fails_as_without_pgmend(proxy: harness.Pgmend, postgres: harness.Postgres, events: str) -> None:
    with psycopg.connect(harness.conninfo(proxy.port, events)) as loader:
        with pytest.raises(psycopg.errors.UniqueViolation):
            loader.cursor().executemany("INSERT INTO plain VALUES (%s)", [(n % 30,) for n in range(50)])
        assert loader.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
        loader.rollback()
        assert loader.execute("SELECT count(*) FROM plain").fetchone() == (0,)


def test_without_a_durable_dead_letter_the_pipeline_fails(proxy: harness.Pgmend, postgres: harness.Postgres, events: str) -> None:
    with sqlite3.connect(f"{proxy.directory}/pgmend.db") as file:
        file.execute("DROP TABLE dead_letters")
        file.commit()
    with psycopg.connect(harness.conninfo(proxy.port, events)) as loader:
        with pytest.raises(psycopg.errors.NotNullViolation):
            loader.cursor().executemany(ROW, rows(0, 50, {3: (3, None, None)}))
        assert loader.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
    assert stored(postgres, events) == []


# ------------------------------------------------------------------------------------------------ what a dead letter means later

def test_a_dead_letter_means_later_what_it_meant_in_its_session(proxy: harness.Pgmend, postgres: harness.Postgres, events: str) -> None:
    """Dates, times, intervals, backslashes and encodings are read by settings of the session; parameters have types."""
    import datetime

    postgres.run("ALTER TABLE events ADD at timestamptz, ADD wall timestamp, ADD took interval, ADD n numeric, ADD list int[], ADD whole int", database=events)
    moment = datetime.datetime(2024, 3, 2, 0, 30, tzinfo=datetime.timezone.utc)
    columns = "id, kind, day, at, wall, took, n, list, whole"
    with app(proxy, events) as loader:
        for setting in ("TimeZone = 'Asia/Tokyo'", "DateStyle = 'SQL, DMY'", "IntervalStyle = sql_standard"):
            loader.execute(f"SET {setting}")
        row = "'02/03/2024', '02/03/2024 04:05', '02/03/2024 04:05', '-1 2:03:04', 1, ARRAY[1, 2], 3"
        for text, values in (
                (f"INSERT INTO events ({columns}) VALUES (1, 'a', {row}), (%s, 'bad', {row})", ()),
                (f"INSERT INTO events ({columns}) VALUES (1, 'a', %s, %s, %s, %s, -%s, ARRAY[%s, %s], %s), (%s, 'bad', %s, %s, %s, %s, -%s, ARRAY[%s, %s], %s)",
                 ("02/03/2024", "02/03/2024 04:05", moment, "-1 2:03:04", 5, 3, 4, 2.5))):
            for prepare in (False, True):
                loader.execute("TRUNCATE events")
                number = 10 + 20 * prepare + bool(values)
                if values:
                    assert loader.execute(text, (*values, number, *values), prepare=prepare).rowcount == 1
                else:
                    assert loader.execute(text.replace("%s", str(number)), prepare=prepare).rowcount == 1
                meant = postgres.run(f"SELECT {columns[10:]} FROM events", database=events)[0][1:]
                postgres.run("ALTER TABLE events DROP CONSTRAINT IF EXISTS events_kind_check", database=events)
                retried = harness.run([harness.BINARY, "dead-letters", "retry", "-c", proxy.config_path], cwd=proxy.directory)
                assert retried.stdout.count("stored") == 1
                found = postgres.run(f"SELECT {columns[10:]} FROM events WHERE id = {number}", database=events)
                assert [row[1:] for row in found] == [meant], text
                postgres.run(f"DELETE FROM events WHERE id = {number}", "ALTER TABLE events ADD CONSTRAINT events_kind_check CHECK (kind <> 'bad')", database=events)
        loader.execute("TRUNCATE events")
    with raw.Client(proxy.port) as client:
        client.log_in(user="postgres", database=events)
        client.ask(raw.query("SET client_encoding = LATIN1; SET standard_conforming_strings = off; SET escape_string_warning = off"))
        body = b"INSERT INTO events (id, kind) VALUES (1, '\xe9'), (1, '\xe4\\n\\\\n')\0"
        assert raw.kinds(client.ask(b"Q" + (len(body) + 4).to_bytes(4, "big") + body)) == "NCZ"
        # A comment behind the row, in a pipeline.
        client.ask(raw.query("RESET ALL"))
        client.send(raw.parse("INSERT INTO events (id, kind) VALUES ($1, 'x') -- so", "row")
                    + b"".join(raw.bind((n,), statement="row") + raw.execute() for n in (b"2", b"2")) + raw.SYNC)
        assert raw.kinds([a for a in client.until("Z") if a.type != "N"]) == "12C2CZ"
    postgres.run("ALTER TABLE events DROP CONSTRAINT events_pkey", database=events)
    script = subprocess.run([harness.BINARY, "dead-letters", "export", "-c", proxy.config_path], cwd=proxy.directory, capture_output=True, check=True).stdout
    retried = harness.run([harness.BINARY, "dead-letters", "retry", "-c", proxy.config_path], cwd=proxy.directory)
    assert retried.stdout.count("stored") == 2
    kinds = lambda: postgres.run("SELECT kind FROM events ORDER BY id, kind COLLATE \"C\"", database=events)  # noqa: E731
    assert kinds() == [("ä\n\\n",), ("é",), ("x",), ("x",)]
    # The script does the same.
    postgres.run("DELETE FROM events WHERE ctid IN (SELECT max(ctid) FROM events GROUP BY id)", database=events)
    assert kinds() == [("é",), ("x",)]
    subprocess.run([harness.PG_BIN / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", harness.conninfo(postgres.port, events)], input=script, check=True)
    assert kinds() == [("ä\n\\n",), ("é",), ("x",), ("x",)]


def test_two_retries_at_a_time_store_nothing_twice(proxy: harness.Pgmend, postgres: harness.Postgres, events: str) -> None:
    with app(proxy, events) as loader:
        assert loader.execute(BATCH).rowcount == 3
    postgres.run("ALTER TABLE events DROP CONSTRAINT events_pkey, DROP CONSTRAINT events_kind_check", "ALTER TABLE events ALTER id DROP NOT NULL, ALTER kind DROP NOT NULL",
                 database=events)
    command = [harness.BINARY, "dead-letters", "retry", "-c", proxy.config_path]
    both = [subprocess.Popen(command, cwd=proxy.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [it.communicate(timeout=harness.LIMIT) for it in both]
    assert sum(out.count(": stored") for out, _ in said) == 3, said
    assert len(stored(postgres, events)) == 6 and [row[2] for row in letters(proxy)] == ["retried"] * 3
    with app(proxy, events) as loader:
        postgres.run("ALTER TABLE events ADD CHECK (id <> 7)", database=events)
        assert loader.execute("INSERT INTO events VALUES (8, 'a'), (7, 'b')").rowcount == 1
    with postgres.connect(events) as other:
        other.execute("SELECT pg_advisory_lock(7301846592087014)")
        refused = harness.run(command, cwd=proxy.directory, check=False)
        assert refused.returncode == 1 and "another retry is under way in database " + events in refused.stderr
