"""Names that no version of the schema had: named so, and what PostgreSQL's HINT or likeness offers waits for a person."""

from __future__ import annotations

import psycopg
import pytest

import harness
from raw import query
from test_console import console, patterns
from shop import Shop


@pytest.fixture(scope="module")
def proxy(postgres):
    proxy = harness.Pgmend(postgres, control="user=postgres", log={"format": "json", "level": "debug"}, admin={"database": "pgmend", "users": ["postgres"]})
    yield proxy
    proxy.finish()


@pytest.mark.parametrize("sql, pattern", (
    ("SELECT emai FROM users", "hint column public.users.emai -> email"),  # PostgreSQL's own HINT
    ("INSERT INTO users (id, postal_adress) VALUES (2, 'x')", "similarity column public.users.postal_adress -> postal_address"),  # here it has none
    ("SELECT id FROM user_accounts", "similarity relation public.user_accounts -> public.users_accounts"),
))
def test_a_guess_waits_for_approval(proxy, postgres, database, sql, pattern):
    postgres.run("CREATE TABLE users (id int, email text, postal_address text)", "INSERT INTO users VALUES (1, 'a')",
                 "CREATE TABLE users_accounts (id int)", database=database)
    shop = Shop(proxy, postgres, database)
    with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as app, console(proxy.port) as admin:
        harness.know(proxy, database)
        shop.same_as_direct(query(sql))
        proxy.wait_for_event("statement.refused", lambda e: e["database"] == database and "version of this schema" in e["reason"])
        (proposed,) = harness.wait_until(lambda: patterns(admin, database), "the guess is a pattern")
        assert proposed[4] == "proposed" and proposed[3] in ("hint", "similarity") and pattern in proposed
        with pytest.raises((psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable)):
            app.execute(sql)
        admin.execute(f"APPROVE PATTERN {proposed[0]}")
        app.execute(sql)
        proxy.wait_for_event("statement.healed", lambda e: e["database"] == database and e["pattern"] == pattern)


def test_forward_drift_is_named(proxy, postgres, database):
    postgres.run("CREATE TABLE users (id int, email text)", database=database)
    harness.know(proxy, database)
    postgres.run("ALTER TABLE users ADD COLUMN age int", database=database)
    shop = Shop(proxy, postgres, database)
    for sql, name in (("SELECT loyalty FROM users", 'column "loyalty"'), ("SELECT * FROM vouchers", 'relation "vouchers"')):
        shop.same_as_direct(query(sql))
        proxy.wait_for_event("statement.refused", lambda e: e["database"] == database and e["reason"].startswith(f"{name}: no version of this schema had it"))
