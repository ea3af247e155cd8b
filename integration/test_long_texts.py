"""Texts that are longer than what is looked at: without most of their constants they are healed all the same."""

from __future__ import annotations

import time

import psycopg
import pytest

import harness
import raw

pytestmark = pytest.mark.pgmend

SCHEMA = """
    CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL, name varchar(40));
    CREATE TABLE orders (id int PRIMARY KEY, note text);
    INSERT INTO users SELECT g, 'user' || g || '@example.com', 'name ' || g FROM generate_series(1, 50) g;
"""


@pytest.fixture
def renamed(shop):
    """pgmend knows of the change before anything fails."""
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    shop.known(2)
    return shop


def rows(count: int, first: int = 1000) -> str:
    return ", ".join(f"({i}, 'Ä{i:030}''@example.com', NULL)" for i in range(first, first + count))


def simple(connection: psycopg.Connection, text: str):
    return psycopg.ClientCursor(connection).execute(text)


@pytest.mark.parametrize("block", (False, True), ids=("alone", "in a block"))
@pytest.mark.parametrize("count", (1500, 3000, 15000))
def test_an_insert_of_many_rows(renamed, count, block):
    text = f"INSERT INTO users (id, email, name) VALUES {rows(count)} ON CONFLICT (id) DO UPDATE SET email = excluded.email RETURNING id, email"
    assert 65536 < len(text.encode()) < 1 << 20
    with renamed.connect() as connection:
        for _ in range(2):
            if block:
                connection.execute("BEGIN")
            found = simple(connection, text)
            assert [column.name for column in found.description] == ["id", "email"]
            assert found.fetchall() == [(i, f"Ä{i:030}'@example.com") for i in range(1000, 1000 + count)]
            if block:
                connection.execute("COMMIT")
    assert renamed.direct("SELECT count(*), min(email_address) FROM users WHERE id >= 1000") == [(count, f"Ä{1000:030}'@example.com")]
    healed = renamed.healed()
    assert (healed["tier"], healed["before"].count("(")) == (1, 3)  # columns, one row, the conflict target


def test_a_long_list_of_values(renamed):
    ids = ", ".join(str(i) for i in range(10, 20000))
    others = ", ".join(["'a'", *["'b'"] * 100])
    with renamed.connect() as connection:
        found = simple(connection, f"SELECT email FROM users WHERE id IN ({ids}) AND email <> ALL (ARRAY[{others}]) ORDER BY email DESC LIMIT 2")
        assert (found.description[0].name, found.fetchall()) == ("email", [("user50@example.com",), ("user49@example.com",)])
        assert simple(connection, f"DELETE FROM users WHERE email LIKE 'user%' AND id IN ({ids})").rowcount == 41


def test_it_comes_in_pieces(renamed):
    text = raw.query(f"INSERT INTO users (id, email, name) VALUES {rows(3000)}")
    with renamed.raw() as client:
        before = client.ask(raw.query("SELECT 1"))
        for begin in range(0, len(text), 50000):
            client.send(text[begin:begin + 50000])
            time.sleep(0.01)  # decides nothing: pieces may come as they like
        assert raw.kinds(client.until("Z")) == "CZ"
        assert client.ask(raw.query("SELECT 1")) == before
    with renamed.raw() as client:  # and one that never comes to its end
        client.send(text[:100000])
    assert renamed.direct("SELECT count(*) FROM users WHERE id >= 1000") == [(3000,)]


def many_parameters(count: int, first: int = 1000) -> tuple[str, list]:
    """Of more than 64 KiB; what is bound has nothing to do with its length."""
    text = "INSERT INTO users (id, email, name) VALUES " + ", ".join(["(%s, %s, %s)"] * count) + " ON CONFLICT (id) DO UPDATE SET email = excluded.email RETURNING id, email"
    return text, [value for i in range(first, first + count) for value in (i, f"Ä{i}", None if i % 2 else "a 'name'")]


@pytest.mark.parametrize("block", (False, True), ids=("alone", "in a block"))
@pytest.mark.parametrize("count", (4000, 20000))
def test_parameters(renamed, count, block):
    text, values = many_parameters(count)
    with renamed.connect() as connection:
        for _ in range(2):
            if block:
                connection.execute("BEGIN")
            found = connection.execute(text, values)
            assert [column.name for column in found.description] == ["id", "email"]
            assert found.fetchall() == [(i, f"Ä{i}") for i in range(1000, 1000 + count)]
            if block:
                connection.execute("COMMIT")
        ids = list(range(1, 12001))
        assert connection.execute(f"SELECT email FROM users WHERE id IN ({', '.join(['%s'] * len(ids))}) ORDER BY id LIMIT 1", ids).fetchall() == [("user1@example.com",)]
    assert renamed.direct("SELECT count(*), count(name), min(email_address) FROM users WHERE id >= 1000") == [(count, count // 2, "Ä1000")]
    assert (renamed.healed()["tier"], renamed.healed()["before"].count("IN (")) == (1, 1)


def test_an_unnamed_statement_is_bound_again(renamed):
    """In later requests, and another one in its place."""
    rows_of = lambda count, first: ", ".join(f"(${i}, ${i + 1})" for i in range(first, first + 2 * count, 2))
    long = "INSERT INTO users (id, email) VALUES " + rows_of(6000, 1)
    values = lambda base: tuple(str(base + i // 2).encode() if i % 2 == 0 else b"x" for i in range(12000))
    assert len(long) > 65536
    with renamed.raw() as client:
        for types in ((), (23, 25) * 6000):
            assert raw.kinds(client.ask(raw.parse(long, types=types) + raw.describe("S") + raw.SYNC)) == "1tnZ"
            for base in (10000, 20000):
                assert raw.kinds(client.ask(raw.bind(values(base)) + raw.execute() + raw.SYNC)) == "2CZ"
            assert renamed.direct("DELETE FROM users WHERE id >= 10000 RETURNING 1") == [(1,)] * 12000
        assert "D" in raw.kinds(client.ask(raw.extended("SELECT email FROM users WHERE id = 1")))
        broken = raw.parse("SELECT email, nothing FROM users WHERE name IN ('" + "', '".join(["a"] * 20000) + "')")
        assert raw.error_of(client.ask(broken + raw.SYNC)).get("C") == "42703"
        assert raw.error_of(client.ask(raw.bind() + raw.execute() + raw.SYNC)).get("C") == "26000"


def test_a_long_text_under_a_name_is_refused(renamed):
    text = "INSERT INTO users (id, email) VALUES " + ", ".join(f"(${i}, ${i + 1})" for i in range(1, 12001, 2))
    assert raw.error_of(renamed.same_as_direct(raw.parse(text, "named") + raw.SYNC)).get("C") == "42703"
    renamed.proxy.wait_for_event("statement.refused", lambda e: e["database"] == renamed.name and "unnamed statements" in e["reason"])


def test_what_has_not_drifted_passes(renamed):
    notes = ", ".join(f"({i}, 'email {i:030}')" for i in range(4000))
    with renamed.connect() as connection:
        assert simple(connection, f"INSERT INTO orders (id, note) VALUES {notes}").rowcount == 4000
    assert renamed.direct("SELECT count(DISTINCT note) FROM orders") == [(4000,)]


@pytest.mark.parametrize("text", (
    lambda: f"INSERT INTO users (id, email, name) VALUES {rows(30000)}",  # longer than a megabyte
    lambda: f"INSERT INTO users (id, email, name) VALUES (1, 'x', (SELECT max(email) FROM users)), {rows(3000)}",  # the rows themselves drift
    lambda: f"INSERT INTO users (id, email, name) SELECT 1, 'x', 'y' WHERE {' OR '.join(['1 + 1 = 2'] * 9000)}",  # no constants to leave out
), ids=("too long", "in a row", "no list"))
def test_what_is_refused_says_so_and_gets_its_own_error(renamed, text):
    sent = raw.query(text())
    assert len(sent) > 65536
    answer = renamed.same_as_direct(sent)
    assert raw.error_of(answer).get("C") == "42703"
    renamed.proxy.wait_for_event("statement.refused", lambda e: e["database"] == renamed.name and "healing.max_batch_bytes" in e["reason"])


def test_a_renamed_label_may_be_among_what_is_left_out(shop):
    shop.migrate("CREATE TYPE mood AS ENUM ('sad', 'ok')", "ALTER TABLE users ADD feels mood")
    shop.known(2)
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address", "ALTER TYPE mood RENAME VALUE 'sad' TO 'unhappy'")
    with shop.connect() as connection:
        assert connection.execute("SELECT email FROM users WHERE id = 1 AND feels IS DISTINCT FROM 'sad'").fetchall() == [("user1@example.com",)]
    many = ", ".join(f"({i}, 'x', '{'sad' if i == 4000 else 'ok'}')" for i in range(1000, 8000))
    assert raw.error_of(shop.same_as_direct(raw.query(f"INSERT INTO users (id, email, feels) VALUES {many}"))).get("C") == "42703"
    assert shop.direct("SELECT count(*) FROM users") == [(50,)]
