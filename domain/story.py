"""The story of an invoice, a QR or a payment: what is recorded about it, in the order in which it happened."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain

from domain.balance import Balance, fold
from domain.dossier import (
    CallbackFacts,
    ChangeFacts,
    CheckFacts,
    CheckOutcome,
    DiscrepancyFacts,
    Dossier,
    EventFacts,
    NotificationFacts,
    QrFacts,
    SubjectKind,
)
from domain.invoice import ChangeKind
from domain.pay_link import GatewayInvoiceState


class QrStep(StrEnum):
    """What happened to a QR."""

    ISSUING = "issuing"
    OPENED = "opened"
    CLOSING = "closing"
    FAILED = "failed"
    SETTLED = "settled"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_LAST_STEPS = {
    GatewayInvoiceState.FAILED: QrStep.FAILED,
    GatewayInvoiceState.SETTLED: QrStep.SETTLED,
    GatewayInvoiceState.SUPERSEDED: QrStep.SUPERSEDED,
    GatewayInvoiceState.CANCELLED: QrStep.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The invoice was made, asked for another amount, or became void."""

    at: datetime
    change: ChangeFacts
    is_first: bool
    balance: Balance
    """Of the invoice, with all that came before in the story."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QrStepped:
    """A QR came to a next state."""

    at: datetime
    qr: QrFacts
    step: QrStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """Callbacks came; `at` is when the first one did."""

    at: datetime
    qr: QrFacts
    callbacks: CallbackFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The gateway was asked; `at` is when that began."""

    at: datetime
    qr: QrFacts
    check: CheckFacts
    looks_again: bool
    """A payment that a callback had announced was not there yet at the check before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """An event was recorded."""

    at: datetime
    event: EventFacts
    balance: Balance | None
    """Of the event's invoice, with all that came before in the story; None in suspense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question for a person came up."""

    at: datetime
    question: DiscrepancyFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A person answered a question."""

    at: datetime
    question: DiscrepancyFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """The merchant's application is to be told of it."""

    at: datetime
    notification: NotificationFacts


Item = Changed | QrStepped | Called | Checked | Happened | Asked | Answered | Staged

_RANKS: Mapping[type, int] = {
    one: rank for rank, one in enumerate((Changed, QrStepped, Called, Checked, Happened, Staged, Asked, Answered))
}
"""What comes first of two at the same moment."""


def tell(dossier: Dossier, *, now: datetime) -> tuple[Item, ...]:
    """Tell what happened to a dossier's subject, oldest first, with the balance after each event.

    Times come from two clocks: checks, callbacks and QRs have PostgreSQL's, the rest the processes' own. So whatever a
    check proved stands where its answer came, by the check's clock. `now` is UTC.
    """
    answers = _Answers(dossier)
    items = chain(
        _of_changes(dossier),
        _of_qrs(dossier, now=now),
        _of_callbacks(dossier),
        _of_checks(dossier),
        _of_events(dossier, answers),
        _of_discrepancies(dossier, answers),
        (Staged(at=answers.when(one.at), notification=one) for one in dossier.notifications),
    )
    return tuple(item for item in _with_balances(sorted(items, key=_order)) if _concerns(dossier, item))


def rebuilt(dossier: Dossier) -> Mapping[str, Balance]:
    """Compute the balances of a dossier's invoices from their changes and events."""
    return {
        invoice.id: fold(
            (one.change for one in dossier.changes if one.invoice_id == invoice.id),
            (one.event for one in dossier.events if one.event.invoice_id == invoice.id),
            currency=invoice.currency,
        )
        for invoice in dossier.invoices.values()
    }


class _Answers:
    """Finds the check that proved what was recorded at some time."""

    def __init__(self, dossier: Dossier) -> None:
        self._checks = {check.seen_at: check for check in reversed(dossier.checks) if check.seen_at is not None}

    def when(self, recorded_at: datetime) -> datetime:
        check = self._checks.get(recorded_at)
        if check is None:
            return recorded_at
        return check.started_at + timedelta(milliseconds=check.duration_ms or 0)


def _of_changes(dossier: Dossier) -> Iterator[Item]:
    seen: set[str] = set()
    for one in dossier.changes:
        currency = dossier.invoices[one.invoice_id].currency
        alone = fold([one.change], [], currency=currency)
        yield Changed(at=one.at, change=one, is_first=one.invoice_id not in seen, balance=alone)
        seen.add(one.invoice_id)


def _of_qrs(dossier: Dossier, *, now: datetime) -> Iterator[Item]:
    for qr in dossier.qrs.values():
        yield QrStepped(at=qr.issued_at, qr=qr, step=QrStep.ISSUING)
        if qr.opened_at is not None:
            yield QrStepped(at=qr.opened_at, qr=qr, step=QrStep.OPENED)
        if qr.closing_at is not None:
            yield QrStepped(at=qr.closing_at, qr=qr, step=QrStep.CLOSING)
        if qr.ended_at is not None and qr.state in _LAST_STEPS:
            yield QrStepped(at=qr.ended_at, qr=qr, step=_LAST_STEPS[qr.state])
        ran_out = qr.state is GatewayInvoiceState.OPEN and qr.expires_at <= now
        if ran_out or qr.state is GatewayInvoiceState.EXPIRED:
            yield QrStepped(at=qr.expires_at, qr=qr, step=QrStep.EXPIRED)


def _of_callbacks(dossier: Dossier) -> Iterator[Item]:
    for callbacks in dossier.callbacks:
        yield Called(at=callbacks.first_at, qr=dossier.qrs[callbacks.gateway_invoice_id], callbacks=callbacks)


def _of_checks(dossier: Dossier) -> Iterator[Item]:
    """`dossier.checks` are oldest first."""
    before: dict[object, CheckFacts] = {}
    for check in dossier.checks:
        last = before.get(check.gateway_invoice_id)
        looks_again = (
            check.awaited_since is not None
            and last is not None
            and last.outcome is CheckOutcome.ANSWERED
            and check.awaited_since < last.started_at
        )
        yield Checked(
            at=check.started_at, qr=dossier.qrs[check.gateway_invoice_id], check=check, looks_again=looks_again
        )
        before[check.gateway_invoice_id] = check


def _of_events(dossier: Dossier, answers: _Answers) -> Iterator[Item]:
    for one in dossier.events:
        invoice = dossier.invoices.get(one.event.invoice_id or "")
        alone = fold([], [one.event], currency=invoice.currency) if invoice else None
        yield Happened(at=answers.when(one.recorded_at), event=one, balance=alone)


def _of_discrepancies(dossier: Dossier, answers: _Answers) -> Iterator[Item]:
    for question in dossier.discrepancies:
        yield Asked(at=answers.when(question.first_seen_at), question=question)
        if question.resolved_at is not None:
            yield Answered(at=question.resolved_at, question=question)


def _order(item: Item) -> tuple[datetime, int, int]:
    match item:
        case Changed(change=one):
            tie = one.change.position
        case QrStepped(qr=qr, step=step):
            tie = qr.generation * len(QrStep) + list(QrStep).index(step)
        case Happened(event=happened):
            tie = happened.position
        case Checked(check=check):
            tie = check.id
        case Asked(question=question) | Answered(question=question):
            tie = question.id
        case Called():
            tie = item.qr.generation
        case Staged(notification=notification):
            tie = notification.sequence
    return item.at, _RANKS[type(item)], tie


def _with_balances(items: Iterable[Item]) -> Iterator[Item]:
    """Add up, item by item, what `fold` makes of each alone: a balance is a sum, so that is the fold of all so far."""
    so_far: dict[str, Balance] = {}
    for item in items:
        match item:
            case Changed(change=one, balance=alone):
                before = so_far.get(one.invoice_id)
                so_far[one.invoice_id] = alone if before is None else _changed(before, one, alone)
                yield replace(item, balance=so_far[one.invoice_id])
            case Happened(event=one, balance=Balance() as alone) if one.event.invoice_id is not None:
                before = so_far.get(one.event.invoice_id)
                so_far[one.event.invoice_id] = alone if before is None else _plus(before, alone)
                yield replace(item, balance=so_far[one.event.invoice_id])
            case _:
                yield item


def _changed(before: Balance, one: ChangeFacts, alone: Balance) -> Balance:
    if one.change.kind is ChangeKind.VOID:
        return replace(before, voided=True)
    return replace(before, due=alone.due)


def _plus(before: Balance, alone: Balance) -> Balance:
    paid_at = [
        at
        for at in (before.first_paid_at, before.last_paid_at, alone.first_paid_at, alone.last_paid_at)
        if at is not None
    ]
    return replace(
        before,
        received=before.received + alone.received,
        refunded=before.refunded + alone.refunded,
        payments=before.payments + alone.payments,
        first_paid_at=min(paid_at, default=None),
        last_paid_at=max(paid_at, default=None),
    )


def _concerns(dossier: Dossier, item: Item) -> bool:
    """Tell whether an item is about the subject itself, not only about the invoice that it belongs to."""
    subject = dossier.subject
    match item:
        case Changed():
            return subject.kind is SubjectKind.INVOICE
        case Happened(event=one):
            match subject.kind:
                case SubjectKind.INVOICE:
                    return True
                case SubjectKind.QR:
                    return one.event.gateway_invoice_id == subject.gateway_invoice_id
                case SubjectKind.PAYMENT:
                    return (one.event.gateway, one.event.payment_id) == subject.payment
        case _:
            return True
