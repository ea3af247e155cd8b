"""A store that is down, full, slow, or of a newer pgmend: statements go on, but for those that need a durable record; and what happens is told."""

from __future__ import annotations

import os
import pathlib
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.request
from typing import Any, Iterator

import psycopg
import pytest

import harness
from test_state import app, console, lose_a_column, patterns


def figures(proxy: harness.Pgmend) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{harness.HOST}:{proxy.config['admin']['http'].split(':')[1]}/metrics", timeout=30) as answer:
        lines = [line.split() for line in answer.read().decode().splitlines() if line.startswith("pgmend_state_")]
    return {name.removesuffix("_total"): float(value) for name, value in lines}


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system with room for a state, and little more."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True).returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def start(start_pgmend: Any, state: str) -> harness.Pgmend:
    return start_pgmend(control="user=postgres", state=state, admin={"http": f"{harness.HOST}:{harness.free_port()}"})


def test_a_full_disk_stops_only_what_needs_a_record(start_pgmend: Any, postgres: harness.Postgres, database: str, small_disk: pathlib.Path) -> None:
    proxy = start(start_pgmend, str(small_disk / "pgmend.db"))
    lose_a_column(proxy, postgres, database)
    postgres.run("CREATE TABLE things (id int, name text)", "INSERT INTO things VALUES (1, 'a')", database=database)
    harness.know(proxy, database)
    with app(proxy, database) as old, console(proxy.port) as admin:
        old.execute("ALTER TABLE things RENAME name TO title")
        old.execute("INSERT INTO users (id, legacy) VALUES (1, 'kept')")
        harness.wait_until(lambda: figures(proxy)["pgmend_state_up"] == 1, "the store is well")
        with open(small_disk / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                pass

        def refused() -> bool:
            try:
                old.execute("INSERT INTO users (id, legacy) VALUES (2, %s)", ("x" * 5000,))
                return False # what is left of the last block
            except psycopg.errors.UndefinedColumn:
                return True

        harness.wait_until(refused, "a write that loses values fails with its own error")
        proxy.wait_for_event("state.failed", lambda e: "full" in e["problem"])
        for _ in range(50): # healed ones too, with their counts
            assert old.execute("SELECT name FROM things WHERE id = 1").fetchall() == [("a",)]
        assert figures(proxy)["pgmend_state_up"] == 0
        found = next(p for p in patterns(admin, database) if "things" in p["pattern"])
        with pytest.raises(psycopg.Error, match="a restart would forget it"):
            admin.execute(f"SUSPEND PATTERN {found['id']}")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            old.execute("SELECT name FROM things")
        with pytest.raises(psycopg.Error, match="nothing was changed"):
            admin.execute(f"RESUME PATTERN {found['id']}")
        (small_disk / "ballast").unlink()
        harness.wait_until(lambda: not refused(), "there is room again")
        proxy.wait_for_event("state.recovered")
        admin.execute(f"RESUME PATTERN {found['id']}")
        harness.wait_until(lambda: (now := figures(proxy))["pgmend_state_up"] == 1 and now["pgmend_state_waiting"] == 0, "what waited is written")
        assert old.execute("SELECT name FROM things").fetchall() == [("a",)]


@pytest.fixture
def memory(certificates: harness.Certificates) -> Iterator[harness.Postgres]:
    """A PostgreSQL of its own for the state."""
    server = harness.Postgres()
    server.run("CREATE ROLE keeper LOGIN", "CREATE DATABASE memory OWNER keeper")
    yield server
    if server.alive():
        server.stop()


def place(of: harness.Postgres) -> str:
    return f"postgresql://keeper@{harness.HOST}:{of.port}/memory"


def test_a_stopped_store_stops_only_what_needs_a_record_and_not_for_ever(start_pgmend: Any, postgres: harness.Postgres, database: str, memory: harness.Postgres) -> None:
    proxy = start(start_pgmend, place(memory))
    lose_a_column(proxy, postgres, database)
    postgres.run("CREATE TABLE things (id int, name text)", "INSERT INTO things VALUES (1, 'a')", database=database)
    harness.know(proxy, database)
    with app(proxy, database) as old, app(proxy, database) as other:
        old.execute("ALTER TABLE things RENAME name TO title")
        old.execute("INSERT INTO users (id, legacy) VALUES (1, 'kept')")
        backends = [row[0] for row in memory.run("SELECT pid FROM pg_stat_activity WHERE usename = 'keeper'")]
        for pid in (*backends, memory.pid): # connections stay open, and nobody answers
            os.kill(pid, signal.SIGSTOP)
        try:
            results: list[Any] = []

            def write() -> None:
                try:
                    old.execute("INSERT INTO users (id, legacy) VALUES (2, 'lost')")
                    results.append("stored")
                except psycopg.Error as error:
                    results.append(type(error))

            writer = threading.Thread(target=write)
            writer.start()
            harness.wait_until(lambda: other.execute("SELECT name FROM things WHERE id = 1").fetchall() == [("a",)] and results, "others go on, and the write has an end")
            writer.join()
            assert results == [psycopg.errors.UndefinedColumn]
            refusal = proxy.wait_for_event("statement.refused", lambda e: "could not be kept" in e.get("reason", ""))
            assert "the store does not answer" in refusal["reason"]
            assert old.execute("SELECT name FROM things").fetchall() == [("a",)]
        finally:
            for pid in (memory.pid, *backends):
                os.kill(pid, signal.SIGCONT)
        harness.wait_until(lambda: (now := figures(proxy))["pgmend_state_up"] == 1 and now["pgmend_state_waiting"] == 0, "it is well again")
        old.execute("INSERT INTO users (id, legacy) VALUES (3, 'kept')")
        # Down altogether.
        memory.stop()
        with pytest.raises(psycopg.errors.UndefinedColumn):
            old.execute("INSERT INTO users (id, legacy) VALUES (4, 'lost')")
        proxy.wait_for_event("state.failed")
        for _ in range(50):
            assert other.execute("SELECT name FROM things").fetchall() == [("a",)]
        harness.wait_until(lambda: (now := figures(proxy))["pgmend_state_up"] == 0 and now["pgmend_state_waiting"] > 0, "what it learns waits")
        memory.start()
        harness.wait_until(lambda: (now := figures(proxy))["pgmend_state_up"] == 1 and now["pgmend_state_waiting"] == 0, "it is written")
        assert figures(proxy)["pgmend_state_dropped"] == 0
        old.execute("INSERT INTO users (id, legacy) VALUES (5, 'kept')")
    kept = memory.run("SELECT v.value FROM pgmend.heal_audit_values v ORDER BY 1", database="memory")
    assert [row[0] for row in kept].count("'kept'") == 3
    assert [row[0] for row in postgres.run("SELECT id FROM users ORDER BY id", database=database)] == [1, 3, 5]


def test_a_store_of_a_newer_pgmend_is_refused_and_left_as_it_is(start_pgmend: Any, postgres: harness.Postgres, database: str, memory: harness.Postgres) -> None:
    proxy = start(start_pgmend, place(memory))
    lose_a_column(proxy, postgres, database)
    with app(proxy, database) as old:
        old.execute("INSERT INTO users (id, legacy) VALUES (1, 'kept')")
        harness.wait_until(lambda: figures(proxy)["pgmend_state_waiting"] == 0, "all is written")
        # The fleet is upgraded while this one runs.
        ours = memory.run("SELECT version FROM pgmend.state_version", database="memory")[0][0]
        memory.run("UPDATE pgmend.state_version SET version = 99", database="memory")
        before = memory.run("SELECT (SELECT count(*) FROM pgmend.heal_audit), (SELECT sum(count) FROM pgmend.drift), (SELECT count(*) FROM pgmend.transaction_logs)",
                            database="memory")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            old.execute("INSERT INTO users (id, legacy) VALUES (2, 'lost')")
        told = proxy.wait_for_event("state.failed")["problem"]
        assert "a newer pgmend made the schema pgmend: its tables have version 99, this pgmend knows up to" in told
        assert old.execute("SELECT id FROM users").fetchall() == [(1,)]
        harness.wait_until(lambda: figures(proxy)["pgmend_state_up"] == 0, "it is known to be down")
    assert proxy.stop() == 0
    for command in (["serve", "-c", proxy.config_path], ["report", "-c", proxy.config_path]):
        done = harness.run([harness.BINARY, *command], cwd=proxy.directory, check=False)
        assert done.returncode == 1 and "a newer pgmend made the schema pgmend" in done.stderr
    assert memory.run("SELECT (SELECT count(*) FROM pgmend.heal_audit), (SELECT sum(count) FROM pgmend.drift), (SELECT count(*) FROM pgmend.transaction_logs)",
                      database="memory") == before
    memory.run(f"UPDATE pgmend.state_version SET version = {ours}", database="memory")
    proxy.start()
    harness.wait_until(lambda: figures(proxy)["pgmend_state_up"] == 1, "it is its own again")


def test_a_role_with_the_documented_grants_will_do(start_pgmend: Any, postgres: harness.Postgres, database: str, memory: harness.Postgres) -> None:
    """The owner of the schema goes away; what pgmend needs then, and what a team may see, is what docs/state.md says."""
    readme = (harness.ROOT / "docs" / "state.md").read_text()
    begin = readme.index("GRANT USAGE ON SCHEMA pgmend TO pgmend_writer;")
    grants = readme[begin:readme.index("```", begin)]
    proxy = start(start_pgmend, place(memory)) # makes the schema
    harness.wait_until(lambda: figures(proxy)["pgmend_state_up"] == 1, "the tables are made")
    proxy.stop()
    memory.run("CREATE ROLE pgmend_writer LOGIN", "CREATE ROLE shop_team LOGIN", "ALTER ROLE keeper NOLOGIN")
    memory.run(grants.replace("'shop'", f"'{database}'"), database="memory")
    one, two = (start(start_pgmend, f"postgresql://pgmend_writer@{harness.HOST}:{memory.port}/memory") for _ in range(2))
    lose_a_column(one, postgres, database) # proposals and approvals
    harness.know(two, database)
    with app(one, database) as old, console(one.port) as first, console(two.port) as second:
        old.execute("INSERT INTO users (id, legacy) VALUES (1, 'kept')")
        number = harness.wait_until(lambda: patterns(second, database), "the other one has heard")[0]["id"]
        began = time.monotonic()
        first.execute(f"SUSPEND PATTERN {number}")
        harness.wait_until(lambda: next(p for p in patterns(second, database) if p["id"] == number)["state"] == "suspended", "and of the suspension")
        print(f"{(time.monotonic() - began) * 1000:.0f} ms until the other one knew")
        harness.wait_until(lambda: memory.run("SELECT count(*) > 0 FROM pgmend.drift", database="memory") == [(True,)], "statements are noted")
    for proxy in (one, two):
        assert proxy.events("state.failed") == [] and proxy.events("state.refused") == []
    # A team sees its own database, and writes nothing.
    memory.run("INSERT INTO pgmend.patterns (database, pattern, evidence, state, rejected, note, reason, successes, failures, first_seen, last_used)"
               " VALUES ('other', 'x', 'hint', 'proposed', false, '', '', 0, 0, now(), now())", database="memory")
    with psycopg.connect(harness.conninfo(memory.port, "memory", "shop_team"), autocommit=True) as team:
        for table in ("patterns", "drift", "heal_audit", "heal_audit_values"):
            assert team.execute(f"SELECT DISTINCT database FROM pgmend.{table}").fetchall() == [(database,)], table
        for command in (["report"], ["rules", "export"], ["dead-letters", "list"], ["schema", "diff", "--database", database]):
            said = harness.run([harness.BINARY, *command, "--state", f"postgresql://shop_team@{harness.HOST}:{memory.port}/memory"]).stdout
            assert said and "other" not in said, command
        for statement in ("DELETE FROM pgmend.patterns", "UPDATE pgmend.patterns SET state = 'active'", "INSERT INTO pgmend.readers VALUES ('shop_team', '*')",
                          "SELECT * FROM pgmend.readers", "SELECT * FROM pgmend.circuit_breaker_state"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                team.execute(statement)


def test_patterns_that_nobody_uses_are_retired_and_those_that_fail_suspended(start_pgmend: Any, postgres: harness.Postgres, database: str) -> None:
    proxy = start(start_pgmend, "pgmend.db")
    postgres.run("CREATE TABLE users (id int, email text CONSTRAINT one_email UNIQUE)", "CREATE TABLE rare (id int, old text)", database=database)
    harness.know(proxy, database)
    with app(proxy, database) as old, console(proxy.port) as admin:
        state = lambda name: next((p["state"] for p in patterns(admin, database) if name in p["pattern"]), None)  # noqa: E731
        old.execute("ALTER TABLE users RENAME email TO mail")
        old.execute("ALTER TABLE rare RENAME old TO new")
        old.execute("SELECT old FROM rare")
        # The new name is right, but what the statement needs has gone: PostgreSQL accepts the text, and refuses to plan it.
        old.execute("ALTER TABLE users DROP CONSTRAINT one_email")
        for n in range(20):
            if state("users.email") == "suspended":
                break
            with pytest.raises(psycopg.Error) as failed:
                old.execute(f"INSERT INTO users (id, email) VALUES ({n}, 'a') ON CONFLICT (email) DO NOTHING")
            assert failed.value.sqlstate == "42703"
        told = proxy.wait_for_event("pattern.suspended", lambda e: "users.email" in e["pattern"])
        assert told["reason"] == "it failed too often" and told["level"] == "warning" and told["failures"] >= 5
        row = next(p for p in patterns(admin, database) if "users.email" in p["pattern"])
        assert (row["state"], row["reason"]) == ("suspended", "it failed too often")
        with app(proxy, database) as other, pytest.raises(psycopg.errors.UndefinedColumn): # for everybody, with the next statement
            other.execute("SELECT email FROM users")
        admin.execute(f"RESUME PATTERN {row['id']}")
        assert old.execute("SELECT email FROM users").fetchall() == []
        assert state("rare.old") == "active"
    proxy.stop()
    with sqlite3.connect(proxy.directory / "pgmend.db") as file: # a hundred days pass
        file.execute("UPDATE patterns SET last_used = last_used - 100 * 86400 * 1000000 WHERE pattern LIKE '%rare.old%'")
    proxy.start()
    told = proxy.wait_for_event("pattern.retired", lambda e: "rare.old" in e["pattern"])
    assert told["reason"] == "nobody used it"
    with console(proxy.port) as admin, app(proxy, database) as old:
        states = {p["pattern"].split()[1]: (p["state"], p["reason"]) for p in patterns(admin, database)}
        assert states["public.rare.old"] == ("retired", "nobody used it") and states["public.users.email"][0] == "active"
        old.execute("SELECT old FROM rare") # whoever comes back after all is healed again
        harness.wait_until(lambda: next(p for p in patterns(admin, database) if "rare.old" in p["pattern"])["state"] == "active", "it is active again")
