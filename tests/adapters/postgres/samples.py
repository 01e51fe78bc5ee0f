"""Invoices and QRs to test with."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from adapters.postgres.check_requests import CheckRequests, ClaimedCheck
from adapters.postgres.connection import Pool
from adapters.postgres.gateway_invoices import GatewayInvoices, Intent
from adapters.postgres.invoices import Invoices, Put
from adapters.postgres.ledger import Appended, Ledger
from adapters.postgres.recorded import About
from domain.gateway import IssuedInvoice
from domain.invoice import InvoiceTerms
from domain.money import money
from domain.payment_event import PaymentEvent
from domain.reconciler import Decision
from domain.recorded import Recorded

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


def put(invoices: Invoices, invoice_id: str = "order-1", *, amount: str = "100") -> Put:
    terms = InvoiceTerms(
        amount=money(amount, currency="MNT"), description="An order", receiver_code="terminal", due_at=None
    )
    return invoices.put(invoice_id, terms=terms, now=NOON, who="test")


def qr_store(pool: Pool, *, issue_deadline_s: float = 60.0) -> GatewayInvoices:
    return GatewayInvoices(pool, qr_lifetime=timedelta(days=7), issue_deadline_s=issue_deadline_s)


def an_answer(external_id: str | None = None) -> IssuedInvoice:
    return IssuedInvoice(
        external_id=external_id or str(uuid4()), qr_text="0002010102", qr_image=None, short_url=None, links=()
    )


def open_qr(pool: Pool, invoice_id: str = "order-1") -> UUID:
    """An open QR of an invoice that has none yet."""
    store = qr_store(pool)
    step = store.next_step(invoice_id, gateway="qpay", goes_by_number=False, whole_units=True, new_id=uuid4(), now=NOON)
    assert isinstance(step, Intent)
    assert store.mark_open(step.id, issued=an_answer())
    return step.id


def append(ledger: Ledger, events: Sequence[PaymentEvent]) -> Appended:
    """Append those events that are not recorded yet, as a rule would that has no questions."""
    about = About(
        invoices=frozenset(event.invoice_id for event in events if event.invoice_id is not None),
        payments=frozenset((event.gateway, event.payment_id) for event in events),
    )

    def decide(recorded: Recorded) -> Decision:
        known = {
            (*payment.key, event.kind, event.ref) for payment in recorded.payments.values() for event in payment.events
        }
        new = {event.key: event for event in events if event.key not in known}
        return Decision(events=tuple(new[key] for key in sorted(new)))

    return ledger.append(about, decide, recorded_at=NOON)


def finish(pool: Pool, requests: CheckRequests, check: ClaimedCheck, *seen: str) -> float | None:
    """Write that a check was made and proved nothing; returns in how many seconds a worker should be woken again."""
    appended = Ledger(pool).append(
        About(), lambda _: Decision(), recorded_at=NOON, finished=requests.finished(check, seen_payment_ids=seen)
    )
    return appended.ring_in_s
