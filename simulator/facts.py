"""What there is at the simulated gateways: merchants, invoices, payments, and the callbacks that were sent."""

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
class Terminal:
    """A merchant at SocialPay: eight characters from the bank, and what its calls are signed with."""

    terminal: str
    secret: str = field(repr=False)
    push_url: str = ""
    """Whom the bank was told to push to; nobody, when it is empty."""


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

    gateway: str
    """At which gateway: `qpay` or `socialpay`."""
    invoice_id: str
    merchant: str
    """The merchant's username, or its terminal."""
    invoice_code: str
    number: str
    """The merchant's own number; at QPay, where it is called sender_invoice_no, several invoices may share it."""
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
    allow_partial: bool = False
    minimum_amount: int | None = None
    allow_exceed: bool = False
    maximum_amount: int | None = None
    branch_code: str | None = None
    due_date: datetime | None = None
    note: str | None = None
    lines: tuple[Line, ...] = ()
    canceled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One payment of one invoice. Amounts are whole tögrög, `amount` before the fee; the time is UTC."""

    payment_id: str
    """At QPay 15 digits for bank transfers, a UUID for cards; at SocialPay, which has none, `terminal:number`."""
    invoice_id: str
    amount: int
    fee: int
    type: PaymentType
    status: str
    paid_at: datetime
    approval_code: str = ""
    """Six digits at SocialPay; several payments may have the same."""


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
    taken: bool
    """Whether the gateway is content with the answer."""
    error: str | None
