"""Metrics, health, the API and the console's figures, as Prometheus, a load balancer and PgBouncer's exporter read them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import psycopg
import pytest

import faults
import harness
import raw as frames

pytestmark = pytest.mark.pgmend

TOKEN = "a token of 23 characters"


class Http:
    """A pgmend's HTTP side."""

    def __init__(self, port: int, scheme: str = "http", context: ssl.SSLContext | None = None) -> None:
        self.base = f"{scheme}://127.0.0.1:{port}"
        self.port = port
        self.context = context

    def get(self, path: str, headers: dict[str, str] | None = None, data: bytes | None = None) -> tuple[int, dict[str, str], str]:
        request = urllib.request.Request(self.base + path, headers=headers or {}, data=data)
        try:
            with urllib.request.urlopen(request, timeout=harness.LIMIT, context=self.context) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as failure:
            return failure.code, dict(failure.headers), failure.read().decode()

    def rows(self, table: str) -> list[dict[str, Any]]:
        status, _, body = self.get(f"/api/v1/{table}")
        assert status == 200, body
        return json.loads(body)["rows"]

    def metrics(self) -> dict[str, float]:
        status, _, body = self.get("/metrics")
        assert status == 200
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in body.splitlines() if not line.startswith("#")}


def with_http(start_pgmend: Any, **admin: Any) -> tuple[harness.Pgmend, Http]:
    port = harness.free_port()
    proxy = start_pgmend(control="user=postgres", admin={"http": f"127.0.0.1:{port}", "http_token": TOKEN, **admin})
    return proxy, Http(port)


def drifted(postgres: harness.Postgres, proxy: harness.Pgmend, table: str) -> None:
    """A table with a column renamed and one dropped, and an application that did not notice."""
    postgres.run(f"DROP TABLE IF EXISTS {table}", f"CREATE TABLE {table}(id int, email text, flag bool)", f"INSERT INTO {table} VALUES (1, 'a', true)", database="test")
    with psycopg.connect(harness.conninfo(proxy.port, application_name="old-app"), autocommit=True) as old:
        harness.know(proxy)
        seen = old.execute(f"SELECT email FROM {table}").fetchall()
        assert seen == [("a",)]
        harness.wait_until(lambda: old.execute(f"SELECT email FROM {table} WHERE true").fetchall(), "it works")
        postgres.run(f"ALTER TABLE {table} RENAME email TO email_address", f"ALTER TABLE {table} DROP flag", database="test")
        traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        assert old.execute(f"SELECT email FROM {table} WHERE id = 1 /*application='web',route='%2Fusers',traceparent='{traced}'*/").fetchall() == [("a",)]
        with pytest.raises(psycopg.errors.UndefinedColumn):
            old.execute(f"SELECT flag FROM {table}")


def test_metrics_tell_what_happened_and_promtool_accepts_them(start_pgmend: Any, postgres: harness.Postgres) -> None:
    proxy, http = with_http(start_pgmend)
    drifted(postgres, proxy, "http_metrics")
    seen = http.metrics()
    healed = [name for name, n in seen.items() if name.startswith("pgmend_heals_total") and 'outcome="healed"' in name and 'strategy="column"' in name and n > 0]
    assert healed, seen
    assert sum(n for name, n in seen.items() if name.startswith('pgmend_statements_total{kind="select",tier="2"') or name.startswith('pgmend_statements_total{kind="select",tier="1"')) == 1
    assert seen['pgmend_statement_errors_total{class="42"}'] == 1
    assert seen['pgmend_refusals_total{reason="policy_propose"}'] >= 1
    assert seen['pgmend_patterns{state="proposed"}'] == 1
    assert seen["pgmend_ready"] == 1 and seen["pgmend_draining"] == 0
    assert seen['pgmend_received_bytes_total{database="test"}'] > 0
    for accept, kind in (("text/plain", "text/plain; version=0.0.4"), ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text")):
        status, headers, body = http.get("/metrics", {"Accept": accept})
        assert status == 200 and headers["Content-Type"].startswith(kind)
        assert body.endswith("# EOF\n") == ("openmetrics" in kind)
        if shutil.which("promtool") and "openmetrics" not in kind:
            checked = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, text=True)
            assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_api_has_what_the_console_has_and_tells_who_drifts(start_pgmend: Any, postgres: harness.Postgres) -> None:
    proxy, http = with_http(start_pgmend)
    drifted(postgres, proxy, "http_api")
    with psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True) as admin:
        names = [row[0] for row in admin.execute("SHOW HELP").fetchall() if row[0].startswith("SHOW ")]
        paths = [t["path"] for t in json.loads(http.get("/api/v1")[2])["tables"]]
        assert sorted(paths) == sorted("/api/v1/" + name[5:].lower() for name in names)
        for path in paths:
            status, _, body = http.get(path)
            assert status == 200, (path, body)
            cursor = admin.execute("SHOW " + path.split("/")[-1].upper())
            assert json.loads(body)["columns"] == [c.name for c in cursor.description or []]
    mine = {row["before"].split("/*")[0].strip(): row for row in http.rows("drift") if "http_api" in row["before"]}
    healed = mine["SELECT email FROM http_api WHERE id = ?"]
    assert (healed["application_name"], healed["application"], healed["route"]) == ("old-app", "web", "/users")
    assert healed["traceparent"].startswith("00-4bf9") and healed["healed"] == 1 and healed["not_healed"] == 0
    assert "email_address AS email" in healed["after"]
    waiting = mine["SELECT flag FROM http_api"]
    assert waiting["outcome"] == "refused" and waiting["not_healed"] == 1 and "NULL" in waiting["after"]
    changes = [(c["object"], c["kind"], c["name"]) for c in http.rows("changes") if "http_api" in c["name"]]
    assert ("column", "renamed", "public.http_api.email") in changes
    assert [h["outcome"] for h in http.rows("heals?limit=2")] == ["refused", "healed"]
    assert [h["outcome"] for h in http.rows("heals?outcome=healed")] and not http.rows("heals?outcome=nothing")
    assert http.get("/api/v1/heals?outcom=healed")[0] == 400 and "no column outcom" in http.get("/api/v1/heals?outcom=healed")[2]
    event = proxy.wait_for_event("statement.healed", lambda e: "http_api" in e["before"])
    assert event["route"] == "/users" and event["traceparent"].endswith("-01") and event["duration_us"] >= 0


def test_decisions_need_the_token_and_hold_from_the_next_statement_on(start_pgmend: Any, postgres: harness.Postgres) -> None:
    proxy, http = with_http(start_pgmend)
    drifted(postgres, proxy, "http_decide")
    (pattern,) = [p for p in http.rows("patterns?state=proposed") if "http_decide" in p["pattern"]]
    path = f"/api/v1/patterns/{pattern['id']}/approve"
    assert http.get(path)[0] == 405
    assert http.get(path, data=b"")[0] == 401
    assert http.get(path, {"Authorization": "Bearer wrong"}, b"")[0] == 401
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert http.get("/api/v1/patterns/999999/approve", right, b"")[0] == 404
    assert http.get(f"/api/v1/patterns/{pattern['id']}/burn", right, b"")[0] == 404
    with psycopg.connect(harness.conninfo(proxy.port), autocommit=True) as old:
        with pytest.raises(psycopg.errors.UndefinedColumn):
            old.execute("SELECT flag FROM http_decide")
        assert http.get(path, right, b"")[0] == 200
        assert old.execute("SELECT flag FROM http_decide").fetchall() == [(None,)]
        assert http.get(path.replace("approve", "suspend"), right, b"")[0] == 200
        with pytest.raises(psycopg.errors.UndefinedColumn):
            old.execute("SELECT flag FROM http_decide")
    assert http.get(path.replace("approve", "reject"), right, b"")[0] in (200, 409)


def test_reading_can_need_the_token_and_tls_hides_it(start_pgmend: Any, certificates: harness.Certificates) -> None:
    _, plain = with_http(start_pgmend, http_read="token", http_cert=str(certificates.cert), http_key=str(certificates.key))
    http = Http(plain.port, "https", ssl.create_default_context(cafile=str(certificates.ca)))
    for open_to_all in ("/livez", "/readyz", "/", "/page.js"):
        assert http.get(open_to_all)[0] == 200
    for path in ("/metrics", "/api/v1", "/api/v1/drift"):
        assert http.get(path)[0] == 401
        assert http.get(path, {"Authorization": f"Bearer {TOKEN}"})[0] == 200
    with pytest.raises(Exception):
        plain.get("/livez")


def test_without_a_token_nobody_may_change_anything(start_pgmend: Any) -> None:
    port = harness.free_port()
    start_pgmend(admin={"http": str(port)})
    http = Http(port)
    assert http.get("/api/v1/patterns/1/approve", {"Authorization": "Bearer "}, b"")[0] == 403
    assert http.get("/api/v1/config", {"Host": "evil.example"})[0] == 421  # a foreign name that leads here
    assert http.get("/api/v1/config", {"Host": f"localhost:{port}"})[0] == 200


def test_ready_says_why_not_and_metrics_work_while_it_drains(start_pgmend: Any, postgres: harness.Postgres) -> None:
    proxy, http = with_http(start_pgmend)
    assert json.loads(http.get("/readyz")[2]) == {"ready": True, "reasons": []}
    busy = psycopg.connect(harness.conninfo(proxy.port))
    busy.execute("SELECT 1")  # a transaction is open
    proxy.send_signal(15)
    status, _, body = harness.wait_until(lambda: (a := http.get("/readyz")) and a[0] == 503 and a, "it is not ready any more")
    assert "stopping" in body
    assert http.get("/livez")[0] == 200
    assert http.metrics()["pgmend_draining"] == 1
    busy.close()
    assert proxy.wait() == 0
    dead = harness.free_port()
    other, lonely = with_http(start_pgmend)
    other.wait_for_event("proxy.started")  # from then on it hears signals
    other.config["backends"][0]["port"] = dead
    other.write_config()
    other.reload()
    other.wait_for_event("config.reloaded")
    body = harness.wait_until(lambda: (a := lonely.get("/readyz")) and a[0] == 503 and a[2], "the backend is missed")
    assert "no backend can serve: primary" in body


def test_an_open_breaker_is_in_the_metrics_and_in_readyz(start_pgmend: Any, postgres: harness.Postgres) -> None:
    proxy, http = with_http(start_pgmend)
    with psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True) as admin:
        admin.execute("TRIP BREAKER primary.statements")
        status, _, body = http.get("/readyz")
        assert status == 503
        assert json.loads(body)["reasons"] == ['no backend can serve: primary: circuit breaker "primary.statements" is open: tripped by postgres']
        with pytest.raises(psycopg.OperationalError, match="circuit breaker is open"):
            psycopg.connect(harness.conninfo(proxy.port))
        seen = http.metrics()
        states = {name: n for name, n in seen.items() if name.startswith('pgmend_breaker_state{breaker="primary.statements"')}
        assert sum(states.values()) == 1 and states['pgmend_breaker_state{breaker="primary.statements",state="tripped"}'] == 1
        assert seen['pgmend_breaker_state{breaker="primary",state="closed"}'] == 1
        assert seen['pgmend_breaker_opened_total{breaker="primary.statements"}'] == 1
        assert seen['pgmend_breaker_refused_total{breaker="primary.statements"}'] >= 1
        assert seen["pgmend_ready"] == 0
        harness.wait_until(lambda: http.metrics()['pgmend_backend_role{backend="primary",role="primary"}'] == 1, "it was asked for its role")
        admin.execute("RESET BREAKER primary.statements")
        assert http.get("/readyz")[0] == 200
        assert http.metrics()['pgmend_breaker_state{breaker="primary.statements",state="closed"}'] == 1


def test_breakers_that_trip_often_raise_a_trigger(start_pgmend: Any, postgres: harness.Postgres) -> None:
    way = faults.Way(postgres.port)
    proxy = start_pgmend(backend={"port": way.port}, breaker={"consecutive_failures": 1, "open_for": "1ms", "max_open_for": "1ms", "half_open_probes": 1})
    nowhere = harness.free_port()

    def comes_and_goes() -> bool:
        way.target = nowhere  # what connects is hung up on
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(harness.conninfo(proxy.port))
        way.target = postgres.port
        faults.wait_for_session(proxy.port)
        return bool(proxy.events("optimizer.decided"))

    harness.wait_until(comes_and_goes, "the monitor says so", 60)
    said = proxy.events("optimizer.decided")[0]
    assert said["trigger"] == "breaker_trips" and said["raised"] and "tripped" in said["reason"] and said["figure"] > said["limit"], said
    way.close()


def raw(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), harness.LIMIT) as s:
        s.settimeout(harness.LIMIT)
        try:
            s.sendall(data)
            out = b""
            while part := s.recv(65536):
                out += part
        except ConnectionResetError:
            pass
        return out


def test_what_is_no_request_is_refused_and_nothing_is_kept_waiting(start_pgmend: Any) -> None:
    proxy, http = with_http(start_pgmend)
    assert raw(http.port, b"\x00\x01\x02\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(http.port, b"GET / HTTP/1.1\r\nX: " + b"a" * 20000).startswith(b"HTTP/1.1 431")
    assert raw(http.port, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n").startswith(b"HTTP/1.1 413")
    assert raw(http.port, b"GET http://x/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(http.port, b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(http.port, b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 404")
    assert raw(http.port, b"HEAD /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").endswith(b"\r\n\r\n")
    two = raw(http.port, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert two.count(b"HTTP/1.1 200") == 2  # pipelined
    idle = [socket.create_connection(("127.0.0.1", http.port)) for _ in range(80)]  # more than there are places for
    for s in idle:
        s.close()

    def answers() -> bool:
        with contextlib.suppress(ConnectionError):  # until it has seen that the others are gone there is no place for one more
            return http.get("/livez")[0] == 200
        return False

    harness.wait_until(answers, "it answers again")
    assert proxy.alive()


#: What prometheus-community/pgbouncer_exporter and Debian's prometheus-pgbouncer-exporter 1.7 ask, and the columns that they cannot do without.
#: The latter asks for total_requests, which PgBouncer has not had since 1.8.
EXPORTER = {
    "SHOW STATS": ["database", "total_requests", "total_xact_count", "total_query_count", "total_received", "total_sent", "total_xact_time", "total_query_time", "total_wait_time"],
    "SHOW POOLS": ["database", "user", "cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login", "maxwait", "maxwait_us"],
    "SHOW DATABASES": ["name", "host", "port", "database", "force_user", "pool_size", "reserve_pool", "pool_mode", "max_connections", "current_connections", "paused", "disabled"],
    "SHOW LISTS": ["list", "items"],
    "SHOW CONFIG": ["key", "value"],
    "SHOW VERSION": ["version"],
}


def test_pgbouncers_exporter_finds_what_it_asks_for(start_pgmend: Any) -> None:
    proxy, _ = with_http(start_pgmend)
    with psycopg.connect(harness.conninfo(proxy.port)) as client:
        client.execute("SELECT 1")
        client.commit()
        with psycopg.connect(harness.conninfo(proxy.port, "pgbouncer"), autocommit=True) as exporter:
            for question, columns in EXPORTER.items():
                cursor = exporter.execute(question)
                names = [c.name for c in cursor.description or []]
                assert set(columns) <= set(names), question
                rows = [dict(zip(names, row)) for row in cursor.fetchall()]
                assert rows, question
                for row in rows:
                    for name in columns[1:]:
                        if name not in ("user", "host", "database", "force_user", "pool_mode", "value", "version"):
                            assert isinstance(row[name], (int, float)), (question, name)
            (stats,) = [r for r in exporter.execute("SHOW STATS").fetchall() if r[0] == "test"]
            assert stats[2] >= 2 and stats[3] > 0 and stats[4] > 0
            lists = dict(exporter.execute("SHOW LISTS").fetchall())
            assert {"databases", "users", "pools", "free_clients", "used_clients", "login_clients", "free_servers", "used_servers", "dns_names"} <= set(lists)
            assert "max_client_conn" in [r[0] for r in exporter.execute("SHOW CONFIG").fetchall()]


@pytest.mark.skipif(not pathlib.Path("/usr/sbin/pgbouncer").exists(), reason="pgbouncer is not installed")
def test_where_pgbouncer_has_the_same_command_its_columns_come_first_and_in_its_order(start_pgmend: Any, postgres: harness.Postgres) -> None:
    proxy = start_pgmend()
    bouncer = harness.PgBouncer(postgres, other="stats_users = trust")
    try:
        with psycopg.connect(harness.conninfo(proxy.port, "pgbouncer"), autocommit=True) as ours, \
             psycopg.connect(harness.conninfo(bouncer.port, "pgbouncer", user="trust"), autocommit=True, cursor_factory=psycopg.ClientCursor) as theirs:
            told: list[str] = []
            theirs.add_notice_handler(lambda d: told.append(d.message_detail or ""))
            theirs.execute("SHOW HELP")
            asked = [command for words in re.findall(r"SHOW ([A-Z_|]+)", told[0]) for command in words.split("|") if command != "HELP"]
            assert len(asked) > 15 and "TOTALS" in asked, told
            for command in asked:
                if command in ("FDS", "SOCKETS", "ACTIVE_SOCKETS", "DNS_HOSTS", "DNS_ZONES"):
                    with pytest.raises(psycopg.errors.SyntaxError, match="SHOW SERVERS"): # where to look
                        ours.execute(f"SHOW {command}")
                    continue
                there = [c.name for c in theirs.execute(f"SHOW {command}").description or []]
                here = [c.name for c in ours.execute(f"SHOW {command}").description or []]
                assert there and here[:len(there)] == there, command
                if command in ("STATS_TOTALS", "STATS_AVERAGES", "TOTALS"):
                    assert here == there, command
            assert [r[0] for r in ours.execute("SHOW TOTALS").fetchall()] == [r[0] for r in theirs.execute("SHOW TOTALS").fetchall()]
    finally:
        bouncer.stop()


@pytest.mark.skipif(not pathlib.Path("/usr/sbin/pgbouncer").exists(), reason="pgbouncer is not installed")
def test_the_same_traffic_is_the_same_figures_in_pgbouncer(start_pgmend: Any, postgres: harness.Postgres) -> None:
    """Statements, transactions and bytes of clients, in the same columns. Times differ by nature, and so do the bytes of the login."""
    proxy = start_pgmend()
    bouncer = harness.PgBouncer(postgres, other="stats_users = trust")
    try:
        def grown(port: int, user: str) -> tuple[tuple[int, ...], dict[str, int]]:
            with psycopg.connect(harness.conninfo(port, "pgbouncer", user=user), autocommit=True, cursor_factory=psycopg.ClientCursor) as admin, \
                 frames.Client(port) as app:
                app.log_in(user="trust", database="test")
                app.rows("SELECT 1") # what is begun is counted

                def figures(table: str) -> tuple[int, ...]:
                    return next(tuple(map(int, r[1:])) for r in admin.execute(f"SHOW {table}").fetchall() if r[0] == "test")

                before, all_before = figures("STATS_TOTALS"), dict(admin.execute("SHOW TOTALS").fetchall())
                for text in ("SELECT 2", "BEGIN", "SELECT 3", "COMMIT", "SELECT repeat('x', 1000)"):
                    app.rows(text)
                after, all_after = figures("STATS_TOTALS"), dict(admin.execute("SHOW TOTALS").fetchall())
                assert figures("STATS")[:7] == after
                return tuple(b - a for a, b in zip(before, after)), {k: int(all_after[k] - all_before[k]) for k in all_after}

        ours, ours_in_all = grown(proxy.port, "postgres")
        theirs, theirs_in_all = grown(bouncer.port, "trust")
        assert ours[:4] == theirs[:4], (ours, theirs)  # transactions, statements, bytes received and sent
        assert {k: ours_in_all[k] for k in ("total_client_bytes", "total_server_bytes")} == {k: theirs_in_all[k] for k in ("total_client_bytes", "total_server_bytes")}
        assert 0 < ours[5] <= ours[4]  # a transaction's statements are a part of it
    finally:
        bouncer.stop()


def test_some_users_may_only_look(start_pgmend: Any) -> None:
    proxy = start_pgmend(admin={"users": ["postgres"], "stats_users": ["trust"]})
    with psycopg.connect(harness.conninfo(proxy.port, "pgmend", user="trust"), autocommit=True) as looker:
        looker.execute("SHOW STATS")
        for command in ("PAUSE", "RELOAD", "APPROVE PATTERN 1", "KILL", "SHUTDOWN"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                looker.execute(command)
    assert proxy.alive()


def test_pause_lets_transactions_end_and_holds_the_next_back(start_pgmend: Any) -> None:
    proxy = start_pgmend()
    with psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True) as admin, \
         psycopg.connect(harness.conninfo(proxy.port)) as busy, \
         psycopg.connect(harness.conninfo(proxy.port), autocommit=True) as idle, concurrent.futures.ThreadPoolExecutor(3) as pool:
        busy.execute("SELECT 1")  # a transaction is open
        paused = pool.submit(admin.execute, "PAUSE test")
        held = pool.submit(lambda: (idle.execute("SELECT 1").fetchone(), time.monotonic()))
        busy.execute("SELECT 2")  # it may go on
        assert not paused.done()
        busy.commit()
        paused.result(harness.LIMIT)
        assert {r[0]: r[11] for r in admin.execute("SHOW DATABASES").fetchall()}["test"] == 1
        # A statement that is sent now waits until RESUME.
        later = pool.submit(lambda: (busy.execute("SELECT 3").fetchone(), time.monotonic()))
        with pytest.raises(concurrent.futures.TimeoutError):
            later.result(0.2)
        before = time.monotonic()
        admin.execute("RESUME test")
        assert {r[0]: r[11] for r in admin.execute("SHOW DATABASES").fetchall()}["test"] == 0
        assert later.result(harness.LIMIT)[1] >= before
        assert held.result(harness.LIMIT)[0] == (1,)
        busy.commit()
        admin.execute('KILL "test"')
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
        busy.close()
        with psycopg.connect(harness.conninfo(proxy.port), autocommit=True) as again:
            assert again.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.errors.SyntaxError):
            admin.execute("PAUSE one two")


def test_pause_does_not_wait_for_replication_connections_and_says_so(start_pgmend: Any, postgres: harness.Postgres, database: str) -> None:
    proxy = start_pgmend()
    slot = f"pause_{database}"
    postgres.run(f"SELECT pg_create_logical_replication_slot('{slot}', 'test_decoding')", "CREATE TABLE t (id int)", database=database)
    told: list[str | None] = []
    with frames.Client(proxy.port) as stream, psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True) as admin, \
         psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as app, concurrent.futures.ThreadPoolExecutor(1) as pool:
        admin.add_notice_handler(lambda d: told.append(d.message_primary))
        stream.log_in(user="postgres", database=database, replication="database")
        stream.send(frames.query(f"START_REPLICATION SLOT {slot} LOGICAL 0/0"))
        stream.until("W")
        assert ("logical", database) in [(r[18], r[2]) for r in admin.execute("SHOW CLIENTS").fetchall()]
        admin.execute(f"PAUSE {database}")
        assert told == ["1 replication connection goes on"]
        held = pool.submit(lambda: app.execute("SELECT 1").fetchone())
        admin.execute("PAUSE") # of all
        assert len(told) == 2
        postgres.run("INSERT INTO t VALUES (1)", database=database)
        while b"INSERT: id[integer]:1" not in stream.until("d")[-1].body: # it streams on
            pass
        assert not held.done()
        admin.execute("RESUME")
        assert held.result(harness.LIMIT) == (1,)
        admin.execute(f"KILL {database}")
        stream.until_closed()
        harness.wait_until(lambda: (told.clear(), admin.execute("PAUSE"), not told)[-1], "it is gone, and there is nothing to say")
        admin.execute("RESUME")
    harness.wait_until(lambda: not postgres.run(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'")[0][0], "the stream has ended")
    postgres.run(f"SELECT pg_drop_replication_slot('{slot}')", database=database)


def test_a_scrape_is_quick_with_many_clients_and_patterns(start_pgmend: Any, postgres: harness.Postgres) -> None:
    """Prints how long; no time decides."""
    proxy, http = with_http(start_pgmend)
    clients = [psycopg.connect(harness.conninfo(proxy.port)) for _ in range(100)]
    took = []
    for _ in range(10):
        began = time.perf_counter()
        http.get("/metrics")
        took.append(time.perf_counter() - began)
    print("scrape with 100 clients, ms:", round(1000 * sorted(took)[len(took) // 2], 1))
    for client in clients:
        client.close()


ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_alerts() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(ROOT / "conf" / "prometheus-alerts.yml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_every_query_of_the_dashboard_and_the_alerts_finds_something_in_a_real_scrape(start_pgmend: Any, postgres: harness.Postgres) -> None:
    proxy, http = with_http(start_pgmend)
    drifted(postgres, proxy, "http_dashboard")
    port = harness.free_port()
    directory = proxy.directory / "prometheus"
    directory.mkdir()
    (directory / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: pgmend, static_configs: [{{targets: ['127.0.0.1:{http.port}']}}]}}]\n")
    server = harness.Daemon("prometheus")
    server.port = port
    server.spawn(["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}"])
    try:
        server.wait_ready()
        asked = Http(port)

        def query(text: str) -> list[Any]:
            status, _, body = asked.get("/api/v1/query?query=" + urllib.parse.quote(text))
            assert status == 200, (text, body)
            return json.loads(body)["data"]["result"]

        harness.wait_until(lambda: asked.get("/-/ready")[0] == 200, "Prometheus is ready")
        harness.wait_until(lambda: len(query("count_over_time(pgmend_ready[1m]) >= 3")) > 0, "three scrapes")
        dashboard = json.loads((ROOT / "conf" / "grafana-dashboard.json").read_text())
        queries = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]
        assert len(queries) > 10
        for text in queries:
            concrete = text.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$__range", "1m")
            assert query(concrete) or "or vector" in text, text
        import yaml

        for group in yaml.safe_load((ROOT / "conf" / "prometheus-alerts.yml").read_text())["groups"]:
            for rule in group["rules"]:
                query(rule["expr"])  # a healthy proxy raises none, but each must be understood
                for name in re.findall(r"\b(?:pgmend|process)_[a-z_]+", rule["expr"]):
                    assert query(f'{{__name__="{name}"}}'), f"{rule['alert']} asks for {name}, which there is not"
    finally:
        server.kill()
