"""Rows and COPY data pass through; they are never collected."""

from __future__ import annotations

import subprocess
import threading

import pytest

import harness
import raw

pytestmark = [pytest.mark.proxy, pytest.mark.slow]

MOST_KIB = 64 * 1024
GIGABYTE = 1 << 30


def test_a_gigabyte_copied_out(target):
    target.forget_peak()
    with raw.Client(target.port) as client:
        client.log_in()
        client.send(raw.query("COPY (SELECT repeat('x', 8191) FROM generate_series(1, 131072)) TO STDOUT"))
        total, end = 0, raw.frame("Z", b"I")
        tail = b""
        while not tail.endswith(end):
            data = client.socket.recv(1 << 20)
            assert data
            total += len(data)
            tail = (tail + data)[-16:]
    assert total > GIGABYTE
    assert target.peak_rss_kib() < MOST_KIB


def test_a_gigabyte_copied_in(target, database):
    with raw.Client(target.port) as client:
        client.log_in(database=database)
        client.ask(raw.query("CREATE UNLOGGED TABLE t (v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL"))
        # Rows that a trigger throws away: it is the way through that matters here.
        client.ask(raw.query("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
                             "CREATE TRIGGER no BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no()"))
        target.forget_peak()
        client.send(raw.query("COPY t FROM STDIN"))
        client.until("G")
        block = raw.copy_data((b"x" * 8191 + b"\n") * 8) * 16
        for _ in range(GIGABYTE // (8192 * 8 * 16) + 1):
            client.send(block)
        client.send(raw.COPY_DONE)
        assert raw.kinds(client.until("Z")) == "CZ"
    assert target.peak_rss_kib() < MOST_KIB


def test_psql_copies_a_big_table_both_ways_at_once(target, database, tmp_path):
    """Two copies that overlap, from disk to disk."""
    source = tmp_path / "source"
    with open(source, "w") as f:
        for n in range(200_000):
            f.write(f"{n}\t{'x' * 990}\n")
    target.forget_peak()
    harness.psql(target.port, f"CREATE UNLOGGED TABLE t (id int, v text);\n\\copy t FROM '{source}'", database=database)
    script = f"\\copy t TO '{tmp_path}/out'\n"
    out = threading.Thread(target=lambda: harness.psql(target.port, script, database=database))
    out.start()
    harness.psql(target.port, f"CREATE UNLOGGED TABLE u (id int, v text);\n\\copy u FROM '{source}'", database=database)
    out.join()
    assert subprocess.run(["cmp", source, tmp_path / "out"]).returncode == 0
    assert target.peak_rss_kib() < MOST_KIB


def test_one_value_of_300_megabytes_both_ways(target):
    size = 300_000_000
    with raw.Client(target.port) as client:
        client.log_in()
        client.socket.settimeout(10 * harness.LIMIT)
        target.forget_peak()
        value = b"x" * size
        client.send(raw.parse("SELECT length($1::bytea), $1::bytea") + raw.bind((value,), formats=(1,), results=(1,)) + raw.execute() + raw.SYNC)
        messages = client.until("Z")
        assert raw.kinds(messages) == "12DCZ"
        assert len(messages[2].body) == size + 2 + 4 + 4 + 4 and messages[2].body.endswith(b"x" * 1000)
    assert target.peak_rss_kib() < MOST_KIB


def test_a_statement_text_of_100_megabytes(target):
    with raw.Client(target.port) as client:
        client.log_in()
        target.forget_peak()
        messages = client.ask(raw.query(b"SELECT length('" + b"x" * 100_000_000 + b"')"))
        assert raw.decode_row(messages[1].body) == ["100000000"]
    assert target.peak_rss_kib() < MOST_KIB


def test_many_statements_prepared(target):
    """A session that prepares without end costs what it keeps, and gives it back."""
    with raw.Client(target.port) as client:
        client.log_in()
        target.forget_peak()
        before = target.rss_kib()
        for n in range(20):
            client.send(b"".join(raw.parse(f"SELECT {k} /* {'x' * 200} */", f"s{k}") for k in range(n * 1000, n * 1000 + 1000)) + raw.SYNC)
            client.until("Z")
        assert target.peak_rss_kib() - before < 40 * 1024
        client.send(b"".join(raw.close("S", f"s{k}") for k in range(20000)) + raw.SYNC)
        client.until("Z")
        assert client.rows("SELECT count(*) FROM pg_prepared_statements") == [["0"]]


def test_many_different_statements(target):
    """Texts that never come again must not pile up."""
    with raw.Client(target.port) as client:
        client.log_in()
        before = target.rss_kib()
        for n in range(400):
            client.send(b"".join(raw.query(f"SELECT {n}, {k}, '{'x' * 500}'") for k in range(100)))
            for _ in range(100):
                client.until("Z")
            client.received.clear()
        assert target.rss_kib() - before < 32 * 1024
