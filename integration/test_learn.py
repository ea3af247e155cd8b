"""`pgmend learn`: what migrations say of old names is compared with the database, kept, and heals as evidence of its own."""

from __future__ import annotations

import pathlib
import subprocess
from typing import Any

import psycopg
import pytest

import harness

pytestmark = pytest.mark.pgmend

MIGRATIONS = {
    "20240101000000_users.up.sql": "\ufeffBEGIN;\r\nCREATE TABLE users (id int PRIMARY KEY, email text, state text);\r\nCOMMIT;\r\n",
    "20240101000000_users.down.sql": "DROP TABLE users;",
    "20240102000000_mood.sql": "-- +goose Up\nCREATE TYPE mood AS ENUM ('sad', 'ok');\n-- +goose StatementBegin\n"
                               "CREATE FUNCTION total(int) RETURNS int LANGUAGE sql AS $$ SELECT $1; $$;\n-- +goose StatementEnd\n"
                               "-- +goose Down\nDROP TYPE mood;\nALTER TABLE users RENAME email TO wrong;\n",
    "20240103000000_rename.sql": "\\set ON_ERROR_STOP on\nALTER TABLE users RENAME COLUMN email TO mail;\nALTER TABLE users DROP COLUMN state;\n"
                                 "ALTER TYPE mood RENAME VALUE 'sad' TO 'low';\nALTER FUNCTION total RENAME TO sum_up;\n",
    "20240104000000_move.sql": "CREATE SCHEMA crm;\nALTER TABLE users RENAME TO clients;\nALTER TABLE clients SET SCHEMA crm;\nALTER TABLE crm.clients RENAME mail TO address;\n",
    "20240105000000_more.sql": "DO $$ BEGIN EXECUTE 'ALTER TABLE x RENAME TO y'; END $$;\nALTER TABLE nowhere RENAME TO anywhere;\n",
    "seed.sql": "INSERT INTO users VALUES (1);",
}


@pytest.fixture
def migrations(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    for name, text in MIGRATIONS.items():
        (folder / name).write_bytes(text.encode())
    return folder


def learn(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([harness.BINARY, "learn", *arguments], capture_output=True, text=True)


def test_old_names_of_migrations_heal_a_database_that_pgmend_never_saw_change(
        postgres: harness.Postgres, database: str, migrations: pathlib.Path, tmp_path: pathlib.Path, start_pgmend: Any) -> None:
    postgres.run("CREATE SCHEMA crm", "CREATE TABLE crm.clients (id int PRIMARY KEY, address text)", "INSERT INTO crm.clients VALUES (1, 'a@b')",
                 "CREATE TYPE mood AS ENUM ('low', 'ok')", "CREATE FUNCTION sum_up(int) RETURNS int LANGUAGE sql AS 'SELECT $1'", database=database)
    state = tmp_path / "pgmend.db"
    proxy = start_pgmend(control="user=postgres", state=str(state), log={"format": "json", "level": "debug"})
    with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as client:
        with pytest.raises(psycopg.errors.UndefinedTable):
            client.execute("SELECT email FROM users")

        done = learn("--migrations", str(migrations), "--database", database, "--state", str(state), "--backend", f"{harness.HOST}:{postgres.port}",
                     "--control", "user=postgres")
        assert done.returncode == 0, done.stderr
        assert "20240103000000_rename.sql:2: column crm.clients.email is now address" in done.stdout
        assert "20240104000000_move.sql:2: public.users is now crm.clients" in done.stdout
        assert "20240103000000_rename.sql:3: column crm.clients.state: dropped" in done.stdout
        assert "there is no public.anywhere in the database" in done.stdout
        assert done.stderr.splitlines() == ["20240105000000_more.sql:1: not read: a DO block that may change names",
                                            "seed.sql: not read: its name has no number, so when it is run is not known"]

        with psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True) as console:
            console.execute("RELOAD")
        cursor = client.execute("SELECT email FROM users WHERE id = 1")
        assert (cursor.description[0].name, cursor.fetchall()) == ("email", [("a@b",)])
        client.execute("UPDATE users SET email = 'c@d' WHERE id = 1")
        assert client.execute("SELECT u.mail, total(2) FROM users u").fetchall() == [("c@d", 2)]
        assert client.execute("SELECT 'sad'::mood::text").fetchall() == [("low",)]
        harness.wait_until(lambda: {e["evidence"] for e in proxy.events("statement.healed")} == {"migration"}, "the heals are told")
    with psycopg.connect(harness.conninfo(proxy.port, "postgres"), autocommit=True) as other:
        with pytest.raises(psycopg.errors.UndefinedTable):  # learned for another database
            other.execute("SELECT email FROM users")


def test_a_shared_state_keeps_what_was_learned(postgres: harness.Postgres, database: str, migrations: pathlib.Path, start_pgmend: Any) -> None:
    postgres.run("CREATE SCHEMA crm", "CREATE TABLE crm.clients (id int PRIMARY KEY, address text)", "INSERT INTO crm.clients VALUES (1, 'a@b')", database=database)
    postgres.run("CREATE DATABASE learned")
    state = f"postgresql://postgres@{harness.HOST}:{postgres.port}/learned"
    try:
        proxy = start_pgmend(control="user=postgres", state=state, log={"format": "json", "level": "debug"})
        with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as client:
            with pytest.raises(psycopg.errors.UndefinedTable):
                client.execute("SELECT email FROM users")
            for _ in range(2):  # the second one in place of the first
                done = learn("--migrations", str(migrations), "--database", database, "--state", state, "--backend", f"{harness.HOST}:{postgres.port}",
                             "--control", "user=postgres")
                assert done.returncode == 0, done.stderr
                assert "kept in the PostgreSQL state" in done.stdout
            assert postgres.run("SELECT database FROM pgmend.learned_rules", database="learned") == [(database,)]
            reload = lambda: psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True).execute("RELOAD")  # noqa: E731
            reload()
            assert client.execute("SELECT email FROM users WHERE id = 1").fetchall() == [("a@b",)]
            harness.wait_until(lambda: {e["evidence"] for e in proxy.events("statement.healed")} == {"migration"}, "the heals are told")
            # A state that does not answer takes nothing away.
            postgres.run("ALTER DATABASE learned ALLOW_CONNECTIONS false", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'learned'")
            reload()
            assert client.execute("SELECT email FROM users WHERE id = 1").fetchall() == [("a@b",)]
        proxy.stop()
    finally:
        postgres.run("DROP DATABASE learned WITH (FORCE)")


def test_the_policy_for_migrations_holds(postgres: harness.Postgres, database: str, migrations: pathlib.Path, tmp_path: pathlib.Path, start_pgmend: Any) -> None:
    postgres.run("CREATE SCHEMA crm", "CREATE TABLE crm.clients (id int, address text)", database=database)
    state = tmp_path / "pgmend.db"
    assert learn("--migrations", str(migrations), "--database", database, "--state", str(state), "--backend", f"{harness.HOST}:{postgres.port}",
                 "--control", "user=postgres").returncode == 0
    proxy = start_pgmend(control="user=postgres", state=str(state), healing={"policy": {"migration": {"writes": "propose"}}},
                         log={"format": "json", "level": "debug"})
    with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as client:
        assert client.execute("SELECT email FROM users").fetchall() == []
        with pytest.raises(psycopg.errors.UndefinedTable):
            client.execute("UPDATE users SET email = 'x'")


def test_what_was_learned_can_be_shown_as_rules_without_a_server(migrations: pathlib.Path) -> None:
    done = learn("--migrations", str(migrations), "--print")
    assert done.returncode == 0
    assert "column: crm.clients.email" in done.stdout and "# 20240103000000_rename.sql, line 2" in done.stdout
    assert learn("--migrations", str(migrations / "none"), "--print").returncode == 1
    assert learn("--print").returncode == 2
    assert learn("--migrations", str(migrations)).returncode == 2
