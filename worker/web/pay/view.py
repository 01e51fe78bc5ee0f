"""What the pay page shows of an invoice: a pure choice from what is recorded, without a word of any language."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from moneyed import Money

from adapters.postgres.gateway_invoices import GatewayInvoice
from adapters.postgres.invoices import GatewayInvoiceSummary, InvoiceRecord
from domain.balance import Status
from domain.gateway import BankLink
from domain.money import from_minor_units, is_whole_units
from domain.pay_link import GatewayInvoiceState
from worker.clock import rfc3339

_APP_LINK = re.compile(
    r"(?!(?:javascript|data|vbscript|file|blob|about):)[a-z][a-z0-9+.-]{1,40}:[^\x00-\x1f\x7f]{1,4096}", re.IGNORECASE
)
"""A link that opens an application or a page; what would run in our own page is none."""

_LIVE = {GatewayInvoiceState.ISSUING, GatewayInvoiceState.OPEN, GatewayInvoiceState.CLOSING}


class Without(StrEnum):
    """Why there is no QR to show although something is outstanding."""

    NONE_YET = "none_yet"
    EXPIRED = "expired"
    MAKING = "making"
    FRACTION = "fraction"
    """What is left is no amount that the gateway takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Qr:
    """The QR to pay by."""

    text: str
    image: str | None
    """Base64 of a PNG; None when the gateway sent none."""
    links: Sequence[BankLink]
    own_page: str | None
    """The gateway's own page for the QR."""
    expires_at: datetime
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """An invoice as its customer sees it. Times are UTC."""

    invoice_id: str
    description: str
    due_at: datetime | None
    status: Status
    due: Money
    received: Money
    refunded: Money
    outstanding: Money
    overpaid: Money
    gateways: Sequence[str]
    gateway: str
    """The chosen one."""
    qr: Qr | None
    without: Without | None
    tag: str
    """Changes when the page would."""

    @property
    def is_payable(self) -> bool:
        """Whether something is left to be paid."""
        return bool(self.outstanding.amount > 0)


def choose_gateway(invoice: InvoiceRecord, gateways: Sequence[str], *, wish: str | None) -> str:
    """Return the gateway that the customer wishes, or at which the newest QR is live, or the first that there is."""
    if wish is not None and wish in gateways:
        return wish
    live = [summary for summary in invoice.gateway_invoices if summary.state in _LIVE and summary.gateway in gateways]
    return max(live, key=lambda summary: summary.issued_at).gateway if live else gateways[0]


def live_at(invoice: InvoiceRecord, gateway: str) -> GatewayInvoiceSummary | None:
    """Return the QR of an invoice at a gateway that is issuing, open or closing; there is one at most."""
    at = (summary for summary in invoice.gateway_invoices if summary.gateway == gateway and summary.state in _LIVE)
    return next(at, None)


def view_of(
    invoice: InvoiceRecord,
    live: GatewayInvoice | None,
    *,
    gateways: Sequence[str],
    gateway: str,
    whole_units: bool,
    now: datetime,
) -> View:
    """Decide what the page shows; `live` is the QR at the chosen gateway that is issuing, open or closing.

    With `whole_units` that gateway makes none for a fraction.
    """

    def amount(minor: int) -> Money:
        return from_minor_units(minor, currency=invoice.currency)

    outstanding = amount(invoice.outstanding_minor)
    qr = _qr_of(live, outstanding=outstanding, now=now) if live and outstanding.amount > 0 else None
    without = None
    if outstanding.amount > 0 and qr is None:
        impossible = whole_units and not is_whole_units(outstanding)
        without = Without.FRACTION if impossible else _without(invoice, live, gateway=gateway, now=now)
    return View(
        invoice_id=invoice.id,
        description=invoice.description,
        due_at=invoice.due_at,
        status=Status(invoice.status),
        due=amount(invoice.due_minor),
        received=amount(invoice.received_minor),
        refunded=amount(invoice.refunded_minor),
        outstanding=outstanding,
        overpaid=amount(invoice.overpaid_minor),
        gateways=gateways,
        gateway=gateway,
        qr=qr,
        without=without,
        tag=tag_of(invoice, now=now),
    )


def tag_of(invoice: InvoiceRecord, *, now: datetime) -> str:
    """Return what changes when the page of an invoice would: money, what is said of it, a QR, or that one ran out."""
    qrs = [
        [str(summary.id), summary.state, now >= summary.expires_at]
        for summary in invoice.gateway_invoices
        if summary.state in _LIVE
    ]
    told = [
        *(invoice.status, invoice.description, invoice.due_at and rfc3339(invoice.due_at)),
        *(invoice.due_minor, invoice.received_minor, invoice.refunded_minor),
        qrs,
    ]
    return sha256(repr(told).encode()).hexdigest()[:16]


def _qr_of(live: GatewayInvoice, *, outstanding: Money, now: datetime) -> Qr | None:
    """Return an open QR that asks for just what is outstanding; another one is replaced before it is shown."""
    if live.state is not GatewayInvoiceState.OPEN or live.left != outstanding or now >= live.expires_at:
        return None
    own_page = live.short_url if live.short_url and live.short_url.startswith(("https://", "http://")) else None
    return Qr(
        text=live.qr_text or "",
        image=live.qr_image,
        links=[link for link in live.links if _APP_LINK.fullmatch(link.link)],
        own_page=own_page if own_page and _APP_LINK.fullmatch(own_page) else None,
        expires_at=live.expires_at,
        amount=live.left,
    )


def _without(invoice: InvoiceRecord, live: GatewayInvoice | None, *, gateway: str, now: datetime) -> Without:
    if live is not None and live.state is GatewayInvoiceState.ISSUING:
        return Without.MAKING
    if live is not None and now >= live.expires_at:
        return Without.EXPIRED
    before = [summary for summary in invoice.gateway_invoices if summary.gateway == gateway]
    ended = {GatewayInvoiceState.EXPIRED, GatewayInvoiceState.SUPERSEDED}
    return Without.EXPIRED if any(summary.state in ended for summary in before) else Without.NONE_YET


def bank_name(link: BankLink, language: str) -> str:
    """Return a bank's name in a language: gateways tell the Mongolian one as the description."""
    return (link.name if language == "en" else link.description) or link.name or link.description
