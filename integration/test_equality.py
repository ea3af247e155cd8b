"""The answers are the server's, byte for byte: errors with every field, rows, and everything between."""

from __future__ import annotations

import struct

import pytest

import raw
from raw import bind, close, copy_data, copy_fail, describe, execute, extended, parse, query

pytestmark = pytest.mark.session

SCHEMA = """
    DROP SCHEMA IF EXISTS equal CASCADE;
    CREATE SCHEMA equal;
    SET search_path = equal;
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0);
    CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE NOT NULL, age int CHECK (age > 0), small varchar(3), m mood, e even, computed int GENERATED ALWAYS AS (id * 2) STORED);
    CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY, note text);
    CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users, during int4range, EXCLUDE USING gist (during WITH &&));
    INSERT INTO users (id, email, age) SELECT g, 'user' || g, g FROM generate_series(1, 100) g;
    CREATE TABLE secret (a int);
    CREATE VIEW grouped AS SELECT age, count(*) FROM users GROUP BY age;
    CREATE FUNCTION broken() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT nothing FROM equal.users); END $$;
    CREATE FUNCTION raiser(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'raised %', $1 USING ERRCODE = 'ZX123', HINT = 'a hint', DETAIL = 'a detail',
        COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 'd', TABLE = 't', SCHEMA = 's'; END $$;
    CREATE FUNCTION sql_broken(int) RETURNS int LANGUAGE sql AS 'SELECT $1 / 0';
    CREATE FUNCTION tripped() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.nothing := 1; RETURN NEW; END $$;
    CREATE TABLE trapped (a int); CREATE TRIGGER t BEFORE INSERT ON trapped FOR EACH ROW EXECUTE FUNCTION tripped();
    GRANT USAGE ON SCHEMA equal TO PUBLIC;
    GRANT ALL ON ALL TABLES IN SCHEMA equal TO trust;
    REVOKE ALL ON secret FROM trust;
"""

# Statements that fail, one for each kind of report. None of them leaves anything behind.
FAILING = (
    "SELECT emial FROM users",
    "SELECT u.emial FROM users u",
    "SELECT nobody.email FROM users",
    "SELECT * FROM there_is_no_such_table",
    "SELECT * FROM nowhere.users",
    "SELECT no_such_function(1)",
    "SELECT lower(1, 2, 3)",
    "SELECT 1 + 'x'::text",
    "SELECT 'x'::no_such_type",
    "SELECT 'angry'::mood",
    "SELECT 'x'::int",
    "SELECT 99999999999::int",
    "SELECT 1/0",
    "SELECT 1/(id-50) FROM users ORDER BY id",
    "SELECT FROM",
    "SELEC 1",
    "SELECT 'unterminated",
    "SELECT \"unterminated",
    "SELECT /* unterminated",
    "SELECT $$unterminated",
    "SELECT (1",
    "SELECT 1 FROM users WHERE",
    "SELECT id FROM users, orders",
    "SELECT age, count(*) FROM users",
    "SELECT * FROM users ORDER BY 99",
    "SELECT * FROM users LIMIT -1",
    "SELECT email FROM users UNION SELECT id FROM users",
    "SELECT (SELECT id FROM users)",
    "INSERT INTO users (id, email) VALUES (1, 'x')",
    "INSERT INTO users (id, email) VALUES (1000, 'user1')",
    "INSERT INTO users (id, email) VALUES (1000, NULL)",
    "INSERT INTO users (id, email, age) VALUES (1000, 'x', -1)",
    "INSERT INTO users (id, email, small) VALUES (1000, 'x', 'too long')",
    "INSERT INTO users (id, email, m) VALUES (1000, 'x', 'angry')",
    "INSERT INTO users (id, email, e) VALUES (1000, 'x', 3)",
    "INSERT INTO users (id, email, computed) VALUES (1000, 'x', 3)",
    "INSERT INTO numbered (id, note) VALUES (3, 'x')",
    "INSERT INTO users VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)",
    "INSERT INTO users (id, emial) VALUES (1000, 'x')",
    "INSERT INTO users (id, id) VALUES (1, 2)",
    "INSERT INTO users (id, email) VALUES (1, 'x') ON CONFLICT (age) DO NOTHING",
    "INSERT INTO users (id, email) VALUES (1000, 'z'), (1000, 'y') ON CONFLICT (id) DO UPDATE SET email = 'z'",
    "INSERT INTO orders VALUES (1, 12345)",
    "INSERT INTO orders VALUES (1, NULL, '[1,5)'), (2, NULL, '[4,6)')",
    "INSERT INTO trapped VALUES (1)",
    "UPDATE users SET emial = 'x'",
    "UPDATE users SET email = 'same'",
    "UPDATE grouped SET age = 1",
    "DELETE FROM users WHERE emial = 'x'",
    "SELECT broken()",
    "SELECT raiser('x')",
    "SELECT sql_broken(1)",
    "DO $$ BEGIN PERFORM equal.raiser('inner'); END $$",
    "SELECT * FROM secret",
    "CREATE TABLE users (a int)",
    "CREATE TABLE nowhere.t (a int)",
    "CREATE INDEX ON users (nothing)",
    "ALTER TABLE users DROP COLUMN nothing",
    "DROP TABLE there_is_no_such_table",
    "DROP TABLE users",
    "SET work_mem = 'lots'",
    "SET nothing = 1",
    "SHOW nothing",
    "EXECUTE nothing",
    "FETCH FROM nothing",
    "COMMIT PREPARED 'nothing'",
    "VACUUM nothing",
    "LOCK TABLE users",
    "SAVEPOINT outside",
    "COPY users (nothing) TO STDOUT",
    "COPY users FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT regexp_replace('a', '(', '')",
    "SELECT '{\"a\":'::json",
    "SELECT '2024-02-30'::date",
    "SELECT '{1,'::int[]",
    "SELECT x'0g'",
    "SELECT E'\\xff'",
    "SELECT U&'\\zzzz'",
    "SELECT chr(0)",
    "SELECT nextval('nothing')",
    "SELECT 'nothing'::regclass",
    "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT * FROM r, r s) SELECT * FROM r",
    "SELECT * FROM users FOR UPDATE NOWAIT OF nothing",
    "SELECT '\u00e4\u00f6\u00fc\u20ac\U0001f600', emial FROM users",
    "/* a comment \u20ac */ SELECT emial FROM users -- and another",
    "SELECT 1; SELECT emial FROM users; SELECT 3",
)


@pytest.fixture(scope="module")
def pair(target, postgres):
    """Logs in to both, directly and through the proxy."""
    with raw.Client(postgres.port) as owner:
        owner.log_in(user="postgres")
        answer = owner.ask(query(SCHEMA))
        assert not raw.error_of(answer), answer

    class Pair:
        def each(self, **options):
            for port in (postgres.port, target.port):
                with raw.Client(port) as client:
                    client.log_in(search_path="equal", **options)
                    yield client

        def same(self, *sent: bytes, until: str = "Z", **options) -> list[raw.Message]:
            """Each piece of `sent` is sent when the answer to the one before has ended."""
            answers = []
            for client in self.each(**options):
                answers.append([message for data in sent for message in (client.send(data), client.until(until))[1]])
            assert [repr(m) for m in answers[1]] == [repr(m) for m in answers[0]]
            assert raw.bytes_of(answers[1]) == raw.bytes_of(answers[0])
            return answers[1]

    return Pair()


@pytest.mark.parametrize("sql", FAILING)
def test_every_field_of_an_error(pair, sql):
    assert raw.error_of(pair.same(query(sql)))


@pytest.mark.parametrize("sql", FAILING[:-1])
def test_every_field_of_an_error_in_the_extended_protocol(pair, sql):
    assert raw.error_of(pair.same(extended(sql)))
    assert raw.error_of(pair.same(extended(sql, name="named")))
    # Step by step: Parse, then Describe, then Bind and Execute.
    pair.same(parse(sql, "s") + raw.SYNC, describe("S", "s") + raw.SYNC, bind(statement="s") + execute() + raw.SYNC)


@pytest.mark.parametrize("sql", FAILING)
def test_every_field_of_an_error_inside_a_transaction(pair, sql):
    messages = pair.same(query("BEGIN"), query(sql), query("SELECT 1"), query("ROLLBACK"), query("SELECT 1"))
    assert [m.body for m in messages if m.type == "Z"][0] == b"T"


@pytest.mark.parametrize("verbosity", ("german", "latin1"))
def test_errors_in_another_encoding(pair, verbosity):
    if verbosity == "latin1":
        messages = pair.same(query("SET client_encoding = 'LATIN1'"), query("SELECT 'ä€' AS ä, emial FROM users".encode("latin-1", "replace")))
    else:
        messages = pair.same(query("SET DateStyle = 'German'"), query("SELECT now()::date - now()::date, emial"))
    assert raw.error_of(messages)


ANSWERED = {
    "nothing": [query("")],
    "only a comment": [query("/* nothing */ ;; -- at all")],
    "many statements": [query("SELECT 1; SELECT 2 AS b; VALUES (3), (4); BEGIN; SELECT 5; COMMIT; SET work_mem = '5MB'")],
    "every result format": [parse("SELECT id, email, age, m FROM users ORDER BY id") + bind(results=(1, 0, 1, 0)) + describe() + execute() + raw.SYNC],
    "portals suspended": [parse("SELECT id FROM users ORDER BY id") + bind() + execute(rows=7) + execute(rows=7) + execute(rows=0) + execute() + raw.SYNC],
    "a portal over several syncs": [query("BEGIN"), parse("SELECT id FROM users ORDER BY id") + bind(portal="p") + execute("p", 3) + raw.SYNC, execute("p", 3) + raw.SYNC,
                                    close("P", "p") + raw.SYNC, execute("p", 3) + raw.SYNC, query("ROLLBACK")],
    "statements described": [parse("SELECT $1::int, $2 || 'x'", "s") + describe("S", "s") + close("S", "s") + close("S", "never there") + raw.SYNC],
    "a name used twice": [parse("SELECT 1", "s") + parse("SELECT 2", "s") + raw.SYNC, bind(statement="s") + execute() + raw.SYNC],
    "the unnamed statement replaced": [parse("SELECT 1") + parse("SELECT 2") + bind() + execute() + raw.SYNC, bind() + execute() + raw.SYNC],
    "no statement of that name": [bind(statement="nothing") + execute() + raw.SYNC, describe("S", "nothing") + raw.SYNC, describe("P", "nothing") + raw.SYNC],
    "a bind with too few values": [parse("SELECT $1::int") + bind() + execute() + raw.SYNC],
    "a bind with a bad value": [parse("SELECT $1::int") + bind((b"x",)) + execute() + raw.SYNC],
    "a bind with a bad binary value": [parse("SELECT $1::int") + bind((b"xyz",), formats=(1,)) + execute() + raw.SYNC],
    "types given": [parse("SELECT $1, $2", types=(23, 25)) + bind((b"1", None)) + describe() + execute() + raw.SYNC],
    "a type that is none": [parse("SELECT $1", types=(999999,)) + raw.SYNC],
    "an error skips to sync": [parse("SELECT 1") + bind() + execute() + parse("SELEC 2") + bind() + execute() + parse("SELECT 3") + bind() + execute() + raw.SYNC, query("SELECT 4")],
    "a pipeline with an error in the middle": [b"".join(extended(sql) for sql in ("SELECT 1", "SELECT emial FROM users", "SELECT 3"))
                                               .replace(raw.SYNC, b"") + raw.SYNC],
    "two statements in a parse": [parse("SELECT 1; SELECT 2") + raw.SYNC],
    "an empty parse": [parse("") + bind() + describe() + execute() + raw.SYNC],
    "a simple query destroys the unnamed statement": [parse("SELECT 1") + raw.SYNC, query("SELECT 2"), bind() + execute() + raw.SYNC],
    "only syncs": [raw.SYNC, raw.SYNC],
    "copy out": [query("COPY (SELECT * FROM users ORDER BY id) TO STDOUT"), query("COPY users (id, email) TO STDOUT (FORMAT csv, HEADER)"),
                 query("COPY users (id) TO STDOUT (FORMAT binary)")],
    "copy out, extended": [extended("COPY (SELECT id FROM users ORDER BY id) TO STDOUT")],
    "copy out that fails midway": [query("COPY (SELECT 1 / (500 - g) FROM generate_series(1, 1000) g) TO STDOUT")],
    "a result that fails midway": [query("SELECT 1 / (500 - g) FROM generate_series(1, 1000) g"), extended("SELECT 1 / (500 - g) FROM generate_series(1, 1000) g")],
    "notices": [query("DO $$ BEGIN RAISE NOTICE 'n' USING HINT = 'h'; RAISE WARNING 'w'; RAISE INFO 'i'; END $$"), query("COMMIT"), query("SET LOCAL work_mem = '1MB'")],
    "parameters reported": [query("SET application_name = 'x'; SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'ISO'; SET standard_conforming_strings = off")],
    "notifications to oneself": [query("LISTEN c"), query("SELECT 1"), query("UNLISTEN *")],
    "prepared in SQL": [query("PREPARE p (int) AS SELECT $1 + 1"), query("EXECUTE p (1)"), query("DEALLOCATE p"), query("EXECUTE p (1)")],
    "cursors in SQL": [query("BEGIN"), query("DECLARE c CURSOR FOR SELECT id FROM users ORDER BY id"), query("FETCH 2 FROM c"), query("CLOSE c"), query("COMMIT")],
    "savepoints": [query("BEGIN"), query("SAVEPOINT a"), query("SELECT emial FROM users"), query("ROLLBACK TO a"), query("SELECT 1"), query("COMMIT")],
    "a begin twice and a commit of a failed transaction": [query("BEGIN"), query("BEGIN"), query("SELECT emial FROM users"), query("COMMIT")],
    "explain": [query("EXPLAIN (COSTS OFF) SELECT * FROM users WHERE id = 1")],
    "an odd label": [query('SELECT 1 AS "", 2 AS "a b", 3 AS "?column?", 4 AS "\u00e4"')],
    "no columns": [query("SELECT FROM users LIMIT 2")],
    "many columns": [query("SELECT " + ", ".join(f"{n} AS c{n}" for n in range(1600)))],
    "a big value": [query("SELECT repeat('x', 10000000)")],
    "many small rows": [query("SELECT g FROM generate_series(1, 100000) g")],
    "a long statement": [query("SELECT " + " + ".join(["1"] * 2000)), query("SELECT /* " + "x" * 3000000 + " */ emial FROM users")],
    "deep nesting": [query("SELECT " + "(" * 5000 + "1" + ")" * 5000)],
    "a function call message": [raw.frame("F", struct.pack("!IHHHiiH", 2100, 1, 1, 1, 8, 0, 0)[:-4])],
    "discard": [query("DISCARD ALL"), query("SELECT 1")],
    "set role": [query("SET ROLE scram"), query("SET SESSION AUTHORIZATION DEFAULT"), query("RESET ALL")],
}


@pytest.mark.parametrize("sent", ANSWERED.values(), ids=ANSWERED.keys())
def test_whole_streams_of_answers(pair, sent):
    if sent and sent[0][:1] == b"F":
        pair.same(*sent, until="ZE")
        return
    if sent == ANSWERED["notifications to oneself"]:
        for client in pair.each():
            client.ask(query("LISTEN c"))
            assert raw.kinds(client.ask(query("NOTIFY c, 'payload'"))) in ("CAZ", "CZA")
        return
    pair.same(*sent)


def test_copy_in(pair):
    table = query("CREATE TEMP TABLE t (a int, b text)")
    rows = b"".join(copy_data(b"%d\trow %d\n" % (n, n)) for n in range(5000))
    pair.same(table, query("COPY t FROM STDIN") + rows + raw.COPY_DONE, query("SELECT count(*), sum(a) FROM t"))
    pair.same(table, query("COPY t FROM STDIN") + rows + copy_fail("no more"), query("SELECT count(*) FROM t"))
    pair.same(table, query("COPY t FROM STDIN") + rows + copy_data(b"x\ty\n") + rows + raw.COPY_DONE, query("SELECT count(*) FROM t"))
    pair.same(table, parse("COPY t FROM STDIN") + bind() + execute() + raw.SYNC + rows + raw.COPY_DONE + raw.SYNC, query("SELECT count(*) FROM t"))
    pair.same(table, query("COPY t FROM STDIN; SELECT 1; COPY t FROM STDIN") + rows + raw.COPY_DONE + copy_data(b"7\tx\n") + raw.COPY_DONE, query("SELECT count(*) FROM t"))
    pair.same(table, query("COPY t FROM STDIN") + raw.SYNC + raw.FLUSH + rows + raw.COPY_DONE, query("SELECT count(*) FROM t"))


@pytest.mark.parametrize("size", (1, 2, 3, 5, 7, 64))
def test_frames_sent_in_pieces(pair, size):
    """However the bytes are cut on their way, the answer is the same."""
    data = query("SELECT 1; SELECT emial FROM users") + extended("SELECT $1::text", (b"abc",)) + extended("SELECT emial FROM users") + query("SELECT 2")
    answers = []
    for client in pair.each():
        for at in range(0, len(data), size):
            client.send(data[at:at + size])
        answers.append([message for _ in range(4) for message in client.until("Z")])
    assert raw.bytes_of(answers[1]) == raw.bytes_of(answers[0])


def test_everything_in_one_packet(pair):
    data = b"".join((extended(sql) if n % 2 else query(sql)) for n, sql in enumerate(FAILING[:40]))
    answers = []
    for client in pair.each():
        client.send(data)
        answers.append([message for _ in range(40) for message in client.until("Z")])
    assert raw.bytes_of(answers[1]) == raw.bytes_of(answers[0])


@pytest.mark.parametrize("data", (b"\x01\0\0\0\4", b"z\0\0\0\4", b"Q\0\0\0\3", b"Q\0\0\0\4", b"Q\0\0\0\5x", b"P\0\0\0\5x", b"B\0\0\0\4", b"D\0\0\0\6X\0", b"E\0\0\0\5\0", b"S\0\0\0\5x",
                                  b"C\0\0\0\6X\0", b"d\0\0\0\4", b"p\0\0\0\5\0", b"H\0\0\0\5x", b"F\0\0\0\4"), ids=str)
def test_frames_that_are_wrong(pair, data):
    """The server's words, or ours where we cannot go on; never silence, and the connection's fate is the same."""
    endings = []
    for client in pair.each():
        client.send(data + raw.SYNC)
        try:
            messages = client.until("ZE")
            error = raw.error_of(messages)
            endings.append((raw.kinds(messages), error.get("S") if error else None, error.get("C") if error else None))
        except raw.Closed:
            endings.append(("closed",))
    if endings[0] == ("closed",):  # PostgreSQL says nothing where it lost its place; we may
        assert endings[1] == ("closed",) or endings[1][:2] == ("E", "FATAL")
    else:
        assert endings[1] == endings[0]


def test_bind_error_then_flush(pair):
    """Flush alone brings the error; what follows is skipped until Sync."""
    sent = parse("SELECT emial FROM users") + raw.FLUSH
    answers = []
    for client in pair.each():
        client.send(sent)
        first = client.until("E")
        client.send(parse("SELECT 1") + bind() + execute() + raw.FLUSH)
        client.send(raw.SYNC)
        answers.append(first + client.until("Z"))
    assert raw.bytes_of(answers[1]) == raw.bytes_of(answers[0])
