"""The table of attacks names tests that are there."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_table_of_attacks_names_tests_that_are_there():
    named = re.findall(r"`(test_\w+)`", (TESTS / "attacks" / "README.md").read_text())
    there = {
        name
        for file in TESTS.rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    assert len(named) > 50
    assert [name for name in named if name not in there] == []
