"""What there is at the simulated gateway: merchants, invoices, payments, and the callbacks that were sent."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import NAMESPACE_URL, uuid5

PAID = "PAID"
"""The only status that is money; payments may hold any other word as well."""
REFUNDED = "REFUNDED"
"""The whole amount was given back."""


class InvoiceState(StrEnum):
    """What has become of an invoice."""

    OPEN = "open"
    PAID = "paid"
    CANCELED = "canceled"
    EXPIRED = "expired"


class PaymentType(StrEnum):
    """How a customer pays."""

    P2P = "P2P"
    CARD = "CARD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """Somebody who may log in and issue invoices under one invoice code."""

    username: str
    password: str = field(repr=False)
    invoice_code: str

    @property
    def merchant_id(self) -> str:
        """QPay's own id of the merchant: the claim of that name in the access token."""
        return str(uuid5(NAMESPACE_URL, f"simulator:{self.username}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of an invoice, as the merchant described it."""

    description: str
    quantity: Decimal
    unit_price: Decimal
    tax_product_code: str | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """One QR that can be paid. Amounts are whole tögrög, times UTC."""

    invoice_id: str
    merchant: str
    """The merchant's username."""
    invoice_code: str
    number: str
    """The merchant's own sender_invoice_no; several invoices may share it."""
    description: str
    amount: int
    callback_url: str = field(repr=False)
    """Carries a secret in its path: never logged, never shown by the control API."""
    qr_text: str
    created_at: datetime
    expires_at: datetime | None
    """None when it never runs out."""
    has_own_expiry: bool
    """Whether the merchant asked for the expiry: only then does GET invoice tell it."""
    allow_partial: bool
    minimum_amount: int | None
    allow_exceed: bool
    maximum_amount: int | None
    branch_code: str | None
    due_date: datetime | None
    note: str | None
    lines: tuple[Line, ...]
    canceled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One payment of one invoice. Amounts are whole tögrög, `amount` before the fee; the time is UTC."""

    payment_id: str
    """15 digits for bank transfers, a UUID for cards."""
    invoice_id: str
    amount: int
    fee: int
    type: PaymentType
    status: str
    paid_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCallback:
    """One callback and what came back: an answer, or the reason why there is none."""

    payment_id: str
    invoice_id: str
    attempt: int
    """1 for the first; counted on for those sent at once with it, or again after it."""
    masked_url: str
    sent_at: datetime
    status_code: int | None
    body: str | None
    """The beginning of the answer; QPay wants exactly SUCCESS."""
    error: str | None
