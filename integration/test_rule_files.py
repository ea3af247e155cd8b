"""Rule files: read at the start, on SIGHUP and when they are saved; a bad one changes nothing."""
import subprocess
import threading

import psycopg
import pytest

import harness

GOOD = "rules:\n  - { name: users-email, column: users.email, now: email_address }\n"
BAD = "rules:\n  - { name: users-email, colum: users.email, now: email_address }\n"
MORE = GOOD + "  - { name: customers, table: customers, now: crm.clients }\n"


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules.d"
    folder.mkdir()
    (folder / "shop.yaml").write_text(GOOD)
    return folder


def count(proxy, event):
    return len(proxy.events(event))


def test_a_bad_rule_file_keeps_pgmend_from_starting(rules, postgres):
    (rules / "shop.yaml").write_text(BAD)
    proxy = harness.Pgmend(postgres, start=False, rules=str(rules))
    done = subprocess.run([harness.BINARY, "serve", "-c", proxy.config_path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert f'{rules}/shop.yaml:2:26: error: unknown key "colum"; did you mean "column"?' in done.stderr
    checked = subprocess.run([harness.BINARY, "check", "-c", proxy.config_path], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 1 and "colum" in checked.stderr


def test_check_counts_rules_and_files(rules, postgres):
    proxy = harness.Pgmend(postgres, start=False, rules=str(rules), control="user=postgres")
    done = subprocess.run([harness.BINARY, "check", "-c", proxy.config_path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert ": ok, 1 rule in 1 file" in done.stdout


def test_check_asks_the_server_whether_the_rules_lead_anywhere(rules, postgres, database):
    postgres.run("CREATE TABLE users (id int, email_address text)", database=database)
    text = f"rules:\n  - {{ name: a, column: users.email, now: email_adress, when: {{ database: {database} }} }}\n"
    (rules / "shop.yaml").write_text(text)
    proxy = harness.Pgmend(postgres, start=False, rules=str(rules), control=f"user=postgres dbname={database}")
    done = subprocess.run([harness.BINARY, "check", "-c", proxy.config_path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert f'shop.yaml:2:5: warning: rule a: in database {database} public.users has no column "email_adress"; did you mean "email_address"?' in done.stderr
    (rules / "shop.yaml").write_text(text.replace("email_adress", "email_address"))
    done = subprocess.run([harness.BINARY, "check", "-c", proxy.config_path], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reload_reports_rules_that_lead_nowhere(rules, start_pgmend, postgres, database):
    postgres.run("CREATE TABLE users (id int, email_address text)", database=database)
    proxy = start_pgmend(rules=str(rules), control="user=postgres", log={"format": "json", "level": "debug"})
    with psycopg.connect(harness.conninfo(proxy.port, database)) as connection: # its schema is known then
        connection.execute("SELECT 1")
        proxy.wait_for_event("catalog.loaded", lambda e: e.get("database") == database)
        (rules / "shop.yaml").write_text(f"rules: [ {{ name: a, column: users.email, now: email_adress, when: {{ database: {database} }} }} ]")
        proxy.reload()
        assert 'did you mean "email_address"?' in proxy.wait_for_event("rules.doubtful")["reason"]


def test_sighup_reads_all_rules_or_none(rules, start_pgmend):
    proxy = start_pgmend(rules=str(rules))
    assert proxy.wait_for_event("proxy.started")["rules"] == 1
    (rules / "shop.yaml").write_text(MORE)
    (rules / "z.yaml").write_text(BAD)
    proxy.reload()
    assert 'z.yaml:2:26: error: unknown key "colum"' in proxy.wait_for_event("config.rejected")["reason"]
    (rules / "z.yaml").unlink()
    proxy.reload()
    assert proxy.wait_for_event("config.reloaded")["rules"] == 2


def test_a_saved_rule_file_is_read_by_itself(rules, start_pgmend):
    proxy = start_pgmend(rules={"path": str(rules), "watch": True})
    proxy.wait_for_event("proxy.started")
    (rules / "shop.yaml").write_text(MORE)
    proxy.wait_for_event("config.reloaded", lambda e: e["rules"] == 2)
    # As editors do it: a new file, renamed over the old one.
    (rules / ".shop.yaml.new").write_text(GOOD)
    (rules / ".shop.yaml.new").rename(rules / "shop.yaml")
    proxy.wait_for_event("config.reloaded", lambda e: e["rules"] == 1)


def test_a_file_that_is_edited_under_load_fails_no_statement(rules, start_pgmend, postgres, database):
    """Statements that live on the rules, and others: an old application's reads and writes in blocks, prepared ones, a pipeline."""
    postgres.run("CREATE TABLE users (id int PRIMARY KEY, email_address text)", "INSERT INTO users SELECT n, 'a' || n FROM generate_series(1, 50) AS n",
                 "CREATE SCHEMA crm", "CREATE TABLE crm.clients (id int)", "INSERT INTO crm.clients VALUES (1)", database=database)
    proxy = start_pgmend(control="user=postgres", rules={"path": str(rules), "watch": True})
    harness.know(proxy, database)
    failures, counts, done = [], [0] * 4, threading.Event()

    def simple(connection, n):
        with connection.transaction():
            assert connection.execute("SELECT email FROM users WHERE id = 7").fetchall() == [("a7",)]
            connection.execute("UPDATE users SET email = 'a7' WHERE id = 7")

    def with_parameters(connection, n):
        assert connection.execute("SELECT email FROM users WHERE id = %s", (n % 50 + 1,)).fetchall() == [(f"a{n % 50 + 1}",)]

    def prepared(connection, n):
        assert connection.execute("SELECT id FROM users WHERE email = %s", ("a9",), prepare=True).fetchall() == [(9,)]

    def pipelined(connection, n):
        with connection.pipeline():
            answers = [connection.execute("SELECT id FROM crm.clients WHERE id <= %s", (k,)) for k in range(1, 4)]
        assert all(it.fetchall() == [(1,)] for it in answers)

    def work(number, statement):
        try:
            with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as connection:
                while not done.is_set():
                    statement(connection, counts[number])
                    counts[number] += 1
        except (psycopg.Error, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=it) for it in enumerate((simple, with_parameters, prepared, pipelined))]
    for thread in threads:
        thread.start()

    def goes_on():
        """Each thread, after what has just happened."""
        before = list(counts)
        harness.wait_until(lambda: failures or all(now > then + 5 for now, then in zip(counts, before)), "statements run")

    def save(text, event, what):
        before = count(proxy, event)
        (rules / "shop.yaml").write_text(text)
        harness.wait_until(lambda: count(proxy, event) > before, what)
        goes_on()

    try:
        goes_on()
        for _ in range(3):
            save("", "config.rejected", "an emptied file is refused")
            save(MORE[: len(GOOD) + 20], "config.rejected", "half a file is refused")
            save(BAD, "config.rejected", "a wrong file is refused")
            save(GOOD + GOOD.splitlines()[1].replace("email_address", "mail") + "\n", "config.rejected", "a contradiction is refused")
            save(MORE, "config.reloaded", "the right one is read")
            refused = count(proxy, "config.rejected")
            (rules / "shop.yaml").write_text(MORE)           # saved again as it was: nothing to say
            (rules / "note.txt").write_text("of no interest")
            save(GOOD, "config.reloaded", "another one, too")
            assert count(proxy, "config.rejected") == refused
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[0]


MISTAKES = """rules:
  - {{ name: good, column: users.email, now: email_address, when: {{ database: {database} }} }}
  - {{ name: column, column: users.name, now: full_nam, when: {{ database: {database} }} }}
  - {{ name: labels, statement: "SELECT id FROM users", replace: "SELECT id AS key FROM users", when: {{ database: {database} }} }}
  - {{ name: types, statement: "SELECT email_address FROM users", replace: "SELECT email_address::varchar AS email_address FROM users", when: {{ database: {database} }} }}
  - {{ name: missing, statement: "SELECT x FROM gone", replace: "SELECT y AS x FROM users", when: {{ database: {database} }} }}
  - {{ name: read, column: users.flag, gone: {{ read: "nosuch IS NULL" }}, when: {{ database: {database} }} }}
  - {{ name: default, column: users.id, default: "'one'", when: {{ database: {database} }} }}
  - {{ name: fine, column: users.other, gone: {{ read: "id + 1", write: discard }} }}
  - {{ name: fine-too, column: users.email_address, default: "now()::text" }}
"""


def test_what_the_server_does_not_bear_out_is_told_by_check_at_the_start_and_on_reload(rules, start_pgmend, postgres, database):
    postgres.run("CREATE TABLE users (id int, email_address text, full_name text)", database=database)
    (rules / "shop.yaml").write_text(MISTAKES.format(database=database))
    expected = (":3:5: warning: rule column: in database {0} public.users has no column \"full_nam\"; did you mean \"full_name\"?",
                ":4:5: warning: rule labels: in database {0} replace answers with other columns: key (type 23), not id (type 23)",
                ":5:5: warning: rule types: in database {0} replace answers with other columns: email_address (type 1043), not email_address (type 25)",
                ":6:5: warning: rule missing: in database {0} PostgreSQL refuses what replace says: column \"y\" does not exist (42703)",
                ":7:5: warning: rule read: in database {0} PostgreSQL refuses what gone.read says: column \"nosuch\" does not exist (42703)",
                ":8:5: warning: rule default: in database {0} PostgreSQL refuses what default says: invalid input syntax for type integer: \"one\" (22P02)")
    expected = [f"{rules}/shop.yaml{it.format(database)}" for it in expected]
    proxy = harness.Pgmend(postgres, start=False, rules=str(rules), control=f"user=postgres dbname={database}")
    done = subprocess.run([harness.BINARY, "check", "-c", proxy.config_path], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr.splitlines()) == (0, expected)
    proxy = start_pgmend(rules=str(rules), control="user=postgres")
    told = proxy.wait_for_event("rules.doubtful")
    assert (told["count"], told["reason"].splitlines()) == (6, expected)
    proxy.reload()
    harness.wait_until(lambda: count(proxy, "rules.doubtful") == 2, "it is told again")


def test_rules_that_contradict_each_other_are_refused_everywhere(rules, start_pgmend, postgres):
    proxy = start_pgmend(rules=str(rules))
    (rules / "z.yaml").write_text("rules:\n  - name: other\n    column: users.email\n    now: mail\n")
    expected = f'{rules}/z.yaml:4:5: error: contradicts rule "users-email" ({rules}/shop.yaml:2)'
    with psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True) as admin:
        with pytest.raises(psycopg.Error, match="contradicts rule"):
            admin.execute("RELOAD")
    assert expected in proxy.wait_for_event("config.rejected")["reason"]
    for command in ("check", "serve"):
        done = subprocess.run([harness.BINARY, command, "-c", proxy.config_path], capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and expected in done.stderr
