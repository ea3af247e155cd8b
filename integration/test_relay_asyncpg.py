"""asyncpg through the proxy: binary protocol, prepared statement cache, COPY, listeners, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import io

import asyncpg
import pytest

import harness


@contextlib.asynccontextmanager
async def connected(target, database, **options):
    connection = await asyncpg.connect(host=harness.HOST, port=target.port, user="postgres", database=database, ssl=False, **options)
    try:
        yield connection
    finally:
        await connection.close()


def each(test):
    """Runs a coroutine test in a loop of its own."""

    def run(target, database):
        asyncio.run(test(target, database))

    run.__name__ = test.__name__
    return run


@each
async def test_values_of_many_types(target, database):
    async with connected(target, database) as c:
        await c.execute("CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text)")
        row = await c.fetchrow("SELECT $1::int, $2::text[], $3::timestamptz, $4::mood, $5::pair, $6::jsonb, $7::numeric",
                               5, ["a", None], datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc), "happy", (1, "x"), '{"a": 1}', 3)
        assert row[1] == ["a", None] and row[3] == "happy" and tuple(row[4]) == (1, "x")


@each
async def test_prepared_statement_cache(target, database):
    async with connected(target, database, statement_cache_size=10) as c:
        for n in range(100):
            assert await c.fetchval(f"SELECT {n % 30} + $1::int", 1) == n % 30 + 1
        statement = await c.prepare("SELECT $1::int AS a, $2::text AS b")
        assert [a.name for a in statement.get_attributes()] == ["a", "b"]
        assert [p.name for p in statement.get_parameters()] == ["int4", "text"]
        for n in range(50):
            assert tuple(await statement.fetchrow(n, "x")) == (n, "x")


@each
async def test_executemany_and_copy(target, database):
    async with connected(target, database) as c:
        await c.execute("CREATE TABLE t (id int PRIMARY KEY, note text)")
        await c.executemany("INSERT INTO t VALUES ($1, $2)", [(n, f"n{n}") for n in range(20000)])
        assert await c.copy_records_to_table("t", records=[(n, f"n{n}") for n in range(20000, 60000)]) == "COPY 40000"
        assert await c.copy_to_table("t", source=io.BytesIO(b"60000,n60000\n60001,n60001\n"), format="csv") == "COPY 2"
        out = io.BytesIO()
        assert await c.copy_from_query("SELECT * FROM t ORDER BY id", output=out, format="csv") == "COPY 60002"
        assert out.getvalue().splitlines()[-1] == b"60001,n60001"
        with pytest.raises(asyncpg.UniqueViolationError):
            await c.executemany("INSERT INTO t VALUES ($1, $2)", [(n, "") for n in (70000, 70001, 5, 70002)])
        assert await c.fetchval("SELECT count(*) FROM t") == 60002


@each
async def test_listeners_and_notices(target, database):
    async with connected(target, database) as listener, connected(target, database) as speaker:
        heard: asyncio.Queue = asyncio.Queue()
        await listener.add_listener("news", lambda *parts: heard.put_nowait(parts[2:]))
        listener.add_log_listener(lambda _c, message: heard.put_nowait(message.message))
        await speaker.execute("NOTIFY news, 'one'; NOTIFY news, 'two'")
        assert await asyncio.wait_for(heard.get(), harness.LIMIT) == ("news", "one")
        assert await asyncio.wait_for(heard.get(), harness.LIMIT) == ("news", "two")
        await listener.execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
        assert await asyncio.wait_for(heard.get(), harness.LIMIT) == "hello"
        await listener.reset()


@each
async def test_cancellation_by_timeout(target, database):
    async with connected(target, database) as c:
        with pytest.raises(asyncio.TimeoutError):
            await c.fetch("SELECT pg_sleep(60)", timeout=0.2)
        assert await c.fetchval("SELECT 1") == 1
        task = asyncio.ensure_future(c.fetch("SELECT pg_sleep(60)"))
        async with connected(target, database) as other:
            while not await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"):
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await c.fetchval("SELECT 2") == 2


@each
async def test_transactions(target, database):
    async with connected(target, database) as c:
        await c.execute("CREATE TABLE t (id int PRIMARY KEY)")
        async with c.transaction():
            await c.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(asyncpg.UniqueViolationError):
                async with c.transaction():
                    await c.execute("INSERT INTO t VALUES (1)")
            await c.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(ZeroDivisionError):
            async with c.transaction(isolation="serializable"):
                await c.execute("INSERT INTO t VALUES (3)")
                raise ZeroDivisionError
        assert await c.fetchval("SELECT count(*) FROM t") == 2


@each
async def test_big_results_and_cursors(target, database):
    async with connected(target, database) as c:
        rows = await c.fetch("SELECT g, repeat('x', 200) FROM generate_series(1, 100000) g")
        assert len(rows) == 100000 and rows[-1][0] == 100000
        total = 0
        async with c.transaction():
            async for row in c.cursor("SELECT g FROM generate_series(1, 3000) g", prefetch=100):
                total += row[0]
        assert total == 3000 * 3001 // 2


def test_a_statement_whose_table_changed_shape(start_pgmend, database):
    """PostgreSQL refuses the statement (0A000). With healing the answer is in the shape that the client was told: test_healing.py."""
    proxy = start_pgmend(healing={"mode": "off"})

    async def changed():
        async with connected(proxy, database) as c, connected(proxy, database) as other:
            await c.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
            assert tuple(await c.fetchrow("SELECT * FROM t")) == (1,)
            await other.execute("ALTER TABLE t ADD COLUMN b text DEFAULT 'new'")
            assert tuple(await c.fetchrow("SELECT * FROM t")) == (1, "new")  # asyncpg prepares again by itself

    asyncio.run(changed())


@each
async def test_a_pool(target, database):
    async with asyncpg.create_pool(host=harness.HOST, port=target.port, user="postgres", database=database, ssl=False, min_size=5, max_size=20) as pool:
        assert sum(await asyncio.gather(*(pool.fetchval("SELECT $1::int", n) for n in range(500)))) == 499 * 500 // 2
