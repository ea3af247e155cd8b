"""`pgmend explain`: what would happen to a statement, told by the versions kept and by the server itself."""

from __future__ import annotations

import subprocess

import psycopg
import pytest

import harness

pytestmark = pytest.mark.pgmend


@pytest.fixture
def explained(postgres, start_pgmend, database, tmp_path):
    """A function that explains a statement, after a migration that a pgmend with a state file has seen."""
    state = tmp_path / "state.db"
    postgres.run("CREATE TABLE users (id int PRIMARY KEY, email text, legacy bool, n int)", database=database)
    proxy = start_pgmend(control="user=postgres", state=str(state))

    def versions() -> str:
        return subprocess.run([harness.BINARY, "schema", "diff", "--state", state, "--database", database], capture_output=True, text=True).stdout

    with psycopg.connect(harness.conninfo(proxy.port, database, user="trust"), autocommit=True) as client:
        client.execute("SELECT 1")
        harness.wait_until(lambda: "version 1" in versions(), "the first version is kept")
        postgres.run("ALTER TABLE users RENAME COLUMN email TO email_address; ALTER TABLE users DROP COLUMN legacy", database=database)
        harness.wait_until(lambda: "email_address" in versions(), "the second one is")
    proxy.finish()

    def explain(sql: str, *options: str, name: str = database, live: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        server = ("--backend", f"{harness.HOST}:{postgres.port}", "--control", "user=postgres") if live else ()
        return subprocess.run([harness.BINARY, "explain", "--state", state, "--database", name, *server, *options, sql],
                              capture_output=True, text=True, input=stdin)

    return explain


def test_what_is_healed_is_shown_as_a_diff(explained):
    for live in (True, False):
        done = explained("SELECT id,\n  email\nFROM users", live=live)
        assert (done.returncode, done.stderr) == (0, "")
        assert "tier       1: rewritten before it is sent\nevidence   lineage\npattern    column public.users.email -> email_address\n" in done.stdout
        assert "\n  SELECT id,\n-   email\n+   email_address AS email\n  FROM users\n" in done.stdout
        assert ("PostgreSQL accepts the rewritten text" in done.stdout) == live


def test_reasons_for_refusing(explained):
    assert "forward_drift: column \"nosuch\": no version of this schema had it" in explained("SELECT email, nosuch FROM users").stdout
    proposed = explained("SELECT legacy FROM users").stdout
    assert "refused    policy_propose: " in proposed and "+ SELECT (NULL::pg_catalog.bool) AS legacy FROM users\n" in proposed


def test_what_the_server_says_of_a_text_without_drift(explained):
    assert "tier       0: sent as it is; it mentions nothing that has changed\n\nPostgreSQL accepts it\n" in explained("SELECT 1").stdout
    assert "tier       0: sent as it is; its names mean what they meant\n\nPostgreSQL accepts it\n" in explained("SELECT n FROM users").stdout
    wrong = explained("SELECT n FROM nowhere").stdout
    assert "tier       2: PostgreSQL refuses it, and the client gets that error: relation \"nowhere\" does not exist (42P01)\n" in wrong
    assert "was not asked" in explained("SELECT n FROM nowhere", live=False).stdout


def test_rules_and_who_sends_it(explained, tmp_path, postgres, database):
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - { name: old, column: users.legacy, gone: { read: \"false\" }, when: { application_name: ^old } }\n")
    config = tmp_path / "pgmend.yaml"
    config.write_text(f"backends:\n  - {{ host: {harness.HOST}, port: {postgres.port} }}\ncontrol: user=postgres\nrules: {rules}\n")
    old = explained("SELECT legacy FROM users", "-c", str(config), "--application-name", "old shop", live=False)
    assert "evidence   rule\n" in old.stdout, old.stdout + old.stderr
    assert "evidence   rule\n" not in explained("SELECT legacy FROM users", "-c", str(config), "--application-name", "new", live=False).stdout


def test_from_standard_input_and_with_mistakes(explained):
    assert "+ SELECT email_address AS email FROM users" in explained("-", stdin="SELECT email FROM users").stdout
    assert explained("SELECT 1", name="nope", live=False).stderr.startswith("pgmend: database nope is not in ")
    unknown = explained("SELECT email FROM users", "--user", "nobody")
    assert "the server was not asked: role \"nobody\" does not exist" in unknown.stderr
    assert "not a type that is known here: wrong" in explained("SELECT $1", "--parameters", "int4,wrong").stderr
    nothing = subprocess.run([harness.BINARY, "explain", "SELECT 1"], capture_output=True, text=True)
    assert nothing.returncode == 2 and "explain needs to know the schema" in nothing.stderr


def test_decisions_on_patterns_count(postgres, start_pgmend, database):
    postgres.run("CREATE TABLE users (id int, email text, legacy bool)", database=database)
    proxy = start_pgmend(control="user=postgres", state="pgmend.db")
    harness.know(proxy, database)

    def explain(sql: str) -> str:
        return subprocess.run([harness.BINARY, "explain", "-c", proxy.config_path, "--database", database, sql], capture_output=True, text=True, cwd=proxy.directory).stdout

    with psycopg.connect(harness.conninfo(proxy.port, database), autocommit=True) as app, psycopg.connect(harness.conninfo(proxy.port, "pgmend"), autocommit=True) as admin:
        postgres.run("ALTER TABLE users RENAME COLUMN email TO email_address", "ALTER TABLE users DROP COLUMN legacy", database=database)
        app.execute("SELECT email FROM users")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            app.execute("SELECT legacy FROM users")
        found = harness.wait_until(lambda: (p := {row[2]: row[0] for row in admin.execute("SHOW PATTERNS").fetchall()}) and len(p) == 2 and p, "both are patterns")
        renamed = next(number for text, number in found.items() if "email" in text)
        dropped = next(number for text, number in found.items() if "legacy" in text)
        harness.wait_until(lambda: f"[pattern {renamed}, active]" in explain("SELECT email FROM users"), "it is in the state")
        assert f"[pattern {dropped}, proposed]" in explain("SELECT legacy FROM users")
        admin.execute(f"SUSPEND PATTERN {renamed}")
        assert "refused    suspended: " in explain("SELECT email FROM users")
        admin.execute(f"APPROVE PATTERN {dropped}")
        assert "evidence   approved\n" in explain("SELECT legacy FROM users")
