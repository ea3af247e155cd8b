"""psql and pgbench through the proxy: what people type, and every protocol mode."""

from __future__ import annotations

import subprocess

import pytest

import harness


def test_psql_runs_statements_of_every_kind(target, database):
    out = harness.psql(target.port, """
        CREATE TABLE t (id int PRIMARY KEY, note text);
        INSERT INTO t SELECT g, 'note ' || g FROM generate_series(1, 1000) g;
        SELECT count(*), min(note), max(id) FROM t;
        UPDATE t SET note = NULL WHERE id % 2 = 0 SELECT id;
    """, database=database, check=False)
    assert out.returncode == 3 and "syntax error" in out.stderr
    assert out.stdout.splitlines() == ["1000|note 1|1000"]


def test_multi_statement_strings_and_their_implicit_transaction(target, database):
    out = harness.psql(target.port, r"""
        CREATE TABLE t (id int PRIMARY KEY);
        SELECT 1\; SELECT 2\; INSERT INTO t VALUES (1) RETURNING id;
        \set ON_ERROR_STOP off
        INSERT INTO t VALUES (2)\; SELECT 1/0\; INSERT INTO t VALUES (3);
        \set ON_ERROR_STOP on
        SELECT string_agg(id::text, ',') FROM t;
    """, database=database)
    assert out.stdout.split() == ["1", "2", "1", "1"]
    assert "division by zero" in out.stderr


def test_describe_commands(target, database):
    out = harness.psql(target.port, r"""
        CREATE TABLE orders (id serial PRIMARY KEY, total numeric CHECK (total > 0));
        CREATE INDEX ON orders (total);
        \d orders
        \dt
        \df+ pg_sleep
        \l
        \dn
        \du
        \dT
        \conninfo
    """, "-P", "tuples_only=off", database=database)
    for expected in ("orders_total_idx", "orders_total_check", "nextval('orders_id_seq'", "pg_sleep", database, "scram"):
        assert expected in out.stdout


def test_copy_both_ways_in_every_format(target, database, tmp_path):
    files = {kind: tmp_path / kind for kind in ("text", "csv", "binary")}
    script = "CREATE TABLE source AS SELECT g AS id, repeat('x', g % 50) || E'\\t\\\\\\n' AS note, now() AS at FROM generate_series(1, 20000) g;\n"
    for kind, path in files.items():
        script += f"""
            \\copy source TO '{path}' WITH (FORMAT {kind})
            CREATE TABLE copy_{kind} (LIKE source);
            \\copy copy_{kind} FROM '{path}' WITH (FORMAT {kind})
            SELECT count(*) FROM (SELECT * FROM source EXCEPT ALL SELECT * FROM copy_{kind}) differing;
            SELECT count(*) FROM copy_{kind};
        """
    assert harness.psql(target.port, script, database=database).stdout.split() == ["0", "20000"] * 3


def test_copy_with_an_error_in_the_middle(target, database, tmp_path):
    rows = tmp_path / "rows"
    rows.write_text("".join(f"{n}\n" for n in range(5000)) + "not a number\n" + "".join(f"{n}\n" for n in range(50000)))
    out = harness.psql(target.port, f"""
        CREATE TABLE t (id int);
        \\set ON_ERROR_STOP off
        \\copy t FROM '{rows}'
        \\copy (SELECT 1 / (10000 - g) FROM generate_series(1, 20000) g) TO '/dev/null'
        \\set ON_ERROR_STOP on
        SELECT count(*) FROM t;
    """, database=database)
    assert out.stdout.strip() == "0"
    assert 'invalid input syntax for type integer: "not a number"' in out.stderr
    assert "COPY t, line 5001, column id" in out.stderr
    assert "division by zero" in out.stderr


def test_large_objects(target, database, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 20000)
    back = tmp_path / "back"
    harness.psql(target.port, f"""
        \\lo_import '{source}'
        \\lo_export :LASTOID '{back}'
        \\lo_unlink :LASTOID
    """, database=database)
    assert back.read_bytes() == source.read_bytes()


def test_cursors_do_blocks_and_notices(target, database):
    out = harness.psql(target.port, r"""
        BEGIN;
        DECLARE c SCROLL CURSOR FOR SELECT g FROM generate_series(1, 10) g;
        FETCH 3 FROM c;
        FETCH BACKWARD 1 FROM c;
        MOVE 5 IN c;
        FETCH ALL FROM c;
        COMMIT;
        DO $$ BEGIN FOR n IN 1..100 LOOP RAISE NOTICE 'notice %', n; END LOOP; END $$;
        \set FETCH_COUNT 100
        SELECT count(*) FROM (SELECT 1) x;
        SELECT g FROM generate_series(1, 1000) g OFFSET 998;
    """, database=database)
    assert out.stdout.split() == ["1", "2", "3", "2", "8", "9", "10", "1", "999", "1000"]
    assert out.stderr.count("NOTICE") == 100 and "notice 100" in out.stderr


def test_pg_dump_and_restore(target, database, tmp_path):
    harness.psql(target.port, """
        CREATE TABLE a (id int PRIMARY KEY, v bytea);
        INSERT INTO a SELECT g, decode(repeat('ab', g), 'hex') FROM generate_series(1, 500) g;
        CREATE VIEW b AS SELECT count(*) FROM a;
    """, database=database)
    dump = tmp_path / "dump"
    harness.run([harness.PG_BIN / "pg_dump", "-Fc", "-f", dump, "-d", harness.conninfo(target.port, database)])
    harness.psql(target.port, "DROP TABLE a CASCADE", database=database)
    harness.run([harness.PG_BIN / "pg_restore", "--exit-on-error", "-d", harness.conninfo(target.port, database), dump])
    assert harness.psql(target.port, "SELECT * FROM b", database=database).stdout.strip() == "500"


@pytest.fixture(scope="module")
def pgbench_database(target, postgres):
    postgres.run("CREATE DATABASE bench")
    harness.run([harness.PG_BIN / "pgbench", "-i", "-q", "-s", "1", harness.conninfo(target.port, "bench")])
    yield "bench"
    postgres.run("DROP DATABASE bench WITH (FORCE)")


@pytest.mark.slow
@pytest.mark.parametrize("script", ([], ["-S"], ["-N"], ["-S", "-C"]), ids=("tpcb", "select", "simple-update", "reconnect"))
@pytest.mark.parametrize("mode", ("simple", "extended", "prepared"))
def test_pgbench(target, pgbench_database, mode, script):
    out = harness.run([harness.PG_BIN / "pgbench", "-n", "-M", mode, *script, "-c", "8", "-j", "2", "-t", "60",
                       harness.conninfo(target.port, pgbench_database)])
    assert "number of transactions actually processed: 480/480" in out.stdout
    assert "number of failed transactions: 0 (0.000%)" in out.stdout


@pytest.mark.slow
def test_pgbench_pipelines(target, pgbench_database, tmp_path):
    script = tmp_path / "pipeline.sql"
    script.write_text("\\startpipeline\n" + "SELECT abalance FROM pgbench_accounts WHERE aid = 1;\n" * 40 + "\\endpipeline\n")
    out = harness.run([harness.PG_BIN / "pgbench", "-n", "-M", "prepared", "-f", script, "-c", "8", "-j", "2", "-t", "50",
                       harness.conninfo(target.port, pgbench_database)])
    assert "number of transactions actually processed: 400/400" in out.stdout


def test_listen_and_notify_between_two_clients(target, database):
    listener = subprocess.Popen([harness.PG_BIN / "psql", "-X", "-q", "-A", "-t", harness.conninfo(target.port, database)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert listener.stdin and listener.stdout
    listener.stdin.write("LISTEN news;\nSELECT 'listening';\n")
    listener.stdin.flush()
    assert listener.stdout.readline() == "listening\n"
    harness.psql(target.port, "NOTIFY news, 'payload'; NOTIFY other;", database=database)
    listener.stdin.write("SELECT 'after';\n")
    listener.stdin.close()
    out = listener.stdout.read()
    assert listener.wait() == 0
    assert 'Asynchronous notification "news" with payload "payload"' in out and "other" not in out


@pytest.mark.session
def test_environment_options_reach_the_server(target):
    out = harness.psql(target.port, "SHOW work_mem; SHOW application_name; SHOW client_encoding; SHOW datestyle;", application_name="a b'c",
                       options="-c work_mem=7MB", client_encoding="LATIN1", env={"PGDATESTYLE": "German"})
    assert out.stdout.splitlines() == ["7MB", "a b'c", "LATIN1", "German, DMY"]


def test_other_encodings_pass_untouched(target, database):
    script = "SET client_encoding = 'LATIN1';\nSELECT 'na\xefve', length('na\xefve');\n".encode("latin-1")
    done = subprocess.run([harness.PG_BIN / "psql", "-X", "-q", "-A", "-t", harness.conninfo(target.port, database)],
                          input=script, capture_output=True)
    assert done.stdout == "na\xefve|5\n".encode("latin-1")
