"""Unmatched: what a gateway's own answer proves about a payment that is on no QR of ours."""

from datetime import datetime
from typing import assert_never

from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.payment_event import GATEWAY_REF, Kind, OccurredAtSource, PaymentEvent, Source
from domain.payment_row import PaymentRow, RowStatus, UnreadableRow
from domain.reconciler import Decision
from domain.recorded import PaymentKey, Recorded


def file_unmatched(
    told: PaymentRow | UnreadableRow | None, *, payment: PaymentKey, recorded: Recorded, seen_at: datetime
) -> Decision:
    """Decide what follows from what a gateway told of one payment by its id: money in suspense, a question, or nothing.

    `told` is None where the gateway knows none of that id. `recorded` holds the payment if it is known: then nothing
    follows. PAID is money in suspense, REFUNDED is money that has gone back from there. `seen_at` (UTC) stands in where
    the gateway tells no time.
    """
    if payment in recorded.payments:
        return Decision()
    if told is None:
        return _ask(DiscrepancyKind.UNMATCHED, payment, detail="the gateway lists it, and knows no such id when asked")
    if isinstance(told, UnreadableRow):
        return _ask(DiscrepancyKind.UNREADABLE_ROW, payment, detail=f"it is listed, and cannot be read: {told.reason}")
    match told.status:
        case RowStatus.NEW | RowStatus.FAILED | RowStatus.PARTIAL:
            return Decision()
        case RowStatus.UNKNOWN:
            detail = f"the gateway calls a payment of no known invoice {told.status_text!r}"
            return _ask(DiscrepancyKind.UNKNOWN_STATUS, payment, detail=detail, fingerprint=told.status_text)
        case RowStatus.PAID | RowStatus.REFUNDED:
            return _money(told, payment=payment, seen_at=seen_at)
        case _:
            assert_never(told.status)


def _money(told: PaymentRow, *, payment: PaymentKey, seen_at: datetime) -> Decision:
    if told.amount.amount <= 0:
        detail = f"the payment is {told.status} with {told.amount}"
        return _ask(DiscrepancyKind.NOT_AN_AMOUNT, payment, detail=detail, fingerprint=str(told.amount))
    received = _event(Kind.RECEIVED, told, payment=payment, seen_at=seen_at)
    if told.status is RowStatus.REFUNDED:
        return Decision(events=(received, _event(Kind.REFUNDED, told, payment=payment, seen_at=seen_at)))
    asked = _ask(
        DiscrepancyKind.UNMATCHED, payment, detail=f"{told.amount} of no invoice that is known here lies in suspense"
    )
    return Decision(events=(received,), discrepancies=asked.discrepancies)


def _event(kind: Kind, told: PaymentRow, *, payment: PaymentKey, seen_at: datetime) -> PaymentEvent:
    gateway, payment_id = payment
    return PaymentEvent(
        gateway=gateway,
        payment_id=payment_id,
        kind=kind,
        ref=GATEWAY_REF,
        invoice_id=None,
        gateway_invoice_id=None,
        amount=told.amount,
        fee=told.fee if kind is Kind.RECEIVED else None,
        occurred_at=told.paid_at or seen_at,
        occurred_at_source=OccurredAtSource.GATEWAY if told.paid_at else OccurredAtSource.OBSERVED,
        source=Source.SWEEP,
        raw=told.raw,
        who=None,
    )


def _ask(kind: DiscrepancyKind, payment: PaymentKey, *, detail: str, fingerprint: str = "") -> Decision:
    gateway, payment_id = payment
    question = Discrepancy(
        kind=kind,
        gateway=gateway,
        subject=payment_id,
        fingerprint=fingerprint,
        detail=detail,
        invoice_id=None,
        payment_id=payment_id,
    )
    return Decision(discrepancies=(question,))
