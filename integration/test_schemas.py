"""The JSON Schemas for editors, judged by a validator that knows nothing of pgmend: they take what pgmend takes, and refuse what it refuses."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import jsonschema
import pytest
import yaml

import harness

SETTINGS = """
listen: { address: 127.0.0.1, port: 6432, tls: { mode: prefer, cert: server.crt, key: server.key } }
backends:
  - { name: primary, host: 127.0.0.1, port: 5432, role: primary }
control: "user=pgmend"
healing:
  mode: heal
  notice: true
  transaction_guard: savepoint
  silent: report
  policy: { similarity: { reads: propose } }
breaker: { window: 20, failure_rate: 50%, open_for: 5s, half_open_probes: 2 }
rules: rules.d
state: pgmend.db
admin: { database: pgmend, users: [postgres], http: 127.0.0.1:9632 }
log: { format: json, level: info, statements: normalized }
"""
RULES = """
rules:
  - { name: users-email,   column: public.users.email,  now: email_address }
  - { name: customers,     table: customers,            now: crm.clients }
  - { name: legacy-flag,   column: users.legacy_flag,   gone: { read: "false", write: discard } }
  - { name: order-region,  column: orders.region,       default: "'eu'" }
  - { name: sad,           enum: mood.sad,              now: unhappy }
  - { name: total,         function: calc_total,        now: billing.total }
  - { name: pin-users,     table: users,                star: [id, email, created_at] }
  - name: old-report
    statement: SELECT id, total FROM invoices WHERE customer = $1
    replace:   SELECT id, net + tax AS total FROM billing.invoices WHERE customer_id = $1
  - name: dashboard
    statement: SELECT count(*) FROM orders
    fallback: { stale: 5m }
  - name: bulk-events
    table: events
    on_error: { split: rows, dead_letter: true }
  - { name: all, table: a, now: b, mode: observe, when: { database: shop, user: [app, batch], application_name: ^legacy }, expires: 2030-12-31, comment: why }
"""


def read(text: str) -> Any:
    """As editors do: JSON has no dates."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def mistakes(schema: str, document: Any) -> list[str]:
    rules = json.loads((harness.ROOT / "conf" / schema).read_text())
    jsonschema.Draft7Validator.check_schema(rules)
    return [error.message for error in jsonschema.Draft7Validator(rules).iter_errors(document)]


def test_every_documented_form_is_taken() -> None:
    assert mistakes("pgmend.schema.json", read(SETTINGS)) == []
    assert mistakes("rules.schema.json", read(RULES)) == []
    assert mistakes("pgmend.schema.json", read((harness.ROOT / "conf" / "pgmend.yaml").read_text())) == []
    for file in (harness.ROOT / "conf" / "rules.d").iterdir():
        assert mistakes("rules.schema.json", read(file.read_text())) == []


def every_mapping(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    here = [path] if isinstance(document, dict) else []
    return here + [found for key, value in items for found in every_mapping(value, (*path, key))]


@pytest.mark.parametrize("schema, text", [("pgmend.schema.json", SETTINGS), ("rules.schema.json", RULES)])
def test_an_unknown_key_is_refused_wherever_it_stands(schema: str, text: str) -> None:
    for path in every_mapping(read(text)):
        document = read(text)
        mapping = document
        for key in path:
            mapping = mapping[key]
        mapping["colum"] = "x"
        assert mistakes(schema, document), f"an unknown key in {path} is taken"


@pytest.mark.parametrize("wrong", ["{ name: a, column: users.email }", "{ column: users.email, now: mail }", "{ name: a, table: t, now: u, mode: of }",
                                   "{ name: a, table: t, on_error: { split: row } }", "{ name: a, column: c.d, now: e, default: '1' }"])
def test_what_pgmend_refuses_the_schema_refuses(wrong: str, postgres: harness.Postgres) -> None:
    text = f"rules:\n  - {wrong}\n"
    assert mistakes("rules.schema.json", read(text))
    proxy = harness.Pgmend(postgres, start=False, rules="rules.yaml")
    (proxy.directory / "rules.yaml").write_text(text)
    done = subprocess.run([harness.BINARY, "check", "-c", proxy.config_path], capture_output=True, text=True, timeout=30, cwd=proxy.directory)
    assert done.returncode == 1 and "rules.yaml:2:" in done.stderr
