"""Columns whose type became another one that loses nothing: statements that no longer fit answer as they did."""

from __future__ import annotations

import asyncio

import asyncpg
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
