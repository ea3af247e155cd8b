"""Fixtures. `--target` puts another server in pgmend's place, to try the tests themselves."""

from __future__ import annotations

import itertools
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import harness  # noqa: E402
from shop import Shop  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--target", default="pgmend", choices=("pgmend", "direct", "pgbouncer"),
                     help="what the clients connect to (default: pgmend)")


def pytest_configure(config: pytest.Config) -> None:
    harness.stop_on_signals()
    config.addinivalue_line("markers", "pgmend: needs pgmend itself; skipped with another --target")
    config.addinivalue_line("markers", "proxy: needs a proxy of some kind")
    config.addinivalue_line("markers", "session: needs a target that is no pooler")
    config.addinivalue_line("markers", "slow: takes long, or measures: not with sanitizers")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    target = config.getoption("--target")
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if target != "pgmend" and (item.get_closest_marker("pgmend") or fixtures & {"start_pgmend", "healer"}):
            item.add_marker(pytest.mark.skip(reason="needs pgmend"))
        if target == "direct" and item.get_closest_marker("proxy"):
            item.add_marker(pytest.mark.skip(reason="needs a proxy"))
        if target == "pgbouncer" and item.get_closest_marker("session"):
            item.add_marker(pytest.mark.skip(reason="PgBouncer does this otherwise"))


@pytest.fixture(scope="session")
def certificates() -> harness.Certificates:
    return harness.Certificates(harness.scratch() / "certificates")


@pytest.fixture(scope="session")
def postgres(certificates: harness.Certificates) -> Iterator[harness.Postgres]:
    """One cluster for all tests, with TLS, and logical decoding."""
    server = harness.Postgres({"wal_level": "logical", "max_wal_senders": 10, "max_replication_slots": 10}, certificates)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, postgres: harness.Postgres, certificates: harness.Certificates) -> Iterator[harness.Daemon]:
    """What the clients of most tests connect to: pgmend offering TLS, speaking plainly to PostgreSQL, healing."""
    kind = request.config.getoption("--target")
    if kind == "direct":
        yield postgres
        return
    if kind == "pgbouncer":
        bouncer = harness.PgBouncer(postgres)
        yield bouncer
        bouncer.stop()
        return
    proxy = harness.Pgmend(postgres, listen={"tls": {"mode": "prefer", "cert": str(certificates.cert), "key": str(certificates.key)}},
                           control="user=postgres")
    yield proxy
    proxy.finish()


@pytest.fixture(autouse=True)
def servers_survive() -> Iterator[None]:
    """A test during which a shared pgmend ended has failed; the tests after it get a new one."""
    yield
    for daemon in list(harness._running):
        if isinstance(daemon, harness.Pgmend) and not daemon.alive():
            assert daemon.process is not None
            status, log = daemon.process.returncode, daemon.log_text()[-6000:]
            harness._running.remove(daemon)
            daemon.start()
            pytest.fail(f"pgmend ended by itself with {status}:\n{log}")


@pytest.fixture
def start_pgmend(postgres: harness.Postgres) -> Iterator[Callable[..., harness.Pgmend]]:
    """Starts a pgmend with settings of the test's own; what still runs at the end must stop properly."""
    started: list[harness.Pgmend] = []

    def start(*arguments: Any, server: harness.Postgres | None = None, **options: Any) -> harness.Pgmend:
        proxy = harness.Pgmend(server or postgres, *arguments, **options)
        started.append(proxy)
        return proxy

    yield start
    for proxy in started:
        if proxy in harness._running:
            proxy.finish()


@pytest.fixture(scope="module")
def healer(postgres: harness.Postgres) -> Iterator[harness.Pgmend]:
    """A pgmend that heals, for all tests of a module."""
    proxy = harness.Pgmend(postgres, control="user=postgres", log={"format": "json", "level": "debug"})
    yield proxy
    proxy.finish()


@pytest.fixture
def shop(request: pytest.FixtureRequest, healer: harness.Pgmend, postgres: harness.Postgres, database: str) -> Shop:
    """With the module's SCHEMA, which the healer has seen."""
    postgres.run(request.module.SCHEMA, database=database)
    made = Shop(healer, postgres, database)
    made.known()
    return made


_names = itertools.count(1)


@pytest.fixture
def database(postgres: harness.Postgres) -> Iterator[str]:
    """A database of the test's own, in which every role may do what it likes."""
    name = f"db{next(_names)}"
    postgres.run(f"CREATE DATABASE {name}")
    postgres.run("GRANT ALL ON SCHEMA public TO PUBLIC", database=name)
    yield name
    postgres.run(f"DROP DATABASE {name} WITH (FORCE)")


def pytest_terminal_summary(terminalreporter) -> None:
    """What tests that were run once more (`--reruns`) had said the first time."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.write_sep("_", f"failed once: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
