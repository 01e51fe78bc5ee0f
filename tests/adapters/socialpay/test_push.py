"""A push names a number when it is signed for our terminal, in either shape, and is nothing otherwise."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.socialpay.checksum import checksum
from adapters.socialpay.config import SocialPayConfig
from adapters.socialpay.push import read_push
from domain.gateway import Push
from tests.adapters.socialpay.conftest import SECRET, fixture

CONFIG = SocialPayConfig(base_url="https://x.mn", terminal="95000059", secret=SecretStr(SECRET))
PUSH = fixture("push_paid_assumed")
NAMED = Push(number="rent-2026-03-1", payment_id="95000059:rent-2026-03-1")


def read(body: object) -> Push | None:
    return read_push(json.dumps(body).encode(), config=CONFIG)


@pytest.mark.parametrize("amount", ["1500000", "1500000.00", 1_500_000])
def test_signed_push_names_its_number_however_the_amount_is_written(amount: object) -> None:
    assert read(PUSH | {"amount": amount}) == NAMED
    assert read({"header": {"code": 200}, "body": {"response": PUSH | {"amount": amount}}}) == NAMED


@pytest.mark.parametrize("key", ["terminal", "invoice", "amount", "checksum"])
@given(value=st.none() | st.booleans() | st.integers() | st.text(max_size=70) | st.just([]))
def test_push_in_which_anything_signed_is_changed_is_nothing(key: str, value: object) -> None:
    changed = PUSH | {key: value}

    assert read(changed) in ({None} if value != PUSH[key] and str(value) != "1500000" else {None, NAMED})


@given(st.binary(max_size=200))
def test_no_bytes_break_it(body: bytes) -> None:
    assert read_push(body, config=CONFIG) is None


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"amount": 1e999999999}', b'{"checksum": "\\ud800"}', b"null"])
def test_nonsense_breaks_nothing(body: bytes) -> None:
    assert read_push(body, config=CONFIG) is None


def test_push_that_is_signed_for_another_terminal_is_nothing() -> None:
    signature = checksum(SECRET, "95000060", "n-1", "1")

    assert read({"terminal": "95000060", "invoice": "n-1", "amount": "1", "checksum": signature}) is None
