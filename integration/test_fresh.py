"""A name that is used again, in the moment before pgmend sees it: PostgreSQL accepts the text, so it passes as it is."""

from __future__ import annotations

import psycopg
import pytest

import harness
import raw

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


def part(sql: str, values: tuple[bytes, ...] = (), name: str = "") -> bytes:
    return raw.parse(sql, name) + raw.bind(values, statement=name) + raw.execute()


@pytest.mark.parametrize("healed_before", (False, True), ids=("first heal", "later heal"))
@pytest.mark.parametrize("prepared", (False, True), ids=("texts", "prepared"))
def test_a_batch_that_writes_to_what_is_hidden_by_then(client, postgres, database, healed_before, prepared):
    """Several statements in one request, of which a later one was edited: what it rests on is asked about in the same packet, ahead of the first one."""
    names = ("CREATE SCHEMA app", "CREATE TABLE log (what text)")
    postgres.run(*names, database=database)
    write = "UPDATE accounts SET email = email || $1 WHERE id = 1"
    with raw.Client(int(client.info.port)) as other:
        other.log_in(user="postgres", database=database)
        other.ask(raw.query("SET search_path = app, public"))
        postgres.run("ALTER TABLE accounts RENAME TO clients", database=database)
        with pytest.raises(psycopg.errors.DatatypeMismatch):
            client.execute("SELECT 1 WHERE 1")  # pgmend looks at everything
        note = lambda number: part("INSERT INTO log VALUES ($1)", (number,))
        if prepared:
            for name in ("w", "v"):
                assert raw.kinds(other.ask(raw.parse(write + ("" if name == "w" else " AND true"), name) + raw.SYNC)) == "1Z"
            batch = note(b"a") + raw.bind((b"!",), statement="w") + raw.execute() + note(b"b") + raw.bind((b"?",), statement="v") + raw.execute() + raw.SYNC
        else:
            batch = note(b"a") + part(write, (b"!",)) + note(b"b") + part(write + " AND true", (b"?",)) + raw.SYNC
        for _ in range(3 if healed_before else 0):
            assert "E" not in raw.kinds(other.ask(batch))
        postgres.run("CREATE TABLE app.clients (id int PRIMARY KEY, email text)", "INSERT INTO app.clients VALUES (1, 'other')", database=database)
        assert "E" not in raw.kinds(other.ask(batch))
    times = 4 if healed_before else 1
    assert postgres.run("SELECT email FROM app.clients", database=database) == [("other",)]
    assert postgres.run("SELECT email FROM clients", database=database) == [("old" + "!?" * times,)]
    assert postgres.run("SELECT count(*) FROM log", database=database) == [(2 * times,)]


@pytest.mark.parametrize("prepared", (False, True), ids=("texts", "prepared"))
def test_a_batch_whose_names_are_there_again(client, postgres, database, prepared):
    """They mean what they say then, in each statement of it."""
    write = "UPDATE accounts SET email = email || $1 WHERE id = 1"
    with raw.Client(int(client.info.port)) as other:
        other.log_in(user="postgres", database=database)
        postgres.run("ALTER TABLE accounts RENAME TO clients", database=database)
        with pytest.raises(psycopg.errors.DatatypeMismatch):
            client.execute("SELECT 1 WHERE 1")
        if prepared:
            for name in ("w", "v"):
                assert raw.kinds(other.ask(raw.parse(write + ("" if name == "w" else " AND true"), name) + raw.SYNC)) == "1Z"
            batch = part("SELECT 1") + b"".join(raw.bind((b"!",), statement=name) + raw.execute() for name in "wv") + raw.SYNC
        else:
            batch = part("SELECT 1") + part(write, (b"!",)) + part(write + " AND true", (b"!",)) + raw.SYNC
        for _ in range(2):
            assert "E" not in raw.kinds(other.ask(batch))
        postgres.run("CREATE TABLE accounts (id int PRIMARY KEY, email text)", "INSERT INTO accounts VALUES (1, 'new')", database=database)
        for _ in range(2):
            assert "E" not in raw.kinds(other.ask(batch))
    assert postgres.run("SELECT email FROM clients", database=database) == [("old!!!!",)]
    assert postgres.run("SELECT email FROM accounts", database=database) == [("new!!!!",)]
