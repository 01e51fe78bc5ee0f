"""Statements from the command line: what is printed is true, in words and in JSON, and a slip is one line."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.invoices import Invoices
from tests import statements as written
from tests.adapters.postgres.samples import put
from tests.statements import running
from tests.worker.test_cli_corrections import tootsoo
from worker.settings import environment_without_settings


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    """Two invoices, of 50,000 and 30,000."""
    with open_pool(database_url, size=2) as pool:
        put(Invoices(pool), "order-1001", amount="50000")
        put(Invoices(pool), "order-1002", amount="30000")
        yield pool


@pytest.mark.usefixtures("pool")
def test_a_statement_is_imported_reviewed_and_told_in_json(tmp_path: Path, database_url: str) -> None:
    path = written.khan_json(tmp_path / "a.json", running((50_000, "order-1001"), (10_000, "order-1002"), (7, "x")))
    import_it = ["statement", "import", str(path), "--bank", "khan"]

    rehearsed = tootsoo(tmp_path, database_url, *import_it, "--dry-run", "--json")
    done = tootsoo(tmp_path, database_url, *import_it)
    listed = tootsoo(tmp_path, database_url, "statement", "review", "list", "--json")
    lines = {line["description"]: line["line"] for line in json.loads(listed.stdout)["lines"]}
    accepted = tootsoo(tmp_path, database_url, "statement", "review", "accept", str(lines["order-1002"]), "--json")
    ignored = tootsoo(
        tmp_path, database_url, "statement", "review", "ignore", str(lines["x"]), "--reason", "Interest", "--who", "Bat"
    )
    empty = tootsoo(tmp_path, database_url, "statement", "review")
    shown = tootsoo(tmp_path, database_url, "statement", "review", "show", str(lines["x"]), "--json")
    matched = tootsoo(tmp_path, database_url, "statement", "match", "--json")
    story = tootsoo(tmp_path, database_url, "explain", "order-1002")

    assert (rehearsed.returncode, done.returncode, listed.returncode, empty.returncode) == (0, 0, 1, 0), done.stderr
    told = json.loads(rehearsed.stdout)
    assert (told["dryRun"], told["new"], told["recorded"], told["proposed"], told["unmatched"]) == (True, 3, 1, 1, 1)
    assert "1 recorded as payments" in done.stdout
    assert json.loads(accepted.stdout)["line"]["invoice"] == "order-1002"
    assert ignored.stdout == f"line {lines['x']} is ignored: Interest\n"
    assert json.loads(shown.stdout)["who"] == "Bat"
    assert json.loads(matched.stdout)["recorded"] == 0
    assert "the bank tells" in " ".join(story.stdout.split())


@pytest.mark.usefixtures("pool")
def test_a_file_that_contradicts_itself_ends_with_1(tmp_path: Path, database_url: str) -> None:
    lines = running((1, "a"), (2, "b"), (3, "c"))
    path = written.khan_json(tmp_path / "a.json", [lines[0], lines[2]])

    done = tootsoo(tmp_path, database_url, "statement", "import", str(path), "--bank", "khan")

    assert (done.returncode, done.stderr) == (1, "")
    assert "Balances do not add up in 1 places, at the lines 2" in done.stdout


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize(
    "words",
    [
        ["import", "a.csv", "--bank", "khan"],
        ["import", "a.csv", "--bank", "X!"],
        ["import", "a.csv", "--bank", "khan", "--mapping", "nothing.toml"],
        ["review", "link", "1", "qpay"],
    ],
)
def test_a_slip_of_the_pen_is_one_line_and_2(tmp_path: Path, database_url: str, words: list[str]) -> None:
    (tmp_path / "a.csv").write_text("a,b\n", encoding="utf-8")

    done = tootsoo(tmp_path, database_url, "statement", *words)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tootsoo: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("pool")
def test_what_cannot_be_decided_is_refused_by_name(tmp_path: Path, database_url: str) -> None:
    path = written.khan_json(tmp_path / "a.json", running((7, "x"), (-7, "y")))
    tootsoo(tmp_path, database_url, "statement", "import", str(path), "--bank", "khan")

    refused = {
        code: tootsoo(tmp_path, database_url, "statement", "review", *words, "--json")
        for code, words in {
            "LINE_NOT_FOUND": ["accept", "99"],
            "NOT_ONE_PROPOSAL": ["accept", "1"],
            "INVOICE_NOT_FOUND": ["assign", "1", "order-9"],
            "PAYMENT_NOT_FOUND": ["link", "1", "qpay:1"],
            "ALREADY_DECIDED": ["ignore", "2", "--reason", "x"],
        }.items()
    }

    assert {json.loads(done.stdout)["error"]["code"] for done in refused.values()} == set(refused)
    assert {done.returncode for done in refused.values()} == {1}


@pytest.mark.slow
@pytest.mark.usefixtures("pool")
def test_at_a_terminal_lines_are_asked_about_one_after_the_other(tmp_path: Path, database_url: str) -> None:
    path = written.khan_json(tmp_path / "a.json", running((10_000, "order-1001"), (20_000, "y"), (3, "z"), (4, "w")))
    tootsoo(tmp_path, database_url, "statement", "import", str(path), "--bank", "khan")
    inherited = environment_without_settings()
    ours, theirs = pty.openpty()

    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "statement", "review"],
        cwd=tmp_path,
        env={**inherited, "DATABASE_URL": database_url, "NO_COLOR": "1", "PYTHONPATH": str(Path.cwd())},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(theirs)
    os.write(ours, b"a\ni\norder-1002\ng\nInterest\ns\n")
    said, _ = process.communicate(timeout=60)
    os.close(ours)

    assert process.returncode == 0
    assert re.findall(r"line \d+ is (\w+)", said) == ["recorded", "recorded", "ignored"]
    assert said.rstrip().endswith("No other line waits")
