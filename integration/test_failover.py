"""Several servers: roles, routing, failover, and what must never happen between two of them."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest

import faults
import harness
import raw

HEALTH = {"every": "100ms", "timeout": "1s"}
QUICK = {"consecutive_failures": 3, "open_for": "300ms", "max_open_for": "300ms", "jitter": "0%", "half_open_probes": 1}


@pytest.fixture(scope="module")
def pair():
    primary = harness.Postgres(faults.primary_settings())
    replica = faults.Replica(primary)
    yield primary, replica
    replica.stop()
    primary.stop()


def in_front_of(start_pgmend, *servers, roles=("auto", "auto"), **other) -> harness.Pgmend:
    proxy = start_pgmend(server=servers[0], start=False, control="user=postgres", health=HEALTH, breaker=QUICK, **other)
    proxy.config["backends"] = [{"name": f"node{n + 1}", "host": harness.HOST, "port": server.port, "role": roles[n], "connect_timeout": "2s",
                                 "tls": {"mode": "disable"}} for n, server in enumerate(servers)]
    proxy.write_config()
    proxy.start()
    return proxy


def port_of(port: int, **options) -> int:
    with raw.Client(port) as client:
        client.log_in(**options)
        return int(client.rows("SELECT setting FROM pg_settings WHERE name = 'port'")[0][0])


def role_port(port: int, **options) -> int:
    try:
        return port_of(port, **options)
    except raw.LoginFailed:  # the replica has not replayed CREATE ROLE yet
        return 0


def login(port: int, parameters: dict[str, str]) -> int:
    with raw.Client(port) as client:
        client.start(raw.V3_0, list({"user": "trust", "database": "test", **parameters}.items()))
        return int(client.rows("SELECT setting FROM pg_settings WHERE name = 'port'")[0][0])


def test_each_client_gets_the_kind_of_server_that_it_asks_for(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, replica, primary, read_only_to="replica")  # the replica is listed first
    for user in ("trust", "md5"):
        assert port_of(proxy.port, user=user) == primary.port
    harness.psql(proxy.port, "CREATE TABLE IF NOT EXISTS written (n int)")
    harness.wait_until(lambda: login(proxy.port, {"pgmend.target_session_attrs": "prefer-standby"}) == replica.port, "its lag is known")
    assert login(proxy.port, {"pgmend.target_session_attrs": "standby"}) == replica.port
    assert login(proxy.port, {"options": "-c pgmend.target_session_attrs=read-only"}) == replica.port
    assert login(proxy.port, {"options": "-c default_transaction_read_only=on"}) == replica.port
    assert login(proxy.port, {"pgmend.target_session_attrs": "read-write"}) == primary.port
    # By ALTER ROLE and ALTER DATABASE, too; a client's own word comes first.
    primary.run("CREATE ROLE reporting LOGIN", "ALTER ROLE reporting SET default_transaction_read_only = on",
                "ALTER ROLE reporting IN DATABASE postgres SET default_transaction_read_only = off")
    harness.wait_until(lambda: role_port(proxy.port, user="reporting") == replica.port, "pgmend has heard of it")
    assert login(proxy.port, {"user": "reporting", "default_transaction_read_only": "off"}) == primary.port
    assert login(proxy.port, {"user": "reporting", "database": "postgres"}) == primary.port
    assert login(proxy.port, {"user": "trust"}) == primary.port
    # libpq's own test, by what the server says of itself, passes through.
    for wanted, good in (("read-write", True), ("primary", True), ("standby", False)):
        done = harness.psql(proxy.port, "SELECT 1", check=False, target_session_attrs=wanted)
        assert (done.returncode == 0) == good, (wanted, done.stderr)


def test_each_host_of_a_list_is_a_server(start_pgmend, pair):
    primary, replica = pair
    way = faults.Way(replica.port, "127.0.0.5", primary.port)
    proxy = start_pgmend(server=primary, start=False, control="user=postgres", health=HEALTH, breaker=QUICK)
    proxy.config["backends"] = [{"name": "db", "host": f"127.0.0.5,{harness.HOST}", "port": primary.port, "role": "auto", "tls": {"mode": "disable"}}]
    proxy.write_config()
    proxy.start()
    assert port_of(proxy.port) == primary.port
    harness.wait_until(lambda: login(proxy.port, {"pgmend.target_session_attrs": "prefer-standby"}) == replica.port, "its lag is known")
    harness.wait_until(lambda: {(e["backend"], e["role"]) for e in proxy.events("backend.role")} == {("db.1", "replica"), ("db.2", "primary")}, "the roles are told")
    proxy.finish()
    way.close()


def test_a_replica_that_is_too_far_behind_gets_no_clients(start_pgmend, pair):
    primary, replica = pair
    proxy = in_front_of(start_pgmend, primary, replica, max_replay_lag="1s")
    prefer = {"pgmend.target_session_attrs": "prefer-standby"}
    harness.wait_until(lambda: login(proxy.port, prefer) == replica.port, "its lag is known")
    replica.run("SELECT pg_wal_replay_pause()")
    try:
        primary.run("CREATE TABLE IF NOT EXISTS late (n int)", database="test")
        harness.wait_until(lambda: login(proxy.port, prefer) == primary.port, "the replica is left out")
        with raw.Client(proxy.port) as client, pytest.raises(raw.LoginFailed) as error:
            client.start(raw.V3_0, [("user", "trust"), ("database", "test"), ("pgmend.target_session_attrs", "standby")])
        assert error.value.message.get("C") == "57P03" and "behind" in error.value.message.get("M")
    finally:
        replica.run("SELECT pg_wal_replay_resume()")
    harness.wait_until(lambda: login(proxy.port, prefer) == replica.port, "it has caught up")


@pytest.mark.slow
def test_a_promoted_replica_is_found_while_pgbench_runs(start_pgmend):
    primary = harness.Postgres(faults.primary_settings())
    replica = faults.Replica(primary)
    try:
        proxy = in_front_of(start_pgmend, primary, replica)
        harness.run([harness.PG_BIN / "pgbench", "-i", "-q", "-s", "1", harness.conninfo(proxy.port)])
        bench = subprocess.Popen([harness.PG_BIN / "pgbench", "-n", "-c", "4", "-T", "60", harness.conninfo(proxy.port)],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        harness.wait_until(lambda: primary.run("SELECT count(*) > 100 FROM pgbench_history", database="test")[0][0], "pgbench writes")
        written = lambda server: server.run("SELECT count(*) FROM pgbench_history", database="test")[0][0]  # noqa: E731
        faults.kill(primary)
        _, errors = bench.communicate(timeout=harness.LIMIT)  # each of its clients is told, none hangs
        assert bench.returncode == 2 and errors.count("Run was aborted") == 1, errors
        replica.promote()
        harness.wait_until(lambda: faults_port(proxy.port) == replica.port, "the new primary is used")
        before = written(replica)
        harness.run([harness.PG_BIN / "pgbench", "-n", "-c", "4", "-t", "20", harness.conninfo(proxy.port)])
        assert written(replica) == before + 80
        assert proxy.wait_for_event("backend.role", lambda e: e["backend"] == "node2" and e["role"] == "primary")
        # The catalog is read there, too: what drifts now is healed.
        harness.psql(proxy.port, "CREATE TABLE moved (a int); INSERT INTO moved VALUES (7)")
        proxy.wait_for_event("schema.changed")

        # The old primary comes back as one: two of them serve nobody new.
        primary.start()
        conflict = proxy.wait_for_event("backend.conflict")
        assert {conflict["backend"], conflict["other"]} == {"node1", "node2"}

        def refused() -> bool:  # on a busy machine one of them may have missed its health checks just then
            try:
                with raw.Client(proxy.port) as client:
                    client.log_in()
                return False
            except raw.LoginFailed as failure:
                return failure.message.get("C") == "57P03" and "both say that they are the primary" in failure.message.get("M")

        harness.wait_until(refused, "neither of two primaries is chosen")
        primary.stop()
        harness.wait_until(lambda: faults_port(proxy.port) == replica.port, "one primary is left")
    finally:
        replica.stop()
        if primary.alive():
            primary.stop()


def faults_port(port: int) -> int:
    try:
        return port_of(port)
    except (raw.LoginFailed, raw.Closed, OSError):
        return 0


def test_a_server_of_another_cluster_is_never_given_a_password(start_pgmend, pair):
    primary, _ = pair
    stranger = harness.Postgres()
    try:
        proxy = in_front_of(start_pgmend, primary, stranger)
        assert proxy.wait_for_event("backend.foreign")["backend"] == "node2"
        assert port_of(proxy.port, user="password") == primary.port
        faults.signal_all(primary, signal.SIGSTOP)
        try:
            with raw.Client(proxy.port) as client, pytest.raises(raw.LoginFailed) as error:
                client.log_in(user="password")
            assert error.value.message.get("C") == "57P03"
        finally:
            faults.signal_all(primary, signal.SIGCONT)
        assert "user=password" not in stranger.log_text() and "password@" not in stranger.log_text()
        harness.wait_until(lambda: faults_port(proxy.port) == primary.port, "the primary answers again")
    finally:
        stranger.stop()


def test_sessions_at_a_silent_server_are_refused_or_ended_and_go_on_when_it_speaks_again(start_pgmend):
    server = harness.Postgres()
    try:
        proxy = start_pgmend(server=server, control="user=postgres", health={"every": "50ms", "timeout": "200ms", "give_up_after": "2s"},
                             backend={"connect_timeout": "500ms"}, breaker=QUICK)
        idle, other, busy = (raw.Client(proxy.port).log_in() for _ in range(3))
        idle.rows("SET application_name = 'kept'")
        busy.rows("BEGIN")
        faults.signal_all(server, signal.SIGSTOP)
        busy.send(raw.query("SELECT 1"))
        proxy.wait_for_event("breaker.opened", lambda e: e["breaker"] == "primary.statements")
        time.sleep(0.05)  # what follows from it

        def refused_at_once() -> bool:
            error = raw.error_of(idle.ask(raw.query("SELECT 1")))
            return error.get("C") == "57P03" and error.get("S") == "ERROR"

        harness.wait_until(refused_at_once, "statements are refused unsent")
        answer = idle.ask(raw.extended("SELECT 1"))
        assert raw.kinds(answer) == "EZ" and raw.error_of(answer).get("C") == "57P03"
        gone = raw.error_of(busy.until_closed())
        assert gone.get("C") == "08006" and "not known" in gone.get("D"), gone
        faults.signal_all(server, signal.SIGCONT)
        harness.wait_until(lambda: raw.error_of(idle.ask(raw.query("SELECT 1"))) is None, "it goes on")
        assert idle.rows("SHOW application_name") == [["kept"]]
        assert other.rows("SELECT 1") == [["1"]]
    finally:
        faults.signal_all(server, signal.SIGCONT)
        server.stop()


def test_a_rule_answers_from_memory_while_the_server_is_silent(start_pgmend, tmp_path):
    server = harness.Postgres()
    try:
        (tmp_path / "rules.yaml").write_text("rules:\n"
                                             "  - { name: dashboard, statement: SELECT count(*) FROM orders, fallback: { stale: 5m } }\n"
                                             "  - { name: one, statement: SELECT n FROM orders WHERE n = $1, fallback: { stale: 5m } }\n"
                                             "  - { name: writes, statement: DELETE FROM orders, fallback: { stale: 5m } }\n")
        server.run("CREATE TABLE orders (n int)", "INSERT INTO orders VALUES (1), (2)", "GRANT ALL ON orders TO PUBLIC", database="test")
        proxy = start_pgmend(server=server, control="user=postgres", health={"every": "50ms", "timeout": "200ms", "give_up_after": "2s"},
                             backend={"connect_timeout": "500ms"}, breaker=QUICK, rules=str(tmp_path / "rules.yaml"))
        mine, same, other, changed = (raw.Client(proxy.port).log_in(user=user) for user in ("trust", "trust", "postgres", "trust"))
        count, two = raw.query("SELECT count(*) FROM orders"), raw.extended("SELECT n FROM orders WHERE n = $1", (b"2",))
        good, row = mine.ask(count), mine.ask(two)
        other.rows("SELECT 1")
        changed.rows("SET search_path = pg_catalog")
        harness.psql(proxy.port, "INSERT INTO orders VALUES (3)")
        faults.signal_all(server, signal.SIGSTOP)
        proxy.wait_for_event("breaker.opened", lambda e: e["breaker"] == "primary.statements")
        time.sleep(0.05)  # what follows from it
        for client in (mine, same):
            answer = client.ask(count)
            assert raw.bytes_of(answer[1:]) == raw.bytes_of(good)  # two rows were there
            assert "does not answer" in answer[0].get("M") and "s old" in answer[0].get("M"), answer
            assert raw.bytes_of(client.ask(two)[1:]) == raw.bytes_of(row)
        assert raw.error_of(mine.ask(raw.extended("SELECT n FROM orders WHERE n = $1", (b"1",)))).get("C") == "57P03"  # never asked before
        for client, sent in ((other, count), (changed, count), (mine, raw.query("DELETE FROM orders")), (mine, raw.query("SELECT 1"))):
            assert raw.error_of(client.ask(sent)).get("C") == "57P03"
        assert proxy.wait_for_event("statement.fallback")["rule"] == "dashboard"
        faults.signal_all(server, signal.SIGCONT)
        harness.wait_until(lambda: raw.error_of(mine.ask(raw.query("SELECT 1"))) is None, "it goes on")
        assert mine.rows("SELECT count(*) FROM orders") == [["3"]]
    finally:
        faults.signal_all(server, signal.SIGCONT)
        server.stop()


FALLBACKS = ("rules:\n"
             "  - { name: urgent, statement: SELECT count(*) FROM orders, when: { application_name: urgent }, fallback: { error: true } }\n"
             "  - { name: dashboard, statement: SELECT count(*) FROM orders, fallback: { stale: 5m } }\n"
             "  - { name: either, statement: SELECT n FROM orders WHERE n = $1, fallback: { replica: true, stale: 5m } }\n"
             "  - { name: writes, statement: INSERT INTO orders VALUES (9), fallback: { replica: true } }\n")


def told(client: raw.Client, request: bytes) -> tuple[str, str]:
    """SQLSTATE and DETAIL of the error that ends this session, sooner or later: what is lost or back may have to be noticed first."""

    def ends() -> raw.Message | None:
        client.send(request)
        error = raw.error_of(client.until("EZ"))
        return error if error and error.get("S") == "FATAL" else None  # else it is only known that the server does not answer

    error = harness.wait_until(ends, "the session ends")
    client.until_closed()
    return error.get("C"), error.get("D") or ""


def test_a_session_that_has_lost_its_server_gets_what_its_rule_allows_and_hears_of_the_loss_otherwise(start_pgmend, tmp_path):
    server = harness.Postgres()
    try:
        (tmp_path / "rules.yaml").write_text(FALLBACKS)
        server.run("CREATE TABLE orders (n int)", "INSERT INTO orders VALUES (1), (2)", "GRANT ALL ON orders TO PUBLIC", "CHECKPOINT", database="test")
        proxy = start_pgmend(server=server, control="user=postgres", health=HEALTH, breaker=QUICK, rules=str(tmp_path / "rules.yaml"))
        count = raw.query("SELECT count(*) FROM orders")
        asked, curious, waiting, plain, listening, urgent = (raw.Client(proxy.port).log_in(**({"application_name": "urgent"} if n == 5 else {})) for n in range(6))
        good = [client.ask(count) for client in (asked, curious, waiting, listening)][0]
        urgent.ask(count)
        plain.rows("SELECT 1")
        listening.rows("LISTEN news")
        lock = server.connect()
        lock.execute("BEGIN")
        lock.execute("LOCK TABLE orders")
        waiting.send(count)
        harness.wait_until(lambda: server.run("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")[0][0], "it waits")
        faults.kill(server)
        # A session that never asked what a rule names is ended at once, and so is one that waits for more than answers.
        for client in (plain, listening, urgent):
            assert raw.error_of(client.until_closed()).get("C") == "08006"
        for client in (waiting, asked, asked):
            answer = client.until("Z") if client is waiting else client.ask(count)
            notice = next(message for message in answer if message.type == "N" and "s old" in (message.get("M") or ""))
            assert "does not answer" in notice.get("M")
            assert raw.bytes_of([message for message in answer if message.type != "N"]) == raw.bytes_of(good)
            waiting.received.clear()
        assert told(curious, raw.query("SELECT 1"))[0] == "08006"
        proxy.wait_for_event("statement.fallback")
        server.start()
        faults.wait_for_session(proxy.port)
        assert told(asked, count)[0] == "08006"  # there is a server to connect to again
        with raw.Client(proxy.port) as client:
            assert client.log_in().rows("SELECT count(*) FROM orders") == [["2"]]
            client.ask(count)
            server.stop()  # it says good-bye to each session; this one is told later
            assert "s old" in client.ask(count)[0].get("M")
            assert told(client, raw.query("SELECT 1"))[0] == "57P01"
        server.start()
        assert proxy.alive()
    finally:
        server.stop()


def test_a_replica_answers_what_a_rule_lets_it_answer(start_pgmend, tmp_path):
    primary = harness.Postgres(faults.primary_settings())
    replica = faults.Replica(primary)
    try:
        (tmp_path / "rules.yaml").write_text(FALLBACKS)
        primary.run("CREATE TABLE orders (n int)", "INSERT INTO orders VALUES (1), (2)", "GRANT ALL ON orders TO PUBLIC", "CHECKPOINT", database="test")
        harness.wait_until(lambda: replica.run("SELECT to_regclass('orders') IS NOT NULL", database="test") == [(True,)], "the table is replayed")
        proxy = in_front_of(start_pgmend, primary, replica, rules=str(tmp_path / "rules.yaml"), max_replay_lag="1h")
        one, three = (raw.extended("SELECT n FROM orders WHERE n = $1", (value,)) for value in (b"1", b"3"))
        mine, changed, asked_for_password = raw.Client(proxy.port).log_in(), raw.Client(proxy.port).log_in(), raw.Client(proxy.port).log_in(user="md5")
        for client in (mine, changed, asked_for_password):
            client.ask(one)
        changed.rows("SET TimeZone = 'Asia/Tokyo'")
        harness.wait_until(lambda: login(proxy.port, {"pgmend.target_session_attrs": "prefer-standby"}) == replica.port, "its lag is known")
        primary.run("INSERT INTO orders VALUES (3)", "CHECKPOINT", database="test")
        harness.wait_until(lambda: replica.run("SELECT count(*) FROM orders", database="test") == [(3,)], "it is replayed")
        faults.signal_all(primary, signal.SIGSTOP)
        proxy.wait_for_event("breaker.opened", lambda e: e["breaker"] == "node1.statements")
        time.sleep(0.05)  # what follows from it
        answer = mine.ask(three)  # never asked before: nothing is kept of it
        assert raw.error_of(answer) is None, answer
        assert answer[0].type == "N" and "replica" in answer[0].get("M") and "node2" in answer[0].get("M"), answer
        assert [raw.decode_row(message.body) for message in answer if message.type == "D"] == [["3"]]
        assert "replica" in mine.ask(three)[0].get("M")
        for client, sent in ((mine, raw.query("INSERT INTO orders VALUES (9)")), (mine, raw.query("SELECT 2")), (changed, three), (asked_for_password, three)):
            assert raw.error_of(client.ask(sent)).get("C") == "57P03"
        # pgmend holds no password: what is kept has to do.
        assert "s old" in asked_for_password.ask(one)[0].get("M")
        failed = proxy.wait_for_event("statement.fallback_failed")
        assert "asks the user for a password" in failed["reason"], failed
        by = proxy.wait_for_event("statement.fallback", lambda e: e["source"] == "replica")
        assert (by["rule"], by["backend"]) == ("either", "node2")
        faults.signal_all(primary, signal.SIGCONT)
        harness.wait_until(lambda: raw.error_of(mine.ask(raw.query("SELECT 2"))) is None, "it goes on")
        assert mine.ask(three)[0].type != "N"
        harness.wait_until(lambda: replica.run("SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'trust'")[0][0], "the replica is left alone")
        # The same where the session has lost its server.
        faults.kill(primary)
        proxy.wait_for_event("server.lost", lambda e: e["client"] == "{}:{}".format(*mine.socket.getsockname()))  # its own: nothing is under way then
        assert "replica" in mine.ask(three)[0].get("M")
        replica.promote()
        faults.wait_for_session(proxy.port)

        def moved() -> bool:  # there is a primary again, which goes on with it
            answer = mine.ask(three)
            assert raw.error_of(answer) is None, answer
            return any("moved this session" in message.get("M") for message in answer if message.type == "N")

        harness.wait_until(moved, "the new primary answers")
    finally:
        faults.signal_all(primary, signal.SIGCONT)
        replica.stop()
        if primary.alive():
            primary.stop()


@pytest.mark.skipif(not faults.may_mount(), reason="needs root, to give pgmend an /etc/hosts of its own")
def test_a_name_may_have_several_addresses_and_is_resolved_again(start_pgmend, postgres):
    """The server is behind 127.0.0.3, and moves to 127.0.0.4; the name has an address, too, at which nobody answers."""
    hosts = faults.Hosts()
    way = faults.Way(postgres.port, "127.0.0.3")
    full = faults.FullListener("127.0.0.2", way.port)
    try:
        hosts.resolve("db.test", "127.0.0.2", "127.0.0.3")
        proxy = start_pgmend(start=False, control="user=postgres", health={"every": "200ms", "timeout": "2s"}, breaker=QUICK,
                             backend={"host": "db.test", "port": way.port, "connect_timeout": "700ms"})
        proxy.inside = hosts.inside
        proxy.start()
        with raw.Client(proxy.port) as first:
            assert first.log_in().rows("SELECT 1") == [["1"]]
            began = time.monotonic()
            for _ in range(5):
                with raw.Client(proxy.port) as client:
                    assert client.log_in().rows("SELECT 1") == [["1"]]
            assert time.monotonic() - began < 3  # the address that answered comes first: 5 timeouts would take longer
            harness.know(proxy)  # the catalog is read, and health checked, past the dead address
            assert not proxy.events("breaker.opened")
            hosts.resolve("db.test", "127.0.0.4")
            new_way = faults.Way(postgres.port, "127.0.0.4", way.port)
            way.close()
            faults.wait_for_session(proxy.port)
            with raw.Client(proxy.port) as client:
                client.log_in()
                assert len(new_way.sockets) > 1
            new_way.close()
    finally:
        way.close()
        full.close()


def test_the_fate_of_a_transaction_is_told(start_pgmend):
    server = harness.Postgres()
    try:
        proxy = start_pgmend(server=server)
        copying, open_, idle, busy = (raw.Client(proxy.port).log_in() for _ in range(4))
        server.run("CREATE TABLE t (a text)", "GRANT ALL ON t TO PUBLIC", "CHECKPOINT", database="test")
        open_.rows("BEGIN")
        open_.rows("INSERT INTO t VALUES ('x')")
        copying.send(raw.query("COPY t FROM STDIN"))
        copying.until("G")
        copying.send(raw.copy_data(b"a\n") * 1000)
        busy.send(raw.query("SELECT pg_sleep(60)"))
        harness.wait_until(lambda: server.run("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")[0][0], "it sleeps")
        faults.kill(server)
        told = {name: raw.error_of(client.until_closed()) for name, client in
                (("copying", copying), ("open", open_), ("idle", idle), ("busy", busy))}
        assert all(error is not None and error.get("C") in ("08006", "57P01", "57P02") for error in told.values()), told
        fates = {name: error.get("D") for name, error in told.items() if error.get("C") == "08006"}
        for name, words in (("open", "was not committed"), ("idle", "No transaction"), ("busy", "not known"), ("copying", "not known")):
            assert name not in fates or words in fates[name], told
        server.start()
        assert server.run("SELECT count(*) FROM t", database="test") == [(0,)]
    finally:
        server.stop()
