"""Gateway invoices as the port names them, for tests that care for the gateway's own id alone."""

from moneyed import Money

from domain.gateway import GatewayInvoiceRef, InvoiceToIssue, IssuedInvoice


def ref(external_id: str) -> GatewayInvoiceRef:
    """Name one that asks for 1,500,000 tögrög."""
    return GatewayInvoiceRef(number="rent-2026-03-1", external_id=external_id, amount=Money(1_500_000, "MNT"))


def ref_of(order: InvoiceToIssue, issued: IssuedInvoice) -> GatewayInvoiceRef:
    """Name one that was issued."""
    return GatewayInvoiceRef(number=order.number, external_id=issued.external_id, amount=order.amount)
