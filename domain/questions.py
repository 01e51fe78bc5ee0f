"""What new events raise about an invoice: money on a void one, and two ways paid for one due."""

from collections.abc import Sequence

from moneyed import Money

from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.payment_event import Kind, PaymentEvent
from domain.recorded import RecordedInvoice, route_of


def questions_about(invoice: RecordedInvoice, events: Sequence[PaymentEvent]) -> tuple[Discrepancy, ...]:
    """Ask what these new events raise about an invoice: money on a void one, and two QRs paid for one due."""
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
