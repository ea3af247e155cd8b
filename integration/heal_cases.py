#!/usr/bin/env python3
"""Runs the healing cases of tests/cases/*.heal against a real PostgreSQL.

For each case: the statement runs on the schema before the migration, the rewritten text on the schema after it. Rows,
labels, types, origin of the columns, command tag and the contents of all tables afterwards must be equal, and the original
must fail on the new schema. `--record` writes what PostgreSQL said (@error) beside each case, for the unit tests.

    heal_cases.py --dsn "host=127.0.0.1 port=5432 user=postgres" [--record] [files...]
"""
import argparse
import os
import pathlib
import re
import sys

import psycopg
from psycopg import pq, sql


class Case:
    def __init__(self, name, line):
        self.name, self.line = name, line
        self.sql, self.gives, self.refused, self.error = '', None, None, None
        self.proposed, self.silent, self.edits, self.passes = None, None, None, None


class Group:
    """Cases that share a schema and its migrations."""

    def __init__(self):
        self.versions, self.rows, self.path, self.temporary, self.cases = [''], '', 'public', [], []


def read(path):
    groups, into, case = [], None, None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith('#'):
            continue
        if not line.startswith('@'):
            if into:
                holder, field = into
                if field == 'versions':
                    holder.versions[-1] += line + '\n'
                else:
                    setattr(holder, field, getattr(holder, field) + line + '\n')
            continue
        tag, _, rest = line[1:].partition(' ')
        if tag == 'schema':
            groups.append(Group())
            into = (groups[-1], 'versions')
        elif tag == 'migration':
            groups[-1].versions.append('')
            into = (groups[-1], 'versions')
        elif tag == 'rows':
            into = (groups[-1], 'rows')
        elif tag == 'search_path':
            groups[-1].path = ', '.join(rest.split())
        elif tag == 'temporary':
            groups[-1].temporary = rest.split()
        elif tag == 'case':
            case = Case(rest, number)
            groups[-1].cases.append(case)
            into = (case, 'sql')
        elif tag in ('rules', 'who', 'forgotten'):
            into = None
        elif tag in ('gives', 'refused', 'proposed', 'silent', 'edits', 'passes'):
            setattr(case, tag, '')
            into = (case, tag)
        elif tag == 'error':
            into = None
    return groups


def execute(connection, text, parameters):
    """What a client sees: (error, columns, rows, tag)."""
    raw = connection.pgconn
    if re.match(r'\s*copy\b', text, re.I):
        result = raw.exec_(text.encode())
        data = b''
        if result.status == pq.ExecStatus.COPY_IN:
            raw.put_copy_end()
            result = raw.get_result()
            while raw.get_result() is not None:
                pass
        elif result.status == pq.ExecStatus.COPY_OUT:
            while True:
                count, chunk = raw.get_copy_data(0)
                if count <= 0:
                    break
                data += bytes(chunk)
            result = raw.get_result()
            while raw.get_result() is not None:
                pass
        if result.status == pq.ExecStatus.FATAL_ERROR:
            return diagnose(result), None, None, None
        return None, [], [data], result.command_status
    if parameters:
        result = raw.exec_params(text.encode(), [b'1'] * parameters)
    else:
        result = raw.exec_(text.encode())
    if result.status == pq.ExecStatus.FATAL_ERROR:
        return diagnose(result), None, None, None
    columns = [(result.fname(i).decode(), result.ftype(i), result.fmod(i), result.ftable(i), result.ftablecol(i))
               for i in range(result.nfields)]
    rows = [tuple(result.get_value(r, c) for c in range(result.nfields)) for r in range(result.ntuples)]
    return None, columns, rows, result.command_status


def diagnose(result):
    def field(code):
        value = result.error_field(code)
        return value.decode() if value else ''
    return (field(pq.DiagnosticField.SQLSTATE), field(pq.DiagnosticField.SOURCE_FUNCTION),
            field(pq.DiagnosticField.STATEMENT_POSITION), field(pq.DiagnosticField.MESSAGE_PRIMARY))


def contents(connection):
    """All tables by oid: sorted rows. Dropped and added columns do not count."""
    found = {}
    # A label of an enum is the same one after it was renamed; a text that became an enum is its label.
    labels = {(type_oid, label): (oid, label) for type_oid, label, oid in
              connection.execute('SELECT enumtypid, enumlabel, oid FROM pg_enum').fetchall()}
    arrays = dict(connection.execute("SELECT typarray, oid FROM pg_type WHERE typtype = 'e'").fetchall())

    def text(column, type_oid):
        """Of an array of an enum, the labels' oids."""
        if type_oid not in arrays:
            return sql.SQL('{}::text').format(sql.Identifier(column))
        return sql.SQL('CASE WHEN {0} IS NOT NULL THEN ARRAY(SELECT (SELECT e.oid FROM pg_enum e WHERE e.enumtypid = {1} AND e.enumlabel = it::text) FROM unnest({0}) it)::text END').format(
            sql.Identifier(column), arrays[type_oid])

    relations = connection.execute(
        "SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1").fetchall()
    for oid, schema, name in relations:
        columns = connection.execute("SELECT attname, attnum, atttypid FROM pg_attribute WHERE attrelid = %s AND attnum > 0 "
                                     "AND NOT attisdropped ORDER BY attnum", (oid,)).fetchall()
        rows = connection.execute(sql.SQL('SELECT {} FROM {}').format(
            sql.SQL(', ').join(text(c, t) for c, _, t in columns) if columns else sql.SQL('1'),
            sql.Identifier(schema, name))).fetchall()
        found[oid] = [{number: labels.get((type_oid, value), value) for (_, number, type_oid), value in zip(columns, row)} for row in rows]
    return found


def comparable(before, after):
    """Rows of both, reduced to the tables and columns that both have."""
    def enums(rows):
        return {n for row in rows for n, value in row.items() if isinstance(value, tuple)}

    def reduce(one, other):
        out = {}
        for oid in one.keys() & other.keys():
            numbers = {n for row in one[oid] for n in row} & {n for row in other[oid] for n in row}
            both = enums(one[oid]) & enums(other[oid])
            value = lambda row, n: row[n][0 if n in both else 1] if isinstance(row.get(n), tuple) else row.get(n)
            out[oid] = sorted(repr([(n, value(row, n)) for n in sorted(numbers)]) for row in one[oid])
        return out
    return reduce(before, after), reduce(after, before)


class Server:
    def __init__(self, dsn):
        self.dsn = dsn
        self.admin = psycopg.connect(dsn, dbname='postgres', autocommit=True)
        self.made = []

    def create(self, template=None):
        name = f'pgmend_case_{os.getpid()}_{len(self.made)}'
        self.admin.execute(sql.SQL('DROP DATABASE IF EXISTS {}').format(sql.Identifier(name)))
        self.admin.execute(sql.SQL('CREATE DATABASE {} TEMPLATE {}').format(
            sql.Identifier(name), sql.Identifier(template or 'template0')))
        self.made.append(name)
        return name

    def connect(self, name):
        return psycopg.connect(self.dsn, dbname=name, autocommit=True)

    def close(self):
        for name in self.made:
            self.admin.execute(sql.SQL('DROP DATABASE IF EXISTS {} WITH (FORCE)').format(sql.Identifier(name)))
        self.admin.close()


def run(connection, text, parameters):
    """One statement in a transaction that is rolled back: what it answers and what the tables hold then."""
    connection.pgconn.exec_(b'BEGIN')
    answer = execute(connection, text, parameters)
    tables = contents(connection) if answer[0] is None else None
    connection.pgconn.exec_(b'ROLLBACK')
    return answer, tables


HEALED = ('42703', '42P01', '42702', '42883', '42704', '22P02', '3F000', '42601', '42804', '42725')


def same_columns(before, after):
    """Equal, but a column that is cast to the type that it had has no origin, and no length."""
    def like(old, new):
        longer = old[1] == 1043 and new[2] > old[2]  # varchar(n): the length is only a description
        return old == new or (longer and old[:2] + old[3:] == new[:2] + new[3:]) or (old[:2] == new[:2] and new[2] in (old[2], -1) and new[3:] == (0, 0))
    return len(before) == len(after) and all(map(like, before, after))


def check_proposal(case, stages, parameters):
    """What waits for approval must run, and answer in the shape that the original had; its rows may differ."""
    problems = []
    (error, columns, _, _), _ = run(stages[-1], case.proposed.strip(), parameters)
    if error:
        return [f'the proposed text fails: {error}']
    if case.error is None:
        problems.append('the original does not fail on the new schema')
    for stage in reversed(stages[:-1]):
        (error, old_columns, _, _), _ = run(stage, case.sql.strip(), parameters)
        if error:
            continue
        if not same_columns(old_columns, columns):
            problems.append(f'columns {old_columns} became {columns}')
        return problems
    problems.append('the original runs on no earlier schema')
    return problems


def check(case, stages, group):
    parameters = max([int(n) for n in re.findall(r'\$(\d+)', case.sql)] or [0])
    last = stages[-1]
    (error, *_), _ = run(last, case.sql.strip(), parameters)
    case.error = error
    if case.silent is not None:
        return [f'the original fails: {error}'] if error else None
    if case.proposed is not None:
        return check_proposal(case, stages, parameters)
    if case.passes is not None:
        return [f'the original fails: {error}'] if error else None
    if case.edits is not None:
        case.gives = case.edits
    if case.gives is None:
        return None
    problems = []
    if case.edits is not None:
        if error:
            problems.append(f'the original fails: {error}')
    elif error is None:
        problems.append('the original does not fail on the new schema')
    elif error[0] not in HEALED:
        problems.append(f'the original fails otherwise: {error}')
    (error, columns, rows, tag), after = run(last, case.gives.strip(), parameters)
    if error:
        problems.append(f'the rewritten text fails: {error}')
        return problems
    seen = False
    for stage in reversed(stages[:-1]):
        (error, old_columns, old_rows, old_tag), before = run(stage, case.sql.strip(), parameters)
        if error:
            continue
        seen = True
        if not same_columns(old_columns, columns):
            problems.append(f'columns {old_columns} became {columns}')
        if old_rows != rows and sorted(map(repr, old_rows)) != sorted(map(repr, rows)):
            problems.append(f'rows {old_rows} became {rows}')
        if old_tag != tag:
            problems.append(f'tag {old_tag} became {tag}')
        one, other = comparable(before, after)
        if one != other:
            problems.append(f'tables hold {one} instead of {other}')
        break
    if not seen and not case.name.startswith('mixed'):
        problems.append('the original runs on no earlier schema')
    return problems


def record(path, cases):
    """Writes @error lines after the case's text."""
    by_line = {case.line: case for case in cases}
    out, pending = [], None

    def flush():
        nonlocal pending
        if pending is not None:
            code, routine, position, _ = pending
            while out and out[-1] == '':
                out.pop()
            out.append(f'@error {code} {routine} {position}'.rstrip())
            out.append('')
            pending = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith('@error'):
            continue
        if line.startswith(('@case', '@schema', '@migration', '@search_path', '@temporary', '@rules', '@who')):
            flush()
        out.append(line)
        if number in by_line:
            pending = by_line[number].error
    flush()
    path.write_text('\n'.join(out).rstrip('\n') + '\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--dsn', required=True)
    parser.add_argument('--record', action='store_true')
    parser.add_argument('files', nargs='*', type=pathlib.Path)
    options = parser.parse_args()
    files = options.files or sorted((pathlib.Path(__file__).parent.parent / 'tests' / 'cases').glob('*.heal'))
    server = Server(options.dsn)
    failures = count = 0
    try:
        for path in files:
            all_cases = []
            for group in read(path):
                stages, name = [], None
                for index, ddl in enumerate(group.versions):
                    name = server.create(name)
                    connection = server.connect(name)
                    connection.execute(ddl)
                    if index == 0 and group.rows.strip():
                        connection.execute(group.rows)
                    connection.close()
                    stages.append(name)
                stages = [server.connect(stage) for stage in stages]
                for stage in stages:
                    stage.execute(f'SET search_path TO {group.path}')
                    for temporary in group.temporary:
                        stage.execute(f'CREATE TEMP TABLE {temporary} (id int)')
                for case in group.cases:
                    count += 1
                    all_cases.append(case)
                    for problem in check(case, stages, group) or []:
                        failures += 1
                        print(f'{path.name}:{case.line}: {case.name}: {problem}')
                for stage in stages:
                    stage.close()
            if options.record:
                record(path, all_cases)
    finally:
        server.close()
    print(f'{count} cases, {failures} problems')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
