"""Rows that cannot be understood: what a person is asked about them, and when that is no question any more.

One strange answer is not yet a question: the QR is looked at again first. Each question is looked at again once,
whatever else the row holds, so that a gateway that says something new each time is not asked for ever.
"""

from collections.abc import Sequence
from hashlib import sha256

from domain.checked_invoice import CheckedInvoice
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.payment_row import PaymentRow, RowStatus, UnreadableRow
from domain.recorded import PaymentKey

NOT_UNDERSTOOD = frozenset({DiscrepancyKind.UNKNOWN_STATUS, DiscrepancyKind.UNREADABLE_ROW})


def about_unknown_status(row: PaymentRow, *, checked: CheckedInvoice) -> Discrepancy:
    """Ask what a status means that we do not know: a question for each payment and word."""
    return Discrepancy(
        kind=DiscrepancyKind.UNKNOWN_STATUS,
        gateway=checked.gateway,
        subject=row.payment_id,
        fingerprint=row.status_text,
        detail=f"the gateway calls the payment {row.status_text!r}",
        invoice_id=checked.invoice_id,
        payment_id=row.payment_id,
        certain=False,
    )


def about_unreadable(row: UnreadableRow, *, checked: CheckedInvoice) -> Discrepancy:
    """Ask what a row means that cannot be read: a question for each payment, or else each QR, and reason."""
    where = f"{checked.gateway_invoice_id} {row.reason}"
    return Discrepancy(
        kind=DiscrepancyKind.UNREADABLE_ROW,
        gateway=checked.gateway,
        subject=row.payment_id or sha256(where.encode()).hexdigest()[:32],
        fingerprint=row.reason if row.payment_id else "",
        detail=f"a row cannot be read: {row.words}",
        invoice_id=checked.invoice_id,
        payment_id=row.payment_id,
        certain=False,
    )


def understood(
    rows: Sequence[PaymentRow | UnreadableRow], asked: Sequence[Discrepancy], *, checked: CheckedInvoice
) -> frozenset[PaymentKey]:
    """Name the payments that have a row which says something, and none that does not."""
    strange = {one.payment_id for one in asked if one.kind in NOT_UNDERSTOOD}
    return frozenset(
        (checked.gateway, row.payment_id)
        for row in rows
        if isinstance(row, PaymentRow) and row.status is not RowStatus.UNKNOWN and row.payment_id not in strange
    )
