"""What new events raise about an invoice: money on a void one, two ways paid for one due, one money told twice."""

from collections.abc import Sequence
from datetime import timedelta

from moneyed import Money

from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.payment_event import Kind, PaymentEvent
from domain.recorded import RecordedInvoice, route_of
from domain.statement import GATEWAY as BANK

SAME_MONEY_WITHIN = timedelta(days=4)
"""A gateway settles within three days, and a line of a statement may tell no more than its day."""


def questions_about(invoice: RecordedInvoice, events: Sequence[PaymentEvent]) -> tuple[Discrepancy, ...]:
    """Ask what these new events raise about an invoice: money on a void one, and one due or one money paid twice."""
    mine = [event for event in events if event.invoice_id == invoice.id]
    came = [event for event in mine if event.kind in {Kind.RECEIVED, Kind.ASSIGNED}]
    if not came:
        return ()
    net = invoice.net
    for event in mine:
        net = net + event.amount if event in came else net - event.amount
    if invoice.voided:
        return (_paid_after_void(invoice.id, came),)
    by_gateway = [event for event in came if event.kind is Kind.RECEIVED or event.gateway_invoice_id is not None]
    same_money = _same_money(invoice, came)
    if same_money:
        return same_money
    routes = invoice.routes | {route_of(event.gateway, event.gateway_invoice_id) for event in by_gateway}
    if by_gateway and net > invoice.due and len(routes) > 1:
        return (
            Discrepancy(
                kind=DiscrepancyKind.DUPLICATE_PAYMENT,
                gateway=by_gateway[0].gateway,
                subject=invoice.id,
                fingerprint=_these(by_gateway),
                detail=f"{len(routes)} QRs or gateways were paid; the invoice has {net - invoice.due} too much",
                invoice_id=invoice.id,
                payment_id=by_gateway[-1].payment_id,
            ),
        )
    return ()


def _same_money(invoice: RecordedInvoice, came: Sequence[PaymentEvent]) -> tuple[Discrepancy, ...]:
    """Ask whether what a gateway or a person tells is what a statement brought before, gross or less the fee."""
    return tuple(
        Discrepancy(
            kind=DiscrepancyKind.SAME_MONEY_BY_TWO_ROUTES,
            gateway=event.gateway,
            subject=event.payment_id,
            fingerprint=bank.payment_id,
            detail=(
                f"{bank.amount} came to the account as {BANK}:{bank.payment_id}, and {event.gateway} tells of"
                f" {event.amount}: if that is the same money, give one of both back in the books,"
                f" tootsoo refund {BANK}:{bank.payment_id} --invoice {invoice.id}"
            ),
            invoice_id=invoice.id,
            payment_id=event.payment_id,
        )
        for event in came
        for bank in invoice.by_bank
        if event.kind is Kind.RECEIVED
        and event.gateway != BANK
        and bank.amount in {event.amount, event.amount - event.fee if event.fee else event.amount}
        and abs(bank.occurred_at - event.occurred_at) <= SAME_MONEY_WITHIN
    )


def questions_on_void(invoice_id: str, held: Money) -> tuple[Discrepancy, ...]:
    """Ask what voiding an invoice raises that holds so much: somebody has to give it back or move it."""
    if held.amount <= 0:
        return ()
    question = Discrepancy(
        kind=DiscrepancyKind.PAID_AFTER_VOID,
        gateway="",
        subject=invoice_id,
        fingerprint="void",
        detail=f"the invoice was voided while it held {held}",
        invoice_id=invoice_id,
        payment_id=None,
    )
    return (question,)


def _paid_after_void(invoice_id: str, came: Sequence[PaymentEvent]) -> Discrepancy:
    return Discrepancy(
        kind=DiscrepancyKind.PAID_AFTER_VOID,
        gateway=came[0].gateway,
        subject=invoice_id,
        fingerprint=_these(came),
        detail="the invoice is void and has received money",
        invoice_id=invoice_id,
        payment_id=came[0].payment_id,
    )


def _these(events: Sequence[PaymentEvent]) -> str:
    """Tell new money from what was asked about before: an event comes once."""
    return " ".join(f"{event.payment_id}:{event.kind}:{event.ref}" for event in events)
