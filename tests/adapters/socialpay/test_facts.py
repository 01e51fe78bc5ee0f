"""FACTS.md names tests that exist, and leaves no row without one."""

from pathlib import Path

import pytest

from tests.adapters.facts import missing_in, rows_of

HERE = Path(__file__).parent
ROWS = rows_of(HERE / "FACTS.md")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:60])
def test_statement_is_held_by_tests_that_exist(row: str) -> None:
    assert missing_in(row, here=HERE) == []


def test_there_are_statements() -> None:
    assert len(ROWS) > 20
