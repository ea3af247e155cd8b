"""What scripts/demo shows is true."""

from __future__ import annotations

import pathlib
import sys

import pytest

import harness

pytestmark = [pytest.mark.pgmend, pytest.mark.slow]

DEMO = pathlib.Path(__file__).resolve().parent.parent / "scripts" / "demo_shop.py"


def test_the_demonstration_heals_every_statement() -> None:
    shown = harness.run([sys.executable, DEMO]).stdout
    assert shown.rstrip().endswith("pgmend healed every statement.")
    directly = shown.partition("The same application after the migration")[2]
    assert directly.count("FAILED") == 7
