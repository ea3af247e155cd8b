"""Replication connections: physical and logical streams through the proxy."""

from __future__ import annotations

import signal
import subprocess

import pytest

import harness

pytestmark = pytest.mark.session


def lsn(postgres) -> str:
    return postgres.run("CHECKPOINT", "SELECT pg_current_wal_flush_lsn()")[0][0]


@pytest.mark.parametrize("mode", ("database", "true"))
def test_commands_of_the_replication_protocol(target, mode):
    command = [harness.PG_BIN / "psql", "-X", "-A", "-t", harness.conninfo(target.port, "test", replication=mode)]
    out = harness.run([*command, "-c", "IDENTIFY_SYSTEM", "-c", "SHOW wal_level", "-c", "TIMELINE_HISTORY 99"], check=False)
    lines = out.stdout.splitlines()
    assert lines[0].count("|") == 3 and lines[1] == "logical" and "could not open file" in out.stderr
    if mode == "database":
        assert harness.run([*command, "-c", "SELECT 1"]).stdout == "1\n"


def test_pg_receivewal(target, postgres, tmp_path):
    directory = tmp_path / "wal"
    directory.mkdir()
    postgres.run("CREATE TABLE IF NOT EXISTS filler (v text)", "INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 20000)", "SELECT pg_switch_wal()")
    end = lsn(postgres)
    receiver = subprocess.Popen([harness.PG_BIN / "pg_receivewal", "-D", directory, "--no-loop", "--endpos", end, "--synchronous", "-v",
                                 "-d", harness.conninfo(target.port, "postgres")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    harness.wait_until(lambda: receiver.poll() is not None or postgres.run("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")[0][0], "it streams")
    postgres.run("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 100)", "SELECT pg_switch_wal()", "CHECKPOINT")
    try:
        receiver.wait(harness.LIMIT)
    except subprocess.TimeoutExpired:
        receiver.send_signal(signal.SIGINT)
    out = receiver.communicate(timeout=harness.LIMIT)[0]
    assert receiver.returncode == 0, out
    assert any(path.stat().st_size == 16 << 20 for path in directory.iterdir()), out


def test_pg_recvlogical(target, postgres, database, tmp_path):
    out = tmp_path / "changes"
    common = [harness.PG_BIN / "pg_recvlogical", "-d", harness.conninfo(target.port, database), "--slot", f"slot_{database}"]
    postgres.run("CREATE TABLE t (id int PRIMARY KEY, note text)", database=database)
    harness.run([*common, "--create-slot", "-P", "test_decoding"])
    try:
        postgres.run("INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 5000) g", "UPDATE t SET note = 'new' WHERE id = 7", "DELETE FROM t WHERE id = 8", database=database)
        harness.run([*common, "--start", "--endpos", lsn(postgres), "-f", out, "--no-loop"])
        text = out.read_text()
        assert text.count("INSERT: id[integer]") == 5000 and "UPDATE: id[integer]:7 note[text]:'new'" in text and "DELETE: id[integer]:8" in text
    finally:
        harness.run([*common, "--drop-slot"])


@pytest.mark.slow
def test_pg_basebackup(target, tmp_path):
    harness.run([harness.PG_BIN / "pg_basebackup", "-D", tmp_path / "backup", "-X", "stream", "-c", "fast", "-d", harness.conninfo(target.port, "postgres")])
    harness.run([harness.PG_BIN / "pg_verifybackup", tmp_path / "backup"])


def test_logical_replication_between_two_databases(target, postgres, database):
    """A subscription whose connection goes through the proxy."""
    postgres.run("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 100)", "CREATE PUBLICATION p FOR TABLE t", database=database)
    subscriber = harness.Postgres({"wal_level": "logical"})
    try:
        subscriber.run("CREATE TABLE t (id int PRIMARY KEY)", database="test")
        subscriber.run(f"CREATE SUBSCRIPTION s CONNECTION '{harness.conninfo(target.port, database)}' PUBLICATION p", database="test")
        postgres.run("INSERT INTO t SELECT generate_series(101, 200)", database=database)
        harness.wait_until(lambda: subscriber.run("SELECT count(*) FROM t", database="test")[0][0] == 200, "all rows have arrived")
        subscriber.run("DROP SUBSCRIPTION s", database="test")
    finally:
        subscriber.stop()
