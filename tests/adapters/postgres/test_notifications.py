"""What the merchant is told is staged with what it tells of: in order per invoice, or not at all."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.postgres.connection import Pool
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.recorded import About
from domain.balance import Balance, fold
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.invoice import ChangeKind, InvoiceChange
from domain.money import minor_units, money
from domain.notification import about_invoice
from domain.payment_event import Kind, PaymentEvent
from domain.reconciler import Decision
from tests.adapters.postgres.samples import NOON, append, put
from tests.domain.samples import an_event


def staged(pool: Pool, invoice_id: str | None = "order-1") -> list[dict[str, Any]]:
    with pool.connection() as connection:
        return connection.execute(
            "SELECT sequence, type, data FROM notification WHERE invoice_id IS NOT DISTINCT FROM %s ORDER BY id",
            [invoice_id],
        ).fetchall()


NOON_TEXT = "2026-11-22T04:00:00+00:00"


def a_question(fingerprint: str = "", *, certain: bool = True) -> Discrepancy:
    return Discrepancy(
        kind=DiscrepancyKind.CHANGED_STATUS,
        gateway="qpay",
        subject="1",
        fingerprint=fingerprint,
        detail="the payment was PAID and is now NEW",
        invoice_id="order-1",
        payment_id="1",
        certain=certain,
    )


def test_a_payment_tells_the_balance_that_it_made(pool: Pool, invoices: Invoices, ledger: Ledger) -> None:
    put(invoices, amount="100")

    append(ledger, [an_event("1", amount="40")])
    append(ledger, [an_event("2", amount="60")])

    assert [(one["sequence"], one["type"]) for one in staged(pool)] == [
        (1, "invoice.partially_paid"),
        (2, "invoice.paid"),
    ]
    assert staged(pool)[1]["data"] == {
        "invoice_id": "order-1",
        "status": "paid",
        "currency": "MNT",
        "due_minor": 10_000,
        "received_minor": 10_000,
        "refunded_minor": 0,
        "net_minor": 10_000,
        "outstanding_minor": 0,
        "overpaid_minor": 0,
        "payments": 2,
        "first_paid_at": NOON_TEXT,
        "last_paid_at": NOON_TEXT,
        "moved": [{"gateway": "qpay", "payment_id": "2", "kind": "received", "amount_minor": 6_000}],
    }


def test_the_same_payment_again_tells_nothing(pool: Pool, invoices: Invoices, ledger: Ledger) -> None:
    put(invoices)

    for _ in range(3):
        append(ledger, [an_event()])

    assert len(staged(pool)) == 1


def test_appends_at_once_are_told_in_one_order_without_a_gap(pool: Pool, invoices: Invoices, ledger: Ledger) -> None:
    put(invoices)

    with ThreadPoolExecutor(max_workers=8) as threads:
        list(threads.map(lambda number: append(ledger, [an_event(str(number), amount="1")]), range(60)))

    assert [one["sequence"] for one in staged(pool)] == list(range(1, 61))
    assert [one["data"]["received_minor"] for one in staged(pool)] == [100 * number for number in range(1, 61)]


def test_money_of_no_invoice_is_told_once(pool: Pool, ledger: Ledger) -> None:
    for _ in range(2):
        append(ledger, [an_event("7", amount="50", invoice_id=None)])

    assert [(one["sequence"], one["type"], one["data"]) for one in staged(pool, None)] == [
        (
            None,
            "payment.unmatched",
            {"gateway": "qpay", "payment_id": "7", "amount_minor": 5_000, "currency": "MNT"},
        )
    ]


def test_a_void_invoice_that_is_paid_tells_of_the_question_alone(
    pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    put(invoices)
    invoices.void("order-1", reason="cancelled", now=NOON, who="test")

    append(ledger, [an_event()])

    assert staged(pool) == []


@pytest.mark.parametrize(("certain", "opens_at"), [(True, 1), (False, 2)])
def test_a_question_is_told_when_it_opens_and_never_again(
    pool: Pool, invoices: Invoices, ledger: Ledger, certain: bool, opens_at: int
) -> None:
    put(invoices)
    told = []
    for _ in range(4):
        ledger.append(About(), lambda _: Decision(discrepancies=(a_question(certain=certain),)), recorded_at=NOON)
        told.append(len(staged(pool, None)))

    assert told == [0] * (opens_at - 1) + [1] * (5 - opens_at)
    data = staged(pool, None)[0]["data"]
    assert (data["kind"], data["invoice_id"], data["payment_id"]) == ("changed_status", "order-1", "1")


def test_a_question_that_a_person_raised_is_told_too(pool: Pool, invoices: Invoices) -> None:
    put(invoices)
    discrepancies = Discrepancies(pool)

    asked = [discrepancies.ask(a_question(), now=NOON) for _ in range(2)]

    assert asked == [True, False]
    assert [one["type"] for one in staged(pool, None)] == ["discrepancy.opened"]


def test_what_is_rolled_back_is_not_told(pool: Pool, invoices: Invoices, ledger: Ledger) -> None:
    put(invoices)
    broken = Decision(events=(an_event(),), discrepancies=(replace(a_question(), invoice_id="order-2"),))

    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        ledger.append(About(invoices=frozenset({"order-1"})), lambda _: broken, recorded_at=NOON)

    assert staged(pool) == []
    assert staged(pool, None) == []


steps = st.lists(
    st.tuples(st.sampled_from([Kind.RECEIVED, Kind.REFUNDED, Kind.UNASSIGNED, Kind.ASSIGNED]), st.integers(1, 150)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, batch=st.integers(1, 4), voided=st.booleans())
def test_what_is_told_is_what_the_rule_says_of_any_history(
    pool: Pool,
    invoices: Invoices,
    ledger: Ledger,
    steps: list[tuple[Kind, int]],
    batch: int,
    voided: bool,
) -> None:
    invoice_id = f"order-{uuid4().hex[:24]}"
    put(invoices, invoice_id, amount="100")
    history = _history(steps, invoice_id=invoice_id)
    if voided:
        invoices.void(invoice_id, reason="cancelled", now=NOON, who="test")

    expected = []
    for start in range(0, len(history), batch):
        before = _balance(history[:start], voided=voided)
        after = _balance(history[: start + batch], voided=voided)
        append(ledger, history[start : start + batch])
        told = about_invoice(before, after)
        if told:
            expected.append((told.value, minor_units(after.received), minor_units(after.refunded)))

    found = staged(pool, invoice_id)
    assert [(one["type"], one["data"]["received_minor"], one["data"]["refunded_minor"]) for one in found] == expected
    assert [one["sequence"] for one in found] == list(range(1, len(expected) + 1))


def _history(steps: Sequence[tuple[Kind, int]], *, invoice_id: str) -> list[PaymentEvent]:
    """Money comes, goes and moves; a payment of 200 that lies there from the beginning is what goes and moves."""
    payment_id = uuid4().hex
    events = [an_event(payment_id, amount="200", invoice_id=invoice_id)]
    held = refundable = 200
    for number, (kind, amount) in enumerate(steps):
        if kind is Kind.RECEIVED:
            events.append(an_event(f"{payment_id}-{number}", amount=str(amount), invoice_id=invoice_id))
            continue
        if (kind is not Kind.ASSIGNED and amount > held) or (kind is Kind.REFUNDED and amount > refundable):
            continue
        held += amount if kind is Kind.ASSIGNED else -amount
        refundable -= amount if kind is Kind.REFUNDED else 0
        ref = f"key-{number}"
        events.append(an_event(payment_id, amount=str(amount), kind=kind, ref=ref, invoice_id=invoice_id))
    return events


def _balance(events: Sequence[PaymentEvent], *, voided: bool) -> Balance:
    changes = [InvoiceChange(position=1, kind=ChangeKind.AMOUNT, amount=money("100", currency="MNT"))]
    if voided:
        changes.append(InvoiceChange(position=2, kind=ChangeKind.VOID, amount=None))
    return fold(changes, events, currency="MNT")
