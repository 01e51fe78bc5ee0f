"""A story in words, for people who know nothing of the code: one line for each thing that happened."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import groupby
from typing import assert_never

from domain.balance import Balance
from domain.dossier import AnswerRow, CheckFacts, CheckOutcome, EventFacts, QrFacts
from domain.invoice import ChangeKind
from domain.payment_event import Kind, OccurredAtSource, Source
from domain.story import Answered, Asked, Called, Changed, Checked, Happened, Item, QrStep, QrStepped, Staged
from worker.words import by, gateway_name, money_text, plain, plural, sentence, span_text, state_of

ROWS_TOLD = 3
"""More payments of one answer are only counted."""


_KNOWN_BY = {
    Source.CALLBACK: "looked up because of a callback",
    Source.SWEEP: "found by the regular search",
    Source.REFRESH: "found while QRs were renewed",
    Source.COMMAND: "looked up when a person asked or a QR was cancelled",
    Source.MANUAL: "entered by hand",
    Source.STATEMENT: "from a bank statement",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that happened, in words; `more` stands below it."""

    at: datetime
    text: str
    more: tuple[str, ...] = ()
    is_money: bool = False
    is_trouble: bool = False


def lines(items: Iterable[Item], *, zone: tzinfo) -> Iterator[Line]:
    """Put a story into words. Checks in a row that came to the same are one line. Times are local in `zone`."""
    for _, alike in groupby(items, key=_alike):
        first, *others = alike
        if others and isinstance(first, Checked):
            yield _checks(first, [item for item in others if isinstance(item, Checked)], zone=zone)
        else:
            yield from (_line(item, zone=zone) for item in (first, *others))


def _alike(item: Item) -> object:
    """Return what checks in a row have in common when they need no line each; for anything else, itself."""
    if not isinstance(item, Checked) or item.check.new_events or item.check.new_discrepancies:
        return id(item)
    return (item.qr.id, item.check.outcome, item.check.answer, item.check.rows, item.check.error)


def _line(item: Item, *, zone: tzinfo) -> Line:  # noqa: PLR0911 - one for each kind of item
    match item:
        case Changed():
            return Line(at=item.at, text=_changed(item))
        case QrStepped():
            return Line(at=item.at, text=_stepped(item, zone=zone), is_trouble=item.step is QrStep.FAILED)
        case Called():
            return Line(at=item.at, text=_called(item, zone=zone))
        case Checked():
            text = f"{_why(item)} {_outcome(item)}"
            return Line(at=item.at, text=text, is_trouble=_is_trouble(item.check))
        case Happened():
            return Line(at=item.at, text=_happened(item, zone=zone), more=_after(item), is_money=True)
        case Asked(question=one):
            kind = one.kind.replace("_", " ")
            text = sentence(f"Question {one.id} for a person came up ({kind}): {plain(one.detail)}")
            return Line(at=item.at, text=f"{text} {state_of(one)}".rstrip(), is_trouble=True)
        case Answered(question=one):
            text = sentence(f"Question {one.id} was answered{by(one.resolved_by)}: {plain(one.resolution or '')}")
            return Line(at=item.at, text=text)
        case Staged(notification=one):
            return Line(at=item.at, text=f"Your application is to be told: {one.type} (number {one.sequence}).")
        case _:
            assert_never(item)


def _changed(item: Changed) -> str:
    one = item.change
    match one.change.kind:
        case ChangeKind.AMOUNT:
            amount = money_text(item.balance.due)
            said = f"The invoice was made: {amount} is due" if item.is_first else f"The amount was changed to {amount}"
        case ChangeKind.VOID:
            said = "The invoice was voided: nothing is due any more"
        case _:
            assert_never(one.change.kind)
    return sentence(f"{said}{by(one.who, why=one.reason)}")


def _stepped(item: QrStepped, *, zone: tzinfo) -> str:  # noqa: PLR0911 - one for each step
    qr, gateway = item.qr, gateway_name(item.qr.gateway)
    match item.step:
        case QrStep.ISSUING:
            until = f"{qr.expires_at.astimezone(zone):%Y-%m-%d %H:%M}"
            return f"{gateway} was asked for {_qr(qr)} over {money_text(qr.amount)}, to be paid until {until}."
        case QrStep.OPENED:
            return f"{_qr(qr)} was made: it can be paid."
        case QrStep.CLOSING:
            kept = f" {gateway} keeps it open, because a part of it was paid." if qr.kept_open else ""
            return f"{_qr(qr)} is no longer right: {gateway} is asked to cancel it.{kept}"
        case QrStep.FAILED:
            code = f" ({plain(qr.failure_code)})" if qr.failure_code else ""
            return sentence(f"{_qr(qr)} was not made{code}: {plain(qr.last_error or 'nobody knows why')}")
        case QrStep.SETTLED:
            return f"{_qr(qr)} is paid in full."
        case QrStep.SUPERSEDED:
            return f"{_qr(qr)} was cancelled at {gateway}: another one takes its place."
        case QrStep.CANCELLED:
            return f"{_qr(qr)} was cancelled at {gateway}: nothing is left to be paid."
        case QrStep.EXPIRED:
            return f"{_qr(qr)} ran out: it can no longer be paid."
        case _:
            assert_never(item.step)


def _called(item: Called, *, zone: tzinfo) -> str:
    gateway, one = gateway_name(item.qr.gateway), item.callbacks
    named = f" The last one named payment {plain(one.announced)}." if one.announced else ""
    only = f"A callback proves nothing; it makes us ask {gateway}."
    if one.count == 1:
        return f"A callback came for {_qr(item.qr)}.{named} {only}"
    last = one.last_at.astimezone(zone)
    until = f"{last:%H:%M:%S}" if last.date() == one.first_at.astimezone(zone).date() else f"{last:%Y-%m-%d %H:%M:%S}"
    return f"{one.count:,} callbacks came for {_qr(item.qr)}, the last at {until}.{named} {only}"


def _why(item: Checked) -> str:
    check = item.check
    asked = f"{gateway_name(item.qr.gateway)} was asked about {_qr(item.qr)} {_because(item)}"
    return sentence(asked + (f" (attempt {check.attempt})" if check.attempt > 1 else ""))


def _because(item: Checked) -> str:
    match item.check.cause:
        case Source.CALLBACK if item.looks_again:
            return "again: it had not shown a payment yet that a callback named"
        case Source.CALLBACK:
            return "because a callback came" if item.check.requests == 1 else "because callbacks came"
        case Source.SWEEP:
            return "by the regular search for payments that nobody announced"
        case Source.REFRESH:
            return "while QRs were renewed"
        case Source.COMMAND if item.check.qr_was_closing:
            return "once more while it was being cancelled"
        case Source.COMMAND | Source.MANUAL | Source.STATEMENT:
            return "because a person wanted to know"
        case _:
            assert_never(item.check.cause)


def _outcome(item: Checked) -> str:
    check = item.check
    took = span_text(timedelta(milliseconds=check.duration_ms or 0))
    match check.outcome:
        case CheckOutcome.ANSWERED:
            new = "" if check.new_events or check.new_discrepancies or not check.rows else " Nothing new."
            return f"It answered after {took}: {_answer(check)}.{new}"
        case CheckOutcome.FAILED:
            failed = sentence(f"It gave no answer after {took}: {plain(check.error or '')}")
            return f"{failed} It is asked again later."
        case CheckOutcome.RUNNING:
            return "Its answer is awaited right now."
        case CheckOutcome.NEVER_FINISHED:
            return "This was begun and never finished: our worker was stopped over it, or lost its database."
        case _:
            assert_never(check.outcome)


def _answer(check: CheckFacts) -> str:
    if not check.rows:
        return "no payment"
    told = [_row(row) for row in check.answer[:ROWS_TOLD]]
    if check.rows > len(told):
        told.append(f"and {check.rows - len(told):,} more")
    return f"{plural(check.rows, 'payment')}, {', '.join(told)}"


def _row(row: AnswerRow) -> str:
    if row.amount is None:
        return f"one that cannot be read ({plain(row.unreadable or '')})"
    return f"{money_text(row.amount)} {plain(row.status or '')} ({plain(row.payment_id or '')})"


def _checks(first: Checked, others: list[Checked], *, zone: tzinfo) -> Line:
    """Say in one line what came of several checks in a row that came to the same."""
    last, count = others[-1], len(others) + 1
    until = f"{last.at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    causes = ", ".join(dict.fromkeys(_because(item) for item in (first, *others)))
    asked = f"{gateway_name(first.qr.gateway)} was asked about {_qr(first.qr)} {count} times until {until}, {causes}."
    check = last.check
    match check.outcome:
        case CheckOutcome.ANSWERED:
            came = f"Each time it answered: {_answer(check)}.{' Nothing new.' if check.rows else ''}"
        case CheckOutcome.FAILED:
            came = sentence(f"Each time it gave no answer: {plain(check.error or '')}")
        case CheckOutcome.RUNNING | CheckOutcome.NEVER_FINISHED:
            came = _outcome(last)
        case _:
            assert_never(check.outcome)
    return Line(at=first.at, text=f"{asked} {came}", is_trouble=_is_trouble(check))


def _is_trouble(check: CheckFacts) -> bool:
    return check.outcome in {CheckOutcome.FAILED, CheckOutcome.NEVER_FINISHED}


def _happened(item: Happened, *, zone: tzinfo) -> str:
    one, event = item.event, item.event.event
    amount, payment = money_text(event.amount), f"payment {plain(event.payment_id)}"
    here = _place(event.invoice_id)
    match event.kind:
        case Kind.RECEIVED:
            fee = f" {gateway_name(event.gateway)} keeps {money_text(event.fee)} of it as its fee." if event.fee else ""
            said = f"Recorded: {amount} received on {here}, {payment}, {_paid_at(item, zone=zone)}"
            return sentence(f"{said}{_known_by(one)}") + fee
        case Kind.REFUNDED:
            return sentence(f"Recorded: {amount} of {payment} given back from {here}{_known_by(one)}")
        case Kind.ASSIGNED | Kind.UNASSIGNED:
            there = _place(one.other_invoice_id) if one.moved else "elsewhere"
            way = f"to {here} from {there}" if event.kind is Kind.ASSIGNED else f"from {here} to {there}"
            return sentence(f"Recorded: {amount} of {payment} moved {way}{_known_by(one)}")
        case _:
            assert_never(event.kind)


def _known_by(one: EventFacts) -> str:
    """Say who recorded an event and why, or what made us ask the gateway that told of it."""
    return by(one.event.who, why=one.reason) or f", {_KNOWN_BY[one.event.source]}"


def _paid_at(item: Happened, *, zone: tzinfo) -> str:
    event = item.event.event
    at = f"{event.occurred_at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    match event.occurred_at_source:
        case OccurredAtSource.GATEWAY:
            return f"paid {at} as {gateway_name(event.gateway)} tells"
        case OccurredAtSource.OBSERVED:
            return f"first seen {at}"
        case OccurredAtSource.PERSON:
            return f"paid {at}"
        case _:
            assert_never(event.occurred_at_source)


def _after(item: Happened) -> tuple[str, ...]:
    invoice_id = item.event.event.invoice_id
    if item.balance is None or invoice_id is None:
        return ("It counts for no invoice until a person assigns it.",) if invoice_id is None else ()
    return (f"{invoice_id} is now {balance_text(item.balance)}.",)


def balance_text(balance: Balance) -> str:
    """Say how an invoice stands."""
    parts = [f"{money_text(balance.received)} received of {money_text(balance.due)} due"]
    if balance.refunded.amount:
        parts.append(f"{money_text(balance.refunded)} given back")
    if balance.overpaid.amount:
        parts.append(f"{money_text(balance.overpaid)} too much")
    if balance.outstanding.amount or not balance.overpaid.amount:
        parts.append(f"{money_text(balance.outstanding)} outstanding")
    return f"{balance.status.replace('_', ' ')}: {', '.join(parts)}"


def _place(invoice_id: str | None) -> str:
    return "no invoice (suspense)" if invoice_id is None else f"invoice {invoice_id}"


def _qr(qr: QrFacts) -> str:
    return f"QR {qr.generation}"
