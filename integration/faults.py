"""Faults on purpose: replicas, a way to a server that can break, and clients that note how long they waited."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator


import harness
import raw


class Replica(harness.Postgres):
    """A streaming replica of `primary`, which has to allow replication (wal_level, max_wal_senders)."""

    def __init__(self, primary: harness.Postgres) -> None:
        harness.Daemon.__init__(self, "replica")
        self.data = self.directory / "data"
        self.settings = {}
        account = harness._unprivileged()
        if account:
            os.chown(self.directory, account["user"], account["group"])
        subprocess.run([harness.PG_BIN / "pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
                        "-d", harness.conninfo(primary.port, "postgres")], check=True, capture_output=True, cwd="/", **account)
        self.start()

    def promote(self) -> None:
        self.run("SELECT pg_promote(true)")


def primary_settings() -> dict[str, Any]:
    return {"wal_level": "replica", "max_wal_senders": 10, "hot_standby": "on", "wal_keep_size": "256MB"}


def children(pid: int) -> list[int]:
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat[stat.rindex(")") + 2:].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def signal_all(server: harness.Daemon, number: int) -> None:
    """The postmaster and each of its processes."""
    family = [server.pid, *children(server.pid)]
    for pid in family:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class Way:
    """A TCP way to a server, which may be slow, or silent: it accepts then, and passes nothing on."""

    def __init__(self, port: int, host: str = harness.HOST, own_port: int = 0) -> None:
        self.target = port
        self.delay = 0.0
        self.silent = False
        self.listener = socket.create_server((host, own_port), backlog=2000)
        self.port = self.listener.getsockname()[1]
        self.sockets: list[socket.socket] = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self.listener.accept()
                self.sockets.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()
        except OSError:
            pass

    def _serve(self, client: socket.socket) -> None:
        while self.silent:
            time.sleep(0.02)
        try:
            server = socket.create_connection((harness.HOST, self.target), 5)
            server.settimeout(None)
        except OSError:
            client.close()
            return
        self.sockets.append(server)
        back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
        back.start()
        self._copy(client, server)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                while self.silent:
                    time.sleep(0.02)
                if self.delay:
                    time.sleep(self.delay)
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        self.silent = False
        for one in self.sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()


class FullListener:
    """A port whose queue of connections is full: SYNs are dropped, as by a firewall."""

    def __init__(self, host: str = harness.HOST, port: int = 0) -> None:
        self.listener = socket.socket()
        self.listener.bind((host, port))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.filling = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex((host, self.port))
            self.filling.append(one)
        time.sleep(0.05)

    def close(self) -> None:
        for one in (self.listener, *self.filling):
            one.close()


class Firewall:
    """Drops each packet to and from a port. Only inside private_network(): the machine's own rules are left alone."""

    def drop(self, port: int) -> None:
        rules = ("add table ip fault", "add chain ip fault input { type filter hook input priority 0; }",
                 f"add rule ip fault input tcp dport {port} drop", f"add rule ip fault input tcp sport {port} drop")
        subprocess.run(["nft", "; ".join(rules)], check=True, capture_output=True)

    def open(self) -> None:
        subprocess.run(["nft", "delete", "table", "ip", "fault"], check=True, capture_output=True)


def may_have_networks() -> bool:
    """Whether private_network() can be had: root, and the kernel lets root make namespaces and filter in them."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "-n", "nft", "list", "tables"], capture_output=True).returncode == 0


class Hosts:
    """An /etc/hosts of its own for a program that is started with `inside` in front of it; written anew it counts at once."""

    def __init__(self) -> None:
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="hosts.", dir=harness.scratch())) / "hosts"
        self.path.parent.chmod(0o755)
        self.path.touch()
        self.inside = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(self.path)]

    def resolve(self, name: str, *addresses: str) -> None:
        self.path.write_text("".join(f"{address} {name}\n" for address in addresses))


def may_mount() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "mount", "--bind", "/etc/hosts", "/etc/hosts"], capture_output=True).returncode == 0


@contextlib.contextmanager
def private_network() -> Iterator[Firewall]:
    """What this thread starts inside (threads, processes) has a loopback of its own, which goes with the last of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newnet = 0x40000000
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(clone_newnet) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield Firewall()
        finally:
            assert libc.setns(own, clone_newnet) == 0
    finally:
        os.close(own)


@dataclass
class Request:
    began: float
    took: float
    code: str  # SQLSTATE, "" where it worked, "closed" where nobody said why
    text: str = ""


@dataclass
class Clients:
    """Threads that connect, ask, and disconnect, over and over; `keep`: that ask over one connection as long as it lasts."""

    port: int
    count: int = 8
    keep: bool = False
    pause: float = 0  # between two requests; 0: as little as an application would
    options: dict[str, Any] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    waiting: dict[int, float] = field(default_factory=dict)
    stopping: bool = False

    def __post_init__(self) -> None:
        self.threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(self.count)]
        for thread in self.threads:
            thread.start()

    def _work(self, number: int) -> None:
        client: raw.Client | None = None
        while not self.stopping:
            began = time.monotonic()
            self.waiting[number] = began
            code, text, dead = "", "", False
            try:
                if client is None:
                    client = raw.Client(self.port)
                    client.socket.settimeout(60)
                    client.log_in(**self.options)
                error = raw.error_of(client.ask(raw.query("SELECT 1")))
                if error is not None:
                    code, text = error.get("C") or "", error.get("M") or ""
            except raw.LoginFailed as failed:
                code, text = failed.message.get("C") or "", failed.message.get("M") or ""
                dead = True
            except TimeoutError:
                code, dead = "hung", True
            except (raw.Closed, OSError):
                said = raw.error_of(client.received) if client is not None else None
                code, text = (said.get("C") or "", said.get("M") or "") if said is not None else ("closed", "")
                dead = True
            self.requests.append(Request(began, time.monotonic() - began, code, text))
            self.waiting.pop(number, None)
            if client is not None:
                client.received.clear()
                if dead or not self.keep:
                    client.socket.close()
                    client = None
            time.sleep(self.pause or (0.002 if not code else 0.01))
        if client is not None:
            client.socket.close()

    def since(self, when: float) -> list[Request]:
        return [r for r in list(self.requests) if r.began + r.took >= when]

    def stop(self, limit: float = 70) -> int:
        """How many did not come back."""
        self.stopping = True
        end = time.monotonic() + limit
        for thread in self.threads:
            thread.join(max(0.0, end - time.monotonic()))
        return sum(thread.is_alive() for thread in self.threads)


def runs(pid: int) -> bool:
    """Not what has ended, and waits for nobody but its parent: its sockets are closed."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"


def kill(server: harness.Daemon) -> None:
    """kill -9 of everything that is the server, at once: none of it sees the others die. All of it has ended afterwards."""
    signal_all(server, signal.SIGSTOP)
    family = children(server.pid)
    signal_all(server, signal.SIGKILL)
    assert server.process is not None
    server.process.wait()
    harness.wait_until(lambda: not any(runs(pid) for pid in family), "its processes have ended")
    if server in harness._running:
        harness._running.remove(server)


def wait_for_session(port: int, condition: Callable[[], bool] = lambda: True) -> None:
    def works() -> bool:
        try:
            with raw.Client(port) as client:
                return client.log_in().rows("SELECT 1") == [["1"]] and condition()
        except (raw.LoginFailed, raw.Closed, OSError):
            return False

    harness.wait_until(works, "a client is served")


def cancel_reaches(server: harness.Postgres, client: raw.Client) -> None:
    """What the client runs is run by this server, and the key that it has stops it there."""
    client.send(raw.query("SELECT pg_sleep(60)"))
    harness.wait_until(lambda: server.run("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")[0][0], "it sleeps")
    with raw.Client(client.port) as other:
        other.send(raw.cancel(client.pid, client.secret))
        other.until_closed()
    assert raw.error_of(client.until("Z")).get("C") == "57014"
