"""A few hundred generated statements of a fixed seed (generated_heals.py has more, of any seed)."""

from __future__ import annotations

import pytest

import generated_heals


@pytest.fixture(scope="module")
def servers(postgres):
    servers = generated_heals.Servers(postgres)
    yield servers
    servers.stop()


@pytest.mark.pgmend
@pytest.mark.parametrize("seed", (1,), ids=("fixed",))
def test_no_wrong_row(servers, seed):
    print(f"seed {seed}")
    totals = generated_heals.run(servers, seed, list(range(12)), statements=20, jobs=3)
    print(totals.shown())
    assert not totals.failures, "\n".join(totals.failures)
    assert totals.count("healed") > 50 and totals.count("unchanged") > 50
