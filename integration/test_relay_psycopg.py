"""psycopg 3 through the proxy: pipelines, binary parameters, cursors, COPY, notifications."""

from __future__ import annotations

import datetime
import decimal
import threading
import uuid

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

import harness


@pytest.fixture
def connection(target, database):
    with psycopg.connect(harness.conninfo(target.port, database), autocommit=True) as c:
        yield c


VALUES = (
    7, -(2**40), 3.25, decimal.Decimal("12345678901234567890.123456789"), "text with 'quotes' and \N{SNOWMAN}", b"\0\1\xff" * 1000, True, None,
    datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=datetime.timezone.utc),
    datetime.timedelta(days=3, seconds=7), uuid.UUID(int=77), [1, 2, None], [[1, 2], [3, 4]],
)


@pytest.mark.parametrize("binary", (False, True), ids=("text", "binary"))
@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_parameters_and_results_in_both_formats(connection, value, binary):
    placeholder = "%b" if binary else "%t"
    cast = "::text" if value is None else ""
    row = connection.execute(f"SELECT {placeholder}{cast} AS v, 'x' AS x", (value,), binary=binary).fetchone()
    assert row == (value, "x")


def test_statements_prepared_automatically(connection):
    for n in range(50):
        assert connection.execute("SELECT %s::int * 2", (n,)).fetchone() == (2 * n,)
    assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0] == 1


def test_a_pipeline_of_many_statements_for_each_sync(connection):
    connection.execute("CREATE TABLE t (id int PRIMARY KEY, note text)")
    with connection.pipeline() as pipeline:
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s, %s)", [(n, "x" * n) for n in range(1000)])
        cursors = [connection.execute("SELECT note FROM t WHERE id = %s", (n,)) for n in range(0, 1000, 7)]
        pipeline.sync()
        for n, c in zip(range(0, 1000, 7), cursors):
            assert c.fetchone() == ("x" * n,)


def test_an_error_in_the_middle_of_a_pipeline(connection):
    connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with pytest.raises(psycopg.errors.UndefinedTable) as error:
        with connection.pipeline():
            connection.execute("INSERT INTO t VALUES (1)")
            connection.execute("SELECT 1 FROM there_is_no_such_table")
            connection.execute("INSERT INTO t VALUES (2)")
    assert error.value.diag.statement_position == "15"
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    with connection.pipeline() as pipeline:
        good = connection.execute("SELECT 1")
        pipeline.sync()
        failures = []
        for step in (lambda: connection.execute("SELECT 1/(id-id) FROM (VALUES (1)) v(id)"), lambda: connection.execute("SELECT 2"), pipeline.sync):
            try: # the server may tell of the error before it has got the Sync; psycopg refuses what comes between the two
                step()
            except (psycopg.errors.DivisionByZero, psycopg.errors.PipelineAborted) as failure:
                failures.append(type(failure))
        assert failures.count(psycopg.errors.DivisionByZero) == 1 and failures[0] is psycopg.errors.DivisionByZero
        again = connection.execute("SELECT 3")
        assert good.fetchone() == (1,) and again.fetchone() == (3,)


def test_server_side_cursors(connection):
    with connection.transaction(), connection.cursor("c") as cursor:
        cursor.itersize = 50
        cursor.execute("SELECT g FROM generate_series(1, 1234) g")
        assert sum(row[0] for row in cursor) == 1234 * 1235 // 2
    with connection.transaction(), connection.cursor("s", scrollable=True) as cursor:
        cursor.execute("SELECT g FROM generate_series(1, 100) g")
        cursor.scroll(50)
        assert cursor.fetchone() == (51,)
        cursor.scroll(10, mode="absolute")
        assert cursor.fetchmany(2) == [(11,), (12,)]


def test_rows_streamed_one_by_one(connection):
    with connection.cursor() as cursor:
        total = 0
        for (value,) in cursor.stream("SELECT g FROM generate_series(1, 5000) g"):
            total += value
        assert total == 5000 * 5001 // 2


@pytest.mark.parametrize("binary", (False, True), ids=("text", "binary"))
def test_copy(connection, binary):
    connection.execute("CREATE TABLE t (id int, note text, at timestamptz)")
    at = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    suffix = " (FORMAT BINARY)" if binary else ""
    with connection.cursor() as cursor:
        with cursor.copy("COPY t FROM STDIN" + suffix) as copy:
            copy.set_types(["int4", "text", "timestamptz"])
            for n in range(3000):
                copy.write_row((n, f"tab\there {n}", at))
        with cursor.copy("COPY (SELECT * FROM t ORDER BY id) TO STDOUT" + suffix) as copy:
            copy.set_types(["int4", "text", "timestamptz"])
            rows = list(copy.rows())
    assert len(rows) == 3000 and rows[2999] == (2999, "tab\there 2999", at)


def test_a_copy_that_the_client_gives_up(connection):
    connection.execute("CREATE TABLE t (id int)")
    with pytest.raises(psycopg.errors.QueryCanceled, match="COPY from stdin failed.*ZeroDivisionError"):
        with connection.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
            copy.write_row((1,))
            raise ZeroDivisionError
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_transactions_savepoints_and_errors_inside(connection):
    connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
    with connection.transaction():
        connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(psycopg.errors.UniqueViolation) as error, connection.transaction():
            connection.execute("INSERT INTO t VALUES (1)")
        assert (error.value.diag.constraint_name, error.value.diag.table_name) == ("t_pkey", "t")
        connection.execute("INSERT INTO t VALUES (2)")
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_two_phase_commit_isolation_and_read_only(connection):
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    connection.read_only = True
    connection.autocommit = False
    assert connection.execute("SHOW transaction_isolation").fetchone() == ("serializable",)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("CREATE TABLE t (id int)")
    connection.rollback()


def test_notices_notifications_and_parameter_status(connection, target, database):
    notices = []
    connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary))
    connection.execute("DO $$ BEGIN RAISE WARNING 'careful'; END $$")
    assert notices == ["careful"]
    connection.execute("SET application_name = 'renamed'; SET TimeZone = 'Asia/Tokyo'")
    assert connection.info.parameter_status("application_name") == "renamed"
    assert connection.info.parameter_status("TimeZone") == "Asia/Tokyo"
    connection.execute("LISTEN news")
    with psycopg.connect(harness.conninfo(target.port, database), autocommit=True) as other:
        for n in range(3):
            other.execute("SELECT pg_notify('news', %s)", (f"payload {n}",))
    received = connection.notifies()
    assert [next(received).payload for _ in range(3)] == ["payload 0", "payload 1", "payload 2"]


def test_a_wide_row_and_a_big_value(connection):
    row = connection.execute("SELECT " + ", ".join(f"{n} AS c{n}" for n in range(1600))).fetchone()
    assert row == tuple(range(1600))
    big = "x" * 20_000_000
    assert connection.execute("SELECT %s::text", (big,)).fetchone() == (big,)


def test_jsonb_and_dict_rows(connection):
    with connection.cursor(row_factory=dict_row) as cursor:
        assert cursor.execute("SELECT %s AS j, 1 AS one", (Jsonb({"a": [1, {"b": None}]}),)).fetchone() == {"j": {"a": [1, {"b": None}]}, "one": 1}


def test_many_connections_at_once(target, database):
    failures = []

    def work(number: int) -> None:
        try:
            with psycopg.connect(harness.conninfo(target.port, database), autocommit=True) as c:
                for n in range(20):
                    assert c.execute("SELECT %s::int + %s", (number, n)).fetchone() == (number + n,)
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_cancel(connection):
    started = threading.Event()
    connection.add_notice_handler(lambda _: started.set())

    def cancel_when_it_runs() -> None:
        assert started.wait(harness.LIMIT)
        connection.cancel()

    timer = threading.Thread(target=cancel_when_it_runs)
    timer.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("DO $$ BEGIN RAISE NOTICE 'running'; PERFORM pg_sleep(60); END $$")
    timer.join()
    assert connection.execute("SELECT 1").fetchone() == (1,)
