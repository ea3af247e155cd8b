"""The console as people and drivers use it: psql, psycopg, asyncpg, and what is no client at all."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
from typing import Any

import asyncpg
import psycopg
import pytest

import harness

pytestmark = pytest.mark.pgmend


def psql(port: int, *commands: str, user: str = "postgres", database: str = "pgmend", password: str = "") -> subprocess.CompletedProcess[str]:
    arguments = [a for c in commands for a in ("-c", c)]
    return subprocess.run([harness.PG_BIN / "psql", "-X", "-w", "-A", "-t", "-h", harness.HOST, "-p", str(port), "-U", user, *arguments, database],
                          capture_output=True, text=True, env={"PGPASSWORD": password, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, timeout=harness.LIMIT)


def console(port: int, **options: Any) -> "psycopg.Connection[Any]":
    return psycopg.connect(harness.conninfo(port, "pgmend"), autocommit=True, **options)


@pytest.fixture
def proxy(start_pgmend: Any) -> harness.Pgmend:
    return start_pgmend(control="user=postgres")


def test_psql_is_understood_and_its_own_queries_get_one_clear_line(proxy: harness.Pgmend) -> None:
    done = psql(proxy.port, "SHOW VERSION; show help", "show patterns")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pgmend ") and "APPROVE PATTERN n" in done.stdout
    wrong = psql(proxy.port, r"\d")
    assert wrong.stderr == "ERROR:  this is pgmend's console, which understands no SQL: SHOW HELP lists its commands\n"
    assert 'did you mean "SHOW DATABASES"?' in psql(proxy.port, "SHOW DATABASE").stderr
    assert 'no command "APPROVE"; there is APPROVE PATTERN n' in psql(proxy.port, "approve 7").stderr
    assert "there is DISABLE BREAKER name" in psql(proxy.port, "DISABLE test").stderr
    assert 'the console has no command "RECONNECT"' in psql(proxy.port, "RECONNECT").stderr
    for command in ("PAUSE", "RESUME", "KILL"): # a name that nobody uses may be a mistake
        done = psql(proxy.port, f"{command} nosuch")
        assert done.returncode == 0 and done.stderr == 'NOTICE:  no client is connected to database "nosuch" now\n', done.stderr
    proxy.wait_for_event("client.disconnected", lambda e: e["database"] == "pgmend" and e["application_name"] == "psql")
    assert psql(proxy.port, "SHOW VERSION", database="pgbouncer").stdout == psql(proxy.port, "SHOW VERSION").stdout


def test_only_listed_users_come_in_and_the_backend_authenticates_them(start_pgmend: Any) -> None:
    proxy = start_pgmend(admin={"users": ["scram", "md5", "password"]})
    refused = psql(proxy.port, "SHOW VERSION", user="postgres")
    assert 'user "postgres" may not use pgmend\'s console' in refused.stderr
    with pytest.raises(psycopg.OperationalError) as caught:
        console(proxy.port)
    assert "admin.users" in str(caught.value)
    for user in ("scram", "md5", "password"):
        assert psql(proxy.port, "SHOW VERSION", user=user, password=user).stdout.startswith("pgmend ")
        wrong = psql(proxy.port, "SHOW VERSION", user=user, password="wrong")
        assert "password authentication failed" in wrong.stderr and wrong.stdout == ""
        assert psql(proxy.port, "SHOW VERSION", user=user).returncode != 0
    proxy.wait_for_event("client.rejected", lambda e: e["database"] == "pgmend")


def test_psycopg_in_simple_and_extended_protocol(proxy: harness.Pgmend) -> None:
    with console(proxy.port) as connection:
        simple = connection.execute("SHOW CLIENTS").fetchall()
        extended = connection.execute("SHOW CLIENTS", prepare=True).fetchall()
        binary = connection.cursor(binary=True).execute("SHOW CLIENTS").fetchall()
        assert simple == extended == binary and len(simple) == 1
        assert isinstance(simple[0][5], int)
        for _ in range(20):
            connection.execute("SHOW VERSION", prepare=True)
        with pytest.raises(psycopg.errors.SyntaxError, match="did you mean"):
            connection.execute("SHOW VERSIN", prepare=True)
        assert connection.execute("SHOW LISTS").fetchone() == ("databases", 1)
    with psycopg.connect(harness.conninfo(proxy.port, "pgmend")) as transaction:  # BEGIN and COMMIT by themselves
        assert transaction.execute("SHOW VERSION").fetchone()[0].startswith("pgmend ")


def test_asyncpg(proxy: harness.Pgmend) -> None:
    async def use() -> None:
        connection = await asyncpg.connect(host=harness.HOST, port=proxy.port, user="postgres", database="pgmend", ssl=False)
        try:
            rows = await connection.fetch("SHOW LISTS")
            assert dict(rows[4].items()) == {"list": "used_clients", "items": 1}
            prepared = await connection.prepare("SHOW PATTERNS")
            assert [a.name for a in prepared.get_attributes()][:3] == ["id", "database", "pattern"]
            assert await prepared.fetch() == []
            with pytest.raises(asyncpg.exceptions.FeatureNotSupportedError, match="SHOW HELP"):
                await connection.fetch("SELECT 1")
            assert (await connection.fetchval("SHOW VERSION")).startswith("pgmend ")
        finally:
            await connection.close()

    asyncio.run(use())


def test_schema_changes_sessions_and_databases_are_shown(proxy: harness.Pgmend, postgres: harness.Postgres, database: str) -> None:
    with psycopg.connect(harness.conninfo(proxy.port, database, application_name="shop-app"), autocommit=True) as app, console(proxy.port) as admin:
        harness.know(proxy, database)
        app.execute("CREATE TABLE users (id int, email text)")
        harness.wait_until(lambda: [row for row in admin.execute("SHOW CHANGES").fetchall() if row[0] == database and row[4] == "table public.users added"],
                           "the change is shown")
        assert any(row[0] == database and row[1] >= 1 for row in admin.execute("SHOW SCHEMA").fetchall())
        assert {row[17] for row in admin.execute("SHOW CLIENTS").fetchall()} >= {"shop-app"}
        pid = app.execute("SELECT pg_backend_pid()").fetchone()[0]
        harness.wait_until(lambda: [row[15] for row in admin.execute("SHOW SERVERS").fetchall()] == [pid], "sessions of earlier tests are gone")
        assert [row[10] for row in admin.execute("SHOW DATABASES").fetchall() if row[0] == database] == [1]
        assert [row[2] for row in admin.execute("SHOW POOLS").fetchall() if row[0] == database] == [1]


def test_the_console_has_no_server_connection_of_its_own(proxy: harness.Pgmend, postgres: harness.Postgres) -> None:
    with console(proxy.port, application_name="console-test"):
        harness.wait_until(lambda: postgres.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'console-test'") == [(0,)],
                           "the connection that authenticated is gone")


def test_reload_says_what_is_wrong_with_the_file(proxy: harness.Pgmend) -> None:
    with console(proxy.port) as admin:
        admin.execute("RELOAD")
        good = proxy.config_path.read_text()
        proxy.config_path.write_text(good + "heeling: {}\n")
        with pytest.raises(psycopg.DatabaseError, match=r'nothing was changed: .*did you mean "healing"') as caught:
            admin.execute("RELOAD")
        assert caught.value.sqlstate == "F0000"
        proxy.config_path.write_text(good + "admin: { users: [trust] }\n")
        admin.execute("RELOAD")
        assert "users trust" in str(admin.execute("SHOW CONFIG").fetchall())
    assert psql(proxy.port, "SHOW VERSION").returncode != 0
    assert psql(proxy.port, "SHOW VERSION", user="trust").returncode == 0


def test_shutdown_ends_after_the_transaction_under_way(start_pgmend: Any) -> None:
    proxy = start_pgmend()
    app = psycopg.connect(harness.conninfo(proxy.port, "test"))
    app.execute("SELECT 1")
    other = console(proxy.port)
    with console(proxy.port) as admin:
        admin.execute("SHUTDOWN")
    harness.wait_until(lambda: not harness.can_connect(proxy.port), "no new clients")
    with pytest.raises(psycopg.OperationalError):
        other.execute("SHOW VERSION")
    app.execute("SELECT 2")
    app.commit()
    assert proxy.wait() == 0


def frame(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def raw_console(port: int) -> socket.socket:
    connection = socket.create_connection((harness.HOST, port), harness.LIMIT)
    body = struct.pack("!I", 3 << 16) + b"user\0postgres\0database\0pgmend\0replication\0true\0\0"
    connection.sendall(struct.pack("!I", len(body) + 4) + body)
    read = b""
    while not read.endswith(b"Z\0\0\0\5I"):
        part = connection.recv(65536)
        assert part, read
        read += part
    return connection


def read_to_end(connection: socket.socket) -> bytes:
    out = b""
    while part := connection.recv(65536):
        out += part
    return out


@pytest.mark.parametrize("bytes_sent", [b"GET / HTTP/1.0\r\n\r\n", frame(b"Q", b"no end"), b"Q\x7f\xff\xff\xff", b"P\0\0\0\1", frame(b"B", b"\xff" * 40),
                                        frame(b"Q", b"x" * 100_000 + b"\0")])
def test_what_is_no_protocol_ends_that_session_only(proxy: harness.Pgmend, bytes_sent: bytes) -> None:
    with console(proxy.port) as admin, raw_console(proxy.port) as connection:
        connection.sendall(bytes_sent)
        assert b"C08P01\0" in read_to_end(connection)
        assert admin.execute("SHOW VERSION").fetchone()


def test_clients_that_leave_in_the_middle_or_never_read_leave_nothing_behind(proxy: harness.Pgmend) -> None:
    with console(proxy.port) as admin:
        admin.execute("SHOW VERSION")
        before = proxy.descriptors()
        for sent in (b"Q\0\0", frame(b"P", b"\0SHOW HELP\0\0\0"), frame(b"Q", b"SHOW HELP\0") * 20000):
            connection = raw_console(proxy.port)
            connection.setblocking(False)
            try:
                connection.send(sent)
            except BlockingIOError:
                pass
            assert admin.execute("SHOW VERSION").fetchone()
            connection.close()
        harness.wait_until(lambda: proxy.descriptors() <= before, "their connections are gone")


def patterns(admin: "psycopg.Connection[Any]", database: str) -> list[tuple[Any, ...]]:
    return [row for row in admin.execute("SHOW PATTERNS").fetchall() if row[1] == database]


def test_suspending_an_active_pattern_holds_from_the_next_statement_on(proxy: harness.Pgmend, postgres: harness.Postgres, database: str) -> None:
    postgres.run("CREATE TABLE users (id int, email text)", database=database)
    with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as app, console(proxy.port) as admin:
        harness.know(proxy, database)
        app.execute("ALTER TABLE users RENAME email TO mail")
        app.execute("SELECT email FROM users")
        (active,) = harness.wait_until(lambda: patterns(admin, database), "the heal is a pattern")
        assert active[4] == "active" and active[3] == "lineage" and active[6] >= 1
        for _ in range(3):
            admin.execute(f"SUSPEND PATTERN {active[0]}")
            with pytest.raises(psycopg.errors.UndefinedColumn):
                app.execute("SELECT email FROM users")
            admin.execute(f"RESUME PATTERN {active[0]}")
            app.execute("SELECT email FROM users")


def test_an_approved_proposal_heals_the_next_statement(proxy: harness.Pgmend, postgres: harness.Postgres, database: str) -> None:
    postgres.run("CREATE TABLE users (id int, email text, legacy text)", "INSERT INTO users VALUES (1, 'a', 'b')", database=database)
    with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as app, console(proxy.port) as admin:
        harness.know(proxy, database)
        app.execute("ALTER TABLE users DROP COLUMN legacy")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            app.execute("SELECT id, legacy FROM users")
        (proposed,) = harness.wait_until(lambda: patterns(admin, database), "the heal is proposed")
        assert proposed[4] == "proposed"
        admin.execute(f"APPROVE PATTERN {proposed[0]}")
        assert app.execute("SELECT id, legacy FROM users").fetchall() == [(1, None)]
        (approved,) = patterns(admin, database)
        assert approved[4] == "active" and approved[3] == "approved"
