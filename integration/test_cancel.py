"""Cancel requests reach exactly the statement they are meant for."""

from __future__ import annotations

import signal
import subprocess

import psycopg
import pytest

import harness
import raw


def sleeping(postgres, tag: str, count: int = 1) -> None:
    harness.wait_until(lambda: postgres.run(f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep%{tag}%' "
                                            "AND pid <> pg_backend_pid()")[0][0] == count, f"{count} sleep(s) {tag}")


def test_control_c_in_psql(target, postgres):
    with raw.Client(target.port) as bystander:
        bystander.log_in()
        bystander.send(raw.query("SELECT pg_sleep(60) /* bystander */"))
        client = subprocess.Popen([harness.PG_BIN / "psql", "-X", harness.conninfo(target.port), "-c", "SELECT pg_sleep(60) /* victim */"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        sleeping(postgres, "victim")
        sleeping(postgres, "bystander")
        client.send_signal(signal.SIGINT)
        _, errors = client.communicate(timeout=harness.LIMIT)
        assert "canceling statement due to user request" in errors
        sleeping(postgres, "bystander")
        postgres.run("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%bystander%' AND pid <> pg_backend_pid()")
        assert raw.error_of(bystander.until("Z")).get("C") == "57014"


def send_cancel(port: int, pid: int, secret: bytes, tls: bool = False) -> None:
    """Sends a CancelRequest and waits for the server to close."""
    with raw.Client(port) as canceler:
        if tls:
            canceler.start_tls()
        canceler.send(raw.cancel(pid, secret))
        assert canceler.until_closed() == []


@pytest.mark.parametrize("tls", (False, True), ids=("plain", "tls"))
def test_the_right_key_cancels(target, postgres, request, tls):
    if tls and request.config.getoption("--target") == "pgbouncer":
        pytest.skip("set up without TLS")
    with raw.Client(target.port) as client:
        client.log_in()
        for _ in range(5):
            client.send(raw.query("SELECT pg_sleep(60) /* keyed */"))
            sleeping(postgres, "keyed")
            send_cancel(target.port, client.pid, client.secret, tls)
            assert raw.error_of(client.until("Z")).get("C") == "57014"
        assert client.rows("SELECT 1") == [["1"]]


def test_a_wrong_key_cancels_nothing(target, postgres):
    with raw.Client(target.port) as client, raw.Client(target.port) as other:
        client.log_in()
        other.log_in()
        client.send(raw.query("SELECT pg_sleep(60) /* unharmed */"))
        sleeping(postgres, "unharmed")
        flipped = bytes([client.secret[0] ^ 1]) + client.secret[1:]
        for pid, secret in ((client.pid, flipped), (client.pid ^ 1, client.secret), (0, b"\0" * 4), (client.pid, b""), (client.pid, client.secret + b"x"),
                            (client.pid, client.secret * 40), (other.pid, client.secret), (client.pid, other.secret)):
            send_cancel(target.port, pid, secret)
        sleeping(postgres, "unharmed")
        send_cancel(target.port, client.pid, client.secret)
        assert raw.error_of(client.until("Z")).get("C") == "57014"


def test_a_cancel_for_an_idle_client_or_a_gone_one(target):
    with raw.Client(target.port) as client:
        client.log_in()
        send_cancel(target.port, client.pid, client.secret)
        assert client.rows("SELECT 1") == [["1"]]
    send_cancel(target.port, client.pid, client.secret)


def test_a_cancel_while_copying(target, postgres, database):
    with psycopg.connect(harness.conninfo(target.port, database), autocommit=True) as connection:
        connection.execute("CREATE TABLE t (note text)")
        with pytest.raises(psycopg.errors.QueryCanceled, match="due to user request"):
            with connection.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
                copy.write(b"row\n" * 1000)
                harness.wait_until(lambda: postgres.run("SELECT count(*) FROM pg_stat_progress_copy")[0][0] == 1, "copy runs")
                connection.cancel()
                copy.write(b"row\n" * 1000)  # the server looks for interrupts when there is something to read
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_keys_differ_and_are_not_guessable_from_another(target):
    keys = set()
    for _ in range(30):
        with raw.Client(target.port) as client:
            client.log_in()
            keys.add(client.secret)
    assert len(keys) == 30


def test_the_process_number_is_the_servers(target, request):
    """Drivers compare it with pg_backend_pid() and with a notification's sender, and pg_terminate_backend() takes it."""
    if request.config.getoption("--target") == "pgbouncer":
        pytest.skip("its clients have numbers of their own")
    with raw.Client(target.port) as client:
        client.log_in()
        assert client.rows("SELECT pg_backend_pid()") == [[str(client.pid)]]
