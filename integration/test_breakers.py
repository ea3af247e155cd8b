"""Circuit breakers: a server that only fails costs a client a millisecond; what is not its fault leaves them closed."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import select
import signal
import socket
import time

import pytest

import faults
import harness
import raw

#: Opens after three failures in a row, and tries again soon.
QUICK = {"consecutive_failures": 3, "open_for": "300ms", "max_open_for": "300ms", "jitter": "0%", "half_open_probes": 1}


def refused(port: int, **options) -> tuple[raw.Message, float]:
    """The error at login, and the seconds that it took from the connection on."""
    began = time.monotonic()
    with raw.Client(port) as client:
        with pytest.raises(raw.LoginFailed) as error:
            client.log_in(**options)
        return error.value.message, time.monotonic() - began


def breakers(proxy: harness.Pgmend) -> dict[str, dict[str, str]]:
    """SHOW BREAKERS, over whichever server still lets postgres in."""
    with raw.Client(proxy.port) as client:
        client.log_in(user="postgres", database="pgmend")
        answer = client.ask(raw.query("SHOW BREAKERS"))
        names = next(raw.labels(message) for message in answer if message.type == "T")
        rows = [dict(zip(names, raw.decode_row(message.body))) for message in answer if message.type == "D"]
        return {row["name"]: row for row in rows}


def works(port: int) -> bool:
    try:
        with raw.Client(port) as client:
            return client.log_in().rows("SELECT 1") == [["1"]]
    except (raw.LoginFailed, raw.Closed, OSError):
        return False


def test_a_server_that_refuses_is_not_asked_any_more(start_pgmend):
    proxy = start_pgmend(backend={"port": harness.free_port()}, breaker={**QUICK, "open_for": "60s", "max_open_for": "60s"})
    for _ in range(3):
        error, _ = refused(proxy.port)
        assert "Connection refused" in error.get("M"), error
    times = []
    for _ in range(50):
        error, took = refused(proxy.port)
        times.append(took)
        assert (error.get("S"), error.get("C")) == ("FATAL", "57P03")
        assert error.get("M") == f"backend \"primary\" at 127.0.0.1:{proxy.config['backends'][0]['port']} is not asked: its circuit breaker is open"
        assert "Connection refused" in error.get("D") and "opened at 20" in error.get("D"), error
        assert "next connection is tried in" in error.get("H"), error
    print("refusals, ms:", round(1000 * sorted(times)[len(times) // 2], 2))  # with Python's own time; scripts/faults measures
    opened = proxy.wait_for_event("breaker.opened")
    assert (opened["breaker"], opened["cause"], opened["failures"]) == ("primary", "failures", 3), opened
    assert len(proxy.events("breaker.opened")) == 1


def test_a_server_that_comes_back_is_found_by_a_probe(start_pgmend):
    server = harness.Postgres()
    try:
        proxy = start_pgmend(server=server, breaker=QUICK)
        with raw.Client(proxy.port) as client:
            client.log_in()
            server.stop(signal.SIGQUIT)  # immediate
            error = raw.error_of(client.until_closed())
            assert error is not None and error.get("C") in ("57P02", "57P01", "08006")
        harness.wait_until(lambda: "is not asked" in refused(proxy.port)[0].get("M"), "the breaker is open")
        server.start()
        harness.wait_until(lambda: works(proxy.port), "pgmend has found the server again")
        proxy.wait_for_event("breaker.half_opened")
        proxy.wait_for_event("breaker.closed")
        assert {name: row["state"] for name, row in breakers(proxy).items()} == {"primary": "closed", "primary.statements": "closed"}
    finally:
        server.stop()


def test_who_waits_for_a_server_that_is_found_dead_waits_no_longer(start_pgmend):
    """Nobody answers. The first ones wait for their timeout, those behind them do not begin a timeout of their own."""
    with socket.create_server((harness.HOST, 0), backlog=1000) as silent:
        proxy = start_pgmend(backend={"port": silent.getsockname()[1], "connect_timeout": "1500ms"}, breaker={**QUICK, "open_for": "60s", "max_open_for": "60s"})
        with contextlib.ExitStack() as stack:
            first = [stack.enter_context(raw.Client(proxy.port)) for _ in range(3)]
            for client in first:
                client.send(raw.startup(raw.V3_0, {"user": "trust", "database": "test"}))
            harness.wait_until(lambda: proxy.descriptors() >= 6, "they are being connected")
            time.sleep(1)  # the time of the faulty server, not ours
            late = [stack.enter_context(raw.Client(proxy.port)) for _ in range(20)]
            for client in late:
                client.send(raw.startup(raw.V3_0, {"user": "trust", "database": "test"}))
            for client in first:
                assert "1500 ms" in raw.error_of(client.until_closed()).get("M")
            for client in late:
                assert "is not asked" in raw.error_of(client.until_closed()).get("M")


def test_what_clients_do_wrong_leaves_every_breaker_closed(start_pgmend, postgres, database):
    proxy = start_pgmend(breaker={**QUICK, "minimum_calls": 1, "window": 5})
    postgres.run("CREATE ROLE crowded LOGIN CONNECTION LIMIT 1")
    for _ in range(5):
        assert refused(proxy.port, database="no_such_database")[0].get("C") == "3D000"
        assert refused(proxy.port, user="nobody_at_all")[0].get("C") == "28000"
        assert refused(proxy.port, user="md5", password="wrong")[0].get("C") == "28P01"
    with raw.Client(proxy.port) as client, raw.Client(proxy.port) as crowd:
        client.log_in()
        crowd.log_in(user="crowded")
        for _ in range(5):
            assert refused(proxy.port, user="crowded")[0].get("C") == "53300"
        for bad in ("SELEC 1", "SELECT * FROM no_such_table", "SELECT 1/0", "COPY t FROM '/no/such/file'", "SELECT pg_cancel_backend(pg_backend_pid())",
                    "SET statement_timeout = 1; SELECT pg_sleep(1)") * 3:
            client.send(raw.query(bad))
            assert raw.error_of(client.until()) is not None
    states = breakers(proxy)
    assert all(row["state"] == "closed" and row["total_failures"] == "0" for row in states.values()), states
    postgres.run("DROP ROLE crowded")


def test_a_full_descriptor_table_leaves_every_breaker_closed(start_pgmend):
    proxy = start_pgmend(breaker=QUICK)
    with raw.Client(proxy.port) as client:
        client.log_in()
        soft, hard = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)

        def refused_for_want_of_descriptors() -> bool:
            # Room for one more client, and none for its server connection. The limit is one above the highest number, so
            # the lower ones that are free count, too. pgmend may have closed one meanwhile: then the client gets in.
            taken = {int(name) for name in os.listdir(f"/proc/{proxy.pid}/fd")}
            free = itertools.filterfalse(taken.__contains__, itertools.count())
            next(free)
            resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (next(free), hard))
            try:
                with raw.Client(proxy.port) as another:
                    another.log_in()
            except raw.LoginFailed as error:
                assert "is not asked" not in error.message.get("M"), error
                return True
            return False

        for _ in range(6):
            assert harness.wait_until(refused_for_want_of_descriptors, "there is no descriptor for a server connection")
        assert client.rows("SELECT 1") == [["1"]]
        resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert harness.wait_until(lambda: works(proxy.port), "there is room again")
    assert breakers(proxy)["primary"]["total_failures"] == "0"


def test_a_full_connection_table_opens_the_breaker_and_existing_sessions_go_on(start_pgmend):
    server = harness.Postgres({"max_connections": 5, "superuser_reserved_connections": 0, "max_wal_senders": 0})
    try:
        proxy = start_pgmend(server=server, breaker=QUICK)
        clients = [raw.Client(proxy.port).log_in() for _ in range(5)]
        for _ in range(3):
            assert refused(proxy.port)[0].get("C") == "53300"
        error, _ = refused(proxy.port)
        assert error.get("C") == "57P03" and "53300" in error.get("D"), error
        assert clients[0].rows("SELECT 1") == [["1"]]
        for client in clients:
            client.socket.close()
        harness.wait_until(lambda: works(proxy.port), "a probe has found that there is room again")
        proxy.finish()
    finally:
        server.stop()


def test_a_crowd_of_one_user_waits_and_others_do_not(start_pgmend):
    proxy = start_pgmend(limits={"per_user": 2, "waiting": 1, "wait": "20s"})
    with raw.Client(proxy.port) as one, raw.Client(proxy.port) as two, raw.Client(proxy.port) as third, raw.Client(proxy.port) as fourth, \
            raw.Client(proxy.port) as other:
        one.log_in()
        two.log_in()
        for client in (third, fourth):
            client.send(raw.startup(raw.V3_0, {"user": "trust", "database": "test"}))
        told, _, _ = select.select([third.socket, fourth.socket], [], [], harness.LIMIT)  # one of them finds the queue full
        assert len(told) == 1
        unlucky, patient = (third, fourth) if told[0] is third.socket else (fourth, third)
        refusal = raw.error_of(unlucky.until_closed())
        assert refusal.get("C") == "53300" and refusal.get("M") == 'too many connections for user "trust": pgmend\'s limits.per_user is 2'
        assert "limits.waiting" in refusal.get("D")
        assert other.log_in(user="postgres").rows("SELECT 1") == [["1"]]
        one.socket.close()
        assert patient.until("Z")[-1].body == b"I"  # its turn
        proxy.config["limits"]["wait"] = "50ms"
        proxy.write_config()
        proxy.reload()
        harness.wait_until(lambda: "Waited for 50 ms" in (refused(proxy.port)[0].get("D") or ""), "nobody waits for longer than limits.wait")


@pytest.mark.skipif(not faults.may_have_networks(), reason="needs root, nft and network namespaces")
def test_behind_a_firewall_that_drops_nobody_hangs(start_pgmend):
    with faults.private_network() as wall:
        server = harness.Postgres()
        try:
            proxy = start_pgmend(server=server, control="user=postgres", backend={"connect_timeout": "500ms"}, breaker={**QUICK, "open_for": "60s", "max_open_for": "60s"},
                                 health={"every": "100ms", "timeout": "500ms", "give_up_after": "1s"})
            idle, busy = raw.Client(proxy.port).log_in(), raw.Client(proxy.port).log_in()
            wall.drop(server.port)
            busy.send(raw.query("SELECT 1"))
            texts = [refused(proxy.port)[0].get("M") for _ in range(4)]
            assert any("500 ms" in text for text in texts) and "is not asked" in texts[-1], texts
            assert raw.error_of(busy.until_closed()).get("C") == "08006"
            assert raw.error_of(idle.ask(raw.query("SELECT 1"))).get("C") == "57P03"
            wall.open()
            harness.wait_until(lambda: works(proxy.port), "a health check has found it")
            harness.wait_until(lambda: raw.error_of(idle.ask(raw.query("SELECT 1"))) is None, "sessions go on")
            proxy.finish()
        finally:
            server.stop()


def test_mode_observe_refuses_nothing(start_pgmend):
    proxy = start_pgmend(backend={"port": harness.free_port()}, breaker={**QUICK, "mode": "observe", "open_for": "60s"})
    for _ in range(6):
        assert "Connection refused" in refused(proxy.port)[0].get("M")
    assert proxy.wait_for_event("breaker.opened")["breaker"] == "primary"


def test_people_open_and_close_breakers(start_pgmend):
    proxy = start_pgmend()

    with raw.Client(proxy.port) as console, raw.Client(proxy.port) as client:
        console.log_in(user="postgres", database="pgmend")
        client.log_in()

        def say(text: str) -> str:
            console.send(raw.query(text))
            error = raw.error_of(console.until())
            return error.get("C") if error else ""

        assert say("TRIP BREAKER nobody") == "42704"
        assert say("TRIP BREAKER") == "42601"
        assert say("trip breaker Primary") == ""
        error, _ = refused(proxy.port)
        assert "tripped by postgres" in error.get("D") and "RESET BREAKER primary" in error.get("H"), error
        assert client.rows("SELECT 1") == [["1"]]
        assert breakers(proxy)["primary"]["state"] == "tripped"  # who comes to close it gets in
        assert say("RESET BREAKER primary") == ""
        assert works(proxy.port)
        assert say("DISABLE BREAKER primary") == ""
        assert breakers(proxy)["primary"]["state"] == "disabled"
        assert say("ENABLE BREAKER primary") == ""
        assert breakers(proxy)["primary"]["state"] == "closed"
    assert proxy.wait_for_event("console.command", lambda e: e["command"] == "TRIP BREAKER")["breaker"] == "primary"


def test_an_open_breaker_is_remembered_across_a_restart(start_pgmend, tmp_path):
    proxy = start_pgmend(backend={"port": harness.free_port()}, breaker={**QUICK, "open_for": "60s", "max_open_for": "60s"}, state=str(tmp_path / "pgmend.db"))
    for _ in range(3):
        assert "Connection refused" in refused(proxy.port)[0].get("M")
    assert "is not asked" in refused(proxy.port)[0].get("M")
    proxy.finish()
    proxy.start()
    proxy.wait_for_event("breaker.opened", lambda e: e["cause"] == "restored")
    error, _ = refused(proxy.port)
    assert "is not asked" in error.get("M") and "Connection refused" in error.get("D"), error
    # A shorter memory: what is older is not believed.
    proxy.finish()
    proxy.config["breaker"]["max_open_for"] = proxy.config["breaker"]["open_for"] = "1ms"
    proxy.write_config()
    proxy.start()
    assert "Connection refused" in refused(proxy.port)[0].get("M")
