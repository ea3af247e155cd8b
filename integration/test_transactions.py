"""Healing inside transaction blocks: a savepoint that nobody sees, the state that the client would have had, and nothing lost."""

from __future__ import annotations

import contextlib

import psycopg
import pytest

import harness
import raw
from raw import extended, query

SCHEMA = "CREATE TABLE users (id int PRIMARY KEY, email text); INSERT INTO users SELECT g, 'user' || g FROM generate_series(1, 5) g; CREATE TABLE log (n int)"
RENAME = "ALTER TABLE users RENAME COLUMN email TO email_address"


@pytest.fixture
def client(healer, postgres, database):
    """Knows the old schema; the migration is the test's own."""
    postgres.run(SCHEMA, database=database)
    with raw.Client(healer.port) as one:
        one.log_in(user="postgres", database=database)
        healer.wait_for_event("catalog.loaded", lambda e: e["database"] == database)
        one.migrate = lambda: postgres.run(RENAME, database=database)
        yield one


def values(messages: list[raw.Message]) -> list[str | None]:
    assert not raw.error_of(messages), messages
    return [raw.decode_row(m.body)[0] for m in messages if m.type == "D"]


@pytest.mark.parametrize("request_of", (query, extended), ids=("simple", "extended"))
@pytest.mark.parametrize("when", ("before the block", "in the block"))
def test_a_block_is_healed_and_keeps_its_work(client, postgres, database, when, request_of):
    if when == "before the block":
        client.migrate()
    assert client.ask(query("BEGIN"))[-1].body == b"T"
    client.ask(request_of("INSERT INTO log VALUES (1)"))
    if when == "in the block":
        client.migrate()
    answer = client.ask(request_of("SELECT email FROM users WHERE id = 3"))
    assert values(answer) == ["user3"] and answer[-1].body == b"T"
    assert "S" not in raw.kinds(answer) and raw.kinds(answer).count("C") == 1
    answer = client.ask(request_of("UPDATE users SET email = email || '!' WHERE id = 3"))
    assert not raw.error_of(answer)
    done = client.ask(query("COMMIT"))
    assert [m.body for m in done] == [b"COMMIT\0", b"I"]
    assert postgres.run("SELECT email_address, (SELECT count(*) FROM log) FROM users WHERE id = 3", database=database) == [("user3!", 1)]


def test_an_error_that_is_not_healed_aborts_the_block_as_ever(client):
    client.migrate()
    for wrong in ("SELECT never_was FROM users", "SELECT 1/0"):
        client.ask(query("BEGIN"))
        client.ask(query("INSERT INTO log VALUES (1)"))
        failed = client.ask(query(wrong))
        assert raw.error_of(failed) and failed[-1].body == b"E"
        assert raw.error_of(client.ask(query("SELECT 1"))).get("C") == "25P02"
        assert [m.body for m in client.ask(query("COMMIT"))] == [b"ROLLBACK\0", b"I"]
    assert client.rows("SELECT count(*) FROM log") == [["0"]]


def test_savepoints_of_the_client_stay_its_own(client):
    client.migrate()
    client.ask(query("BEGIN"))
    for sql in ("SAVEPOINT a", "INSERT INTO log VALUES (1)", "SAVEPOINT b", "INSERT INTO log VALUES (2)"):
        assert not raw.error_of(client.ask(query(sql)))
    assert values(client.ask(query("SELECT email FROM users WHERE id = 1"))) == ["user1"]
    assert not raw.error_of(client.ask(query("ROLLBACK TO b")))
    assert values(client.ask(query("SELECT email FROM users WHERE id = 2"))) == ["user2"]
    assert not raw.error_of(client.ask(query("RELEASE a")))
    assert raw.error_of(client.ask(query("RELEASE b"))).get("C") == "3B001"
    client.ask(query("ROLLBACK"))
    assert client.rows("SELECT count(*) FROM log") == [["0"]]


def test_cursors_and_settings_outlive_the_guard(client):
    client.migrate()
    client.ask(query("BEGIN"))
    client.ask(query("SET LOCAL work_mem = '5MB'"))
    assert not raw.error_of(client.ask(query("DECLARE c CURSOR FOR SELECT id FROM users ORDER BY id")))
    assert values(client.ask(query("FETCH 2 FROM c"))) == ["1", "2"]
    assert values(client.ask(query("SELECT email FROM users WHERE id = 1"))) == ["user1"]
    assert values(client.ask(query("FETCH 2 FROM c"))) == ["3", "4"]
    assert values(client.ask(query("SHOW work_mem"))) == ["5MB"]
    assert not raw.error_of(client.ask(query("COMMIT")))


def test_psycopg_transactions(healer, postgres, database):
    postgres.run(SCHEMA, database=database)
    with psycopg.connect(harness.conninfo(healer.port, database)) as connection:
        healer.wait_for_event("catalog.loaded", lambda e: e["database"] == database)
        for n in range(8): # prepared from the fifth time on
            connection.execute("SELECT email FROM users WHERE id = %s", (1,)).fetchone()
            connection.commit()
        postgres.run(RENAME, database=database)
        # Until the change is seen, a statement that was known to work has no savepoint in front of it.
        healer.wait_for_event("schema.changed", lambda e: e["database"] == database)
        for n in range(8):
            connection.execute("INSERT INTO log VALUES (%s)", (n,))
            cursor = connection.execute("SELECT email FROM users WHERE id = %s", (1,))
            assert cursor.fetchone() == ("user1",) and cursor.description[0].name == "email"
            with connection.transaction():
                connection.execute("UPDATE users SET email = email WHERE id = %s", (2,))
            connection.commit()
        assert connection.execute("SELECT count(*), count(DISTINCT n) FROM log").fetchone() == (8, 8)


def test_a_statement_prepared_before_any_change_is_healed_at_its_next_bind_in_a_block(healer, client, postgres, database):
    """Nothing had drifted when it was prepared, outside a block; it has worked, too, so that there was no savepoint ahead of it."""
    client.ask(raw.parse("SELECT email FROM users WHERE id = 2", "s1") + raw.SYNC)
    run = raw.bind(statement="s1") + raw.execute() + raw.SYNC
    for _ in range(2):
        client.ask(query("BEGIN"))
        assert values(client.ask(run)) == ["user2"]
        client.ask(query("COMMIT"))
    client.ask(query("BEGIN"))
    client.ask(query("INSERT INTO log VALUES (1)"))
    client.migrate()
    healer.wait_for_event("schema.changed", lambda e: e["database"] == database)
    for _ in range(2):
        answer = client.ask(run)
        assert values(answer) == ["user2"] and answer[-1].body == b"T"
    assert [m.body for m in client.ask(query("COMMIT"))] == [b"COMMIT\0", b"I"]
    assert postgres.run("SELECT count(*) FROM log", database=database) == [(1,)]


def test_another_search_path_in_the_block(client, postgres, database):
    client.migrate()
    postgres.run("CREATE SCHEMA other", "CREATE TABLE other.users (id int, email text)", "INSERT INTO other.users VALUES (1, 'other')", database=database)
    assert values(client.ask(query("SELECT email FROM users WHERE id = 1"))) == ["user1"]
    client.ask(query("BEGIN"))
    client.ask(query("SET LOCAL search_path = other, public"))
    assert values(client.ask(query("SELECT email FROM users WHERE id = 1"))) == ["other"]
    client.ask(query("ROLLBACK"))
    assert values(client.ask(query("SELECT email FROM users WHERE id = 1"))) == ["user1"]


def test_a_temporary_table_in_the_block(client):
    client.migrate()
    assert values(client.ask(query("SELECT email FROM users WHERE id = 1"))) == ["user1"]
    client.ask(query("BEGIN"))
    client.ask(query("CREATE TEMP TABLE users (id int, email text) ON COMMIT DROP"))
    client.ask(query("INSERT INTO users VALUES (1, 'mine')"))
    assert values(client.ask(query("SELECT email FROM users WHERE id = 1"))) == ["mine"]
    client.ask(query("COMMIT"))
    assert values(client.ask(query("SELECT email FROM users WHERE id = 1"))) == ["user1"]


def test_a_plan_made_for_another_role(client, postgres, database):
    """The one that may not read the column gets PostgreSQL's own error."""
    client.migrate()
    assert values(client.ask(query("SELECT email FROM users WHERE id = 1"))) == ["user1"]
    client.ask(query("SET ROLE trust"))
    denied = raw.error_of(client.ask(query("SELECT email FROM users WHERE id = 1")))
    assert denied is not None and denied.get("C") in ("42501", "42703")
    client.ask(query("RESET ROLE"))
    assert values(client.ask(query("SELECT email FROM users WHERE id = 1"))) == ["user1"]


def run_of(sql: str, *bound: bytes) -> bytes:
    return raw.parse(sql) + raw.bind(bound) + raw.execute()


def same_answers(healer, postgres, database, *pieces: bytes) -> raw.Client:
    """What the client is told, in one session with pgmend and in one without. Returns the former, which is still open."""
    answers = []
    for port in (postgres.port, healer.port):
        one = raw.Client(port).log_in(user="postgres", database=database)
        answers.append([raw.bytes_of(one.ask(piece)) for piece in pieces])
        if port == postgres.port:
            one.socket.close()
    assert answers[1] == answers[0]
    return one


def test_what_fails_ahead_of_a_drifted_statement_in_a_pipeline_ends_it_as_ever(healer, client, postgres, database):
    """The drifted one has to be asked about, and what goes ahead of it turns out to have failed: up to the client's Sync nothing happens any more."""
    client.migrate()
    harness.know(healer, database)
    block = run_of("BEGIN") + run_of("INSERT INTO users (id) VALUES (1)") + run_of("INSERT INTO log SELECT 1 FROM users WHERE email IS NULL") + raw.SYNC
    with same_answers(healer, postgres, database, block, query("SELECT 1"), query("ROLLBACK"), query("SELECT * FROM log")) as session:
        # Nothing is left behind that a later block would stumble over.
        session.ask(query("BEGIN"))
        assert values(session.ask(query("SELECT id FROM users WHERE id = 4"))) == ["4"]
        assert values(session.ask(query("SELECT email FROM users WHERE id = 4"))) == ["user4"]
        assert [m.body for m in session.ask(query("COMMIT"))] == [b"COMMIT\0", b"I"]


def test_a_block_begun_by_a_prepared_statement_is_known_as_one(healer, client, postgres, database):
    """As pgjdbc does from the fifth transaction on: BEGIN and the first statement in one packet."""
    client.ask(raw.parse("BEGIN", "begins") + raw.SYNC)
    client.migrate()
    harness.know(healer, database)
    for n in range(2):
        answer = client.ask(raw.bind(statement="begins") + raw.execute() + run_of("SELECT email FROM users WHERE id = $1", b"3") + raw.SYNC)
        assert values(answer) == ["user3"] and answer[-1].body == b"T"
        answer = client.ask(run_of("UPDATE users SET email = email || '!' WHERE id = $1", b"2") + raw.SYNC)
        assert not raw.error_of(answer) and answer[-1].body == b"T"
        client.ask(query("COMMIT"))
    assert postgres.run("SELECT email_address FROM users WHERE id = 2", database=database) == [("user2!!",)]


@pytest.mark.parametrize("seen", (True, False), ids=("seen", "not seen"))
def test_a_block_begun_by_a_prepared_statement_may_begin_again(healer, client, postgres, database, seen):
    """The failed statement was prepared before the migration, too, and fails when it is bound."""
    client.ask(raw.parse("BEGIN READ ONLY", "begins") + raw.parse("SELECT email FROM users WHERE id = $1", "s1") + raw.SYNC)
    request = raw.bind(statement="begins") + raw.execute() + raw.bind((b"3",), statement="s1") + raw.execute() + raw.SYNC
    assert values(client.ask(request)) == ["user3"]
    client.ask(query("COMMIT"))
    client.migrate()
    for migration in ("SELECT 1", "ALTER TABLE users RENAME TO people", "ALTER TABLE people RENAME COLUMN email_address TO mail"):
        postgres.run(migration, database=database)
        if seen:
            harness.know(healer, database)
        for _ in range(2):
            answer = client.ask(request)
            assert values(answer) == ["user3"] and answer[-1].body == b"T"
            assert raw.error_of(client.ask(query("INSERT INTO log VALUES (1)"))).get("C") == "25006"  # the block is READ ONLY still
            client.ask(query("ROLLBACK"))


def test_what_works_in_one_session_may_have_been_prepared_before_the_change_in_another(healer, client, postgres, database):
    """Of pooled connections one has healed its statement by then. So many that some of them have one worker."""
    run = raw.bind(statement="s1") + raw.execute() + raw.SYNC
    with contextlib.ExitStack() as stack:
        sessions = [client, *(stack.enter_context(raw.Client(healer.port).log_in(user="postgres", database=database)) for _ in range(7))]
        for session in sessions:
            session.ask(raw.parse("SELECT email FROM users WHERE id = 2", "s1") + raw.SYNC)
            assert values(session.ask(run)) == ["user2"]
        client.migrate()
        for migration in ("SELECT 1", "ALTER TABLE users RENAME TO people", "ALTER TABLE people RENAME COLUMN email_address TO mail"):
            postgres.run(migration, database=database)
            harness.know(healer, database)
            for session in (session for session in sessions for _ in range(2)):
                session.ask(query("BEGIN"))
                assert values(session.ask(run)) == ["user2"]
                assert [m.body for m in session.ask(query("COMMIT"))] == [b"COMMIT\0", b"I"]


def test_a_statement_of_pgmends_that_was_cut_short_hinders_nothing(healer, client, postgres, database):
    """Its name is still taken: what was cancelled has taken the Close behind it with it."""
    client.migrate()
    harness.know(healer, database)
    client.ask(raw.parse("SELECT 1", "_pgmend_probe_2f6b9c") + raw.SYNC)
    client.ask(query("BEGIN"))
    assert values(client.ask(query("SELECT id FROM users WHERE id = 4"))) == ["4"]
    assert values(client.ask(query("SELECT email FROM users WHERE id = 4"))) == ["user4"]
    assert [m.body for m in client.ask(query("COMMIT"))] == [b"COMMIT\0", b"I"]


def test_a_failure_that_cannot_be_held_makes_pgmend_look(start_pgmend, postgres, database):
    """All work is done in blocks without savepoints, and pgmend looks at the schema only when it has a reason."""
    postgres.run("CREATE TABLE users (id int, email text)", database=database)
    proxy = start_pgmend(control="user=postgres", healing={"transaction_guard": "off"}, watch={"poll": "0s", "verify": "0s", "notifications": False})
    with raw.Client(proxy.port) as client:
        client.log_in(user="postgres", database=database)
        assert raw.error_of(client.ask(query("SELECT nothing FROM users"))).get("C") == "42703"
        postgres.run("ALTER TABLE users RENAME COLUMN email TO email_address", database=database)

        def healed() -> bool:
            client.ask(query("BEGIN"))
            answer = raw.kinds(client.ask(query("SELECT email FROM users")))
            client.ask(query("ROLLBACK"))
            return "E" not in answer

        assert not healed()
        harness.wait_until(healed, "it is healed ahead of its failure")
