"""When the server, or the way to it, breaks: the client is told in the protocol's own words, and others go on."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import threading

import pytest

import harness
import raw


@pytest.fixture
def mortal():
    """A cluster that the test may kill."""
    server = harness.Postgres()
    yield server
    server.kill()


def said(messages: list[raw.Message]) -> raw.Message:
    """The one ErrorResponse, well-formed, that ends a connection."""
    error = raw.error_of(messages)
    assert error is not None, messages
    assert error.body.endswith(b"\0\0") and error.get("S") in ("FATAL", "PANIC", "ERROR")
    for code in "SVCM":
        assert error.get(code), f"field {code} is missing"
    return error


#: Connection failures of class 08, or "cannot connect now".
UNREACHABLE = ("08000", "08001", "08004", "08006", "57P03")


def refused(port: int, **options) -> raw.Message:
    with raw.Client(port) as client:
        with pytest.raises(raw.LoginFailed) as error:
            client.log_in(**options)
        client.until_closed()
        said([error.value.message])
        return error.value.message


def test_a_terminated_session(target, postgres):
    with raw.Client(target.port) as victim, raw.Client(target.port) as other:
        victim.log_in()
        other.log_in()
        pid = victim.rows("SELECT pg_backend_pid()")[0][0]
        victim.send(raw.query("SELECT pg_sleep(60)"))
        harness.wait_until(lambda: postgres.run(f"SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = {pid}")[0][0], "it sleeps")
        postgres.run(f"SELECT pg_terminate_backend({pid})")
        error = said(victim.until_closed())
        assert (error.get("S"), error.get("C")) == ("FATAL", "57P01")
        assert other.rows("SELECT 1") == [["1"]]


def test_a_terminated_idle_session(target, postgres):
    with raw.Client(target.port) as victim:
        victim.log_in()
        pid = victim.rows("SELECT pg_backend_pid()")[0][0]
        postgres.run(f"SELECT pg_terminate_backend({pid})")
        assert said(victim.until_closed()).get("C") == "57P01"


def test_a_crash_of_the_server(start_pgmend, mortal):
    proxy = start_pgmend(server=mortal, control="user=postgres")
    busy, idle = raw.Client(proxy.port).log_in(), raw.Client(proxy.port).log_in()
    pid = int(busy.rows("SELECT pg_backend_pid()")[0][0])
    busy.send(raw.query("SELECT g, pg_sleep(0.001) FROM generate_series(1, 1000000) g"))
    busy.read_message()
    os.kill(pid, signal.SIGKILL)
    # The killed one says nothing itself; the others are told by PostgreSQL (57P02).
    assert said(busy.until_closed()).get("C") in ("08006", "57P02")
    assert said(idle.until_closed()).get("C") in ("08006", "57P02")

    def works() -> bool:
        try:
            with raw.Client(proxy.port) as client:
                return client.log_in().rows("SELECT 1") == [["1"]]
        except (raw.LoginFailed, raw.Closed, OSError):
            return False

    harness.wait_until(works, "the server has recovered")


def test_a_server_that_is_stopped_and_started(start_pgmend, mortal):
    proxy = start_pgmend(server=mortal, control="user=postgres")
    client = raw.Client(proxy.port).log_in()
    mortal.stop(signal.SIGINT)
    assert said(client.until_closed()).get("C") in ("57P01", "08006")
    assert refused(proxy.port).get("C") in UNREACHABLE
    mortal.start()

    def serves() -> bool:
        with raw.Client(proxy.port) as again:
            try:
                return again.log_in().rows("SELECT 1") == [["1"]]
            except raw.LoginFailed:  # where starting took long: its breaker has opened
                return False

    harness.wait_until(serves, "a new client is served")


def test_no_server_at_all(start_pgmend):
    proxy = start_pgmend(backend={"port": harness.free_port()})
    for _ in range(3):
        error = refused(proxy.port)
        assert error.get("S") == "FATAL" and error.get("C") in UNREACHABLE, error
        assert "primary" in error.get("M") + (error.get("D") or "")


def test_a_host_name_that_does_not_resolve(start_pgmend):
    proxy = start_pgmend(backend={"host": "no-such-host.invalid", "connect_timeout": "5s"})
    assert refused(proxy.port).get("C") in UNREACHABLE


def test_too_many_connections_is_the_servers_answer(start_pgmend):
    server = harness.Postgres({"max_connections": 5, "superuser_reserved_connections": 0, "max_wal_senders": 0})
    try:
        proxy = start_pgmend(server=server)
        clients = [raw.Client(proxy.port).log_in() for _ in range(5)]
        assert refused(proxy.port).get("C") == "53300"
        assert clients[0].rows("SELECT 1") == [["1"]]
        for client in clients:
            client.socket.close()
        proxy.finish()
    finally:
        server.stop()


def test_a_server_that_does_not_answer(start_pgmend, mortal):
    """The kernel accepts for a stopped postmaster, and nobody reads the startup packet."""
    proxy = start_pgmend(server=mortal, backend={"connect_timeout": "500ms"})
    mortal.send_signal(signal.SIGSTOP)
    try:
        for _ in range(2):
            error = refused(proxy.port)
            assert error.get("C") in UNREACHABLE and "500 ms" in error.get("M"), error
    finally:
        mortal.send_signal(signal.SIGCONT)
    with raw.Client(proxy.port) as client:
        assert client.log_in().rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("mode, asked", [("disable", "startup"), ("prefer", "TLS"), ("require", "TLS")])
def test_a_server_that_only_accepts(start_pgmend, mode, asked):
    """Neither SSLRequest nor the startup packet is answered; the connection is closed by pgmend, and in time."""
    with socket.create_server((harness.HOST, 0)) as listener:
        proxy = start_pgmend(backend={"port": listener.getsockname()[1], "connect_timeout": "300ms", "tls": {"mode": mode}})
        error = refused(proxy.port)
        assert error.get("C") in UNREACHABLE and "300 ms" in error.get("M"), error
        assert ("TLS" in error.get("M")) == (asked == "TLS")
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(harness.LIMIT)
            sent = b""
            while piece := connection.recv(4096):
                sent += piece
            assert len(sent) == struct.unpack("!I", sent[:4])[0]  # one packet, whole; nothing after it


def test_a_server_that_answers_the_ssl_request_and_no_more(fake):
    proxy = fake(b"N", b"", tls={"mode": "prefer"}, connect_timeout="300ms")
    assert refused(proxy.port).get("C") in UNREACHABLE


# ------------------------------------------------------------------------------------------- servers that misbehave


class Fake:
    """A server that follows a script: after the client's startup packet it sends bytes, and closes."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.listener = socket.create_server((harness.HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, contextlib.suppress(OSError):
                    for piece in self.pieces:
                        connection.recv(65536)
                        connection.sendall(piece)
                    if self.pieces:
                        connection.shutdown(socket.SHUT_WR)
                        while connection.recv(65536):
                            pass

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def fake(start_pgmend):
    """Starts a misbehaving server and a pgmend in front of it."""
    servers = []

    def start(*pieces: bytes, **backend) -> harness.Pgmend:
        servers.append(Fake(*pieces))
        return start_pgmend(backend={"port": servers[-1].port, "connect_timeout": "2s", **backend})

    yield start
    for server in servers:
        server.close()


READY = raw.frame("R", struct.pack("!I", 0)) + raw.frame("K", struct.pack("!II", 1, 2)) + raw.frame("Z", b"I")
ROW = raw.frame("T", struct.pack("!H", 1) + b"a\0" + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0)) + raw.frame("D", struct.pack("!HI", 1, 1) + b"x")


FAILURES = {
    "closes at once": (),
    "closes after the startup packet": (b"",),
    "http": (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
    "all zero": (b"\0" * 1000,),
    "all ones": (b"\xff" * 1000,),
    "closes after authentication": (raw.frame("R", struct.pack("!I", 0)),),
    "closes in a header": (raw.frame("R", struct.pack("!I", 0)) + b"K\0\0",),
    "authentication without code": (raw.frame("R", b""),),
    "negative length": (b"R\xff\xff\xff\xff",),
    "zero length": (b"R\0\0\0\0",),
    "an error without length": (b"Efork failed: no memory\n\0",),
}


@pytest.mark.parametrize("pieces", FAILURES.values(), ids=FAILURES)
def test_a_server_that_fails_at_log_in(fake, pieces):
    proxy = fake(*pieces)
    for _ in range(2):
        with raw.Client(proxy.port) as client:
            client.send(raw.startup(raw.V3_0, {"user": "trust", "database": "test"}))
            messages = client.until_closed()
            error = said(messages)
            assert error.get("S") == "FATAL"


BROKEN = {
    "nothing": (b"", ""),
    "two frames": (ROW, "TD"),
    "half a row": (ROW + raw.frame("D", struct.pack("!HI", 1, 1000) + b"x")[:-1], "TD"),
    "half a header": (ROW + b"D\0\0\1", "TD"),
    "zeros": (ROW + b"\0\0\0\0\0\0", "TD"),
    "a length too small": (ROW + b"D\0\0\0\2", "TD"),
    "a negative length": (ROW + b"D\xff\xff\xff\xff", "TD"),
}


@pytest.mark.parametrize("answer, complete", BROKEN.values(), ids=BROKEN)
def test_a_server_that_fails_in_the_middle_of_an_answer(fake, answer, complete):
    proxy = fake(READY, answer)
    with raw.Client(proxy.port) as client:
        client.log_in()
        client.send(raw.query("SELECT 1"))
        messages = client.until_closed()
        if raw.kinds(messages).startswith(complete) and raw.error_of(messages):
            assert said(messages).get("C") in ("08006", "08P01")
        else:
            # A frame that had begun cannot be followed by an error: then the end of the stream says it.
            assert raw.kinds(messages) == complete


def test_a_server_that_hangs_up_between_statements(fake):
    proxy = fake(READY + ROW + raw.frame("C", b"SELECT 1\0"))
    with raw.Client(proxy.port) as client:
        client.log_in()
        assert said(client.until_closed()).get("C") == "08006"


def test_a_server_that_sends_an_error_without_length_is_quoted(fake):
    proxy = fake(b"Ecould not fork new process for connection: Cannot allocate memory\n\0")
    error = refused(proxy.port)
    assert error.get("C") in (*UNREACHABLE, "08P01", "53000", "53300")


def test_a_server_that_answers_the_ssl_request_oddly(fake):
    for answer in (b"X", b"S\0\0\0", b"Eno\n\0", b"N" + READY):
        proxy = fake(answer, tls={"mode": "require"})
        assert refused(proxy.port).get("C") in UNREACHABLE
