"""Transactions of sessions at the primary that begin read-only, and run at a replica."""

from __future__ import annotations

import psycopg
import pytest

import faults
import harness
import raw
from test_move import QUICK, caught_up, end_of, rows_of

SETTINGS = {**faults.primary_settings(), "synchronous_commit": "on"}  # else the replica gets what is written 0.2 s late
PORT = "SELECT setting FROM pg_settings WHERE name = 'port'"


@pytest.fixture(scope="module")
def standing():
    """A primary and a replica that stay as they are."""
    primary = harness.Postgres(SETTINGS)
    primary.run("CREATE TABLE written (a text)", "CREATE TABLE counted (n int)", "CREATE TABLE names (id int, name text)", "INSERT INTO names VALUES (1, 'joe')", "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC",
                "CREATE ROLE clerk", "GRANT clerk TO trust", database="test")
    replica = faults.Replica(primary)
    yield primary, replica
    replica.stop()
    primary.stop()


@pytest.fixture
def pair():
    primary = harness.Postgres(SETTINGS)
    primary.run("CREATE TABLE written (a text)", "GRANT ALL ON written TO PUBLIC", database="test")
    replica = faults.Replica(primary)
    yield primary, replica
    replica.stop()
    if primary.alive():
        primary.stop()


def in_front_of(start_pgmend, *servers, **other) -> harness.Pgmend:
    settings = {"read_only_to": "replica", "max_replay_lag": "10m", **other}  # however slow the machine is
    proxy = start_pgmend(server=servers[0], start=False, control="user=postgres", health={"every": "100ms", "timeout": "20s"}, breaker=QUICK, **settings)
    proxy.config["backends"] = [{"name": f"node{n + 1}", "host": harness.HOST, "port": server.port, "role": "auto", "connect_timeout": "60s",
                                 "tls": {"mode": "disable"}} for n, server in enumerate(servers)]
    proxy.write_config()
    proxy.start()
    faults.wait_for_session(proxy.port)
    return proxy


def port_of(client: raw.Client) -> int:
    return int(client.rows(PORT)[0][0])


def ports(client: raw.Client, begin: str, end: str = "COMMIT") -> tuple[int, int]:
    """Where a transaction runs, and where what comes behind it does."""
    client.rows(begin)
    inside = port_of(client)
    client.rows(end)
    return inside, port_of(client)


def at_replica(client: raw.Client, replica: harness.Postgres, begin: str = "BEGIN READ ONLY") -> raw.Client:
    """In a transaction there. A replica that has not replayed all yet, or whose lag is not known, is not waited for for long."""

    def there() -> bool:
        client.rows(begin)
        if port_of(client) == replica.port:
            return True
        client.rows("ROLLBACK")
        return False

    harness.wait_until(there, "a transaction runs at the replica")
    return client


def ready(client: raw.Client, replica: harness.Postgres) -> raw.Client:
    """The next transaction that may go there will."""
    at_replica(client, replica).rows("COMMIT")
    return client


def test_transactions_that_begin_read_only_run_at_a_replica_and_all_else_does_not(start_pgmend, standing):
    primary, replica = standing
    proxy = in_front_of(start_pgmend, primary, replica)
    client = ready(raw.Client(proxy.port).log_in(), replica)
    for begin in ("BEGIN READ ONLY", "begin transaction read only;", "START TRANSACTION READ ONLY", "BEGIN WORK ISOLATION LEVEL REPEATABLE READ, READ ONLY",
                  "START TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY", "BEGIN READ ONLY NOT DEFERRABLE"):
        for end in ("COMMIT", "ROLLBACK"):
            client.rows(begin)
            assert port_of(client) == replica.port, begin
            client.rows(end)
    for begin in ("BEGIN", "BEGIN READ WRITE", "START TRANSACTION", "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
                  "BEGIN; SET TRANSACTION READ ONLY", "BEGIN READ ONLY; SELECT pg_advisory_xact_lock(1)"):
        assert ports(client, begin) == (primary.port, primary.port), begin
    # It comes back behind an error, too, and the key that the client has cancels what it runs there.
    at_replica(client, replica)
    answer = client.ask(raw.query("INSERT INTO written VALUES ('x')"))
    assert raw.error_of(answer).get("C") == "25006" and answer[-1].body == b"E"
    assert raw.error_of(client.ask(raw.query("SELECT 1"))).get("C") == "25P02"
    client.rows("ROLLBACK")
    client.rows("INSERT INTO written VALUES ('y')")
    at_replica(client, replica)
    faults.cancel_reaches(replica, client)
    client.rows("ROLLBACK")
    faults.cancel_reaches(primary, client)
    # Several statements in one text, or in one request, as far as all of them only read.
    ready(client, replica)
    assert client.rows(f"BEGIN READ ONLY; {PORT}; COMMIT") == [[str(replica.port)]]
    assert client.rows(PORT) == [[str(primary.port)]]


def test_extended_messages_and_drivers(start_pgmend, standing):
    primary, replica = standing
    proxy = in_front_of(start_pgmend, primary, replica)
    client = ready(raw.Client(proxy.port).log_in(), replica)

    def asked(messages: bytes) -> list[list[str | None]]:
        return rows_of(client.ask(messages))

    for _ in range(2):
        assert asked(raw.extended("BEGIN READ ONLY")) == []
        assert asked(raw.extended(PORT)) == [[str(replica.port)]]
        assert asked(raw.extended("COMMIT")) == []
    client.ask(raw.parse("BEGIN READ ONLY", "begin") + raw.parse("COMMIT", "end") + raw.parse(PORT, "port") + raw.SYNC)
    by_name = {name: raw.bind(statement=name) + raw.execute() for name in ("begin", "end", "port")}

    def by_names() -> bool:
        where = [asked(by_name[name] + raw.SYNC) for name in ("begin", "port", "end", "port")]
        return where == [[], [[str(replica.port)]], [], [[str(primary.port)]]]

    harness.wait_until(by_names, "the replica has replayed all")
    # As pgjdbc sends them: the first statement behind BEGIN, in one request.
    begin = raw.parse("BEGIN READ ONLY") + raw.bind() + raw.execute()
    assert asked(begin + raw.extended(PORT)) in ([[str(replica.port)]], [[str(primary.port)]])
    client.rows("COMMIT")
    ready(client, replica)
    assert asked(begin + raw.extended(PORT)) == [[str(replica.port)]]
    client.rows("COMMIT")
    # A statement without a name outlives its transaction, and means the same at the primary.
    client.ask(raw.parse("DELETE FROM written") + raw.SYNC)
    ready(client, replica)
    asked(raw.extended("BEGIN READ ONLY"))
    client.ask(raw.parse(PORT) + raw.SYNC)
    asked(by_name["end"] + raw.SYNC)
    assert asked(raw.bind() + raw.execute() + raw.SYNC) == [[str(primary.port)]]
    with psycopg.connect(harness.conninfo(proxy.port, user="trust"), prepare_threshold=0) as app:
        app.read_only = True

        def there() -> bool:
            with app.transaction():
                return app.execute(PORT).fetchone() == (str(replica.port),)

        harness.wait_until(there, "psycopg's transaction runs at the replica")
        for n in range(3):
            with app.transaction():
                assert app.execute("SELECT %s::int, setting FROM pg_settings WHERE name = 'port'", (n,)).fetchone() == (n, str(replica.port))
        app.read_only = False
        with app.transaction():
            assert app.execute("SELECT %s::int, setting FROM pg_settings WHERE name = 'port'", (7,)).fetchone() == (7, str(primary.port))
            app.execute("INSERT INTO written VALUES ('by psycopg')")


def test_what_is_sent_behind_the_end_of_the_transaction_runs_at_the_primary(start_pgmend, standing):
    primary, replica = standing
    proxy = in_front_of(start_pgmend, primary, replica)
    client = at_replica(raw.Client(proxy.port).log_in(), replica)
    client.send(raw.query(PORT) + raw.query("COMMIT") + raw.query("INSERT INTO written VALUES ('behind') RETURNING a") + raw.extended(PORT))
    assert rows_of(client.until()) == [[str(replica.port)]]
    assert rows_of(client.until()) == []
    assert rows_of(client.until()) == [["behind"]]
    assert rows_of(client.until()) == [[str(primary.port)]]
    # In pieces, at every byte.
    whole = raw.query("BEGIN READ ONLY") + raw.query("SELECT 1") + raw.query("COMMIT") + raw.query("INSERT INTO written VALUES ('again')")
    for at in range(1, len(whole), 7):
        client.send(whole[:at])
        client.send(whole[at:])
        for _ in range(4):
            assert raw.error_of(client.until()) is None


def test_a_session_sees_at_the_replica_what_it_has_written(start_pgmend, standing):
    primary, replica = standing
    proxy = in_front_of(start_pgmend, primary, replica)
    client = ready(raw.Client(proxy.port).log_in(), replica)
    client.rows("DELETE FROM counted")
    replica.run("SELECT pg_wal_replay_pause()")
    try:
        client.rows("INSERT INTO counted VALUES (1)")
        client.rows("BEGIN READ ONLY")
        assert client.rows(f"SELECT n, ({PORT}) FROM counted") == [["1", str(primary.port)]]
        client.rows("COMMIT")
    finally:
        replica.run("SELECT pg_wal_replay_resume()")
    for n in range(2, 30):
        client.rows(f"UPDATE counted SET n = {n}")
        client.rows("BEGIN READ ONLY")
        assert client.rows("SELECT n FROM counted") == [[str(n)]]
        client.rows("COMMIT")
    ready(client, replica)
    at_replica(client, replica)
    assert client.rows("SELECT n FROM counted") == [["29"]]


def test_settings_and_prepared_statements_are_the_same_on_both_sides(start_pgmend, standing):
    primary, replica = standing
    proxy = in_front_of(start_pgmend, primary, replica)
    client = ready(raw.Client(proxy.port).log_in(application_name="first"), replica)

    def shown(*names: str) -> list[str]:
        return [client.rows(f"SHOW {name}")[0][0] for name in names]

    for sql in ("SET TimeZone = 'Asia/Tokyo'", "SET work_mem = '9MB'", "SET ROLE clerk", "SET app.who = 'joe'", "SET application_name = 'second'"):
        client.rows(sql)
    client.ask(raw.parse("SELECT $1::int + 1", "plus") + raw.SYNC)
    at_replica(client, replica)
    assert shown("TimeZone", "work_mem", "role", "app.who", "application_name") == ["Asia/Tokyo", "9MB", "clerk", "joe", "second"]
    plus = raw.bind((b"41",), statement="plus") + raw.execute() + raw.SYNC
    assert rows_of(client.ask(plus)) == [["42"]]
    client.rows("SET work_mem = '7MB'")
    client.rows("SET LOCAL app.who = 'jim'")
    client.rows("SET TimeZone = 'UTC'")
    client.ask(raw.parse("SELECT 'made there'", "made") + raw.close("S", "plus") + raw.SYNC)
    client.rows("COMMIT")
    assert shown("TimeZone", "work_mem", "role", "app.who") == ["UTC", "7MB", "clerk", "joe"]
    made = raw.bind(statement="made") + raw.execute() + raw.SYNC
    assert rows_of(client.ask(made)) == [["made there"]]
    assert raw.error_of(client.ask(plus)).get("C") == "26000"
    # What is rolled back there, and what is taken back here.
    at_replica(client, replica)
    client.rows("SET work_mem = '1MB'")
    client.rows("ROLLBACK")
    assert shown("work_mem") == ["7MB"]
    client.rows("RESET work_mem")
    client.rows("RESET ROLE")
    client.ask(raw.parse("SELECT 'made anew'", "plus") + raw.close("S", "made") + raw.SYNC)
    at_replica(client, replica)
    assert shown("work_mem", "role", "TimeZone") == ["4MB", "none", "UTC"]
    assert rows_of(client.ask(raw.bind(statement="plus") + raw.execute() + raw.SYNC)) == [["made anew"]]
    assert raw.error_of(client.ask(made)).get("C") == "26000"
    client.rows("ROLLBACK")
    assert port_of(client) == primary.port


def test_what_a_replica_cannot_do(start_pgmend, standing):
    primary, replica = standing
    proxy = in_front_of(start_pgmend, primary, replica)
    client = ready(raw.Client(proxy.port).log_in(), replica)
    # As the first statement it brings the transaction back to the primary.
    for sql in ("SELECT pg_advisory_xact_lock(1)", "NOTIFY news", "SELECT txid_current()", "SET TRANSACTION READ WRITE", "SELECT set_config('app.a', 'b', true)"):
        client.rows("BEGIN READ ONLY")
        assert len(client.rows(sql)) in (0, 1)
        assert port_of(client) == primary.port, sql
        client.rows("COMMIT")
        if "set_config" not in sql:
            ready(client, replica)
    # Later it fails, and leaves nothing behind.
    client = ready(raw.Client(proxy.port).log_in(), replica)
    for sql, reason in (("SELECT pg_advisory_lock(1)", "a function that changes its session"), ("PREPARE p AS SELECT 1", "PREPARE"), ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "a cursor WITH HOLD"),
                        ("SELECT pg_try_advisory_xact_lock(1)", "an advisory lock"), ("SELECT '" + "x" * 200_000 + "'", "a message too long")):
        for message in (raw.query(sql), raw.extended(sql), raw.extended(sql, name="named")):
            at_replica(client, replica)
            answer = client.ask(message)
            error = raw.error_of(answer)
            assert error.get("C") == "0A000" and reason in error.get("M") and "D" not in raw.kinds(answer) and answer[-1].body == b"E", (sql, error)
            client.rows("ROLLBACK")
            assert port_of(client) == primary.port
    at_replica(client, replica)
    assert raw.error_of(client.ask(raw.query("NOTIFY news"))).get("C") == "25006"  # the replica's own
    client.rows("ROLLBACK")
    # Cursors, savepoints and copies work.
    at_replica(client, replica)
    for sql in ("DECLARE c CURSOR FOR SELECT generate_series(1, 3)", "SAVEPOINT s", "FETCH 2 FROM c", "ROLLBACK TO s"):
        client.rows(sql)
    assert raw.kinds(client.ask(raw.query("COPY (SELECT 1) TO STDOUT"))) == "HdcCZ"
    assert raw.error_of(client.ask(raw.query("SET work_mem = '1MB'"))).get("C") == "0A000"  # a part may be rolled back
    client.rows("ROLLBACK")
    # Such a session stays at the primary.
    client.rows("LISTEN news")
    assert ports(client, "BEGIN READ ONLY") == (primary.port, primary.port)
    assert "LISTEN" in proxy.wait_for_event("transaction.at_primary", lambda e: "LISTEN" in e["reason"])["reason"]


def test_sessions_whose_transactions_stay(start_pgmend, standing):
    primary, replica = standing
    proxy = in_front_of(start_pgmend, primary, replica)
    ready(raw.Client(proxy.port).log_in(), replica)
    asked = raw.Client(proxy.port).log_in(user="md5")
    chosen = raw.Client(proxy.port).log_in(**{"pgmend.target_session_attrs": "primary"})
    strict = raw.Client(proxy.port).log_in()
    strict.rows("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    for client in (asked, chosen, strict):
        assert ports(client, "BEGIN READ ONLY") == (primary.port, primary.port)
    strict.rows("SET default_transaction_isolation = 'repeatable read'")
    at_replica(strict, replica)
    assert strict.rows("SHOW transaction_isolation") == [["repeatable read"]]
    other = in_front_of(start_pgmend, primary, replica, read_only_to="primary")
    assert ports(raw.Client(other.port).log_in(), "BEGIN READ ONLY") == (primary.port, primary.port)
    limited = in_front_of(start_pgmend, primary, replica, limits={"per_user": 3})
    client = ready(raw.Client(limited.port).log_in(application_name="limited"), replica)
    harness.wait_until(lambda: replica.run("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'limited'")[0][0], "where there are limits no connection is kept")
    at_replica(client, replica).rows("COMMIT")


def test_a_replica_that_is_lost_ends_the_session_in_a_transaction_and_no_other(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, primary, replica)
    client, other = (at_replica(raw.Client(proxy.port).log_in(), replica) for _ in range(2))
    other.rows("COMMIT")
    faults.kill(replica)
    error = end_of(client)
    assert error.get("C") == "08006" and error.get("D") == "The transaction under way only read, at a replica.", error
    assert ports(other, "BEGIN READ ONLY") == (primary.port, primary.port)
    other.rows("INSERT INTO written VALUES ('x')")
    replica.start()
    at_replica(other, replica).rows("COMMIT")
    assert other.rows("SELECT a FROM written") == [["x"]] and port_of(other) == primary.port


def test_a_connection_to_the_replica_that_has_ended_is_made_anew(start_pgmend, standing):
    primary, replica = standing
    proxy = in_front_of(start_pgmend, primary, replica)
    client = raw.Client(proxy.port).log_in(application_name="kept")
    client.rows("SET app.who = 'joe'")
    for _ in range(2):
        at_replica(client, replica)
        pid = client.rows("SELECT pg_backend_pid()")[0][0]
        assert client.rows("SHOW app.who") == [["joe"]]
        client.rows("COMMIT")
        replica.run(f"SELECT pg_terminate_backend({pid})")
        harness.wait_until(lambda: replica.run(f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {pid}")[0][0], "it has ended")
        assert port_of(client) == primary.port
    client.send(raw.TERMINATE)
    client.until_closed()
    harness.wait_until(lambda: replica.run("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'kept'")[0][0], "its connection ends with the session")


def test_a_database_with_a_function_that_may_change_sessions_keeps_its_transactions(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, primary, replica)
    client = ready(raw.Client(proxy.port).log_in(), replica)
    primary.run("CREATE FUNCTION sneaky(t text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.sneaky', t, false); RETURN t; END $$", database="test")
    client.rows("SELECT sneaky('x')")

    def reasons() -> bool:  # at first, perhaps, that the replica has not replayed the function
        client.rows("BEGIN READ ONLY")
        assert client.rows(f"SELECT current_setting('app.sneaky'), ({PORT})") == [["x", str(primary.port)]]
        client.rows("COMMIT")
        return any("the function public.sneaky may have changed the session" in event["reason"] for event in proxy.events("transaction.at_primary"))

    harness.wait_until(reasons, "the function is the reason")


def test_a_session_whose_primary_is_lost_meanwhile_goes_on_at_the_new_one(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, primary, replica)
    client = raw.Client(proxy.port).log_in()
    client.rows("SET app.kept = 'yes'")
    at_replica(client, replica)
    client.rows("SET app.more = 'too'")
    caught_up(primary, replica)
    faults.kill(primary)
    replica.promote()
    assert port_of(client) == replica.port
    client.rows("COMMIT")
    proxy.wait_for_event("backend.role", lambda e: e["backend"] == "node2" and e["role"] == "primary")
    assert client.rows("SHOW app.kept") == [["yes"]] and client.rows("SHOW app.more") == [["too"]]
    client.rows("INSERT INTO written VALUES ('x')")
    assert replica.run("SELECT a FROM written", database="test") == [("x",)]
    assert ports(client, "BEGIN READ ONLY") == (replica.port, replica.port)


def test_statements_are_healed_at_the_replica_too(start_pgmend, standing):
    primary, replica = standing
    proxy = in_front_of(start_pgmend, primary, replica)
    client = ready(raw.Client(proxy.port).log_in(), replica)
    harness.know(proxy)
    primary.run("ALTER TABLE names RENAME COLUMN name TO full_name", database="test")
    try:
        caught_up(primary, replica)
        at_replica(client, replica)
        assert client.rows("SELECT id, name FROM names") == [["1", "joe"]]
        assert raw.error_of(client.ask(raw.query("SELECT nothing FROM names"))).get("C") == "42703"
        client.rows("ROLLBACK")
        assert client.rows("SELECT id, name FROM names") == [["1", "joe"]] and port_of(client) == primary.port
    finally:
        primary.run("ALTER TABLE names RENAME COLUMN full_name TO name", database="test")
