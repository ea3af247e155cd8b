"""One command suspends a pattern, and it takes effect for the next statement: of every session, prepared or not."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

import harness

pytestmark = pytest.mark.pgmend

OLD = "SELECT email FROM accounts WHERE id = %s"


@pytest.fixture
def proxy(postgres: harness.Postgres, start_pgmend: Any, database: str) -> harness.Pgmend:
    postgres.run("CREATE TABLE accounts (id int PRIMARY KEY, email text)", "INSERT INTO accounts VALUES (1, 'a')", database=database)
    proxy = start_pgmend(control="user=postgres")
    harness.know(proxy, database)
    return proxy


def pattern(admin: "psycopg.Connection[Any]") -> int:
    return harness.wait_until(lambda: admin.execute("SHOW PATTERNS").fetchall(), "the heal is a pattern")[0][0]


@pytest.mark.parametrize("prepared", ("before the change", "after it"))
@pytest.mark.parametrize("block", (False, True), ids=("alone", "in a block"))
def test_a_prepared_statement(proxy: harness.Pgmend, postgres: harness.Postgres, database: str, prepared: str, block: bool) -> None:
    connect = lambda: psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True)  # noqa: E731
    with connect() as app, psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True) as admin:
        def ask() -> list[tuple[Any, ...]]:
            if block:
                with app.transaction():
                    return app.execute(OLD, (1,), prepare=True).fetchall()
            return app.execute(OLD, (1,), prepare=True).fetchall()

        if prepared == "before the change":
            assert ask() == [("a",)]
        postgres.run("ALTER TABLE accounts RENAME email TO address", database=database)
        proxy.wait_for_event("schema.changed")  # until then no savepoint goes ahead of what has worked
        for _ in range(3):
            assert ask() == [("a",)]
        number = pattern(admin)
        admin.execute(f"SUSPEND PATTERN {number}")
        for _ in range(3):
            with pytest.raises(psycopg.errors.UndefinedColumn) as refused:
                ask()
            # Every field, as without pgmend.
            with postgres.connect(database) as direct, pytest.raises(psycopg.errors.UndefinedColumn) as expected:
                direct.execute(OLD, (1,), prepare=True)
            seen = lambda e: [getattr(e.diag, f) for f in dir(e.diag) if not f.startswith("_") and isinstance(getattr(e.diag, f), str)]  # noqa: E731
            assert seen(refused.value) == seen(expected.value)
        admin.execute(f"RESUME PATTERN {number}")
        assert ask() == [("a",)]
        assert ask() == [("a",)]


@pytest.mark.parametrize("prepared", ("before the change", "after it"))
def test_a_name_that_is_used_again_means_what_it_means_now(proxy: harness.Pgmend, postgres: harness.Postgres, database: str, prepared: str) -> None:
    with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as app:
        ask = lambda: app.execute(OLD, (1,), prepare=True).fetchall()  # noqa: E731
        if prepared == "before the change":
            assert ask() == [("a",)]
        postgres.run("ALTER TABLE accounts RENAME email TO address", database=database)
        assert ask() == ask() == [("a",)]
        postgres.run("ALTER TABLE accounts ADD email text DEFAULT 'another'", database=database)
        harness.know(proxy, database)
        assert ask() == ask() == [("another",)]
        postgres.run("ALTER TABLE accounts DROP email", "ALTER TABLE accounts RENAME address TO email", database=database)
        harness.know(proxy, database)
        assert ask() == ask() == [("a",)]


def test_healing_that_is_switched_off_ends_for_prepared_statements_too(proxy: harness.Pgmend, postgres: harness.Postgres, database: str) -> None:
    with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as app:
        postgres.run("ALTER TABLE accounts RENAME email TO address", database=database)
        assert app.execute(OLD, (1,), prepare=True).fetchall() == [("a",)]
        proxy.config["healing"] = {"mode": "off"}
        proxy.write_config()
        proxy.reload()
        proxy.wait_for_event("config.reloaded")

        def refused() -> bool:
            try:
                app.execute(OLD, (1,), prepare=True)
                return False
            except psycopg.errors.UndefinedColumn:
                return True

        harness.wait_until(refused, "healing is off")
        assert postgres.run("SELECT address FROM accounts", database=database) == [("a",)]
