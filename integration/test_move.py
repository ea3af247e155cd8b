"""Sessions that lose their server outside a transaction: which of them go on at another one, and what they find there."""

from __future__ import annotations

import os
import signal

import psycopg
import pytest

import faults
import harness
import raw

HEALTH = {"every": "100ms", "timeout": "1s"}
QUICK = {"consecutive_failures": 3, "open_for": "300ms", "max_open_for": "300ms", "jitter": "0%", "half_open_probes": 1}


@pytest.fixture
def pair():
    primary = harness.Postgres(faults.primary_settings())
    primary.run("CREATE TABLE written (a text)", "GRANT ALL ON written TO PUBLIC", "CREATE ROLE clerk", "GRANT clerk TO trust", database="test")
    replica = faults.Replica(primary)
    yield primary, replica
    replica.stop()
    if primary.alive():
        primary.stop()


def in_front_of(start_pgmend, *servers, patience="60s", **other) -> harness.Pgmend:
    proxy = start_pgmend(server=servers[0], start=False, control="user=postgres", health=HEALTH, breaker=QUICK, **other)
    proxy.config["backends"] = [{"name": f"node{n + 1}", "host": harness.HOST, "port": server.port, "role": "auto", "connect_timeout": patience,
                                 "tls": {"mode": "disable"}} for n, server in enumerate(servers)]
    proxy.write_config()
    proxy.start()
    faults.wait_for_session(proxy.port)
    return proxy


def caught_up(primary: harness.Postgres, replica: harness.Postgres) -> None:
    position = primary.run("SELECT pg_current_wal_insert_lsn()::text")[0][0]  # a commit need not have been written yet
    harness.wait_until(lambda: replica.run(f"SELECT pg_last_wal_replay_lsn() >= '{position}'")[0][0], "the replica has replayed all")


def fail_over(primary: harness.Postgres, replica: faults.Replica) -> None:
    caught_up(primary, replica)
    faults.kill(primary)
    replica.promote()


def port_of(client: raw.Client) -> int:
    return int(client.rows("SELECT setting FROM pg_settings WHERE name = 'port'")[0][0])


def rows_of(messages: list[raw.Message]) -> list[list[str | None]]:
    assert raw.error_of(messages) is None, messages
    return [raw.decode_row(message.body) for message in messages if message.type == "D"]


def end_of(client: raw.Client, request: bytes = raw.query("SELECT 1")) -> raw.Message:
    """What ends this session, at once or at its next request."""
    try:
        client.send(request)
    except OSError:
        pass
    error = raw.error_of(client.until_closed())
    assert error is not None and error.get("S") == "FATAL", error
    return error


def test_a_session_goes_on_at_the_new_primary_as_it_was(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, primary, replica)
    mine, busy = (raw.Client(proxy.port).log_in(application_name="first") for _ in range(2))
    for sql in ("SET TimeZone = 'Asia/Tokyo'", "SET work_mem = '7MB'", "SET work_mem = '9MB'", "SET app.who = 'joe'", "SET ROLE clerk", "SET application_name = 'second'"):
        mine.rows(sql)
    for sql in ("BEGIN", "SET app.undone = 'x'", "ROLLBACK", "BEGIN", "SET app.done = 'y'", "COMMIT"):
        mine.rows(sql)
    mine.ask(raw.parse("SELECT $1::int + 1", "plus") + raw.parse("SELECT 2", "closed") + raw.SYNC)
    mine.ask(raw.close("S", "closed") + raw.SYNC)
    busy.rows("BEGIN")
    busy.rows("SELECT 1")
    with psycopg.connect(harness.conninfo(proxy.port, user="trust"), autocommit=True, prepare_threshold=0) as app:
        for n in range(3):
            assert app.execute("SELECT %s::int", (n,)).fetchone() == (n,)
        fail_over(primary, replica)
        proxy.wait_for_event("backend.role", lambda e: e["backend"] == "node2" and e["role"] == "primary")
        assert end_of(busy).get("D") == "The transaction under way was not committed: its COMMIT had not been sent."
        answer = mine.ask(raw.query("SELECT setting FROM pg_settings WHERE name = 'port'"))
        notice = next(message for message in answer if message.type == "N")
        assert "moved this session" in notice.get("M") and "node2" in notice.get("M") and "node1" in notice.get("M")
        assert rows_of(answer) == [[str(replica.port)]]
        shown = [mine.rows(f"SHOW {name}")[0][0] for name in ("TimeZone", "work_mem", "app.who", "role", "application_name", "app.done")]
        assert shown == ["Asia/Tokyo", "9MB", "joe", "clerk", "second", "y"]
        assert mine.rows("SELECT current_setting('app.undone', true)") == [[None]] and mine.rows("SELECT current_user") == [["clerk"]]
        assert rows_of(mine.ask(raw.bind((b"41",), statement="plus") + raw.execute() + raw.SYNC)) == [["42"]]
        assert raw.error_of(mine.ask(raw.bind(statement="closed") + raw.execute() + raw.SYNC)).get("C") == "26000"
        for n in range(3):
            assert app.execute("SELECT %s::int", (n,)).fetchone() == (n,)
        assert app.execute("SELECT setting::int FROM pg_settings WHERE name = 'port'").fetchone() == (replica.port,)
    # The key that the client got from the lost server stops what it runs now.
    faults.cancel_reaches(replica, mine)
    moved = proxy.wait_for_event("session.moved")
    assert moved["backend"] == "node2" and "node1" in moved["before"]


def test_the_first_request_after_the_loss_runs_once(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, primary, replica)
    clients = [raw.Client(proxy.port).log_in() for _ in range(20)]
    for client in clients:
        client.rows("INSERT INTO written VALUES ('before')")
    fail_over(primary, replica)
    harness.wait_until(lambda: len(proxy.events("server.lost")) >= 20, "each loss is noticed")
    for number, client in enumerate(clients):
        client.send(raw.query(f"INSERT INTO written VALUES ('{number}')") if number % 2 else raw.extended("INSERT INTO written VALUES ($1)", (str(number).encode(),)))
    for client in clients:
        assert raw.error_of(client.until("Z")) is None
    assert replica.run("SELECT count(*), count(DISTINCT a) FROM written WHERE a <> 'before'", database="test") == [(20, 20)]
    assert replica.run("SELECT count(*) FROM written WHERE a = 'before'", database="test") == [(20,)]


def test_a_request_waits_until_there_is_a_new_primary_and_not_for_longer_than_connecting_may_take(start_pgmend, pair):
    primary, replica = pair
    patient, hasty = in_front_of(start_pgmend, primary, replica), in_front_of(start_pgmend, primary, replica, patience="500ms")
    waiting, leaving = raw.Client(patient.port).log_in(), raw.Client(patient.port).log_in()

    def logged_in() -> raw.Client | None:  # connecting may take too long for it on a busy machine
        client = raw.Client(hasty.port)
        try:
            return client.log_in()
        except (raw.LoginFailed, raw.Closed):
            client.socket.close()
            return None

    told = harness.wait_until(logged_in, "a client is served")
    caught_up(primary, replica)
    faults.kill(primary)
    patient.wait_for_event("server.lost")
    hasty.wait_for_event("server.lost")
    waiting.send(raw.query("INSERT INTO written VALUES ('late')")[:7])  # in two pieces
    leaving.send(raw.TERMINATE)
    assert leaving.until_closed() == []
    error = end_of(told)
    assert error.get("C") == "08006" and error.get("D").startswith("No transaction was under way. pgmend has not moved the session to another server:"), error
    assert hasty.wait_for_event("session.not_moved")["user"] == "trust"
    waiting.send(raw.query("INSERT INTO written VALUES ('late')")[7:])
    replica.promote()
    assert raw.error_of(waiting.until("Z")) is None
    assert replica.run("SELECT a FROM written", database="test") == [("late",)]


STATE = {"LISTEN": "LISTEN news", "a temporary object": "CREATE TEMP TABLE mine (a int)", "a function that changes its session": "SELECT pg_advisory_lock(7)",
         "a cursor WITH HOLD": "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "PREPARE": "PREPARE p AS SELECT 1", "CALL or DO": "DO $$BEGIN PERFORM 1; END$$"}


def test_what_no_other_server_has_ends_the_session_and_says_so(start_pgmend, pair):
    primary, replica = pair
    primary.run("CREATE FUNCTION sneaky(t text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.sneaky', t, false); RETURN t; END $$", database="test")
    proxy = in_front_of(start_pgmend, primary, replica)
    clients = {}
    for reason, sql in STATE.items():
        clients[reason] = raw.Client(proxy.port).log_in()
        clients[reason].rows(sql)
    clients["its login has asked for a password"] = raw.Client(proxy.port).log_in(user="md5")
    forgiven, called, innocent, sequence, unnamed = (raw.Client(proxy.port).log_in() for _ in range(5))
    forgiven.rows("LISTEN news")
    forgiven.rows("DISCARD ALL")
    called.rows("SELECT sneaky('x')")
    innocent.rows("INSERT INTO written VALUES (lower('A'))")
    sequence.rows("SELECT 1")
    unnamed.ask(raw.parse("SELECT 1") + raw.SYNC)
    fail_over(primary, replica)
    faults.wait_for_session(proxy.port)
    for reason, client in clients.items():
        error = end_of(client)
        assert error.get("C") == "08006" and reason in error.get("D"), (reason, error)
    assert port_of(forgiven) == replica.port
    assert "the function public.sneaky may have changed the session" in end_of(called).get("D")
    assert port_of(innocent) == replica.port  # nothing but a text that calls it could have run that function
    assert "last value of a sequence" in end_of(sequence, raw.query("SELECT lastval()")).get("D")
    assert "without a name" in end_of(unnamed, raw.bind() + raw.execute() + raw.SYNC).get("D")


def test_a_trigger_that_changes_sessions_keeps_them_all_from_moving(start_pgmend, pair):
    primary, replica = pair
    primary.run("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n  -- remembered\n  SET app.noted = 'x';\n  RETURN NEW; END $$",
                "CREATE TRIGGER noting BEFORE INSERT ON written FOR EACH ROW EXECUTE FUNCTION note()", database="test")
    proxy = in_front_of(start_pgmend, primary, replica)
    client = raw.Client(proxy.port).log_in()
    client.rows("INSERT INTO written VALUES ('a')")
    fail_over(primary, replica)
    faults.wait_for_session(proxy.port)
    assert "the function public.note may have changed the session" in end_of(client).get("D")


def test_the_other_server_must_let_the_user_in_without_a_question(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, primary, replica)
    client = raw.Client(proxy.port).log_in()
    client.rows("SELECT 1")
    rules = (replica.data / "pg_hba.conf").read_text()
    (replica.data / "pg_hba.conf").write_text(rules.replace("trust 127.0.0.1/32 trust", "trust 127.0.0.1/32 password"))
    replica.run("SELECT pg_reload_conf()")
    harness.wait_until(lambda: asks_for_password(replica.port), "it asks for a password now")
    fail_over(primary, replica)
    proxy.wait_for_event("backend.role", lambda e: e["backend"] == "node2" and e["role"] == "primary")
    error = end_of(client)
    assert error.get("C") == "08006" and "asks the user for a password, and pgmend holds none" in error.get("D"), error


def asks_for_password(port: int) -> bool:
    with raw.Client(port) as client:
        client.log_in()
        return any(message.type == "R" and message.body[:4] != b"\0\0\0\0" for message in client.greeting)


def test_a_session_that_somebody_has_ended_is_ended(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, primary, replica)
    client = raw.Client(proxy.port).log_in()
    pid = client.rows("SELECT pg_backend_pid()")[0][0]
    primary.run(f"SELECT pg_terminate_backend({pid})")
    error = raw.error_of(client.until_closed())  # without asking anything
    assert error.get("C") == "57P01", error
    assert not proxy.events("session.moved")


def test_a_server_that_is_shut_down_gives_its_sessions_to_the_next(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, primary, replica)
    client = raw.Client(proxy.port).log_in()
    client.rows("SET app.kept = 'yes'")
    caught_up(primary, replica)
    primary.stop()
    replica.promote()
    assert client.rows("SHOW app.kept") == [["yes"]]
    assert port_of(client) == replica.port


def test_a_server_that_has_recovered_from_a_crash_gets_its_sessions_back(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, primary, replica)
    client, victim = raw.Client(proxy.port).log_in(), raw.Client(proxy.port).log_in()
    client.rows("SET app.kept = 'yes'")
    os.kill(int(victim.rows("SELECT pg_backend_pid()")[0][0]), signal.SIGKILL)
    harness.wait_until(lambda: len(proxy.events("server.lost")) >= 2, "both sessions are lost")
    assert client.rows("SHOW app.kept") == [["yes"]]
    assert port_of(victim) == primary.port


def test_lost_sessions_may_always_end(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, primary, replica, lost_sessions="end")
    client = raw.Client(proxy.port).log_in()
    client.rows("SELECT 1")
    faults.kill(primary)
    error = raw.error_of(client.until_closed())
    assert (error.get("C"), error.get("D")) == ("08006", "No transaction was under way.")


def test_a_session_at_a_server_that_hangs_goes_on_at_the_new_primary(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, primary, replica)
    client, other = raw.Client(proxy.port).log_in(), raw.Client(proxy.port).log_in()
    client.rows("SET app.kept = 'yes'")
    other.rows("LISTEN news")
    spare = [raw.Client(proxy.port).log_in() for _ in range(20)]
    caught_up(primary, replica)
    faults.signal_all(primary, signal.SIGSTOP)
    try:
        replica.promote()

        def answers(one: raw.Client) -> bool:  # what is sent before it is known that the server hangs, waits for it
            one.socket.settimeout(0.5)
            try:
                return bool(one.ask(raw.query("SELECT 1")))
            except TimeoutError:
                return False

        def moved() -> bool:
            error = raw.error_of(client.ask(raw.query("SHOW app.kept")))
            assert error is None or error.get("C") == "57P03", error
            return error is None

        proxy.wait_for_event("backend.role", lambda e: e["backend"] == "node1" and e["role"] == "unknown")
        proxy.wait_for_event("breaker.opened", lambda e: e["breaker"] == "node1.statements")
        harness.wait_until(lambda: answers(spare.pop()), "it is known that the server hangs")
        harness.wait_until(moved, "the new primary answers")
        assert port_of(client) == replica.port
        assert raw.error_of(other.ask(raw.query("SELECT 1"))).get("C") == "57P03"
    finally:
        faults.signal_all(primary, signal.SIGCONT)
