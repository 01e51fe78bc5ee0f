"""The reconciler: from what a gateway answered, and what is recorded, to the events and questions that follow."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Protocol, assert_never

from moneyed import Money

from domain.checked_invoice import CheckedInvoice
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.payment_event import GATEWAY_REF, Kind, OccurredAtSource, PaymentEvent
from domain.payment_row import CheckAnswer, PaymentRow, RowStatus, UnreadableRow
from domain.questions import questions_about
from domain.recorded import PaymentKey, Recorded, RecordedEvent, RecordedPayment
from domain.strange_rows import about_unknown_status, about_unreadable, understood

__all__ = ["CheckedInvoice", "Decision", "reconcile"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be written. Events are in key order, each key once."""

    events: tuple[PaymentEvent, ...] = ()
    discrepancies: tuple[Discrepancy, ...] = ()
    cleared: frozenset[PaymentKey] = field(default_factory=frozenset)
    """Payments that the gateway shows as PAID: what was suspected of them was a stale read."""
    understood: frozenset[PaymentKey] = field(default_factory=frozenset)
    """Payments whose row can be read and has a status that we know: that it was not so is no question any more."""


def reconcile(answer: CheckAnswer, *, checked: CheckedInvoice, recorded: Recorded, seen_at: datetime) -> Decision:
    """Decide what an answer proves beyond what is recorded. Rows stand alone: a strange one stops no other.

    `recorded` holds the checked invoice, every payment in the answer that is known, and every payment that was seen on
    this QR before. Only PAID and REFUNDED rows are money. `seen_at` (UTC) stands in where the gateway tells no time.
    The same rows in any order decide the same; decided twice, the second time nothing follows.
    """
    reader = _Reader(checked, recorded=recorded, seen_at=seen_at)
    decided = [reader.read(row) for row in _one_of_each(answer.rows)]
    decided.append(_missing(answer, checked=checked, recorded=recorded))
    events = sorted((event for one in decided for event in one.events), key=lambda event: event.key)
    invoice = recorded.invoices[checked.invoice_id]
    asked = [discrepancy for one in decided for discrepancy in one.discrepancies]
    return Decision(
        events=tuple(events),
        discrepancies=(
            *_amounts_in_conflict(answer.rows, checked=checked, recorded=recorded),
            *asked,
            *questions_about(invoice, events),
        ),
        cleared=frozenset().union(*(one.cleared for one in decided)),
        understood=understood(answer.rows, asked, checked=checked) if checked.answered_before else frozenset(),
    )


def _one_of_each(rows: Sequence[PaymentRow | UnreadableRow]) -> list[PaymentRow | UnreadableRow]:
    """Keep one row of each payment: what is furthest along, and of two amounts the smaller, whatever their order.

    PAID and REFUNDED with two amounts: it was paid, and what was given back of it is a question.
    """
    unreadable = [row for row in rows if isinstance(row, UnreadableRow)]
    of_payment: dict[str, list[PaymentRow]] = {}
    for row in rows:
        if isinstance(row, PaymentRow):
            of_payment.setdefault(row.payment_id, []).append(row)
    best = []
    for _, told in sorted(of_payment.items()):
        first, *others = sorted(told, key=furthest_along)
        paid = next((row for row in others if row.status is RowStatus.PAID and row.amount.amount > 0), None)
        best.append(paid if paid and first.status is RowStatus.REFUNDED and paid.amount != first.amount else first)
    return [*unreadable, *best]


_RANK = [
    RowStatus.REFUNDED,
    RowStatus.PAID,
    RowStatus.PARTIAL,
    RowStatus.UNKNOWN,
    RowStatus.FAILED,
    RowStatus.NEW,
]


def furthest_along(row: "_Row") -> tuple[int, bool, Decimal, str]:
    """Order rows of one payment: by status, then real amounts before none, then the smaller, then the currency."""
    return (_RANK.index(row.status), row.amount.amount <= 0, row.amount.amount, row.amount.currency.code)


def _amounts_in_conflict(
    rows: Sequence[PaymentRow | UnreadableRow], *, checked: CheckedInvoice, recorded: Recorded
) -> list[Discrepancy]:
    """Ask about payments that come with two amounts; of a known one the row that differs is asked about anyway."""
    told: dict[str, set[Money]] = {}
    for row in rows:
        if isinstance(row, PaymentRow) and row.status in {RowStatus.PAID, RowStatus.REFUNDED}:
            known = recorded.payments.get((checked.gateway, row.payment_id))
            if known is None or known.received is None:
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
    """Suspect what was shown on this QR and is gone: not what was given back, and not behind an unreadable row."""
    if any(isinstance(row, UnreadableRow) for row in answer.rows):
        return Decision()
    shown = {row.payment_id for row in answer.rows if isinstance(row, PaymentRow)}
    missing = [
        payment
        for (gateway, payment_id), payment in sorted(recorded.payments.items())
        if gateway == checked.gateway
        and payment_id not in shown
        and payment.was_on(checked.gateway_invoice_id)
        and payment.holders
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


class _Row(Protocol):
    """What is told of a payment, in whatever answer."""

    @property
    def status(self) -> RowStatus: ...

    @property
    def amount(self) -> Money: ...


class _Reader:
    """Reads single rows of one answer."""

    def __init__(self, checked: CheckedInvoice, *, recorded: Recorded, seen_at: datetime) -> None:
        self._checked = checked
        self._recorded = recorded
        self._seen_at = seen_at

    def read(self, row: PaymentRow | UnreadableRow) -> Decision:
        if isinstance(row, UnreadableRow):
            return Decision(discrepancies=(about_unreadable(row, checked=self._checked),))
        known = self._recorded.payments.get((self._checked.gateway, row.payment_id))
        match row.status:
            case RowStatus.NEW | RowStatus.FAILED | RowStatus.PARTIAL:
                return self._not_paid(row, known)
            case RowStatus.PAID:
                return self._paid(row, known)
            case RowStatus.REFUNDED:
                return self._refunded(row, known)
            case RowStatus.UNKNOWN:
                return Decision(discrepancies=(about_unknown_status(row, checked=self._checked),))
            case _:
                assert_never(row.status)

    def _not_paid(self, row: PaymentRow, known: RecordedPayment | None) -> Decision:
        """Nothing goes back: a stale read is nothing once, and a question when the next check says the same."""
        if known is None or known.received is None or not known.holders:
            return Decision()
        detail = f"the payment was PAID and is now {row.status}"
        return self._ask(DiscrepancyKind.CHANGED_STATUS, row, detail=detail, certain=False)

    def _paid(self, row: PaymentRow, known: RecordedPayment | None) -> Decision:
        if row.amount.amount <= 0:
            return self._no_amount(row)
        if known is None or known.received is None:
            return self._first_seen(row)
        return self._paid_before(row, known, known.received)

    def _paid_before(self, row: PaymentRow, known: RecordedPayment, received: RecordedEvent) -> Decision:
        if known.refunded_by_gateway:
            detail = "the payment was REFUNDED and is now PAID"
            return self._ask(DiscrepancyKind.CHANGED_STATUS, row, fingerprint="PAID", detail=detail, certain=False)
        shown = Decision(cleared=frozenset({known.key}))
        if received.amount != row.amount:
            return replace(self._another_amount(row, received), cleared=shown.cleared)
        if received.invoice_id is None:
            return replace(self._out_of_suspense(row, known), cleared=shown.cleared)
        if self._is_elsewhere(known):
            return replace(self._on_another_invoice(row, received), cleared=shown.cleared)
        if None not in {row.reference, received.reference} and row.reference != received.reference:
            return replace(self._another_reference(row, received), cleared=shown.cleared)
        return shown

    def _no_amount(self, row: PaymentRow) -> Decision:
        detail = f"the payment is {row.status} with {row.amount}"
        return self._ask(DiscrepancyKind.NOT_AN_AMOUNT, row, fingerprint=str(row.amount), detail=detail)

    def _another_amount(self, row: PaymentRow, received: RecordedEvent) -> Decision:
        detail = f"recorded with {received.amount}, and now {row.status} with {row.amount}"
        return self._ask(DiscrepancyKind.CHANGED_AMOUNT, row, fingerprint=str(row.amount), detail=detail)

    def _another_reference(self, row: PaymentRow, received: RecordedEvent) -> Decision:
        detail = (
            f"recorded with {row.reference_key} {received.reference}, and now it is {row.reference}: maybe somebody "
            "paid twice, and the gateway tells of the second payment alone"
        )
        return self._ask(DiscrepancyKind.CHANGED_REFERENCE, row, fingerprint=row.reference or "", detail=detail)

    def _on_another_invoice(self, row: PaymentRow, received: RecordedEvent) -> Decision:
        detail = f"recorded on {received.invoice_id}, and now {row.status} on {self._checked.invoice_id}"
        return self._ask(DiscrepancyKind.CHANGED_INVOICE, row, fingerprint=self._checked.invoice_id, detail=detail)

    def _is_elsewhere(self, known: RecordedPayment) -> bool:
        """Tell whether a payment came to another invoice and still lies outside of the checked one."""
        came_to = known.received.invoice_id if known.received else None
        return came_to not in {None, self._checked.invoice_id} and known.holders != [self._checked.invoice_id]

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
        left = known.holdings()[None].left
        elsewhere = [holder for holder in known.holders if holder not in {None, self._checked.invoice_id}]
        events: tuple[PaymentEvent, ...] = ()
        if left.amount > 0 and known.find(Kind.UNASSIGNED, GATEWAY_REF) is None:
            away = replace(self._event(row, Kind.UNASSIGNED, invoice_id=None), amount=left, fee=None)
            here = replace(away, kind=Kind.ASSIGNED, invoice_id=self._checked.invoice_id)
            events = (here, away)
        if not elsewhere:
            return Decision(events=events)
        detail = f"assigned to {', '.join(map(str, elsewhere))}, and the gateway shows it on {self._checked.invoice_id}"
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
        if row.amount.amount <= 0:
            return self._no_amount(row)
        if known.received.amount != row.amount:
            return self._another_amount(row, known.received)
        if self._is_elsewhere(known):
            return self._on_another_invoice(row, known.received)
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
        row: PaymentRow,
        *,
        detail: str,
        fingerprint: str = "",
        certain: bool = True,
    ) -> Decision:
        discrepancy = Discrepancy(
            kind=kind,
            gateway=self._checked.gateway,
            subject=row.payment_id,
            fingerprint=fingerprint,
            detail=detail,
            invoice_id=self._checked.invoice_id,
            payment_id=row.payment_id,
            certain=certain,
        )
        return Decision(discrepancies=(discrepancy,))
