"""How often pgmend has to wait for the server: counted on the connection, not timed."""

from __future__ import annotations

import contextlib
import socket

import psycopg
import pytest

import harness
import raw
import recording

pytestmark = pytest.mark.pgmend


class Turns(recording.Recorder):
    """Counts how often the client's side speaks after it has heard something: so many round trips there were."""

    def __init__(self, target: int) -> None:
        self.count = 0
        self.heard: set[socket.socket] = set()  # clients' sockets
        super().__init__(target)

    def _forward(self, source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if kept is None:
                    self.heard.add(sink)
                else:
                    kept += data
                    own = b"application_name\0pgmend" in kept[:300]  # pgmend's look at the catalog
                    if source in self.heard and not own and data != raw.TERMINATE:
                        self.count += 1
                    self.heard.discard(source)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def take(self) -> int:
        """Since the last call, on all connections of clients."""
        self.count, count = 0, self.count
        return count


@pytest.fixture
def turns(postgres):
    counter = Turns(postgres.port)
    yield counter
    counter.close()


@pytest.fixture
def client(postgres, start_pgmend, database, turns):
    """One client, whose server connection is counted; the catalog is read past the counter. The email has been renamed, and pgmend knows."""
    postgres.run("CREATE TABLE accounts (id int PRIMARY KEY, email text)", "INSERT INTO accounts VALUES (1, 'old')", database=database)
    # One worker, so that what one session has found out is known to the next one.
    proxy = start_pgmend(backend={"port": turns.port}, control=f"user=postgres port={postgres.port}", workers=1, watch={"poll": "100ms"},
                         healing={"recheck": "1h", "notice": False})
    harness.know(proxy, database)
    with raw.Client(proxy.port).log_in("postgres", database) as one:
        postgres.run("ALTER TABLE accounts RENAME COLUMN email TO address", database=database)
        proxy.wait_for_event("schema.changed")
        turns.take()
        one.proxy = proxy
        yield one


READ = "SELECT email FROM accounts WHERE id = 1"
WRITE = "UPDATE accounts SET email = email || '.' WHERE id = 1"


@pytest.mark.parametrize("text", (READ, WRITE))
@pytest.mark.parametrize("send", (raw.query, raw.extended), ids=("simple", "extended"))
def test_the_first_heal_takes_one_round_trip_more_and_the_next_none(client, turns, send, text):
    for expected in (2, 1, 1):
        answer = client.ask(send(text))
        assert raw.error_of(answer) is None
        assert turns.take() == expected


@pytest.mark.parametrize("send", (raw.query, raw.extended), ids=("simple", "extended"))
def test_a_write_by_the_cache_stores_what_it_stored(client, turns, postgres, database, send):
    for _ in range(3):
        assert "C" in {message.type for message in client.ask(send(WRITE))}
    assert postgres.run("SELECT address FROM accounts", database=database) == [("old...",)]


def named(statement: str) -> bytes:
    return raw.bind(statement=statement) + raw.execute() + raw.SYNC


@pytest.mark.parametrize("how", ("simple", "extended", "prepared"))
@pytest.mark.parametrize("again", ("ALTER TABLE accounts ADD COLUMN email text DEFAULT 'new'",
                                   "ALTER TABLE accounts RENAME COLUMN address TO email",
                                   "ALTER TABLE accounts RENAME TO others; CREATE TABLE accounts (id int, email text); INSERT INTO accounts VALUES (1, 'new')"))
def test_a_name_that_is_used_again_is_noticed_in_the_same_packet(postgres, start_pgmend, database, how, again):
    """pgmend does not look at the schema by itself here, so nothing but the premise can tell."""
    postgres.run("CREATE TABLE accounts (id int PRIMARY KEY, email text)", "INSERT INTO accounts VALUES (1, 'old')", database=database)
    proxy = start_pgmend(control="user=postgres", watch={"poll": "0s", "verify": "0s", "notifications": False})
    harness.know(proxy, database)
    with raw.Client(proxy.port).log_in("postgres", database) as client:
        request = {"simple": raw.query(WRITE), "extended": raw.extended(WRITE), "prepared": named("w")}[how]
        postgres.run("ALTER TABLE accounts RENAME COLUMN email TO address", database=database)
        if how == "prepared":
            client.ask(raw.parse(WRITE, "w") + raw.SYNC)
        for _ in range(3):
            assert raw.error_of(client.ask(request)) is None
        assert postgres.run("SELECT address FROM accounts", database=database) == [("old...",)]
        postgres.run(again, database=database)
        answer = client.ask(request)
        assert raw.error_of(answer) is None
        assert [message.body for message in answer if message.type == "C"] == [b"UPDATE 1\0"]
        columns = dict(postgres.run("SELECT to_jsonb(a) FROM accounts AS a", database=database)[0][0])
        assert columns["email"] in ("new.", "old....")  # PostgreSQL's meaning of the text, once
        assert columns.get("address", "old...") == "old..."
        assert raw.error_of(client.ask(raw.query("SELECT 1"))) is None


def test_premises_in_a_session_that_deallocates_all(client, turns, postgres, database):
    for _ in range(2):
        client.ask(raw.query(WRITE))
        client.ask(raw.query("DEALLOCATE ALL"))
    client.ask(raw.extended(WRITE))
    client.ask(raw.extended(WRITE))
    assert postgres.run("SELECT address FROM accounts", database=database) == [("old....",)]


@pytest.mark.parametrize("send", (raw.query, raw.extended), ids=("simple", "extended"))
def test_a_server_that_says_much(client, postgres, database, send):
    client.ask(raw.query("SET client_min_messages = log"))
    client.ask(raw.query("SET debug_print_plan = on; SET debug_print_parse = on; SET debug_print_rewritten = on"))
    for _ in range(3):
        answer = client.ask(send(WRITE))
        assert raw.error_of(answer) is None and sum(len(message.body) for message in answer if message.type == "N") > 4096
    assert postgres.run("SELECT address FROM accounts", database=database) == [("old...",)]


def test_what_a_commit_says_takes_the_place_of_the_answer(client, postgres, database):
    postgres.run("CREATE TABLE parents (id int PRIMARY KEY)",
                 "CREATE TABLE children (id int, parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED, old text)",
                 database=database)
    harness.know(client.proxy, database)
    postgres.run("ALTER TABLE children RENAME COLUMN old TO new", database=database)
    text = "INSERT INTO children (id, parent, old) VALUES (1, 2, 'x')"
    for _ in range(3):
        answer = client.ask(raw.query(text))
        assert [message.type for message in answer if message.type in "CEZ"] == ["E", "Z"]
        assert raw.error_of(answer).get("C") == "23503"


def test_clients_that_send_more_at_once(client, postgres, database):
    for send in (raw.query, raw.extended):
        client.send(send(WRITE) + send(WRITE) + send("SELECT 1"))
        answers = [message for _ in range(3) for message in client.until("Z")]
        assert [message.type for message in answers if message.type in "EZ"] == ["Z", "Z", "Z"]
    assert postgres.run("SELECT address FROM accounts", database=database) == [("old....",)]


def test_a_driver_sees_nothing_of_it(postgres, start_pgmend, database):
    postgres.run("CREATE TABLE accounts (id int PRIMARY KEY, email text)", database=database)
    proxy = start_pgmend(control="user=postgres", watch={"poll": "100ms"})
    harness.know(proxy, database)
    with psycopg.connect(harness.conninfo(proxy.port, database, user="postgres"), autocommit=True) as connection:
        postgres.run("ALTER TABLE accounts RENAME COLUMN email TO address", database=database)
        proxy.wait_for_event("schema.changed")
        for i in range(20):
            assert connection.execute("INSERT INTO accounts (id, email) VALUES (%s, %s)", (i, f"a{i}")).rowcount == 1
        with connection.transaction():
            for i in range(20):
                assert connection.execute("UPDATE accounts SET email = 'b' WHERE id = %s", (i,)).rowcount == 1
        with connection.pipeline():
            for i in range(20):
                connection.execute("UPDATE accounts SET email = email || 'c' WHERE id = %s", (i,))
        assert connection.execute("SELECT DISTINCT email FROM accounts").fetchall() == [("bc",)]


@pytest.mark.parametrize("text, more", ((READ, 0), (WRITE, 0), (WRITE + " RETURNING email", 1)), ids=("read", "write", "returning"))
@pytest.mark.parametrize("send", (raw.query, raw.extended), ids=("simple", "extended"))
def test_after_a_failure(postgres, start_pgmend, database, turns, send, text, more):
    """The failure itself is one; the retry goes with the verification where the answer's shape cannot come too late; a session is looked at once."""
    postgres.run("CREATE TABLE accounts (id int PRIMARY KEY, email text, phone text)", "INSERT INTO accounts VALUES (1, 'old', '1')", database=database)
    proxy = start_pgmend(backend={"port": turns.port}, control=f"user=postgres port={postgres.port}", workers=1, watch={"poll": "1h"}, healing={"notice": False})
    harness.know(proxy, database)
    with raw.Client(proxy.port).log_in("postgres", database) as client:
        postgres.run("ALTER TABLE accounts RENAME COLUMN email TO address", database=database)
        turns.take()
        assert raw.error_of(client.ask(send(text))) is None
        assert turns.take() in (3 + more, 2)  # what know() has called for may be read late: then it does not fail first
        postgres.run("ALTER TABLE accounts RENAME COLUMN phone TO number", database=database)
        assert raw.error_of(client.ask(send(text.replace("email", "phone")))) is None
        assert turns.take() <= 2 + more  # fewer where pgmend has read all of the catalog by then
