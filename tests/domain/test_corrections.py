"""A person moves and gives back what there is, once for each key, and never more."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.assign import AlreadyThereError, AmbiguousHolderError, OtherCurrencyError, plan_assign
from domain.command import Command, KeyUsedError, require_key
from domain.discrepancy import DiscrepancyKind
from domain.money import money
from domain.payment_event import Kind, PaymentEvent
from domain.reconciler import Decision
from domain.recorded import Recorded
from domain.refund import MoreThanHeldError, UnknownPaymentError, WrongCurrencyError, plan_refund
from tests.domain.samples import NOON, an_event, recorded

P = ("qpay", "100000000000001")
RECEIVED = an_event(P[1], amount="100")
BOTH = ("order-1", "order-2")


def by(key: str = "k1", *, reason: str = "because") -> Command:
    return Command(key=key, who="me", reason=reason)


def refund(known: Recorded, amount: str | None, *, invoice_id: str | None = "order-1", key: str = "k1") -> Decision:
    wanted = None if amount is None else money(amount, currency="MNT")
    return plan_refund(known, by(key), payment=P, invoice_id=invoice_id, amount=wanted, now=NOON)


def assign(known: Recorded, amount: str | None = None, **others: Any) -> Decision:
    wanted = None if amount is None else money(amount, currency="MNT")
    asked = {"payment": P, "from_invoice": None, "to_invoice": "order-2", **others}
    return plan_assign(known, by(asked.pop("key", "k1")), amount=wanted, now=NOON, **asked)


def outline(decision: Decision) -> list[tuple[str, str | None, str]]:
    return [(event.kind.value, event.invoice_id, str(event.amount.amount)) for event in decision.events]


def test_a_refund_takes_what_was_asked_or_all_that_is_left() -> None:
    part = an_event(P[1], amount="30", kind=Kind.REFUNDED, ref="k0")

    assert outline(refund(recorded(RECEIVED), "30")) == [("refunded", "order-1", "30")]
    assert outline(refund(recorded(RECEIVED, part), None)) == [("refunded", "order-1", "70")]


def test_a_double_click_on_refund_is_one() -> None:
    first = refund(recorded(RECEIVED), "30")

    again = recorded(RECEIVED, *first.events)
    assert refund(again, "30").events == ()
    assert refund(again, None).events == ()
    with pytest.raises(KeyUsedError):
        refund(again, "40")


def test_a_key_stands_for_one_reason() -> None:
    known = recorded(RECEIVED, *refund(recorded(RECEIVED), "30").events)

    with pytest.raises(KeyUsedError):
        plan_refund(
            known,
            by(reason="another"),
            payment=P,
            invoice_id="order-1",
            amount=money("30", currency="MNT"),
            now=NOON,
        )


@pytest.mark.parametrize("key", ["", " ", "gateway", "gateway:order-1", "a" * 101, "a b", "ключ", "a\n"])
def test_a_key_is_short_and_plain_and_no_gateways(key: str) -> None:
    with pytest.raises(ValueError, match=r"should be|must not"):
        require_key(key)


@pytest.mark.parametrize("amount", ["100.01", "1000", "0", "-1"])
def test_no_more_is_refunded_than_is_held(amount: str) -> None:
    with pytest.raises(MoreThanHeldError):
        refund(recorded(RECEIVED), amount)


def test_nothing_is_refunded_that_was_never_there() -> None:
    with pytest.raises(UnknownPaymentError):
        refund(recorded(), "1")
    with pytest.raises(UnknownPaymentError):
        refund(recorded(RECEIVED, invoice_ids=BOTH), "1", invoice_id="order-2")


@given(st.lists(st.integers(1, 120), max_size=8))
def test_whatever_is_asked_the_refunds_stay_within_what_was_received(asked: list[int]) -> None:
    events: list[PaymentEvent] = [RECEIVED]
    for number, amount in enumerate(asked):
        try:
            events += refund(recorded(*events), str(amount), key=f"k{number}").events
        except MoreThanHeldError:
            continue

    assert sum(event.amount.amount for event in events if event.kind is Kind.REFUNDED) <= 100


def test_a_payment_moves_out_of_suspense_whole() -> None:
    suspended = an_event(P[1], amount="100", invoice_id=None)

    decision = assign(recorded(suspended, invoice_ids=BOTH))

    assert outline(decision) == [("assigned", "order-2", "100"), ("unassigned", None, "100")]


def test_a_part_of_a_payment_moves_to_another_invoice_and_the_rest_stays() -> None:
    first = assign(recorded(RECEIVED, invoice_ids=BOTH), "40")
    known = recorded(RECEIVED, *first.events, invoice_ids=BOTH)

    assert outline(first) == [("assigned", "order-2", "40"), ("unassigned", "order-1", "40")]
    assert assign(known, "40").events == ()
    assert {holder: str(held.left.amount) for holder, held in known.payments[P].holdings().items()} == {
        "order-1": "60",
        "order-2": "40",
    }
    with pytest.raises(MoreThanHeldError):
        assign(known, "61", key="k2", from_invoice="order-1")


def test_whence_it_moves_must_be_clear() -> None:
    moved = assign(recorded(RECEIVED, invoice_ids=BOTH), "40").events
    known = recorded(RECEIVED, *moved, invoice_ids=(*BOTH, "order-3"))

    with pytest.raises(AmbiguousHolderError):
        assign(known, to_invoice="order-3", key="k2")
    with pytest.raises(AlreadyThereError):
        assign(known, to_invoice="order-2", from_invoice="order-2", key="k2")
    with pytest.raises(UnknownPaymentError):
        assign(recorded(invoice_ids=BOTH))


def test_a_lump_in_suspense_is_split_over_two_invoices() -> None:
    lump = an_event(P[1], amount="100", invoice_id=None)
    first = assign(recorded(lump, invoice_ids=BOTH), "60", to_invoice="order-1")
    known = recorded(lump, *first.events, invoice_ids=BOTH)

    second = assign(known, "40", key="k2", from_suspense=True)

    assert outline(second) == [("assigned", "order-2", "40"), ("unassigned", None, "40")]
    with pytest.raises(AmbiguousHolderError, match="order-1 and suspense"):
        assign(known, "40", key="k2")
    with pytest.raises(MoreThanHeldError):
        assign(known, "41", key="k2", from_suspense=True)


def test_what_is_there_already_is_not_moved_there() -> None:
    known = recorded(RECEIVED, invoice_ids=BOTH)

    with pytest.raises(AlreadyThereError):
        assign(known, to_invoice="order-1")
    with pytest.raises(UnknownPaymentError, match="order-1 had it"):
        assign(known, from_suspense=True)


def test_an_amount_in_another_currency_than_the_payments_is_named() -> None:
    with pytest.raises(WrongCurrencyError, match="MNT"):
        plan_refund(
            recorded(RECEIVED),
            by(),
            payment=P,
            invoice_id="order-1",
            amount=money("1", currency="USD"),
            now=NOON,
        )


def test_what_moves_to_a_void_invoice_or_makes_it_hold_too_much_is_asked_about() -> None:
    void = recorded(RECEIVED, invoice_ids=BOTH, voided=True)

    assert [asked.kind for asked in assign(void).discrepancies] == [DiscrepancyKind.PAID_AFTER_VOID]


def test_another_currency_does_not_move() -> None:
    dollars = an_event(P[1], amount="100", invoice_id=None)
    dollars = PaymentEvent(
        **{name: getattr(dollars, name) for name in PaymentEvent.__dataclass_fields__ if name != "amount"},
        amount=money("100", currency="USD"),
    )

    with pytest.raises(OtherCurrencyError):
        assign(recorded(dollars, invoice_ids=BOTH))
