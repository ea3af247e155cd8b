#!/usr/bin/env python3
"""Generated statements over generated schemas through generated migrations: no wrong row, ever; a refusal is allowed.

Each statement's answer is taken from PostgreSQL before the migration and after each of its steps. At the end the same statement
goes through pgmend, by the simple protocol, by the extended one, and as a statement that was prepared before. What comes back has to be
 - byte for byte what PostgreSQL itself answers to that statement now (an error with all its fields, or rows), or
 - where PostgreSQL itself refuses it: what it last answered while it accepted it and pgmend looked, and for writes the same contents of
   all tables.

    generated_heals.py [--seed N] [--worlds N] [--statements N] [--jobs N] [--world N] [--kind NAME] [--examples N]
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import random
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import generated_sql
import harness
import raw
from generated_sql import Statement

MODES = ("simple", "extended", "prepared")
RENAMES = {"column_rename", "table_rename", "table_move", "schema_rename", "column_chain", "table_chain", "there_and_back", "everything"}


@dataclasses.dataclass
class Answer:
    messages: list[raw.Message]
    state: dict[int, "Contents"] | None = None
    later: dict[int, "Answer"] = dataclasses.field(default_factory=dict)  # by version

    def error(self) -> raw.Message | None:
        return raw.error_of(self.messages)

    def comparable(self, ordered: bool, temporary: frozenset[str] = frozenset()) -> list[Any]:
        """Without ReadyForQuery; rows that follow each other sorted, where their order is not decided. `temporary`: oids that
        each session has its own of."""
        out: list[Any] = []
        rows: list[bytes] = []
        for message in self.messages:
            if message.type in "Dd" and not ordered:
                rows.append(message.frame)
                continue
            if rows:
                out.append(sorted(rows))
                rows = []
            if message.type == "T" and temporary:
                out.append([column for column in described(message, temporary)])
            elif message.type not in "ZSN":
                out.append(message.frame)
        return out

    def shown(self) -> str:
        lines = []
        for message in self.messages:
            if message.type == "T":
                lines.append("T: " + ", ".join(described(message)))
            elif message.type == "D":
                lines.append(f"D: {raw.decode_row(message.body)}")
            elif message.type != "Z":
                lines.append(repr(message))
        return "\n      ".join(lines[:40])


def described(message: raw.Message, temporary: frozenset[str] = frozenset()) -> list[str]:
    count, at, found = int.from_bytes(message.body[:2], "big"), 2, []
    for _ in range(count):
        end = message.body.index(b"\0", at)
        number = lambda a, b: int.from_bytes(message.body[end + a:end + b], "big", signed=True)
        table = number(1, 5) if str(number(1, 5)) not in temporary else "temporary"
        kind = number(7, 11) if str(number(7, 11)) not in temporary else "temporary"
        found.append(f"{message.body[at:end].decode()} (table {table}.{number(5, 7)}, type {kind}/{number(13, 17)})")
        at = end + 19
    return found


def pieces(answer: Answer) -> list[Answer]:
    """By statement."""
    out: list[Answer] = []
    messages: list[raw.Message] = []
    for message in answer.messages:
        messages.append(message)
        if message.type == "C":
            out.append(Answer(messages))
            messages = []
    return out


@dataclasses.dataclass
class Contents:
    columns: list[tuple[int, str]]  # number, type
    rows: list[list[str | None]]

    def of(self, numbers: list[int]) -> list[list[str | None]]:
        at = [i for i, (number, _) in enumerate(self.columns) if number in numbers]
        return sorted(([row[i] for i in at] for row in self.rows), key=repr)


class Failure(Exception):
    pass


@dataclasses.dataclass
class Result:
    index: int
    kind: str
    statements: int = 0
    invalid: int = 0
    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    reasons: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    examples: dict[str, str] = dataclasses.field(default_factory=dict)
    failures: list[str] = dataclasses.field(default_factory=list)


class Log:
    """pgmend's log, by database and application_name."""

    def __init__(self, proxy: harness.Pgmend) -> None:
        self.proxy, self.lock = proxy, threading.Lock()
        self.found: dict[str, dict[str, list[dict[str, Any]]]] = collections.defaultdict(lambda: collections.defaultdict(list))

    def of(self, database: str) -> dict[str, list[dict[str, Any]]]:
        with self.lock:
            self.proxy.events()
            events, self.proxy._events = self.proxy._events, []
            for event in events:
                if "database" in event:
                    self.found[event["database"]][event.get("application_name") or event["event"]].append(event)
            return self.found[database]


class Servers:
    def __init__(self, postgres: harness.Postgres | None = None) -> None:
        self.own = postgres is None
        self.postgres = postgres or harness.Postgres({"autovacuum": "off", "max_prepared_transactions": 0})
        # It learns of a migration when the world says so, or by a statement that fails: never by chance in the middle of one.
        self.proxy = harness.Pgmend(self.postgres, control="user=postgres", log={"format": "json", "level": "debug"},
                                    watch={"poll": "0s", "verify": "0s", "notifications": False})
        self.log = Log(self.proxy)
        rows = self.postgres.run("SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'")
        self.key_words = frozenset(row[0] for row in rows)

    def stop(self) -> None:
        self.proxy.finish()
        if self.own:
            self.postgres.stop()


class World:
    """One schema, its statements and its migration, in a database of their own."""

    def __init__(self, servers: Servers, seed: int, index: int, count: int, kind: str | None = None, only: int | None = None) -> None:
        self.servers, self.seed, self.index, self.count, self.only = servers, seed, index, count, only
        self.rng = random.Random(f"{seed}.{index}")
        self.database = f"generated_{seed}_{index}"
        chosen = self.rng.choice(generated_sql.Migrator.KINDS)
        self.kind = kind or chosen
        self.result = Result(index, self.kind)
        self.applied: list[str] = []
        self.temporary: list[str] = []
        self.temporary_oids: frozenset[str] = frozenset()
        self.version = 0
        self.noticed = {0}
        self.statements: dict[int, tuple[Statement, dict[str, Answer]]] = {}

    def client(self, port: int) -> raw.Client:
        client = raw.Client(port)
        client.log_in(user="postgres", database=self.database, search_path=", ".join(map(generated_sql.quote, self.path)))
        return client

    def run(self) -> Result:
        self.servers.postgres.run(f"CREATE DATABASE {self.database} STRATEGY file_copy")
        try:
            self.live()
        finally:
            self.servers.postgres.run(f"DROP DATABASE {self.database} WITH (FORCE)")
        return self.result

    def live(self) -> None:
        self.ddl, self.path = generated_sql.schema(self.rng)
        ports = (self.servers.postgres.port, self.servers.proxy.port)
        with self.client(ports[0]) as direct:
            self.direct = direct
            for sql in self.ddl:
                direct.rows(sql)
            with self.client(ports[1]) as early, self.client(ports[0]) as direct_early:
                self.early, self.direct_early = early, direct_early
                harness.wait_until(lambda: self.servers.log.of(self.database).get("catalog.loaded"), "the catalog is read")
                # Statements of the first version, or of one in the middle of the migration.
                steps = self.plan_migration()
                written_at = self.rng.choice([0, 0, 0, *range(len(steps))])
                self.migrate(steps[:written_at])
                self.notice()
                self.applied.append("-- the statements are written")
                self.version = 0
                self.noticed = {0}
                if self.rng.random() < 0.1:
                    self.shadow(direct, direct_early, early)
                self.write_statements()
                self.migrate(steps[written_at:])
                if self.rng.random() < 0.3:
                    self.migrate(self.plan_migration(self.rng.choice(generated_sql.Migrator.KINDS) if self.rng.random() < 0.5 else "column_rename"))
                if self.noticed != {0} and self.version not in self.noticed:
                    self.applied.append("-- pgmend looks")
                    self.notice()
                    self.noticed.add(self.version)
                self.baseline = self.state()
                with self.client(ports[1]) as late:
                    self.late = late
                    for view in self.temporary:
                        late.ask(raw.query(view))
                        self.temporary_oids |= self.temporary_of(late)
                    if self.rng.random() < 0.1:
                        self.shadow(direct, direct_early, early, late)
                    for number, (statement, answers) in self.statements.items():
                        if self.only is None or number == self.only:
                            self.check(number, statement, answers)
        self.read_reasons()

    def shadow(self, *clients: raw.Client) -> None:
        """All sessions have a temporary view, which looks like a relation or has its name."""
        model = generated_sql.read_model(self.direct.rows)
        if not model.relations:
            return
        name, like = self.rng.choice(model.relations).name, self.rng.choice(model.relations)
        names = [name, like.name, *(line.split('"')[-2] for line in self.applied if " RENAME TO \"" in line)]
        columns = ", ".join(f"NULL::{c.type} AS {generated_sql.quote(c.name)}" for c in like.columns) or "1 AS a"
        view = f"CREATE TEMP VIEW {generated_sql.quote(self.rng.choice(names))} AS SELECT {columns}"
        self.temporary.append(view)
        self.applied.append(f"{view}; -- in all sessions")
        for client in clients:
            client.ask(raw.query(view))
            self.temporary_oids |= self.temporary_of(client)

    def temporary_of(self, client: raw.Client) -> frozenset[str]:
        """Relations and their row types."""
        oids = client.rows("SELECT oid, reltype FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema()")
        return frozenset(str(oid) for row in oids for oid in row)

    # The migration.

    def plan_migration(self, kind: str | None = None) -> list[list[str]]:
        model = generated_sql.read_model(self.direct.rows)
        if not any(t.columns for t in model.tables()):
            return []
        return getattr(generated_sql.Migrator(self.rng, model), kind or self.kind)()

    def notice(self) -> None:
        """pgmend knows the schema as it is now: an error about types, not about names, made it look at everything."""
        answer = self.early.ask(raw.query("SELECT 1 WHERE 1"))
        assert raw.error_of(answer).get("C") == "42804", answer

    def migrate(self, steps: list[list[str]]) -> None:
        notices = self.rng.random() < 0.6
        for step in steps:
            answer = self.direct.ask(raw.query("; ".join(step)))
            if raw.error_of(answer):
                continue
            self.applied += step
            self.version += 1
            self.remember()
            if notices:
                self.applied.append("-- pgmend looks")
                self.notice()
                self.noticed.add(self.version)

    def remember(self) -> None:
        """What PostgreSQL answers in this version."""
        for number, (statement, answers) in self.statements.items():
            for mode in MODES:
                if mode in answers:
                    client = self.direct_early if mode == "prepared" else self.direct
                    answer = self.undone(client, self.request(mode, statement, number), statement.writes)
                    if not answer.error():
                        answers[mode].later[self.version] = answer

    # The statements and their answers before the migration.

    def write_statements(self) -> None:
        self.model = generated_sql.read_model(self.direct.rows)
        self.sequences = len(self.direct.rows("SELECT oid FROM pg_class WHERE relkind = 'S'"))
        self.original = self.state()
        writer = generated_sql.Writer(self.rng, self.model, self.servers.key_words)
        for number in range(self.count):
            statement = writer.statement()
            warm = self.rng.random() < 0.4
            answers = {"simple": self.undone(self.direct, raw.query(statement.simple), statement.writes)}
            if answers["simple"].error():
                self.result.invalid += 1
                continue
            if statement.extended is not None:
                found = self.undone(self.direct, self.extended(statement), statement.writes)
                if not found.error():
                    rows = [[m.frame for m in a.messages if m.type == "D"] for a in (found, answers["simple"])]
                    if (rows[0] != rows[1] if statement.ordered else sorted(rows[0]) != sorted(rows[1])):
                        self.result.invalid += 1  # not decided by the statement
                        continue
                    answers["extended"] = found
                    for client in (self.direct_early, self.early):
                        prepared = client.ask(raw.parse(statement.extended, f"s{number}") + raw.describe("S", f"s{number}") + raw.SYNC)
                        assert not raw.error_of(prepared), (statement.extended, prepared)
                        if warm:
                            self.undone(client, self.execution(statement, number), False)
                    answers["prepared"] = self.undone(self.direct_early, self.execution(statement, number), statement.writes)
            if answers["simple"].state is not None and answers["simple"].state != self.original:
                again = self.undone(self.direct, raw.query(statement.simple), True)
                if again.state != answers["simple"].state:
                    self.result.invalid += 1
                    continue
            self.statements[number] = (statement, answers)
        self.result.statements = len(self.statements)

    def extended(self, statement: Statement) -> bytes:
        assert statement.extended is not None
        return raw.parse(statement.extended) + raw.describe("S") + raw.bind(statement.values) + raw.describe("P") + raw.execute() + raw.SYNC

    def execution(self, statement: Statement, number: int) -> bytes:
        again = raw.describe("S", f"s{number}") if number % 3 == 0 else b""
        return again + raw.bind(statement.values, statement=f"s{number}") + raw.describe("P") + raw.execute() + raw.SYNC

    def request(self, mode: str, statement: Statement, number: int) -> bytes:
        if mode == "simple":
            return raw.query(statement.simple)
        return self.extended(statement) if mode == "extended" else self.execution(statement, number)

    def undone(self, client: raw.Client, request: bytes, writes: bool) -> Answer:
        begun = client.ask(raw.query("BEGIN" + self.reset_sequences()))
        assert not raw.error_of(begun), begun
        answer = Answer(client.ask(request))
        if writes and not answer.error():
            answer.state = self.state(client)
        client.ask(raw.query("ROLLBACK"))
        return answer

    def reset_sequences(self) -> str:
        return "; SELECT setval(oid::regclass, 500, false) FROM pg_class WHERE relkind = 'S'" if getattr(self, "sequences", 0) else ""

    # The contents of all tables.

    def layout(self, client: raw.Client) -> dict[int, tuple[str, list[tuple[int, str, str]]]]:
        found: dict[int, tuple[str, list[tuple[int, str, str]]]] = {}
        for oid, table, number, name, kind in client.rows(
                "SELECT c.oid, format('%I.%I', n.nspname, c.relname), a.attnum, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod)"
                " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
                " WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY c.oid, a.attnum"):
            _, columns = found.setdefault(int(oid), (table, []))
            if number is not None:
                columns.append((int(number), name, kind))
        return found

    def state(self, client: raw.Client | None = None) -> dict[int, Contents]:
        client = client or self.direct
        layout = self.layout(client) if not hasattr(self, "layout_now") else self.layout_now
        out = {}
        for oid, (table, columns) in layout.items():
            kinds = {n: kind for n, kind in self.original[oid].columns} if hasattr(self, "original") and oid in self.original else {}
            shown = ", ".join(f"trim_scale({name})::text" if kind.startswith("numeric") else f"{name}::{kinds.get(n, kind)}::text" for n, name, kind in columns)
            out[oid] = Contents([(n, kinds.get(n, kind)) for n, _, kind in columns], client.rows(f"SELECT {shown} FROM ONLY {table}"))
        return out

    def reset(self) -> None:
        """All tables as after the migration."""
        answer = self.direct.ask(raw.query("; ".join([*self.filling(self.baseline), "COMMIT"])))
        assert not raw.error_of(answer), answer

    def filling(self, contents: dict[int, Contents]) -> list[str]:
        """Statements that begin a transaction and give all tables these contents."""
        script = ["BEGIN", "SET LOCAL session_replication_role = replica"]
        for oid, (table, columns) in self.layout_now.items():
            script.append(f"DELETE FROM ONLY {table}")
            rows = contents[oid].rows
            if rows and columns:
                text = lambda v: "NULL" if v is None else "'" + v.replace("'", "''") + "'"
                values = ", ".join("(" + ", ".join(map(text, row)) + ")" for row in rows)
                script.append(f"INSERT INTO {table} ({', '.join(c[1] for c in columns)}) OVERRIDING SYSTEM VALUE VALUES {values}")
        return script

    # After the migration.

    def check(self, number: int, statement: Statement, answers: dict[str, Answer]) -> None:
        if not hasattr(self, "layout_now"):
            self.layout_now = self.layout(self.direct)
            self.baseline = self.state()
        for mode in MODES:
            if mode not in answers:
                continue
            before = answers[mode]
            now = self.undone(self.direct_early if mode == "prepared" else self.direct, self.request(mode, statement, number), statement.writes)
            if self.sequences:
                self.direct.ask(raw.query("SELECT 1" + self.reset_sequences()))
            client = self.early if mode == "prepared" or number % 2 else self.late
            client.ask(raw.query(f"SET application_name = 's{number}.{mode}'"))
            found = Answer(client.ask(self.request(mode, statement, number)))
            if statement.writes and not found.error():
                found.state = self.state()
                self.reset()
            elif found.error() and statement.writes:
                found.state = self.state()
            verdict = self.judge(statement, before, now, found)
            if verdict == "healed" and not statement.writes and mode == "prepared":
                again = Answer(client.ask(self.request(mode, statement, number)))  # now it is prepared anew
                if again.comparable(statement.ordered, self.temporary_oids) != found.comparable(statement.ordered, self.temporary_oids):
                    found, verdict = again, "another answer the second time"
            if verdict not in ("unchanged", "healed", "refused", "half"):
                self.fail(number, mode, statement, before, now, found, verdict)
                if found.error() and found.state is not None:
                    self.reset()
            else:
                self.result.counts[verdict] += 1

    def judge(self, statement: Statement, before: Answer, now: Answer, found: Answer) -> str:
        if found.messages[-1].body != b"I":
            return "the session is in another state of transaction"
        same_as_direct = found.comparable(statement.ordered, self.temporary_oids) == now.comparable(statement.ordered, self.temporary_oids)
        if found.error():
            if found.state is not None and self.differences(self.baseline, found.state, exactly=True):
                return "an error, and the tables changed: " + self.differences(self.baseline, found.state, exactly=True)
            if not same_as_direct and not now.error():
                return "an error where PostgreSQL accepts the statement"
            if not same_as_direct:
                # Of several statements in one text one was healed, and the next one fails.
                done = pieces(found)
                known = [pieces(answer) for answer in (before, *before.later.values())]
                shapes = [[piece.comparable(False, self.temporary_oids) for piece in answer[:len(done)]] for answer in known]
                healed = statement.parts and done and [piece.comparable(False, self.temporary_oids) for piece in done] in shapes
                return "half" if healed else "another error than PostgreSQL's own"
            return "refused"
        if not now.error():
            if not same_as_direct:
                return "another answer than PostgreSQL's own"
            if found.state != now.state and self.differences(now.state or {}, found.state or {}, exactly=True):
                return "another effect than PostgreSQL's own: " + self.differences(now.state or {}, found.state or {}, exactly=True)
            return "unchanged"
        newest = max((v for v in before.later if v in self.noticed), default=0)
        allowed = [answer for version, answer in ({0: before} | before.later).items() if version >= newest]
        problem = ""
        for answer in allowed:
            problem = ""
            if not self.same_answer(answer, found, statement.ordered):
                problem = "another answer than before the migration"
            elif answer.state is not None:
                problem = self.differences(answer.state, found.state or {}, exactly=False)
                problem = problem and f"another effect than before the migration: {problem}"
            if not problem:
                return "healed"
        if statement.parts and self.each_on_its_own(statement, allowed, found):
            return "half"
        return problem

    def same_answer(self, before: Answer, found: Answer, ordered: bool) -> bool:
        """A column that is cast to the type that it had has no origin, and no length."""
        pairs = [(a, b) for a, b in zip(*([m for m in x.messages if m.type == "T"] for x in (before, found)))]
        was, now = Answer(list(before.messages)), Answer(list(found.messages))
        for old, new in pairs:
            columns = [described(message, self.temporary_oids) for message in (old, new)]
            for i, (a, b) in enumerate(zip(*columns)):
                bare = re.sub(r" \(table [^,]*, type ([^/]*)/.*\)", r" (table 0.0, type \1/-1)", a)
                if b == bare:
                    columns[0][i] = b
            if columns[0] == columns[1]:
                was.messages[was.messages.index(old)] = new
        return now.comparable(ordered, self.temporary_oids) == was.comparable(ordered, self.temporary_oids)

    def each_on_its_own(self, statement: Statement, allowed: list[Answer], found: Answer) -> bool:
        """Of several statements, those that PostgreSQL accepts as they are stay as they are, whatever they mean now and whatever
        their columns are called. Another one may be answered as one of the versions did that are allowed."""
        is_now = pieces(found)
        was = [answer for answer in map(pieces, allowed) if len(answer) == len(is_now)]
        if not was or len(is_now) != len(statement.parts):
            return False
        untouched = []
        for number, (part, new) in enumerate(zip(statement.parts, is_now)):
            compared = new.comparable(False, self.temporary_oids)
            if any(self.same_answer(old[number], new, False) for old in was):
                continue
            now = self.undone(self.direct, raw.query(part), True)
            if now.error():
                return False
            writes = bool(self.differences(self.baseline, now.state or {}, exactly=True))
            if number > 0 and not writes and found.state is not None:  # it reads what the statements in front of it wrote
                self.direct.ask(raw.query("; ".join(self.filling(found.state))))
                now = Answer(self.direct.ask(raw.query(part)))
                self.direct.ask(raw.query("ROLLBACK"))
            if now.error() or compared != now.comparable(False, self.temporary_oids):
                return False
            untouched.append(writes)
        if found.state is None or any(untouched):
            return True
        return any(answer.state is not None and not self.differences(answer.state, found.state, exactly=False) for answer in allowed)

    def differences(self, expected: dict[int, Contents], found: dict[int, Contents], exactly: bool) -> str:
        """`exactly`: the same schema; else columns that came since must hold what they held, and those that went are not compared."""
        for oid, contents in found.items():
            table = self.layout_now[oid][0]
            if oid not in expected:
                if sorted(contents.rows, key=repr) != sorted(self.baseline[oid].rows, key=repr):
                    return f"the new table {table} was changed"
                continue
            was = expected[oid]
            common = [n for n, _ in contents.columns if any(n == m for m, _ in was.columns)]
            if was.of(common) != contents.of(common):
                return f"{table}: {was.of(common)} is expected, {contents.of(common)} was found"
            if exactly and was.columns != contents.columns:
                return f"{table} has other columns"
            for i, (number, _) in enumerate(contents.columns):
                if number in common or exactly:
                    continue
                usual = {row[i] for row in self.baseline[oid].rows} | {None}
                if {row[i] for row in contents.rows} - usual:
                    return f"{table}: the new column {number} was written"
        return ""

    def fail(self, number: int, mode: str, statement: Statement, before: Answer, now: Answer, found: Answer, verdict: str) -> None:
        self.result.counts["WRONG"] += 1
        sql = statement.simple if mode == "simple" else f"{statement.extended}\n    with {statement.values}"
        name = f"s{number}.{mode}"

        def event() -> dict[str, Any] | None:
            return next(iter(self.servers.log.of(self.database).get(name, ())), None)

        try:
            logged = harness.wait_until(event, "the event", 1)
        except AssertionError:
            logged = None
        ddl = "\n    ".join(f"{line};" for line in self.ddl)
        applied = "\n    ".join(line if "--" in line else f"{line};" for line in self.applied)
        later = "".join(f"\n  after step {version} (pgmend looked after {sorted(self.noticed)}):\n      {answer.shown()}"
                        for version, answer in before.later.items() if answer.comparable(statement.ordered, self.temporary_oids) != before.comparable(statement.ordered, self.temporary_oids))
        self.result.failures.append(f"""WRONG: {verdict}
  --seed {self.seed} --world {self.index} --statement {number} --kind {self.kind} ({mode})
  schema (search_path {', '.join(self.path)}):
    {ddl}
  migration:
    {applied}
  statement:
    {sql}
  before:
      {before.shown()}{later}
  PostgreSQL now:
      {now.shown()}
  pgmend:
      {found.shown()}
  log: {json.dumps(logged, ensure_ascii=False, indent=1) if logged else None}
""")

    def read_reasons(self) -> None:
        """Why pgmend refused, from its log. The sessions have ended; so the log is whole when it says so."""
        log = self.servers.log
        harness.wait_until(lambda: sum(e["event"] == "client.disconnected" for events in log.of(self.database).values() for e in events) >= 2, "the log's end")
        for name, events in log.of(self.database).items():
            for event in events:
                if event["event"] == "statement.refused" and event.get("reason") and name.endswith(MODES):
                    reason = generalized(event["reason"])
                    self.result.reasons[reason] += 1
                    number = int(name[1:].split(".")[0])
                    if reason not in self.result.examples and number in self.statements:
                        applied = "; ".join(line for line in self.applied if not line.startswith("--"))
                        self.result.examples[reason] = f"[{event['reason']}] {applied}\n        {self.statements[number][0].simple}"


def generalized(reason: str) -> str:
    """Without the names in it."""
    out, inside = [], False
    for c in reason:
        if c == '"':
            if not inside:
                out.append('"…"')
            inside = not inside
        elif not inside:
            out.append(c)
    return "".join(out)


class Totals:
    def __init__(self) -> None:
        self.by_kind: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        self.reasons: collections.Counter = collections.Counter()
        self.rename_reasons: collections.Counter = collections.Counter()
        self.examples: dict[str, list[str]] = collections.defaultdict(list)
        self.failures: list[str] = []
        self.statements = self.invalid = 0

    def add(self, result: Result) -> None:
        self.by_kind[result.kind].update(result.counts)
        self.reasons.update(result.reasons)
        if result.kind in RENAMES:
            self.rename_reasons.update(result.reasons)
        for reason, example in result.examples.items():
            self.examples[reason].append(f"{result.kind}: {example}")
        self.failures += result.failures
        self.statements += result.statements
        self.invalid += result.invalid

    def count(self, what: str) -> int:
        return sum(counts[what] for counts in self.by_kind.values())

    def shown(self, examples: int = 0) -> str:
        lines = [f"{self.statements} statements ({self.invalid} more were thrown away before); answers through pgmend:",
                 f"  {'migration':18} {'healed':>8} {'in part':>8} {'refused':>8} {'unchanged':>9} {'wrong':>6}"]
        for kind in [*sorted(self.by_kind), "all"]:
            counts = self.by_kind[kind] if kind != "all" else collections.Counter({w: self.count(w) for w in ("healed", "half", "refused", "unchanged", "WRONG")})
            lines.append(f"  {kind:18} {counts['healed']:8} {counts['half']:8} {counts['refused']:8} {counts['unchanged']:9} {counts['WRONG']:6}")
        lines.append("refused because (all; of which after plain renames and moves):")
        for reason, count in self.reasons.most_common():
            lines.append(f"  {count:6} {self.rename_reasons[reason]:6}  {reason}")
            lines += [f"      {example}" for example in self.examples[reason][:examples]]
        return "\n".join(lines)


def run(servers: Servers, seed: int, worlds: list[int], statements: int, jobs: int = 6, kind: str | None = None, only: int | None = None,
        stop_at: int = 10) -> Totals:
    totals = Totals()
    lock = threading.Lock()

    def one(index: int) -> None:
        if len(totals.failures) >= stop_at:
            return
        result = World(servers, seed, index, statements, kind, only).run()
        with lock:
            totals.add(result)

    with ThreadPoolExecutor(jobs) as pool:
        for outcome in [pool.submit(one, index) for index in worlds]:
            outcome.result()
    return totals


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    options.add_argument("--worlds", type=int, default=100)
    options.add_argument("--statements", type=int, default=40, help="in each world")
    options.add_argument("--jobs", type=int, default=6)
    options.add_argument("--world", type=int, help="this one only")
    options.add_argument("--statement", type=int, help="this one only")
    options.add_argument("--kind", choices=sorted(set(generated_sql.Migrator.KINDS)))
    options.add_argument("--examples", type=int, default=0, help="of refused statements, for each reason")
    options.add_argument("--stop-at", type=int, default=10, help="so many failures")
    chosen = options.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    servers = Servers()
    began = time.monotonic()
    worlds = [chosen.world] if chosen.world is not None else list(range(chosen.worlds))
    totals = run(servers, chosen.seed, worlds, chosen.statements, chosen.jobs, chosen.kind, chosen.statement, chosen.stop_at)
    for failure in totals.failures:
        print(failure)
    print(totals.shown(chosen.examples))
    print(f"{time.monotonic() - began:.0f} s, seed {chosen.seed}")
    servers.stop()
    return 1 if totals.failures else 0


if __name__ == "__main__":
    harness.stop_on_signals()
    sys.exit(main())
