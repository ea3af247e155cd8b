"""Every change of a schema is seen, whichever way it comes; names and lineage of each database are its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import harness

pytestmark = pytest.mark.pgmend

OFF = {"poll": "0s", "verify": "0s", "notifications": False}


def events(proxy: harness.Pgmend, event: str, database: str) -> list[dict[str, Any]]:
    return [entry for entry in proxy.events(event) if entry.get("database") == database]


def connect(proxy: harness.Pgmend, database: str) -> "psycopg.Connection[Any]":
    return psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True)


def changed(proxy: harness.Pgmend, database: str) -> list[dict[str, Any]]:
    return events(proxy, "schema.changed", database)


def known(proxy: harness.Pgmend, database: str) -> list[dict[str, Any]]:
    return events(proxy, "catalog.loaded", database)


def newest_fingerprint(proxy: harness.Pgmend, database: str) -> str:
    seen = known(proxy, database) + changed(proxy, database)
    return max(seen, key=lambda e: e["ts"])["fingerprint"] if seen else ""


def fresh_fingerprint(start_pgmend: Callable[..., harness.Pgmend], database: str) -> str:
    proxy = start_pgmend(control="user=postgres", log={"format": "json", "level": "debug"})
    loaded = harness.wait_until(lambda: known(proxy, database), "a fresh pgmend reads the schema")
    return loaded[-1]["fingerprint"]


@pytest.fixture
def watching(start_pgmend: Callable[..., harness.Pgmend], database: str) -> Iterator[Callable[..., harness.Pgmend]]:
    """A pgmend with the given sources, that has read the schema, and a client that keeps the database watched."""
    clients: list[psycopg.Connection[Any]] = []

    def start(**watch: Any) -> harness.Pgmend:
        proxy = start_pgmend(control="user=postgres", watch=OFF | watch, log={"format": "json", "level": "debug"})
        clients.append(connect(proxy, database))
        harness.wait_until(lambda: known(proxy, database), "the schema is known")
        return proxy

    yield start
    for client in clients:
        client.close()


def install(postgres: harness.Postgres, database: str, command: str = "install") -> subprocess.CompletedProcess[str]:
    return subprocess.run([harness.BINARY, command, "--backend", f"{harness.HOST}:{postgres.port}", "--control", "user=postgres",
                           "--database", database], capture_output=True, text=True)


@pytest.mark.parametrize("source", ["counters", "scan", "trigger"])
def test_each_source_alone_sees_every_kind_of_change(postgres: harness.Postgres, database: str, watching: Any, source: str) -> None:
    if source == "trigger":
        assert install(postgres, database).returncode == 0
    proxy = watching(**{"counters": {"poll": "50ms"}, "scan": {"verify": "100ms"}, "trigger": {"notifications": True}}[source])
    for ddl, text in (
        ("CREATE TABLE users (id int PRIMARY KEY, email text, state text)", "table public.users added"),
        ("ALTER TABLE users RENAME COLUMN email TO mail", "column public.users.email renamed to mail"),
        ("ALTER TABLE users RENAME TO clients", "table public.users renamed to clients"),
        ("CREATE SCHEMA crm", "schema crm added"),
        ("ALTER TABLE clients SET SCHEMA crm", "table public.clients moved to crm"),
        ("ALTER TABLE crm.clients ALTER id TYPE bigint", "column crm.clients.id retyped: int4 -> int8"),
        ("ALTER TABLE crm.clients ALTER mail SET NOT NULL", "column crm.clients.mail required"),
        ("ALTER TABLE crm.clients ADD CONSTRAINT one UNIQUE (mail)", "constraint crm.clients.one added"),
        ("ALTER TABLE crm.clients RENAME CONSTRAINT one TO two", "constraint crm.clients.one renamed to two"),
        ("CREATE UNIQUE INDEX low ON crm.clients (lower(mail)) WHERE id > 0", "index crm.clients.low added"),
        ("DROP INDEX crm.low", "index crm.clients.low dropped"),
        ("CREATE TYPE mood AS ENUM ('sad', 'ok')", "type public.mood added"),
        ("ALTER TYPE mood RENAME VALUE 'sad' TO 'low'", "label public.mood.sad renamed to low"),
        ("ALTER TYPE mood RENAME TO feeling", "type public.mood renamed to feeling"),
        ("CREATE FUNCTION total(int) RETURNS int LANGUAGE sql AS 'SELECT 1'", "function public.total(int4) added"),
        ("ALTER FUNCTION total RENAME TO sum_up", "function public.total renamed to sum_up"),
        ("ALTER SCHEMA crm RENAME TO sales", "schema crm renamed to sales"),
        ("ALTER TABLE sales.clients DROP COLUMN state", "column sales.clients.state dropped"),
        ("DROP TABLE sales.clients", "table sales.clients dropped"),
    ):
        before = len(changed(proxy, database))
        postgres.run(ddl, database=database)
        harness.wait_until(lambda: len(changed(proxy, database)) > before, f"{source} sees {ddl}")
        event = changed(proxy, database)[before]
        assert text in event["changes"]
        assert event["cause"] in (source, "start")  # start: of a reading that was under way
        if event["cause"] == "trigger":
            assert event["by"].startswith("postgres, ") and event["by"].split(", ")[-1].startswith(ddl.split()[0])


def test_ddl_that_goes_through_pgmend_is_seen_by_its_command_alone(postgres: harness.Postgres, database: str, watching: Any) -> None:
    postgres.run("CREATE TABLE users (id int, email text)", database=database)
    proxy = watching()  # nothing is looked at, nothing tells
    with connect(proxy, database) as client:
        for ddl, text in (
            ("ALTER TABLE users RENAME COLUMN email TO mail", "column public.users.email renamed to mail"),
            ("BEGIN; ALTER TABLE users RENAME TO clients; COMMIT", "table public.users renamed to clients"),
        ):
            before = len(changed(proxy, database))
            client.execute(ddl)
            harness.wait_until(lambda: len(changed(proxy, database)) > before, f"pgmend sees {ddl}")
            event = changed(proxy, database)[before]
            assert text in event["changes"] and event["cause"] in ("statement", "start")


def test_a_failing_statement_alone_finds_the_change(postgres: harness.Postgres, database: str, watching: Any) -> None:
    postgres.run("CREATE TABLE users (id int, email text)", database=database)
    proxy = watching()
    with connect(proxy, database) as client:
        assert client.execute("SELECT email FROM users").fetchall() == []
        postgres.run("ALTER TABLE users RENAME COLUMN email TO mail", database=database)
        cursor = client.execute("SELECT email FROM users")
        assert cursor.description[0].name == "email"
        invalidated = harness.wait_until(lambda: events(proxy, "cache.invalidated", database), "it is logged, after the answer")[0]
        assert [e["cause"] for e in changed(proxy, database)] in (["failure"], ["start"])
        assert invalidated["everything"] is False and invalidated["names"] == "email, mail, users"


def test_a_change_with_the_trigger_is_seen_within_milliseconds(postgres: harness.Postgres, database: str, watching: Any) -> None:
    assert install(postgres, database).returncode == 0
    postgres.run(*(f"CREATE TABLE t{i} (id int PRIMARY KEY, a text, b text)" for i in range(50)), database=database)
    proxy = watching(notifications=True)
    times = []
    with postgres.connect(database) as connection:
        for i in range(60):
            before = len(changed(proxy, database))
            connection.execute(f"ALTER TABLE t0 RENAME COLUMN {'a' if i % 2 == 0 else 'z'} TO {'z' if i % 2 == 0 else 'a'}")
            committed = time.time()
            event = harness.wait_until(lambda: changed(proxy, database)[before:], "the change is seen")[0]
            times.append(_seconds(event["ts"]) - committed)
            time.sleep(0.05)  # a reading may take a fifth of the time at most
    times.sort()
    print("commit to published, ms:", [round(1000 * t, 1) for t in (times[len(times) // 2], times[-1])])


def _seconds(ts: str) -> float:
    import datetime

    return datetime.datetime.fromisoformat(ts.replace("Z", "+00:00")).timestamp()


def test_the_trigger_can_be_installed_again_and_removed(postgres: harness.Postgres, database: str) -> None:
    for _ in range(2):
        done = install(postgres, database)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{database}: installed\n", "")
    assert postgres.run("SELECT count(*) FROM pg_event_trigger WHERE evtname LIKE 'pgmend%'", database=database) == [(2,)]
    for _ in range(2):
        done = install(postgres, database, "uninstall")
        assert (done.returncode, done.stdout) == (0, f"{database}: uninstalled\n")
    assert postgres.run("SELECT count(*) FROM pg_event_trigger", database=database) == [(0,)]
    assert postgres.run("SELECT to_regnamespace('pgmend')", database=database) == [(None,)]
    assert install(postgres, "nowhere_to_be_found").returncode == 1


def test_the_trigger_never_stands_in_the_way(postgres: harness.Postgres, database: str) -> None:
    assert install(postgres, database).returncode == 0
    with psycopg.connect(harness.conninfo(postgres.port, database, user="trust"), autocommit=True) as other:
        other.execute("CREATE TABLE mine (id int)")  # a role without any right in the schema pgmend
        postgres.run("REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC", database=database)
        other.execute("ALTER TABLE mine RENAME TO yours")
        other.execute("DROP TABLE yours")
        with other.transaction():
            other.execute("CREATE TABLE t (id int); CREATE TEMP TABLE u (id int)")
    postgres.run("GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC", database=database)


def test_temporary_tables_notify_nobody(postgres: harness.Postgres, database: str) -> None:
    assert install(postgres, database).returncode == 0
    with postgres.connect(database) as listener, postgres.connect(database) as other:
        listener.execute("LISTEN pgmend")
        other.execute("CREATE TEMP TABLE t (id int)")
        other.execute("ALTER TABLE t RENAME id TO i")
        other.execute("DROP TABLE t")
        other.execute("SET pgmend.notify = off; CREATE TABLE quiet (id int)")
        other.execute("RESET pgmend.notify; CREATE TABLE real (id int)")
        got = next(listener.notifies())
        assert got.payload.endswith("CREATE TABLE")
        listener.execute("SELECT 1")
        assert not listener.pgconn.notifies()


def test_a_change_without_the_trigger_is_seen_within_a_second_or_so(postgres: harness.Postgres, database: str, watching: Any) -> None:
    proxy = watching(poll="250ms", verify="5s")
    times = []
    for i in range(5):
        before = len(changed(proxy, database))
        postgres.run(f"CREATE TABLE t{i} (id int)", database=database)  # its session ends, and reports its counters then
        committed = time.time()
        event = harness.wait_until(lambda: changed(proxy, database)[before:], "the change is seen")[0]
        times.append(_seconds(event["ts"]) - committed)
    print("commit to published without the trigger, ms:", [round(1000 * t) for t in sorted(times)])


def test_a_thousand_changes_during_load_leave_nothing_unseen(postgres: harness.Postgres, database: str, watching: Any,
                                                             start_pgmend: Any) -> None:
    assert install(postgres, database).returncode == 0
    proxy = watching(poll="250ms", verify="5s", notifications=True)
    postgres.run("CREATE TABLE hot (id int PRIMARY KEY, n int)", "INSERT INTO hot SELECT g, 0 FROM generate_series(1, 100) g", database=database)
    script = harness.scratch() / f"{database}.pgbench"
    script.write_text("\\set id random(1, 100)\nUPDATE hot SET n = n + 1 WHERE id = :id;\nSELECT n FROM hot WHERE id = :id;\n")
    load = subprocess.Popen([harness.PG_BIN / "pgbench", "-n", "-c", "2", "-T", "3600", "-M", "prepared", "-h", harness.HOST, "-p", str(proxy.port),
                             "-U", "postgres", "-f", script, database], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        with postgres.connect(database) as connection:
            connection.execute("CREATE TABLE moving (id int, a text)")
            for i in range(250):
                connection.execute(f"CREATE TABLE t{i} (id int PRIMARY KEY, a text)")
                connection.execute(f"ALTER TABLE t{i} RENAME COLUMN a TO b{i}")
                connection.execute(f"ALTER TABLE moving RENAME TO moving{i}; ALTER TABLE moving{i} RENAME TO moving")
                connection.execute(f"DROP TABLE t{i - 1}" if i % 2 else f"CREATE TYPE e{i} AS ENUM ('a{i}')")
                if i == 50:
                    memory = proxy.rss_kib()
        assert load.poll() is None  # no statement of it failed
    finally:
        load.kill()
        _, complaints = load.communicate()
    assert "error" not in complaints.lower()
    fresh = fresh_fingerprint(start_pgmend, database)
    harness.wait_until(lambda: newest_fingerprint(proxy, database) == fresh, "the final schema is the one that a fresh reading finds")
    assert harness.SANITIZED or proxy.rss_kib() < memory + 20 * 1024


def test_a_terminated_watcher_loses_no_change(postgres: harness.Postgres, database: str, watching: Any, start_pgmend: Any) -> None:
    proxy = watching(notifications=True)  # no trigger: the lost connection is the only cause to read
    for i in range(5):
        before = len(changed(proxy, database))
        with postgres.connect(database) as connection:
            connection.execute(f"BEGIN; CREATE TABLE t{i} (id int)")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                               " WHERE application_name = 'pgmend control' AND datname = current_database()")
            connection.execute("COMMIT")
        if i == 0:
            continue  # whether the reconnected watcher read before or after that COMMIT is open; the next one tells
        harness.wait_until(lambda: len(changed(proxy, database)) > before, "the change is seen after reconnecting")
        assert changed(proxy, database)[-1]["cause"] in ("reconnect", "start")  # the latter where the first reading was not over when it lost its connection
    fresh = fresh_fingerprint(start_pgmend, database)
    postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgmend control' AND datname = current_database()", database=database)
    harness.wait_until(lambda: newest_fingerprint(proxy, database) == fresh, "nothing is lost")


def test_a_database_made_again_under_its_name_has_no_lineage(postgres: harness.Postgres, start_pgmend: Any) -> None:
    postgres.run("CREATE DATABASE again")
    postgres.run("CREATE TABLE users (id int, email text)", database="again")
    proxy = start_pgmend(control="user=postgres", log={"format": "json", "level": "debug"})
    try:
        with connect(proxy, "again"):
            harness.wait_until(lambda: known(proxy, "again"), "the schema is known")
        postgres.run("DROP DATABASE again WITH (FORCE)", "CREATE DATABASE again")
        postgres.run("CREATE TABLE users (id int, mail text)", database="again")
        with connect(proxy, "again") as client:
            event = harness.wait_until(lambda: changed(proxy, "again"), "the new database is read")[0]
            assert event["lineage"] == "ended"
            with pytest.raises(psycopg.errors.UndefinedColumn):
                client.execute("SELECT email FROM users")
    finally:
        postgres.run("DROP DATABASE IF EXISTS again WITH (FORCE)")


def test_two_databases_with_the_same_names_are_kept_apart(postgres: harness.Postgres, database: str, start_pgmend: Any) -> None:
    other = database + "_other"
    postgres.run(f"CREATE DATABASE {other}")
    try:
        for name in (database, other):
            postgres.run("CREATE TABLE users (id int, email text)", database=name)
        proxy = start_pgmend(control="user=postgres", log={"format": "json", "level": "debug"})
        with connect(proxy, database) as one, connect(proxy, other) as two:
            for name in (database, other):
                harness.wait_until(lambda: known(proxy, name), "the schema is known")
            postgres.run("ALTER TABLE users RENAME COLUMN email TO mail", database=database)
            assert one.execute("SELECT email FROM users").description[0].name == "email"
            assert two.execute("SELECT email FROM users").description[0].name == "email"
            with pytest.raises(psycopg.errors.UndefinedColumn):
                two.execute("SELECT mail FROM users")
            assert not changed(proxy, other)
    finally:
        postgres.run(f"DROP DATABASE {other} WITH (FORCE)")


def test_a_rename_made_while_pgmend_was_down_is_healed(postgres: harness.Postgres, database: str, start_pgmend: Any) -> None:
    state = harness.scratch() / f"{database}.db"
    postgres.run("CREATE TABLE users (id int, email text)", "INSERT INTO users VALUES (1, 'a@b')", database=database)

    def started() -> harness.Pgmend:
        proxy = start_pgmend(control="user=postgres", state=str(state), log={"format": "json", "level": "debug"})
        harness.wait_until(lambda: known(proxy, database) or changed(proxy, database), "the schema is known")
        return proxy

    first = started()
    with connect(first, database) as client:
        postgres.run("ALTER TABLE users RENAME COLUMN email TO mail", database=database)
        assert client.execute("SELECT email FROM users").fetchall() == [("a@b",)]
    first.finish()

    postgres.run("ALTER TABLE users RENAME COLUMN mail TO address", "ALTER TABLE users RENAME TO clients", database=database)
    second = started()
    event = changed(second, database)[0]
    assert event["cause"] == "start" and event["version"] == 3 and event["lineage"] == "continues"
    assert "table public.users renamed to clients" in event["changes"]
    with connect(second, database) as client:
        for column in ("email", "mail"):
            cursor = client.execute(f"SELECT {column} FROM users")
            assert (cursor.description[0].name, cursor.fetchall()) == (column, [("a@b",)])
    second.finish()

    third = started()  # nothing happened
    assert not changed(third, database)
    with connect(third, database) as client:
        assert client.execute("SELECT email FROM users").fetchall() == [("a@b",)]
    third.finish()

    def schema_diff(*arguments: str) -> str:
        done = subprocess.run([harness.BINARY, "schema", "diff", "--state", state, "--database", database, *arguments], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert schema_diff("1", "3").splitlines() == ["minor     table public.users renamed to clients", "minor     column public.users.email renamed to address"]
    assert [line.split()[1] for line in schema_diff().splitlines() if line.startswith("version")] == ["1", "2", "3"]
    assert "minor     column public.users.email renamed to mail" in schema_diff()


def test_a_damaged_state_file_is_set_aside(postgres: harness.Postgres, database: str, start_pgmend: Any) -> None:
    state = harness.scratch() / f"{database}.db"
    state.write_bytes(b"this is no database" * 1000)
    proxy = start_pgmend(control="user=postgres", state=str(state), log={"format": "json", "level": "debug"})
    harness.wait_until(lambda: known(proxy, database), "the schema is known all the same")
    assert proxy.events("state.damaged")
    assert list(state.parent.glob(f"{database}.db.damaged-*"))


def test_after_a_restore_old_names_heal_again_only_when_a_person_says_so(postgres: harness.Postgres, start_pgmend: Any) -> None:
    name = "restored"
    state = harness.scratch() / "restored.db"
    postgres.run(f"CREATE DATABASE {name}")
    postgres.run("CREATE TABLE users (id int PRIMARY KEY, gone text, email text)", "INSERT INTO users VALUES (1, 'x', 'a@b')", database=name)
    proxy = start_pgmend(control="user=postgres", state=str(state), log={"format": "json", "level": "debug"})
    harness.wait_until(lambda: known(proxy, name), "the schema is known")
    try:
        with connect(proxy, name) as client:
            postgres.run("ALTER TABLE users DROP COLUMN gone", "ALTER TABLE users RENAME COLUMN email TO mail", database=name)
            assert client.execute("SELECT email FROM users").fetchall() == [("a@b",)]
        proxy.finish()
        dump = subprocess.run([harness.PG_BIN / "pg_dump", "-h", harness.HOST, "-p", str(postgres.port), "-U", "postgres", name],
                              capture_output=True, text=True, check=True).stdout
        postgres.run(f"DROP DATABASE {name} WITH (FORCE)", f"CREATE DATABASE {name}")
        subprocess.run([harness.PG_BIN / "psql", "-q", "-h", harness.HOST, "-p", str(postgres.port), "-U", "postgres", name], input=dump, text=True,
                       check=True, capture_output=True)

        proxy = start_pgmend(control="user=postgres", state=str(state), log={"format": "json", "level": "debug"})
        proposed = harness.wait_until(lambda: events(proxy, "lineage.proposed", name), "the lineage is proposed")[0]
        with connect(proxy, name) as client, connect(proxy, "pgmend") as console:
            with pytest.raises(psycopg.errors.UndefinedColumn):
                client.execute("SELECT email FROM users")
            row = next(r for r in console.execute("SHOW SCHEMA").fetchall() if r[0] == name)
            assert row[-1] == "waits for approval: " + proposed["pattern"]
            patterns = harness.wait_until(lambda: [r for r in console.execute("SHOW PATTERNS").fetchall() if r[2] == proposed["pattern"]], "it is in the book")
            console.execute(f"APPROVE PATTERN {patterns[0][0]}")
            harness.wait_until(lambda: events(proxy, "lineage.adopted", name), "the lineage is adopted", 20)
            assert client.execute("SELECT email FROM users").fetchall() == [("a@b",)]
            client.execute("UPDATE users SET email = 'c@d'")
        proxy.finish()

        proxy = start_pgmend(control="user=postgres", state=str(state), log={"format": "json", "level": "debug"})
        harness.wait_until(lambda: known(proxy, name), "the schema is known")
        with connect(proxy, name) as client:  # it stays adopted
            assert client.execute("SELECT email FROM users").fetchall() == [("c@d",)]
    finally:
        postgres.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_only_so_many_versions_are_remembered_and_over_a_restart_too(postgres: harness.Postgres, database: str, start_pgmend: Any) -> None:
    state = harness.scratch() / f"{database}.db"
    postgres.run("CREATE TABLE users (id int, a text)", "INSERT INTO users VALUES (1, 'x')", database=database)
    options = {"control": "user=postgres", "state": str(state), "watch": {"poll": "50ms", "verify": "200ms", "keep_versions": 3},
               "log": {"format": "json", "level": "debug"}}
    proxy = start_pgmend(**options)
    with connect(proxy, database) as client:
        harness.wait_until(lambda: known(proxy, database), "the schema is known")
        for old, new in ("ab", "bc", "cd"):
            before = len(changed(proxy, database))
            postgres.run(f"ALTER TABLE users RENAME COLUMN {old} TO {new}", database=database)
            harness.wait_until(lambda: len(changed(proxy, database)) > before, "the change is seen")

        def heals(which: "psycopg.Connection[Any]", column: str) -> bool:
            try:
                return which.execute(f"SELECT {column} FROM users").fetchall() == [("x",)]
            except psycopg.errors.UndefinedColumn:
                return False

        assert [heals(client, column) for column in "abcd"] == [False, True, True, True]  # of four versions the first one is forgotten
    proxy.finish()
    proxy = start_pgmend(**options)
    with connect(proxy, database) as client:
        harness.wait_until(lambda: known(proxy, database), "the schema is known")
        assert [heals(client, column) for column in "abcd"] == [False, True, True, True]
    proxy.finish()
    options["watch"]["keep_versions"] = 2
    proxy = start_pgmend(**options)
    with connect(proxy, database) as client:
        harness.wait_until(lambda: known(proxy, database), "the schema is known")
        assert [heals(client, column) for column in "abcd"] == [False, False, True, True]


def test_a_version_is_remembered_for_so_long_after_the_next_one_came(postgres: harness.Postgres, database: str, start_pgmend: Any) -> None:
    postgres.run("CREATE TABLE users (id int, a text)", "INSERT INTO users VALUES (1, 'x')", database=database)
    state = harness.scratch() / f"{database}.db"
    options = {"control": "user=postgres", "state": str(state), "log": {"format": "json", "level": "debug"}}
    proxy = start_pgmend(**options, watch={"poll": "50ms", "verify": "200ms", "keep_for": "3s"})
    with connect(proxy, database) as client:
        harness.wait_until(lambda: known(proxy, database), "the schema is known")
        postgres.run("ALTER TABLE users RENAME COLUMN a TO b", database=database)
        assert client.execute("SELECT a FROM users").fetchall() == [("x",)]
        forgotten = harness.wait_until(lambda: events(proxy, "schema.forgotten", database), "its time is over", 20)
        assert forgotten[0]["versions"] == 1
        with pytest.raises(psycopg.errors.UndefinedColumn):
            client.execute("SELECT a FROM users")
    proxy.finish()
    proxy = start_pgmend(**options, watch={"poll": "50ms", "verify": "200ms", "keep_for": "3s"})
    with connect(proxy, database) as client:  # nor what is in the file
        harness.wait_until(lambda: known(proxy, database), "the schema is known")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            client.execute("SELECT a FROM users")


def test_after_a_failure_a_new_table_with_the_new_name_is_not_taken_for_the_old_one(postgres, start_pgmend, database):
    """Only what has to do with the names in the statement is read then: also what has the name that they have got."""
    postgres.run("CREATE SCHEMA app", "CREATE TABLE users (id int PRIMARY KEY, email text)", "INSERT INTO users VALUES (1, 'old')", database=database)
    proxy = start_pgmend(control="user=postgres", watch={"poll": "1h"}, healing={"notice": False})
    harness.know(proxy, database)
    with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as client:
        client.execute("SET search_path = app, public")
        postgres.run("ALTER TABLE users RENAME TO clients", "CREATE TABLE app.clients (id int PRIMARY KEY, email text)", "INSERT INTO app.clients VALUES (1, 'other')",
                     database=database)
        assert client.execute("UPDATE users SET email = email || '.' WHERE id = 1").rowcount == 1
        assert client.execute("SELECT email FROM users").fetchall() == [("old.",)]
    assert postgres.run("SELECT email FROM app.clients", database=database) == [("other",)]


def test_after_a_failure_views_types_and_functions_are_looked_up_too(postgres, start_pgmend, database):
    postgres.run("CREATE TYPE mood AS ENUM ('sad')", "CREATE TABLE users (id int PRIMARY KEY, email text, feels mood)", "INSERT INTO users VALUES (1, 'a', 'sad')",
                 "CREATE VIEW addresses AS SELECT id, email FROM users", "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'", database=database)
    proxy = start_pgmend(control="user=postgres", watch={"poll": "1h"}, healing={"notice": False})
    harness.know(proxy, database)
    with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as client:
        for ddl, text, rows in (
            ("ALTER VIEW addresses RENAME COLUMN email TO address", "SELECT email FROM addresses", [("a",)]),
            ("ALTER TYPE mood RENAME TO feeling", "SELECT 'sad'::mood = feels FROM users", [(True,)]),
            ("ALTER FUNCTION twice(int) RENAME TO doubled", "SELECT twice(id) FROM users", [(2,)]),
            ("ALTER TABLE users RENAME TO people", "SELECT users.email FROM users", [("a",)]),
        ):
            postgres.run(ddl, database=database)
            assert client.execute(text).fetchall() == rows


def test_a_statement_that_never_fitted_is_refused_by_what_its_names_mean(postgres, start_pgmend, database):
    postgres.run("CREATE TABLE users (id int PRIMARY KEY, email text)", database=database)
    proxy = start_pgmend(control="user=postgres", watch={"poll": "1h"})
    harness.know(proxy, database)
    with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as client:
        for text, error in (("SELECT emial FROM users", psycopg.errors.UndefinedColumn), ("SELECT 1 FROM nowhere", psycopg.errors.UndefinedTable),
                            ("DROP TABLE nowhere", psycopg.errors.UndefinedTable)):
            with pytest.raises(error):
                client.execute(text)
        postgres.run("ALTER TABLE users RENAME TO emial", database=database)  # and now there is something of that name
        with pytest.raises(psycopg.errors.UndefinedTable):
            client.execute("SELECT emial.nothing FROM users AS emial")
        assert client.execute("SELECT email FROM users").fetchall() == []
