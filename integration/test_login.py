"""Who gets in, and how: each authentication method, with and without TLS on either side, from each driver."""

from __future__ import annotations

import asyncio
import ssl

import asyncpg
import psycopg
import pytest

import harness
import raw
from test_relay_node import node


@pytest.fixture(scope="module", params=("plain", "tls"))
def server_side(request, postgres, certificates):
    """Port of a server to log in to, and whether it reaches PostgreSQL over TLS (None: as the client does)."""
    kind = request.config.getoption("--target")
    if kind != "pgmend":
        if kind == "pgbouncer" or request.param == "tls":
            pytest.skip("needs pgmend")
        yield postgres.port, None
        return
    proxy = harness.Pgmend(postgres, listen={"tls": {"mode": "prefer", "cert": str(certificates.cert), "key": str(certificates.key)}},
                           backend={"tls": {"mode": "disable" if request.param == "plain" else "require"}})
    yield proxy.port, request.param == "tls"
    proxy.finish()


@pytest.mark.parametrize("user", harness.USERS)
@pytest.mark.parametrize("client_tls", (False, True), ids=("plain", "tls"))
def test_psycopg(server_side, client_tls, user):
    port, server_tls = server_side
    info = harness.conninfo(port, user=user, password=user, sslmode="require" if client_tls else "disable")
    if client_tls and server_tls and user == "scram":
        with pytest.raises(psycopg.OperationalError, match="channel_binding"):
            psycopg.connect(info)
        info += " channel_binding=disable"
    with psycopg.connect(info) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)
        if server_tls is not None:
            assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (server_tls,)


@pytest.mark.parametrize("user", harness.USERS)
@pytest.mark.parametrize("client_tls", (False, True), ids=("plain", "tls"))
def test_asyncpg(server_side, certificates, client_tls, user):
    port, _ = server_side
    context = ssl.create_default_context(cafile=certificates.ca) if client_tls else False

    async def check() -> None:
        connection = await asyncpg.connect(host=harness.HOST, port=port, user=user, password=user, database="test", ssl=context)
        assert await connection.fetchval("SELECT current_user") == user
        await connection.close()

    asyncio.run(check())


@pytest.mark.parametrize("user", harness.USERS)
@pytest.mark.parametrize("client_tls", (False, True), ids=("plain", "tls"))
def test_node_postgres(server_side, client_tls, user):
    port, _ = server_side
    tls = {"ssl": {"rejectUnauthorized": False}} if client_tls else {}
    assert node(port, "test", "simple", "prepared", "copy", user=user, password=user, **tls).count("ok") == 3


@pytest.mark.session
@pytest.mark.parametrize("user", ("password", "md5", "scram"))
def test_a_wrong_password_is_refused_in_the_servers_words(target, postgres, user):
    errors = []
    for port in (postgres.port, target.port):
        with pytest.raises(psycopg.OperationalError) as error:
            psycopg.connect(harness.conninfo(port, user=user, password="wrong", sslmode="disable"))
        errors.append(str(error.value).replace(str(port), "PORT"))
    assert errors[0] == errors[1] and "password authentication failed" in errors[0]


@pytest.mark.session
@pytest.mark.parametrize("pairs", (
    [("user", "nobody"), ("database", "test")],
    [("user", "trust"), ("database", "nowhere")],
    [("user", "trust")],
    [("database", "test")],
    [("user", ""), ("database", "test")],
    [("user", "trust"), ("database", "test"), ("client_encoding", "klingon")],
    [("user", "trust"), ("database", "test"), ("no_such_setting", "1")],
    [("user", "trust"), ("database", "test"), ("options", "-c work_mem=lots")],
    [("user", "trust"), ("database", "test"), ("log_connections", "on")],
    [("user", "trust"), ("database", "test"), ("replication", "perhaps")],
    [("user", "trust"), ("database", "test"), ("replication", "true")],
), ids=str)
def test_log_ins_that_fail_do_so_in_the_servers_words(target, postgres, pairs):
    def failure(port: int) -> list:
        with raw.Client(port) as client:
            with pytest.raises(raw.LoginFailed) as error:
                client.start(raw.V3_0, pairs)
            rest = client.until_closed()
            return [*error.value.message.fields(), rest]

    assert failure(target.port) == failure(postgres.port)


@pytest.mark.session
def test_startup_parameters_of_every_kind(target):
    with raw.Client(target.port) as client:
        client.log_in(application_name="a" * 3000, extra_float_digits="2", search_path="nowhere, public", DateStyle="SQL, DMY",
                      options="-c work_mem=3MB -c geqo=off")
        assert client.rows("SELECT current_setting('work_mem'), current_setting('geqo'), current_setting('search_path'), current_setting('datestyle')") == [
            ["3MB", "off", "nowhere, public", "SQL, DMY"]]


@pytest.mark.session
def test_the_database_is_the_users_name_where_none_is_given(target, postgres):
    postgres.run("CREATE ROLE \"Odd 'name\" LOGIN", "CREATE DATABASE \"Odd 'name\"")
    try:
        with raw.Client(target.port) as client:
            client.start(raw.V3_0, [("user", "Odd 'name")])
            assert client.rows("SELECT current_database(), current_user") == [["Odd 'name", "Odd 'name"]]
    finally:
        postgres.run("DROP DATABASE \"Odd 'name\" WITH (FORCE)", "DROP ROLE \"Odd 'name\"")


def test_require_refuses_plain_connections(start_pgmend, certificates):
    proxy = start_pgmend(listen={"tls": {"mode": "require", "cert": str(certificates.cert), "key": str(certificates.key)}})
    with raw.Client(proxy.port) as client, pytest.raises(raw.LoginFailed) as error:
        client.log_in()
    assert error.value.message.get("S") == "FATAL" and error.value.message.get("C") == "28000"
    with psycopg.connect(harness.conninfo(proxy.port, user="trust", sslmode="verify-full", sslrootcert=str(certificates.ca))) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_client_certificates(start_pgmend, certificates):
    certificate, key = certificates.issue("client", "trust")
    for mode, user, expected in (("verify-ca", "trust", True), ("verify-ca", "postgres", True), ("verify-full", "trust", True), ("verify-full", "postgres", False)):
        proxy = start_pgmend(listen={"tls": {"mode": mode, "cert": str(certificates.cert), "key": str(certificates.key), "ca": str(certificates.ca)}})
        base = harness.conninfo(proxy.port, user=user, sslmode="verify-full", sslrootcert=str(certificates.ca))
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(base + " sslcert=/nowhere sslkey=/nowhere")
        key.chmod(0o600)
        information = base + f" sslcert={certificate} sslkey={key}"
        if expected:
            psycopg.connect(information).close()
        else:
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(information)


def test_the_servers_certificate_is_verified(start_pgmend, certificates, tmp_path):
    proxy = start_pgmend(backend={"tls": {"mode": "verify-full", "ca": str(certificates.ca)}})
    with psycopg.connect(harness.conninfo(proxy.port, user="trust")) as connection:
        assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
    (tmp_path / "other").mkdir()
    stranger = harness.Certificates(tmp_path / "other" / "ca")
    proxy = start_pgmend(backend={"tls": {"mode": "verify-full", "ca": str(stranger.ca)}})
    with pytest.raises(psycopg.OperationalError, match="(?i)certificate"):
        psycopg.connect(harness.conninfo(proxy.port, user="trust"))


def test_a_server_without_tls(start_pgmend):
    server = harness.Postgres()
    try:
        proxy = start_pgmend(server=server, backend={"tls": {"mode": "prefer"}})
        with psycopg.connect(harness.conninfo(proxy.port, user="scram", password="scram")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        strict = start_pgmend(server=server, backend={"tls": {"mode": "require"}})
        with pytest.raises(psycopg.OperationalError, match="(?i)tls|ssl"):
            psycopg.connect(harness.conninfo(strict.port, user="trust"))
        proxy.finish()
        strict.finish()
    finally:
        server.stop()
