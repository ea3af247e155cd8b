"""Requests of several statements, one of which has drifted: all of it as before the migration, or the server's error; nothing twice."""

from __future__ import annotations

import pytest

import harness
import raw
from raw import bind, describe, execute, parse, query

SCHEMA = """
    CREATE TABLE users (id int PRIMARY KEY, email text);
    INSERT INTO users SELECT g, 'user' || g FROM generate_series(1, 5) g;
    CREATE TABLE log (n serial PRIMARY KEY, what text, at timestamptz DEFAULT now());
    CREATE FUNCTION locks() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN 1; END $$;
    CREATE FUNCTION hides() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 1; END $$;
    CREATE FUNCTION on_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN NEW; END $$;
    CREATE TABLE triggering (a int);
    CREATE TRIGGER t BEFORE INSERT ON triggering FOR EACH ROW EXECUTE FUNCTION on_insert();
    CREATE VIEW locking AS SELECT locks() AS a;
    CREATE VIEW over_locking AS SELECT a + 1 AS b FROM locking;
    CREATE TABLE defaulting (a int, b int DEFAULT locks());
    CREATE TABLE checked (a int CHECK (a < locks() + 100));
    CREATE PROCEDURE locks_too() LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); END $$;
    CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(7); RETURN $1 + $2; END $$;
    CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = plus);
    CREATE TABLE ruled (a int);
    CREATE RULE r AS ON INSERT TO ruled DO ALSO SELECT locks();
    CREATE TABLE generated_too (a int, b int GENERATED ALWAYS AS IDENTITY);
"""
DRIFTED = "SELECT email FROM users WHERE id = 1"

#: Statements ahead of the drifted one. After each has run once: so many rows in log, and so often the lock is held.
AHEAD = {
    "a query": ("SELECT 1", 0, 0),
    "an insert": ("INSERT INTO log (what) VALUES ('x')", 1, 0),
    "an insert that returns": ("INSERT INTO log (what) VALUES ('x') RETURNING what", 1, 0),
    "an update": ("UPDATE users SET id = id WHERE id = 2", 0, 0),
    "a lock": ("SELECT pg_advisory_lock(7)", 0, 1),
    "a lock, quoted": ('SELECT "pg_advisory_lock"(7)', 0, 1),
    "a lock, with its schema": ("SELECT pg_catalog.pg_advisory_lock(7)", 0, 1),
    "a lock, with unicode": ('SELECT U&"pg_advisory_loc\\006b"(7)', 0, 1),
    "a lock, in capitals": ("SELECT PG_ADVISORY_LOCK (7)", 0, 1),
    "a lock, behind a comment": ("SELECT pg_advisory_lock /* ( */ -- \n (7)", 0, 1),
    "a function": ("SELECT locks()", 0, 1),
    "a function of a schema": ("SELECT public.locks()", 0, 1),
    "a function in FROM": ("SELECT * FROM locks()", 0, 1),
    "a trigger": ("INSERT INTO triggering VALUES (1)", 0, 1),
    "a view": ("SELECT * FROM locking", 0, 1),
    "a view over a view": ("SELECT b FROM over_locking", 0, 1),
    "a default": ("INSERT INTO defaulting (a) VALUES (1)", 0, 1),
    "a constraint": ("INSERT INTO checked VALUES (1)", 0, 1),
    "an operator": ("SELECT 1 ### 2", 0, 1),
    "a rule": ("INSERT INTO ruled VALUES (1)", 0, 1),
    "a call": ("CALL locks_too()", 0, 1),
    "a block": ("DO $$ BEGIN PERFORM pg_advisory_lock(7); END $$", 0, 1),
    "text that is run": ("SELECT query_to_xml('SELECT locks()', true, false, '')", 0, 1),
    "a prepared statement": ("EXECUTE prepared", 1, 0),
    "an explained one": ("EXPLAIN ANALYZE INSERT INTO log (what) VALUES ('x')", 1, 0),
}


@pytest.fixture(scope="module")
def moved(postgres):
    """Through it: (client port, database); `users.email` has gone, and pgmend knows where."""
    proxy = harness.Pgmend(postgres, control="user=postgres", log={"format": "json", "level": "debug"})
    postgres.run("CREATE DATABASE twice")
    postgres.run(SCHEMA, database="twice")
    with raw.Client(proxy.port) as client:
        client.log_in(user="postgres", database="twice")
        proxy.wait_for_event("catalog.loaded", lambda e: e["database"] == "twice")
        postgres.run("ALTER TABLE users RENAME COLUMN email TO email_address", database="twice")
        assert client.rows(DRIFTED) == [["user1"]]
    yield proxy
    proxy.finish()
    postgres.run("DROP DATABASE twice WITH (FORCE)")


class Case:
    def __init__(self, proxy: harness.Pgmend, postgres: harness.Postgres) -> None:
        self.proxy, self.postgres = proxy, postgres

    def __enter__(self) -> "Case":
        self.postgres.run("TRUNCATE log, triggering, defaulting, checked, ruled", database="twice")
        self.client = raw.Client(self.proxy.port).log_in(user="postgres", database="twice")
        self.client.rows("PREPARE prepared AS INSERT INTO log (what) VALUES ('p')")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.socket.close()

    def effects(self) -> tuple[int, int]:
        locks = 0
        while self.client.rows("SELECT pg_advisory_unlock(7)") == [["t"]]:
            locks += 1
        return int(self.client.rows("SELECT count(*) FROM log")[0][0]), locks


def pipeline(*texts: str) -> bytes:
    return b"".join(parse(sql) + bind() + describe() + execute() for sql in texts) + raw.SYNC


def as_text(*texts: str) -> bytes:
    return query("; ".join(texts))


@pytest.mark.parametrize("form", (pipeline, as_text), ids=("pipeline", "text"))
@pytest.mark.parametrize("name", AHEAD)
def test_what_ran_ahead_of_it(moved, postgres, name, form):
    sql, rows, locks = AHEAD[name]
    with Case(moved, postgres) as case:
        messages = case.client.ask(form(sql, DRIFTED, "INSERT INTO log (what) VALUES ('behind')"))
        found = case.effects()
    if raw.error_of(messages):
        # PostgreSQL rolls all of it back but the lock.
        assert raw.error_of(messages).get("C") == "42703", messages
        assert found == (0, locks)
    else:
        assert [raw.decode_row(m.body) for m in messages if m.type == "D"][-1] == ["user1"]
        assert raw.kinds(messages).count("C") == 3
        assert found == (rows + 1, locks)


TEXTS = {
    # text: rows in log, if it is healed; and if it is not
    "INSERT INTO log (what) VALUES ('a'); COMMIT; SELECT email FROM users": ((1, 1)),
    "BEGIN; INSERT INTO log (what) VALUES ('a'); COMMIT; SELECT email FROM users; INSERT INTO log (what) VALUES ('b')": ((2, 1)),
    "INSERT INTO log (what) VALUES ('a'); BEGIN; SELECT email FROM users; COMMIT": ((1, 0)),
    "INSERT INTO log (what) VALUES ('a'); ROLLBACK; SELECT email FROM users": ((0, 0)),
    "BEGIN; INSERT INTO log (what) VALUES ('a'); SAVEPOINT s; SELECT email FROM users; RELEASE s; COMMIT": ((1, 0)),
    "SELECT email FROM users; INSERT INTO log (what) VALUES ('a'); SELECT 1/0": ((0, 0)),
    "SELECT email FROM users; INSERT INTO log (what) VALUES ('a'); SELECT email FROM users; INSERT INTO log (what) VALUES ('b')": ((2, 0)),
    "INSERT INTO log (what) SELECT email FROM users; INSERT INTO log (what) SELECT email FROM users": ((10, 0)),
    "PREPARE q AS INSERT INTO log (what) VALUES ('q'); EXECUTE q; SELECT email FROM users; DEALLOCATE q": ((1, 0)),
    "CREATE TEMP TABLE users (email text); SELECT email FROM users; DROP TABLE users": ((0, 0)),
    "CREATE TABLE made (a int); SELECT email FROM users; DROP TABLE made": ((0, 0)),
}


@pytest.mark.parametrize("sql", TEXTS)
def test_texts_that_open_and_close_transactions(moved, postgres, sql):
    healed, refused = TEXTS[sql]
    with Case(moved, postgres) as case:
        messages = case.client.ask(query(sql))
        error = raw.error_of(messages)
        state = messages[-1].body
        case.client.ask(query("ROLLBACK"))
        rows, _ = case.effects()
        if error and error.get("C") == "42703":
            assert rows == refused
            with raw.Client(postgres.port) as direct: # the very bytes, and the state, that PostgreSQL gives
                direct.log_in(user="postgres", database="twice")
                postgres.run("TRUNCATE log", database="twice")
                expected = direct.ask(query(sql))
            assert raw.bytes_of(messages) == raw.bytes_of(expected)
        else:
            assert rows == healed, messages
            assert state == b"I"


@pytest.mark.parametrize("count", (2, 10, 100))
def test_a_pipeline_of_many_drifted_statements_and_writes(moved, postgres, count):
    """With one Sync, with a Sync each, all in one packet."""
    pieces = [parse(f"SELECT email FROM users WHERE id = {1 + n % 5}") + bind() + execute() + parse(f"INSERT INTO log (what) VALUES ('{n}')") + bind() + execute() for n in range(count)]
    for request, answers in ((b"".join(pieces) + raw.SYNC, 1), (b"".join(piece + raw.SYNC for piece in pieces), count)):
        with Case(moved, postgres) as case:
            case.client.send(request)
            messages = [message for _ in range(answers) for message in case.client.until("Z")]
            failed = sum(message.type == "E" for message in messages)
            rows, _ = case.effects()
            values = [raw.decode_row(m.body)[0] for m in messages if m.type == "D"]
            if not failed:
                assert values == [f"user{1 + n % 5}" for n in range(count)]
            # A request that failed, failed whole.
            assert rows == (count - failed if answers > 1 else 0 if failed else count)
            assert len(set(case.client.rows("SELECT what FROM log")[n][0] for n in range(rows))) == rows


def test_a_statement_prepared_in_the_pipeline_and_bound_often(moved, postgres):
    with Case(moved, postgres) as case:
        request = parse("SELECT email, $1::int FROM users WHERE id = $1", "s") + b"".join(bind((str(n).encode(),), statement="s") + execute() for n in (1, 2, 3))
        messages = case.client.ask(request + raw.SYNC)
        if not raw.error_of(messages):
            assert [raw.decode_row(m.body) for m in messages if m.type == "D"] == [[f"user{n}", str(n)] for n in (1, 2, 3)]
            again = case.client.ask(bind((b"4",), statement="s") + describe() + execute() + raw.SYNC)
            assert raw.labels(again[1])[0] == "email" and raw.decode_row(again[2].body)[0] == "user4"
        else:
            # Then the statement does not exist.
            assert raw.error_of(case.client.ask(bind((b"4",), statement="s") + execute() + raw.SYNC)).get("C") == "26000"


def test_syncs_and_flushes_between(moved, postgres):
    """A request whose beginning was answered is not sent again."""
    with Case(moved, postgres) as case:
        case.client.send(parse("INSERT INTO log (what) VALUES ('a') RETURNING what") + bind() + execute() + raw.FLUSH)
        assert raw.kinds(case.client.until("C")) == "12DC"
        case.client.send(parse(DRIFTED) + bind() + execute() + raw.SYNC)
        messages = case.client.until("Z")
        rows, _ = case.effects()
        if raw.error_of(messages):
            assert rows == 0
        else:
            assert rows == 1 and raw.kinds(messages) == "12DCZ"


def test_portals_opened_ahead_in_the_same_request(moved, postgres):
    with Case(moved, postgres) as case:
        messages = case.client.ask(parse("SELECT id FROM users ORDER BY id") + bind(portal="p") + execute("p", 2) + parse(DRIFTED, "d") + bind(statement="d") + execute()
                                   + execute("p", 2) + raw.SYNC)
        if raw.error_of(messages):
            assert raw.error_of(messages).get("C") == "42703"
        else:
            assert [raw.decode_row(m.body)[0] for m in messages if m.type == "D"] == ["1", "2", "user1", "3", "4"]
            assert raw.kinds(messages) == "12DDs12DCDDsZ"
