"""The gateway invoice that a check was about, and why it was made."""

from dataclasses import dataclass
from uuid import UUID

from domain.payment_event import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedInvoice:
    """The gateway invoice that a check was about, and why it was made."""

    gateway: str
    gateway_invoice_id: UUID
    invoice_id: str
    currency: str
    source: Source
    answered_before: bool = True
    """Whether a check of it was ever answered before: only then can its rows have been asked about."""
