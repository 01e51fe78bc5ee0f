"""Money is exact, or it is refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import MAX_AMOUNT, InexactAmountError, from_minor_units, is_whole_units, minor_units, money


@given(st.integers(-(10**14), 10**14))
def test_minor_units_come_back_as_they_were(amount_minor: int) -> None:
    assert minor_units(from_minor_units(amount_minor, currency="MNT")) == amount_minor


@given(st.decimals(-MAX_AMOUNT, MAX_AMOUNT, allow_nan=False, places=2))
def test_two_decimals_of_a_tugrug_are_kept(amount: Decimal) -> None:
    assert money(str(amount), currency="MNT").amount == amount


@pytest.mark.parametrize(
    "amount", ["100.005", "0.001", "1e-3", "1e-999999", f"100.{'0' * 40}1", f"100.{'0' * 80}1", f"0.{'9' * 1_000}"]
)
def test_what_is_finer_than_a_mongo_is_refused(amount: str) -> None:
    with pytest.raises(InexactAmountError):
        money(amount, currency="MNT")


@pytest.mark.parametrize(
    "amount",
    ["", "NaN", "Infinity", "-Infinity", "1,000", "abc", "1e13", "1000000000000.01", "1e99999999", "-1e99999999"],
)
def test_what_is_no_number_of_ours_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        money(amount, currency="MNT")


@pytest.mark.parametrize("amount", [1.5, True, None, 100.0])
def test_a_float_is_no_amount_even_when_it_looks_whole(amount: object) -> None:
    with pytest.raises(ValueError, match="an amount is"):
        money(amount, currency="MNT")  # type: ignore[arg-type]  # what JSON may bring


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        money(1, currency="XYZ1")


def test_the_largest_amount_is_taken_and_the_next_one_is_not() -> None:
    assert minor_units(money(10**12, currency="MNT")) == 10**14
    with pytest.raises(ValueError, match="within"):
        money(10**12 + 1, currency="MNT")


def test_whole_units_have_no_fraction() -> None:
    assert is_whole_units(money("100.00", currency="MNT"))
    assert not is_whole_units(money("100.50", currency="MNT"))
