"""Notifications: what a merchant's application is told when the money of an invoice moves."""

from enum import StrEnum

from domain.balance import Balance


class NotificationType(StrEnum):
    """What happened."""

    INVOICE_PAID = "invoice.paid"
    INVOICE_PARTIALLY_PAID = "invoice.partially_paid"
    """Less than what is due is held; nothing at all when money was moved to another invoice."""
    INVOICE_OVERPAID = "invoice.overpaid"
    INVOICE_REFUNDED = "invoice.refunded"
    """All or a part was given back."""
    PAYMENT_UNMATCHED = "payment.unmatched"
    """Money of no known invoice came to suspense."""
    DISCREPANCY_OPENED = "discrepancy.opened"


def about_invoice(before: Balance, after: Balance) -> NotificationType | None:
    """Name what is told of an append that made `after` out of `before`; the ledger's SQL stages the same.

    None when no money moved, and when the invoice is void: then a discrepancy is opened.
    """
    if after.voided or (before.received, before.refunded) == (after.received, after.refunded):
        return None
    if after.refunded > before.refunded:
        return NotificationType.INVOICE_REFUNDED
    if after.net < after.due:
        return NotificationType.INVOICE_PARTIALLY_PAID
    return NotificationType.INVOICE_OVERPAID if after.net > after.due else NotificationType.INVOICE_PAID
