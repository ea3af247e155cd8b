"""Random schemas, statements and migrations for the generated healing tests.

Names come from one small pool on purpose: columns, tables, aliases, CTEs and output labels collide all the time.
A statement may be wrong; what PostgreSQL does not accept before the migration is thrown away.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

PLAIN = ("id", "name", "email", "total", "note", "status", "code", "kind", "ref", "qty", "a", "b", "x")
ODD = ("user", "order", "select", "value", "position", "Name", "userId", "E-Mail", "two words", 'qu"ote', "größe", "имя", "Ä", "excluded", "new", "left")
FRESH = ("email_address", "full_name", "amount", "remark", "state", "sku", "sort", "owner", "Total", "größe2", "key", "group", "z")
TABLES = ("users", "orders", "items", "Accounts", "table", "naïve", "events")
ALIASES = ("u", "o", "t", "s", "y", "w")
TYPES = {
    "int": ("int", "bigint", "int"),
    "text": ("text", "varchar(40)", "varchar"),
    "num": ("numeric(12,2)", "numeric"),
    "ts": ("timestamptz",),
    "bool": ("boolean",),
    "jsonb": ("jsonb",),
    "uuid": ("uuid",),
}
FAMILY_WEIGHTS = {"int": 5, "text": 7, "num": 3, "ts": 2, "bool": 2, "jsonb": 1, "uuid": 1}
CAST = {"int": "int", "text": "text", "num": "numeric", "ts": "timestamptz", "bool": "boolean", "jsonb": "jsonb", "uuid": "uuid"}
WORDS = ("ann", "bob", "cy", "email", "note", "x''y", "Zoë", "a b")


@dataclasses.dataclass
class Column:
    name: str
    number: int
    type: str
    family: str
    required: bool = False  # NOT NULL without a default


@dataclasses.dataclass
class Relation:
    oid: int
    schema: str
    name: str
    kind: str
    columns: list[Column]
    keys: list[list[str]]
    visible: bool = True  # by its bare name

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)


@dataclasses.dataclass
class Model:
    relations: list[Relation]
    schemas: list[str]

    def tables(self) -> list[Relation]:
        return [r for r in self.relations if r.kind == "r"]


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def full(relation: Relation) -> str:
    return f"{quote(relation.schema)}.{quote(relation.name)}"


def literal(rng: random.Random, family: str) -> str:
    if family == "int":
        return str(rng.randrange(0, 9))
    if family == "text":
        return f"'{rng.choice(WORDS)}'"
    if family == "num":
        return f"{rng.randrange(0, 9)}.{rng.choice(('5', '25'))}"
    if family == "ts":
        return f"'2024-01-{rng.randrange(1, 28):02} 10:00:00+00'"
    if family == "bool":
        return rng.choice(("true", "false"))
    if family == "jsonb":
        return rng.choice(("""'{"k": 1}'""", """'{"k": "v", "email": 2}'""", "'[1, 2]'"))
    return f"'00000000-0000-0000-0000-00000000000{rng.randrange(0, 9)}'"


# ------------------------------------------------------------------------------------------------ schemas


def schema(rng: random.Random) -> tuple[list[str], list[str]]:
    """DDL and data, and the search path."""
    two = rng.random() < 0.35
    schemas = ["public", "app"] if two else ["public"]
    path = rng.sample(schemas, len(schemas))
    out = ["CREATE SCHEMA app"] if two else []
    tables: list[tuple[str, str, int]] = []  # full name, key, rows
    taken: set[str] = set()
    for _ in range(rng.randrange(2, 5)):
        where = rng.choice(schemas)
        name = rng.choice(TABLES)
        if (where, name) in taken:
            continue
        taken.add((where, name))
        table = f"{quote(where)}.{quote(name)}"
        count = rng.randrange(4, 7)
        columns: list[tuple[str, str, str]] = []  # name, family, definition
        used = set()
        key = ""
        if rng.random() < 0.9:
            key = "id" if rng.random() < 0.7 else rng.choice(PLAIN + ODD)
            used.add(key)
            kind = rng.choice(("int", "bigint", "int", "serial"))
            columns.append((key, "key", f"{quote(key)} {kind} PRIMARY KEY"))
        for _ in range(rng.randrange(3, 7)):
            column = rng.choice(PLAIN) if rng.random() < 0.75 else rng.choice(ODD)
            if column in used:
                continue
            used.add(column)
            if tables and rng.random() < 0.3:
                other = rng.choice([t for t in tables if t[1]] or [("", "", 0)])
                if other[1]:
                    cascade = rng.choice((" ON DELETE CASCADE", ""))
                    columns.append((column, f"fk{other[2]}", f"{quote(column)} int REFERENCES {other[0]} ({quote(other[1])}){cascade}"))
                    continue
            family = rng.choices(list(FAMILY_WEIGHTS), list(FAMILY_WEIGHTS.values()))[0]
            definition = f"{quote(column)} {rng.choice(TYPES[family])}"
            unique = family == "text" and rng.random() < 0.25
            if unique:
                definition += " UNIQUE"
            elif rng.random() < 0.15:
                definition += " NOT NULL" + (f" DEFAULT {literal(rng, family)}" if rng.random() < 0.6 else "")
            columns.append((column, "unique" if unique else family + (" required" if "NOT NULL" in definition else ""), definition))
        out.append(f"CREATE TABLE {table} ({', '.join(c[2] for c in columns)})")
        rows = []
        for n in range(1, count + 1):
            values = []
            for _, family, _ in columns:
                family, _, required = family.partition(" ")
                if family == "key":
                    values.append(str(n))
                elif family == "unique":
                    values.append(f"'u{n}'")
                elif not required and rng.random() < 0.12:
                    values.append("NULL")
                elif family.startswith("fk"):
                    values.append(str(rng.randrange(1, int(family[2:]) + 1)))
                else:
                    values.append(literal(rng, family))
            rows.append(f"({', '.join(values)})")
        out.append(f"INSERT INTO {table} VALUES {', '.join(rows)}")
        tables.append((table, key, count))
        if rng.random() < 0.08 and (where, "child") not in taken:
            taken.add((where, "child"))
            out.append(f"CREATE TABLE {quote(where)}.child (extra text) INHERITS ({table})")
            out.append(f"INSERT INTO {quote(where)}.child SELECT *, 'more' FROM ONLY {table} LIMIT 2")
        if rng.random() < 0.2:
            view = rng.choice(("recent", "Report", "v", "items", "name"))
            if (where, view) not in taken:
                taken.add((where, view))
                shown = [c[0] for c in columns if rng.random() < 0.8] or [columns[0][0]]
                condition = rng.choice(("", f" WHERE {quote(columns[0][0])} IS NOT NULL"))
                out.append(f"CREATE VIEW {quote(where)}.{quote(view)} AS SELECT {', '.join(map(quote, shown))} FROM {table}{condition}")
    return out, path


def family_of(type_name: str) -> str | None:
    base = type_name.split("(")[0]
    return {"integer": "int", "bigint": "int", "smallint": "int", "text": "text", "character varying": "text", "numeric": "num",
            "timestamp with time zone": "ts", "boolean": "bool", "jsonb": "jsonb", "uuid": "uuid"}.get(base)


def read_model(ask: Callable[[str], list[list[Any]]]) -> Model:
    relations: dict[int, Relation] = {}
    for oid, where, name, kind, visible in ask(
            "SELECT c.oid, n.nspname, c.relname, c.relkind, pg_table_is_visible(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'v') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY c.oid"):
        relations[int(oid)] = Relation(int(oid), where, name, kind, [], [], visible == "t")
    for oid, name, number, kind, required in ask(
            "SELECT a.attrelid, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''"
            " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
            " ORDER BY 1, 3"):
        relations[int(oid)].columns.append(Column(name, int(number), kind, family_of(kind) or "other", required == "t"))
    for oid, numbers in ask("SELECT i.indrelid, i.indkey::text FROM pg_index i WHERE i.indisunique AND i.indrelid >= 16384 ORDER BY i.indexrelid"):
        if int(oid) in relations:
            names = {c.number: c.name for c in relations[int(oid)].columns}
            if all(int(n) in names for n in numbers.split()):
                relations[int(oid)].keys.append([names[int(n)] for n in numbers.split()])
    schemas = [row[0] for row in ask("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1")]
    return Model(list(relations.values()), schemas)


# ------------------------------------------------------------------------------------------------ statements

Outputs = list[tuple[str, str]]  # label, family


@dataclasses.dataclass
class Source:
    """A FROM item as names see it."""

    name: str | None
    columns: Outputs
    relation: Relation | None = None
    schema: str | None = None  # it may be written in front
    merged: set[str] = dataclasses.field(default_factory=set)  # by USING: bare names are the join's


@dataclasses.dataclass
class Scope:
    parent: "Scope | None" = None
    sources: list[Source] = dataclasses.field(default_factory=list)
    tables: dict[str, Outputs] = dataclasses.field(default_factory=dict)  # CTEs
    stars: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    def table(self, name: str) -> Outputs | None:
        at: Scope | None = self
        while at is not None:
            if name in at.tables:
                return at.tables[name]
            at = at.parent
        return None

    def all_tables(self) -> dict[str, Outputs]:
        found = dict(self.parent.all_tables()) if self.parent else {}
        return found | self.tables


@dataclasses.dataclass
class Statement:
    simple: str
    extended: str | None  # with parameters
    values: tuple[bytes | None, ...]
    ordered: bool  # the order of rows is decided by the statement
    writes: bool
    parts: tuple[str, ...] = ()  # of a text with several statements


class Writer:
    """Writes one statement at a time over a model."""

    def __init__(self, rng: random.Random, model: Model, key_words: frozenset[str]) -> None:
        self.r, self.model, self.key_words = rng, model, key_words
        self.parameters: list[tuple[str, str]] = []
        self.ordered = False
        self.budget = 0

    # Names.

    def name(self, name: str, free: bool = False) -> str:
        """`free`: after a dot or AS, where key words need no quotes."""
        word = name.isidentifier() and name == name.lower() and name.isascii() or (name in ("größe", "имя", "größe2", "naïve"))
        chance = self.r.random()
        if not word or chance < 0.06:
            return quote(name)
        if name in self.key_words and not (free and chance < 0.5):
            return quote(name)
        if chance > 0.95 and name.isascii():
            return name.upper()
        return name

    def any_name(self) -> str:
        pool = self.r.choice((PLAIN, PLAIN, ODD, FRESH, ALIASES, tuple(r.name for r in self.model.relations)))
        return self.r.choice(pool)

    def relation(self, relation: Relation, scope: Scope | None) -> tuple[str, bool]:
        """As written, and whether with its schema."""
        hidden = scope is not None and scope.table(relation.name) is not None
        if not relation.visible or hidden or self.r.random() < 0.12:
            return f"{self.name(relation.schema)}.{self.name(relation.name, True)}", True
        return self.name(relation.name), False

    # Columns in reach.

    def reachable(self, scope: Scope) -> list[tuple[str, str, Callable[[], str]]]:
        found: list[tuple[str, str, Callable[[], str]]] = []
        bare_taken: set[str] = set()
        names_taken: set[str] = set()
        at: Scope | None = scope
        while at is not None:
            counts: dict[str, int] = {}
            for source in at.sources:
                for column, _ in source.columns:
                    if column not in source.merged:
                        counts[column] = counts.get(column, 0) + 1
            for source in at.sources:
                for column, family in source.columns:
                    ways: list[Callable[[], str]] = []
                    if column not in source.merged and counts.get(column) == 1 and column not in bare_taken:
                        ways.append(lambda c=column: self.name(c))
                    if source.name is not None and source.name not in names_taken:
                        ways.append(lambda s=source.name, c=column: f"{self.name(s)}.{self.name(c, True)}")
                        if source.schema is not None and self.r.random() < 0.2:
                            ways = [lambda s=source, c=column: f"{self.name(s.schema)}.{self.name(s.name, True)}.{self.name(c, True)}"]
                    if ways:
                        found.append((column, family, self.r.choice(ways)))
            bare_taken |= set(counts)
            names_taken |= {s.name for s in at.sources if s.name is not None}
            at = at.parent
        return found

    def column(self, scope: Scope, *families: str) -> str | None:
        fits = [write for _, family, write in self.reachable(scope) if not families or family in families]
        return self.r.choice(fits)() if fits else None

    # Expressions.

    def constant(self, family: str, typed: bool = False) -> str:
        """Perhaps a parameter. `typed`: the surroundings say its type."""
        text = literal(self.r, family)
        if self.r.random() < 0.25:
            self.parameters.append((text, "" if typed else f"::{CAST[family]}"))
            return f"\x02{len(self.parameters) - 1}\x03"
        return text if typed and self.r.random() < 0.7 else f"{text}::{CAST[family]}"

    def spend(self) -> bool:
        self.budget -= 1
        return self.budget > 0

    def expression(self, family: str, scope: Scope, depth: int = 0) -> str:
        r = self.r
        plain = self.column(scope, family)
        if depth > 2 or not self.spend() or r.random() < 0.45:
            return plain if plain is not None and r.random() < 0.85 else self.constant(family)
        sub = lambda f: self.expression(f, scope, depth + 1)
        kind = r.randrange(6)
        if kind == 0:
            otherwise = f" ELSE {sub(family)}" if r.random() < 0.8 else ""
            return f"CASE WHEN {self.condition(scope, depth + 1)} THEN {sub(family)}{otherwise} END"
        if kind == 1:
            return f"coalesce({sub(family)}, {self.constant(family)})"
        if kind == 2 and depth < 2:
            return self.scalar(family, scope, depth)
        if kind == 3 and plain is not None:
            return f"({plain})" if family not in CAST or r.random() < 0.5 else f"{plain}::{CAST[family]}"
        if family == "int":
            return r.choice((lambda: f"({sub('int')} + {sub('int')})", lambda: f"length({sub('text')})", lambda: f"abs({sub('int')} - 3)",
                             lambda: f"extract(day FROM {sub('ts')})::int", lambda: f"CAST({sub('bool')} AS int)"))()
        if family == "text":
            return r.choice((lambda: f"({sub('text')} || {sub('text')})", lambda: f"upper({sub('text')})", lambda: f"concat({sub('int')}, '-', {sub('text')})",
                             lambda: f"({sub(r.choice(('num', 'bool', 'ts', 'uuid', 'jsonb')))})::text", lambda: f"({sub('jsonb')} ->> 'k')",
                             lambda: f"substring({sub('text')} FROM 1 FOR 3)", lambda: f"({sub('text')} COLLATE \"C\")"))()
        if family == "num":
            return r.choice((lambda: f"({sub('num')} * {sub('num')})", lambda: f"round({sub('num')}, 1)", lambda: f"({sub('int')})::numeric"))()
        if family == "ts":
            return r.choice((lambda: f"({sub('ts')} + interval '1 day')", lambda: f"date_trunc('month', {sub('ts')})", lambda: f"greatest({sub('ts')}, {sub('ts')})"))()
        if family == "jsonb":
            return r.choice((lambda: f"jsonb_build_object('email', {sub('text')})", lambda: f"to_jsonb({sub('int')})"))()
        if family == "bool":
            return f"({self.condition(scope, depth + 1)})"
        return plain or self.constant(family)

    def scalar(self, family: str, scope: Scope, depth: int) -> str:
        inner = Scope(scope)
        source = self.from_clause(inner, depth + 2, most=2)
        where = f" WHERE {self.condition(inner, depth + 2)}" if self.r.random() < 0.7 else ""
        if family == "int" and self.r.random() < 0.4:
            return f"(SELECT count(*) FROM {source}{where})"
        if family in ("int", "text", "num", "ts"):
            return f"(SELECT {self.r.choice(('min', 'max'))}({self.expression(family, inner, depth + 2)}) FROM {source}{where})"
        return f"(SELECT {self.expression(family, inner, depth + 2)} FROM {source}{where} ORDER BY 1 LIMIT 1)"

    def condition(self, scope: Scope, depth: int = 0) -> str:
        r = self.r
        sub = lambda f: self.expression(f, scope, depth + 1)
        family = r.choice(("int", "text", "num", "ts", "int", "text", "uuid"))
        column = self.column(scope, family) or sub(family)
        kind = r.randrange(14)
        if kind < 4 or depth > 2 or not self.spend():
            return f"{column} {r.choice(('=', '<', '>=', '<>', 'IS DISTINCT FROM'))} {self.constant(family, True)}"
        if kind == 4:
            other = self.column(scope, family)
            return f"{column} {r.choice(('=', '<', '<='))} {other or self.constant(family)}"
        if kind == 5:
            return f"{column} IS {r.choice(('', 'NOT '))}NULL"
        if kind == 6:
            return f"{column} {r.choice(('', 'NOT '))}IN ({self.constant(family, True)}, {self.constant(family, True)})"
        if kind == 7:
            return f"({self.condition(scope, depth + 1)} {r.choice(('AND', 'OR'))} {self.condition(scope, depth + 1)})"
        if kind == 8:
            return f"NOT ({self.condition(scope, depth + 1)})"
        if kind == 9:
            text, _ = self.select(scope, depth + 2, [family], order=False)
            return f"{column} {r.choice(('IN', 'NOT IN', '= ANY', '= SOME'))} ({text})"
        if kind in (10, 11):
            inner = Scope(scope)
            source = self.from_clause(inner, depth + 2, most=2)
            return f"{r.choice(('', 'NOT '))}EXISTS (SELECT {r.choice(('1', '*', 'NULL'))} FROM {source} WHERE {self.condition(inner, depth + 1)})"
        if kind == 12:
            text = self.column(scope, "text")
            return f"{text} LIKE {self.constant('text', True)}" if text else f"{column} BETWEEN {self.constant(family, True)} AND {self.constant(family, True)}"
        other_family = r.choice(("int", "text"))
        other = self.column(scope, other_family)
        if other:
            return f"({column}, {other}) {r.choice(('=', '<>'))} ({self.constant(family)}, {self.constant(other_family)})"
        return sub("bool") + " IS TRUE"

    # FROM.

    def from_item(self, scope: Scope, depth: int, used: set[str], lateral: Scope) -> tuple[str, Source]:
        r = self.r
        tables = scope.all_tables()
        chance = r.random()
        if tables and chance < 0.4:
            name = r.choice(list(tables))
            text, source = self.name(name), Source(name, list(tables[name]))
        elif chance < 0.82 or depth > 2 or not self.spend():
            relation = r.choice(self.model.relations)
            text, qualified = self.relation(relation, scope)
            if r.random() < 0.04:
                text = f"ONLY {text}"
            elif r.random() < 0.02:
                text += " *"
            source = Source(relation.name, [(c.name, c.family) for c in relation.columns], relation, relation.schema if qualified or relation.visible else None)
        elif chance < 0.94:
            is_lateral = r.random() < 0.35
            inner, outputs = self.select(lateral if is_lateral else scope, depth + 1, order=r.random() < 0.2)
            text, source = f"{'LATERAL ' if is_lateral else ''}({inner})", Source(None, outputs)
        elif chance < 0.97:
            text, source = f"generate_series(1, {r.randrange(2, 4)})", Source(None, [("generate_series", "int")])
        else:
            text, source = "(VALUES (1, 'ann'), (2, 'bob'))", Source(None, [("column1", "int"), ("column2", "text")])
        if source.name is None or source.name in used or r.random() < 0.5:
            choices = [n for n in (self.any_name() if r.random() < 0.3 else r.choice(ALIASES) for _ in range(6)) if n not in used]
            source.name = choices[0] if choices else f"t{len(used)}_{depth}"
            source.schema = None
            text += f"{r.choice((' AS ', ' '))}{self.name(source.name)}" if source.name not in self.key_words else f" AS {quote(source.name)}"
            if text.startswith("generate_series"):
                source.columns = [(source.name, "int")]
            if r.random() < 0.08 and source.columns:
                count = r.randrange(1, len(source.columns) + 1)
                names = r.sample(PLAIN + FRESH, min(count, len(PLAIN)))
                text += f" ({', '.join(map(self.name, names))})"
                source.columns = [(n, f) for n, (_, f) in zip(names, source.columns)] + source.columns[len(names):]
        used.add(source.name)
        return text, source

    def from_clause(self, scope: Scope, depth: int, most: int = 3) -> str:
        r = self.r
        used: set[str] = set()
        trees = []
        count = r.choices(range(1, most + 1), (5, 4, 2)[:most])[0] if depth < 2 else 1
        tree: list[Source] = []
        text = ""
        star: Outputs = []
        for n in range(count):
            join = r.choice(("JOIN", "LEFT JOIN", "JOIN", "CROSS JOIN", ",", "USING", "USING", "NATURAL", "RIGHT JOIN", "FULL JOIN")) if n else ","
            item, source = self.from_item(scope, depth, used, Scope(scope.parent, [*scope.sources, *tree], scope.tables) if n else scope)
            if join == ",":
                if text:
                    trees.append(text)
                    scope.sources += tree
                    scope.stars += star
                tree, text, star = [source], item, list(source.columns)
                continue
            common = [c for c in dict.fromkeys(c for c, _ in source.columns)
                      if sum(c == d and c not in s.merged for s in tree for d, _ in s.columns) == 1
                      and next(f for s in tree for d, f in s.columns if d == c) == next(f for d, f in source.columns if d == c)]
            left_names = {c for s in tree for c, _ in s.columns if c not in s.merged}
            shared = left_names & {c for c, _ in source.columns}
            merged: list[str] = []
            if join == "NATURAL" and shared == set(common) and common:
                text += f" NATURAL {r.choice(('', 'LEFT '))}JOIN {item}"
                merged = [c for c, _ in star if c in shared]
            elif join in ("USING", "NATURAL") and common:
                merged = r.sample(common, 1 if r.random() < 0.8 else len(common))
                text += f" {r.choice(('', 'LEFT ', 'FULL '))}JOIN {item} USING ({', '.join(map(self.name, merged))})"
            elif join == "CROSS JOIN":
                text += f" CROSS JOIN {item}"
            else:
                both = Scope(scope.parent, [*tree, source], scope.tables)
                left = self.reachable(Scope(None, tree))
                right = self.reachable(Scope(None, [source]))
                pairs = [(a, b) for a in left for b in right if a[1] == b[1] == "int"]
                on = self.condition(both, depth + 1)
                if pairs and r.random() < 0.8:
                    a, b = r.choice(pairs)
                    qualified = lambda s, c: f"{self.name(s.name)}.{self.name(c, True)}"
                    a_source = next(s for s in tree if any(c == a[0] for c, _ in s.columns))
                    if a_source.name is not None:
                        on = f"{qualified(a_source, a[0])} = {qualified(source, b[0])}" + (f" AND {on}" if r.random() < 0.2 else "")
                kind = join if join.endswith("JOIN") else "JOIN"
                if kind == "FULL JOIN" and " = " not in on:
                    kind = "LEFT JOIN"
                text += f" {kind} {item} ON {on}"
            if merged:
                families = {c: f for c, f in star}
                star = [(c, families[c]) for c in merged] + [p for p in star if p[0] not in merged] + [p for p in source.columns if p[0] not in merged]
                for s in [*tree, source]:
                    s.merged |= set(merged) & {c for c, _ in s.columns}
                tree = [s if s.name is not None else Source(None, [p for p in s.columns if p[0] not in merged], merged=s.merged) for s in tree]
                tree += [source, Source(None, [(c, families[c]) for c in merged])]
            else:
                star = star + source.columns
                tree.append(source)
        trees.append(text)
        scope.sources += tree
        scope.stars += star
        return ", ".join(trees)

    # SELECT.

    def label(self, text: str, families: Outputs, family: str, default: str) -> str:
        """An output: perhaps with AS."""
        if self.r.random() < 0.45:
            label = self.any_name()
            families.append((label, family))
            return f"{text} AS {self.name(label, True)}"
        families.append((default, family))
        return text

    def outputs(self, scope: Scope, want: list[str] | None, depth: int) -> tuple[str, Outputs]:
        r = self.r
        items: list[str] = []
        found: Outputs = []
        for family in want or [""] * r.randrange(1, 5):
            reach = [c for c in self.reachable(Scope(None, scope.sources)) if not family or c[1] == family]
            chance = r.random()
            if not family and chance < 0.1 and scope.stars:
                items.append("*")
                found += scope.stars
            elif not family and chance < 0.18:
                source = r.choice([s for s in scope.sources if s.name is not None] or [None])
                if source is None:
                    continue
                items.append(f"{self.name(source.name)}.*")
                found += source.columns
            elif not family and chance < 0.23 and depth == 0:
                source = r.choice([s for s in scope.sources if s.name is not None] or [None])
                if source is None:
                    continue
                name = self.name(source.name)
                which = r.choice((name, f"row_to_json({name})", f"count({name})", f"to_jsonb({name})", f"({name})::text"))
                if which.startswith("count"):
                    continue
                found.append((source.name, "json" if "row_to_json" in which else "row" if which == name else "jsonb" if "jsonb" in which else "text"))
                items.append(which)
            elif reach and chance < 0.7:
                column, kind, write = r.choice(reach)
                text = write()
                if r.random() < 0.08:
                    text = f"({text})"
                items.append(self.label(text, found, kind, column))
            else:
                kind = family or r.choices(list(FAMILY_WEIGHTS), list(FAMILY_WEIGHTS.values()))[0]
                if r.random() < 0.12 and kind == "int":
                    part = self.column(scope)
                    order = self.column(scope)
                    if part and order:
                        text = f"{r.choice(('rank()', 'dense_rank()', 'count(*)', f'count({part})'))} OVER (PARTITION BY {part} ORDER BY {order})"
                        items.append(self.label(text, found, "int", text.split("(")[0]))
                        continue
                items.append(self.label(self.expression(kind, scope, depth), found, kind, "?column?"))
        if not items:
            items, found = ["1"], [("?column?", "int")]
        return ", ".join(items), found

    def order(self, scope: Scope, found: Outputs, plain: bool) -> tuple[str, bool]:
        """ORDER BY, and whether it decides about everything."""
        r = self.r
        keys = []
        for _ in range(r.randrange(0, 3)):
            chance = r.random()
            if chance < 0.4 and found:
                labels = [label for label, family in found if family not in ("json", "row") and sum(label == other for other, _ in found) == 1 and label != "?column?"]
                if labels:
                    keys.append(self.name(r.choice(labels)))
            elif plain and chance < 0.8:
                column = self.column(Scope(None, scope.sources))
                if column:
                    keys.append(column if r.random() < 0.7 else f"({column}) IS NULL")
            elif plain:
                keys.append(f"lower({self.expression('text', scope, 2)})")
        keys = [k + r.choice(("", "", " DESC", " NULLS FIRST", " ASC")) for k in keys]
        total = all(family not in ("json", "row", "other") for _, family in found)
        keys += [str(n + 1) for n, (_, family) in enumerate(found) if family not in ("json", "row", "other")]
        return (f" ORDER BY {', '.join(keys)}" if keys else ""), total

    def select(self, outer: Scope | None, depth: int, want: list[str] | None = None, order: bool = True, with_ok: bool = True) -> tuple[str, Outputs]:
        r = self.r
        scope = Scope(outer)
        prefix = ""
        if with_ok and depth < 2 and r.random() < (0.2 if depth == 0 else 0.06) and self.spend():
            prefix = self.with_clause(scope, depth)
        if depth < 2 and r.random() < 0.12 and self.spend():
            families = want or r.choices(("int", "text", "num", "ts", "bool"), k=r.randrange(1, 4))
            left, found = self.select(Scope(scope), depth + 1, families, order=False, with_ok=False)
            right, _ = self.select(Scope(scope), depth + 1, families, order=False, with_ok=False)
            text = f"{prefix}{left} {r.choice(('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT'))} {right}"
            scope = Scope(None)
            plain = False
            limited = True
        elif depth < 2 and r.random() < 0.18:
            by_key = self.grouped_by_key(scope, depth) if not want and r.random() < 0.2 else None
            text, found = by_key or self.grouped(scope, want, depth)
            text = prefix + text
            plain, limited = False, True
        else:
            source = self.from_clause(scope, depth)
            items, found = self.outputs(scope, want, depth)
            distinct = ""
            if r.random() < 0.08 and all(f not in ("json", "other") for _, f in found):
                distinct = "DISTINCT "
            elif r.random() < 0.06 and depth == 0:
                on = self.column(Scope(None, scope.sources), "int", "text", "num")
                total = all(family not in ("json", "row", "other") for _, family in found)
                if on and total:
                    keys = ", ".join([on, *(str(n + 1) for n in range(len(found)))])
                    where = f" WHERE {self.condition(scope, depth)}" if r.random() < 0.5 else ""
                    self.ordered = True
                    return f"{prefix}SELECT DISTINCT ON ({on}) {items} FROM {source}{where} ORDER BY {keys}", found
            where = f" WHERE {self.condition(scope, depth)}" if r.random() < 0.7 else ""
            text = f"{prefix}SELECT {distinct}{items} FROM {source}{where}"
            plain, limited = not distinct, True
        if order and r.random() < 0.8:
            keys, total = self.order(scope, found, plain)
            text += keys
            if keys and total and limited:
                if depth == 0:
                    self.ordered = True
                if r.random() < 0.3:
                    text += r.choice((f" LIMIT {r.randrange(1, 6)}", f" LIMIT {self.constant('int')} + 1 OFFSET 1", " FETCH FIRST 3 ROWS ONLY", " OFFSET 1"))
            if depth == 0 and plain and r.random() < 0.04 and "GROUP" not in text:
                text += " FOR UPDATE"
        return text, found

    def grouped_by_key(self, scope: Scope, depth: int) -> tuple[str, Outputs] | None:
        """The other columns depend on the key, and need not be named."""
        other = self.other(scope, "")
        if other is None:
            return None
        text, source, key = other
        scope.sources.append(source)
        columns = self.r.sample(source.columns, self.r.randrange(1, len(source.columns) + 1))
        found: Outputs = []
        items = [self.label(f"{self.name(source.name or '')}.{self.name(c, True)}" if self.r.random() < 0.5 else self.name(c), found, f, c) for c, f in columns]
        having = f" HAVING {self.condition(scope, 2)}" if self.r.random() < 0.3 else ""
        over = ""
        if self.r.random() < 0.4:
            partition, order = self.column(scope), self.column(scope)
            items.append(self.label("rank() OVER w", found, "int", "rank"))
            over = f" WINDOW w AS (PARTITION BY {partition} ORDER BY {order})"
        return f"SELECT {', '.join(items)} FROM {text} GROUP BY {key}{having}{over}", found

    def grouped(self, scope: Scope, want: list[str] | None, depth: int) -> tuple[str, Outputs]:
        r = self.r
        source = self.from_clause(scope, depth, most=2)
        found: Outputs = []
        items, keys = [], []
        reach = self.reachable(Scope(None, scope.sources))
        for n, family in enumerate(want or [""] * r.randrange(1, 4)):
            fits = [c for c in reach if (not family or c[1] == family) and c[1] not in ("json", "other")]
            if fits and r.random() < 0.6:
                column, kind, write = r.choice(fits)
                text = write()
                if kind == "text" and r.random() < 0.3:
                    text = f"upper({text})"
                    column = "upper"
                before = len(found)
                items.append(self.label(text, found, kind, column))
                label = found[before][0]
                keys.append(r.choice((text, str(n + 1), self.name(label))) if label != "?column?" else text)
            else:
                kind = family if family in ("int", "num", "text", "ts", "bool") else "int" if not family else "text"
                if kind == "int":
                    text = r.choice(("count(*)", f"count(DISTINCT {self.expression('text', scope, 2)})", f"max({self.expression('int', scope, 2)})",
                                     f"count(*) FILTER (WHERE {self.condition(scope, 2)})"))
                elif kind == "num":
                    text = f"{r.choice(('sum', 'avg', 'min'))}({self.expression('num', scope, 2)})"
                elif kind == "text":
                    inner = self.expression("text", scope, 2)
                    text = r.choice((f"min({inner})", f"string_agg({inner}, ',' ORDER BY {inner})"))
                elif kind == "ts":
                    text = f"max({self.expression('ts', scope, 2)})"
                else:
                    text = f"bool_or({self.condition(scope, 2)})"
                items.append(self.label(text, found, kind, text.split("(")[0]))
        where = f" WHERE {self.condition(scope, depth + 1)}" if r.random() < 0.5 else ""
        group = ""
        if keys:
            group = f" GROUP BY {', '.join(keys)}" if r.random() < 0.9 else f" GROUP BY ROLLUP ({', '.join(keys)})"
        having = ""
        if r.random() < 0.3:
            having = f" HAVING {r.choice(('count(*) > 0', f'''max({self.expression('text', scope, 2)}) <> 'q' '''))}"
        return f"SELECT {', '.join(items)} FROM {source}{where}{group}{having}", found

    def with_clause(self, scope: Scope, depth: int) -> str:
        r = self.r
        parts = []
        recursive = r.random() < 0.2
        for _ in range(r.randrange(1, 3)):
            name = self.any_name() if r.random() < 0.6 else r.choice(ALIASES)
            if name in scope.tables:
                continue
            if recursive:
                inner = Scope(scope)
                source = self.from_clause(inner, 2, most=1)
                first = f"SELECT {self.expression('int', inner, 2)}, {self.expression('text', inner, 2)} FROM {source}"
                inner = Scope(scope)
                source = self.from_clause(inner, 2, most=1)
                again = self.name(name)
                parts.append(f"{again} (n, x) AS ({first} UNION SELECT {again}.n + 1, {self.expression('text', inner, 2)}::text FROM {again}, {source} WHERE {again}.n < 6)")
                scope.tables[name] = [("n", "int"), ("x", "text")]
                continue
            text, found = self.select(scope, depth + 1, order=False)
            names = ""
            if r.random() < 0.2:
                renamed = r.sample(PLAIN, min(len(found), len(PLAIN)))
                names = f" ({', '.join(map(self.name, renamed))})"
                found = [(n, f) for n, (_, f) in zip(renamed, found)] + found[len(renamed):]
            parts.append(f"{self.name(name)}{names} AS {r.choice(('', '', 'MATERIALIZED '))}({text})")
            scope.tables[name] = found
        return f"WITH {'RECURSIVE ' if recursive else ''}{', '.join(parts)} "

    # Writes.

    def returning(self, scope: Scope, always: bool = False) -> tuple[str, Outputs]:
        if not always and self.r.random() < 0.4:
            return "", []
        items, found = self.outputs(scope, None, 1)
        return f" RETURNING {items}", found

    def target(self) -> Relation | None:
        tables = [t for t in self.model.relations if t.kind == "r" or self.r.random() < 0.2]
        return self.r.choice(tables) if tables else None

    def insert(self, scope: Scope) -> tuple[str, Outputs]:
        r = self.r
        table = self.target()
        if table is None:
            return "SELECT 1", []
        text, qualified = self.relation(table, None)
        alias = ""
        name = table.name
        if r.random() < 0.2:
            name = r.choice(ALIASES)
            alias = f" AS {name}"
        keys = {k for key in table.keys for k in key}
        chosen = [c for c in table.columns if c.family != "other" and (c.required or c.name in keys or r.random() < 0.6)]
        positional = r.random() < 0.25
        if positional:
            chosen = [c for c in table.columns if c.family != "other"]
            if not any(c.required for c in chosen[2:]) and r.random() < 0.3:
                chosen = chosen[:2]
        elif r.random() < 0.6:
            r.shuffle(chosen)
        columns = "" if positional else f" ({', '.join(self.name(c.name) for c in chosen)})"

        def value(c: Column, n: int, inner: Scope | None) -> str:
            if c.name in keys and c.family == "int":
                if inner is not None:
                    column = self.column(Scope(None, inner.sources), "int")
                    return f"{column} + 1000" if column else f"{1000 + n}"
                return str(1000 + n) if r.random() < 0.7 else str(r.randrange(1, 6))
            if c.family == "int":
                return str(r.randrange(1, 4))
            if r.random() < 0.1 and not c.required and inner is None:
                return "DEFAULT"
            if inner is not None:
                return self.expression(c.family, inner, 2)
            if r.random() < 0.1:
                return self.expression(c.family, Scope(scope), 1)
            return self.constant(c.family, True)

        if r.random() < 0.3:
            inner = Scope(scope)
            source = self.from_clause(inner, 1, most=1)
            source_text = f" SELECT {', '.join(value(c, 0, inner) for c in chosen)} FROM {source} WHERE {self.condition(inner, 1)}"
        else:
            rows = [f"({', '.join(value(c, n, None) for c in chosen)})" for n in range(r.randrange(1, 3))]
            source_text = f" VALUES {', '.join(rows)}"
        if not chosen:
            columns, source_text = "", " DEFAULT VALUES"
        seen = Scope(None, [Source(name, [(c.name, c.family) for c in table.columns], table, table.schema if not alias else None)])
        conflict = ""
        if r.random() < 0.45:
            key = r.choice(table.keys) if table.keys else None
            what = f" ({', '.join(map(self.name, key))})" if key and r.random() < 0.9 else ""
            if what and r.random() < 0.7:
                both = Scope(None, [*seen.sources, Source("excluded", [(c.name, c.family) for c in table.columns])])
                sets = [self.assignment(c, both) for c in table.columns if c.family not in ("other", "int") and r.random() < 0.5]
                where = f" WHERE {self.condition(both, 2)}" if r.random() < 0.3 else ""
                conflict = f" ON CONFLICT{what} DO UPDATE SET {', '.join(sets)}{where}" if sets else f" ON CONFLICT{what} DO NOTHING"
            else:
                conflict = f" ON CONFLICT{what} DO NOTHING"
        back, found = self.returning(seen)
        return f"INSERT INTO {text}{alias}{columns}{source_text}{conflict}{back}", found

    def assignment(self, column: Column, scope: Scope) -> str:
        value = self.expression(column.family, scope, 1) if self.r.random() < 0.7 else self.constant(column.family, True)
        if column.type.startswith("character varying("):
            value = f"left({value}, 30)"
        return f"{self.name(column.name)} = {value}"

    def changes(self, table: Relation, scope: Scope) -> str:
        r = self.r
        keys = {k for key in table.keys for k in key}
        free = [c for c in table.columns if c.name not in keys and c.family not in ("other", "int")] or [c for c in table.columns if c.name not in keys]
        if not free:
            free = table.columns[:1]
        chosen = r.sample(free, r.randrange(1, min(3, len(free)) + 1))
        if len(chosen) == 2 and r.random() < 0.4:
            names = ", ".join(self.name(c.name) for c in chosen)
            if r.random() < 0.5:
                return f"({names}) = ({', '.join(self.constant(c.family) for c in chosen)})"
            inner = Scope(scope)
            source = self.from_clause(inner, 2, most=1)
            items = ", ".join(f"min({self.expression(c.family, inner, 2)})" if c.family in ("text", "num", "ts") else self.constant(c.family) for c in chosen)
            return f"({names}) = (SELECT {items} FROM {source})"
        return ", ".join(self.assignment(c, scope) for c in chosen)

    def changed(self, scope: Scope) -> tuple[Relation, str, Source, str] | None:
        """The target of an UPDATE, DELETE or MERGE."""
        table = self.target()
        if table is None:
            return None
        text, qualified = self.relation(table, None)
        source = Source(table.name, [(c.name, c.family) for c in table.columns], table, table.schema if table.visible or qualified else None)
        if self.r.random() < 0.4:
            source.name = self.r.choice(ALIASES)
            source.schema = None
            text += f"{self.r.choice((' AS ', ' '))}{source.name}"
        return table, text, source, source.name or ""

    def other(self, scope: Scope, used: str) -> tuple[str, Source, str] | None:
        """A second relation, with a key of one column."""
        keyed = [t for t in self.model.tables() if any(len(k) == 1 and t.column(k[0]).family == "int" for k in t.keys)]
        if not keyed:
            return None
        table = self.r.choice(keyed)
        key = next(k[0] for k in table.keys if len(k) == 1 and table.column(k[0]).family == "int")
        text, _ = self.relation(table, scope)
        source = Source(table.name, [(c.name, c.family) for c in table.columns], table)
        if source.name == used or self.r.random() < 0.5:
            source.name = self.r.choice([a for a in ALIASES if a != used])
            text += f" {source.name}"
        return text, source, f"{self.name(source.name or '')}.{self.name(key, True)}"

    def update(self, scope: Scope) -> tuple[str, Outputs]:
        picked = self.changed(scope)
        if picked is None:
            return "SELECT 1", []
        table, text, source, name = picked
        inner = Scope(scope, [source])
        extra, where = "", f" WHERE {self.condition(inner, 1)}"
        if self.r.random() < 0.35:
            other = self.other(scope, name)
            column = self.column(Scope(None, [Source(source.name, source.columns, merged={c for c, _ in source.columns})]), "int")
            if other and column:
                extra = f" FROM {other[0]}"
                inner.sources.append(other[1])
                where = f" WHERE {column} = {other[2]}" + (f" AND {self.condition(inner, 1)}" if self.r.random() < 0.6 else "")
        back, found = self.returning(inner)
        return f"UPDATE {text} SET {self.changes(table, inner)}{extra}{where}{back}", found

    def delete(self, scope: Scope) -> tuple[str, Outputs]:
        picked = self.changed(scope)
        if picked is None:
            return "SELECT 1", []
        _, text, source, name = picked
        inner = Scope(scope, [source])
        extra, where = "", f" WHERE {self.condition(inner, 1)}"
        if self.r.random() < 0.35:
            other = self.other(scope, name)
            column = self.column(Scope(None, [Source(source.name, source.columns, merged={c for c, _ in source.columns})]), "int")
            if other and column:
                extra = f" USING {other[0]}"
                inner.sources.append(other[1])
                where = f" WHERE {column} = {other[2]} AND {self.condition(inner, 1)}"
        back, found = self.returning(inner)
        return f"DELETE FROM {text}{extra}{where}{back}", found

    def merge(self, scope: Scope) -> str:
        r = self.r
        picked = self.changed(scope)
        if picked is None or picked[0].kind != "r" or not picked[0].keys:
            return "SELECT 1"
        table, text, source, name = picked
        key = table.keys[0][0]
        if table.column(key).family != "int":
            return "SELECT 1"
        if r.random() < 0.5:
            other = self.other(scope, name)
            if other is None:
                return "SELECT 1"
            using, side, side_key = other
        else:
            alias = next(a for a in ALIASES if a != name)
            using = f"(VALUES (1, 'm1', 2.5), (2000, 'm2', 3.5)) AS {alias} (n, name, total)"
            side = Source(alias, [("n", "int"), ("name", "text"), ("total", "num")])
            side_key = f"{alias}.n"
        both = Scope(scope, [source, side])
        clauses = []
        for _ in range(r.randrange(1, 3)):
            condition = f" AND {self.condition(both, 2)}" if r.random() < 0.4 else ""
            action = r.choice((f"UPDATE SET {self.changes(table, both)}", f"UPDATE SET {self.changes(table, both)}", "DELETE", "DO NOTHING"))
            clauses.append(f" WHEN MATCHED{condition} THEN {action}")
        if r.random() < 0.6:
            lone = Scope(scope, [side])
            required = [c for c in table.columns if c.required or c.name == key or (c.family in ("text", "num") and r.random() < 0.5)]
            values = [f"{side_key} + 3000" if c.name == key else str(r.randrange(1, 4)) if c.family == "int" else self.expression(c.family, lone, 2) for c in required]
            clauses.append(f" WHEN NOT MATCHED THEN INSERT ({', '.join(self.name(c.name) for c in required)}) VALUES ({', '.join(values)})")
        return f"MERGE INTO {text} USING {using} ON {self.name(name)}.{self.name(key, True)} = {side_key}{''.join(clauses)}"

    def write(self, scope: Scope) -> tuple[str, Outputs]:
        return self.r.choice((self.insert, self.insert, self.update, self.update, self.delete))(scope)

    # Whole statements.

    def one(self) -> tuple[str, bool]:
        r = self.r
        chance = r.random()
        if chance < 0.6:
            return self.select(None, 0)[0], False
        if chance < 0.85:
            prefix, scope = "", Scope()
            if r.random() < 0.12:
                prefix = self.with_clause(scope, 1)
            return prefix + self.write(scope)[0], True
        if chance < 0.91:
            return self.merge(Scope()), True
        if chance < 0.97:
            scope = Scope()
            text, found = self.write(scope)
            if not found:
                return text, True
            name = self.any_name() if r.random() < 0.5 else r.choice(ALIASES)
            scope.tables[name] = found
            rest = self.select(scope, 1, order=False)[0] if r.random() < 0.7 else f"SELECT * FROM {self.name(name)}"
            return f"WITH {self.name(name)} AS ({text}) {rest}", True
        relation = r.choice(self.model.tables() or self.model.relations)
        name, _ = self.relation(relation, None)
        some = r.sample(relation.columns, r.randrange(1, len(relation.columns) + 1)) if relation.columns else []
        if not some:
            return "SELECT 1", False
        columns = f" ({', '.join(self.name(c.name) for c in some)})" if r.random() < 0.6 else ""
        if r.random() < 0.4:
            return f"COPY ({self.select(None, 1, order=False)[0]}) TO STDOUT", False
        return f"COPY {name}{columns} TO STDOUT", False

    def statement(self) -> Statement:
        self.parameters, self.ordered, self.budget = [], False, 14
        text, writes = self.one()
        text, more, several = self.noise(text), "", False
        if self.r.random() < 0.05:
            more, also = self.one()
            more, writes, several = self.noise(more), writes or also, True
            text += f"; {more}"
        elif self.r.random() < 0.02:
            text += ";"
        simple, extended = text, text
        values: list[bytes | None] = []
        for n, (value, cast) in enumerate(self.parameters):
            mark = f"\x02{n}\x03"
            if mark not in text:
                continue
            simple = simple.replace(mark, f"{value}{cast}")
            more = more.replace(mark, f"{value}{cast}")
            values.append(value.removeprefix("'").removesuffix("'").replace("''", "'").encode())
            extended = extended.replace(mark, f"${len(values)}{cast}")
        parts = (simple.removesuffix(f"; {more}"), more) if several else ()
        return Statement(simple, None if several or text.startswith("COPY") else extended, tuple(values), self.ordered and not several, writes, parts)

    def noise(self, text: str) -> str:
        """Comments and odd white space between tokens."""
        rate = self.r.choice((0, 0, 0.03, 0.2))
        if rate == 0:
            return text
        out, inside = [], ""
        for c in text:
            if inside:
                if c == inside:
                    inside = ""
            elif c in "'\"":
                inside = c
            elif c == " " and self.r.random() < rate:
                c = self.r.choice(("\n", "  ", "\t", " /* email ' */ ", " -- users.email \"\n", "\r\n", " /* ä /* nested */ */"))
            out.append(c)
        return "".join(out)


# ------------------------------------------------------------------------------------------------ migrations

Steps = list[list[str]]


class Migrator:
    """Random migrations of a model. Each is a list of steps; pgmend may see the schema between two of them."""

    def __init__(self, rng: random.Random, model: Model) -> None:
        self.r, self.model = rng, model

    def free_column(self, relation: Relation, *more: str) -> str:
        taken = {c.name for c in relation.columns} | set(more)
        return self.r.choice([n for n in (*FRESH, *FRESH, *PLAIN, *ODD) if n not in taken])

    def free_table(self, *more: str) -> str:
        taken = {r.name for r in self.model.relations} | set(more)
        return self.r.choice([n for n in (*TABLES, "clients", "purchases", "Group", "email", "u", "x") if n not in taken])

    def table(self) -> Relation:
        return self.r.choice([t for t in self.model.tables() if t.columns] or self.model.tables())

    def rename(self, relation: Relation, old: str, new: str) -> str:
        kind = "VIEW" if relation.kind == "v" else "TABLE"
        return f"ALTER {kind} {full(relation)} RENAME COLUMN {quote(old)} TO {quote(new)}"

    def column_rename(self) -> Steps:
        out = []
        for _ in range(self.r.choice((1, 1, 2, 3))):
            able = [r for r in self.model.relations if r.columns]
            if not able:
                break
            relation = self.r.choice(able)
            column = self.r.choice(relation.columns)
            out.append([self.rename(relation, column.name, self.free_column(relation))])
            relation.columns.remove(column)
        return out

    def table_rename(self) -> Steps:
        relation = self.r.choice(self.model.relations)
        kind = "VIEW" if relation.kind == "v" else "TABLE"
        return [[f"ALTER {kind} {full(relation)} RENAME TO {quote(self.free_table())}"]]

    def table_move(self) -> Steps:
        relation = self.r.choice(self.model.relations)
        kind = "VIEW" if relation.kind == "v" else "TABLE"
        elsewhere = [s for s in self.model.schemas if s != relation.schema]
        if elsewhere and self.r.random() < 0.5:
            return [[f"ALTER {kind} {full(relation)} SET SCHEMA {quote(self.r.choice(elsewhere))}"]]
        return [["CREATE SCHEMA IF NOT EXISTS crm", f"ALTER {kind} {full(relation)} SET SCHEMA crm"]]

    def schema_rename(self) -> Steps:
        return [[f"ALTER SCHEMA {quote(self.r.choice(self.model.schemas))} RENAME TO billing"]]

    def column_chain(self) -> Steps:
        relation = self.table()
        names = [self.r.choice(relation.columns).name]
        for _ in range(self.r.randrange(2, 4)):
            names.append(self.free_column(relation, *names))
        return [[self.rename(relation, a, b)] for a, b in zip(names, names[1:])]

    def table_chain(self) -> Steps:
        relation = self.table()
        names = [relation.name]
        for _ in range(2):
            names.append(self.free_table(*names))
        return [[f"ALTER TABLE {quote(relation.schema)}.{quote(a)} RENAME TO {quote(b)}"] for a, b in zip(names, names[1:])]

    def there_and_back(self) -> Steps:
        relation = self.table()
        column = self.r.choice(relation.columns).name
        other = self.free_column(relation)
        return [[self.rename(relation, column, other)], [self.rename(relation, other, column)], *self.column_rename()]

    def swap(self, relation: Relation, a: str, b: str) -> Steps:
        between = "between"
        return [[self.rename(relation, a, between)], [self.rename(relation, b, a)], [self.rename(relation, between, b)]]

    def swap_same_type(self) -> Steps:
        for _ in range(20):
            relation = self.table()
            a, b = (self.r.sample(relation.columns, 2) if len(relation.columns) > 1 else (None, None))
            if a and b and a.type == b.type:
                return self.swap(relation, a.name, b.name)
        return self.swap_other_type()

    def swap_other_type(self) -> Steps:
        relation = self.table()
        if len(relation.columns) < 2:
            return self.column_rename()
        a, b = self.r.sample(relation.columns, 2)
        return self.swap(relation, a.name, b.name)

    def swap_and_rename(self) -> Steps:
        relation = self.table()
        if len(relation.columns) < 3:
            return self.column_rename()
        a, b, c = self.r.sample(relation.columns, 3)
        return [*self.swap(relation, a.name, b.name), [self.rename(relation, c.name, self.free_column(relation))]]

    def reuse_by_new(self) -> Steps:
        relation = self.table()
        column = self.r.choice(relation.columns)
        other = self.r.choice((column.type, "text", "int"))
        steps = [[self.rename(relation, column.name, self.free_column(relation))], [f"ALTER TABLE {full(relation)} ADD COLUMN {quote(column.name)} {other}"]]
        return steps + (self.column_rename() if self.r.random() < 0.5 else [])

    def reuse_by_shift(self) -> Steps:
        relation = self.table()
        if len(relation.columns) < 2:
            return self.column_rename()
        a, c = self.r.sample(relation.columns, 2)
        return [[self.rename(relation, a.name, self.free_column(relation))], [self.rename(relation, c.name, a.name)]]

    def drop_and_add(self) -> Steps:
        relation = self.table()
        column = self.r.choice(relation.columns)
        steps = [[f"ALTER TABLE {full(relation)} DROP COLUMN {quote(column.name)} CASCADE"],
                 [f"ALTER TABLE {full(relation)} ADD COLUMN {quote(column.name)} {self.r.choice((column.type, column.type, 'text'))}"]]
        relation.columns.remove(column)
        return steps + (self.column_rename() if self.r.random() < 0.7 and relation.columns else [])

    def drop_column(self) -> Steps:
        relation = self.table()
        column = self.r.choice(relation.columns)
        steps = [[f"ALTER TABLE {full(relation)} DROP COLUMN {quote(column.name)} CASCADE"]]
        relation.columns.remove(column)
        if relation.columns and self.r.random() < 0.5:
            other = self.r.choice(relation.columns)
            steps.append([self.rename(relation, other.name, self.r.choice((column.name, self.free_column(relation))))])
        return steps

    def drop_table(self) -> Steps:
        relation = self.table()
        self.model.relations = [r for r in self.model.relations if r is not relation]
        more = self.column_rename() if self.model.tables() and self.r.random() < 0.6 else []
        return [[f"DROP TABLE {full(relation)} CASCADE"], *more]

    def table_reuse(self) -> Steps:
        relation = self.table()
        old = self.free_table()
        columns = [c for c in relation.columns if self.r.random() < 0.8]
        definition = ", ".join(f"{quote(c.name)} {c.type}" for c in columns)
        return [[f"ALTER TABLE {full(relation)} RENAME TO {quote(old)}"], [f"CREATE TABLE {full(relation)} ({definition})"]]

    def table_copy(self) -> Steps:
        relation = self.table()
        old, new = self.free_table(), "copy_of_it"
        fresh = f"{quote(relation.schema)}.{new}"
        steps = [[f"CREATE TABLE {fresh} (LIKE {full(relation)} INCLUDING ALL)", f"INSERT INTO {fresh} SELECT * FROM {full(relation)}",
                  f"ALTER TABLE {full(relation)} RENAME TO {quote(old)}"], [f"ALTER TABLE {fresh} RENAME TO {quote(relation.name)}"]]
        if self.r.random() < 0.5:
            steps.append([self.rename(relation, self.r.choice(relation.columns).name, self.free_column(relation))])
        return steps

    def table_swap(self) -> Steps:
        tables = self.model.tables()
        if len(tables) < 2:
            return self.table_rename()
        a, b = self.r.sample(tables, 2)
        if a.schema != b.schema:
            return self.table_rename()
        at = quote(a.schema)
        return [[f"ALTER TABLE {full(a)} RENAME TO between"], [f"ALTER TABLE {full(b)} RENAME TO {quote(a.name)}"], [f"ALTER TABLE {at}.between RENAME TO {quote(b.name)}"]]

    def add_columns(self) -> Steps:
        """Names of other relations' columns: bare names become ambiguous, or mean something else."""
        steps = []
        for _ in range(self.r.randrange(1, 3)):
            relation = self.table()
            donor = self.r.choice(self.model.relations)
            free = [c for c in donor.columns if c.name not in {d.name for d in relation.columns}]
            name, kind = (self.r.choice(free).name, self.r.choice(free).type) if free else (self.free_column(relation), "text")
            steps.append([f"ALTER TABLE {full(relation)} ADD COLUMN {quote(name)} {kind}"])
            relation.columns.append(Column(name, 0, kind, "other"))
        return steps + (self.column_rename() if self.r.random() < 0.7 else [])

    def type_change(self) -> Steps:
        relation = self.table()
        column = self.r.choice(relation.columns)
        kind = {"int": "bigint", "text": "text", "num": "numeric(20,4)", "ts": "timestamp", "bool": "text", "jsonb": "text", "uuid": "text"}.get(column.family, "text")
        if kind == column.type:
            kind = "varchar(100)"
        steps = [[f"ALTER TABLE {full(relation)} ALTER COLUMN {quote(column.name)} TYPE {kind}"]]
        if self.r.random() < 0.4:
            steps.append([self.rename(relation, column.name, self.free_column(relation))])
        elif self.r.random() < 0.6:
            steps += self.column_rename()
        return steps

    def shadow(self) -> Steps:
        """A relation of the same name in another schema comes, or goes."""
        relation = self.table()
        elsewhere = [s for s in self.model.schemas if s != relation.schema]
        if not elsewhere:
            return self.table_rename()
        definition = ", ".join(f"{quote(c.name)} {c.type}" for c in relation.columns if self.r.random() < 0.9) or "a int"
        steps = [[f"CREATE TABLE {quote(self.r.choice(elsewhere))}.{quote(relation.name)} ({definition})"]]
        if self.r.random() < 0.6:
            steps.append([f"ALTER TABLE {full(relation)} RENAME TO {quote(self.free_table())}"])
        if self.r.random() < 0.3:
            steps.reverse()
        return steps

    def everything(self) -> Steps:
        steps: Steps = []
        for relation in self.model.tables():
            for column in list(relation.columns):
                if self.r.random() < 0.4:
                    new = self.free_column(relation)
                    steps.append([self.rename(relation, column.name, new)])
                    column.name = new
            if self.r.random() < 0.5:
                new = self.free_table()
                steps.append([f"ALTER TABLE {full(relation)} RENAME TO {quote(new)}"])
                relation.name = new
        return steps or self.column_rename()

    def late_reuse(self) -> Steps:
        """A chain, and then the first name for another column."""
        relation = self.table()
        if len(relation.columns) < 2:
            return self.column_chain()
        a, c = self.r.sample([c.name for c in relation.columns], 2)
        b = self.free_column(relation)
        d = self.free_column(relation, b)
        return [[self.rename(relation, a, b)], [self.rename(relation, c, a)], [self.rename(relation, a, d)]]

    KINDS = ("column_rename", "column_rename", "column_rename", "table_rename", "table_rename", "table_move", "schema_rename", "column_chain", "table_chain", "there_and_back",
             "swap_same_type", "swap_other_type", "swap_and_rename", "reuse_by_new", "reuse_by_shift", "late_reuse", "drop_and_add", "drop_column", "drop_table",
             "table_reuse", "table_copy", "table_swap", "add_columns", "add_columns", "type_change", "shadow", "everything", "everything")
