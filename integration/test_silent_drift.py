"""Statements that PostgreSQL accepts although they mean something else than before: found, and writes blocked if so wished."""

from __future__ import annotations

import pytest

import harness
from raw import error_of, query
from shop import Shop

SCHEMA = (
    "CREATE TYPE mood AS ENUM ('happy', 'sad')",
    "CREATE TABLE people (id int, name text, feels mood, created date)",
    "CREATE TABLE pets (id int, owner int, race text)",
    "INSERT INTO people VALUES (1, 'ann', 'happy', '2024-01-01')",
    "INSERT INTO pets VALUES (1, 1, 'cat')",
)
MIGRATION = ("ALTER TYPE mood RENAME VALUE 'happy' TO 'glad'", "ALTER TABLE people RENAME COLUMN name TO full_name", "ALTER TABLE pets ADD COLUMN created date")


@pytest.fixture(scope="module")
def healer(postgres):
    proxy = harness.Pgmend(postgres, control="user=postgres", log={"format": "json", "level": "debug"}, healing={"silent": "block_writes"})
    yield proxy
    proxy.finish()


@pytest.mark.parametrize("sql, pattern", (
    ("SELECT upper(race) AS name, count(*) FROM people JOIN pets ON owner = people.id GROUP BY name", 'silent column public.people.full_name -> an alias "name"'),
    ("SELECT race FROM people NATURAL JOIN pets", "silent column a join by (id) -> a join by (id, created)"),
    ("SELECT id FROM people WHERE feels::text = 'happy'", "silent enum public.mood.happy -> public.mood.glad"),
    ("DELETE FROM people WHERE feels::text = 'happy'", "silent enum public.mood.happy -> public.mood.glad"),
))
def test_it_is_told_and_writes_are_blocked(healer, postgres, database, sql, pattern):
    postgres.run(*SCHEMA, database=database)
    shop = Shop(healer, postgres, database)
    shop.known()
    shop.migrate(*MIGRATION)
    shop.known(2)
    if sql.startswith("SELECT"):
        shop.same_as_direct(query(sql))
    else:
        with shop.raw() as client:
            assert error_of(client.ask(query(sql))).get("C") == "0A000"
    told = healer.wait_for_event("statement.drifted", lambda e: e["database"] == database)
    assert told["pattern"] == pattern
