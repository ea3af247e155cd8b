"""Fields of values: of what functions return, of columns of a row type, and attributes of composite types."""

from __future__ import annotations

import pytest

import harness
import raw
from raw import bind, describe, execute, parse, query

SCHEMA = """
    CREATE TYPE address AS (street text, code int);
    CREATE TABLE users (id int PRIMARY KEY, email text);
    CREATE TABLE orders (id int PRIMARY KEY, buyer users, home address);
    CREATE FUNCTION one_user(n int) RETURNS users LANGUAGE sql STABLE AS 'SELECT u FROM users u WHERE id = n';
    INSERT INTO users VALUES (1, 'ann@x'), (2, 'bob@x');
    INSERT INTO orders SELECT id + 10, u, ROW('Elm', id)::address FROM users u;
"""

READS = (
    ("SELECT (one_user(1)).email", "email", [["ann@x"]]),
    ("SELECT (o.buyer).email FROM orders o ORDER BY o.id", "email", [["ann@x"], ["bob@x"]]),
    ("SELECT (home).street FROM orders WHERE (home).code = 2", "street", [["Elm"]]),
    ("SELECT email(u) FROM users u WHERE id = 2", "email", [["bob@x"]]),
    ("SELECT (SELECT u FROM users u ORDER BY u.email LIMIT 1).email", "email", [["ann@x"]]),
)
WRITE = "UPDATE orders SET home.street = (buyer).email, home.code = (home).code + 1 WHERE id = 11 RETURNING (home).street"
MIGRATION = ("ALTER TABLE users RENAME COLUMN email TO email_address", "ALTER TYPE address RENAME ATTRIBUTE street TO road")


def answer(messages):
    """Label and rows."""
    labels = [raw.labels(m) for m in messages if m.type == "T"]
    return labels, [raw.decode_row(m.body) for m in messages if m.type == "D"]


@pytest.mark.parametrize("known", (True, False), ids=("known", "just now"))
@pytest.mark.parametrize("mode", ("simple", "extended", "prepared"))
def test_fields_are_read_and_written_under_their_old_names(shop, mode, known):
    texts = [text for text, _, _ in READS] + [WRITE]
    with shop.raw() as client:
        if mode == "prepared":
            for number, text in enumerate(texts):
                assert raw.kinds(client.ask(parse(text, f"s{number}") + raw.SYNC)) == "1Z"
        harness.know(shop.proxy, shop.name)
        shop.migrate(*MIGRATION)
        if known:
            harness.know(shop.proxy, shop.name)

        def send(number):
            if mode == "simple":
                return client.ask(query(texts[number]))
            if mode == "extended":
                return client.ask(parse(texts[number]) + bind() + describe() + execute() + raw.SYNC)
            return client.ask(bind(statement=f"s{number}") + describe() + execute() + raw.SYNC)

        for _ in range(2):
            for number, (_, label, rows) in enumerate(READS):
                assert answer(send(number)) == ([[label]], rows)
        for count in (2, 3):
            assert answer(send(len(READS))) == ([["street"]], [["ann@x"]])
            assert shop.direct("SELECT home::text FROM orders WHERE id = 11") == [(f"(ann@x,{count})",)]
        assert shop.direct("SELECT home::text FROM orders WHERE id = 12") == [("(Elm,2)",)]


def test_a_name_of_a_field_that_is_used_again_is_not_healed(shop):
    """Seen by pgmend or not: whose field it is depends on the row's type alone."""
    with shop.raw() as client:
        harness.know(shop.proxy, shop.name)
        shop.migrate(*MIGRATION)
        harness.know(shop.proxy, shop.name)
        text = "UPDATE orders SET home.street = 'x' WHERE id = 11 RETURNING (home).street"
        assert answer(client.ask(query(text))) == ([["street"]], [["x"]])
        assert shop.direct("SELECT home::text FROM orders WHERE id = 11") == [("(x,1)",)]
        shop.migrate("UPDATE orders SET home = NULL", "ALTER TYPE address ADD ATTRIBUTE street text")
        assert client.rows(text) == [["x"]]
        assert shop.direct("SELECT home::text FROM orders WHERE id = 11") == [("(,,x)",)]


def test_a_field_of_a_column_that_has_got_another_type(shop):
    with shop.raw() as client:
        harness.know(shop.proxy, shop.name)
        shop.migrate(*MIGRATION)
        harness.know(shop.proxy, shop.name)
        text = "UPDATE orders SET home.street = 'x' WHERE id = 11 RETURNING id"
        assert client.rows(text) == [["11"]]
        shop.migrate("CREATE TYPE place AS (road int, street text)", "ALTER TABLE orders ALTER home TYPE place USING ROW(1, 'y')::place")
        assert client.rows(text) == [["11"]]
        assert shop.direct("SELECT home::text FROM orders WHERE id = 11") == [("(1,x)",)]
