"""The JSON of the API: what comes in, checked once, and what goes out."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Annotated
from uuid import UUID

from moneyed import Money, get_currency
from pydantic import Field, PlainSerializer, StrictStr, WithJsonSchema

from adapters.postgres.gateway_invoices import GatewayInvoice
from adapters.postgres.invoices import GatewayInvoiceSummary, InvoiceRecord
from adapters.postgres.ledger import StoredEvent
from domain.balance import Status
from domain.invoice import InvoiceTerms, require_payable
from domain.money import minor_units
from domain.pay_link import GatewayInvoiceState
from domain.payment_event import Kind, OccurredAtSource, Source
from worker.clock import rfc3339
from worker.web.fields import Given, Line, PayableIn, Shape, TimeIn, read_money
from worker.web.qr import png_of

Time = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    Field(examples=["2026-11-22T04:30:00Z"], description="UTC."),
]


def _word_of(words: type[StrEnum]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": [str(word) for word in words]})


InvoiceIdOut = Annotated[str, Field(examples=["rent-2026-11"])]
GatewayName = Annotated[str, Field(examples=["qpay"])]


class MoneyOut(Shape):
    """An amount in units of its currency, with all its decimals."""

    amount: str = Field(examples=["1500000.00"])
    currency: str = Field(examples=["MNT"])


class PutInvoice(Given):
    """What a merchant says about an invoice."""

    amount: PayableIn
    description: Annotated[Line, Field(min_length=1, max_length=255, examples=["Түрээс 2026-11"])]
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


class AskPayLink(Given):
    """Through which gateway the customer wants to pay."""

    gateway: Annotated[StrictStr, Field(max_length=40)] = Field(examples=["qpay"])


class BalanceOut(Shape):
    """What an invoice asks for and what it has got."""

    due: MoneyOut
    received: MoneyOut
    refunded: MoneyOut
    outstanding: MoneyOut
    overpaid: MoneyOut
    status: Annotated[str, _word_of(Status)]
    payments: Annotated[int, Field(examples=[1], description="How often money came.")]
    first_paid_at: Time | None
    last_paid_at: Time | None


class GatewayInvoiceOut(Shape):
    """One QR of an invoice."""

    id: UUID
    gateway: GatewayName
    generation: Annotated[int, Field(examples=[1], description="1 for the first QR at a gateway, then 2, 3, …")]
    state: Annotated[str, _word_of(GatewayInvoiceState)]
    amount: MoneyOut
    issued_at: Time
    expires_at: Time


class InvoiceOut(Shape):
    """An invoice as it stands."""

    id: InvoiceIdOut
    description: Annotated[str, Field(examples=["Түрээс 2026-11"])]
    receiver_code: Annotated[str, Field(examples=["terminal"])]
    due_at: Time | None
    voided_at: Time | None
    balance: BalanceOut
    gateway_invoices: list[GatewayInvoiceOut]


class LinkOut(Shape):
    """A deep link into one bank's application."""

    name: Annotated[str, Field(examples=["Khan bank"])]
    description: Annotated[str, Field(examples=["Хаан банк"])]
    logo: Annotated[str, Field(description="The address of an image.")]
    link: Annotated[str, Field(description="Opens the bank's application on the phone that shows it.")]


class PayLinkOut(Shape):
    """A QR to be shown to a customer, and the links that open a bank's application with it."""

    gateway: GatewayName
    gateway_invoice_id: UUID
    qr_text: Annotated[str, Field(description="What the QR says.")]
    qr_image: Annotated[str, Field(description="Base64 of a PNG, without `data:`.")]
    pay_url: Annotated[str, Field(description="The customer's page, to be sent or opened as it is.")]
    links: list[LinkOut]
    expires_at: Time
    amount: MoneyOut


class PaymentOut(Shape):
    """One recorded fact about a payment."""

    id: Annotated[str, Field(examples=["qpay:100000000000001"])]
    gateway: GatewayName
    payment_id: Annotated[str, Field(examples=["100000000000001"], description="The gateway's own.")]
    kind: Annotated[str, _word_of(Kind)]
    invoice: Annotated[InvoiceIdOut | None, Field(description="Null while it lies in suspense.")]
    amount: MoneyOut
    fee: MoneyOut | None
    occurred_at: Time
    occurred_at_source: Annotated[str, _word_of(OccurredAtSource)]
    recorded_at: Time
    source: Annotated[str, _word_of(Source)]


class PaymentsOut(Shape):
    """A page of payments; `next` is the cursor of the following page."""

    payments: list[PaymentOut]
    next: Annotated[str | None, Field(examples=["184467"])]


def invoice_out(invoice: InvoiceRecord) -> InvoiceOut:
    """Return an invoice as the API shows it."""

    def amount(minor: int) -> MoneyOut:
        return money_out(minor, invoice.currency)

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


def pay_link_out(open_invoice: GatewayInvoice, *, pay_url: str) -> PayLinkOut:
    """Return an open QR as the API shows it; the image is made here when the gateway sent none."""
    qr_text = open_invoice.qr_text or ""
    return PayLinkOut(
        gateway=open_invoice.gateway,
        gateway_invoice_id=open_invoice.id,
        qr_text=qr_text,
        qr_image=open_invoice.qr_image or png_of(qr_text),
        pay_url=pay_url,
        links=[
            LinkOut(name=link.name, description=link.description, logo=link.logo, link=link.link)
            for link in open_invoice.links
        ],
        expires_at=open_invoice.expires_at,
        amount=_money_of(open_invoice.left),
    )


def payment_out(payment: StoredEvent) -> PaymentOut:
    """Return a recorded payment as the API shows it."""
    fee = None if payment.fee_minor is None else money_out(payment.fee_minor, payment.currency)
    return PaymentOut(
        id=f"{payment.gateway}:{payment.payment_id}",
        gateway=payment.gateway,
        payment_id=payment.payment_id,
        kind=payment.kind,
        invoice=payment.invoice_id,
        amount=money_out(payment.amount_minor, payment.currency),
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
        amount=money_out(summary.amount_minor, summary.currency),
        issued_at=summary.issued_at,
        expires_at=summary.expires_at,
    )


def money_out(amount_minor: int, currency: str) -> MoneyOut:
    """Return so many minor units as the API shows them."""
    sub_unit, last_decimal = _minor_unit(currency)
    return MoneyOut(amount=str((Decimal(amount_minor) / sub_unit).quantize(last_decimal)), currency=currency)


def _money_of(amount: Money) -> MoneyOut:
    return money_out(minor_units(amount), amount.currency.code)


@cache
def _minor_unit(currency: str) -> tuple[int, Decimal]:
    """Return how many minor units a unit has, and the last decimal that is shown: to look both up takes longer."""
    sub_unit: int = get_currency(currency).sub_unit
    return sub_unit, Decimal(1).scaleb(1 - len(str(sub_unit)))
