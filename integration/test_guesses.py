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


#: A column that a migration drops, and one that stays: PostgreSQL's HINT or likeness offers the other one.
DROPPED = (
    ("email", "emails"), ("user_name", "username"), ("created", "created_at"), ("updated_on", "updated_at"), ("phone", "phones"),
    ("is_admin", "is_admins"), ("address1", "address2"), ("password", "passwords"), ("title", "titles"), ("name", "names"), ("state", "status"),
    ("start_time", "start_times"), ("last_login", "last_login_at"), ("token", "tokens"), ("price", "prices"), ("org_id", "orgid"),
    ("project_id", "projects_id"), ("description", "descriptions"), ("avatar", "avatar_url"), ("expires", "expires_at"), ("color", "colour"),
    ("enabled", "disabled"), ("sort_order", "sort_orders"), ("external_id", "external_uid"), ("visibility", "visibilities"), ("content", "contents"),
    ("uuid", "uuids"), ("used_on", "user_on"), ("locale", "locales"), ("Quota", "quota"), ("größe", "größen"), ("parent_id", "parents_id"),
)


def test_a_dropped_column_never_heals_by_a_guess(proxy, postgres, database):
    quoted = [(f'"{dropped}"', f'"{stays}"') for dropped, stays in DROPPED]
    postgres.run(*(f"CREATE TABLE t{i} (id int, {dropped} text, {stays} text)" for i, (dropped, stays) in enumerate(quoted)), database=database)
    harness.know(proxy, database)
    postgres.run(*(f"ALTER TABLE t{i} DROP COLUMN {dropped}" for i, (dropped, _) in enumerate(quoted)), database=database)
    shop = Shop(proxy, postgres, database)
    hints = 0
    for i, (column, _) in enumerate(quoted):
        for sql in (f"SELECT {column} FROM t{i}", f"SELECT id FROM t{i} WHERE {column} = 'x'", f"INSERT INTO t{i} (id, {column}) VALUES (1, 'x')",
                    f"UPDATE t{i} SET {column} = 'x'", f"DELETE FROM t{i} WHERE {column} IS NULL"):
            shop.same_as_direct(query(sql))
        with psycopg.connect(harness.conninfo(proxy.port, database)) as app, pytest.raises(psycopg.errors.UndefinedColumn) as refused:
            app.execute(f"SELECT {column} FROM t{i}")
        hints += refused.value.diag.message_hint is not None
    assert hints > len(DROPPED) // 2, "PostgreSQL offers another column for most"
    assert not [e for e in proxy.events("statement.healed") if e["database"] == database]
    with console(proxy.port) as admin:
        found = harness.wait_until(lambda: patterns(admin, database), "guesses are patterns")
        assert found and {row[4] for row in found} == {"proposed"}


def test_forward_drift_is_named(proxy, postgres, database):
    postgres.run("CREATE TABLE users (id int, email text)", database=database)
    harness.know(proxy, database)
    postgres.run("ALTER TABLE users ADD COLUMN age int", database=database)
    shop = Shop(proxy, postgres, database)
    for sql, name in (("SELECT loyalty FROM users", 'column "loyalty"'), ("SELECT * FROM vouchers", 'relation "vouchers"')):
        shop.same_as_direct(query(sql))
        proxy.wait_for_event("statement.refused", lambda e: e["database"] == database and e["reason"].startswith(f"{name}: no version of this schema had it"))
