"""The database is in another cluster than before: lineage stops until the new catalog was compared with the one that is known."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import harness

pytestmark = pytest.mark.pgmend

CONTROL = {"control": "user=postgres", "watch": {"poll": "100ms", "verify": "500ms"}, "log": {"format": "json", "level": "debug"}}


@pytest.fixture
def old() -> Iterator[harness.Postgres]:
    cluster = harness.Postgres()
    cluster.run("CREATE DATABASE shop")
    cluster.run("CREATE TABLE users (id int PRIMARY KEY, gone text, email text)", "INSERT INTO users VALUES (1, 'x', 'a@b')", database="shop")
    yield cluster
    cluster.stop()


def shop(proxy: harness.Pgmend) -> "psycopg.Connection[Any]":
    return psycopg.connect(harness.conninfo(proxy.port, "shop"), autocommit=True)


def events(proxy: harness.Pgmend, event: str) -> list[dict[str, Any]]:
    return [e for e in proxy.events(event) if e.get("database") == "shop"]


def migrate(proxy: harness.Pgmend, cluster: harness.Postgres) -> None:
    """pgmend sees the rename, and heals."""
    with shop(proxy) as client:
        harness.know(proxy, "shop")
        cluster.run("ALTER TABLE users DROP COLUMN gone", "ALTER TABLE users RENAME COLUMN email TO mail", database="shop")
        assert client.execute("SELECT email FROM users").fetchall() == [("a@b",)]
        harness.wait_until(lambda: [e for e in events(proxy, "schema.changed") if "renamed to mail" in e["changes"]], "the rename is a version")


def ended(proxy: harness.Pgmend) -> list[dict[str, Any]]:
    return [e for e in events(proxy, "schema.changed") if e["lineage"] == "ended"]


def upgrade(cluster: harness.Postgres) -> None:
    """By pg_upgrade, to answer where it did. The same major version does: the new cluster has another system identifier."""
    account = harness._unprivileged()
    before = cluster.data.rename(cluster.directory / "before")
    subprocess.run([harness.PG_BIN / "initdb", "-D", cluster.data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"],
                   check=True, capture_output=True, cwd="/", **account)
    with open(before / "pg_hba.conf", "a") as rules:
        rules.write("local all all trust\n")
    done = subprocess.run([harness.PG_BIN / "pg_upgrade", "-b", harness.PG_BIN, "-B", harness.PG_BIN, "-d", before, "-D", cluster.data, "-U", "postgres", "-p",
                           str(harness.free_port()), "-P", str(harness.free_port()), "-s", "/tmp"], cwd=cluster.directory, capture_output=True, text=True, **account)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("pg_hba.conf", "postgresql.auto.conf"):
        shutil.copyfile(before / name, cluster.data / name)


def test_after_pg_upgrade_lineage_goes_on_once_the_catalogs_were_compared(old: harness.Postgres, start_pgmend: Any) -> None:
    proxy = start_pgmend(server=old, **CONTROL)
    migrate(proxy, old)
    assert not ended(proxy)
    old.stop()
    upgrade(old)
    old.start()

    def connected() -> "psycopg.Connection[Any] | None":
        try:
            return shop(proxy)
        except psycopg.OperationalError:
            return None

    with harness.wait_until(connected, "pgmend has found the new cluster", 30) as client:
        adopted = harness.wait_until(lambda: events(proxy, "lineage.adopted"), "the lineage is adopted", 30)
        assert adopted[0]["reason"] == "the same objects"
        assert ended(proxy)[0]["ts"] <= adopted[0]["ts"]
        assert not events(proxy, "lineage.proposed")
        assert client.execute("SELECT email FROM users").fetchall() == [("a@b",)]
        client.execute("UPDATE users SET email = 'c@d'")
    assert old.run("SELECT mail FROM users", database="shop") == [("c@d",)]
    assert not proxy.events("backend.foreign")  # the only one there is


def test_after_a_switch_to_another_cluster_lineage_waits_for_a_person(old: harness.Postgres, start_pgmend: Any) -> None:
    proxy = start_pgmend(server=old, **CONTROL)
    migrate(proxy, old)
    green = harness.Postgres()
    try:
        green.run("CREATE DATABASE shop")
        place = lambda cluster: ["-h", harness.HOST, "-p", str(cluster.port), "-U", "postgres", "shop"]  # noqa: E731
        dump = subprocess.run([harness.PG_BIN / "pg_dump", *place(old)], capture_output=True, text=True, check=True).stdout
        subprocess.run([harness.PG_BIN / "psql", "-q", *place(green)], input=dump, text=True, check=True, capture_output=True)
        proxy.config["backends"][0]["port"] = green.port
        proxy.write_config()
        proxy.reload()
        proxy.wait_for_event("config.reloaded")
        with shop(proxy) as client, psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True) as console:
            proposed = harness.wait_until(lambda: events(proxy, "lineage.proposed"), "the lineage is proposed", 30)[0]
            assert ended(proxy)
            assert client.execute("SELECT current_setting('port')").fetchone() == (str(green.port),)
            with pytest.raises(psycopg.errors.UndefinedColumn):
                client.execute("SELECT email FROM users")
            with pytest.raises(psycopg.errors.UndefinedColumn):
                client.execute("UPDATE users SET email = 'c@d'")
            row = harness.wait_until(lambda: [r for r in console.execute("SHOW PATTERNS").fetchall() if r[2] == proposed["pattern"]], "it is in the book")[0]
            console.execute(f"APPROVE PATTERN {row[0]}")
            harness.wait_until(lambda: events(proxy, "lineage.adopted"), "the lineage is adopted", 30)
            assert client.execute("SELECT email FROM users").fetchall() == [("a@b",)]
            client.execute("UPDATE users SET email = 'c@d'")
        assert green.run("SELECT mail FROM users", database="shop") == [("c@d",)]
        assert old.run("SELECT mail FROM users", database="shop") == [("a@b",)]
    finally:
        green.stop()
