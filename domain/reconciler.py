"""The reconciler: from what a gateway answered about one gateway invoice to the events that it proves."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from domain.gateway import CheckAnswer, PaymentRow, RowStatus, UnreadableRow
from domain.payment_event import GATEWAY_REF, Kind, OccurredAtSource, PaymentEvent, Source


class DiscrepancyKind(StrEnum):
    """Why a person should look."""

    UNKNOWN_STATUS = "unknown_status"
    UNREADABLE_ROW = "unreadable_row"
    NOT_AN_AMOUNT = "not_an_amount"
    OTHER_CURRENCY = "other_currency"
    CHANGED_ROW = "changed_row"
    REFUNDED_AT_GATEWAY = "refunded_at_gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """A question for a person; no money moves because of it."""

    kind: DiscrepancyKind
    payment_id: str | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedInvoice:
    """The gateway invoice that a check was about, and why it was made."""

    gateway: str
    gateway_invoice_id: UUID
    invoice_id: str
    currency: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What an answer comes to. Events are in key order, each key once."""

    events: tuple[PaymentEvent, ...]
    discrepancies: tuple[Discrepancy, ...]


def reconcile(answer: CheckAnswer, *, checked: CheckedInvoice, seen_at: datetime) -> Decision:
    """Decide what an answer proves. Rows stand alone: one that cannot be understood stops no other.

    Only PAID rows with a positive amount in the invoice's currency are money. NEW, FAILED and PARTIAL never are.
    `seen_at` (UTC) stands in where the gateway tells no time. The same rows again, in any order, decide the same.
    """
    paid: list[PaymentEvent] = []
    discrepancies: list[Discrepancy] = []
    for row in answer.rows:
        decided = _read_row(row, checked=checked, seen_at=seen_at)
        if isinstance(decided, Discrepancy):
            discrepancies.append(decided)
        elif decided is not None:
            paid.append(decided)
    events: dict[tuple[str, str, str, str], PaymentEvent] = {}
    for event in sorted(paid, key=lambda event: (event.key, event.amount.amount)):
        first = events.setdefault(event.key, event)
        if first.amount != event.amount:
            discrepancies.append(_amounts_differ(first, event))
    return Decision(events=tuple(events.values()), discrepancies=tuple(discrepancies))


def _amounts_differ(first: PaymentEvent, other: PaymentEvent) -> Discrepancy:
    detail = f"one answer gives {first.amount} and {other.amount} for the same payment"
    return Discrepancy(kind=DiscrepancyKind.CHANGED_ROW, payment_id=first.payment_id, detail=detail)


def _read_row(
    row: PaymentRow | UnreadableRow, *, checked: CheckedInvoice, seen_at: datetime
) -> PaymentEvent | Discrepancy | None:
    if isinstance(row, UnreadableRow):
        return Discrepancy(kind=DiscrepancyKind.UNREADABLE_ROW, payment_id=None, detail=row.reason)
    match row.status:
        case RowStatus.NEW | RowStatus.FAILED | RowStatus.PARTIAL:
            return None
        case RowStatus.PAID:
            return _read_paid(row, checked=checked, seen_at=seen_at)
        case RowStatus.REFUNDED:
            kind, detail = DiscrepancyKind.REFUNDED_AT_GATEWAY, f"the gateway has refunded {row.amount}"
        case RowStatus.UNKNOWN:
            kind, detail = DiscrepancyKind.UNKNOWN_STATUS, f"the gateway calls it {row.status_text!r}"
        case _:
            assert_never(row.status)
    return Discrepancy(kind=kind, payment_id=row.payment_id, detail=detail)


def _read_paid(row: PaymentRow, *, checked: CheckedInvoice, seen_at: datetime) -> PaymentEvent | Discrepancy:
    if row.amount.amount <= 0:
        kind, detail = DiscrepancyKind.NOT_AN_AMOUNT, f"PAID with {row.amount}"
        return Discrepancy(kind=kind, payment_id=row.payment_id, detail=detail)
    if row.amount.currency.code != checked.currency:
        kind, detail = DiscrepancyKind.OTHER_CURRENCY, f"{row.amount} for an invoice in {checked.currency}"
        return Discrepancy(kind=kind, payment_id=row.payment_id, detail=detail)
    return PaymentEvent(
        gateway=checked.gateway,
        payment_id=row.payment_id,
        kind=Kind.RECEIVED,
        ref=GATEWAY_REF,
        invoice_id=checked.invoice_id,
        gateway_invoice_id=checked.gateway_invoice_id,
        amount=row.amount,
        fee=row.fee,
        occurred_at=row.paid_at or seen_at,
        occurred_at_source=OccurredAtSource.GATEWAY if row.paid_at else OccurredAtSource.OBSERVED,
        source=checked.source,
        raw=row.raw,
        who=None,
    )
