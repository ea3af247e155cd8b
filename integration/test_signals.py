"""Signals, reloading, exit statuses, and `pgmend check`."""

from __future__ import annotations

import re
import shutil
import signal
import ssl

import pytest

import harness
import raw

pytestmark = pytest.mark.pgmend

PLACE = re.compile(r":\d+:\d+")


def closed_for_new_clients(proxy) -> None:
    harness.wait_until(lambda: not harness.can_connect(proxy.port), "the listener is closed")


# --------------------------------------------------------------------------------------------- stopping


def test_sigterm_lets_a_transaction_finish_and_tells_idle_clients(start_pgmend):
    proxy = start_pgmend(control="user=postgres")
    busy, idle, failed = (raw.Client(proxy.port).log_in() for _ in range(3))
    busy.ask(raw.query("BEGIN"))
    failed.ask(raw.query("BEGIN; SELECT 1/0"))
    proxy.send_signal(signal.SIGTERM)
    error = raw.error_of(idle.until_closed())
    assert error is not None and (error.get("S"), error.get("C")) == ("FATAL", "57P01")
    closed_for_new_clients(proxy)
    assert busy.rows("SELECT 1") == [["1"]]
    assert raw.kinds(busy.ask(raw.query("COMMIT"))) == "CZ"
    assert raw.kinds(failed.ask(raw.query("ROLLBACK"))) == "CZ"
    for client in (busy, failed):
        error = raw.error_of(client.until_closed())
        assert error is not None and error.get("C") == "57P01"
    assert proxy.wait() == 0
    assert proxy.events("proxy.started") and proxy.events("proxy.stopped")


def test_sigterm_lets_a_running_statement_finish(start_pgmend, postgres):
    proxy = start_pgmend()
    with raw.Client(proxy.port) as client, raw.Client(postgres.port) as blocker:
        blocker.log_in()
        client.log_in()
        blocker.rows("SELECT pg_advisory_lock(4711)")
        client.send(raw.query("SELECT pg_advisory_lock(4711), 'done' AS v"))
        harness.wait_until(lambda: postgres.run("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")[0][0] == 1, "it waits for the lock")
        proxy.send_signal(signal.SIGTERM)
        closed_for_new_clients(proxy)
        blocker.rows("SELECT pg_advisory_unlock(4711)")
        messages = client.until_closed()
        assert raw.kinds(messages).startswith("TDCZ") and raw.error_of(messages).get("C") == "57P01"
    assert proxy.wait() == 0


def test_sigterm_during_copy_in(start_pgmend, database):
    proxy = start_pgmend()
    with raw.Client(proxy.port) as client:
        client.log_in(database=database)
        client.ask(raw.query("CREATE TABLE t (a int)"))
        client.send(raw.query("COPY t FROM STDIN") + raw.copy_data(b"1\n"))
        client.until("G")
        proxy.send_signal(signal.SIGTERM)
        closed_for_new_clients(proxy)
        client.send(raw.copy_data(b"2\n") + raw.COPY_DONE)
        messages = client.until_closed()
        assert raw.kinds(messages).startswith("CZ") and messages[0].body == b"COPY 2\0"
    assert proxy.wait() == 0


def test_sigterm_with_clients_in_the_middle_of_logging_in(start_pgmend):
    proxy = start_pgmend()
    with raw.Client(proxy.port) as silent, raw.Client(proxy.port) as asked:
        silent.send(b"\0\0")
        asked.send(raw.startup(raw.V3_0, {"user": "password", "database": "test"}))
        asked.read_message()
        proxy.send_signal(signal.SIGTERM)
        assert proxy.wait() == 0


@pytest.mark.parametrize("first", (None, signal.SIGTERM), ids=("sigint", "sigint after sigterm"))
def test_sigint_stops_at_once(start_pgmend, postgres, first):
    proxy = start_pgmend()
    with raw.Client(proxy.port) as client:
        client.log_in(application_name="interrupted")
        client.ask(raw.query("BEGIN"))
        if first:
            proxy.send_signal(first)
            closed_for_new_clients(proxy)
        proxy.send_signal(signal.SIGINT)
        assert proxy.wait() == 0
        error = raw.error_of(client.until_closed())
        assert error is None or error.get("C") == "57P01"
    harness.wait_until(lambda: postgres.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'interrupted'")[0][0] == 0, "the session is gone")


# --------------------------------------------------------------------------------------------- reloading


def common_name(port: int, ca) -> str:
    context = ssl.create_default_context(cafile=ca)
    with raw.Client(port) as client:
        client.start_tls(context)
        assert isinstance(client.socket, ssl.SSLSocket)
        certificate = client.socket.getpeercert()
        assert certificate
        client.log_in()
        return dict(pair for part in certificate["subject"] for pair in part)["commonName"]


def test_sighup_takes_up_a_new_certificate(start_pgmend, certificates, tmp_path):
    cert, key = tmp_path / "now.crt", tmp_path / "now.key"
    for name in ("first", "second"):
        certificates.issue(name, name)

    def use(name: str) -> None:
        shutil.copy(certificates.directory / f"{name}.crt", cert)
        shutil.copy(certificates.directory / f"{name}.key", key)

    use("first")
    proxy = start_pgmend(listen={"tls": {"mode": "require", "cert": str(cert), "key": str(key)}})
    with raw.Client(proxy.port) as early:
        early.start_tls()
        early.log_in()
        assert common_name(proxy.port, certificates.ca) == "first"
        use("second")
        assert common_name(proxy.port, certificates.ca) == "first"
        proxy.reload()
        proxy.wait_for_event("config.reloaded")
        assert common_name(proxy.port, certificates.ca) == "second"
        cert.write_text("this is no certificate")
        proxy.reload()
        proxy.wait_for_event("config.rejected")
        assert common_name(proxy.port, certificates.ca) == "second"
        assert early.rows("SELECT 1") == [["1"]]


def test_sighup_with_a_bad_file_changes_nothing_and_says_where(start_pgmend):
    proxy = start_pgmend()
    good = proxy.config_path.read_text()
    with raw.Client(proxy.port) as client:
        client.log_in()
        for number, bad in enumerate(MISTAKES.values(), 1):
            proxy.config_path.write_text(bad.replace("PORT", str(proxy.port)))
            proxy.reload()
            harness.wait_until(lambda: len(proxy.events("config.rejected")) == number, f"the file is rejected:\n{bad}")
            event = proxy.events("config.rejected")[-1]
            assert {"line", "column"} <= event.keys() or PLACE.search(str(event)), event
            assert client.rows("SELECT 1") == [["1"]]
            with raw.Client(proxy.port) as new:
                assert new.log_in().rows("SELECT 1") == [["1"]]
        assert not proxy.events("config.reloaded")
        proxy.config_path.write_text(good)
        proxy.reload()
        proxy.wait_for_event("config.reloaded")


def test_sighup_changes_where_new_clients_go(start_pgmend, postgres):
    other = harness.Postgres()
    try:
        proxy = start_pgmend()
        with raw.Client(proxy.port) as early:
            early.log_in()
            where = "SELECT current_setting('port')"
            assert early.rows(where) == [[str(postgres.port)]]
            proxy.config["backends"][0]["port"] = other.port
            proxy.write_config()
            proxy.reload()
            proxy.wait_for_event("config.reloaded")
            assert early.rows(where) == [[str(postgres.port)]]
            with raw.Client(proxy.port) as late:
                assert late.log_in().rows(where) == [[str(other.port)]]
        proxy.finish()
    finally:
        other.stop()


# --------------------------------------------------------------------------------------------- check, usage

MISTAKES = {
    "no yaml": "listen: { port: PORT\nbackends: [",
    "unknown key": "listen: { address: 127.0.0.1, port: PORT }\nbakends:\n  - { name: a, host: 127.0.0.1, port: 5432 }\n",
    "unknown key inside": "listen: { address: 127.0.0.1, port: PORT, adress: x }\nbackends:\n  - { name: a, host: 127.0.0.1, port: 5432 }\n",
    "port out of range": "listen: { address: 127.0.0.1, port: 70000 }\nbackends:\n  - { name: a, host: 127.0.0.1, port: 5432 }\n",
    "port is a word": "listen: { address: 127.0.0.1, port: PORT }\nbackends:\n  - { name: a, host: 127.0.0.1, port: five }\n",
    "no backends": "listen: { address: 127.0.0.1, port: PORT }\nbackends: []\n",
    "a backend twice": "listen: { address: 127.0.0.1, port: PORT }\nbackends:\n  - { name: a, host: 127.0.0.1, port: 5432 }\n  - { name: a, host: 127.0.0.1, port: 5433 }\n",
    "unknown mode": "listen: { address: 127.0.0.1, port: PORT }\nbackends:\n  - { name: a, host: 127.0.0.1, port: 5432 }\nhealing: { mode: sometimes }\n",
    "a duration without unit": "listen: { address: 127.0.0.1, port: PORT, login_timeout: soon }\nbackends:\n  - { name: a, host: 127.0.0.1, port: 5432 }\n",
    "tls without certificate": "listen: { address: 127.0.0.1, port: PORT, tls: { mode: require } }\nbackends:\n  - { name: a, host: 127.0.0.1, port: 5432 }\n",
    "certificate is not there": "listen: { address: 127.0.0.1, port: PORT, tls: { mode: require, cert: /nowhere.crt, key: /nowhere.key } }\nbackends:\n  - { name: a, host: 127.0.0.1, port: 5432 }\n",
    "a list where a map belongs": "listen: [1, 2]\nbackends:\n  - { name: a, host: 127.0.0.1, port: 5432 }\n",
    "a key twice": "listen: { address: 127.0.0.1, port: PORT }\nlisten: { address: 127.0.0.1, port: PORT }\nbackends:\n  - { name: a, host: 127.0.0.1, port: 5432 }\n",
}


def pgmend(*arguments: object, **options):
    return harness.run([harness.BINARY, *arguments], check=False, limit=harness.LIMIT, **options)


@pytest.mark.parametrize("text", MISTAKES.values(), ids=MISTAKES.keys())
def test_check_names_the_place_of_a_mistake(tmp_path, text):
    path = tmp_path / "pgmend.yaml"
    path.write_text(text.replace("PORT", "6432"))
    for command in ("check", "serve"):
        done = pgmend(command, "-c", path)
        assert done.returncode in (1, 2), done
        assert str(path) in done.stderr + done.stdout and PLACE.search(done.stderr + done.stdout), done
        if command == "check":
            assert "pgmend.yaml" in done.stderr


def test_check_accepts_a_good_file(tmp_path, certificates):
    path = tmp_path / "a name with spaces.yaml"
    path.write_text(f"""
listen: {{ address: 127.0.0.1, port: 6432, tls: {{ mode: prefer, cert: "{certificates.cert}", key: "{certificates.key}" }} }}
backends:
  - {{ name: primary, host: 127.0.0.1, port: 5432, role: primary }}
control: "user=pgmend"
healing: {{ mode: heal }}
log: {{ format: json, level: info }}
""")
    done = pgmend("check", "-c", path)
    assert done.returncode == 0, done


@pytest.mark.parametrize("arguments", ((), ("nonsense",), ("serve", "--nonsense"), ("serve",), ("serve", "--listen", "127.0.0.1:6432"), ("serve", "--listen", "x", "--backend", "y"),
                                       ("check",), ("check", "-c", "/there/is/no/such.yaml"), ("serve", "-c", "/there/is/no/such.yaml"), ("serve", "-c", "/")), ids=str)
def test_wrong_usage_is_told_on_standard_error(arguments):
    done = pgmend(*arguments)
    assert done.returncode in (1, 2) and done.stderr.strip(), done


def test_help_and_version():
    for arguments in (("--help",), ("serve", "--help"), ("check", "--help")):
        done = pgmend(*arguments)
        assert done.returncode == 0 and "usage" in done.stdout.lower() and not done.stderr
    done = pgmend("--version")
    assert done.returncode == 0 and re.search(r"\d+\.\d+", done.stdout)


def test_a_port_in_use_is_told(start_pgmend, postgres):
    done = pgmend("serve", "--listen", f"127.0.0.1:{postgres.port}", "--backend", "127.0.0.1:5432")
    assert done.returncode in (1, 2)
    assert str(postgres.port) in done.stderr + done.stdout and "in use" in (done.stderr + done.stdout).lower()


def test_serve_by_options_alone(postgres):
    daemon = harness.Daemon("pgmend")
    daemon.port = harness.free_port()
    daemon.spawn([harness.BINARY, "serve", "--listen", f"127.0.0.1:{daemon.port}", "--backend", f"127.0.0.1:{postgres.port}", "--control", "user=postgres"])
    daemon.wait_ready()
    with raw.Client(daemon.port) as client:
        assert client.log_in().rows("SELECT 1") == [["1"]]
    assert daemon.stop() == 0


def test_log_lines_are_json_objects_with_stable_fields(start_pgmend):
    proxy = start_pgmend(control="user=postgres")
    with raw.Client(proxy.port) as client:
        client.log_in(application_name='odd "name"\n\\')
    proxy.finish()
    lines = proxy.log_text().splitlines()
    assert lines and all(line.startswith("{") and line.endswith("}") for line in lines), lines
    for event in proxy.events():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["ts"]), event
        assert event["level"] and event["event"]
    names = [event["event"] for event in proxy.events()]
    assert names[0] == "proxy.started" and names[-1] == "proxy.stopped"
    assert "client.connected" in names and "client.disconnected" in names
