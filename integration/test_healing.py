"""Old applications go on working while the schema moves underneath them; whatever cannot be healed fails as it would without pgmend."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import subprocess
import threading

import asyncpg
import psycopg
import pytest

import harness
import raw
from raw import bind, describe, execute, extended, parse, query
from shop import Shop

SCHEMA = """
    CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL UNIQUE, name varchar(40), age int, created_at timestamptz NOT NULL DEFAULT '2024-01-01');
    CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users, total numeric(10,2), note text);
    INSERT INTO users (id, email, name, age) SELECT g, 'user' || g || '@example.com', 'name ' || g, 20 + g % 10 FROM generate_series(1, 50) g;
    INSERT INTO orders SELECT g, 1 + g % 50, g * 1.5, 'note ' || g FROM generate_series(1, 200) g;
    ANALYZE;
"""

MIGRATIONS = {
    "column": ["ALTER TABLE users RENAME COLUMN email TO email_address"],
    "odd column name": ['ALTER TABLE users RENAME COLUMN email TO "E-mail ""new"""'],
    "reserved column name": ['ALTER TABLE users RENAME COLUMN email TO "user"'],
    "table": ["ALTER TABLE users RENAME TO customers"],
    "reserved table name": ['ALTER TABLE users RENAME TO "select"'],
    "schema": ["CREATE SCHEMA crm", "GRANT USAGE ON SCHEMA crm TO PUBLIC", "ALTER TABLE users SET SCHEMA crm"],
    "column and table": ["ALTER TABLE users RENAME COLUMN email TO email_address", "ALTER TABLE users RENAME TO customers"],
    "everything": ["CREATE SCHEMA crm", "GRANT USAGE ON SCHEMA crm TO PUBLIC", "ALTER TABLE users RENAME COLUMN email TO email_address", "ALTER TABLE users RENAME TO customers",
                   "ALTER TABLE customers SET SCHEMA crm", "ALTER TABLE orders RENAME COLUMN user_id TO customer_id"],
}


@pytest.fixture(params=MIGRATIONS)
def migration(request):
    return MIGRATIONS[request.param]


# --------------------------------------------------------------------------------------------- statements of every kind

# The same answer as before.
READS = (
    "SELECT id, email FROM users WHERE email = 'user7@example.com'",
    "SELECT email FROM users ORDER BY email LIMIT 3",
    "SELECT u.email, o.total FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id < 5 ORDER BY o.id",
    "SELECT users.email, count(*) AS n FROM users, orders WHERE orders.user_id = users.id GROUP BY users.email ORDER BY 1 LIMIT 5",
    "SELECT email AS e, upper(email), email || 'x' AS x FROM users WHERE id = 1",
    "SELECT (email), email::varchar, (SELECT email FROM users u2 WHERE u2.id = u.id) FROM users u WHERE id = 3",
    "SELECT CASE WHEN age > 25 THEN 'old' ELSE email END FROM users ORDER BY id LIMIT 4",
    "SELECT 'email', \"email\" FROM users /* email */ WHERE id = 2 -- email",
    "WITH known AS (SELECT id, email FROM users WHERE id < 4) SELECT email FROM known ORDER BY email",
    "SELECT s.email FROM (SELECT email FROM users WHERE id < 4) s ORDER BY 1",
    "SELECT id FROM orders WHERE user_id IN (SELECT id FROM users WHERE email LIKE 'user1@%') ORDER BY id",
    "SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM users u WHERE u.id = o.user_id AND u.email = 'user2@example.com') ORDER BY id",
    "SELECT email FROM users WHERE id = 1 UNION SELECT note FROM orders WHERE id = 1 ORDER BY 1",
    "SELECT public.users.email FROM public.users WHERE public.users.id = 9",
    "SELECT count(DISTINCT email) FILTER (WHERE age > 22) FROM users",
    "SELECT email, row_number() OVER (PARTITION BY age ORDER BY email) FROM users ORDER BY id LIMIT 5",
    "SELECT id FROM users ORDER BY email DESC, id LIMIT 3",
    "SELECT age, min(email) FROM users GROUP BY age HAVING min(email) < 'user3' ORDER BY age",
    "SELECT u.id, l.email FROM users u CROSS JOIN LATERAL (SELECT u.email) l ORDER BY 1 LIMIT 2",
    "SELECT EMAIL, Users.Email FROM Users WHERE ID = 5",
    "SELECT name FROM users WHERE (email, id) = ('user4@example.com', 4)",
    "SELECT email FROM users WHERE id = 6 FOR UPDATE",
    "SELECT coalesce(email, name), nullif(email, '') FROM users WHERE id = 8",
    "SELECT a.email FROM users a LEFT JOIN users b ON a.email < b.email WHERE b.id IS NULL",
    "VALUES (1, (SELECT email FROM users WHERE id = 1))",
    "SELECT '\u00e4\u20ac\U0001f600' AS t, email FROM users WHERE id = 1",
    "SELECT email FROM ONLY users WHERE id = 1",
    "EXPLAIN (COSTS OFF) SELECT 1 FROM orders WHERE id = 1",
)


def shape(messages: list[raw.Message]) -> list:
    """Labels, types and rows, without what a rename changes."""
    found: list = []
    for message in messages:
        if message.type == "T":
            at, body = 2, message.body
            for _ in range(int.from_bytes(body[:2], "big")):
                end = body.index(b"\0", at)
                found.append((body[at:end].decode(), body[end + 1:end + 19]))
                at = end + 19
        else:
            found.append(message.frame)
    return found



# Writes: the same effect as before.
WRITES = (
    "INSERT INTO users (id, email, name) VALUES (1000, 'new@example.com', 'new')",
    "INSERT INTO users (id, email) VALUES (1000, 'a'), (1001, 'b') RETURNING id, email",
    "INSERT INTO users (id, email) SELECT id + 1000, email || 'x' FROM users WHERE id < 5 RETURNING email",
    "INSERT INTO users (id, email) VALUES (1, 'changed') ON CONFLICT (id) DO UPDATE SET email = excluded.email || '!' RETURNING email",
    "INSERT INTO users (id, email) VALUES (1000, 'user1@example.com') ON CONFLICT (email) DO NOTHING",
    "INSERT INTO users AS u (id, email) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = u.email WHERE u.email <> ''",
    "UPDATE users SET email = 'changed' WHERE id = 1",
    "UPDATE users SET email = email || '!', name = email WHERE email LIKE 'user1%' RETURNING id, email, users.email AS again",
    "UPDATE users u SET email = o.note FROM orders o WHERE o.id = u.id AND u.id < 4 RETURNING u.email",
    "UPDATE users SET (email, name) = ('x', 'y') WHERE id = 2",
    "UPDATE orders SET note = (SELECT email FROM users WHERE users.id = orders.user_id) WHERE id < 10",
    "DELETE FROM users WHERE email = 'nobody@example.com' OR id = 0",
    "DELETE FROM orders USING users WHERE users.id = orders.user_id AND users.email = 'user1@example.com'",
    "WITH gone AS (DELETE FROM orders WHERE user_id = 2 RETURNING user_id) UPDATE users SET email = 'gone' WHERE id IN (SELECT user_id FROM gone) RETURNING email",
    "MERGE INTO users u USING (VALUES (1, 'm1'), (2000, 'm2')) v(id, e) ON u.id = v.id WHEN MATCHED THEN UPDATE SET email = v.e WHEN NOT MATCHED THEN INSERT (id, email) VALUES (v.id, v.e)",
)


PROTOCOLS = {"simple": query, "extended": extended}
CONTENTS = "SELECT (SELECT array_agg(t::text ORDER BY id) FROM {} t), (SELECT array_agg(o::text ORDER BY id) FROM orders o)"


class Migrated(Shop):
    """A shop that has gone through a migration, and the answers from before it."""

    def __init__(self, proxy: harness.Pgmend, postgres: harness.Postgres, name: str, migration: list[str]) -> None:
        super().__init__(proxy, postgres, name)
        self.direct(SCHEMA, "CREATE TABLE saved_users AS SELECT * FROM users", "CREATE TABLE saved_orders AS SELECT * FROM orders")
        self.known()
        self.early = self.raw()
        self.expected: dict[tuple[str, str], list] = {}
        self.effects: dict[str, list] = {}
        with self.raw(direct=True) as client:
            for protocol, request in PROTOCOLS.items():
                for sql in READS + WRITES:
                    client.ask(query("BEGIN"))
                    answer = client.ask(request(sql))
                    assert not raw.error_of(answer), (sql, answer)
                    self.expected[protocol, sql] = shape(answer)[:-1]
                    self.effects[sql] = client.rows(CONTENTS.format("users"))
                    client.ask(query("ROLLBACK"))
        self.migrate(*migration)
        self.users = self.direct("SELECT attrelid::regclass::text FROM pg_attribute WHERE attname = 'age' AND attrelid <> 'saved_users'::regclass")[0][0]

    def reset(self) -> None:
        self.direct("DELETE FROM orders", f"DELETE FROM {self.users}", f"INSERT INTO {self.users} SELECT * FROM saved_users", "INSERT INTO orders SELECT * FROM saved_orders")


@pytest.fixture(scope="module", params=MIGRATIONS)
def migrated(request, healer, postgres):
    name = "migrated_" + request.param.replace(" ", "_")
    postgres.run(f"CREATE DATABASE {name}")
    migrated = Migrated(healer, postgres, name, MIGRATIONS[request.param])
    yield migrated
    migrated.early.socket.close()
    postgres.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.slow
@pytest.mark.parametrize("sql", READS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_answer_as_before(migrated, protocol, sql):
    request = PROTOCOLS[protocol](sql)
    with migrated.raw() as late:
        for client in (migrated.early, migrated.early, late):
            answer = client.ask(request)
            assert not raw.error_of(answer), (raw.error_of(answer), migrated.events("statement.refused")[-1:])
            assert shape(answer)[:-1] == migrated.expected[protocol, sql]


@pytest.mark.slow
@pytest.mark.parametrize("sql", WRITES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_writes_do_what_they_did_before(migrated, protocol, sql):
    migrated.reset()
    answer = migrated.early.ask(PROTOCOLS[protocol](sql))
    assert not raw.error_of(answer), (raw.error_of(answer), migrated.events("statement.refused")[-1:])
    assert shape(answer)[:-1] == migrated.expected[protocol, sql]
    with migrated.raw(direct=True) as direct:
        assert direct.rows(CONTENTS.format(migrated.users)) == migrated.effects[sql]


# --------------------------------------------------------------------------------------------- applications


def test_psql_shows_the_old_label(shop, migration):
    script = "SELECT id, email FROM users WHERE id = 1;\nSELECT email FROM users WHERE email = 'user2@example.com';\n"
    before = harness.psql(shop.port, script, "-P", "tuples_only=off", database=shop.name).stdout
    assert "id|email" in before
    shop.migrate(*migration)
    assert harness.psql(shop.port, script, "-P", "tuples_only=off", database=shop.name).stdout == before


def test_psycopg_with_statements_prepared_before(shop, migration):
    def work(c: psycopg.Connection) -> list:
        found = []
        for prepare in (True, False, None):
            cursor = c.execute("SELECT id, email FROM users WHERE id = %s", (3,), prepare=prepare)
            found += [cursor.fetchall(), [(d.name, d.type_code) for d in cursor.description]]
            cursor = c.execute("UPDATE users SET email = %s WHERE id = %s RETURNING email", ("new", 3), prepare=prepare, binary=True)
            found += [cursor.fetchall(), cursor.rowcount]
            c.execute("UPDATE users SET email = 'user3@example.com' WHERE email = %s", ("new",), prepare=prepare)
        return found

    with shop.connect() as c:
        before = work(c)
        assert work(c) == before
        shop.migrate(*migration)
        assert work(c) == before
        assert work(c) == before
    with shop.connect() as late:
        assert work(late) == before


def test_asyncpg_with_statements_prepared_before(shop, migration):
    async def work(c: asyncpg.Connection, statement: asyncpg.prepared_stmt.PreparedStatement) -> list:
        return [
            [dict(row) for row in await c.fetch("SELECT id, email FROM users WHERE email LIKE $1 ORDER BY id", "user1%")],
            [dict(row) for row in await statement.fetch(5)],
            await c.fetchval("INSERT INTO users (id, email) VALUES ($1, $2) RETURNING email", 9000, "x"),
            await c.execute("DELETE FROM users WHERE email = $1", "x"),
            await c.execute("UPDATE users SET email = email WHERE id < 5"),
        ]

    async def check() -> None:
        c = await asyncpg.connect(host=harness.HOST, port=shop.port, user="postgres", database=shop.name, ssl=False)
        statement = await c.prepare("SELECT email, name FROM users WHERE id = $1")
        before = await work(c, statement)
        await asyncio.to_thread(shop.migrate, *migration)
        for _ in range(3):
            assert await work(c, statement) == before
        await c.close()
        c = await asyncpg.connect(host=harness.HOST, port=shop.port, user="postgres", database=shop.name, ssl=False)
        assert await c.fetchval("SELECT email FROM users WHERE id = $1", 1) == "user1@example.com"
        statement = await c.prepare("SELECT email, name FROM users WHERE id = $1")
        assert await statement.fetchval(1) == "user1@example.com"
        assert await work(c, statement) == before
        await c.close()

    asyncio.run(check())


def test_asyncpg_prepares_two_statements_in_a_row(shop):
    """asyncpg ends what it prepares with Flush, so there is no Sync between the two."""

    async def check() -> None:
        c = await asyncpg.connect(host=harness.HOST, port=shop.port, user="postgres", database=shop.name, ssl=False)
        first = await c.prepare("SELECT email, name FROM users WHERE id = $1")
        second = await c.prepare("SELECT id FROM users WHERE email = $1")
        assert await second.fetchval(await first.fetchval(7)) == 7
        await c.close()

    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    asyncio.run(check())


def test_node_postgres_with_statements_prepared_before(shop, migration):
    settings = json.dumps({"host": harness.HOST, "port": shop.port, "user": "postgres", "database": shop.name})
    application = subprocess.Popen(["node", harness.ROOT / "integration" / "node" / "heal.js", settings],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert application.stdin and application.stdout
    assert application.stdout.readline() == "ready\n"
    shop.migrate(*migration)
    out, errors = application.communicate("go on\n", timeout=harness.LIMIT)
    assert out == "same\n", errors


@pytest.mark.slow
@pytest.mark.parametrize("mode", ("simple", "extended", "prepared"))
def test_pgbench_goes_on_while_the_column_is_renamed(shop, tmp_path, mode):
    script = tmp_path / "old.sql"
    script.write_text("\\set id random(1, 50)\nSELECT email FROM users WHERE id = :id;\nUPDATE users SET email = email WHERE id = :id;\n")
    bench = subprocess.Popen([harness.PG_BIN / "pgbench", "-n", "-M", mode, "-f", script, "-c", "4", "-t", "400", harness.conninfo(shop.port, shop.name)],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    harness.wait_until(lambda: shop.direct("SELECT sum(calls) FROM (SELECT n_tup_upd AS calls FROM pg_stat_user_tables WHERE relname = 'users') s")[0][0]
                       or bench.poll() is not None, "it is at work")
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    out = bench.communicate(timeout=120)[0]
    assert bench.returncode == 0 and "number of transactions actually processed: 1600/1600" in out, out


def test_many_clients_at_the_moment_of_the_migration(shop):
    stop, failures, seen = threading.Event(), [], []

    def work() -> None:
        try:
            with shop.connect() as c:
                while not stop.is_set():
                    seen.append(c.execute("SELECT email FROM users WHERE id = %s", (1,), prepare=len(seen) % 2 == 0).fetchone())
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for statement in ("ALTER TABLE users RENAME COLUMN email TO email_address", "ALTER TABLE users RENAME TO customers", "ALTER TABLE customers RENAME COLUMN email_address TO mail"):
        count = len(seen)
        harness.wait_until(lambda: len(seen) > count + 50 or failures, "they are at work")
        shop.migrate(statement)
    count = len(seen)
    harness.wait_until(lambda: len(seen) > count + 50 or failures, "they are at work")
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures, ([event.get("reason") for event in shop.events("statement.refused")], failures[0])
    assert set(seen) == {("user1@example.com",)}


# --------------------------------------------------------------------------------------------- the extended protocol, frame by frame


def test_parse_and_describe_first_bind_later(shop):
    """As drivers do that ask for the types before they bind."""
    sql = "SELECT id, email FROM users WHERE email = $1"
    with shop.raw() as client:
        described = shape(client.ask(parse(sql) + describe("S") + raw.SYNC))
        rows = client.ask(bind((b"user1@example.com",)) + execute() + raw.SYNC)
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    for name in ("", "named"):
        with shop.raw() as client:
            assert shape(client.ask(parse(sql, name) + describe("S", name) + raw.SYNC)) == described
            for _ in range(3):
                assert client.ask(bind((b"user1@example.com",), statement=name) + execute() + raw.SYNC) == rows
            if name:
                assert raw.kinds(client.ask(raw.close("S", name) + raw.SYNC)) == "3Z"
                assert raw.error_of(client.ask(bind((b"x",), statement=name) + execute() + raw.SYNC)).get("C") == "26000"


def test_a_statement_prepared_before_and_bound_after(shop, migration):
    sql = "SELECT id, email FROM users WHERE email = $1"
    with shop.raw() as client:
        client.ask(parse(sql, "old") + describe("S", "old") + raw.SYNC)
        run = bind((b"user1@example.com",), statement="old", results=(1, 0)) + describe() + execute() + raw.SYNC
        before = client.ask(run)
        shop.migrate(*migration)
        for _ in range(3):
            after = client.ask(run)
            assert not raw.error_of(after), (after, shop.events("statement.refused"))
            assert shape(after) == shape(before)
        assert raw.kinds(client.ask(raw.close("S", "old") + raw.SYNC)) == "3Z"
        assert raw.error_of(client.ask(run)).get("C") == "26000"


def test_parameter_types_stay_what_the_client_was_told(shop):
    with shop.raw() as client:
        told = client.ask(parse("UPDATE users SET age = $1, email = $2 WHERE id = $3", "s", types=(20,)) + describe("S", "s") + raw.SYNC)
        shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
        run = bind(((7).to_bytes(8, "big"), b"x", (1).to_bytes(4, "big")), statement="s", formats=(1, 0, 1)) + execute() + raw.SYNC
        assert raw.kinds(client.ask(run)) == "2CZ"
        assert client.ask(describe("S", "s") + raw.SYNC) == told[1:]
    assert shop.direct("SELECT age, email_address FROM users WHERE id = 1") == [(7, "x")]


def test_a_portal_of_a_healed_statement_in_parts(shop):
    sql = "SELECT email FROM users ORDER BY id"
    request = parse(sql) + bind() + execute(rows=20) + execute(rows=20) + execute() + raw.SYNC
    with shop.raw() as client:
        before = client.ask(request)
        shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
        assert shape(client.ask(request)) == shape(before)


@pytest.mark.parametrize("flush", (b"", raw.FLUSH), ids=("sync", "flush"))
def test_flush_instead_of_sync(shop, flush):
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    with shop.raw() as client:
        client.send(parse("SELECT email FROM users WHERE id = 1") + bind() + describe() + execute() + flush)
        if flush:
            first = client.until("CE")
            client.send(raw.SYNC)
            last = client.until("Z")
            assert raw.kinds(first + last) in ("12TDCZ", "EZ")
        else:
            client.send(raw.SYNC)
            assert raw.kinds(client.until("Z")) == "12TDCZ"


@pytest.mark.parametrize("sql, kinds", (
    ("SELECT email FROM users WHERE id = 1;", "TDCZ"),
    (";; SELECT email FROM users WHERE id = 1 ; ", "TDCZ"),
    ("SELECT 1; SELECT email FROM users WHERE id = 1; SELECT 2", "TDCTDCTDCZ"),
    ("SELECT email FROM users WHERE id = 1; SELECT email FROM users WHERE id = 2", "TDCTDCZ"),
))
def test_simple_strings_of_several_statements(shop, sql, kinds):
    """Either all is answered as before, or the whole is refused in the server's words."""
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    with shop.raw(direct=True) as direct, shop.raw() as client:
        expected, found = direct.ask(query(sql)), client.ask(query(sql))
    if raw.error_of(found) and len(kinds) > 4:
        assert raw.bytes_of(found) == raw.bytes_of(expected)
    else:
        assert raw.kinds(found) == kinds
        assert "email" in [label for message in found if message.type == "T" for label in raw.labels(message)]


# --------------------------------------------------------------------------------------------- what the log says


def test_the_log_names_what_was_done_and_never_a_literal(shop):
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    with shop.raw(user="postgres", application_name="billing 1.0") as client:
        assert client.rows("SELECT id FROM users WHERE email = 'user7@example.com' AND age < 12345") == [["7"]]
    event = shop.healed()
    assert (event["database"], event["user"], event["application_name"], event["sqlstate"], event["evidence"]) == (shop.name, "postgres", "billing 1.0", "42703", "lineage")
    assert "email" in event["before"] and "email_address" in event["after"] and "email_address" not in event["before"]
    assert "users" in event["pattern"] and "email_address" in event["pattern"]
    assert event["fingerprint"] and event["client"].startswith("127.0.0.1") and event["duration_us"] > 0
    assert "user7" not in json.dumps(event) and "12345" not in json.dumps(event)


def test_literals_reach_the_log_from_no_statement(shop):
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    for sql in ("SELECT email FROM users WHERE name = 'secret-1'", "SELECT nothing FROM users WHERE name = 'secret-2'", "SELECT email FROM users WHERE name = E'secret\\-3' AND $$secret-4$$ = ''",
                "SELECT email, 5551234567 FROM users WHERE name = U&'secret-5'", "SELECT emial FROM users WHERE x = 'secret-6", "INSERT INTO users (id, email) VALUES (77777, 'secret-7')",
                "SELECT nothing FROM nowhere WHERE a = b'0110' OR b = x'5ec1e7' OR c = 'secret-8' -- secret-9"):
        with shop.raw() as client:
            client.ask(query(sql))
    shop.healed()
    text = shop.proxy.log_text()
    for secret in ("secret-", "5551234567", "77777", "0110", "5ec1e7"):
        assert secret not in "\n".join(line for line in text.splitlines() if shop.name in line), secret


def test_a_notice_if_asked_for(start_pgmend, postgres, database):
    postgres.run(SCHEMA, database=database)
    proxy = start_pgmend(control="user=postgres", healing={"notice": True}, log={"format": "json", "level": "debug"})
    shop = Shop(proxy, postgres, database)
    shop.known()
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    with shop.raw() as client:
        for request in (query("SELECT email FROM users WHERE id = 1"), extended("SELECT email FROM users WHERE id = 1")):
            messages = client.ask(request)
            notice = [message for message in messages if message.type == "N"]
            assert len(notice) == 1 and "email_address" in notice[0].get("M") and "D" in raw.kinds(messages)


def test_a_healed_statement_that_fails_while_it_runs(shop):
    """Then that is the answer, as before the migration: applications handle it."""
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    with shop.raw() as client:
        for request in (query, extended):
            for sql, code in (("INSERT INTO users (id, email) VALUES (1, 'x')", "23505"), ("UPDATE users SET email = NULL WHERE id = 1", "23502"),
                              ("SELECT email, 1 / (id - 7) FROM users", "22012"), ("SELECT email::int FROM users", "22P02")):
                assert raw.error_of(client.ask(request(sql))).get("C") == code, (request, sql)
    assert shop.direct("SELECT count(*) FROM users") == [(50,)]


# --------------------------------------------------------------------------------------------- what is not healed


def test_inside_a_transaction_statements_are_healed_and_nothing_else_changes(shop):
    """Where pgmend does not know of the change yet a savepoint of its own helps; afterwards it knows before."""
    for number, name in enumerate(("email_address", "mail", "contact"), 1):
        shop.migrate(f"ALTER TABLE users RENAME COLUMN {('email', 'email_address', 'mail')[number - 1]} TO {name}")
        if number > 1: # the text is known to work: it gets no savepoint until pgmend has seen the change
            shop.known(number + 1)
        for request in (query, extended):
            with shop.raw() as client:
                ask = lambda sql: client.ask(request(sql))
                assert raw.kinds(ask("BEGIN"))[-2:] == "CZ"
                assert raw.kinds(ask("INSERT INTO orders VALUES (7000, 1, 1, '')"))[-2:] == "CZ"
                found = ask("SELECT email FROM users WHERE id = 1")
                assert [raw.decode_row(m.body) for m in found if m.type == "D"] == [["user1@example.com"]]
                assert found[-1].body == b"T"
                assert client.ask(query("SAVEPOINT mine"))[-1].body == b"T"
                assert raw.error_of(ask("SELECT never_was FROM users")).get("C") == "42703"
                assert raw.error_of(ask("SELECT 1")).get("C") == "25P02"
                assert client.ask(query("ROLLBACK TO mine"))[-1].body == b"T"
                assert raw.error_of(ask("UPDATE users SET email = 'x' WHERE id = 1 RETURNING email")) is None
                assert client.rows("SELECT count(*) FROM orders WHERE id = 7000") == [["1"]]
                assert client.ask(query("ROLLBACK"))[-1].body == b"I"
                assert client.rows("SELECT email FROM users WHERE id = 1") == [["user1@example.com"]]
                assert client.rows("SELECT count(*) FROM orders WHERE id = 7000") == [["0"]]


def test_a_block_that_begins_in_the_request_that_fails(shop):
    """As pgjdbc sends it; pgmend does not know of the change yet. What is not healed leaves the block aborted, as without pgmend."""
    begin = raw.parse("START TRANSACTION ISOLATION LEVEL REPEATABLE READ") + raw.bind() + raw.execute()
    asked = lambda sql: raw.parse(sql) + raw.bind() + raw.describe() + raw.execute()
    shop.direct("ALTER TABLE users RENAME COLUMN email TO email_address")
    with shop.raw() as client:
        found = client.ask(begin + asked("SELECT email FROM users WHERE id = 1") + raw.SYNC)
        assert raw.kinds(found) == "12C12TDCZ" and raw.labels(found[5]) == ["email"] and found[-1].body == b"T", found
        assert client.rows("SHOW transaction_isolation") == [["repeatable read"]]
        assert raw.error_of(client.ask(asked("UPDATE users SET email = 'x' WHERE id = 1") + raw.SYNC)) is None
        assert client.ask(query("ROLLBACK"))[-1].body == b"I"
        assert client.rows("SELECT email FROM users WHERE id = 1") == [["user1@example.com"]]
    shop.same_as_direct(begin + asked("SELECT never_was FROM users") + asked("SELECT 1") + raw.SYNC, query("SELECT 1"), query("ROLLBACK"), query("SELECT 1"))
    shop.same_as_direct(asked("SELECT 1") + begin + asked("SELECT never_was FROM users") + raw.SYNC, query("COMMIT"), query("SELECT 1"))


def test_a_transaction_with_errors_that_are_no_drift_goes_as_without_pgmend(shop):
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    for wrong in ("SELECT never_was FROM users", "UPDATE users SET never_was = 'x' WHERE id = 1", "SELECT * FROM nowhere", "SELECT 1 / 0"):
        for request in (query, extended):
            shop.same_as_direct(query("BEGIN"), request("SELECT 1"), request(wrong), request("SELECT 1"), query("COMMIT"), query("SELECT 1"))
            shop.same_as_direct(query("BEGIN"), query("SAVEPOINT s"), request(wrong), query("ROLLBACK TO s"), request("SELECT 1"), query("COMMIT"))
            shop.same_as_direct(query("BEGIN"), request("SELECT id FROM users LIMIT 1"), query("SAVEPOINT s"), request("SELECT 2"),
                                query("RELEASE s"), request("SELECT 3"), query("COMMIT"))
        shop.same_as_direct(query("BEGIN; " + wrong + "; COMMIT"), query("SELECT 1"), query("ROLLBACK"))


@pytest.mark.parametrize("sql", (
    "SELECT never_was FROM users",
    "SELECT users.never_was FROM users",
    "SELECT never_was.email_address FROM users",
    "SELECT * FROM never_was",
    "SELECT * FROM nowhere.users",
    "SELECT gone FROM users",
    "INSERT INTO users (id, email_address, gone) VALUES (1, 'x', 1)",
    "UPDATE users SET gone = 1",
    "SELECT * FROM gone_table",
    "SELECT f()",
    "SELECT email_address FROM users WHERE f() = 1",
    "INSERT INTO trapped VALUES (1)",
    "DO $$ BEGIN PERFORM email FROM users; END $$",
    "EXECUTE nothing",
    "SELECT email, never_was FROM users",
    "SELECT emaill FROM users",
    "SELECT email FROM orders",
    "SELECT lower(email, 1) FROM users",
    "SELECT users.email.x FROM users",
    "SELECT email FROM users WHERE id = 'x'",
    "SELECT reused, gone FROM users",
))
def test_what_cannot_be_healed_fails_in_the_servers_words(healer, postgres, database, sql):
    postgres.run(SCHEMA + """
        ALTER TABLE users ADD gone int;
        ALTER TABLE users ADD reused int;
        CREATE TABLE gone_table (a int);
        CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(email) FROM users); END';
        CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM email FROM users; RETURN NEW; END';
        CREATE TABLE trapped (a int); CREATE TRIGGER t BEFORE INSERT ON trapped FOR EACH ROW EXECUTE FUNCTION trap();
    """, database=database)
    shop = Shop(healer, postgres, database)
    shop.known()
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address", "ALTER TABLE users DROP COLUMN gone", "ALTER TABLE users DROP COLUMN reused", "ALTER TABLE users ADD reused text",
                 "DROP TABLE gone_table")
    for request in (query(sql), extended(sql), extended(sql, name="named"), parse(sql) + describe("S") + raw.SYNC):
        shop.same_as_direct(request, query("SELECT 1"))


def test_a_dropped_column_stays_dropped_even_if_another_has_its_type(shop):
    shop.migrate("ALTER TABLE users ADD email_address text", "ALTER TABLE users DROP COLUMN email")
    assert raw.error_of(shop.same_as_direct(query("SELECT email FROM users"))).get("C") == "42703"


def test_a_table_made_again_is_another_table(shop):
    shop.migrate("ALTER TABLE users RENAME TO users_old", "CREATE TABLE users (id int, mail text)")
    assert raw.error_of(shop.same_as_direct(query("SELECT email FROM users"), extended("SELECT email FROM users"))).get("C") == "42703"


def test_a_temporary_table_shadows(shop):
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    temporary = query("CREATE TEMP TABLE users (id int, other text)")
    assert raw.error_of(shop.same_as_direct(query("SELECT email FROM users"), extended("SELECT email FROM users"), before=(temporary,))).get("C") == "42703"
    with shop.raw() as client:
        client.ask(temporary)
        assert client.rows("SELECT email FROM public.users WHERE id = 1") == [["user1@example.com"]]


def test_a_role_without_the_right_to_read(shop):
    """What is known to be healed for others has, for a role that may not use it, the error of the text that it sent: as the first time."""
    shop.direct("REVOKE ALL ON users FROM PUBLIC", "GRANT SELECT ON orders TO PUBLIC")
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address", "ALTER TABLE users RENAME TO customers")
    statements = ("SELECT email FROM users", "DELETE FROM users WHERE email = 'x'", "UPDATE users SET email = 'x' WHERE id = 1",
                  "INSERT INTO users (email) VALUES ('x') RETURNING email", "SELECT count(*) FROM orders JOIN users USING (id)")
    requests = [make(sql) for sql in statements for make in (query, extended)]
    with shop.raw(user="trust") as client, shop.raw(direct=True, user="trust") as direct:
        for sql, make, _ in itertools.product(statements, (query, extended), range(3)):
            shown, own = raw.error_of(client.ask(make(sql))), raw.error_of(direct.ask(make(sql)))
            told = make is extended and not sql.startswith("SELECT")  # of a write that is executed: its Bind has been answered by then
            assert str(shown) == str(own) or (told and shown.get("C") == "42501"), (sql, make)
        prepared = parse(statements[0], "named") + raw.SYNC
        assert raw.error_of(client.ask(prepared)) is None
        assert raw.error_of(client.ask(bind(statement="named") + execute() + raw.SYNC)).get("C") == "42P01"
        shop.direct("GRANT SELECT ON customers TO trust")
        assert client.rows("SELECT email FROM users WHERE id = 1") == [["user1@example.com"]]
        assert "D" in raw.kinds(client.ask(bind(statement="named") + execute() + raw.SYNC))
        shop.direct("REVOKE SELECT ON customers FROM trust")
        assert raw.error_of(client.ask(bind(statement="named") + execute() + raw.SYNC)).get("C") == "42P01"


def test_row_level_security_refuses_rows_not_heals(shop):
    shop.direct("GRANT ALL ON users TO trust", "ALTER TABLE users ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON users USING (true) WITH CHECK (id < 3)")
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    refused = "INSERT INTO users (id, email) VALUES (77, 'x')"
    with shop.raw(user="trust") as client:
        for request in (query(refused), extended(refused), query(refused)):
            assert raw.error_of(client.ask(request)).get("C") == "42501"


def test_a_role_that_may_read_the_old_column_only(shop):
    shop.direct("GRANT SELECT (id, email) ON users TO trust")
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    with shop.raw(user="trust") as client:
        assert client.rows("SELECT email FROM users WHERE id = 1") == [["user1@example.com"]]
        assert raw.error_of(client.ask(query("SELECT email, age FROM users"))).get("C") in ("42501", "42703")


def test_row_level_security_goes_on(shop):
    shop.direct("GRANT SELECT ON users TO trust", "ALTER TABLE users ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON users USING (id < 3)")
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address", "ALTER TABLE users RENAME TO customers")
    with shop.raw(user="trust") as client:
        assert client.rows("SELECT email FROM users ORDER BY id") == [["user1@example.com"], ["user2@example.com"]]


def test_another_schema_on_the_search_path(shop):
    shop.direct("CREATE SCHEMA tenant", "CREATE TABLE tenant.users (id int, email text)", "INSERT INTO tenant.users VALUES (1, 'tenant')")
    shop.migrate("ALTER TABLE public.users RENAME COLUMN email TO email_address")
    with shop.raw(search_path="tenant, public") as client:
        assert client.rows("SELECT email FROM users WHERE id = 1") == [["tenant"]]
        assert client.rows("SELECT email FROM public.users WHERE id = 1") == [["user1@example.com"]]
        client.ask(query("SET search_path = public"))
        assert client.rows("SELECT email FROM users WHERE id = 1") == [["user1@example.com"]]
        client.ask(query("SET search_path = nowhere"))
        assert raw.error_of(client.ask(query("SELECT email FROM users WHERE id = 1"))).get("C") == "42P01"


def test_a_table_that_was_never_on_this_sessions_path(shop):
    shop.direct("CREATE SCHEMA hidden", "CREATE TABLE hidden.things (a int)")
    shop.migrate("ALTER TABLE hidden.things RENAME TO stuff")
    assert raw.error_of(shop.same_as_direct(query("SELECT * FROM things"))).get("C") == "42P01"


def test_two_databases_do_not_share_their_histories(shop, healer, postgres):
    other = shop.name + "_other"
    postgres.run(f"CREATE DATABASE {other}")
    try:
        postgres.run(SCHEMA, database=other)
        second = Shop(healer, postgres, other)
        second.known()
        shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
        second.migrate("ALTER TABLE users RENAME COLUMN email TO contact", "ALTER TABLE users RENAME COLUMN name TO email_address")
        for each in (shop, second):
            with each.raw() as client:
                assert client.rows("SELECT email FROM users WHERE id = 1") == [["user1@example.com"]]
        assert "contact" in second.healed()["after"] and "contact" not in shop.healed()["after"]
        assert raw.error_of(shop.same_as_direct(query("SELECT contact FROM users"))).get("C") == "42703"
    finally:
        postgres.run(f"DROP DATABASE {other} WITH (FORCE)")


def test_a_pipeline_whose_later_statements_were_already_sent(shop):
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    drifted, good = "SELECT email FROM users WHERE id = 1", "INSERT INTO orders VALUES (5000, 1, 1, '') RETURNING 1"
    one_sync = parse(drifted) + bind() + execute() + parse(good) + bind() + execute() + raw.SYNC
    for before in (b"", parse("SELECT 1") + bind() + execute()):
        # All of it, once, or nothing of it, in the server's words.
        with shop.raw(direct=True) as client:
            refused = raw.bytes_of(client.ask(before + one_sync))
        with shop.raw() as client:
            found = client.ask(before + one_sync)
            orders = int(client.rows("SELECT count(*) FROM orders")[0][0])
        if raw.error_of(found):
            assert raw.bytes_of(found) == refused and orders == 200
        else:
            assert raw.kinds(found) == ("12DC" if before else "") + "12DC12DCZ" and orders == 201
            shop.direct("DELETE FROM orders WHERE id = 5000")
    # Each with its own Sync, all in one packet: in order, and each exactly once.
    for client in (shop.raw(direct=True), shop.raw()):
        with client:
            client.send(extended("SELECT 1") + extended(drifted) + extended("SELECT 2") + query(drifted) + query("SELECT 3"))
            answers = [client.until("Z") for _ in range(5)]
            values = [[raw.decode_row(m.body)[0] for m in answer if m.type == "D"] for answer in answers]
            assert [values[n] for n in (0, 2, 4)] == [["1"], ["2"], ["3"]]
            for n in (1, 3):
                assert values[n] == ["user1@example.com"] or raw.error_of(answers[n]).get("C") == "42703"


def test_writes_happen_once_in_a_pipeline(shop):
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    with shop.raw() as client:
        client.send(b"".join(query(f"INSERT INTO orders VALUES ({9000 + n}, 1, 1, '')") + query(f"UPDATE users SET email = email || '.', age = age + 1 WHERE id = {n}") for n in range(1, 40)))
        answers = [client.until("Z") for _ in range(78)]
    failed = sum(1 for answer in answers[1::2] if raw.error_of(answer))
    assert not any(raw.error_of(answer) for answer in answers[::2])
    assert shop.direct("SELECT count(*) FROM orders WHERE id > 8999") == [(39,)]
    assert shop.direct("SELECT count(*) FILTER (WHERE email_address LIKE '%.'), count(*) FILTER (WHERE email_address LIKE '%..') FROM users") == [(39 - failed, 0)]


def test_in_the_middle_of_a_pipeline_whenever_it_is_asked_about(shop):
    """Nothing can be asked there, since a Sync would commit what is ahead of it: what fails is sent again, with all of its request."""
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    one = parse("SELECT 1") + bind() + describe() + execute()
    write = parse("UPDATE users SET email = email || '.' WHERE id = 1 RETURNING email") + bind() + describe() + execute()
    with shop.raw() as client:
        assert raw.kinds(client.ask(write + raw.SYNC)) == "12TDCZ"
        for _ in range(3):
            found = client.ask(one + write + one + raw.SYNC)
            assert raw.kinds(found) == "12TDC" * 3 + "Z"
            assert raw.labels(found[7]) == ["email"]
    assert shop.direct("SELECT email_address FROM users WHERE id = 1") == [("user1@example.com....",)]


def test_several_texts_in_one_request(shop):
    """Batches of pgjdbc's, and what it makes of a string of several statements: a Parse for each text, and one Sync. All of them, once, or nothing of it."""
    insert = lambda first, count: f"INSERT INTO users (id, email) VALUES {', '.join(f'({i}, $1)' for i in range(first, first + count))}"
    part = lambda first, count: parse(insert(first, count), types=(1043,)) + bind((b"x" + str(first).encode(),)) + describe() + execute(rows=1)
    read = parse("SELECT count(email) FROM users WHERE id >= 100") + bind() + describe() + execute()
    counted = lambda: shop.direct("SELECT count(*) FROM users WHERE id >= 100")[0][0]
    shop.direct("ALTER TABLE users ALTER email DROP NOT NULL", "ALTER TABLE users DROP CONSTRAINT users_email_key")
    harness.know(shop.proxy, shop.name)
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    harness.know(shop.proxy, shop.name)
    for round_ in range(2):  # by a session of which nothing is known, and by one that has healed all of it before
        with shop.raw() as client:
            for first in (1000, 2000):
                begin = first + 100 * round_
                found = client.ask(part(begin, 4) + part(begin + 10, 2) + read + part(begin + 20, 1) + raw.SYNC)
                assert raw.kinds(found) == "12nC12nC12TDC12nCZ" and raw.labels(found[10]) == ["count"]
            already = counted()
            taken = client.ask(part(5000, 4) + part(1, 2) + part(5010, 1) + raw.SYNC)
            assert raw.error_of(taken).get("C") == "23505" and counted() == already
            wrong = client.ask(part(5000, 4) + parse("SELECT nothing, email FROM users") + bind() + execute() + part(5010, 1) + raw.SYNC)
            assert (raw.error_of(wrong).get("C"), raw.error_of(wrong).get("P"), counted()) == ("42703", "8", already)
    assert shop.direct("SELECT count(*), count(DISTINCT email_address) FROM users WHERE id >= 100") == [(28, 12)]


@pytest.mark.parametrize("named", (False, True), ids=("unnamed", "named"))
def test_several_drifted_texts_in_a_request_that_fails(shop, named):
    """pgmend does not know of the change yet. All of them are healed, since those behind the first one could not be once the client has its answers."""
    harness.know(shop.proxy, shop.name)
    with shop.raw() as client:
        for round_, change in enumerate(("email TO email_address", "email_address TO mail", "mail TO email", "email TO e_mail")):
            shop.migrate(f"ALTER TABLE users RENAME COLUMN {change}")
            part = lambda number, sql: parse(sql, f"s{round_}{number}" if named else "") + bind(statement=f"s{round_}{number}" if named else "") + describe() + execute()
            write = lambda number: part(number, f"UPDATE users SET email = email || '{number}' WHERE id = 1")
            read = lambda number: part(number, "SELECT email FROM users WHERE id = 1")
            found = client.ask(part(1, "SELECT 1") + write(2) + read(3) + part(4, "SELECT id FROM users WHERE id = 1") + write(5) + read(6) + raw.SYNC)
            assert raw.kinds(found) == "12TDC12nC12TDC12TDC12nC12TDCZ", found
            assert [raw.labels(m) for m in found if m.type == "T"] == [["?column?"], ["email"], ["id"], ["email"]]
            rows = [raw.decode_row(m.body)[0] for m in found if m.type == "D"]
            assert rows[1].endswith("2") and rows[3] == rows[1] + "5"
            if named:
                again = client.ask(b"".join(bind(statement=f"s{round_}{number}") + execute() for number in (2, 3)) + raw.SYNC)
                assert raw.kinds(again) == "2C2DCZ"


def test_an_unnamed_statement_that_takes_the_place_of_a_healed_one(shop):
    """In the request that failed, and is bound again by a later one, when the heal has ended."""
    harness.know(shop.proxy, shop.name)
    with shop.raw() as client:
        shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
        both = parse("SELECT email FROM users WHERE id = 1") + bind() + execute() + parse("SELECT 'mine'") + bind() + execute()
        assert raw.kinds(client.ask(both + raw.SYNC)) == "12DC12DCZ"
        shop.migrate("ALTER TABLE users RENAME COLUMN email_address TO email")
        harness.know(shop.proxy, shop.name)
        found = client.ask(bind() + execute() + raw.SYNC)
        assert [raw.decode_row(m.body) for m in found if m.type == "D"] == [["mine"]]


def test_a_prepared_statement_whose_names_are_looked_up_when_it_is_executed(shop):
    shop.direct("CREATE TABLE lines (id serial)", "INSERT INTO lines DEFAULT VALUES")
    texts = ("SELECT nextval(pg_get_serial_sequence('lines', 'id'))", "TRUNCATE lines")
    with shop.raw() as client:
        for number, text in enumerate(texts):
            assert raw.kinds(client.ask(parse(text, f"s{number}") + raw.SYNC)) == "1Z"
        harness.know(shop.proxy, shop.name)
        shop.migrate("ALTER TABLE lines RENAME TO rows_")
        for _ in range(2):
            assert raw.kinds(client.ask(bind(statement="s0") + describe() + execute() + raw.SYNC)) == "2TDCZ"
        assert shop.direct("SELECT last_value FROM lines_id_seq") == [(3,)]
        for _ in range(2):
            assert raw.kinds(client.ask(bind(statement="s1") + execute() + raw.SYNC)) == "2CZ"
        assert shop.direct("SELECT count(*) FROM rows_") == [(0,)]


def test_what_looks_its_names_up_late_is_not_asked_about(start_pgmend, postgres, database):
    """PostgreSQL accepts such a text, and fails when it is executed: asking whether it still refuses the text tells nothing."""
    postgres.run("CREATE TABLE lines (id serial)", database=database)
    proxy = start_pgmend(control="user=postgres", healing={"recheck": "0s"})
    harness.know(proxy, database)
    postgres.run("ALTER TABLE lines RENAME TO rows_", database=database)
    harness.know(proxy, database)
    text = "SELECT nextval(PG_get_serial_sequence('lines', 'id'))"
    with raw.Client(proxy.port) as client:
        client.log_in(user="postgres", database=database)
        for number in range(1, 9, 2):
            assert client.rows(text) == [[str(number)]]
            client.ask(query("BEGIN"))
            found = client.ask(parse(text) + bind() + describe() + execute() + raw.SYNC)
            assert [raw.decode_row(m.body) for m in found if m.type == "D"] == [[str(number + 1)]], found
            client.ask(query("COMMIT"))


def test_a_function_that_uses_an_old_name_is_told_of(shop):
    """Its error stays the server's own. What the client has sent is named, and that the function has to be changed."""
    shop.direct("CREATE FUNCTION found(i int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT email FROM users WHERE id = i); END'")
    harness.know(shop.proxy, shop.name)
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    harness.know(shop.proxy, shop.name)
    requests = (query("SELECT found(1)"), parse("SELECT found($1)") + bind((b"1",)) + describe() + execute() + raw.SYNC)
    for count, request in enumerate(requests, 1):
        assert raw.error_of(shop.same_as_direct(request)).get("C") == "42703"
        harness.wait_until(lambda: len(shop.events("statement.refused")) == count, "it is told of")
        told = shop.events("statement.refused")[-1]
        assert "inside a function" in told["reason"] and told["before"].startswith("SELECT found("), told


def test_copy_of_a_renamed_column(shop):
    """COPY may be healed, or fail as ever; never anything between."""
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    with shop.raw(direct=True) as client:
        direct = client.ask(query("COPY users (id, email) TO STDOUT"))
    with shop.raw() as client:
        found = client.ask(query("COPY users (id, email) TO STDOUT"))
        assert raw.bytes_of(found) == raw.bytes_of(direct) or raw.kinds(found) == "H" + "d" * 50 + "cCZ"
        assert client.rows("SELECT 1") == [["1"]]


def test_copy_with_a_header_into_a_renamed_column(shop):
    """On the way in the first line does not matter; what it would say otherwise is not changed."""
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    lines = "id,email\n{0},copied{0}@example.com\n"
    with shop.connect() as client, client.cursor() as cursor:
        for number, options in ((7001, "WITH (FORMAT csv, HEADER)"), (7002, "CSV HEADER"), (7003, "WITH (FORMAT csv, HEADER, FORCE_NOT_NULL (email))")):
            with cursor.copy(f"COPY users (id, email) FROM STDIN {options}") as copy:
                copy.write(lines.format(number))

    async def copy_by_asyncpg() -> None:
        client = await asyncpg.connect(host=harness.HOST, port=shop.port, user="postgres", database=shop.name)
        try:
            for number in (7004, 7005):
                source = io.BytesIO(lines.format(number).encode())
                assert await client.copy_to_table("users", source=source, columns=["id", "email"], format="csv", header=True) == "COPY 1"
        finally:
            await client.close()

    asyncio.run(copy_by_asyncpg())
    assert shop.direct("SELECT array_agg(email_address ORDER BY id) FROM users WHERE id > 7000") == [([f"copied{n}@example.com" for n in range(7001, 7006)],)]
    for text, why in (("COPY users (id, email) TO STDOUT WITH (FORMAT csv, HEADER)", "its first line names the columns"),
                      ("COPY users (id, email) FROM STDIN WITH (FORMAT csv, HEADER match)", "the first line that the client sends")):
        assert raw.error_of(shop.same_as_direct(query(text)))
        shop.proxy.wait_for_event("statement.refused", lambda e: e["database"] == shop.name and why in e["reason"])


def test_the_name_is_used_again(shop):
    """Where the old name means something again, PostgreSQL decides: nothing is rewritten."""
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address", "ALTER TABLE users ADD COLUMN email text DEFAULT 'the new one'")
    with shop.raw() as client:
        assert client.rows("SELECT email FROM users WHERE id = 1") == [["the new one"]]
    assert not shop.events("statement.healed")


def test_renamed_twice_and_back(shop):
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO a")
    with shop.raw() as client:
        assert client.rows("SELECT email FROM users WHERE id = 1") == [["user1@example.com"]]
        shop.migrate("ALTER TABLE users RENAME COLUMN a TO b")
        assert client.rows("SELECT email FROM users WHERE id = 1") == [["user1@example.com"]]
        assert client.rows("SELECT a FROM users WHERE id = 1") == [["user1@example.com"]]
        shop.migrate("ALTER TABLE users RENAME COLUMN b TO email")
        assert client.rows("SELECT email FROM users WHERE id = 1") == [["user1@example.com"]]
        assert client.rows("SELECT a FROM users WHERE id = 1") == [["user1@example.com"]]


def test_two_columns_that_swapped_their_names(shop):
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO x", "ALTER TABLE users RENAME COLUMN name TO email", "ALTER TABLE users RENAME COLUMN x TO name")
    with shop.raw() as client, shop.raw(direct=True) as direct:
        sql = "SELECT email, name FROM users WHERE id = 1"
        assert client.rows(sql) == direct.rows(sql)
        assert raw.bytes_of(client.ask(query("SELECT x FROM users"))) == raw.bytes_of(direct.ask(query("SELECT x FROM users"))) or shop.events("statement.healed")


@pytest.mark.parametrize("options, event", (({"healing": {"mode": "off"}}, None), ({"healing": {"mode": "observe"}}, "statement.observed")), ids=("off", "observe"))
def test_modes_that_heal_nothing(start_pgmend, postgres, database, options, event):
    postgres.run(SCHEMA, database=database)
    proxy = start_pgmend(control="user=postgres", log={"format": "json", "level": "debug"}, **options)
    shop = Shop(proxy, postgres, database)
    if event:
        shop.known()
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    for request in (query("SELECT email FROM users"), extended("SELECT email FROM users"), query("BEGIN; SELECT email FROM users")):
        shop.same_as_direct(request)
    assert not shop.events("statement.healed")
    if event:
        found = proxy.wait_for_event(event)
        assert "email_address" in found["after"]


def test_without_a_way_to_read_the_catalog(start_pgmend, postgres, database):
    postgres.run(SCHEMA, database=database)
    postgres.run("ALTER TABLE users RENAME COLUMN email TO email_address", database=database)
    for control in ("user=there_is_no_such_role", "user=password password=wrong"):
        proxy = start_pgmend(control=control)
        shop = Shop(proxy, postgres, database)
        shop.same_as_direct(query("SELECT email FROM users"), extended("SELECT email FROM users"), query("SELECT 1"))


def test_a_history_that_begins_after_the_migration_heals_nothing(start_pgmend, postgres, database):
    postgres.run(SCHEMA, database=database)
    postgres.run("ALTER TABLE users RENAME COLUMN email TO email_address", database=database)
    proxy = start_pgmend(control="user=postgres", log={"format": "json", "level": "debug"})
    shop = Shop(proxy, postgres, database)
    shop.known()
    shop.same_as_direct(query("SELECT email FROM users"), extended("SELECT email FROM users"))


def test_a_control_role_without_rights_is_enough(start_pgmend, postgres, database):
    postgres.run(SCHEMA, database=database)
    proxy = start_pgmend(control="user=scram password=scram", log={"format": "json", "level": "debug"})
    shop = Shop(proxy, postgres, database)
    shop.known()
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    with shop.raw() as client:
        assert client.rows("SELECT email FROM users WHERE id = 1") == [["user1@example.com"]]


def test_the_control_connection_is_killed(shop):
    shop.direct("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'")
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")

    def healed() -> bool:
        with shop.raw() as client:
            return not raw.error_of(client.ask(query("SELECT email FROM users WHERE id = 1")))

    harness.wait_until(healed, "it heals again")


def test_a_lock_on_the_catalog_delays_nobody_else(shop):
    """A heal that has to wait for a migration under way does not hold up other clients."""
    with shop.raw(direct=True) as migrating, shop.raw() as waiting, shop.raw() as other:
        migrating.ask(query("BEGIN; ALTER TABLE users RENAME COLUMN email TO email_address"))
        waiting.send(query("SELECT email FROM users WHERE id = 1"))
        harness.wait_until(lambda: shop.postgres.run("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0] > 0, "it waits for the lock")
        assert other.rows("SELECT count(*) FROM orders") == [["200"]]
        migrating.ask(query("COMMIT"))
        assert [raw.decode_row(m.body) for m in waiting.until("Z") if m.type == "D"] == [["user1@example.com"]]


def test_other_encodings_and_string_settings(shop):
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO \"E-M\u00e4il\"")
    for sql in ("SELECT email FROM users WHERE id = 1", "SELECT '\u00e4\u00f6\u00fc' AS t, email FROM users WHERE id = 1"):
        answers = []
        for direct in (True, False):
            with shop.raw(direct, client_encoding="LATIN1") as client:
                answers.append(client.ask(query(sql.encode("latin-1"))))
        # It may be too hard; then the error is the server's.
        assert raw.bytes_of(answers[1]) == raw.bytes_of(answers[0]) or answers[1][1].body.endswith(b"user1@example.com")
    shop.migrate("ALTER TABLE users RENAME COLUMN \"E-M\u00e4il\" TO email_address")
    with shop.raw(client_encoding="LATIN1") as client:
        assert client.rows("SELECT email FROM users WHERE id = 1") == [["user1@example.com"]]
    odd = {"options": "-c standard_conforming_strings=off -c escape_string_warning=off"}
    with shop.raw(**odd) as client, shop.raw(direct=True, **odd) as direct:
        assert client.rows("SELECT 'email', email FROM users WHERE id = 1") == [["email", "user1@example.com"]]
        backslash = query(r"SELECT 'a\'email', email FROM users WHERE id = 1")
        found, refused = client.ask(backslash), direct.ask(backslash)
        assert raw.bytes_of(found) == raw.bytes_of(refused) or [raw.decode_row(m.body) for m in found if m.type == "D"] == [["a'email", "user1@example.com"]]


@pytest.mark.parametrize("size", (10_000, 100_000, 5_000_000))
def test_long_statements_are_healed_or_passed(shop, size):
    shop.migrate("ALTER TABLE users RENAME COLUMN email TO email_address")
    sql = "SELECT email FROM users WHERE id = 1 /* " + "x" * size + " */"
    with shop.raw(direct=True) as client:
        direct = client.ask(query(sql))
    with shop.raw() as client:
        found = client.ask(query(sql))
    if size <= 10_000:
        assert raw.kinds(found) == "TDCZ"
    else:
        assert raw.kinds(found) == "TDCZ" or raw.bytes_of(found) == raw.bytes_of(direct)


def test_views_and_sequences(shop):
    shop.direct("CREATE VIEW adults AS SELECT id, email FROM users WHERE age > 25", "CREATE SEQUENCE numbers", "CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM users")
    with shop.raw() as client:
        shop.known(2)
        before = [client.rows(sql) for sql in ("SELECT email FROM adults ORDER BY id LIMIT 1", "SELECT n FROM m")]
        shop.migrate("ALTER VIEW adults RENAME TO grown_ups", "ALTER SEQUENCE numbers RENAME TO counters", "ALTER MATERIALIZED VIEW m RENAME TO matview")
        assert [client.rows(sql) for sql in ("SELECT email FROM adults ORDER BY id LIMIT 1", "SELECT n FROM m")] == before
        messages = client.ask(query("SELECT nextval('numbers')"))
        assert not raw.error_of(messages) or raw.error_of(messages).get("C") == "42P01"


def test_a_prepared_star_keeps_the_shape_that_the_client_was_told(shop):
    """0A000: the statement is prepared again, with the columns that it had."""
    with shop.connect() as client:
        ask = lambda: client.execute("SELECT * FROM users WHERE id = %s", (1,), prepare=True).fetchall()
        told = ask()
        shop.migrate("ALTER TABLE users ADD COLUMN added text DEFAULT 'new'")
        assert ask() == told
    assert (shop.healed()["sqlstate"], shop.healed()["pattern"]) == ("0A000", "columns of public.users: as when the statement was prepared")
