"""What people read is not cut: ids are there to be typed again, and amounts to be believed."""

import pytest
from rich.table import Table

from domain.money import MNT, money
from worker.cli.given import shown
from worker.cli.tables import print_table

ID, AMOUNT = "100000000000001", "12,345,678,900.00 ₮"


def _wide_table() -> Table:
    table = Table(*(f"column {number}" for number in range(8)))
    table.add_row(ID, *[AMOUNT] * 7)
    return table


def test_a_table_in_a_file_is_as_wide_as_it_needs_to_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    print_table(_wide_table())

    told = capsys.readouterr().out
    assert ID in told
    assert told.count(AMOUNT) == 7


def test_what_does_not_fit_goes_on_in_the_next_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    print_table(_wide_table())

    told = capsys.readouterr().out
    assert "…" not in told
    assert "".join(line.split("│")[1].strip() for line in told.splitlines() if line.startswith("│")) == ID


def test_an_amount_in_words_of_others_is_shown_as_it_is() -> None:
    assert shown(f"recorded with {money('15000', currency=MNT)}\x1b[31m") == "recorded with MNT 15000.00\ufffd[31m"
