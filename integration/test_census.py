"""What real projects' migrations dropped and renamed (tests/census), each in a schema of its own behind one pgmend with its default settings."""

from __future__ import annotations

import collections
import contextlib
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

import harness
import raw
from raw import query
from test_console import console, patterns

#: How many statements are on their way at once.
CLIENTS = 50
CHANGES = pathlib.Path(__file__).resolve().parent.parent / "tests/census/changes.jsonl"
#: Renamed, and longer than they were: the message that tells of an answer's columns says so.
LONGER = ("ca_cert_uuid", "magnum_cert_uuid")
#: A value of each type, as a literal.
VALUES = {"integer": "7", "bigint": "7", "smallint": "7", "numeric": "7", "double precision": "7.5", "boolean": "true", "json": "{\"a\": 1}", "jsonb": "{\"a\": 1}",
          "uuid": "00000000-0000-4000-8000-000000000007", "date": "2026-01-02", "interval": "1 day", "inet": "127.0.0.1", "point": "(1,2)", "bytea": "\\x07"}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(kind: str) -> str:
    if kind.endswith("[]"):
        return "'{7}'"
    if kind.startswith("time"):
        return "'2026-01-02 03:04:05'"
    return "'" + VALUES.get(re.sub(r"\(.*", "", kind), "x").replace("'", "''") + "'"


class Change:
    """One line of the census, its table in the schema `schema`."""

    def __init__(self, line: str, schema: str) -> None:
        self.fact: dict[str, Any] = json.loads(line)
        self.schema = schema
        self.table = self.fact["table"]
        self.table_after = self.fact.get("table_renamed", self.table)
        self.schema_after = schema + "_after" if "schema_renamed" in self.fact else schema
        self.dropped: list[str] = self.fact.get("dropped", [])
        self.renamed: dict[str, str] = self.fact.get("renamed", {})
        self.kept = [name for name, _ in self.fact["before"] if name not in self.dropped]
        self.names_after = [name for name, _ in self.fact["after"]]
        self.old = f"{quoted(self.schema)}.{quoted(self.table)}"
        self.new = f"{quoted(self.schema_after)}.{quoted(self.table_after)}"
        self.moved = self.old != self.new

    def create(self) -> Iterator[str]:
        for schema in dict.fromkeys((self.schema, self.schema_after)):
            yield f"CREATE SCHEMA {quoted(schema)}"
        yield f"CREATE TABLE {self.old} ({', '.join(f'{quoted(name)} {kind}' for name, kind in self.fact['before'])})"
        yield f"INSERT INTO {self.old} VALUES ({', '.join(literal(kind) for _, kind in self.fact['before'])})"

    def migrate(self) -> Iterator[str]:
        for name in self.dropped:
            yield f"ALTER TABLE {self.old} DROP COLUMN {quoted(name)}"
        for i, name in enumerate(self.renamed):
            yield f"ALTER TABLE {self.old} RENAME COLUMN {quoted(name)} TO census_{i}"
        for i, name in enumerate(self.renamed.values()):
            yield f"ALTER TABLE {self.old} RENAME COLUMN census_{i} TO {quoted(name)}"
        types = dict(self.fact["before"])
        for before, (name, kind) in zip(self.kept, self.fact["after"]):
            if types[before] != kind:
                yield f"ALTER TABLE {self.old} ALTER COLUMN {quoted(name)} TYPE {kind} USING {quoted(name)}::{kind}"
        for name, kind in self.fact["after"][len(self.kept):]:
            yield f"ALTER TABLE {self.old} ADD COLUMN {quoted(name)} {kind}"
        if self.table_after != self.table:
            yield f"ALTER TABLE {self.old} RENAME TO {quoted(self.table_after)}"
        if self.schema_after != self.schema:
            yield f"ALTER TABLE {quoted(self.schema)}.{quoted(self.table_after)} SET SCHEMA {quoted(self.schema_after)}"

    def gone(self) -> list[str]:
        """Dropped columns that PostgreSQL says are missing: not those that another one was added for under the same name."""
        return [name for name in self.dropped if name not in self.names_after]

    def uses(self, name: str) -> list[str]:
        column = quoted(name)
        return [f"SELECT {column} FROM {self.new}", f"SELECT 1 FROM {self.new} WHERE {column} IS NULL", f"UPDATE {self.new} SET {column} = NULL",
                f"INSERT INTO {self.new} ({column}) VALUES (NULL)"]

    def reads(self) -> list[str]:
        """Of what was renamed; where only the table was, of the first column that is still there. Not where the name means something else now."""
        names = list(self.renamed) or self.kept[:1]
        return [f"SELECT {quoted(name)} FROM {self.old}" for name in names if self.moved or (name not in self.names_after and name != self.table)]


def changes(prefix: str) -> list[Change]:
    with open(CHANGES, encoding="utf-8") as f:
        return [Change(line, f"{prefix}{i}") for i, line in enumerate(f)]


@pytest.fixture(scope="module")
def proxy(postgres):
    proxy = harness.Pgmend(postgres, control="user=postgres", admin={"database": "pgmend", "users": ["postgres"]})
    yield proxy
    proxy.finish()


def run_all(postgres: harness.Postgres, database: str, statements: Iterator[str]) -> None:
    with postgres.connect(database) as connection, connection.transaction():
        for statement in statements:
            connection.execute(statement)


@pytest.mark.slow
def test_what_was_dropped_fails_and_what_was_renamed_goes_on(proxy, postgres, database):
    seen, never_seen = changes("s"), changes("n")  # never_seen: migrated before pgmend looked
    run_all(postgres, database, (sql for change in seen for sql in change.create()))
    run_all(postgres, database, (sql for change in never_seen if change.gone() for sql in (*change.create(), *change.migrate())))
    with contextlib.ExitStack() as stack:
        direct, *through = (stack.enter_context(raw.Client(port)).log_in(user="postgres", database=database)
                            for port in (postgres.port, *[proxy.port] * CLIENTS))
        harness.know(proxy, database)
        before = {sql: through[0].ask(query(sql)) for change in seen for sql in change.reads()}
        assert len(before) == 163
        run_all(postgres, database, (sql for change in seen for sql in change.migrate()))

        for sql, rows in before.items():
            now = through[0].ask(query(sql))
            assert raw.kinds(rows) == "TDCZ", sql
            if any(column in sql for column in LONGER):
                assert raw.labels(now[0]) == raw.labels(rows[0]) and raw.bytes_of(now[1:]) == raw.bytes_of(rows[1:]), sql
            else:
                assert raw.bytes_of(now) == raw.bytes_of(rows), sql

        asked = [(change, name, sql) for change in (*seen, *never_seen) for name in change.gone() for sql in change.uses(name)]
        hints = 0
        for i in range(0, len(asked), CLIENTS):
            batch = list(zip(through, asked[i:i + CLIENTS]))
            for client, (_, _, sql) in batch:
                client.send(query(sql))
            for client, (change, name, sql) in batch:
                answer, expected = client.until("Z"), direct.ask(query(sql))
                assert raw.bytes_of(answer) == raw.bytes_of(expected), sql
                error = raw.error_of(expected)
                assert error is not None and error.get("C") == "42703", sql
                hints += change in seen and sql.startswith(f"SELECT {quoted(name)}") and error.get("H") is not None
    assert len(asked) == 2 * 4 * 298
    assert hints == 20, "so often PostgreSQL's HINT names another column"

    def heals() -> list[dict[str, Any]] | None:
        found = [event for event in proxy.events("statement.healed") if event["database"] == database]
        return found if len(found) >= len(before) else None

    healed = harness.wait_until(heals, "each heal is logged")
    assert sorted(e["before"] for e in healed) == sorted(before)
    with console(proxy.port) as admin:
        def proposed() -> collections.Counter[str]:
            return collections.Counter(row[3] for row in patterns(admin, database) if row[4] == "proposed")

        # Where pgmend saw the column, what it would do without it; where it did not, the HINT's column, or one that is like it.
        expected = {"lineage": 295, "hint": hints, "similarity": 25}
        harness.wait_until(lambda: proposed() == expected, "all of that is proposed")
