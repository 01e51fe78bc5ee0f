"""The JSON of the API: what comes in, checked once, and what goes out."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from moneyed import Money
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictStr,
)
from pydantic.alias_generators import to_camel

from adapters.postgres.gateway_invoices import GatewayInvoice
from adapters.postgres.invoices import GatewayInvoiceSummary, InvoiceRecord
from adapters.postgres.ledger import StoredEvent
from domain.invoice import InvalidInvoiceError, InvoiceTerms, require_payable
from domain.money import from_minor_units, money
from worker.clock import rfc3339
from worker.web.qr import png_of

Time = Annotated[datetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]


_DATE_AND_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")
"""pydantic would take a bare number as well, and guess whether it counts seconds or milliseconds."""


def _line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


def _time_text(given: object) -> object:
    if not isinstance(given, str) or not _DATE_AND_TIME.match(given):
        raise ValueError("must be a time such as 2026-11-22T04:30:00Z")
    return given


def _amount_text(given: object) -> object:
    """Take an integer of whole units as well, but no fraction of JSON: it has been rounded already."""
    return str(given) if isinstance(given, int) and not isinstance(given, bool) and abs(given) < INTEGER_MAX else given


EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""A time outside is a mistake; and every time inside can be shown in every time zone."""

INTEGER_MAX = 10**20
"""Far above what is an amount; what is above is not turned into text."""

Line = Annotated[StrictStr, AfterValidator(_line)]
TimeIn = Annotated[AwareDatetime, Field(ge=EARLIEST, lt=LATEST), BeforeValidator(_time_text)]
AmountText = Annotated[
    StrictStr,
    Field(pattern=r"^-?[0-9]{1,20}(\.[0-9]{1,20})?$"),
    BeforeValidator(_amount_text, json_schema_input_type=int | str),
]


class Shape(BaseModel):
    """camelCase outside, snake_case inside; unknown fields are refused, so that a typing error is noticed."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid")


class MoneyOut(Shape):
    """An amount in units of its currency, with all its decimals."""

    amount: str = Field(examples=["1500000.00"])
    currency: str = Field(examples=["MNT"])


class MoneyIn(Shape):
    """An amount: a string, or an integer of whole tögrög. A JSON fraction is refused: it has been rounded already."""

    amount: AmountText = Field(examples=["1500000.00"])
    currency: Annotated[StrictStr, Field(pattern="^[A-Z]{3}$")] = Field(examples=["MNT"])


class PutInvoice(Shape):
    """What a merchant says about an invoice."""

    amount: MoneyIn
    description: Annotated[Line, Field(min_length=1, max_length=255)]
    receiver_code: Annotated[Line, Field(min_length=1, max_length=45)] = "terminal"
    due_at: TimeIn | None = None

    def terms(self) -> InvoiceTerms:
        """Return the terms of the invoice.

        Raises:
            InvalidInvoiceError: the amount is none that an invoice may ask for.

        """
        return InvoiceTerms(
            amount=require_payable(read_money(self.amount, field="amount")),
            description=self.description,
            receiver_code=self.receiver_code,
            due_at=self.due_at,
        )


class AskPayLink(Shape):
    """Through which gateway the customer wants to pay."""

    gateway: Annotated[StrictStr, Field(max_length=40)] = Field(examples=["qpay"])


class BalanceOut(Shape):
    """What an invoice asks for and what it has got."""

    due: MoneyOut
    received: MoneyOut
    refunded: MoneyOut
    outstanding: MoneyOut
    overpaid: MoneyOut
    status: str
    payments: int
    first_paid_at: Time | None
    last_paid_at: Time | None


class GatewayInvoiceOut(Shape):
    """One QR of an invoice."""

    id: UUID
    gateway: str
    generation: int
    state: str
    amount: MoneyOut
    issued_at: Time
    expires_at: Time


class InvoiceOut(Shape):
    """An invoice as it stands."""

    id: str
    description: str
    receiver_code: str
    due_at: Time | None
    voided_at: Time | None
    balance: BalanceOut
    gateway_invoices: list[GatewayInvoiceOut]


class LinkOut(Shape):
    """A deep link into one bank's application."""

    name: str
    description: str
    logo: str
    link: str


class PayLinkOut(Shape):
    """A QR to be shown to a customer, and the links that open a bank's application with it."""

    gateway: str
    gateway_invoice_id: UUID
    qr_text: str
    qr_image: str
    pay_url: str | None
    links: list[LinkOut]
    expires_at: Time
    amount: MoneyOut


class PaymentOut(Shape):
    """One recorded fact about a payment."""

    id: str
    gateway: str
    payment_id: str
    kind: str
    invoice: str | None
    amount: MoneyOut
    fee: MoneyOut | None
    occurred_at: Time
    occurred_at_source: str
    recorded_at: Time
    source: str


class PaymentsOut(Shape):
    """A page of payments; `next` is the cursor of the following page."""

    payments: list[PaymentOut]
    next: str | None


def invoice_out(invoice: InvoiceRecord) -> InvoiceOut:
    """Return an invoice as the API shows it."""

    def amount(minor: int) -> MoneyOut:
        return _money_out(minor, invoice.currency)

    return InvoiceOut(
        id=invoice.id,
        description=invoice.description,
        receiver_code=invoice.receiver_code,
        due_at=invoice.due_at,
        voided_at=invoice.voided_at,
        balance=BalanceOut(
            due=amount(invoice.due_minor),
            received=amount(invoice.received_minor),
            refunded=amount(invoice.refunded_minor),
            outstanding=amount(invoice.outstanding_minor),
            overpaid=amount(invoice.overpaid_minor),
            status=invoice.status,
            payments=invoice.payments,
            first_paid_at=invoice.first_paid_at,
            last_paid_at=invoice.last_paid_at,
        ),
        gateway_invoices=[_gateway_invoice_out(summary) for summary in invoice.gateway_invoices],
    )


def pay_link_out(open_invoice: GatewayInvoice) -> PayLinkOut:
    """Return an open QR as the API shows it; the image is made here when the gateway sent none."""
    qr_text = open_invoice.qr_text or ""
    return PayLinkOut(
        gateway=open_invoice.gateway,
        gateway_invoice_id=open_invoice.id,
        qr_text=qr_text,
        qr_image=open_invoice.qr_image or png_of(qr_text),
        pay_url=open_invoice.short_url,
        links=[
            LinkOut(name=link.name, description=link.description, logo=link.logo, link=link.link)
            for link in open_invoice.links
        ],
        expires_at=open_invoice.expires_at,
        amount=_money_of(open_invoice.left),
    )


def payment_out(payment: StoredEvent) -> PaymentOut:
    """Return a recorded payment as the API shows it."""
    fee = None if payment.fee_minor is None else _money_out(payment.fee_minor, payment.currency)
    return PaymentOut(
        id=f"{payment.gateway}:{payment.payment_id}",
        gateway=payment.gateway,
        payment_id=payment.payment_id,
        kind=payment.kind,
        invoice=payment.invoice_id,
        amount=_money_out(payment.amount_minor, payment.currency),
        fee=fee,
        occurred_at=payment.occurred_at,
        occurred_at_source=payment.occurred_at_source,
        recorded_at=payment.recorded_at,
        source=payment.source,
    )


def _gateway_invoice_out(summary: GatewayInvoiceSummary) -> GatewayInvoiceOut:
    return GatewayInvoiceOut(
        id=summary.id,
        gateway=summary.gateway,
        generation=summary.generation,
        state=summary.state,
        amount=_money_out(summary.amount_minor, summary.currency),
        issued_at=summary.issued_at,
        expires_at=summary.expires_at,
    )


def read_money(given: MoneyIn, *, field: str) -> Money:
    """Return the amount that came in.

    Raises:
        InvalidInvoiceError: it is none that its currency can hold; `field` names where it stood.

    """
    try:
        return money(given.amount, currency=given.currency)
    except ValueError as error:
        part = "currency" if "currency" in str(error) else "amount"
        raise InvalidInvoiceError(f"{field}.{part}", str(error)) from None


def _money_out(amount_minor: int, currency: str) -> MoneyOut:
    return _money_of(from_minor_units(amount_minor, currency=currency))


def _money_of(amount: Money) -> MoneyOut:
    decimals = len(str(amount.currency.sub_unit)) - 1
    exact = amount.amount.quantize(Decimal(1).scaleb(-decimals))
    return MoneyOut(amount=str(exact), currency=amount.currency.code)
