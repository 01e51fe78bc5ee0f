"""The oracle: what must hold after every scenario, once it is quiet. It believes the gateway and nobody else."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiosql
import psycopg
from psycopg.rows import dict_row

from domain.balance import Balance, fold
from domain.invoice import ChangeKind, InvoiceChange
from domain.money import from_minor_units, minor_units
from domain.payment_event import Kind, OccurredAtSource, PaymentEvent, Source
from tests.faults.shop import FALSE_WORD

_queries = aiosql.from_path(Path(__file__).parent / "sql" / "oracle.sql", "psycopg")

SHOWN_MAX = 5
"""So many breaches of one invariant are told; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """An invariant that does not hold, and where."""

    invariant: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How often the gateway may have been asked."""

    checks_per_qr: int
    """Per QR of which a callback was taken, and no check at all of one that nobody announced."""
    logins: int
    looks_per_payment: int = 0
    """GET payment, which discovery needs only where a list or a check does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the oracle judges by, beside the database."""

    facts: Mapping[str, Any]
    """The simulator's."""
    calls: Mapping[str, Any]
    """As the simulator counted them."""
    taken_at: Mapping[str, datetime]
    """When a callback of each payment was answered with SUCCESS; or when it was paid, where none is to come."""
    healed_at: datetime
    """Since when nothing is wrong any more."""
    within_s: float
    """How long after that, or after its callback, a payment may take."""
    budget: Budget
    witnessed: Mapping[int, str] = field(default_factory=dict)
    """Digests of the events that were there while things went wrong, by position."""
    announced: frozenset[str] = frozenset()
    """The gateway invoices of which any callback was sent."""
    may_ask: bool = False
    """Whether the scenario gives cause for a question to a person."""


@dataclass(frozen=True, slots=True)
class Read:
    """All there is in the database."""

    events: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    balances: list[dict[str, Any]]
    payments: list[dict[str, Any]]
    suspense: list[dict[str, Any]]
    questions: list[dict[str, Any]]
    gateway_invoices: list[dict[str, Any]]
    stuck: list[dict[str, Any]]
    advisory: list[dict[str, Any]]
    prepared: int


def open_eyes(database_url: str) -> psycopg.Connection[dict[str, Any]]:
    """Connect as the superuser, beside every proxy."""
    return psycopg.connect(
        database_url,
        autocommit=True,
        row_factory=dict_row,
        options="-c search_path=tootsoo -c timezone=UTC -c default_transaction_read_only=off",
        application_name="oracle",
        connect_timeout=10,
    )


def witness(eyes: psycopg.Connection[dict[str, Any]]) -> dict[int, str]:
    """Remember every event that there is now."""
    return {row["position"]: row["digest"] for row in _queries.events(eyes)}


def projections(eyes: psycopg.Connection[dict[str, Any]]) -> dict[str, Any]:
    """Digest all projections, and count what there is of notifications and events."""
    return dict(next(iter(_queries.projections(eyes))))


def read(eyes: psycopg.Connection[dict[str, Any]]) -> Read:
    """Read all of it, in one snapshot."""
    with eyes.transaction():
        eyes.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return Read(
            events=list(_queries.events(eyes)),
            changes=list(_queries.changes(eyes)),
            balances=list(_queries.balances(eyes)),
            payments=list(_queries.payments(eyes)),
            suspense=list(_queries.suspense(eyes)),
            questions=list(_queries.questions(eyes)),
            gateway_invoices=list(_queries.gateway_invoices(eyes)),
            stuck=list(_queries.stuck_sessions(eyes)),
            advisory=list(_queries.advisory_locks(eyes)),
            prepared=int(_queries.prepared(eyes)),
        )


def is_quiet(now: Read, facts: Mapping[str, Any]) -> bool:
    """Tell whether nothing is due, nobody is at anything, and every payment is recorded."""
    recorded = {event["payment_id"] for event in now.events if event["kind"] == "received"}
    return (
        not any(qr["due"] or qr["leased"] for qr in now.gateway_invoices)
        and not now.stuck
        and not now.advisory
        and all(payment["paymentId"] in recorded for payment in _money(facts))
    )


def judge(found: Read, evidence: Evidence) -> list[Breach]:
    """Name every invariant that does not hold. I4 needs `tootsoo replay` and is judged beside this."""
    judges = {
        "I1": _events_are_the_facts(found, evidence),
        "I2": _balances_are_sums(found),
        "I3": _no_event_changed(found, evidence),
        "I5": _sums_agree(found, evidence),
        "I6": _found_in_time(found, evidence),
        "I7": _nothing_of_a_callback(found, evidence),
        "I8": _within_the_budget(evidence),
        "I9": _nothing_left_over(found),
    }
    return [breach for invariant, what in judges.items() for breach in _shown(invariant, what)]


def _shown(invariant: str, what: Iterable[str]) -> Iterator[Breach]:
    lines = list(what)
    for line in lines[:SHOWN_MAX]:
        yield Breach(invariant=invariant, what=line)
    if len(lines) > SHOWN_MAX:
        yield Breach(invariant=invariant, what=f"… and {len(lines) - SHOWN_MAX} more")


def _money(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the payments that are, or were, money: NEW, FAILED and PARTIAL never are."""
    return [payment for payment in facts["payments"] if payment["status"] in {"PAID", "REFUNDED"}]


def _events_are_the_facts(found: Read, evidence: Evidence) -> Iterator[str]:
    invoice_of = {
        invoice["invoiceId"]: re.sub(r"-g\d+$", "", invoice["number"]) for invoice in evidence.facts["invoices"]
    }
    wanted: Counter[tuple[str, str, str | None, int]] = Counter()
    for payment in _money(evidence.facts):
        kinds = ("received", "refunded") if payment["status"] == "REFUNDED" else ("received",)
        for kind in kinds:
            wanted[payment["paymentId"], kind, invoice_of[payment["invoiceId"]], payment["amount"] * 100] += 1
    had = Counter(
        (event["payment_id"], event["kind"], event["invoice_id"], event["amount_minor"]) for event in found.events
    )
    for one, times in (wanted - had).items():
        yield f"missing {times} times: {_described(one)}"
    for one, times in (had - wanted).items():
        yield f"surplus {times} times: {_described(one)}"
    if not evidence.may_ask:
        for question in found.questions:
            yield f"a question without cause: {question['kind']}: {question['detail']}"


def _described(one: tuple[str, str, str | None, int]) -> str:
    payment, kind, invoice, amount_minor = one
    return f"{kind} {amount_minor / 100:,.2f} of payment {payment} on {invoice}"


def _balances_are_sums(found: Read) -> Iterator[str]:
    projected = {row["invoice_id"]: row for row in found.balances}
    folded = dict(_folded(found))
    for invoice in sorted(projected.keys() ^ folded.keys()):
        yield f"{invoice}: {'no balance' if invoice in folded else 'a balance of no invoice'}"
    for invoice in sorted(projected.keys() & folded.keys()):
        for name, right in _columns(folded[invoice]).items():
            if projected[invoice][name] != right:
                yield f"{invoice}: {name} is {projected[invoice][name]}, the events say {right}"
    of_payments: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for event in found.events:
        of_payments[event["gateway"], event["payment_id"]][event["kind"]] += event["amount_minor"]
    rows = {(row["gateway"], row["payment_id"]): row for row in found.payments}
    for key in sorted(rows.keys() | of_payments.keys()):
        had = (rows[key]["received_minor"], rows[key]["refunded_minor"]) if key in rows else None
        right = (of_payments[key]["received"], of_payments[key]["refunded"]) if key in of_payments else None
        if had != right:
            yield f"payment {key[1]}: projected {had}, the events say {right}"


def _folded(found: Read) -> Iterator[tuple[str, Balance]]:
    changes, events = defaultdict(list), defaultdict(list)
    currency: dict[str, str] = {}
    for row in found.changes:
        kind = ChangeKind(row["kind"])
        amount = from_minor_units(row["amount_minor"], currency=row["currency"]) if kind is ChangeKind.AMOUNT else None
        currency.setdefault(row["invoice_id"], row["currency"] or "MNT")
        changes[row["invoice_id"]].append(InvoiceChange(position=row["position"], kind=kind, amount=amount))
    for row in found.events:
        if row["invoice_id"] is not None:
            events[row["invoice_id"]].append(_as_event(row))
    for invoice, of_invoice in changes.items():
        yield invoice, fold(of_invoice, events[invoice], currency=currency[invoice])


def _as_event(row: Mapping[str, Any]) -> PaymentEvent:
    return PaymentEvent(
        gateway=row["gateway"],
        payment_id=row["payment_id"],
        kind=Kind(row["kind"]),
        ref=row["ref"],
        invoice_id=row["invoice_id"],
        gateway_invoice_id=None,
        amount=from_minor_units(row["amount_minor"], currency=row["currency"]),
        fee=None,
        occurred_at=row["occurred_at"],
        occurred_at_source=OccurredAtSource.OBSERVED,
        source=Source(row["source"]),
        raw={},
        who=None,
    )


def _columns(balance: Balance) -> dict[str, object]:
    amounts = {
        "due_minor": balance.due,
        "received_minor": balance.received,
        "refunded_minor": balance.refunded,
        "net_minor": balance.net,
        "outstanding_minor": balance.outstanding,
        "overpaid_minor": balance.overpaid,
    }
    return {name: minor_units(amount) for name, amount in amounts.items()} | {
        "status": balance.status.value,
        "voided": balance.voided,
        "payments": balance.payments,
        "first_paid_at": balance.first_paid_at,
        "last_paid_at": balance.last_paid_at,
    }


def _no_event_changed(found: Read, evidence: Evidence) -> Iterator[str]:
    now = {event["position"]: event["digest"] for event in found.events}
    for position, digest in evidence.witnessed.items():
        if position not in now:
            yield f"event {position} has vanished"
        elif now[position] != digest:
            yield f"event {position} was changed"


def _sums_agree(found: Read, evidence: Evidence) -> Iterator[str]:
    paid = sum(payment["amount"] * 100 for payment in evidence.facts["payments"] if payment["status"] == "PAID")
    applied = sum(row["net_minor"] for row in found.balances)
    waiting = sum(row["net_minor"] for row in found.suspense)
    if paid != applied + waiting:
        yield f"the gateway holds {paid / 100:,.2f}; invoices have {applied / 100:,.2f}, suspense {waiting / 100:,.2f}"


def slowest(found: Read, evidence: Evidence) -> float:
    """Return how long the slowest payment took, from its callback or from the end of the fault."""
    return max((took_s for _, took_s in _durations(found, evidence)), default=0.0)


def _found_in_time(found: Read, evidence: Evidence) -> Iterator[str]:
    for payment, took_s in _durations(found, evidence):
        if took_s > evidence.within_s:
            yield f"payment {payment} was recorded after {took_s:.1f} s, allowed are {evidence.within_s:.0f} s"


def _durations(found: Read, evidence: Evidence) -> Iterator[tuple[str, float]]:
    recorded = {event["payment_id"]: event["recorded_at"] for event in found.events if event["kind"] == "received"}
    for payment, taken_at in evidence.taken_at.items():
        if payment in recorded:  # else I1 tells of it, if it was money
            since = max(taken_at, evidence.healed_at)
            yield payment, max(0.0, (recorded[payment] - since).total_seconds())


def _nothing_of_a_callback(found: Read, evidence: Evidence) -> Iterator[str]:
    real = {payment["paymentId"] for payment in evidence.facts["payments"]}
    for event in found.events:
        if event["payment_id"] not in real:
            yield f"event {event['position']} is of a payment that the gateway does not have: {event['payment_id']}"
        if FALSE_WORD in " ".join(str(value) for value in event.values()):
            yield f"event {event['position']} holds what a false callback said"


def _within_the_budget(evidence: Evidence) -> Iterator[str]:
    number = {invoice["invoiceId"]: invoice["number"] for invoice in evidence.facts["invoices"]}
    paid = {payment["invoiceId"] for payment in evidence.facts["payments"]}
    for invoice, checks in evidence.calls["checks"].items():
        announced = invoice in paid or invoice in evidence.announced
        allowed = evidence.budget.checks_per_qr if announced else 0
        if checks > allowed:
            yield f"{number.get(invoice, invoice)}: {checks} checks, allowed are {allowed}"
    if evidence.calls["logins"] > evidence.budget.logins:
        yield f"{evidence.calls['logins']} logins, allowed are {evidence.budget.logins}"
    payments = Counter(payment["invoiceId"] for payment in evidence.facts["payments"])
    for invoice, looks in evidence.calls["paymentGets"].items():
        allowed = evidence.budget.looks_per_payment * payments[invoice]
        if looks > allowed:
            yield f"{number.get(invoice, invoice)}: {looks} calls of GET payment, allowed are {allowed}"


def _nothing_left_over(found: Read) -> Iterator[str]:
    for qr in found.gateway_invoices:
        if qr["leased"]:
            yield f"the check of {qr['invoice_id']} is leased by nobody"
        if qr["due"]:
            yield f"a check of {qr['invoice_id']} is due and nobody makes it (attempt {qr['attempts']})"
    for session in found.stuck:
        yield f"session {session['pid']} is {session['state']} ({session['wait_event_type']}): {session['query']}"
    for lock in found.advisory:
        yield f"session {lock['pid']} holds the advisory lock {lock['classid']}/{lock['objid']}"
    if found.prepared:
        yield f"{found.prepared} prepared transactions"
