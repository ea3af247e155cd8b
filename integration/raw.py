"""A client that speaks frames of the PostgreSQL protocol itself, and shows every byte of the answers."""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
from dataclasses import dataclass, field
from typing import Iterator

import harness

V3_0 = 3 << 16
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102


@dataclass
class Message:
    type: str
    body: bytes

    @property
    def frame(self) -> bytes:
        return self.type.encode() + struct.pack("!I", len(self.body) + 4) + self.body

    def __repr__(self) -> str:
        shown = str(self.fields()) if self.type in "EN" else repr(self.body[:80])
        return f"{self.type}:{shown}"

    def fields(self) -> list[tuple[str, str]]:
        """Of an ErrorResponse or NoticeResponse, in the order sent."""
        return [(chr(part[0]), part[1:].decode("utf-8", "replace")) for part in self.body.split(b"\0") if part]

    def get(self, code: str) -> str | None:
        return dict(self.fields()).get(code)


def frame(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def cstring(text: str | bytes) -> bytes:
    return (text.encode() if isinstance(text, str) else text) + b"\0"


def startup(version: int, parameters: dict[str, str] | list[tuple[str, str]]) -> bytes:
    pairs = parameters.items() if isinstance(parameters, dict) else parameters
    body = struct.pack("!I", version) + b"".join(cstring(k) + cstring(v) for k, v in pairs) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def request(code: int) -> bytes:
    return struct.pack("!II", 8, code)


def cancel(pid: int, secret: bytes) -> bytes:
    return struct.pack("!III", 12 + len(secret), CANCEL_REQUEST, pid) + secret


def query(sql: str | bytes) -> bytes:
    return frame("Q", cstring(sql))


def parse(sql: str | bytes, name: str = "", types: tuple[int, ...] = ()) -> bytes:
    return frame("P", cstring(name) + cstring(sql) + struct.pack(f"!H{len(types)}I", len(types), *types))


def bind(values: tuple[bytes | None, ...] = (), portal: str = "", statement: str = "", formats: tuple[int, ...] = (),
         results: tuple[int, ...] = ()) -> bytes:
    body = cstring(portal) + cstring(statement) + struct.pack(f"!H{len(formats)}H", len(formats), *formats) + struct.pack("!H", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return frame("B", body + struct.pack(f"!H{len(results)}H", len(results), *results))


def describe(kind: str = "P", name: str = "") -> bytes:
    return frame("D", kind.encode() + cstring(name))


def execute(portal: str = "", rows: int = 0) -> bytes:
    return frame("E", cstring(portal) + struct.pack("!I", rows))


def close(kind: str, name: str = "") -> bytes:
    return frame("C", kind.encode() + cstring(name))


SYNC = frame("S")
FLUSH = frame("H")
TERMINATE = frame("X")
COPY_DONE = frame("c")


def copy_data(data: bytes) -> bytes:
    return frame("d", data)


def copy_fail(reason: str) -> bytes:
    return frame("f", cstring(reason))


def extended(sql: str, values: tuple[bytes | None, ...] = (), name: str = "") -> bytes:
    return parse(sql, name) + bind(values, statement=name) + describe() + execute() + SYNC


class Closed(Exception):
    """The other side closed the connection."""


@dataclass
class Client:
    """One connection. `received` holds every frame since the log-in's end."""

    port: int
    socket: socket.socket = field(init=False)
    received: list[Message] = field(default_factory=list)
    greeting: list[Message] = field(default_factory=list)
    pid: int = 0
    secret: bytes = b""
    pending: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.socket = socket.create_connection((harness.HOST, self.port), harness.LIMIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_exactly(self, count: int) -> bytes:
        while len(self.pending) < count:
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionError as error:
                raise Closed(str(error)) from None
            if not data:
                raise Closed(f"end of stream, {len(self.pending)} bytes of a frame before it")
            self.pending += data
        found = bytes(self.pending[:count])
        del self.pending[:count]
        return found

    def read_message(self) -> Message:
        head = self.read_exactly(5)
        message = Message(chr(head[0]), self.read_exactly(struct.unpack("!I", head[1:])[0] - 4))
        if message.type == "K":
            self.pid, self.secret = struct.unpack("!I", message.body[:4])[0], message.body[4:]
        return message

    def messages(self) -> Iterator[Message]:
        while True:
            message = self.read_message()
            self.received.append(message)
            yield message

    def until(self, types: str = "Z") -> list[Message]:
        """Frames up to and with the first of one of these types."""
        found = []
        for message in self.messages():
            found.append(message)
            if message.type in types:
                return found
        raise AssertionError("unreachable")

    def until_closed(self) -> list[Message]:
        found = []
        try:
            for message in self.messages():
                found.append(message)
        except Closed:
            return found
        raise AssertionError("unreachable")

    def start_tls(self, context: ssl.SSLContext | None = None) -> None:
        self.send(request(SSL_REQUEST))
        answer = self.read_exactly(1)
        assert answer == b"S", answer
        self.wrap(context)

    def wrap(self, context: ssl.SSLContext | None = None, alpn: list[str] | None = None) -> None:
        if context is None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            if alpn:
                context.set_alpn_protocols(alpn)
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    def log_in(self, user: str = "trust", database: str = "test", version: int = V3_0, password: str | None = None,
               **parameters: str) -> "Client":
        pairs = [("user", user), ("database", database), *((k, v) for k, v in parameters.items())]
        return self.start(version, pairs, user, password)

    def start(self, version: int, pairs: list[tuple[str, str]], user: str = "", password: str | None = None) -> "Client":
        self.send(startup(version, pairs))
        for message in self.messages():
            self.greeting.append(message)
            if message.type == "R":
                code = struct.unpack("!I", message.body[:4])[0]
                if code == 3:
                    self.send(frame("p", cstring(password or user)))
                elif code == 5:
                    inner = hashlib.md5((password or user).encode() + user.encode()).hexdigest().encode()
                    self.send(frame("p", cstring(b"md5" + hashlib.md5(inner + message.body[4:8]).hexdigest().encode())))
                elif code != 0:
                    raise AssertionError(f"authentication {code} is not for this client")
            elif message.type == "E":
                raise LoginFailed(message)
            elif message.type == "Z":
                self.received.clear()
                return self
        raise AssertionError("unreachable")

    def ask(self, data: bytes) -> list[Message]:
        """Sends, and answers with the frames up to ReadyForQuery."""
        self.send(data)
        return self.until("Z")

    def rows(self, sql: str) -> list[list[str | None]]:
        """By simple protocol, as text."""
        found = []
        error = None
        for message in self.ask(query(sql)):
            if message.type == "D":
                found.append(decode_row(message.body))
            elif message.type == "E":
                error = message
        assert error is None, error
        return found


class LoginFailed(Exception):
    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def decode_row(body: bytes) -> list[str | None]:
    count, at, values = struct.unpack("!H", body[:2])[0], 2, []
    for _ in range(count):
        length = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[at:at + length].decode())
            at += length
    return values


def labels(message: Message) -> list[str]:
    """Of a RowDescription."""
    assert message.type == "T"
    count, at, found = struct.unpack("!H", message.body[:2])[0], 2, []
    for _ in range(count):
        end = message.body.index(b"\0", at)
        found.append(message.body[at:end].decode())
        at = end + 19
    return found


def kinds(messages: list[Message]) -> str:
    return "".join(message.type for message in messages)


def error_of(messages: list[Message]) -> Message | None:
    return next((message for message in messages if message.type == "E"), None)


def bytes_of(messages: list[Message]) -> bytes:
    return b"".join(message.frame for message in messages)
