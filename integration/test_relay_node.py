"""node-postgres through the proxy."""

from __future__ import annotations

import json

import pytest

import harness

STEPS = ("simple", "parameters", "binary", "prepared", "errors", "transaction", "cursor", "copy", "notices_and_notifications", "big_result",
         "queue_without_waiting", "pool")


def node(port: int, database: str, *steps: str, user: str = "postgres", script: str = "relay.js", **options) -> str:
    settings = {"host": harness.HOST, "port": port, "user": user, "database": database, **options}
    return harness.run(["node", harness.ROOT / "integration" / "node" / script, json.dumps(settings), *steps]).stdout


@pytest.mark.parametrize("step", STEPS)
def test_node_postgres(target, database, step):
    assert node(target.port, database, step) == f"ok {step}\n"
