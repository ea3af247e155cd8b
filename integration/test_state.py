"""What pgmend remembers: patterns, decisions, what drifts, and values that a heal left out. kill -9 loses none of what people decided."""

from __future__ import annotations

import json
import signal
import sqlite3
from typing import Any

import psycopg
import pytest

import harness


def console(port: int) -> "psycopg.Connection[Any]":
    return psycopg.connect(harness.conninfo(port, "pgmend"), autocommit=True)


def patterns(admin: "psycopg.Connection[Any]", database: str) -> list[dict[str, Any]]:
    cursor = admin.execute("SHOW PATTERNS")
    names = [column.name for column in cursor.description or ()]
    return [row for row in (dict(zip(names, values)) for values in cursor.fetchall()) if row["database"] == database]


def kept(proxy: harness.Pgmend, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{proxy.directory}/pgmend.db?mode=ro", uri=True) as file:
        return file.execute(sql).fetchall()


def kill(proxy: harness.Pgmend) -> None:
    proxy.send_signal(signal.SIGKILL)
    proxy.wait()


@pytest.fixture
def remembering(start_pgmend: Any) -> harness.Pgmend:
    return start_pgmend(control="user=postgres", state="pgmend.db")


def app(proxy: harness.Pgmend, database: str) -> "psycopg.Connection[Any]":
    return psycopg.connect(harness.conninfo(proxy.port, database, application_name="old application"), autocommit=True)


def test_decisions_survive_kill_9_and_hold_from_the_first_statement_on(remembering: harness.Pgmend, postgres: harness.Postgres, database: str) -> None:
    postgres.run("CREATE TABLE users (id int, email text, legacy text)", "INSERT INTO users VALUES (1, 'a', 'b')", database=database)
    with app(remembering, database) as old, console(remembering.port) as admin:
        harness.know(remembering, database)
        old.execute("ALTER TABLE users DROP COLUMN legacy")
        old.execute("ALTER TABLE users RENAME email TO mail")
        for column in ("email", "legacy"):
            try:
                old.execute(f"SELECT {column} FROM users")
            except psycopg.errors.UndefinedColumn:
                pass
        found = harness.wait_until(lambda: (p := patterns(admin, database)) and len(p) == 2 and p, "both are patterns")
        ids = {p["state"]: p["id"] for p in found}
        admin.execute(f"APPROVE PATTERN {ids['proposed']}")
        admin.execute(f"SUSPEND PATTERN {ids['active']}")
        kill(remembering)
    remembering.start()
    with app(remembering, database) as old, console(remembering.port) as admin:
        with pytest.raises(psycopg.errors.UndefinedColumn):
            old.execute("SELECT email FROM users")
        assert {(p["id"], p["state"]) for p in patterns(admin, database)} == {(ids["proposed"], "active"), (ids["active"], "suspended")}
        assert old.execute("SELECT id, legacy FROM users").fetchall() == [(1, None)]


def test_a_pattern_whose_old_name_exists_again_is_retired(remembering: harness.Pgmend, postgres: harness.Postgres, database: str) -> None:
    postgres.run("CREATE TABLE users (id int, email text)", database=database)
    with app(remembering, database) as old, console(remembering.port) as admin:
        harness.know(remembering, database)
        old.execute("ALTER TABLE users RENAME email TO mail")
        old.execute("SELECT email FROM users")
        harness.wait_until(lambda: [p["state"] for p in patterns(admin, database)] == ["active"], "the heal is a pattern")
        old.execute("ALTER TABLE users RENAME mail TO email")
        harness.wait_until(lambda: [p["state"] for p in patterns(admin, database)] == ["retired"], "it is retired")
        remembering.wait_for_event("pattern.retired", lambda e: e["database"] == database and e["reason"] == "its old name exists again")


def lose_a_column(proxy: harness.Pgmend, postgres: harness.Postgres, database: str) -> None:
    """`users.legacy` is dropped, and a person has approved that writes leave it out."""
    postgres.run("CREATE TABLE users (id int, legacy text)", database=database)
    with app(proxy, database) as old, console(proxy.port) as admin:
        harness.know(proxy, database)
        old.execute("ALTER TABLE users DROP COLUMN legacy")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            old.execute("INSERT INTO users (id, legacy) VALUES (0, 'x')")
        found = harness.wait_until(lambda: patterns(admin, database), "the heal is proposed")
        for it in found:
            admin.execute(f"APPROVE PATTERN {it['id']}")


def test_a_lost_value_is_in_the_audit_record_before_the_client_has_its_answer(remembering: harness.Pgmend, postgres: harness.Postgres, database: str) -> None:
    lose_a_column(remembering, postgres, database)
    with app(remembering, database) as old:
        old.execute("INSERT INTO users (id, legacy) VALUES (1, 'first'), (2, 'second')")
        kill(remembering)
    values = "SELECT v.expression, v.value, a.before_sql, a.parameters FROM heal_audit a JOIN heal_audit_values v ON v.audit = a.id ORDER BY a.id, v.number"
    text = "INSERT INTO users (id, legacy) VALUES (1, 'first'), (2, 'second')"
    assert kept(remembering, values) == [("'first'", "'first'", text, ""), ("'second'", "'second'", text, "")]
    remembering.start()
    with app(remembering, database) as old:
        old.execute("INSERT INTO users (id, legacy) VALUES (%s, %s)", (3, "third"))
        with old.transaction():
            for n in (4, 5): # each of them, also when its text is known
                old.execute("INSERT INTO users (id, legacy) VALUES (%s, %s)", (n, f"number {n}"))
        assert old.execute("UPDATE users SET legacy = NULL, id = id + 10 WHERE id = 3").rowcount == 1
        assert postgres.run("SELECT id FROM users ORDER BY 1", database=database) == [(1,), (2,), (4,), (5,), (13,)]
    found = kept(remembering, values)[2:]
    assert [row[1] for row in found] == ["third", "number 4", "number 5", "NULL"]
    assert found[0][3].endswith(',"third"]]')
    assert "third" not in remembering.log_text() and "second" not in remembering.log_text()


def test_without_a_durable_record_a_losing_write_fails_with_its_own_error(start_pgmend: Any, remembering: harness.Pgmend, postgres: harness.Postgres, database: str) -> None:
    lose_a_column(remembering, postgres, database)
    with sqlite3.connect(f"{remembering.directory}/pgmend.db") as file, app(remembering, database) as old:
        file.execute("DROP TABLE heal_audit_values")
        file.commit()
        with pytest.raises(psycopg.errors.UndefinedColumn) as refused:
            old.execute("INSERT INTO users (id, legacy) VALUES (1, 'x')")
        assert refused.value.diag.statement_position == "24"
        assert postgres.run("SELECT count(*) FROM users", database=database) == [(0,)]
        # What is computed is not known, and a named statement runs again out of sight.
        with pytest.raises(psycopg.errors.UndefinedColumn):
            old.execute("INSERT INTO users (id, legacy) VALUES (1, 'x')", prepare=True)


def test_a_damaged_file_is_set_aside_and_a_newer_one_refused(start_pgmend: Any, remembering: harness.Pgmend) -> None:
    remembering.stop()
    with sqlite3.connect(f"{remembering.directory}/pgmend.db") as file:
        file.execute("PRAGMA user_version = 99")
    refused = harness.run([harness.BINARY, "serve", "-c", remembering.config_path], cwd=remembering.directory, check=False)
    assert refused.returncode == 1 and "a newer pgmend made this file" in refused.stderr
    for path in remembering.directory.glob("pgmend.db*"):
        path.unlink()
    (remembering.directory / "pgmend.db").write_bytes(b"not a database" * 1000)
    remembering.start()
    remembering.wait_for_event("state.damaged")
    assert list(remembering.directory.glob("pgmend.db.damaged-*"))


def test_a_file_whose_damage_is_found_in_use_is_set_aside_as_well(remembering: harness.Pgmend, postgres: harness.Postgres, database: str) -> None:
    """Its first pages are whole, so it can be opened."""
    postgres.run("CREATE TABLE users (id int, email text)", database=database)
    with app(remembering, database) as old:
        harness.know(remembering, database)
        old.execute("ALTER TABLE users RENAME email TO mail")
        old.execute("SELECT email FROM users")
    remembering.stop()
    file = remembering.directory / "pgmend.db"
    whole = file.read_bytes()
    file.write_bytes(whole[:3 * 4096] + b"\xff" * (len(whole) - 3 * 4096))
    for path in remembering.directory.glob("pgmend.db-*"):
        path.unlink()
    remembering.start()
    assert "pgmend.db.damaged-" in remembering.wait_for_event("state.damaged")["kept_as"]
    with app(remembering, database) as old, console(remembering.port) as admin:
        harness.know(remembering, database)
        old.execute("ALTER TABLE users RENAME mail TO address")
        assert old.execute("SELECT mail FROM users").fetchall() == []
        number = harness.wait_until(lambda: patterns(admin, database), "the heal is a pattern")[0]["id"]
        admin.execute(f"SUSPEND PATTERN {number}")
    assert kept(remembering, "SELECT state FROM patterns") == [("suspended",)]


def test_the_report_and_the_export_say_what_to_write_instead(remembering: harness.Pgmend, postgres: harness.Postgres, database: str) -> None:
    postgres.run("CREATE TABLE users (id int, email text)", "CREATE SEQUENCE numbers", database=database)
    with app(remembering, database) as old:
        harness.know(remembering, database)
        old.execute("ALTER TABLE users RENAME email TO mail")
        old.execute("ALTER SEQUENCE numbers RENAME TO ids")
        for n in range(3):
            old.execute(f"SELECT email FROM users WHERE id = {n} AND email <> 'secret'")
        old.execute("SELECT nextval('numbers')")
        kept_now = "SELECT count FROM drift ORDER BY count"
        harness.wait_until(lambda: kept(remembering, kept_now) == [(1,), (3,)], "all is counted in the file")
    command = [harness.BINARY, "report", "-c", remembering.config_path, "--format", "json"]
    rows = json.loads(harness.run(command, cwd=remembering.directory).stdout)
    assert (rows[0]["application_name"], rows[0]["user"], rows[0]["count"], rows[0]["outcome"]) == ("old application", "postgres", 3, "healed")
    assert rows[0]["after"] == "SELECT mail AS email FROM users WHERE id = ? AND mail <> ?"
    text = harness.run(command[:-2], cwd=remembering.directory).stdout
    assert "old application as postgres" in text and "  + SELECT mail AS email" in text and "secret" not in text
    exported = harness.run([harness.BINARY, "rules", "export", "-c", remembering.config_path], cwd=remembering.directory).stdout
    assert "column: public.users.email, now: mail" in exported and "sequence: public.numbers, now: public.ids" in exported
    # It is a rule file.
    (remembering.directory / "learned.yaml").write_text(exported)
    remembering.config["rules"] = "learned.yaml"
    remembering.write_config()
    remembering.reload()
    assert remembering.wait_for_event("config.reloaded")["rules"] == 2


def test_a_service_keeps_its_state_in_the_directory_that_systemd_gives_it(start_pgmend: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:/nowhere")
    proxy = start_pgmend(control="user=postgres", state="kept.db")
    harness.wait_until((tmp_path / "kept.db").exists, "the file is made there")
    proxy.config["state"] = f"{proxy.directory}/absolute.db"
    proxy.write_config()
    proxy.finish()
    proxy.start()
    harness.wait_until((proxy.directory / "absolute.db").exists, "an absolute path is what it says")


@pytest.fixture
def shared(postgres: harness.Postgres) -> Any:
    """A database for the state alone, and the string that names it. Its role is no superuser."""
    postgres.run("CREATE ROLE keeper LOGIN", "CREATE DATABASE memory OWNER keeper")
    yield f"postgresql://keeper@{harness.HOST}:{postgres.port}/memory"
    postgres.run("DROP DATABASE memory WITH (FORCE)", "DROP ROLE IF EXISTS shop_team", "DROP ROLE keeper")


def test_two_processes_on_one_postgresql_store_learn_from_each_other(start_pgmend: Any, shared: str, postgres: harness.Postgres, database: str) -> None:
    postgres.run("CREATE TABLE users (id int, email text, legacy text)", "INSERT INTO users VALUES (1, 'it''s', 'b')", database=database)
    one = start_pgmend(control="user=postgres", state=shared)
    two = start_pgmend(control="user=postgres", state=shared)
    with app(one, database) as old, console(one.port) as first, console(two.port) as second, app(two, database) as other:
        harness.know(one, database)
        harness.know(two, database)
        old.execute("ALTER TABLE users DROP COLUMN legacy")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            old.execute("SELECT id, legacy FROM users")
        found = harness.wait_until(lambda: patterns(second, database), "the other one has heard of the proposal")
        first.execute(f"APPROVE PATTERN {found[0]['id']}")
        harness.wait_until(lambda: patterns(second, database)[0]["evidence"] == "approved", "and of the approval")
        harness.wait_until(lambda: postgres.run("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgmend state%'") == [(4,)], "two connections each")

        def healed() -> bool:
            try:
                return other.execute("SELECT id, legacy FROM users").fetchall() == [(1, None)]
            except psycopg.errors.UndefinedColumn:
                return False

        harness.wait_until(healed, "it heals there as well")
        second.execute(f"SUSPEND PATTERN {found[0]['id']}")

        def refused() -> bool:
            try:
                old.execute("SELECT id, legacy FROM users")
                return False
            except psycopg.errors.UndefinedColumn:
                return True

        harness.wait_until(refused, "a suspension reaches the first one")
    kill(one)
    kill(two)
    two.start()
    with console(two.port) as second:
        assert [p["state"] for p in patterns(second, database)] == ["suspended"]
    # Others see what they are given.
    postgres.run("CREATE ROLE shop_team LOGIN", "GRANT USAGE ON SCHEMA pgmend TO shop_team", "GRANT SELECT ON pgmend.patterns TO shop_team", database="memory")
    see = lambda: postgres.run("SET ROLE shop_team", "SELECT count(*) FROM pgmend.patterns", database="memory")  # noqa: E731
    assert see() == [(0,)]
    postgres.run(f"INSERT INTO pgmend.readers VALUES ('shop_team', '{database}')", database="memory")
    assert see() == [(1,)]
    report = harness.run([harness.BINARY, "report", "-c", two.config_path, "--format", "markdown"], cwd=two.directory).stdout
    assert "| old application | postgres |" in report


def test_a_fleet_keeps_one_chain_of_versions_over_restarts(start_pgmend: Any, shared: str, postgres: harness.Postgres, database: str) -> None:
    postgres.run("CREATE TABLE users (id int, email text)", "INSERT INTO users VALUES (1, 'a@b')", database=database)
    fleet = [start_pgmend(control="user=postgres", state=shared, log={"format": "json", "level": "debug"}) for _ in range(2)]
    stored = lambda: postgres.run("SELECT number, changes FROM pgmend.schema_versions WHERE database = '" + database + "' ORDER BY number", database="memory")  # noqa: E731
    with app(fleet[0], database) as one, app(fleet[1], database) as other:
        for proxy in fleet:
            harness.know(proxy, database)
        harness.wait_until(lambda: len(stored()) == 1, "both have read the first version, and it is there once")
        postgres.run("ALTER TABLE users RENAME COLUMN email TO mail", database=database)
        for client in (one, other):
            assert client.execute("SELECT email FROM users").fetchall() == [("a@b",)]
        for proxy in fleet:
            proxy.wait_for_event("schema.changed", lambda e: e["database"] == database)
    for proxy in fleet:
        proxy.finish()
    assert stored() == [(1, ""), (2, "column public.users.email renamed to mail")]

    postgres.run("ALTER TABLE users RENAME COLUMN mail TO address", "ALTER TABLE users RENAME TO clients", database=database)
    third = start_pgmend(control="user=postgres", state=shared, log={"format": "json", "level": "debug"})
    event = third.wait_for_event("schema.changed", lambda e: e["database"] == database)
    assert (event["cause"], event["version"], event["lineage"]) == ("start", 3, "continues")
    with app(third, database) as client:
        for column in ("email", "mail"):
            assert client.execute(f"SELECT {column} FROM users").fetchall() == [("a@b",)]
    third.finish()
    diff = harness.run([harness.BINARY, "schema", "diff", "--state", shared, "--database", database, "1", "3"]).stdout
    assert diff.splitlines() == ["minor     table public.users renamed to clients", "minor     column public.users.email renamed to address"]
    chain = postgres.run(f"SELECT object, change, name, after FROM pgmend.lineage WHERE database = '{database}' ORDER BY number, position", database="memory")
    assert ("column", "renamed", "public.users.email", "mail") in chain and ("table", "renamed", "public.users", "clients") in chain
    # Others see what they are given.
    postgres.run("CREATE ROLE shop_team LOGIN", "GRANT USAGE ON SCHEMA pgmend TO shop_team", "GRANT SELECT ON ALL TABLES IN SCHEMA pgmend TO shop_team", database="memory")
    see = lambda: postgres.run("SET ROLE shop_team", "SELECT count(DISTINCT v.database), count(DISTINCT l.database), count(DISTINCT d.database)"  # noqa: E731
                               " FROM pgmend.databases d LEFT JOIN pgmend.schema_versions v ON v.database_id = d.id LEFT JOIN pgmend.lineage l ON l.database_id = d.id",
                               database="memory")
    assert see() == [(0, 0, 0)]
    postgres.run(f"INSERT INTO pgmend.readers VALUES ('shop_team', '{database}')", database="memory")
    assert see() == [(1, 1, 1)]


def test_tables_that_an_earlier_pgmend_made_are_brought_up_to_date(start_pgmend: Any, shared: str, postgres: harness.Postgres, database: str) -> None:
    postgres.run("CREATE TABLE users (id int, email text)", database=database)
    start_pgmend(control="user=postgres", state=shared).finish()
    postgres.run("DROP TABLE pgmend.lineage, pgmend.schema_versions, pgmend.damaged_schema_versions, pgmend.databases, pgmend.learned_rules",
                 "UPDATE pgmend.state_version SET version = 1", database="memory")
    proxy = start_pgmend(control="user=postgres", state=shared)
    kept_there = f"SELECT count(*) FROM pgmend.schema_versions WHERE database = '{database}'"
    harness.wait_until(lambda: postgres.run("SELECT version FROM pgmend.state_version", database="memory") == [(2,)]
                       and postgres.run(kept_there, database="memory") == [(1,)], "the version is there")
    proxy.finish()


def test_a_lost_value_is_kept_in_postgresql_too_or_the_write_fails(start_pgmend: Any, shared: str, postgres: harness.Postgres, database: str) -> None:
    proxy = start_pgmend(control="user=postgres", state=shared)
    lose_a_column(proxy, postgres, database)
    with app(proxy, database) as old:
        old.execute("INSERT INTO users (id, legacy) VALUES (1, %s)", ("it's",))
        assert postgres.run("SELECT expression, value FROM pgmend.heal_audit_values", database="memory") == [("$1", "it's")]
        postgres.run("DROP TABLE pgmend.heal_audit_values", database="memory")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            old.execute("INSERT INTO users (id, legacy) VALUES (2, %s)", ("x",))
        # Down altogether: statements go on.
        postgres.run("ALTER ROLE keeper NOLOGIN", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'")
        assert old.execute("SELECT id FROM users").fetchall() == [(1,)]


def breaker(admin: "psycopg.Connection[Any]", name: str) -> dict[str, Any]:
    cursor = admin.execute("SHOW BREAKERS")
    names = [column.name for column in cursor.description or ()]
    return next(row for row in (dict(zip(names, values)) for values in cursor.fetchall()) if row["name"] == name)


def test_a_store_that_only_fails_is_left_alone_and_found_again(start_pgmend: Any, shared: str, postgres: harness.Postgres) -> None:
    quick = {"consecutive_failures": 2, "open_for": "300ms", "max_open_for": "1s", "half_open_probes": 1}
    proxy = start_pgmend(control="user=postgres", state=shared, breaker=quick)
    with console(proxy.port) as admin:
        assert breaker(admin, "state")["state"] == "closed"
        postgres.run("ALTER ROLE keeper NOLOGIN", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'")

        def something_to_keep() -> None:  # each change of a breaker is noted
            admin.execute("TRIP BREAKER catalog")
            admin.execute("RESET BREAKER catalog")

        def opened() -> bool:
            something_to_keep()
            return any(event["breaker"] == "state" for event in proxy.events("breaker.opened"))

        harness.wait_until(opened, "the store's breaker opens")
        assert "not permitted to log in" in next(e for e in proxy.events("breaker.opened") if e["breaker"] == "state")["reason"]
        postgres.run("ALTER ROLE keeper LOGIN")

        def closed() -> bool:
            something_to_keep()
            return breaker(admin, "state")["state"] == "closed"

        harness.wait_until(closed, "it is found again")
        kept = lambda: postgres.run("SELECT name FROM pgmend.circuit_breaker_state", database="memory")  # noqa: E731
        harness.wait_until(lambda: any(name.startswith("catalog of ") for (name,) in kept()), "what was noted meanwhile is written")
        assert not any(name.startswith("state") for (name,) in kept())


def test_an_open_breaker_is_remembered_in_postgresql_by_the_instance_that_opened_it(start_pgmend: Any, shared: str, postgres: harness.Postgres) -> None:
    slow = {"consecutive_failures": 2, "open_for": "60s", "max_open_for": "60s"}
    nowhere = {"port": harness.free_port()}
    one, two = (start_pgmend(backend=nowhere, state=shared, breaker=slow) for _ in range(2))

    def refusal(proxy: harness.Pgmend) -> str:
        with pytest.raises(psycopg.OperationalError) as error:
            psycopg.connect(harness.conninfo(proxy.port))
        return str(error.value)

    harness.wait_until(lambda: "is not asked" in refusal(one), "its breaker opens")
    harness.wait_until(lambda: postgres.run("SELECT count(*) FROM pgmend.circuit_breaker_state WHERE value LIKE 'open%'", database="memory") == [(1,)], "that is kept")
    kill(one)
    kill(two)
    one.start()
    two.start()
    one.wait_for_event("breaker.opened", lambda e: e["cause"] == "restored")
    assert "is not asked" in refusal(one)
    assert "Connection refused" in refusal(two)  # what the other one met is not its own
    # What is old is not believed.
    kill(one)
    postgres.run("UPDATE pgmend.circuit_breaker_state SET at = now() - interval '61 s'", database="memory")
    one.start()
    assert "Connection refused" in refusal(one)


def test_a_replacement_that_answers_otherwise_is_warned_about(start_pgmend: Any, postgres: harness.Postgres, database: str) -> None:
    postgres.run("CREATE TABLE invoices (id int, net int)", database=database)
    proxy = start_pgmend(control="user=postgres", start=False)
    rule = "  - {{ name: {}, statement: 'SELECT {} FROM invoices', replace: 'SELECT {} FROM invoices', when: {{ database: {} }} }}\n"
    (proxy.directory / "rules.yaml").write_text("rules:\n" + rule.format("good", "id", "id", database) + rule.format("typed", "net", "net::text AS net", database)
                                                + rule.format("gone", "id, net", "id, gross", database))
    proxy.config["rules"] = "rules.yaml"
    proxy.write_config()
    proxy.start()
    reason = proxy.wait_for_event("rules.doubtful", lambda e: "PostgreSQL refuses" in e["reason"])["reason"]
    assert "rules.yaml:3:" in reason and "replace answers with other columns: net (type 25), not net (type 23)" in reason
    assert "rules.yaml:4:" in reason and "(42703)" in reason and "rule good" not in reason


def test_how_long_a_pattern_is_trusted_is_configured_and_reloaded(start_pgmend: Any, postgres: harness.Postgres, database: str) -> None:
    proxy = start_pgmend(control="user=postgres", state="pgmend.db")
    postgres.run("CREATE TABLE users (id int, email text)", database=database)
    with app(proxy, database) as old, console(proxy.port) as admin:
        harness.know(proxy, database)
        old.execute("ALTER TABLE users RENAME email TO mail")
        old.execute("SELECT email FROM users")
        harness.wait_until(lambda: [p["state"] for p in patterns(admin, database)] == ["active"], "the heal is a pattern")
        proxy.config["patterns"] = {"retire_after": "0s"}
        proxy.write_config()
        with pytest.raises(psycopg.Error, match="patterns.retire_after must be from 1s to"):
            admin.execute("RELOAD")
        proxy.config["patterns"] = {"retire_after": "1s"}
        proxy.write_config()
        admin.execute("RELOAD")
        harness.wait_until(lambda: [p["state"] for p in patterns(admin, database)] == ["retired"], "nobody used it for a second")
        assert proxy.wait_for_event("pattern.retired")["reason"] == "nobody used it"
        old.execute("SELECT id, email FROM users") # it is of use again


def test_literals_are_in_the_log_and_in_the_state_where_that_is_configured_and_passwords_never(start_pgmend: Any, postgres: harness.Postgres, database: str) -> None:
    proxy = start_pgmend(control="user=postgres", state="pgmend.db", log={"format": "json", "level": "info", "statements": "full"})
    postgres.run("CREATE TABLE users (id int, email text, pin text)", database=database)

    def healed(number: int) -> tuple[str, str]:
        event = proxy.wait_for_event("statement.healed", lambda it: f"{number}" in it["before"] or f"n{number}" in it["before"])
        return event["before"], event["after"]

    with app(proxy, database) as old, console(proxy.port) as admin:
        harness.know(proxy, database)
        old.execute("ALTER TABLE users RENAME email TO mail")
        # Refused first, then known before; by parameters, too.
        for n in (71, 72, 71):
            old.execute(f"INSERT INTO users (id, email) VALUES ({n}, 'literal {n}')")
        old.execute("INSERT INTO users (id, email) VALUES (73, %s)", ("parameter",))
        assert healed(71) == ("INSERT INTO users (id, email) VALUES (71, 'literal 71')", "INSERT INTO users (id, mail) VALUES (71, 'literal 71')")
        assert healed(72)[1] == "INSERT INTO users (id, mail) VALUES (72, 'literal 72')"
        assert healed(73)[0] == "INSERT INTO users (id, email) VALUES (73, $1)"
        old.execute("UPDATE users SET email = 'hunter2' WHERE pin = 'my password is hunter2'")
        with pytest.raises(psycopg.errors.UndefinedObject):
            old.execute("ALTER ROLE nobody_of_that_name PASSWORD 'hunter2'")
        rows = lambda: kept(proxy, "SELECT before_sql, after_sql FROM transaction_logs ORDER BY id")  # noqa: E731
        harness.wait_until(lambda: len(rows()) == 5, "they are written")
        assert rows()[0] == ("INSERT INTO users (id, email) VALUES (71, 'literal 71')", "INSERT INTO users (id, mail) VALUES (71, 'literal 71')")
        assert rows()[4][0] == "UPDATE users SET email = ? WHERE pin = ?"
        drifted = {"INSERT INTO users (id, email) VALUES (?, ?)", "INSERT INTO users (id, email) VALUES (?, $1)", "UPDATE users SET email = ? WHERE pin = ?"}
        harness.wait_until(lambda: {row[0] for row in kept(proxy, "SELECT before_sql FROM drift WHERE outcome = 'healed'")} == drifted, "the report has them, without")
        proxy.config["log"] = {"format": "json", "level": "info"}
        proxy.write_config()
        admin.execute("RELOAD")
        old.execute("INSERT INTO users (id, email) VALUES (74, 'hidden')")
        harness.wait_until(lambda: len(rows()) == 6, "it is written, too")
        assert rows()[5][0] == "INSERT INTO users (id, email) VALUES (?, ?)"
    assert "hunter2" not in proxy.log_text() and "parameter\"" not in proxy.log_text() and "hidden" not in proxy.log_text()
    assert "hunter2" not in str(kept(proxy, "SELECT before_sql, after_sql FROM transaction_logs"))
