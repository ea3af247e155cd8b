"""What the YAML rules say is what happens: old code works on a schema that pgmend never saw change."""
from __future__ import annotations

import pathlib

import psycopg
import pytest

import harness

SCHEMA = """
    CREATE SCHEMA crm;
    CREATE SCHEMA billing;
    CREATE TYPE mood AS ENUM ('unhappy', 'ok');
    CREATE TABLE users (id int PRIMARY KEY, email_address text, created_at text, feeling mood DEFAULT 'ok', newer int);
    CREATE TABLE crm.clients (id int PRIMARY KEY, city text);
    CREATE TABLE orders (id int PRIMARY KEY, region text NOT NULL);
    CREATE TABLE billing.invoices (id int, customer_id int, net int, tax int);
    CREATE FUNCTION billing.total(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
    INSERT INTO users VALUES (1, 'a@x', 'monday', 'unhappy', 5), (2, 'b@x', 'friday', 'ok', 6);
    INSERT INTO crm.clients VALUES (1, 'Bonn');
    INSERT INTO billing.invoices VALUES (7, 1, 10, 2);
"""

RULES = """
rules:
  - { name: users-email,   column: public.users.email,  now: email_address }
  - { name: customers,     table: customers,            now: crm.clients }
  - { name: order-region,  column: orders.region,       default: "'eu'" }
  - { name: sad,           enum: mood.sad,              now: unhappy }
  - { name: total,         function: calc_total,        now: billing.total }
  - { name: pin-users,     table: users,                star: [id, email, created_at] }
  - name: old-report
    statement: SELECT id, total FROM invoices WHERE customer = $1
    replace:   SELECT id, net + tax AS total FROM billing.invoices WHERE customer_id = $1
"""


class Shop:
    def __init__(self, proxy: harness.Pgmend, rules: pathlib.Path, database: str) -> None:
        self.proxy, self.rules, self.database = proxy, rules, database

    def connect(self, **other: object) -> psycopg.Connection:
        return psycopg.connect(harness.conninfo(self.proxy.port, self.database), autocommit=True, **other)

    def write(self, text: str) -> None:
        before = len(self.proxy.events("config.reloaded"))
        self.rules.write_text(text)
        self.proxy.reload()
        harness.wait_until(lambda: len(self.proxy.events("config.reloaded")) > before or None, "the reload")


@pytest.fixture
def shop(tmp_path, start_pgmend, postgres, database):
    folder = tmp_path / "rules.d"
    folder.mkdir()
    rules = folder / "shop.yaml"
    rules.write_text(RULES)
    postgres.run(SCHEMA, database=database)
    proxy = start_pgmend(rules=str(folder), control="user=postgres", log={"format": "json", "level": "debug"})
    with psycopg.connect(harness.conninfo(proxy.port, database)): # its schema stays known as long as somebody is there
        proxy.wait_for_event("catalog.loaded", lambda e: e["database"] == database)
        yield Shop(proxy, rules, database)


def answer(connection: psycopg.Connection, text: str, parameters: tuple | None = None) -> tuple:
    cursor = connection.execute(text, parameters)
    return [column.name for column in cursor.description], cursor.fetchall()


def test_each_form_of_rule_heals(shop):
    with shop.connect() as connection:
        assert answer(connection, "SELECT id, email FROM users WHERE email = 'a@x'") == (["id", "email"], [(1, "a@x")])
        assert answer(connection, "SELECT email FROM users WHERE id = %s", (2,)) == (["email"], [("b@x",)])
        assert answer(connection, "SELECT city FROM customers") == (["city"], [("Bonn",)])
        assert answer(connection, "SELECT id FROM users WHERE feeling = 'sad'") == (["id"], [(1,)])
        assert answer(connection, "SELECT calc_total(4)") == (["calc_total"], [(5,)])
        assert answer(connection, "SELECT * FROM users WHERE id = 1") == (["id", "email", "created_at"], [(1, "a@x", "monday")])
        assert answer(connection, "SELECT id, total FROM invoices WHERE customer = 1") == (["id", "total"], [(7, 12)])
        assert answer(connection, "SELECT id, total FROM invoices WHERE customer = %s", (1,)) == (["id", "total"], [(7, 12)])


def test_rules_heal_writes(shop, postgres):
    with shop.connect() as connection:
        assert connection.execute("INSERT INTO users (id, email) VALUES (3, 'c@x') RETURNING email").fetchone() == ("c@x",)
        assert connection.execute("UPDATE users SET email = %s, feeling = 'sad' WHERE id = 3", ("d@x",)).rowcount == 1
        assert answer(connection, "DELETE FROM users WHERE email = 'd@x' RETURNING *") == (["id", "email", "created_at"], [(3, "d@x", None)])
        assert connection.execute("INSERT INTO customers VALUES (2, 'Ulm')").rowcount == 1
        assert connection.execute("INSERT INTO orders (id) VALUES (1)").rowcount == 1
    assert postgres.run("SELECT region FROM orders", database=shop.database) == [("eu",)]
    assert postgres.run("SELECT city FROM crm.clients WHERE id = 2", database=shop.database) == [("Ulm",)]


def test_a_prepared_statement_is_healed_by_a_rule(shop):
    with shop.connect() as connection:
        for _ in range(3):
            found = connection.execute("SELECT email FROM users WHERE id = %s", (1,), prepare=True)
            assert found.fetchall() == [("a@x",)]


def test_a_reload_changes_the_next_statement(shop):
    with shop.connect() as connection:
        assert connection.execute("SELECT email FROM users WHERE id = 1").fetchall() == [("a@x",)]
        shop.write("rules: []")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute("SELECT email FROM users WHERE id = 1")
        assert len(answer(connection, "SELECT * FROM users")[0]) == 5
        shop.write("rules: [ { name: a, column: users.email, now: created_at } ]")
        assert connection.execute("SELECT email FROM users WHERE id = 1").fetchall() == [("monday",)]


def test_conditions_and_modes_decide_for_whom(shop):
    shop.write("rules: [ { name: a, column: users.email, now: email_address, when: { application_name: ^old } },"
               " { name: b, table: customers, now: crm.clients, mode: observe } ]")
    with shop.connect(application_name="new-shop") as connection:
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute("SELECT email FROM users")
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT city FROM customers")
    told = shop.proxy.wait_for_event("statement.observed", lambda e: e["database"] == shop.database)
    assert (told["pattern"], told["after"]) == ("rule b: relation public.customers -> crm.clients", "SELECT city FROM crm.clients AS customers")
    with shop.connect(application_name="old-shop") as connection:
        assert connection.execute("SELECT email FROM users WHERE id = 1").fetchall() == [("a@x",)]


def test_a_name_that_is_live_means_what_it_means(shop):
    shop.write("rules: [ { name: a, column: users.created_at, now: email_address } ]")
    with shop.connect() as connection:
        assert connection.execute("SELECT created_at FROM users WHERE id = 1").fetchall() == [("monday",)]
    shop.write("rules: [ { name: a, column: users.created_at, now: email_address, when: { application_name: ^old } } ]")
    with shop.connect(application_name="old") as connection:
        assert answer(connection, "SELECT created_at FROM users WHERE id = 1") == (["created_at"], [("a@x",)])


def test_rules_speak_of_columns_that_pgmend_never_saw(shop, postgres):
    shop.write("rules: [ { name: flag, column: users.legacy_flag, gone: { read: \"newer > 5\", write: discard } }, { name: sad, enum: mood.sad, now: unhappy },"
               " { name: region, column: orders.region, default: \"'eu'\" } ]")
    with shop.connect() as connection:
        for prepare in (False, True, True):
            found = connection.execute("SELECT id, legacy_flag FROM users WHERE legacy_flag = %s ORDER BY id", (True,), prepare=prepare)
            assert [c.name for c in found.description] == ["id", "legacy_flag"] and found.fetchall() == [(2, True)]
            number = 10 + connection.execute("SELECT count(*) FROM users").fetchone()[0]
            assert connection.execute("INSERT INTO users (id, legacy_flag) VALUES (%s, %s)", (number, True), prepare=prepare).rowcount == 1
        assert connection.execute("UPDATE users SET legacy_flag = true, feeling = 'sad' WHERE id = 2").rowcount == 1
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute("SELECT *, legacy_flag FROM users")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute("SELECT legacy_flags FROM users")
        assert connection.execute("INSERT INTO orders (id) SELECT id FROM users ORDER BY 1").rowcount == 5
    assert postgres.run("SELECT feeling::text, (SELECT string_agg(region, '') FROM orders) FROM users WHERE id = 2", database=shop.database) == [("unhappy", "eu" * 5)]


def test_parameters_of_statement_rules_may_have_names(shop):
    shop.write("""rules:
  - name: report
    statement: SELECT id, total FROM invoices WHERE customer = :customer AND total > :least
    replace:   SELECT id, net + tax AS total FROM billing.invoices WHERE net + tax > :least AND customer_id = :customer
""")
    with shop.connect() as connection:
        assert answer(connection, "SELECT id, total FROM invoices WHERE customer = %s AND total > %s", (1, 3)) == (["id", "total"], [(7, 12)])
        assert answer(connection, "select id,total from invoices where customer=+1 and total>-3") == (["id", "total"], [(7, 12)])
        assert answer(connection, "SELECT id, total FROM invoices WHERE customer = 1 AND total > 12") == (["id", "total"], [])


def test_a_statement_rule_is_for_one_of_several_statements_too(shop):
    shop.write(RULES + """
  - name: cheaper
    statement: SELECT net FROM billing.invoices WHERE id = :id
    replace:   SELECT net - 1 AS net FROM billing.invoices WHERE id = :id
""")
    old, other = "SELECT id, total FROM invoices WHERE customer = 1", "SELECT net FROM billing.invoices WHERE id = 7"
    with shop.connect() as connection:
        for text, expected in ((f"SELECT 5; {old}; SELECT 6", [(5,), (7, 12), (6,)]),           # refused by PostgreSQL
                               (f"{old} /* a */;; SELECT email FROM users WHERE id = 2", [(7, 12), ("b@x",)]),
                               (f"SELECT 5; {other}", [(5,), (9,)]),                               # accepted
                               (f"SELECT ';'; {other} -- ; end", [(";",), (9,)])):
            for _ in range(2):
                cursor = connection.execute(text)
                found = [cursor.fetchone()]
                while cursor.nextset():
                    found.append(cursor.fetchone())
                assert found == expected, text


def test_rules_heal_while_the_catalog_cannot_be_read(tmp_path, start_pgmend, postgres, database):
    """The control user was never let in: what rules need is asked in the client's own session, and PostgreSQL has the last word as ever."""
    role = f"{database}_control"
    rules = tmp_path / "shop.yaml"
    rules.write_text(RULES)
    postgres.run(f"CREATE ROLE {role} NOLOGIN")
    postgres.run(SCHEMA, database=database)
    proxy = start_pgmend(rules=[str(rules)], control=f"user={role}", log={"format": "json", "level": "debug"})
    try:
        proxy.wait_for_event("catalog.unavailable")
        with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as client:
            ask = lambda sql, *parameters, **how: client.execute(sql, parameters, **how).fetchall()  # noqa: E731
            for prepare in (False, True, True):
                cursor = client.execute("SELECT u.email, count(*) FROM users u WHERE u.id = %s GROUP BY u.email", (1,), prepare=prepare)
                assert [c.name for c in cursor.description] == ["email", "count"] and cursor.fetchall() == [("a@x", 1)]
            assert ask("SELECT customers.city FROM customers") == [("Bonn",)]
            assert client.execute("UPDATE users SET email = %s WHERE id = 2", ("c@x",)).rowcount == 1
            client.execute("INSERT INTO customers (id, city) VALUES (2, 'Kiel')")
            assert postgres.run("SELECT email_address FROM users WHERE id = 2", database=database) == [("c@x",)]
            assert postgres.run("SELECT city FROM crm.clients WHERE id = 2", database=database) == [("Kiel",)]
            assert ask("SELECT id, total FROM invoices WHERE customer = %s", 1) == [(7, 12)]
            harness.wait_until(lambda: {e["evidence"] for e in proxy.events("statement.healed")} == {"rule"}, "the heals are told")
            # What no rule is for, and what PostgreSQL accepts, is as without pgmend.
            assert ask("SELECT email_address FROM users WHERE id = 1") == [("a@x",)]
            with pytest.raises(psycopg.errors.UndefinedColumn) as refused:
                ask("SELECT never FROM users")
            assert refused.value.diag.statement_position == "8"
            assert "the catalog could not be read" in proxy.wait_for_event("statement.refused")["reason"]
            with client.transaction(force_rollback=True), pytest.raises(psycopg.errors.UndefinedColumn):
                ask("SELECT email FROM users")

            postgres.run("ALTER TABLE orders RENAME COLUMN region TO area", database=database)
            with pytest.raises(psycopg.errors.UndefinedColumn):
                ask("SELECT region FROM orders")
            postgres.run("ALTER TABLE orders RENAME COLUMN area TO region", f"ALTER ROLE {role} LOGIN", database=database)
            proxy.wait_for_event("catalog.loaded", lambda e: e["database"] == database)
            postgres.run("ALTER TABLE orders RENAME COLUMN region TO area", database=database)
            assert ask("SELECT region FROM orders") == []
            assert ask("SELECT email FROM users WHERE id = 1") == [("a@x",)]
            assert client.execute("SELECT u.email, count(*) FROM users u WHERE u.id = %s GROUP BY u.email", (1,), prepare=True).fetchall() == [("a@x", 1)]
    finally:
        proxy.finish()
        postgres.run(f"DROP ROLE {role}")
