"""Reading a FACTS.md: its rows, and the tests that they name."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rows_of(page: Path) -> list[str]:
    lines = page.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("| ") and "Statement" not in line]


def missing_in(row: str, *, here: Path) -> list[str] | None:
    """Return which of the tests that a row names do not exist; None when it names none, and says not why."""
    named = re.findall(r"`(\S+?\.py)::(\w+)`", row)
    if not named and "not used:" not in row:
        return None
    each = [((ROOT / file if "/" in file else here / file), name) for file, name in named]
    return [f"{file.name}::{name}" for file, name in each if name not in _functions_in(file)]


def _functions_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
