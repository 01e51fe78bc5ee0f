"""A balance is what its changes and events say, in whatever order they are told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.balance import Status, fold
from domain.invoice import ChangeKind, InvoiceChange
from domain.money import money
from domain.payment_event import Kind, PaymentEvent
from tests.domain.samples import an_event


def amount_change(amount: str, *, position: int = 1) -> InvoiceChange:
    return InvoiceChange(position=position, kind=ChangeKind.AMOUNT, amount=money(amount, currency="MNT"))


VOID = InvoiceChange(position=9, kind=ChangeKind.VOID, amount=None)


@pytest.mark.parametrize(
    ("due", "received", "refunded", "voided", "status", "outstanding", "overpaid"),
    [
        ("100", "0", "0", False, Status.UNPAID, "100", "0"),
        ("100", "40", "0", False, Status.PARTIALLY_PAID, "60", "0"),
        ("100", "100", "0", False, Status.PAID, "0", "0"),
        ("100", "140", "0", False, Status.OVERPAID, "0", "40"),
        ("100", "140", "40", False, Status.PAID, "0", "0"),
        ("100", "100", "30", False, Status.PARTIALLY_REFUNDED, "0", "0"),
        ("100", "100", "100", False, Status.REFUNDED, "0", "0"),
        ("100", "40", "10", False, Status.PARTIALLY_REFUNDED, "60", "0"),
        ("100", "40", "40", False, Status.REFUNDED, "60", "0"),
        ("100", "0", "0", True, Status.VOID, "0", "0"),
        ("100", "40", "0", True, Status.VOID, "0", "40"),
        ("100", "40", "40", True, Status.VOID, "0", "0"),
    ],
)
def test_the_first_status_that_holds_is_named(
    due: str, received: str, refunded: str, voided: bool, status: Status, outstanding: str, overpaid: str
) -> None:
    events = []
    if received != "0":
        events.append(an_event(amount=received))
    if refunded != "0":
        events.append(an_event(amount=refunded, kind=Kind.REFUNDED))

    balance = fold([amount_change(due), *([VOID] if voided else [])], events, currency="MNT")

    assert balance.status is status
    assert balance.outstanding == money(outstanding, currency="MNT")
    assert balance.overpaid == money(overpaid, currency="MNT")


def test_the_last_amount_is_the_one_that_is_due() -> None:
    changes = [amount_change("70", position=2), amount_change("100", position=1)]

    assert fold(changes, [], currency="MNT").due == money("70", currency="MNT")


events = st.lists(
    st.builds(
        an_event,
        st.uuids().map(str),
        amount=st.integers(1, 10**9).map(str),
        kind=st.sampled_from(Kind),
        minutes=st.integers(0, 1_000),
    ),
    max_size=10,
)


@given(events, st.randoms(use_true_random=False))
def test_events_in_any_order_make_the_same_balance(history: list[PaymentEvent], chance: Any) -> None:
    shuffled = list(history)
    chance.shuffle(shuffled)

    changes = [amount_change("1000")]
    assert fold(changes, shuffled, currency="MNT") == fold(changes, history, currency="MNT")
