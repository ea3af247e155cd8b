"""A relay that forwards bytes and keeps what the clients sent: two of them, one on each side, show what pgmend changed."""

from __future__ import annotations

import collections
import contextlib
import socket
import struct
import threading

import harness
import raw


class Recorder:
    """Listens, connects to `target` for each client, and keeps what came from it. `streams` grows by one for each."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.streams: list[bytearray] = []
        self.listener = socket.create_server((harness.HOST, 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                try:
                    server = socket.create_connection((harness.HOST, self.target))
                except OSError:
                    client.close()
                    continue
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                kept = bytearray()
                self.streams.append(kept)
                threading.Thread(target=self._forward, args=(client, server, kept), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, client, None), daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if kept is not None:
                    kept += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def sessions(self) -> list[bytes]:
        """Those that logged in: not cancel requests, not pgmend's own look at the catalog."""
        found = [bytes(stream) for stream in self.streams]
        for i, stream in enumerate(found):
            while stream[:8] in (raw.request(raw.SSL_REQUEST), raw.request(raw.GSSENC_REQUEST)):
                found[i] = stream = stream[8:]
        return [stream for stream in found if len(stream) > 8 and stream[4:6] == b"\0\3" and b"application_name\0pgmend" not in stream[:300]]


def frames(stream: bytes) -> list[bytes]:
    """The startup packet, then each frame; the end may be half a frame."""
    length = struct.unpack("!I", stream[:4])[0]
    found, at = [stream[:length]], length
    while at + 5 <= len(stream):
        length = 1 + struct.unpack("!I", stream[at + 1:at + 5])[0]
        found.append(stream[at:at + length])
        at += length
    return found


def added(sent: bytes, received: bytes) -> list[bytes]:
    """The frames that pgmend put in between; all that the client sent has to be there, in its order."""
    extra, expected = [], collections.deque(frames(sent))
    for frame in frames(received):
        if expected and frame == expected[0]:
            expected.popleft()
        else:
            extra.append(frame)
    # Terminate is for pgmend as well, and ends nothing that the server has ended itself.
    left = [frame for frame in expected if frame != raw.TERMINATE]
    assert not left, f"the server did not get {left[0][:300]!r}; instead, or besides, it got {[e[:300] for e in extra[:3]]}"
    return [frame for frame in extra if frame != raw.TERMINATE]


def foreign(extra: list[bytes]) -> list[bytes]:
    """Of what came in between, that which is not pgmend's own: its savepoints, its question what the session's names mean, with a Sync."""
    return [frame for frame in extra if b"_pgmend_" not in frame and frame != raw.SYNC]


def paired(before: Recorder, behind: Recorder) -> list[tuple[bytes, bytes]]:
    """Streams of the same client: the most similar ones (each login has an application_name or a text of its own, or it does not matter)."""
    left, pairs = behind.sessions(), []
    for sent in before.sessions():
        match = next((one for one in left if one == sent), None) or next((one for one in left if frames(one)[0] == frames(sent)[0]), None)
        assert match is not None, f"no session at the server began with {frames(sent)[0]!r}"
        left.remove(match)
        pairs.append((sent, match))
    return pairs
