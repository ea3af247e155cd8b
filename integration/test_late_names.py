"""Definitions and commands that look their names up when they are executed, and not when they are parsed."""

from __future__ import annotations

import pytest

import harness
import raw
from raw import bind, execute, parse, query

SCHEMA = """
    CREATE TABLE users (id int PRIMARY KEY, email text, age int);
    CREATE TABLE orders (id int PRIMARY KEY, user_id int);
    INSERT INTO users VALUES (1, 'ann@x', 30);
    INSERT INTO orders VALUES (10, 1);
"""
EXTENDED = "as one request"
PREPARED = "prepared before"
MODES = ("simple", EXTENDED, PREPARED)


def indexes(shop, table="users"):
    return {name for (name,) in shop.direct(f"SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = '{table}'::regclass")}


class Sender:
    """One client that sends a text in one of the modes."""

    def __init__(self, client, mode, text):
        self.client, self.mode, self.text = client, mode, text
        if mode == PREPARED:
            assert raw.kinds(client.ask(parse(text, "s") + raw.SYNC)) == "1Z"

    def send(self):
        if self.mode == "simple":
            return self.client.ask(query(self.text))
        if self.mode == EXTENDED:
            return self.client.ask(parse(self.text) + bind() + execute() + raw.SYNC)
        return self.client.ask(bind(statement="s") + execute() + raw.SYNC)


ANSWERS = {"simple": "CZ", EXTENDED: "12CZ", PREPARED: "2CZ"}


@pytest.mark.parametrize("known", (True, False), ids=("known", "just now"))
@pytest.mark.parametrize("block", (False, True), ids=("alone", "in a block"))
@pytest.mark.parametrize("mode", ("simple", EXTENDED))
def test_an_index_without_a_name_gets_the_one_that_it_would_have_got(shop, mode, block, known):
    harness.know(shop.proxy, shop.name)
    with shop.raw() as client:
        sender = Sender(client, mode, "CREATE INDEX ON users (email, age) WHERE email <> ''")
        shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
        if known:
            harness.know(shop.proxy, shop.name)
        before = indexes(shop)
        if block:
            client.ask(query("BEGIN"))
        found = sender.send()
        if block and raw.error_of(found) and not known:  # it was sent as it is, and no savepoint was ahead of it
            assert raw.error_of(found).get("C") == "42703"
            assert indexes(shop) == before
            return
        assert raw.kinds(found) == ANSWERS[mode], found
        if block:
            client.ask(query("COMMIT"))
        assert indexes(shop) - before == {"users_email_age_idx"}
        # The name is taken now: PostgreSQL would have counted on, and that name is not known.
        if mode == EXTENDED:
            shop.same_as_direct(parse(sender.text) + bind() + execute() + raw.SYNC)
        again = sender.send()
        assert raw.error_of(again).get("C") == "42703", again
        assert client.rows("SELECT 1") == [["1"]]
        assert indexes(shop) - before == {"users_email_age_idx"}


def test_an_index_without_a_name_in_a_prepared_statement_is_left_alone(shop):
    harness.know(shop.proxy, shop.name)
    with shop.raw() as client:
        sender = Sender(client, PREPARED, "CREATE INDEX ON users (email)")
        shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
        for _ in range(3):
            assert raw.error_of(sender.send()).get("C") == "42703"


@pytest.mark.parametrize("known", (True, False), ids=("known", "just now"))
@pytest.mark.parametrize("mode", MODES)
def test_an_index_with_a_name(shop, mode, known):
    harness.know(shop.proxy, shop.name)
    with shop.raw() as client:
        sender = Sender(client, mode, "CREATE INDEX mine ON users (lower(email), email)")
        shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
        if known:
            harness.know(shop.proxy, shop.name)
        for _ in range(3):
            assert raw.kinds(sender.send()) == ANSWERS[mode]
            shop.direct("DROP INDEX mine")


def test_an_index_without_a_name_is_made_concurrently(shop):
    harness.know(shop.proxy, shop.name)
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    harness.know(shop.proxy, shop.name)
    with shop.raw() as client:
        before = indexes(shop)
        assert raw.kinds(client.ask(query("CREATE INDEX CONCURRENTLY ON users (lower(email), email)"))) == "CZ"
        assert indexes(shop) - before == {"users_lower_email_idx"}


@pytest.mark.parametrize("known", (True, False), ids=("known", "just now"))
@pytest.mark.parametrize("mode", MODES)
def test_a_materialized_view_is_refreshed_under_its_old_name(shop, mode, known):
    shop.direct("CREATE MATERIALIZED VIEW latest AS SELECT count(*) AS n FROM orders")
    harness.know(shop.proxy, shop.name)
    with shop.raw() as client:
        sender = Sender(client, mode, "REFRESH MATERIALIZED VIEW latest")
        assert raw.kinds(sender.send()) == ANSWERS[mode]
        shop.migrate("ALTER MATERIALIZED VIEW latest RENAME TO newest", "DELETE FROM orders")
        if known:
            harness.know(shop.proxy, shop.name)
        for count in range(3):
            assert raw.kinds(sender.send()) == ANSWERS[mode]
            assert shop.direct("SELECT n FROM newest") == [(count,)]
            shop.direct(f"INSERT INTO orders (id, user_id) VALUES ({count + 1000}, 1)")


@pytest.mark.parametrize("mode", (EXTENDED, PREPARED))
def test_what_event_triggers_may_have_done_is_not_done_twice(shop, mode):
    shop.direct("CREATE MATERIALIZED VIEW latest AS SELECT 1 AS n", "CREATE TABLE told (tag text)",
                "CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO told VALUES (tg_tag); END'",
                "CREATE EVENT TRIGGER tell ON ddl_command_start WHEN TAG IN ('REFRESH MATERIALIZED VIEW') EXECUTE FUNCTION tell()")
    harness.know(shop.proxy, shop.name)
    with shop.raw() as client:
        sender = Sender(client, mode, "REFRESH MATERIALIZED VIEW latest")
        shop.migrate("ALTER MATERIALIZED VIEW latest RENAME TO newest")
        found = sender.send()
        assert raw.error_of(found).get("C") == "42P01"
        assert shop.direct("SELECT count(*) FROM told") == [(0,)]
