"""The first bytes: TLS and GSS negotiation, protocol versions, and everything that is not a client."""

from __future__ import annotations

import random
import socket
import ssl
import struct
import threading

import pytest

import harness
import raw


def alive(target) -> None:
    with raw.Client(target.port) as client:
        client.log_in()
        assert client.rows("SELECT 1") == [["1"]]


def without_key(messages: list[raw.Message]) -> list[bytes]:
    return [b"K" if message.type == "K" else message.frame for message in messages]


# --------------------------------------------------------------------------------------------- encryption


def test_ssl_request_is_answered_by_mode(start_pgmend, certificates):
    files = {"cert": str(certificates.cert), "key": str(certificates.key)}
    for tls, answer in (({"mode": "disable"}, b"N"), ({"mode": "allow", **files}, b"S"), ({"mode": "prefer", **files}, b"S"), ({"mode": "require", **files}, b"S")):
        proxy = start_pgmend(listen={"tls": tls})
        with raw.Client(proxy.port) as client:
            client.send(raw.request(raw.SSL_REQUEST))
            assert client.read_exactly(1) == answer
            if answer == b"S":
                client.wrap()
            client.log_in()
            assert client.rows("SELECT 1") == [["1"]]
        proxy.finish()


@pytest.mark.pgmend
def test_gss_request_is_refused_and_another_may_follow(target):
    with raw.Client(target.port) as client:
        client.send(raw.request(raw.GSSENC_REQUEST))
        assert client.read_exactly(1) == b"N"
        client.log_in()
    with raw.Client(target.port) as client:
        client.send(raw.request(raw.GSSENC_REQUEST))
        assert client.read_exactly(1) == b"N"
        client.start_tls()
        client.log_in()
        assert client.rows("SELECT 1") == [["1"]]


@pytest.mark.pgmend
def test_tls_at_once_with_alpn(target):
    with raw.Client(target.port) as client:
        client.wrap(alpn=["postgresql"])
        assert isinstance(client.socket, ssl.SSLSocket) and client.socket.selected_alpn_protocol() == "postgresql"
        client.log_in()
        assert client.rows("SELECT 1") == [["1"]]


@pytest.mark.pgmend
@pytest.mark.parametrize("alpn", (None, ["http/1.1"]), ids=str)
def test_tls_at_once_without_the_right_alpn_is_closed(target, alpn):
    with raw.Client(target.port) as client, pytest.raises((OSError, raw.Closed)):
        client.wrap(alpn=alpn)
        client.log_in()
    alive(target)


def test_tls_hello_where_tls_is_disabled(start_pgmend):
    proxy = start_pgmend(listen={"tls": {"mode": "disable"}})
    with raw.Client(proxy.port) as client, pytest.raises(OSError):
        client.wrap(alpn=["postgresql"])
    alive(proxy)


@pytest.mark.session
def test_plain_bytes_behind_an_ssl_request_are_never_taken_as_the_clients(target):
    """CVE-2021-23214: what came before the handshake was not protected by it."""
    with raw.Client(target.port) as client:
        client.send(raw.request(raw.SSL_REQUEST) + raw.startup(raw.V3_0, {"user": "trust", "database": "test"}))
        client.socket.shutdown(socket.SHUT_WR)
        rest = b""
        try:
            while data := client.socket.recv(4096):
                rest += data
        except ConnectionError:
            pass
        assert rest[:1] in (b"S", b"E", b"") and rest[1:2] != b"R"
    with raw.Client(target.port) as client, pytest.raises((OSError, raw.Closed, raw.LoginFailed)):
        client.send(raw.request(raw.SSL_REQUEST) + raw.startup(raw.V3_0, {"user": "trust", "database": "test"}))
        if client.read_exactly(1) == b"E":
            raise raw.Closed("refused at once")
        client.wrap()
        client.log_in()
    alive(target)


@pytest.mark.session
def test_repeated_ssl_requests_end(target):
    with raw.Client(target.port) as client:
        client.start_tls()
        client.send(raw.request(raw.SSL_REQUEST))
        found = client.socket.recv(1)
        assert found in (b"", b"E", b"N")
    alive(target)


# --------------------------------------------------------------------------------------------- not a client


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zero length": struct.pack("!I", 0),
    "length 4": struct.pack("!I", 4),
    "length 7": struct.pack("!I", 7) + b"\0\3\0",
    "huge length": struct.pack("!II", 0x7FFFFFFF, raw.V3_0),
    "negative length": struct.pack("!iI", -5, raw.V3_0),
    "all zero": b"\0" * 4096,
    "all ones": b"\xff" * 4096,
    "protocol 1": struct.pack("!II", 8, 1 << 16),
    "protocol 2": struct.pack("!II", 296, 2 << 16) + b"\0" * 288,
    "protocol 4": raw.startup(4 << 16, {"user": "trust"}),
    "protocol 1234.0": raw.request(1234 << 16),
    "unknown negotiation": raw.request(80877199),
    "no final zero": struct.pack("!II", 8 + 11, raw.V3_0) + b"user\0trust\0",
    "name without value": struct.pack("!II", 8 + 5, raw.V3_0) + b"user\0",
    "bytes behind the final zero": struct.pack("!II", 8 + 16, raw.V3_0) + b"user\0trust\0\0abcd",
    "empty cancel": struct.pack("!II", 8, raw.CANCEL_REQUEST),
    "half a cancel": struct.pack("!III", 12, raw.CANCEL_REQUEST, 1),
    "long cancel": struct.pack("!III", 12 + 100000, raw.CANCEL_REQUEST, 1),
    "password first": raw.frame("p", b"secret\0"),
    "query first": raw.query("SELECT 1"),
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "long user": raw.startup(raw.V3_0, {"user": "u" * 20000}),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_wrong_first_bytes_end_that_connection_only(target, data):
    with raw.Client(target.port) as client:
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while chunk := client.socket.recv(4096):
                answer += chunk
        except ConnectionError:
            pass
        assert answer[:1] in (b"", b"E", b"R"), answer
    alive(target)


@pytest.mark.pgmend
@pytest.mark.parametrize("name", ("http", "zero length", "huge length", "all zero", "all ones", "protocol 2", "protocol 4", "no final zero", "unknown negotiation", "ssh"))
def test_wrong_first_bytes_are_closed_by_us_not_awaited(target, name):
    with raw.Client(target.port) as client:
        client.send(GARBAGE[name])
        try:
            while client.socket.recv(4096):
                pass
        except ConnectionError:
            pass


def test_random_bytes(target):
    source = random.Random(20240229)
    for _ in range(200):
        with raw.Client(target.port) as client:
            client.send(source.randbytes(source.randrange(1, 200)))
    alive(target)


def test_a_client_that_says_nothing_more_is_closed_in_time(start_pgmend, certificates):
    proxy = start_pgmend(listen={"login_timeout": "1s", "tls": {"mode": "prefer", "cert": str(certificates.cert), "key": str(certificates.key)}})
    for first in (b"", b"\0\0\0", raw.startup(raw.V3_0, {"user": "trust"})[:20], raw.request(raw.SSL_REQUEST), raw.request(raw.SSL_REQUEST) + b"\x16\x03\x01",
                  raw.startup(raw.V3_0, {"user": "scram", "database": "test"}), raw.startup(raw.V3_0, {"user": "password", "database": "test"})):
        with raw.Client(proxy.port) as client:
            client.send(first)
            try:
                while client.socket.recv(4096):
                    pass
            except ConnectionError:
                pass
    # Who is logged in may be as silent as they like.
    with raw.Client(proxy.port) as client, raw.Client(proxy.port) as late:
        client.log_in()
        assert late.until_closed() is not None
        assert client.rows("SELECT 1") == [["1"]]


# --------------------------------------------------------------------------------------------- versions


@pytest.mark.session
@pytest.mark.parametrize("options", ([], [("_pq_.a", "1")], [("_pq_.a", "1"), ("_pq_.b", ""), ("_pq_.longer_name", "x y")]), ids=len)
@pytest.mark.parametrize("minor", (0, 1, 2, 3, 9999))
def test_protocol_negotiation_is_the_servers(target, postgres, minor, options):
    pairs = [("user", "trust"), ("database", "test"), *options]
    greetings = []
    for port in (postgres.port, target.port):
        with raw.Client(port) as client:
            client.start(raw.V3_0 + minor, pairs)
            greetings.append(client.greeting)
            assert client.rows("SELECT 1") == [["1"]]
    assert without_key(greetings[1]) == without_key(greetings[0])
    negotiations = [message for message in greetings[1] if message.type == "v"]
    assert len(negotiations) == (1 if minor or options else 0)
    for message in negotiations:
        _, count = struct.unpack("!II", message.body[:8])
        assert message.body[8:].split(b"\0")[:-1] == [name.encode() for name, _ in options] and count == len(options)


@pytest.mark.session
def test_the_greeting_is_the_servers(target, postgres):
    greetings = []
    for port in (postgres.port, target.port):
        with raw.Client(port) as client:
            greetings.append(client.log_in(application_name="x", client_encoding="UTF8", TimeZone="Asia/Tokyo").greeting)
    assert without_key(greetings[1]) == without_key(greetings[0])


# --------------------------------------------------------------------------------------------- leaving


def backends(postgres, name: str) -> int:
    return postgres.run(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'")[0][0]


STAGES = {
    "connected": [],
    "half a startup packet": [raw.startup(raw.V3_0, {"user": "trust", "application_name": "leaver"})[:17]],
    "started": [raw.startup(raw.V3_0, {"user": "trust", "database": "test", "application_name": "leaver"})],
    "asked for a password": [raw.startup(raw.V3_0, {"user": "password", "database": "test", "application_name": "leaver"})],
}
LATER = {
    "logged in": b"",
    "terminated": raw.TERMINATE,
    "half a header": b"Q\0\0",
    "half a query": raw.query("SELECT 1")[:9],
    "query sent": raw.query("SELECT pg_sleep(0.01)"),
    "big result": raw.query("SELECT repeat('x', 1000) FROM generate_series(1, 200000)"),
    "parse without sync": raw.parse("SELECT 1"),
    "flush without sync": raw.parse("SELECT 1") + raw.FLUSH,
    "half a bind": raw.parse("SELECT $1::text") + raw.bind((b"x" * 1000,))[:500],
    "in a transaction": raw.query("BEGIN; SELECT txid_current()"),
    "in a failed transaction": raw.query("BEGIN; SELECT 1/0"),
    "copy in": raw.query("CREATE TEMP TABLE t (a text); COPY t FROM STDIN") + raw.copy_data(b"x\n"),
    "half a copy data frame": raw.query("CREATE TEMP TABLE t (a text); COPY t FROM STDIN") + raw.copy_data(b"x\n" * 1000)[:999],
    "copy out": raw.query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 200000)) TO STDOUT"),
    "a frame type that is none": b"\x01\0\0\0\4",
    "a length that is none": b"Q\0\0\0\1",
    "a length beyond all bounds": b"Q\x7f\xff\xff\xff",
}


@pytest.mark.parametrize("reset", (False, True), ids=("closed", "reset"))
@pytest.mark.parametrize("stage", [*STAGES, *LATER])
def test_a_client_that_leaves_at_any_stage(target, postgres, stage, reset):
    with raw.Client(target.port) as client:
        if stage in STAGES:
            for data in STAGES[stage]:
                client.send(data)
        else:
            client.log_in(application_name="leaver")
            client.send(LATER[stage])
        if reset:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    harness.wait_until(lambda: backends(postgres, "leaver") == 0, "the server's session is gone")
    alive(target)


@pytest.mark.slow
@pytest.mark.proxy
def test_a_client_that_never_reads(target, postgres):
    with raw.Client(target.port) as client:
        client.log_in(application_name="sleepy")
        before = target.rss_kib()
        target.forget_peak()
        client.send(raw.query("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"))
        harness.wait_until(lambda: postgres.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sleepy' AND wait_event = 'ClientWrite'")[0][0] == 1,
                           "the server waits for its client")
        alive(target)
        assert target.peak_rss_kib() - before < 8 * 1024
    harness.wait_until(lambda: backends(postgres, "sleepy") == 0, "the server's session is gone")


@pytest.mark.slow
@pytest.mark.proxy
def test_a_client_that_only_sends(target, postgres):
    """Queries whose answers are never read: neither side may pile them up without bound."""
    with raw.Client(target.port) as client:
        client.log_in(application_name="chatty")
        before = target.rss_kib()
        target.forget_peak()
        client.socket.setblocking(False)
        data = raw.query("SELECT repeat('x', 10000)") * 100
        stuck = 0
        sent = 0
        while stuck < 50 and sent < 500_000_000:
            try:
                sent += client.socket.send(data[sent % len(data):])
                stuck = 0
            except BlockingIOError:
                stuck += 1
                threading.Event().wait(0.02)
        assert stuck == 50, "it took half a gigabyte without a sign of back-pressure"
        assert target.peak_rss_kib() - before < 16 * 1024
    harness.wait_until(lambda: backends(postgres, "chatty") == 0, "the server's session is gone")


def connect_and_leave(port: int, number: int) -> None:
    with raw.Client(port) as client:
        if number % 3:
            client.log_in(application_name="visitor")
            client.send(raw.query("SELECT 1") if number % 2 else raw.TERMINATE)


@pytest.mark.slow
def test_ten_thousand_visits_leave_nothing_behind(start_pgmend, postgres):
    target = start_pgmend(log={"format": "json", "level": "warning"})

    def visit(count: int) -> None:
        failures = []

        def work(begin: int) -> None:
            try:
                for number in range(begin, count, 4):
                    connect_and_leave(target.port, number)
            except Exception as error:  # noqa: BLE001 - told below
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        harness.wait_until(lambda: backends(postgres, "visitor") == 0, "all sessions are gone")

    visit(2000)
    harness.wait_until(lambda: target.descriptors() < 64, "descriptors are closed")
    memory, descriptors = target.rss_kib(), target.descriptors()
    visit(10000)
    harness.wait_until(lambda: target.descriptors() <= descriptors, "descriptors are closed")
    assert harness.SANITIZED or target.rss_kib() - memory < 4 * 1024


@pytest.mark.slow
def test_a_thousand_idle_clients(start_pgmend):
    server = harness.Postgres({"max_connections": 1100, "shared_buffers": "64MB"})
    clients = []
    try:
        target = start_pgmend(server=server)
        with raw.Client(target.port) as first:
            first.log_in()
        before = target.rss_kib()
        for _ in range(1000):
            clients.append(raw.Client(target.port).log_in())
        each = (target.rss_kib() - before) / 1000
        for client in clients[::37]:
            assert client.rows("SELECT 1") == [["1"]]
        print(f"{each:.1f} KiB for each idle client")
        assert each < 64
        for client in clients:
            client.socket.close()
        harness.wait_until(lambda: target.descriptors() < 64, "descriptors are closed")
        target.finish()
    finally:
        server.stop()


@pytest.mark.pgmend
def test_more_clients_than_allowed(start_pgmend):
    proxy = start_pgmend(listen={"max_clients": 3})
    clients = [raw.Client(proxy.port).log_in() for _ in range(3)]
    with raw.Client(proxy.port) as one_too_many, pytest.raises(raw.LoginFailed) as error:
        one_too_many.log_in()
    assert error.value.message.get("C") == "53300"
    clients.pop().socket.close()

    def room() -> bool:
        try:
            with raw.Client(proxy.port) as client:
                client.log_in()
                return True
        except (raw.LoginFailed, raw.Closed, OSError):
            return False

    harness.wait_until(room, "a place is free")
    for client in clients:
        assert client.rows("SELECT 1") == [["1"]]
        client.socket.close()
