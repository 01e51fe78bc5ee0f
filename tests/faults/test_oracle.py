"""The oracle finds what is wrong: each invariant is broken once, on purpose."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.faults.oracle import Budget, Evidence, Read, is_quiet, judge
from tests.faults.shop import FALSE_WORD

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
FACTS: dict[str, Any] = {
    "invoices": [{"invoiceId": "qr-1", "number": "order-1"}, {"invoiceId": "qr-2", "number": "order-2-g2"}],
    "payments": [
        {"paymentId": "p-1", "invoiceId": "qr-1", "amount": 100, "status": "PAID"},
        {"paymentId": "p-2", "invoiceId": "qr-2", "amount": 40, "status": "PAID"},
        {"paymentId": "p-3", "invoiceId": "qr-2", "amount": 70, "status": "FAILED"},
    ],
}
EVIDENCE = Evidence(
    facts=FACTS,
    calls={"checks": {"qr-1": 2, "qr-2": 1}, "logins": 1, "paymentGets": {}},
    taken_at={"p-1": NOON, "p-2": NOON},
    healed_at=NOON + timedelta(seconds=5),
    within_s=15,
    budget=Budget(checks_per_qr=2, logins=1),
    witnessed={1: "digest-1"},
)


def event(position: int, payment_id: str, invoice_id: str, amount_minor: int, **other: object) -> dict[str, Any]:
    return {
        "position": position,
        "gateway": "qpay",
        "payment_id": payment_id,
        "kind": "received",
        "ref": "gateway",
        "invoice_id": invoice_id,
        "amount_minor": amount_minor,
        "currency": "MNT",
        "occurred_at": NOON,
        "recorded_at": NOON + timedelta(seconds=6),
        "source": "callback",
        "raw": "{}",
        "digest": f"digest-{position}",
        **other,
    }


def balance(invoice_id: str, received_minor: int) -> dict[str, Any]:
    return {
        "invoice_id": invoice_id,
        "currency": "MNT",
        "due_minor": 10_000,
        "received_minor": received_minor,
        "refunded_minor": 0,
        "net_minor": received_minor,
        "outstanding_minor": 10_000 - received_minor,
        "overpaid_minor": 0,
        "status": "paid" if received_minor == 10_000 else "partially_paid",
        "payments": 1,
        "first_paid_at": NOON,
        "last_paid_at": NOON,
        "voided": False,
    }


def sound() -> Read:
    qr = {"state": "open", "requested": 1, "served": 1, "leased": False, "attempts": 0, "due": False}
    return Read(
        events=[event(1, "p-1", "order-1", 10_000), event(2, "p-2", "order-2", 4_000)],
        changes=[
            {"invoice_id": f"order-{n}", "position": n, "kind": "amount", "amount_minor": 10_000, "currency": "MNT"}
            for n in (1, 2)
        ],
        balances=[balance("order-1", 10_000), balance("order-2", 4_000)],
        payments=[
            {"gateway": "qpay", "payment_id": "p-1", "received_minor": 10_000, "refunded_minor": 0},
            {"gateway": "qpay", "payment_id": "p-2", "received_minor": 4_000, "refunded_minor": 0},
        ],
        suspense=[],
        questions=[],
        gateway_invoices=[
            {"id": f"id-{n}", "invoice_id": f"order-{n}", "external_id": f"qr-{n}", **qr} for n in (1, 2)
        ],
        stuck=[],
        advisory=[],
        prepared=0,
    )


def broken(found: Read, evidence: Evidence = EVIDENCE) -> set[str]:
    return {breach.invariant for breach in judge(found, evidence)}


def test_what_is_sound_breaks_nothing() -> None:
    assert judge(sound(), EVIDENCE) == []
    assert is_quiet(sound(), FACTS)


BREAKS: dict[str, tuple[set[str], Callable[[Read], object]]] = {
    "an event is lost": ({"I1", "I2"}, lambda read: read.events.pop()),
    "an event is there twice": (
        {"I1", "I2"},
        lambda read: read.events.append(event(3, "p-2", "order-2", 4_000, ref="x")),
    ),
    "a payment is on another invoice": ({"I1", "I2"}, lambda read: read.events[0].update(invoice_id="order-2")),
    "a failed payment is money": (
        {"I1", "I2"},
        lambda read: read.events.append(event(3, "p-3", "order-2", 7_000)),
    ),
    "a balance is wrong by a möngö": (
        {"I2", "I5"},
        lambda read: read.balances[0].update(received_minor=9_999, net_minor=9_999),
    ),
    "a balance is missing": ({"I2", "I5"}, lambda read: read.balances.pop()),
    "a balance has no invoice": ({"I2", "I5"}, lambda read: read.balances.append(balance("order-9", 10_000))),
    "a status is wrong": ({"I2"}, lambda read: read.balances[0].update(status="unpaid")),
    "a payment's projection is wrong": ({"I2"}, lambda read: read.payments[0].update(refunded_minor=1)),
    "an event was changed": ({"I3"}, lambda read: read.events[0].update(digest="other")),
    "an event has vanished": ({"I1", "I2", "I3"}, lambda read: read.events.pop(0)),
    "money waits that nobody paid": (
        {"I5"},
        lambda read: read.suspense.append({"gateway": "qpay", "currency": "MNT", "net_minor": 1}),
    ),
    "a payment came late": ({"I6"}, lambda read: read.events[0].update(recorded_at=NOON + timedelta(seconds=21))),
    "a callback was believed": ({"I7"}, lambda read: read.events[0].update(raw=f'{{"status": "{FALSE_WORD}"}}')),
    "a payment nobody made": (
        {"I1", "I2", "I7"},
        lambda read: read.events.append(event(3, f"{FALSE_WORD}7", "order-1", 5)),
    ),
    "a question without cause": (
        {"I1"},
        lambda read: read.questions.append({"id": 1, "kind": "changed_amount", "detail": "100 became 1"}),
    ),
    "a lease is left over": ({"I9"}, lambda read: read.gateway_invoices[0].update(leased=True)),
    "a check is never made": ({"I9"}, lambda read: read.gateway_invoices[0].update(due=True)),
    "a lock is left over": ({"I9"}, lambda read: read.advisory.append({"pid": 1, "classid": 2, "objid": 3})),
    "a session hangs": (
        {"I9"},
        lambda read: read.stuck.append({"pid": 1, "state": "idle in transaction", "wait_event_type": "", "query": ""}),
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_named(name: str) -> None:
    invariants, break_it = BREAKS[name]
    found = deepcopy(sound())
    break_it(found)

    assert invariants <= broken(found)


@pytest.mark.parametrize(
    "calls",
    [
        {"checks": {"qr-1": 3}, "logins": 1, "paymentGets": {}},
        {"checks": {"qr-never-paid": 1}, "logins": 1, "paymentGets": {}},
        {"checks": {}, "logins": 2, "paymentGets": {}},
        {"checks": {}, "logins": 1, "paymentGets": {"qr-1": 1}},
    ],
)
def test_calls_beyond_the_budget_are_named(calls: dict[str, Any]) -> None:
    assert broken(sound(), replace(EVIDENCE, calls=calls)) == {"I8"}


@pytest.mark.parametrize(("looks", "breaks"), [(2, set()), (3, {"I8"})])
def test_payments_may_be_looked_up_as_often_as_is_allowed(looks: int, breaks: set[str]) -> None:
    calls = {"checks": {}, "logins": 1, "paymentGets": {"qr-1": looks}}
    paid = sum(payment["invoiceId"] == "qr-1" for payment in FACTS["payments"])
    evidence = replace(EVIDENCE, calls=calls, budget=replace(EVIDENCE.budget, looks_per_payment=2 // paid))

    assert broken(sound(), evidence) == breaks


def test_a_payment_that_was_refunded_needs_both_events() -> None:
    facts = deepcopy(FACTS)
    facts["payments"][0]["status"] = "REFUNDED"

    assert "I1" in broken(sound(), replace(EVIDENCE, facts=facts))
