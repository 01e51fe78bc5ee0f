"""FACTS.md names tests that exist, and leaves no row without one."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ROWS = [
    line for line in (HERE / "FACTS.md").read_text().splitlines() if line.startswith("| ") and "Statement" not in line
]


def named_in(row: str) -> list[tuple[Path, str]]:
    each = re.findall(r"`(\S+?\.py)::(\w+)`", row)
    return [((ROOT / file if "/" in file else HERE / file), name) for file, name in each]


def functions_in(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:60])
def test_statement_is_held_by_tests_that_exist(row: str) -> None:
    named = named_in(row)

    assert named or "not used:" in row
    assert not [f"{file.name}::{name}" for file, name in named if name not in functions_in(file)]


def test_there_are_statements() -> None:
    assert len(ROWS) > 50
