"""Throwaway servers for the integration tests, the demonstration and the benchmark.

Everything listens on 127.0.0.1, on ports that are free, and lives in one temporary directory.
Nothing here decides by time: `wait_until` waits for a condition, and its limit only bounds a failure.
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import json
import os
import pathlib
import pwd
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Iterable, TypeVar

import psycopg

ROOT = pathlib.Path(__file__).resolve().parent.parent
PG_BIN = pathlib.Path(os.environ.get("PGMEND_PG_BIN", "/usr/lib/postgresql/15/bin"))
BINARY = pathlib.Path(os.environ.get("PGMEND_BINARY", ROOT / "build" / "pgmend"))
HOST = "127.0.0.1"
#: Whether pgmend was built with the address sanitizer, which keeps freed memory for a while: nothing to measure.
SANITIZED = BINARY.exists() and b"__asan_init" in BINARY.read_bytes()
#: How long a condition may take before a test fails. Generous: sanitizers and busy machines are slow.
LIMIT = float(os.environ.get("PGMEND_TEST_LIMIT", "30"))
#: Login roles, named by the method that pg_hba.conf asks of them; the password of each is its name.
USERS = ("trust", "password", "md5", "scram")

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, limit: float = LIMIT) -> T:
    """The first true value of `condition`."""
    end = time.monotonic() + limit
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit:g} s in vain: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


# Each process that runs tests has a range of its own, below the ports that the kernel gives to clients: nobody takes a
# port between its choice and its use.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = random.Random(os.getpid()).sample(range(12000 + 2500 * _worker, 12000 + 2500 * (_worker + 1)), 2500)
_next_port = itertools.cycle(_ports)


def free_port() -> int:
    for port in itertools.islice(_next_port, len(_ports)):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((HOST, port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def can_connect(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 2).close()
        return True
    except OSError:
        return False


# A thousand clients here are two thousand descriptors in a proxy.
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL's programs refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam("postgres")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


_scratch: pathlib.Path | None = None
_running: list["Daemon"] = []


def scratch() -> pathlib.Path:
    """This process's temporary directory; removed at exit."""
    global _scratch
    if _scratch is None:
        _scratch = pathlib.Path(tempfile.mkdtemp(prefix="pgmend-test."))
        _scratch.chmod(0o755)
    return _scratch


@atexit.register
def clean_up() -> None:
    global _scratch
    for daemon in reversed(list(_running)):
        daemon.kill()
    if _scratch is not None:
        shutil.rmtree(_scratch, ignore_errors=True)
        _scratch = None


def stop_on_signals() -> None:
    """SIGTERM and SIGHUP end this process as Ctrl-C does: through its clean-up."""

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)


# ------------------------------------------------------------------------------------------------ certificates


class Certificates:
    """A certificate authority and what it signed, as PEM files of openssl."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        directory.mkdir(mode=0o755, exist_ok=True) # a test that is run again gets its fixtures again
        self.ca = directory / "ca.crt"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                      "-days", "30", "-subj", "/CN=pgmend test CA", "-keyout", "ca.key", "-out", "ca.crt")
        self.cert, self.key = self.issue("server", "localhost")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

    def issue(self, name: str, common_name: str) -> tuple[pathlib.Path, pathlib.Path]:
        """`name`.crt and `name`.key, valid for localhost and 127.0.0.1."""
        (self.directory / "san.cnf").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                      "-subj", f"/CN={common_name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", "30", "-extfile", "san.cnf", "-out", f"{name}.crt")
        return self.directory / f"{name}.crt", self.directory / f"{name}.key"


# ------------------------------------------------------------------------------------------------ processes


class Daemon:
    """A server that runs in the foreground as our child."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}.", dir=scratch()))
        self.directory.chmod(0o755)
        self.log_path = self.directory / "log"

    def spawn(self, command: list[str | os.PathLike[str]], **options: Any) -> None:
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, preexec_fn=_die_with_parent, **options)
        _running.append(self)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log_text(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_ready(self, limit: float = LIMIT) -> None:
        def ready() -> bool:
            if not self.alive():
                assert self.process is not None
                raise AssertionError(f"{self.name} ended with {self.process.returncode} at its start:\n{self.log_text()}")
            return can_connect(self.port)

        wait_until(ready, f"{self.name} accepts connections on port {self.port}", limit)

    def send_signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, limit: float = LIMIT) -> int:
        """The exit status."""
        assert self.process is not None
        try:
            status = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} (pid {self.pid}) still runs after {limit:g} s:\n{self.log_text()[-3000:]}") from None
        if self in _running:
            _running.remove(self)
        return status

    def stop(self, number: int = signal.SIGTERM, limit: float = LIMIT) -> int:
        if self.alive():
            self.send_signal(signal.SIGCONT)
            self.send_signal(number)
        try:
            return self.wait(limit)
        except AssertionError:
            self.kill()
            raise

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        if self in _running:
            _running.remove(self)

    # What /proc says. Memory in KiB.

    def status(self, field: str) -> int:
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise KeyError(field)

    def rss_kib(self) -> int:
        return self.status("VmRSS")

    def peak_rss_kib(self) -> int:
        return self.status("VmHWM")

    def forget_peak(self) -> None:
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def pss_kib(self) -> int:
        for line in pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
        raise KeyError("Pss")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def cpu_ns(self) -> int:
        """CPU time of all threads that live, from the scheduler's own nanoseconds."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except FileNotFoundError:
                pass
        return total


# ------------------------------------------------------------------------------------------------ PostgreSQL


class Postgres(Daemon):
    """A PostgreSQL cluster of our own. Superuser `postgres` (trust), login roles `USERS`, database `test`."""

    def __init__(self, settings: dict[str, Any] | None = None, certificates: Certificates | None = None) -> None:
        super().__init__("postgres")
        self.data = self.directory / "data"
        self.certificates = certificates
        self.settings: dict[str, Any] = {
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            "max_connections": 300,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "128MB",
            "max_wal_size": "4GB",
            "lc_messages": "C",
            "timezone": "UTC",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] %u@%d ",
            **(settings or {}),
        }
        account = _unprivileged()
        if account:
            os.chown(self.directory, account["user"], account["group"])
        subprocess.run([PG_BIN / "initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C",
                        "--no-sync", "--no-instructions"], check=True, capture_output=True, cwd="/", **account)
        if certificates is not None:
            for source, name in ((certificates.cert, "server.crt"), (certificates.key, "server.key"), (certificates.ca, "root.crt")):
                target = self.data / name
                shutil.copy(source, target)
                target.chmod(0o600)
                if account:
                    os.chown(target, account["user"], account["group"])
            self.settings |= {"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"}
        with open(self.data / "postgresql.auto.conf", "a") as f:
            for key, value in self.settings.items():
                f.write(f"{key} = '{value}'\n")
        (self.data / "pg_hba.conf").write_text("".join(
            f"host {database} {user} 127.0.0.1/32 {method}\n"
            for database in ("all", "replication")
            for user, method in (("postgres", "trust"), ("trust", "trust"), ("password", "password"), ("md5", "md5"),
                                 ("scram", "scram-sha-256"), ("all", "trust"))))
        self.start()
        self.run(*(f"SET password_encryption = '{'md5' if user == 'md5' else 'scram-sha-256'}';"
                   f"CREATE ROLE {user} LOGIN PASSWORD '{user}'" for user in USERS), "CREATE DATABASE test")

    def start(self) -> None:
        self.port = self.port or free_port()
        self.spawn([PG_BIN / "postgres", "-D", self.data, "-p", str(self.port)], cwd="/", **_unprivileged())
        self.wait_ready()

        def answers() -> bool:
            try:
                self.connect("postgres").close()
                return True
            except psycopg.OperationalError:
                return False

        wait_until(answers, "PostgreSQL answers")

    def connect(self, database: str = "test", **options: Any) -> "psycopg.Connection[Any]":
        """A connection past any proxy, as superuser, in autocommit."""
        return psycopg.connect(conninfo(self.port, database, **options), autocommit=True)

    def run(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Rows of the last statement."""
        with self.connect(database) as connection:
            rows: list[tuple[Any, ...]] = []
            for statement in statements:
                cursor = connection.execute(statement)
                while cursor.nextset():
                    pass
                rows = cursor.fetchall() if cursor.description else []
            return rows

    def stop(self, number: int = signal.SIGINT, limit: float = LIMIT) -> int:  # SIGINT: "fast" shutdown
        return super().stop(number, limit)


def conninfo(port: int, database: str = "test", user: str = "postgres", **options: Any) -> str:
    return psycopg.conninfo.make_conninfo(host=HOST, port=port, dbname=database, user=user, **options)


# ------------------------------------------------------------------------------------------------ proxies


def yaml(value: Any, indent: int = 0) -> str:
    """Block style for mappings and lists, JSON for scalars (JSON is YAML)."""
    pad = "  " * indent
    if isinstance(value, dict):
        lines = []
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines.append(f"{pad}{key}:\n{yaml(item, indent + 1)}")
            else:
                lines.append(f"{pad}{key}: {json.dumps(item)}\n")
        return "".join(lines)
    if isinstance(value, list):
        return "".join(f"{pad}-\n{yaml(item, indent + 1)}" if isinstance(item, dict) else f"{pad}- {json.dumps(item)}\n" for item in value)
    return f"{pad}{json.dumps(value)}\n"


class Pgmend(Daemon):
    """pgmend between the tests and a PostgreSQL.

    `listen`, `backend` and `other` are laid over the configuration that the tests begin with.
    """

    def __init__(self, postgres: Postgres, listen: dict[str, Any] | None = None, backend: dict[str, Any] | None = None,
                 control: str | None = None, start: bool = True, binary: pathlib.Path = BINARY, **other: Any) -> None:
        super().__init__("pgmend")
        self.binary = binary
        self._events: list[dict[str, Any]] = []
        self._log_read = 0 # bytes
        self.postgres = postgres
        self.port = free_port()
        self.inside: list[str] = []  # a command that begins another one where it shall run
        self.config_path = self.directory / "pgmend.yaml"
        self.config: dict[str, Any] = {
            "listen": {"address": HOST, "port": self.port, **(listen or {})},
            "backends": [{"name": "primary", "host": HOST, "port": postgres.port, "tls": {"mode": "disable"}, "connect_timeout": f"{LIMIT:g}s",
                          **(backend or {})}],
            "log": {"format": "json", "level": "info"},
            **({"control": control} if control is not None else {}),
            **other,
        }
        self.write_config()
        if start:
            self.start()

    def write_config(self) -> None:
        self.config_path.write_text(yaml(self.config))

    def start(self) -> None:
        if not os.access(self.binary, os.X_OK):
            raise AssertionError(f"{self.binary} is not there: build it, or set PGMEND_BINARY")
        self.spawn([*self.inside, self.binary, "serve", "-c", self.config_path], cwd=self.directory)
        self.wait_ready()

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The log so far, or its events of one name."""
        with open(self.log_path, "rb") as log:
            log.seek(self._log_read)
            data = log.read()
        whole = data[:data.rfind(b"\n") + 1]
        self._log_read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if line.startswith("{") and line.endswith("}"):
                self._events.append(json.loads(line))
        return [event for event in self._events if name is None or event.get("event") == name]

    def wait_for_event(self, name: str, where: Callable[[dict[str, Any]], bool] = lambda _: True, limit: float = LIMIT) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            return next((event for event in self.events(name) if where(event)), None)

        try:
            return wait_until(look, f"log event {name}", limit)
        except AssertionError as failure:
            raise AssertionError(f"{failure}; the log's end:\n{self.log_text()[-3000:]}") from None

    def reload(self) -> None:
        self.send_signal(signal.SIGHUP)

    def finish(self) -> None:
        """It must still run, and stop as it promises: SIGTERM, exit status 0."""
        if not self.alive():
            assert self.process is not None
            raise AssertionError(f"pgmend ended by itself with {self.process.returncode}:\n{self.log_text()[-3000:]}")
        status = self.stop()
        assert status == 0, f"pgmend exited with {status}:\n{self.log_text()[-3000:]}"


class PgBouncer(Daemon):
    """PgBouncer in session mode, without TLS; every client is trusted."""

    def __init__(self, postgres: Postgres, users: Iterable[str] = ("postgres", *USERS), pool_size: int = 280, other: str = "") -> None:
        super().__init__("pgbouncer")
        self.port = free_port()
        (self.directory / "users.txt").write_text("".join(f'"{user}" "{user}"\n' for user in users))
        (self.directory / "pgbouncer.ini").write_text(f"""[databases]
* = host={HOST} port={postgres.port}
[pgbouncer]
listen_addr = {HOST}
listen_port = {self.port}
unix_socket_dir =
auth_type = trust
auth_file = {self.directory}/users.txt
pool_mode = session
server_reset_query = DISCARD ALL
default_pool_size = {pool_size}
max_client_conn = 2000
ignore_startup_parameters = extra_float_digits,options
log_connections = 0
log_disconnections = 0
server_tls_sslmode = disable
{other}
""")
        self.start()

    def start(self) -> None:
        account = _unprivileged()
        for path in (self.directory, *self.directory.iterdir()):
            if account:
                os.chown(path, account["user"], account["group"])
        self.spawn(["/usr/sbin/pgbouncer", self.directory / "pgbouncer.ini"], **account)
        self.wait_ready()


class HAProxy(Daemon):
    """HAProxy in TCP mode with one thread, or as many as given."""

    def __init__(self, postgres: Postgres, threads: int = 1) -> None:
        super().__init__("haproxy")
        self.port = free_port()
        (self.directory / "haproxy.cfg").write_text(f"""global
  maxconn 4000
  nbthread {threads}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen postgres
  bind {HOST}:{self.port}
  server primary {HOST}:{postgres.port}
""")
        self.spawn(["/usr/sbin/haproxy", "-db", "-f", self.directory / "haproxy.cfg"])
        self.wait_ready()


# ------------------------------------------------------------------------------------------------ programs


def know(proxy: Pgmend, database: str = "test") -> None:
    """Until pgmend has read the catalog as it is now: what it read at its start, or is reading, may be older."""
    with psycopg.connect(conninfo(proxy.port, database), autocommit=True) as app, \
         psycopg.connect(conninfo(proxy.port, "pgmend"), autocommit=True) as admin:
        def loads() -> int:
            cursor = admin.execute("SHOW SCHEMA")
            names = [column.name for column in cursor.description or ()]
            rows = [dict(zip(names, values)) for values in cursor.fetchall()]
            return next((row["loads"] for row in rows if row["database"] == database and row["version"] is not None), 0)

        before = loads()

        def read_anew() -> bool:
            app.execute(f'ALTER DATABASE "{database}" RESET ALL')  # its command tag calls for a reading, and one may be under way
            return loads() >= before + 2

        wait_until(read_anew, f"the schema of {database} is known")


def psql(port: int, script: str, *options: str, database: str = "test", user: str = "postgres",
         check: bool = True, env: dict[str, str] | None = None, **parameters: Any) -> "subprocess.CompletedProcess[str]":
    """Runs a psql script. `options` go to psql itself, `parameters` into the connection string."""
    command = [str(PG_BIN / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *options,
               "-d", conninfo(port, database, user, **parameters), "-f", "-"]
    return run(command, script, check=check, env=env)


def run(command: list[Any], stdin: str = "", check: bool = True, env: dict[str, str] | None = None, limit: float = 300,
        **options: Any) -> "subprocess.CompletedProcess[str]":
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PG") or key.startswith("PGMEND")}
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=limit, env=clean | (env or {}), **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\nexit status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done
