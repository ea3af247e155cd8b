"""A catalog that is read in parts is the one that is read in one piece, whatever was done to it: random DDL against a real server.

Run as a program it measures instead: `python3 integration/test_catalog_reading.py [TABLES]`.
"""

from __future__ import annotations

import datetime
import pathlib
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
import pytest

import harness

PROBE = pathlib.Path(harness.BINARY).parent / "tests" / "catalog_probe"

pytestmark = [pytest.mark.pgmend, pytest.mark.skipif(not PROBE.exists(), reason="catalog_probe is not built")]


class Changes:
    """Writes DDL about objects that it knows of; what cannot be done is refused by the server, and that is fine."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.fresh = 0
        self.tables: list[tuple[str, str]] = [("public", "t0")]
        self.schemas = ["public"]
        self.types: list[str] = []
        self.functions: list[str] = []

    def name(self, prefix: str) -> str:
        self.fresh += 1
        return f"{prefix}{self.fresh}"

    def table(self) -> str:
        return "{}.{}".format(*self.random.choice(self.tables))

    def column(self) -> str:
        return self.random.choice(["a", "b", "c", "d", "e"])

    def new_table(self) -> str:
        schema, name = self.random.choice(self.schemas), self.name("t")
        self.tables.append((schema, name))
        return f"{schema}.{name}"

    def rename_table(self) -> str:
        at = self.random.randrange(len(self.tables))
        schema, old = self.tables[at]
        self.tables[at] = (schema, self.name("t"))
        return f"ALTER TABLE {schema}.{old} RENAME TO {self.tables[at][1]}"

    def move_table(self) -> str:
        at = self.random.randrange(len(self.tables))
        schema, name = self.tables[at]
        self.tables[at] = (self.random.choice(self.schemas), name)
        return f"ALTER TABLE {schema}.{name} SET SCHEMA {self.tables[at][0]}"

    def rename_schema(self) -> str:
        at = self.random.randrange(len(self.schemas))
        old, new = self.schemas[at], self.name("s")
        if old == "public":
            self.schemas.append(new)
            return f"CREATE SCHEMA {new}"
        self.schemas[at] = new
        self.tables = [(new if schema == old else schema, name) for schema, name in self.tables]
        return f"ALTER SCHEMA {old} RENAME TO {new}"

    def new_type(self) -> str:
        self.types.append(self.name("e"))
        return f"CREATE TYPE {self.types[-1]} AS ENUM ('x', 'y')"

    def new_function(self) -> str:
        self.functions.append(self.name("f"))
        return f"CREATE FUNCTION {self.functions[-1]}(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'"

    def some_type(self) -> str:
        return self.random.choice(self.types or ["nothing"])

    def some_function(self) -> str:
        return self.random.choice(self.functions or ["nothing"])

    def swap_tables(self) -> str:
        if len(self.tables) < 2:
            return "SELECT 1"
        one, two = self.random.sample(self.tables, 2)
        if one[0] != two[0]:
            return "SELECT 1"
        return (f"ALTER TABLE {one[0]}.{one[1]} RENAME TO swapping; ALTER TABLE {two[0]}.{two[1]} RENAME TO {one[1]};"
                f" ALTER TABLE {one[0]}.swapping RENAME TO {two[1]}")

    def statement(self) -> str:
        t, c = self.table(), self.column()
        n = self.name("n")
        choices = [
            lambda: f"CREATE TABLE {self.new_table()} (a serial PRIMARY KEY, b text, c int UNIQUE, d int DEFAULT 1)",
            lambda: f"CREATE TABLE {self.new_table()} () INHERITS ({t})",
            lambda: f"CREATE TABLE {self.new_table()} AS SELECT 1 AS a, 'x'::text AS b",
            lambda: f"SELECT 1 AS a INTO {self.new_table()}",
            lambda: f"CREATE TABLE {self.new_table()} (LIKE {t} INCLUDING ALL)",
            lambda: f"CREATE TABLE {self.new_table()} (a int NOT NULL, b text) PARTITION BY RANGE (a)",
            lambda: f"CREATE TABLE {self.new_table()} PARTITION OF {t} FOR VALUES FROM ({self.fresh * 10}) TO ({self.fresh * 10 + 9})",
            lambda: f"CREATE VIEW {self.new_table()} AS SELECT * FROM {t}",
            lambda: f"CREATE MATERIALIZED VIEW {self.new_table()} AS SELECT * FROM {t}",
            lambda: f"CREATE SEQUENCE {self.new_table()}",
            lambda: f"CREATE TEMP TABLE {n} (a int PRIMARY KEY); ALTER TABLE {n} RENAME a TO b",
            self.rename_table, self.rename_table, self.move_table, self.rename_schema, self.swap_tables,
            lambda: f"DROP TABLE {t} CASCADE", lambda: f"DROP VIEW {t} CASCADE",
            lambda: f"ALTER TABLE {t} RENAME COLUMN {c} TO {self.column()}",
            lambda: f"ALTER TABLE {t} RENAME COLUMN {c} TO {self.column()}",
            lambda: f"ALTER TABLE {t} ADD COLUMN {c} text", lambda: f"ALTER TABLE {t} DROP COLUMN {c} CASCADE",
            lambda: f"ALTER TABLE {t} ADD COLUMN {c} {self.some_type()}",
            lambda: f"ALTER TABLE {t} DROP COLUMN {c} CASCADE, ADD COLUMN {c} int",
            lambda: f"ALTER TABLE {t} ALTER {c} TYPE bigint USING 1", lambda: f"ALTER TABLE {t} ALTER {c} SET NOT NULL",
            lambda: f"ALTER TABLE {t} ALTER {c} SET DEFAULT NULL", lambda: f"ALTER TABLE {t} ALTER {c} DROP DEFAULT",
            lambda: f"ALTER TABLE {t} ALTER {c} ADD GENERATED ALWAYS AS IDENTITY",
            lambda: f"ALTER TABLE {t} ADD COLUMN {c} int GENERATED ALWAYS AS (1) STORED",
            lambda: f"ALTER TABLE {t} ADD CONSTRAINT {n} UNIQUE ({c})", lambda: f"ALTER TABLE {t} ADD PRIMARY KEY ({c})",
            lambda: f"ALTER TABLE {t} ADD CONSTRAINT {n} CHECK ({c} IS NOT NULL)",
            lambda: f"ALTER TABLE {t} ADD CONSTRAINT {n} FOREIGN KEY ({c}) REFERENCES {self.table()}",
            lambda: f"DO $$ DECLARE r record; BEGIN SELECT conrelid::regclass AS t, conname AS n INTO STRICT r FROM pg_constraint"
                    f" WHERE conrelid >= 16384 ORDER BY md5(oid::text || '{n}') LIMIT 1; EXECUTE format('ALTER TABLE %s RENAME CONSTRAINT %I TO {n}', r.t, r.n); END $$",
            lambda: f"DO $$ DECLARE r record; BEGIN SELECT conrelid::regclass AS t, conname AS n INTO STRICT r FROM pg_constraint"
                    f" WHERE conrelid >= 16384 ORDER BY md5(oid::text || '{n}') LIMIT 1; EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', r.t, r.n); END $$",
            lambda: f"CREATE UNIQUE INDEX {n} ON {t} ({c}) WHERE {self.column()} IS NOT NULL",
            lambda: f"CREATE UNIQUE INDEX {n} ON {t} (({self.some_function()}(a)))",
            lambda: f"DO $$ DECLARE r record; BEGIN SELECT indexrelid::regclass AS n INTO STRICT r FROM pg_index"
                    f" WHERE indrelid >= 16384 ORDER BY md5(indexrelid::text || '{n}') LIMIT 1; EXECUTE format('ALTER INDEX %s RENAME TO {n}', r.n); END $$",
            lambda: f"DO $$ DECLARE r record; BEGIN SELECT indexrelid::regclass AS n INTO STRICT r FROM pg_index JOIN pg_class c ON c.oid = indrelid"
                    f" WHERE indrelid >= 16384 AND c.relkind <> 't' ORDER BY md5(indexrelid::text || '{n}') LIMIT 1; EXECUTE format('DROP INDEX %s', r.n); END $$",
            self.new_type, self.new_function,
            lambda: f"ALTER TYPE {self.some_type()} RENAME VALUE 'x' TO '{n}'", lambda: f"ALTER TYPE {self.some_type()} ADD VALUE '{n}' BEFORE 'y'",
            lambda: self.renamed(self.types, "TYPE"), lambda: self.renamed(self.functions, "FUNCTION"),
            lambda: f"DROP TYPE {self.some_type()} CASCADE", lambda: f"DROP FUNCTION {self.some_function()} CASCADE",
            lambda: f"CREATE OR REPLACE FUNCTION {self.some_function()}(int) RETURNS int STABLE LANGUAGE sql AS 'SELECT set_config(''a.b'', ''1'', true)::int'",
            lambda: f"CREATE TYPE {n} AS (a int, b text)", lambda: f"CREATE DOMAIN {n} AS text CHECK (value <> '')",
            lambda: f"CREATE TABLE {self.new_table()} OF {self.composite()}",
            lambda: f"ALTER TYPE {self.composite()} RENAME ATTRIBUTE a TO z CASCADE",
            lambda: f"ALTER TABLE {t} CLUSTER ON nothing", lambda: f"TRUNCATE {t} CASCADE", lambda: f"COMMENT ON TABLE {t} IS 'x'",
            lambda: f"CREATE OR REPLACE VIEW {self.new_table()} (a, b) AS SELECT 1, 2",
        ]
        return self.random.choice(choices)()

    def composite(self) -> str:
        return f"n{self.random.randrange(1, self.fresh + 1)}"

    def renamed(self, names: list[str], kind: str) -> str:
        if not names:
            return "SELECT 1"
        at = self.random.randrange(len(names))
        old, names[at] = names[at], self.name("x")
        return f"ALTER {kind} {old} RENAME TO {names[at]}"


@pytest.fixture
def probe(postgres: harness.Postgres, database: str) -> Iterator[subprocess.Popen[str]]:
    subprocess.run([harness.BINARY, "install", "--backend", f"{harness.HOST}:{postgres.port}", "--control", "user=postgres", "--database", database],
                   check=True, capture_output=True)
    process = subprocess.Popen([PROBE, "check", str(postgres.port), database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    yield process
    process.communicate()
    assert process.returncode == 0


def ask(probe: subprocess.Popen[str], how: str) -> str:
    assert probe.stdin is not None and probe.stdout is not None
    probe.stdin.write(how + "\n")
    probe.stdin.flush()
    return probe.stdout.readline().strip()


def do(connection: "psycopg.Connection[object]", sql: str) -> bool:
    try:
        connection.execute(sql)
        return True
    except psycopg.Error:
        return False


@pytest.mark.parametrize("seed", range(4))
def test_what_is_read_in_parts_is_what_is_read_in_one_piece(postgres: harness.Postgres, database: str, probe: subprocess.Popen[str], seed: int) -> None:
    changes = Changes(seed)
    done: list[str] = []
    with postgres.connect(database) as connection:
        connection.execute("CREATE TABLE t0 (a int PRIMARY KEY, b text, c int)")
        for _ in range(60):
            together = changes.random.random() < 0.3
            if together:
                connection.execute("BEGIN")
            for _ in range(changes.random.randrange(1, 5)):
                sql = changes.statement()
                if together:
                    connection.execute("SAVEPOINT s")
                ok = do(connection, sql)
                if together and not ok:
                    connection.execute("ROLLBACK TO s")
                if ok:
                    done.append(sql)
            if together:
                connection.execute("COMMIT" if changes.random.random() < 0.9 else "ROLLBACK")
            how = changes.random.choice(["told", "newer", "both"])
            assert ask(probe, how) == "same", (how, done[-8:])
    assert len(done) > 40


def main() -> None:
    tables = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    postgres = harness.Postgres()
    postgres.run("CREATE DATABASE bench")
    subprocess.run([harness.BINARY, "install", "--backend", f"{harness.HOST}:{postgres.port}", "--control", "user=postgres", "--database", "bench"],
                   check=True, capture_output=True)
    columns = ", ".join(f"c{i} text" for i in range(8))
    postgres.run(*(f"CREATE TABLE t{i} (id bigserial PRIMARY KEY, u int UNIQUE, {columns})" for i in range(tables)), database="bench")
    subprocess.run([PROBE, "bench", str(postgres.port), "bench"], check=True)
    for statement in ("EXECUTE pgmend_counters", "EXECUTE pgmend_scan('{}')"):
        print(f"server's time for {statement}: {server_time(postgres, statement):.3f} ms")
    idle_watch(postgres)
    commit_to_published(postgres)
    without_the_trigger(postgres)


def server_time(postgres: harness.Postgres, statement: str) -> float:
    """What the server itself says, of the statements that pgmend prepares; nothing has changed."""
    prepared = subprocess.run([PROBE, "statements", str(postgres.port), "bench"], check=True, capture_output=True, text=True).stdout
    with postgres.connect("bench") as connection:
        connection.execute("SET search_path = pg_catalog; SET jit = off; SET plan_cache_mode = force_generic_plan")
        connection.execute(prepared)
        moment = connection.execute("SELECT txid_current_snapshot()::text").fetchone()[0]
        times = []
        for _ in range(50):
            plan = connection.execute("EXPLAIN (ANALYZE, TIMING off) " + statement.format(moment)).fetchall()
            times.append(sum(float(line.split(":")[1].split()[0]) for (line,) in plan if line.startswith(("Planning Time", "Execution Time"))))
    return sorted(times)[len(times) // 2]


def figures(ms: list[float]) -> str:
    ms = sorted(ms)
    return f"median {ms[len(ms) // 2]:.2f} ms, p99 {ms[len(ms) * 99 // 100]:.2f}, most {ms[-1]:.2f} ({len(ms)})"


def idle_watch(postgres: harness.Postgres) -> None:
    """What the server's log says of the statements of a pgmend that watches while nothing changes."""
    postgres.run("ALTER SYSTEM SET log_min_duration_statement = 0", "SELECT pg_reload_conf()")
    proxy = harness.Pgmend(postgres, control="user=postgres", watch={"poll": "50ms", "verify": "250ms"})
    with psycopg.connect(harness.conninfo(proxy.port, "bench"), autocommit=True):
        time.sleep(45)
    proxy.finish()
    postgres.run("ALTER SYSTEM RESET log_min_duration_statement", "SELECT pg_reload_conf()")
    log = postgres.log_text()

    def durations(what: str) -> list[float]:
        return [float(took) for took in re.findall(rf"postgres@bench LOG:  duration: ([0-9.]+) ms  {what}", log, re.MULTILINE)]

    polls = [sum(both) for both in zip(durations("bind pgmend_counters: "), durations("execute pgmend_counters: "))]
    quiet = [sum(both) for both in zip(durations("bind pgmend_snapshot: "), durations("execute pgmend_snapshot: "))]
    scans = durations(r"statement: BEGIN; EXECUTE pgmend_counters; COMMIT; BEGIN; EXECUTE pgmend_scan")
    print(f"a poll for changes, the server's duration: {figures(polls)}; where nothing was committed for long: {figures(quiet)}")
    print(f"a verification of an idle watch, the server's duration: {figures(scans)}")


def commit_to_published(postgres: harness.Postgres) -> None:
    """From the client that committed to the new version being there for every worker, by the trigger."""
    proxy = harness.Pgmend(postgres, control="user=postgres", log={"format": "json", "level": "info"})
    with psycopg.connect(harness.conninfo(proxy.port, "bench"), autocommit=True), postgres.connect("bench") as connection:
        harness.wait_until(lambda: proxy.events("proxy.started"), "pgmend runs")
        time.sleep(1)
        committed = []
        for i in range(400):
            connection.execute(f"ALTER TABLE t{i} RENAME COLUMN c1 TO y")
            committed.append(time.time())
            time.sleep(0.03)
        connection.execute("ALTER TABLE t0 RENAME COLUMN c2 TO the_end")
        harness.wait_until(lambda: [e for e in proxy.events("schema.changed") if "the_end" in e["changes"]], "all are seen")
        seen = [e for e in proxy.events("schema.changed") if e["database"] == "bench"]
    times = []
    for i, at in enumerate(committed):
        first = next(e for e in seen if f"column public.t{i}.c1 renamed to y" in e["changes"])
        times.append(max(0.0, datetime.datetime.fromisoformat(first["ts"].replace("Z", "+00:00")).timestamp() - at) * 1000)
    print(f"commit to published, {len(seen)} versions: {figures(times)}")
    proxy.finish()


def without_the_trigger(postgres: harness.Postgres) -> None:
    """The same by counters alone; a session that ends reports them."""
    proxy = harness.Pgmend(postgres, control="user=postgres", watch={"notifications": False}, log={"format": "json", "level": "info"})
    times = []
    with psycopg.connect(harness.conninfo(proxy.port, "bench"), autocommit=True):
        time.sleep(1)
        for i in range(100):
            postgres.run(f"ALTER TABLE t{i} RENAME COLUMN c3 TO later", database="bench")
            at = time.time()
            wanted = f"column public.t{i}.c3 renamed to later"
            event = harness.wait_until(lambda: [e for e in proxy.events("schema.changed") if wanted in e["changes"]], "it is seen")[0]
            times.append(max(0.0, datetime.datetime.fromisoformat(event["ts"].replace("Z", "+00:00")).timestamp() - at) * 1000)
    print(f"commit to published without the trigger: {figures(times)}")
    proxy.finish()


if __name__ == "__main__":
    main()
