"""The reconciler: from what a gateway answered, and what is recorded, to the events and questions that follow."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import assert_never
from uuid import UUID

from moneyed import Money

from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.gateway import CheckAnswer, PaymentRow, RowStatus, UnreadableRow
from domain.payment_event import GATEWAY_REF, Kind, OccurredAtSource, PaymentEvent, Source
from domain.questions import questions_about
from domain.recorded import PaymentKey, Recorded, RecordedPayment


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
    """What is to be written. Events are in key order, each key once."""

    events: tuple[PaymentEvent, ...] = ()
    discrepancies: tuple[Discrepancy, ...] = ()
    cleared: frozenset[PaymentKey] = field(default_factory=frozenset)
    """Payments that the gateway shows as PAID: what was suspected of them was a stale read."""


def reconcile(answer: CheckAnswer, *, checked: CheckedInvoice, recorded: Recorded, seen_at: datetime) -> Decision:
    """Decide what an answer proves beyond what is recorded. Rows stand alone: a strange one stops no other.

    `recorded` holds the checked invoice, every payment in the answer that is known, and every payment that was received
    on this QR. Only PAID and REFUNDED rows are money. `seen_at` (UTC) stands in where the gateway tells no time. The
    same rows in any order decide the same; decided twice, the second time nothing follows.
    """
    reader = _Reader(checked, recorded=recorded, seen_at=seen_at)
    decided = [reader.read(row) for row in _one_of_each(answer.rows)]
    decided.append(_missing(answer, checked=checked, recorded=recorded))
    events = sorted((event for one in decided for event in one.events), key=lambda event: event.key)
    invoice = recorded.invoices[checked.invoice_id]
    return Decision(
        events=tuple(events),
        discrepancies=(
            *_amounts_in_conflict(answer.rows, checked=checked),
            *(discrepancy for one in decided for discrepancy in one.discrepancies),
            *questions_about(invoice, events),
        ),
        cleared=frozenset().union(*(one.cleared for one in decided)),
    )


def _one_of_each(rows: Sequence[PaymentRow | UnreadableRow]) -> list[PaymentRow | UnreadableRow]:
    """Keep one row of each payment: what is furthest along, and of two amounts the smaller, whatever their order."""
    rank = [RowStatus.REFUNDED, RowStatus.PAID, RowStatus.PARTIAL, RowStatus.UNKNOWN, RowStatus.FAILED, RowStatus.NEW]
    best: dict[str, PaymentRow] = {}
    unreadable: list[UnreadableRow] = []
    for row in rows:
        if isinstance(row, UnreadableRow):
            unreadable.append(row)
            continue
        known = best.get(row.payment_id)
        if known is None or _order(row, rank) < _order(known, rank):
            best[row.payment_id] = row
    return [*unreadable, *(best[payment_id] for payment_id in sorted(best))]


def _order(row: PaymentRow, rank: list[RowStatus]) -> tuple[int, bool, object, str]:
    """Sort rows of one payment: by status, then real amounts before none, then the smaller, then the currency."""
    return (rank.index(row.status), row.amount.amount <= 0, row.amount.amount, row.amount.currency.code)


def _amounts_in_conflict(rows: Sequence[PaymentRow | UnreadableRow], *, checked: CheckedInvoice) -> list[Discrepancy]:
    told: dict[str, set[Money]] = {}
    for row in rows:
        if isinstance(row, PaymentRow) and row.status in {RowStatus.PAID, RowStatus.REFUNDED}:
            told.setdefault(row.payment_id, set()).add(row.amount)
    return [
        Discrepancy(
            kind=DiscrepancyKind.CHANGED_AMOUNT,
            gateway=checked.gateway,
            subject=payment_id,
            fingerprint=" ".join(sorted(map(str, amounts))),
            detail=f"one answer gives {' and '.join(sorted(map(str, amounts)))} for the same payment",
            invoice_id=checked.invoice_id,
            payment_id=payment_id,
        )
        for payment_id, amounts in sorted(told.items())
        if len(amounts) > 1
    ]


def _missing(answer: CheckAnswer, *, checked: CheckedInvoice, recorded: Recorded) -> Decision:
    shown = {row.payment_id for row in answer.rows if isinstance(row, PaymentRow)}
    missing = [
        payment
        for (gateway, payment_id), payment in sorted(recorded.payments.items())
        if gateway == checked.gateway
        and payment_id not in shown
        and payment.received is not None
        and payment.received.gateway_invoice_id == checked.gateway_invoice_id
    ]
    return Decision(
        discrepancies=tuple(
            Discrepancy(
                kind=DiscrepancyKind.MISSING_AT_GATEWAY,
                gateway=checked.gateway,
                subject=payment.key[1],
                fingerprint="",
                detail="the payment was PAID and the gateway no longer shows it",
                invoice_id=checked.invoice_id,
                payment_id=payment.key[1],
                certain=False,
            )
            for payment in missing
        )
    )


class _Reader:
    """Reads single rows of one answer."""

    def __init__(self, checked: CheckedInvoice, *, recorded: Recorded, seen_at: datetime) -> None:
        self._checked = checked
        self._recorded = recorded
        self._seen_at = seen_at

    def read(self, row: PaymentRow | UnreadableRow) -> Decision:
        if isinstance(row, UnreadableRow):
            return self._ask(
                DiscrepancyKind.UNREADABLE_ROW,
                subject=sha256(repr(row.raw).encode()).hexdigest()[:32],
                detail=f"a row cannot be read: {row.reason}",
            )
        known = self._recorded.payments.get((self._checked.gateway, row.payment_id))
        match row.status:
            case RowStatus.NEW | RowStatus.FAILED | RowStatus.PARTIAL:
                return self._not_paid(row, known)
            case RowStatus.PAID:
                return self._paid(row, known)
            case RowStatus.REFUNDED:
                return self._refunded(row, known)
            case RowStatus.UNKNOWN:
                detail = f"the gateway calls the payment {row.status_text!r}"
                return self._ask(DiscrepancyKind.UNKNOWN_STATUS, row, fingerprint=row.status_text, detail=detail)
            case _:
                assert_never(row.status)

    def _not_paid(self, row: PaymentRow, known: RecordedPayment | None) -> Decision:
        """Nothing goes back: a stale read is nothing once, and a question when the next check says the same."""
        if known is None or known.received is None:
            return Decision()
        detail = f"the payment was PAID and is now {row.status}"
        return self._ask(DiscrepancyKind.CHANGED_STATUS, row, fingerprint=row.status, detail=detail, certain=False)

    def _paid(self, row: PaymentRow, known: RecordedPayment | None) -> Decision:
        if row.amount.amount <= 0:
            detail = f"the payment is {row.status} with {row.amount}"
            return self._ask(DiscrepancyKind.NOT_AN_AMOUNT, row, fingerprint=str(row.amount), detail=detail)
        if known is None or known.received is None:
            return self._first_seen(row)
        shown = Decision(cleared=frozenset({known.key}))
        if known.received.amount != row.amount:
            detail = f"recorded with {known.received.amount}, and now {row.amount}"
            asked = self._ask(DiscrepancyKind.CHANGED_AMOUNT, row, fingerprint=str(row.amount), detail=detail)
            return replace(asked, cleared=shown.cleared)
        if known.received.invoice_id == self._checked.invoice_id:
            return shown
        if known.received.invoice_id is None:
            return replace(self._out_of_suspense(row, known), cleared=shown.cleared)
        detail = f"recorded on {known.received.invoice_id}, and now shown on {self._checked.invoice_id}"
        asked = self._ask(DiscrepancyKind.CHANGED_INVOICE, row, fingerprint=self._checked.invoice_id, detail=detail)
        return replace(asked, cleared=shown.cleared)

    def _first_seen(self, row: PaymentRow) -> Decision:
        if row.amount.currency.code == self._checked.currency:
            return Decision(events=(self._event(row, Kind.RECEIVED, invoice_id=self._checked.invoice_id),))
        event = self._event(row, Kind.RECEIVED, invoice_id=None)
        detail = f"{row.amount} for an invoice in {self._checked.currency}: it lies in suspense"
        asked = self._ask(DiscrepancyKind.OTHER_CURRENCY, row, fingerprint=str(row.amount), detail=detail)
        return replace(asked, events=(event,))

    def _out_of_suspense(self, row: PaymentRow, known: RecordedPayment) -> Decision:
        """Move what still lies in suspense to the invoice that the check proves."""
        if known.currency != self._checked.currency:
            return Decision()
        holdings = known.holdings()
        left = holdings[None].left
        elsewhere = sorted(
            invoice_id
            for invoice_id, holding in holdings.items()
            if invoice_id not in {None, self._checked.invoice_id} and holding.left.amount > 0
        )
        events: tuple[PaymentEvent, ...] = ()
        if left.amount > 0 and known.find(Kind.UNASSIGNED, GATEWAY_REF) is None:
            away = replace(self._event(row, Kind.UNASSIGNED, invoice_id=None), amount=left, fee=None)
            here = replace(away, kind=Kind.ASSIGNED, invoice_id=self._checked.invoice_id)
            events = (here, away)
        if not elsewhere:
            return Decision(events=events)
        detail = f"assigned to {', '.join(elsewhere)}, and the gateway shows it on {self._checked.invoice_id}"
        asked = self._ask(DiscrepancyKind.CHANGED_INVOICE, row, fingerprint=self._checked.invoice_id, detail=detail)
        return replace(asked, events=events)

    def _refunded(self, row: PaymentRow, known: RecordedPayment | None) -> Decision:
        """Take back what refunds by hand have not taken back already, from whichever invoices hold it."""
        if known is None or known.received is None:
            first = self._paid(row, known)
            back = tuple(
                replace(event, kind=Kind.REFUNDED, fee=None) for event in first.events if event.kind is Kind.RECEIVED
            )
            return replace(first, events=(*first.events, *back))
        moved = self._out_of_suspense(row, known) if known.received.invoice_id is None else Decision()
        held = {invoice_id: holding.left for invoice_id, holding in known.holdings().items()}
        for event in moved.events:
            step = event.amount if event.kind is Kind.ASSIGNED else -event.amount
            held[event.invoice_id] = held[event.invoice_id] + step if event.invoice_id in held else step
        holders = sorted((holder for holder, left in held.items() if left.amount > 0), key=lambda holder: holder or "")
        refs = [GATEWAY_REF] if len(holders) == 1 else [f"{GATEWAY_REF}:{holder or ''}" for holder in holders]
        events = tuple(
            replace(self._event(row, Kind.REFUNDED, invoice_id=holder), amount=held[holder], fee=None, ref=ref)
            for holder, ref in zip(holders, refs, strict=True)
            if known.find(Kind.REFUNDED, ref) is None
        )
        return replace(moved, events=(*moved.events, *events), cleared=frozenset({known.key}))

    def _event(self, row: PaymentRow, kind: Kind, *, invoice_id: str | None) -> PaymentEvent:
        return PaymentEvent(
            gateway=self._checked.gateway,
            payment_id=row.payment_id,
            kind=kind,
            ref=GATEWAY_REF,
            invoice_id=invoice_id,
            gateway_invoice_id=self._checked.gateway_invoice_id,
            amount=row.amount,
            fee=row.fee,
            occurred_at=row.paid_at or self._seen_at,
            occurred_at_source=OccurredAtSource.GATEWAY if row.paid_at else OccurredAtSource.OBSERVED,
            source=self._checked.source,
            raw=row.raw,
            who=None,
        )

    def _ask(
        self,
        kind: DiscrepancyKind,
        row: PaymentRow | None = None,
        *,
        detail: str,
        subject: str = "",
        fingerprint: str = "",
        certain: bool = True,
    ) -> Decision:
        discrepancy = Discrepancy(
            kind=kind,
            gateway=self._checked.gateway,
            subject=row.payment_id if row else subject,
            fingerprint=fingerprint,
            detail=detail,
            invoice_id=self._checked.invoice_id,
            payment_id=row.payment_id if row else None,
            certain=certain,
        )
        return Decision(discrepancies=(discrepancy,))
