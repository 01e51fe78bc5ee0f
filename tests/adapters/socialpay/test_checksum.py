"""The checksum is HMAC-SHA256 over what is sent, and vouches for a value however it is written, and for no other."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.socialpay.checksum import checksum, is_signed, ways_to_write
from tests.adapters.socialpay.conftest import SECRET, fixture

AMOUNTS = st.decimals(min_value=0, max_value=10**12, places=2, allow_nan=False)


def test_known_answer_of_the_algorithm() -> None:
    known = "6b4f750465b22b536e329870d3119983a132922f7bea9ec9097637c4ab3f0eb8"

    assert checksum("testSecret", "helloworld", "12000", "GET", "https://uwish.travel") == known


def test_recorded_request_is_signed_as_we_sign() -> None:
    body = fixture("invoice_qr_request")["body"]

    assert checksum(SECRET, body["terminal"], body["invoice"], body["amount"]) == body["checksum"]


@given(AMOUNTS)
def test_amount_is_vouched_for_however_it_is_written(amount: Decimal) -> None:
    written = [f"{amount:.2f}", *([f"{amount:.0f}"] if amount == int(amount) else [])]

    for signed_as in written:
        for told_as in written:
            given_checksum = checksum(SECRET, "95000059", "n-1", signed_as)
            ways = ways_to_write(told_as, amount)
            assert is_signed(given_checksum, SECRET, terminal="95000059", number="n-1", amounts=ways)


@given(AMOUNTS, AMOUNTS)
def test_another_amount_is_not_vouched_for(amount: Decimal, other: Decimal) -> None:
    given_checksum = checksum(SECRET, "95000059", "n-1", f"{amount:.2f}")

    signed = is_signed(
        given_checksum, SECRET, terminal="95000059", number="n-1", amounts=ways_to_write(f"{other:.2f}", other)
    )

    assert signed == (amount == other)


@pytest.mark.parametrize("given_checksum", ["", "0" * 64, "\ud800", "төлбөр", "A" * 10_000])
def test_what_is_no_checksum_is_wrong(given_checksum: str) -> None:
    assert not is_signed(given_checksum, SECRET, terminal="95000059", number="n-1", amounts=["1"])


@given(st.text(max_size=20), st.text(max_size=20))
def test_whatever_can_be_said_in_json_can_be_signed(terminal: str, number: str) -> None:
    assert len(checksum(SECRET, terminal, f"{number}\ud800")) == 64
