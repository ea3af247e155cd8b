"""A name that is used again, in the moment before pgmend sees it: PostgreSQL accepts the text, so it passes as it is."""

from __future__ import annotations

import psycopg
import pytest

import harness

pytestmark = pytest.mark.pgmend


@pytest.fixture
def client(postgres, start_pgmend, database):
    """A client behind a pgmend that looks at the schema only when a statement fails."""
    postgres.run("CREATE TABLE accounts (id int PRIMARY KEY, email text)", "INSERT INTO accounts VALUES (1, 'old')", database=database)
    proxy = start_pgmend(control="user=postgres", watch={"poll": "0s", "verify": "0s", "notifications": False})
    with psycopg.connect(harness.conninfo(proxy.port, database, user="postgres"), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute("SELECT nothing FROM accounts")
        yield connection


@pytest.mark.parametrize("block", (False, True), ids=("alone", "in a block"))
def test_a_write_whose_table_is_there_again(client, postgres, database, block):
    postgres.run("ALTER TABLE accounts RENAME TO events", database=database)
    write = "UPDATE accounts SET email = 'new' WHERE id = 1"
    assert client.execute(write).rowcount == 1
    assert client.execute(write).rowcount == 1  # before it fails
    postgres.run("CREATE TABLE accounts (id int PRIMARY KEY, email text)", database=database)
    if block:
        client.execute("BEGIN")
    assert client.execute(write).rowcount == 0
    if block:
        client.execute("COMMIT")
    assert postgres.run("SELECT count(*) FROM accounts", database=database) is not None
    assert client.execute("SELECT email FROM events").fetchall() == [("new",)]


@pytest.mark.parametrize("block", (False, True), ids=("alone", "in a block"))
def test_a_new_text_over_a_column_that_is_there_again(client, postgres, database, block):
    postgres.run("ALTER TABLE accounts RENAME COLUMN email TO address", database=database)
    assert client.execute("SELECT email FROM accounts").fetchall() == [("old",)]
    postgres.run("ALTER TABLE accounts ADD COLUMN email text DEFAULT 'another'", database=database)
    if block:
        client.execute("BEGIN")
    found = client.execute("SELECT email, id FROM accounts")
    assert (found.fetchall(), found.description[0].name) == ([("another", 1)], "email")
    if block:
        client.execute("COMMIT")
    assert client.execute("SELECT email, id FROM accounts").fetchall() == [("another", 1)]


def test_a_prepared_statement_that_must_not_be_lost_to_a_refusal(client, postgres, database):
    """The column has its old name again, so pgmend prepares what the client did; by then it is renamed once more. What PostgreSQL refuses takes nothing away."""
    def read() -> list:
        return client.execute("SELECT email FROM accounts WHERE id = %s", (1,), prepare=True).fetchall()

    postgres.run("ALTER TABLE accounts RENAME COLUMN email TO address", database=database)
    assert [read() for _ in range(3)] == [[("old",)]] * 3
    postgres.run("ALTER TABLE accounts RENAME COLUMN address TO email", database=database)
    with pytest.raises(psycopg.errors.DatatypeMismatch):
        client.execute("SELECT 1 WHERE 1")  # pgmend looks at everything
    postgres.run("ALTER TABLE accounts RENAME COLUMN email TO mail", database=database)
    assert [read() for _ in range(3)] == [[("old",)]] * 3
    postgres.run("ALTER TABLE accounts RENAME COLUMN mail TO email", database=database)
    assert [read() for _ in range(3)] == [[("old",)]] * 3


@pytest.mark.parametrize("healed_before", (False, True), ids=("first heal", "later heal"))
@pytest.mark.parametrize("options", ({}, {"prepare": True}, {"prepare": False}), ids=("default", "prepared", "unprepared"))
@pytest.mark.parametrize("text", ("UPDATE accounts SET email = email || %s WHERE id = 1", "UPDATE accounts SET email = email || %s WHERE id = 1 RETURNING email"), ids=("write", "returning"))
def test_a_new_table_that_hides_the_renamed_one(client, postgres, database, healed_before, options, text):
    """It stands ahead of it in search_path, and pgmend does not know it yet: nothing is written to it that was meant for the other."""
    postgres.run("CREATE SCHEMA app", database=database)
    client.execute("SET search_path = app, public")
    postgres.run("ALTER TABLE accounts RENAME TO clients", database=database)
    with pytest.raises(psycopg.errors.DatatypeMismatch):
        client.execute("SELECT 1 WHERE 1")  # pgmend looks at everything
    for _ in range(3 if healed_before else 0):
        assert client.execute(text, ("!",), **options).rowcount == 1
    postgres.run("CREATE TABLE app.clients (id int PRIMARY KEY, email text)", "INSERT INTO app.clients VALUES (1, 'other')", database=database)
    for _ in range(2):
        assert client.execute(text, ("!",), **options).rowcount == 1
    assert client.execute("SELECT email FROM accounts").fetchall() == [("old!!!!!" if healed_before else "old!!",)]
    assert postgres.run("SELECT email FROM app.clients", database=database) == [("other",)]
