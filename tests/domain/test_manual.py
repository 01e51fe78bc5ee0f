"""A payment by hand is one event for its key, and only what can be is recorded."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.discrepancy import DiscrepancyKind
from domain.manual import (
    AGE_MAX,
    FUTURE_MAX,
    ManualPayment,
    Method,
    NotRecordableError,
    plan_manual,
    require_recordable,
)
from domain.money import money
from domain.payment_event import OccurredAtSource, Source
from tests.domain.samples import GATEWAY_INVOICE, NOON, an_event, recorded

CASH = ManualPayment(
    key="till-1",
    who="Bat",
    invoice_id="order-1",
    amount=money("100", currency="MNT"),
    method=Method.CASH,
    paid_at=None,
    reference="17",
    note="At the counter",
)


def test_a_payment_by_hand_is_received_when_a_person_says_so() -> None:
    (event,) = plan_manual(recorded(), replace(CASH, paid_at=NOON - timedelta(hours=3)), now=NOON).events

    assert (event.key, event.invoice_id, event.who) == (
        ("manual_bank", "till-1", "received", "till-1"),
        "order-1",
        "Bat",
    )
    assert (event.source, event.occurred_at_source) == (Source.MANUAL, OccurredAtSource.PERSON)
    assert event.occurred_at == NOON - timedelta(hours=3)
    assert event.raw["reason"] == "cash, reference 17, At the counter"


def test_said_twice_it_is_one_payment() -> None:
    first = plan_manual(recorded(), CASH, now=NOON)

    assert plan_manual(recorded(*first.events), CASH, now=NOON).events == ()


def test_fault_27_a_qr_and_a_payment_by_hand_for_one_due_are_asked_about() -> None:
    by_qr = an_event(amount="100", gateway_invoice_id=GATEWAY_INVOICE)

    decision = plan_manual(recorded(by_qr), CASH, now=NOON)

    assert len(decision.events) == 1
    assert [asked.kind for asked in decision.discrepancies] == [DiscrepancyKind.DUPLICATE_PAYMENT]


def test_money_for_a_void_invoice_is_recorded_and_asked_about() -> None:
    decision = plan_manual(recorded(voided=True), CASH, now=NOON)

    assert len(decision.events) == 1
    assert [asked.kind for asked in decision.discrepancies] == [DiscrepancyKind.PAID_AFTER_VOID]


@pytest.mark.parametrize(
    ("payment", "field"),
    [
        (replace(CASH, amount=money("0", currency="MNT")), "amount.amount"),
        (replace(CASH, amount=money("-1", currency="MNT")), "amount.amount"),
        (replace(CASH, amount=money("100", currency="USD")), "amount.currency"),
        (replace(CASH, paid_at=NOON + FUTURE_MAX + timedelta(seconds=1)), "paidAt"),
        (replace(CASH, paid_at=NOON - AGE_MAX - timedelta(seconds=1)), "paidAt"),
    ],
)
def test_what_cannot_be_is_refused_by_name(payment: ManualPayment, field: str) -> None:
    with pytest.raises(NotRecordableError) as refused:
        require_recordable(payment, currency="MNT", now=NOON)

    assert refused.value.field == field


@pytest.mark.parametrize("paid_at", [NOON + FUTURE_MAX, NOON, NOON - AGE_MAX, None])
def test_a_tills_clock_may_be_a_little_fast(paid_at: object) -> None:
    require_recordable(replace(CASH, paid_at=paid_at), currency="MNT", now=NOON)  # type: ignore[arg-type]  # the parameter's type is wider
