"""One new payment takes a shorter way into the database, and leaves there what the long way leaves."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.connection import Pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.recorded import About
from domain.payment_event import PaymentEvent, Source
from domain.reconciler import Decision
from domain.recorded import Recorded
from tests.adapters.postgres.samples import NOON, append, open_qr, put
from tests.domain.samples import an_event

NOBODY = frozenset({("qpay", "nobody")})
"""A suspicion to forget that nobody has: it makes a decision more than one new payment, and changes nothing."""

SHOWN = """
SELECT
    (SELECT to_jsonb(b) - 'invoice_id' FROM invoice_balance AS b WHERE b.invoice_id = i.id) AS balance,
    (
        SELECT jsonb_agg(to_jsonb(p) - '{payment_id,invoice_id}'::text[] ORDER BY p.received_minor)
        FROM payment AS p WHERE p.invoice_id = i.id
    ) AS payments,
    (
        SELECT jsonb_agg(
            to_jsonb(e) - '{position,payment_id,invoice_id,gateway_invoice_id}'::text[] #- '{raw,payment_id}'
            ORDER BY e.position
        )
        FROM payment_event AS e WHERE e.invoice_id = i.id
    ) AS events,
    (
        SELECT jsonb_agg(jsonb_build_array(
            n.sequence, n.type, n.data - '{invoice_id,moved}'::text[], n.data #- '{moved,0,payment_id}' -> 'moved',
            n.staged_at, n.state, n.attempts
        ) ORDER BY n.id)
        FROM notification AS n WHERE n.invoice_id = i.id
    ) AS told,
    (
        SELECT jsonb_agg(jsonb_build_array(
            g.gateway, g.state, g.requested, g.served, g.attempts, g.last_error, g.lease_token IS NULL,
            g.lease_until IS NULL, g.rung_at IS NULL, cardinality(g.awaited_payment_ids), g.awaited_since IS NULL,
            round(extract(epoch FROM g.next_check_at - g.checked_at)), g.closing_at IS NULL, g.ended_at IS NULL
        ) ORDER BY g.gateway)
        FROM gateway_invoice AS g WHERE g.invoice_id = i.id
    ) AS qrs
FROM invoice AS i
WHERE i.id = %s
"""
"""All that an append writes, without what differs between any two invoices."""


@dataclass(frozen=True)
class Case:
    """How things stand when a check finds one payment on a QR."""

    due: str
    amount: str
    paid_before: str | None
    voided: bool
    state: str | None
    """Of the QR that was paid; None where there is none, and no check."""
    asked_meanwhile: bool
    awaits: tuple[str, ...]
    """What callbacks named: "this" payment, or "another"."""
    lease_lost: bool
    other_qr_open: bool


cases = st.builds(
    Case,
    due=st.sampled_from(["100", "150"]),
    amount=st.sampled_from(["40", "100", "120"]),
    paid_before=st.sampled_from([None, "30", "50"]),
    voided=st.booleans(),
    state=st.sampled_from([None, "open", "open", "closing", "superseded"]),
    asked_meanwhile=st.booleans(),
    awaits=st.sampled_from([(), ("this",), ("another",), ("this", "another")]),
    lease_lost=st.booleans(),
    other_qr_open=st.booleans(),
)


FULL = Case(
    due="100",
    amount="100",
    paid_before=None,
    voided=False,
    state="open",
    asked_meanwhile=False,
    awaits=("this",),
    lease_lost=False,
    other_qr_open=False,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases)
@example(case=FULL)
@example(case=replace(FULL, state="superseded"))
def test_the_short_way_writes_what_the_long_way_writes(
    pool: Pool, invoices: Invoices, ledger: Ledger, case: Case
) -> None:
    short, long = (recorded(pool, invoices, ledger, case, also=also) for also in (Decision(), Decision(cleared=NOBODY)))

    assert short == long


def recorded(pool: Pool, invoices: Invoices, ledger: Ledger, case: Case, *, also: Decision) -> dict[str, Any]:
    """Let an invoice of its own come to be as the case says, record the payment, and return what is written then."""
    invoice_id, payment_id = f"order-{uuid4().hex[:24]}", uuid4().hex
    put(invoices, invoice_id, amount=case.due)
    if case.paid_before is not None:
        append(ledger, [an_event(uuid4().hex, amount=case.paid_before, invoice_id=invoice_id, minutes=7)])
    qr = open_qr(pool, invoice_id) if case.state is not None else None
    if qr is not None and case.other_qr_open:
        _another_qr(pool, qr)
    if case.voided:
        invoices.void(invoice_id, reason="cancelled", now=NOON, who="test")
    requests = CheckRequests(pool, spacing_s=2.0, retry_base_s=2.0, retry_max_s=60.0)
    finished = None
    if qr is not None:
        for awaited in case.awaits or (None,):
            name = {"this": payment_id, "another": "another", None: None}[awaited]
            requests.request(qr, source=Source.CALLBACK, awaited_payment_id=name)
        check = requests.claim(qr, lease_token=uuid4())
        assert check is not None
        if case.asked_meanwhile:
            requests.request(qr, source=Source.COMMAND)
        if case.lease_lost:
            _write(pool, "UPDATE gateway_invoice SET lease_token = gen_random_uuid() WHERE id = %s", qr)
        _write(pool, "UPDATE gateway_invoice SET state = %s WHERE id = %s", case.state, qr)
        finished = requests.finished(check, seen_payment_ids=[payment_id])
    event = an_event(payment_id, amount=case.amount, invoice_id=invoice_id, gateway_invoice_id=qr)

    appended = ledger.append(
        About(invoices=frozenset({invoice_id}), payments=frozenset({("qpay", payment_id)})),
        partial(_once, event, also),
        recorded_at=NOON,
        finished=finished,
    )

    with pool.connection() as connection:
        row = connection.execute(SHOWN, [invoice_id]).fetchone()
    assert row is not None
    return {**row, "rings": appended.ring_in_s is not None, "events_told": len(appended.events)}


def _once(event: PaymentEvent, also: Decision, recorded: Recorded) -> Decision:
    known = (event.gateway, event.payment_id) in recorded.payments
    return Decision(events=() if known else (event,), cleared=also.cleared)


def _another_qr(pool: Pool, qr: UUID) -> None:
    """Open a QR at another gateway for the same invoice."""
    _write(
        pool,
        """
        INSERT INTO gateway_invoice (
            id, invoice_id, gateway, generation, number, external_id, amount_minor, currency, state, qr_text,
            issued_at, expires_at, issue_deadline
        )
        SELECT gen_random_uuid(), invoice_id, 'other', 1, number, external_id, amount_minor, currency, 'open', qr_text,
            issued_at, expires_at, issue_deadline
        FROM gateway_invoice WHERE id = %s
        """,
        qr,
    )


def _write(pool: Pool, statement: str, *values: object) -> None:
    with pool.connection() as connection:
        connection.execute(statement.encode(), values)


def test_a_payment_of_its_own_needs_nothing_of_the_long_way(
    database_url: str, invoices: Invoices, ledger: Ledger
) -> None:
    put(invoices)
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("ALTER FUNCTION tootsoo.append_decided RENAME TO not_to_be_called")

    append(ledger, [an_event("1", amount="100")])

    record = invoices.read("order-1")
    assert record is not None
    assert record.status == "paid"
