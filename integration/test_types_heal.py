"""Columns whose type became another one that loses nothing: statements that no longer fit answer as they did."""

from __future__ import annotations

import asyncio
import struct

import asyncpg
import psycopg
import pytest

import harness
import raw
from raw import bind, describe, execute, parse, query

VARCHAR, INT4, UUID = 1043, 23, 2950
SCHEMA = """
    CREATE TABLE tasks (id int PRIMARY KEY, status varchar(20) NOT NULL, due date, days int, tag uuid, label text);
    CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2';
    INSERT INTO tasks VALUES (1, 'open', '2024-01-01', 3, '00000000-0000-0000-0000-00000000000a', 'one'), (2, 'done', '2024-02-01', 5, NULL, 'two');
"""
WIDER = ("ALTER TABLE tasks ALTER COLUMN id TYPE bigint", "ALTER TABLE tasks ALTER COLUMN days TYPE bigint")
LABELS = ("CREATE TYPE state AS ENUM ('open', 'done')", "ALTER TABLE tasks ALTER COLUMN status TYPE state USING status::state")
SPELLED = ("ALTER TABLE tasks ALTER COLUMN tag TYPE text",)


def types(messages: list[raw.Message]) -> list:
    """What a client knows of parameters, columns and rows, without the origin and the length of a column that is cast now."""
    found: list = []
    for message in messages:
        if message.type == "T":
            at, body = 2, message.body
            for _ in range(int.from_bytes(body[:2], "big")):
                end = body.index(b"\0", at)
                found.append((body[at:end], body[end + 7:end + 13]))
                at = end + 19
        elif message.type != "Z":
            found.append(message.frame)
    return found


CASES = {
    "a function of users": (WIDER, "SELECT twice(id) AS t FROM tasks WHERE id = $1", (), (b"2",)),
    "a date and days": (WIDER, "SELECT due + days AS until, days FROM tasks WHERE id = $1 ORDER BY id", (INT4,), (b"1",)),
    "an UPDATE": (WIDER, "UPDATE tasks SET due = due + days, days = $2 WHERE id = $1 RETURNING id, due, days", (), (b"1", b"9")),
    "an INSERT with one parameter twice": (WIDER[:1], "INSERT INTO tasks (id, days, status) VALUES ($1, $1, 'open') RETURNING id", (), (b"7",)),
    "an enum beside a varchar": (LABELS, "SELECT id, status FROM tasks WHERE status = $1", (VARCHAR,), (b"done",)),
    "an enum that a varchar is written to": (LABELS, "UPDATE tasks SET status = $1 WHERE status = $2 RETURNING status", (VARCHAR, VARCHAR), (b"open", b"done")),
    "an enum that a varchar is inserted into": (LABELS, "INSERT INTO tasks (id, status) VALUES ($1, $2) RETURNING status", (INT4, VARCHAR), (b"9", b"done")),
    "a uuid that is a text": (SPELLED, "SELECT id, tag FROM tasks WHERE tag = $1", (UUID,), (b"00000000-0000-0000-0000-00000000000A",)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_what_it_was(shop, name):
    migration, sql, declared, values = CASES[name]
    request = parse(sql, types=declared) + describe("S") + bind(values) + execute() + raw.SYNC
    with shop.raw(direct=True) as client:
        client.ask(query("BEGIN"))
        before = client.ask(request)
        assert not raw.error_of(before), before
        client.ask(query("ROLLBACK"))
    shop.migrate(*migration)
    with shop.raw(direct=True) as client:
        failed = raw.error_of(client.ask(query("BEGIN")) + client.ask(request))
    with shop.raw() as client:
        for attempt in ("after it failed", "before it fails"):
            client.ask(query("BEGIN"))
            assert types(client.ask(request)) == types(before), attempt
            client.ask(query("ROLLBACK"))
    if failed:
        harness.wait_until(lambda: [e.get("tier") for e in shop.events("statement.healed")][-1:] == [1], "the second one is healed before it fails")
        assert shop.events("statement.healed")[0]["evidence"] == "lineage"


def test_a_statement_that_was_prepared_before(shop):
    sql = "SELECT twice(id) AS t, due + days AS until FROM tasks WHERE id = $1"
    run = bind(((2).to_bytes(4, "big"),), statement="s", formats=(1,)) + execute() + raw.SYNC
    with shop.raw() as client:
        told = client.ask(parse(sql, "s") + describe("S", "s") + raw.SYNC)
        before = client.ask(run)
        shop.migrate("; ".join(WIDER))  # one version: between two, it is not known which of them the statement was prepared for
        assert client.ask(run) == before
        assert client.ask(describe("S", "s") + raw.SYNC) == told[1:]


def test_asyncpg_goes_on(shop):
    async def main():
        client = await asyncpg.connect(host=harness.HOST, port=shop.port, user="postgres", database=shop.name)
        ask = lambda: client.fetch("SELECT id, due + days AS until, status FROM tasks WHERE id = $1 AND status = $2::varchar", 1, "open")
        before = await ask()
        shop.migrate("; ".join(WIDER + LABELS))
        assert await ask() == before
        await client.close()

    asyncio.run(main())


@pytest.mark.parametrize("sql, migration, why", (
    ("SELECT id FROM tasks WHERE days = 3", "ALTER TABLE tasks ALTER COLUMN days TYPE text", "from int4 to text"),
    ("SELECT id FROM tasks WHERE label = 'one'::text", "ALTER TABLE tasks ALTER COLUMN label TYPE jsonb USING to_jsonb(label)", "from text to jsonb"),
    ("SELECT days + 1 FROM tasks WHERE due + 1 = '2024-01-02'::date", "ALTER TABLE tasks ALTER COLUMN due TYPE timestamptz", "from date to timestamptz"),
))
def test_other_changes_are_refused_with_their_reason(shop, sql, migration, why):
    shop.migrate(migration)
    shop.same_as_direct(query(sql))
    refused = shop.proxy.wait_for_event("statement.refused", lambda e: e["database"] == shop.name)
    assert why in refused["reason"]


# ------------------------------------------------------------------------------------------------ labels of enums among the values

ENUMS = """
    CREATE TYPE state AS ENUM ('pending', 'done', 'lost');
    CREATE TYPE mood AS ENUM ('pending', 'happy');
    CREATE DOMAIN known AS state CHECK (VALUE <> 'lost');
    CREATE TABLE jobs (id serial PRIMARY KEY, state state NOT NULL, past state[] NOT NULL DEFAULT '{}', kept known, note text);
    INSERT INTO jobs (state, past, kept, note) VALUES ('pending', '{}', NULL, 'pending'), ('done', '{pending}', 'pending', 'x');
"""
RENAMED = "ALTER TYPE state RENAME VALUE 'pending' TO 'open'"

VALUES = {
    "compared": ("SELECT id FROM jobs WHERE state = $1", (b"pending",)),
    "with a cast": ("SELECT id FROM jobs WHERE state = $1::state", (b"pending",)),
    "beside the same text": ("SELECT id, note FROM jobs WHERE note = $1 AND state <> $2 OR state = $3 ORDER BY id", (b"pending", b"done", b"pending")),
    "in a list": ("SELECT id FROM jobs WHERE state IN ($1, $2) ORDER BY id", (b"pending", b"done")),
    "in an array": ("SELECT id FROM jobs WHERE state = ANY($1) ORDER BY id", (b"{lost,NULL,pending}",)),
    "in an array, quoted": ("SELECT id FROM jobs WHERE state = ANY($1) ORDER BY id", (b'{"lost","pending"}',)),
    "in a long array": ("SELECT id FROM jobs WHERE state = ANY($1) ORDER BY id", (b"{" + b",".join([b"pending"] * 5000) + b"}",)),
    "of a domain": ("SELECT count($1::known), count(kept) FROM jobs", (b"pending",)),
    "inserted": ("INSERT INTO jobs (state, note) VALUES ($1, $2) RETURNING id, note", (b"pending", b"pending")),
    "updated": ("UPDATE jobs SET past = past || $1, note = $2 WHERE state = $3 RETURNING id", (b"{done}", None, b"pending")),
}


@pytest.mark.parametrize("prepared", (False, True), ids=("unnamed", "prepared"))
@pytest.mark.parametrize("block", (False, True), ids=("alone", "in a block"))
@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_a_renamed_label(shop, name, block, prepared):
    shop.direct(ENUMS)
    sql, values = VALUES[name]

    def ask(client: raw.Client) -> list[raw.Message]:
        sent = bind(values, statement="s") if prepared else parse(sql) + bind(values)
        if block:
            client.ask(query("BEGIN"))
        found = client.ask(sent + describe() + execute() + raw.SYNC)
        assert found[-1].body == (b"T" if block else b"I"), found
        if block:
            client.ask(query("COMMIT"))
        return found

    with shop.raw(direct=True) as direct, shop.raw() as client:
        for each in (direct, client):
            each.ask(parse(sql, "s") + raw.SYNC)
        direct.ask(query("BEGIN"))
        before = direct.ask(parse(sql) + bind(values) + describe() + execute() + raw.SYNC)
        direct.ask(query("ROLLBACK; SELECT setval('jobs_id_seq', 2)"))
        assert not raw.error_of(before), before
        harness.know(shop.proxy, shop.name)
        shop.migrate(RENAMED)
        found = ask(client)
        assert raw.bytes_of([m for m in found if m.type not in "1Z"]) == raw.bytes_of([m for m in before if m.type not in "1Z"])
        found = ask(client)  # it stays what it is
        assert not raw.error_of(found), found
        assert "enum public.state.pending -> public.state.open" in shop.healed()["pattern"]
        expected = {"inserted": "4", "updated": "2"}.get(name, "2")
        assert client.rows("SELECT count(*) FROM jobs") == [[expected]]
        if name == "inserted":
            assert client.rows("SELECT state, note FROM jobs WHERE id = 3") == [["open", "pending"]]


@pytest.mark.parametrize("block", (False, True), ids=("alone", "in a block"))
@pytest.mark.parametrize("name", VALUES)
def test_a_renamed_label_for_the_unnamed_statement_of_an_earlier_request(shop, name, block):
    """As lib/pq sends it: Parse, Describe and Sync, and when these are answered Bind, Execute and Sync."""
    shop.direct(ENUMS)
    sql, values = VALUES[name]

    def ask(client: raw.Client) -> list[raw.Message]:
        assert not raw.error_of(client.ask(parse(sql) + describe("S") + raw.SYNC))
        return client.ask(bind(values) + execute() + raw.SYNC)

    with shop.raw(direct=True) as direct, shop.raw() as client:
        direct.ask(query("BEGIN"))
        before = ask(direct)
        direct.ask(query("ROLLBACK; SELECT setval('jobs_id_seq', 2)"))
        assert not raw.error_of(before), before
        harness.know(shop.proxy, shop.name)
        shop.migrate(RENAMED)
        harness.know(shop.proxy, shop.name)
        if block:
            client.ask(query("BEGIN"))
        found = ask(client)
        assert raw.bytes_of(found[:-1]) == raw.bytes_of(before[:-1])
        assert found[-1].body == (b"T" if block else b"I")
        assert not raw.error_of(client.ask(bind(values) + execute() + raw.SYNC))  # it is still there
        if block:
            client.ask(query("COMMIT"))
        logged = shop.healed()
        assert "enum public.state.pending -> public.state.open" in logged["pattern"] and logged["before"]
        expected = {"inserted": "4", "updated": "2"}.get(name, "2")
        assert client.rows("SELECT count(*) FROM jobs") == [[expected]]


@pytest.mark.parametrize("name", VALUES)
def test_a_renamed_label_behind_a_begin_in_the_same_request(shop, name):
    """As pgjdbc sends it. PostgreSQL has begun the block by then, and has aborted it."""
    shop.direct(ENUMS)
    sql, values = VALUES[name]
    request = parse("BEGIN") + bind() + execute() + parse(sql) + bind(values) + describe() + execute() + raw.SYNC
    with shop.raw(direct=True) as direct, shop.raw() as client:
        before = direct.ask(request)
        direct.ask(query("ROLLBACK; SELECT setval('jobs_id_seq', 2)"))
        assert not raw.error_of(before) and before[-1].body == b"T", before
        harness.know(shop.proxy, shop.name)
        shop.migrate(RENAMED)
        harness.know(shop.proxy, shop.name)
        client.ask(parse(sql) + raw.SYNC)  # what the text means is asked about once in each session: behind a BEGIN that would bring its answer before the error
        found = client.ask(request)
        assert raw.bytes_of(found) == raw.bytes_of(before)
        client.ask(query("ROLLBACK"))
        for each in (client, direct):  # and where there is no heal, all is as without pgmend
            found = each.ask(parse("BEGIN") + bind() + execute() + parse("SELECT $1::state") + bind((b"never",)) + execute() + raw.SYNC)
            assert found[-1].body == b"E" and raw.error_of(found).get("C") == "22P02", found
            assert raw.error_of(each.ask(query("SELECT 1"))).get("C") == "25P02"
            assert each.ask(query("ROLLBACK"))[-1].body == b"I"


def test_a_value_that_never_was_a_label(shop):
    """An error of the application's own, and the words of the server; no heal is looked for where the label is another one's."""
    shop.direct(ENUMS)
    harness.know(shop.proxy, shop.name)
    shop.migrate(RENAMED)
    for sql, value in (("SELECT id FROM jobs WHERE state = $1", b"never"), ("SELECT id FROM jobs WHERE state = $1", b"happy"), ("SELECT $1::mood", b"open"),
                       ("SELECT id FROM jobs WHERE state = ANY($1)", b'{"pending",never}'), ("SELECT id FROM jobs WHERE state = ANY($1)", b"{" + b",".join(b"n%d" % i for i in range(9000)) + b"}"),
                       ("SELECT twice($1)", b"pending")):
        found = shop.same_as_direct(parse(sql) + bind((value,)) + execute() + raw.SYNC)
        assert raw.error_of(found), found
    assert not shop.events("statement.healed")
    with shop.raw() as client:
        assert raw.kinds(client.ask(parse("SELECT $1::mood") + bind((b"pending",)) + execute() + raw.SYNC)) == "12DCZ"


def test_a_label_that_is_another_ones_now(shop):
    shop.direct(ENUMS)
    harness.know(shop.proxy, shop.name)
    shop.migrate(RENAMED, "ALTER TYPE state RENAME VALUE 'lost' TO 'pending'")
    with shop.raw() as client:
        found = client.ask(parse("SELECT id FROM jobs WHERE state = $1") + bind((b"pending",)) + execute() + raw.SYNC)
        assert raw.kinds(found) == "12CZ"
        assert raw.kinds(client.ask(parse("SELECT $1::state") + bind((b"lost",)) + execute() + raw.SYNC)) == "12DCZ"


def test_values_of_many_executions_in_one_request(shop):
    """executemany(): some of the values are labels that were renamed."""
    shop.direct(ENUMS, "CREATE TABLE states (state state)", "DROP FUNCTION twice(int)")  # which a CHECK might call
    harness.know(shop.proxy, shop.name)
    shop.migrate(RENAMED)
    values = (b"done", b"pending", b"lost", b"pending")
    with shop.raw() as client:
        request = parse("INSERT INTO states (state) VALUES ($1)", "s") + b"".join(bind((value,), statement="s") + describe() + execute() for value in values)
        assert raw.kinds(client.ask(request + raw.SYNC)) == "1" + "2nC" * 4 + "Z"
        assert client.rows("SELECT state FROM states") == [["done"], ["open"], ["lost"], ["open"]]


def test_asyncpg_binds_a_renamed_label(shop):
    shop.direct(ENUMS)

    async def talk() -> None:
        connection = await asyncpg.connect(host=harness.HOST, port=shop.port, user="postgres", database=shop.name)
        try:
            statement = await connection.prepare("SELECT id FROM jobs WHERE state = $1 OR state = ANY($2) ORDER BY id")
            assert [row["id"] for row in await statement.fetch("pending", ["lost"])] == [1]
            harness.know(shop.proxy, shop.name)
            shop.migrate(RENAMED)
            for _ in range(2):
                assert [row["id"] for row in await statement.fetch("pending", ["lost"])] == [1]
                assert [row["id"] for row in await statement.fetch("lost", ["lost", "pending"])] == [1]
            assert await connection.fetchval("SELECT count(*) FROM jobs WHERE state = $1", "pending") == 1
            await connection.execute("UPDATE jobs SET state = $1 WHERE id = $2", "pending", 2)
            assert await connection.fetchval("SELECT count(*) FROM jobs WHERE state = $1", "open") == 2
        finally:
            await connection.close()

    asyncio.run(talk())


def rename(shop, *more: str) -> None:
    """What fails in a block for a change that pgmend has not seen yet fails as without pgmend: it sees this one."""
    harness.know(shop.proxy, shop.name)
    shop.migrate(RENAMED, *more)
    harness.know(shop.proxy, shop.name)


SEEN = {
    "prepared": lambda sql, values: bind(values, statement="s"),
    "described first": lambda sql, values: parse(sql) + describe("S") + raw.FLUSH,
    "unnamed": lambda sql, values: parse(sql) + bind(values),
}


@pytest.mark.parametrize("way", SEEN)
@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_a_renamed_label_in_a_block_where_its_statement_was_seen_to_work(shop, name, way):
    shop.direct(ENUMS)
    rename(shop)
    sql, values = VALUES[name]
    others = tuple(it and it.replace(b"pending", b"done") for it in values)

    def run(client: raw.Client, with_values: tuple[bytes | None, ...]) -> list[raw.Message]:
        if way == "described first":
            client.send(SEEN[way](sql, with_values))
            assert [client.read_message().type for _ in range(3)][:2] == ["1", "t"]
            return client.ask(bind(with_values) + execute() + raw.SYNC)
        return client.ask(SEEN[way](sql, with_values) + execute() + raw.SYNC)

    with shop.raw() as client:
        client.ask(parse(sql, "s") + raw.SYNC)
        client.ask(query("BEGIN"))
        for _ in range(2):
            assert not raw.error_of(run(client, others))
        assert not shop.events("statement.healed")
        client.ask(query("SAVEPOINT of_the_client"))
        found = run(client, values)
        assert not raw.error_of(found) and found[-1].body == b"T", found
        assert "enum public.state.pending -> public.state.open" in shop.healed()["pattern"]
        found = run(client, tuple(it and b"never" for it in values) if name == "compared" else values)
        assert (raw.error_of(found) is not None) == (name == "compared"), found
        assert not raw.error_of(client.ask(query("ROLLBACK TO of_the_client")))
        assert not raw.error_of(run(client, others))
        assert client.ask(query("COMMIT"))[-1].body == b"I"


def test_an_old_label_in_binary_form_and_among_many_executions_in_a_block(shop):
    shop.direct(ENUMS, "CREATE TABLE states (state state)", "DROP FUNCTION twice(int)")
    rename(shop)
    array = lambda *labels: struct.pack("!IIIII", 1, 0, shop.direct("SELECT 'state'::regtype::oid::int")[0][0], len(labels), 1) + b"".join(struct.pack("!I", len(it)) + it for it in labels)
    with shop.raw() as client:
        client.ask(query("BEGIN"))
        client.ask(parse("INSERT INTO states SELECT unnest($1::state[])", "many") + parse("INSERT INTO states VALUES ($1)", "one") + raw.SYNC)
        for values in ((b"done", b"done"), (b"done", b"pending")):
            assert not raw.error_of(client.ask(bind((array(*values),), statement="many", formats=(1,)) + execute() + raw.SYNC))
        for values in ((b"done", b"done"), (b"lost", b"pending", b"lost", b"pending")):
            request = b"".join(bind((it,), statement="one", formats=(1,)) + execute() for it in values)
            assert raw.kinds(client.ask(request + raw.SYNC)) == "2C" * len(values) + "Z"
        client.ask(query("COMMIT"))
        assert [row[0] for row in client.rows("SELECT state FROM states")] == ["done", "done", "done", "open", "done", "done", "lost", "open", "lost", "open"]


@pytest.mark.parametrize("block", (False, True), ids=("alone", "in a block"))
@pytest.mark.parametrize("prepared", (False, True), ids=("unnamed", "prepared"))
def test_many_executions_that_are_sent_bit_by_bit(shop, prepared, block):
    """As psycopg does: the server may have refused the first ones before the last ones are sent."""
    shop.direct(ENUMS, "CREATE TABLE states (state state)", "DROP FUNCTION twice(int)")
    rename(shop)
    prepare = parse("INSERT INTO states VALUES ($1)", "s")
    with shop.raw() as client:
        if prepared:
            client.ask(prepare + raw.SYNC)
        for _ in range(5):
            if block:
                client.ask(query("BEGIN"))
            client.send((b"" if prepared else parse("INSERT INTO states VALUES ($1)")) + b"".join(bind((it,), statement="s" if prepared else "") + execute() for it in (b"lost", b"pending")))
            for it in (b"pending", b"done"):
                client.send(bind((it,), statement="s" if prepared else "") + execute())
            found = client.ask(raw.SYNC)
            assert raw.kinds(found) == ("" if prepared else "1") + "2C" * 4 + "Z", found
            if block:
                client.ask(query("COMMIT"))
    assert [row[0] for row in shop.direct("SELECT state FROM states")] == ["lost", "open", "open", "done"] * 5


def test_a_label_that_exists_again_is_bound_as_it_is(shop):
    """In a block, by a statement that was seen to work; no savepoint, and no question."""
    shop.direct(ENUMS)
    rename(shop, "ALTER TYPE state RENAME VALUE 'lost' TO 'pending'")
    with shop.raw() as client:
        client.ask(query("BEGIN"))
        client.ask(parse("INSERT INTO jobs (state) VALUES ($1)", "s") + raw.SYNC)
        for _ in range(3):
            assert raw.kinds(client.ask(bind((b"pending",), statement="s") + execute() + raw.SYNC)) == "2CZ"
        client.ask(query("COMMIT"))
    assert shop.direct("SELECT count(*) FROM jobs WHERE state = 'pending'") == [(3,)]
    assert not shop.events("statement.healed")


def test_asyncpg_binds_a_renamed_label_in_a_transaction(shop):
    shop.direct(ENUMS, "DROP FUNCTION twice(int)")  # which a CHECK might call
    rename(shop)

    async def talk() -> None:
        connect = lambda: asyncpg.connect(host=harness.HOST, port=shop.port, user="postgres", database=shop.name)
        sql = "SELECT id FROM jobs WHERE state = $1 OR state = ANY($2) ORDER BY id"
        for first in ("lost", "pending"):  # the second one prepares anew what was seen to work
            connection = await connect()
            try:
                async with connection.transaction():
                    assert [row["id"] for row in await connection.fetch(sql, first, ["lost"])] == ([1] if first == "pending" else [])
                    for state, more, ids in (("done", ["lost"], [2]), ("pending", ["lost"], [1]), ("lost", ["done", "pending"], [1, 2]), ("lost", [], [])):
                        assert [row["id"] for row in await connection.fetch(sql, state, more)] == ids
                    with pytest.raises(asyncpg.InvalidTextRepresentationError):
                        async with connection.transaction():
                            await connection.fetch(sql, "never", [])
                    assert await connection.fetchval("SELECT count(*) FROM jobs WHERE state = $1", "pending") == 1
            finally:
                await connection.close()
        connection = await connect()
        try:
            async with connection.transaction():
                await connection.executemany("INSERT INTO jobs (state, note) VALUES ($1, $2)", [("done", "a"), ("lost", "b")])
                await connection.executemany("INSERT INTO jobs (state, note) VALUES ($1, $2)", [("done", "c"), ("pending", "d"), ("pending", "e")])
        finally:
            await connection.close()

    asyncio.run(talk())
    assert shop.direct("SELECT string_agg(state::text, ',' ORDER BY id) FROM jobs WHERE note < 'f' OR note = 'x'") == [("done,done,lost,done,open,open",)]


@pytest.mark.parametrize("prepare", (False, True), ids=("unnamed", "prepared"))
def test_psycopg_binds_a_renamed_label_in_a_transaction(shop, prepare):
    shop.direct(ENUMS, "DROP FUNCTION twice(int)")  # which a CHECK might call
    rename(shop)
    with psycopg.connect(harness.conninfo(shop.port, shop.name)) as client:
        ask = lambda state: [row[0] for row in client.execute("SELECT id FROM jobs WHERE state = %s ORDER BY id", (state,), prepare=prepare)]
        with client.transaction():
            assert [ask(it) for it in ("done", "done", "pending", "done", "pending")] == [[2], [2], [1], [2], [1]]
            with pytest.raises(psycopg.errors.InvalidTextRepresentation), client.transaction():
                ask("never")
            assert ask("pending") == [1]
        with client.transaction(), client.cursor() as cursor:
            for states in (("done", "lost"), ("lost", "pending", "pending")):
                cursor.executemany("UPDATE jobs SET state = %s WHERE id = 2", [(it,) for it in states])
        with client.transaction():
            assert ask("pending") == [1, 2]


BOTH = (RENAMED, "ALTER TABLE jobs RENAME state TO status", "ALTER TABLE jobs RENAME past TO earlier")


@pytest.mark.parametrize("way", ("unnamed", "prepared", "unnamed, in a block", "prepared, in a block", "before the change was seen",
                                 "prepared ahead", "prepared ahead, in a block", "prepared ahead, before the change was seen"))
@pytest.mark.parametrize("name", [name for name, (sql, _) in VALUES.items() if ("state =" in sql or "(state" in sql) and "long" not in name])
def test_an_old_label_in_a_statement_whose_columns_were_renamed_too(shop, name, way):
    shop.direct(ENUMS)
    sql, values = VALUES[name]
    block, prepared = "block" in way, "prepared" in way
    sent = bind(values, statement="s") if prepared else parse(sql) + bind(values)
    with shop.raw(direct=True) as direct, shop.raw() as client:
        direct.ask(query("BEGIN"))
        before = direct.ask(parse(sql) + bind(values) + describe() + execute() + raw.SYNC)
        direct.ask(query("ROLLBACK; SELECT setval('jobs_id_seq', 2)"))
        harness.know(shop.proxy, shop.name)
        if "ahead" in way:
            client.ask(parse(sql, "s") + raw.SYNC)
        shop.migrate(*BOTH)
        if "seen" not in way:
            harness.know(shop.proxy, shop.name)
        if prepared and "ahead" not in way:
            client.ask(parse(sql, "s") + raw.SYNC)
        for attempt in range(3):
            if block:
                client.ask(query("BEGIN"))
            found = client.ask(sent + describe() + execute() + raw.SYNC)
            if attempt == 0:
                assert raw.bytes_of([m for m in found if m.type not in "1Z"]) == raw.bytes_of([m for m in before if m.type not in "1Z"])
            assert not raw.error_of(found) and found[-1].body == (b"T" if block else b"I"), (attempt, found)
            if block:
                client.ask(query("COMMIT"))
        assert client.rows("SELECT count(*) FROM jobs") == [["5" if name == "inserted" else "2"]]
        patterns = {event["pattern"] for event in shop.events("statement.healed")}
        assert any("enum public.state.pending -> public.state.open" in it for it in patterns) and any("column public.jobs.state -> status" in it for it in patterns), patterns


def test_a_value_that_never_was_a_label_is_a_healed_statements_own_error(shop):
    """Bound to a statement that is healed: the answer that it would have had ahead of the change."""
    shop.direct(ENUMS)
    sql = "SELECT id FROM jobs WHERE state = $1"
    never = parse(sql) + bind((b"never",)) + execute() + raw.SYNC
    with shop.raw(direct=True) as direct:
        before = direct.ask(never)
    harness.know(shop.proxy, shop.name)
    shop.migrate(*BOTH)
    harness.know(shop.proxy, shop.name)
    with shop.raw() as client:
        client.ask(parse(sql, "s") + bind((b"done",), statement="s") + execute() + raw.SYNC)
        for _ in range(2):
            for request in (never, bind((b"never",), statement="s") + execute() + raw.SYNC):
                found = client.ask(request)
                assert repr(raw.error_of(found)) == repr(raw.error_of(before)) and raw.kinds(found)[-2:] == "EZ"
            found = client.ask(bind((b"done",), statement="s") + execute() + raw.SYNC)
            assert raw.kinds(found) == "2DCZ"
        client.ask(query("BEGIN"))
        assert raw.error_of(client.ask(never)) and client.ask(query("COMMIT"))[-1].body == b"I"


@pytest.mark.parametrize("prepare", (False, True), ids=("unnamed", "prepared"))
def test_psycopg_binds_an_old_label_where_a_column_was_renamed_too(shop, prepare):
    shop.direct(ENUMS)
    harness.know(shop.proxy, shop.name)
    shop.migrate(*BOTH)
    harness.know(shop.proxy, shop.name)
    with psycopg.connect(harness.conninfo(shop.port, shop.name), autocommit=True) as client:
        ask = lambda state: [row[0] for row in client.execute("SELECT id FROM jobs WHERE state = %s ORDER BY id", (state,), prepare=prepare)]
        assert [ask(it) for it in ("pending", "done", "pending", "done")] == [[1], [2], [1], [2]]
        with client.transaction():
            assert [ask(it) for it in ("done", "pending", "done", "pending")] == [[2], [1], [2], [1]]


def test_asyncpg_binds_an_old_label_where_a_column_was_renamed_too(shop):
    shop.direct(ENUMS)
    harness.know(shop.proxy, shop.name)
    shop.migrate(*BOTH)
    harness.know(shop.proxy, shop.name)

    async def talk() -> None:
        for _ in range(2):
            client = await asyncpg.connect(host=harness.HOST, port=shop.port, user="postgres", database=shop.name)
            try:
                ask = lambda state: client.fetchval("SELECT id FROM jobs WHERE state = $1 OR $1 = ANY(past) ORDER BY id LIMIT 1", state)
                assert [await ask(it) for it in ("pending", "done", "pending", "lost")] == [1, 2, 1, None]
                async with client.transaction():
                    assert [await ask(it) for it in ("done", "pending", "lost", "pending")] == [2, 1, None, 1]
            finally:
                await client.close()

    asyncio.run(talk())


# ------------------------------------------------------------------------------------------------ labels of enums in lists in the text


@pytest.mark.parametrize("seen", (False, True), ids=("after it failed", "before it fails"))
def test_a_renamed_label_in_a_list_in_the_text(shop, seen):
    """Also in blocks, and prepared; beside a text with another label that was seen to work."""
    shop.direct(ENUMS)
    if seen:
        rename(shop)
    else:
        harness.know(shop.proxy, shop.name)
        shop.migrate(RENAMED)
    sql = "SELECT id FROM jobs WHERE state = ANY('{lost,pending}') OR past @> '{pending}'::state[] ORDER BY id"
    same = sql.replace("pending", "done")
    with shop.raw() as client, shop.raw() as other:
        assert [client.rows(sql) for _ in range(2)] == [[["1"], ["2"]]] * 2
        harness.wait_until(lambda: 1 in {e.get("tier") for e in shop.events("statement.healed")}, "the second one is healed before it fails")
        assert seen == (2 not in {e.get("tier") for e in shop.events("statement.healed")})
        assert {e["pattern"] for e in shop.events("statement.healed")} == {"enum public.state.pending -> public.state.open"}
        other.ask(query("BEGIN"))
        for text in (same, same, sql, sql):
            assert other.rows(text) == ([["1"], ["2"]] if text == sql else [["2"]])
        assert raw.kinds(other.ask(parse(sql, "s") + bind(statement="s") + execute() + raw.SYNC)) == "12DDCZ"
        assert other.ask(query("COMMIT"))[-1].body == b"I"
        assert not raw.error_of(client.ask(query("UPDATE jobs SET past = '{done, pending}' WHERE state = ANY('{pending}')")))
    assert shop.direct("SELECT past::text FROM jobs ORDER BY id") == [("{done,open}",), ("{open}",)]
    shop.migrate("ALTER TYPE state RENAME VALUE 'lost' TO 'pending'")  # the name is used again: a text that fits is sent as it is, seen or not
    healed = len(shop.events("statement.healed"))
    text = "SELECT id FROM jobs WHERE state = ANY('{pending}') OR past @> '{done,open}' ORDER BY id"
    with shop.raw() as client:
        assert [client.rows(text) for _ in range(2)] == [[["1"]]] * 2
    assert len(shop.events("statement.healed")) == healed
