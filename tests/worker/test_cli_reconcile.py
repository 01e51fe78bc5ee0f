"""`tootsoo reconcile`: what it prints and writes, how it ends, and what it says when something is wrong."""

import csv
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from tests.worker.conftest import Stack
from tests.worker.reconciling import ZONE, paid, tell, today
from tests.worker.test_cli import run
from tests.worker.test_reconcile import of_another_client
from worker.csv_file import FileThereError, safe_cell, writing_csv

PAGE = Path(__file__).parents[2] / "docs" / "reconcile.md"


def settings_of(stack: Stack) -> dict[str, str]:
    groups = stack.groups
    return {
        "DATABASE_URL": groups.database.database_url,
        "REDIS_URL": groups.redis.redis_url,
        "QPAY_BASE_URL": groups.qpay.qpay_base_url,
        "QPAY_USERNAME": groups.qpay.qpay_username,
        "QPAY_PASSWORD": groups.qpay.qpay_password.get_secret_value(),
        "QPAY_INVOICE_CODE": groups.qpay.qpay_invoice_code,
        "TIMEZONE": ZONE,
    }


@pytest.mark.usefixtures("working")
def test_a_day_with_differences_is_told_in_words_json_and_csv(stack: Stack, tmp_path: Path) -> None:
    matched, partial = paid(stack, "matched"), paid(stack, "partial")
    theirs = of_another_client(stack)
    tell(stack, partial, status="PARTIAL")
    settings = settings_of(stack)

    words = run(tmp_path, "reconcile --from today --csv out.csv", **settings)
    again = run(tmp_path, "reconcile --from today --csv out.csv", **settings)
    told = run(tmp_path, "reconcile --from today --json --csv out.csv --overwrite", **settings)

    assert (words.returncode, again.returncode, told.returncode) == (1, 2, 1)
    assert f"✗ {today()} qpay:{partial} partial: different in status: the gateway has PARTIAL" in words.stdout
    assert f"qpay:{theirs} no invoice: only there" in words.stdout
    assert "2 payments open, 1 check queued" in words.stdout
    assert matched not in words.stdout
    assert again.stderr == "tootsoo: out.csv is there already: say --overwrite, or take another name\n"
    answer = json.loads(told.stdout)
    assert {one["payment"]: one["verdict"] for one in answer["differences"]} == {
        f"qpay:{partial}": "different",
        f"qpay:{theirs}": "only_there",
    }
    (day,) = answer["days"]
    assert (answer["open"], day["open"], day["verdicts"]["matched"]) == (2, 2, 1)
    assert day["there"][0]["gross"] == {"amount": "1500700.00", "currency": "MNT"}
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["payment"], row["invoice"], row["amount_there"], row["amount_here"]) for row in rows} == {
        (partial, "partial", "1500000.00", "1500000.00"),
        (theirs, "", "700.00", ""),
    }
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.slow
@pytest.mark.usefixtures("working")
def test_every_command_of_the_page_works(stack: Stack, tmp_path: Path) -> None:
    paid(stack, "order-1")
    shown = re.findall(r"^tootsoo (reconcile[^#\n]*)", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)

    ended = {command: run(tmp_path, command, **settings_of(stack)).returncode for command in map(str.strip, shown)}

    assert len(ended) == 5
    assert set(ended.values()) == {0}


@pytest.mark.usefixtures("working")
def test_a_clean_range_ends_with_0(stack: Stack, tmp_path: Path) -> None:
    paid(stack, "order-1")

    done = run(tmp_path, f"reconcile --from {today() - timedelta(days=1)} --to today", **settings_of(stack))

    assert (done.returncode, done.stderr) == (0, "")
    assert "✓ 2 days compared: both sides agree" in done.stdout


def test_a_gateway_that_is_away_is_one_line_and_json_is_still_json(stack: Stack, tmp_path: Path) -> None:
    settings = {**settings_of(stack), "QPAY_BASE_URL": "http://127.0.0.1:9"}

    words = run(tmp_path, "reconcile --csv out.csv", **settings)
    told = run(tmp_path, "reconcile --json", **settings)

    assert (words.returncode, told.returncode) == (1, 1)
    last_line = words.stderr.splitlines()[-1]
    assert last_line.startswith(f"tootsoo: qpay did not tell its list of {today() - timedelta(days=1)}: ")
    assert json.loads(told.stdout)["error"]["code"] == "NOT_COMPARED"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--from nonsense", "--from should be a day such as 2026-11-23, yesterday or today"),
        ("--from 2026-13-01", "--from should be a day such as"),
        ("--from 20261101", "--from should be a day such as"),
        ("--from 2999-01-01", "--from is a day that has not begun"),
        ("--from today --to yesterday", "--to is before --from"),
        ("--from 2020-01-01 --to 2025-01-01", "--from and --to are more than 366 days apart"),
        ("--csv no/such/folder/out.csv", "no/such/folder/out.csv cannot be written: No such file or directory"),
        ("--gateway bank", "--gateway should be one of qpay"),
    ],
)
def test_wrong_usage_says_what_would_be_right(stack: Stack, tmp_path: Path, arguments: str, says: str) -> None:
    done = run(tmp_path, f"reconcile {arguments}", **settings_of(stack))

    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "cell"),
    [("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM", "'@SUM"), ("\tx", "'\tx"), ("order-1", "order-1")],
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    assert safe_cell(text) == cell


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"

    with pytest.raises(csv.Error), writing_csv(path, header=["a"], overwrite=False) as rows:
        rows.writerow(7)  # type: ignore[arg-type]  # what goes wrong in the middle
    assert list(tmp_path.iterdir()) == []
    with writing_csv(path, header=["a"], overwrite=False) as rows:
        rows.writerow(["1"])
    with pytest.raises(FileThereError), writing_csv(path, header=["a"], overwrite=False):
        pass

    assert path.read_bytes() == b"a\r\n1\r\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_somebody_else_made_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"

    with pytest.raises(FileThereError), writing_csv(path, header=["a"], overwrite=False):
        path.write_text("theirs")

    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]
