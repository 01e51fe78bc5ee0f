"""An invoice on QPay's wire: the body that asks for one, and the answer that gives one."""

from collections.abc import Mapping
from datetime import UTC, datetime

from moneyed import Money

from adapters.calls.json_body import storable_text
from adapters.qpay.config import QPayConfig
from adapters.qpay.wire import InvoiceBody
from domain.gateway import BankLink, InvoiceToIssue, IssuedInvoice
from domain.money import MNT, is_whole_units

LINKS_MAX = 100
"""Counts bank links that are kept: four times as many as there are banks."""

TEXT_MAX_CHARS = 5_000
"""Counts what a text that is only shown may have: a bank link is a QR text, of 4,296 at most, and a little more."""

IMAGE_MAX_CHARS = 500_000
"""Counts an image's base64: far more than a QR takes, with a logo in it. It goes out with every pay-link; without one
the QR is drawn here."""


def issue_body(invoice: InvoiceToIssue, *, config: QPayConfig) -> dict[str, object]:
    """Say the invoice in the words of `POST invoice` (QPay v2 workbook, 2026-03).

    Raises:
        ValueError: not MNT, not whole tögrög, or `expires_at` is naive.

    """
    body: dict[str, object] = {
        "invoice_code": config.invoice_code,
        "sender_invoice_no": invoice.number,
        "invoice_receiver_code": invoice.receiver_code,
        "invoice_description": invoice.description,
        "amount": _whole_togrog(invoice.amount),
        "callback_url": invoice.callback_url,
        "allow_partial": config.allow_partial,
        "enable_expiry": config.enable_expiry,
    }
    if config.enable_expiry:
        body["expiry_date"] = _iso_utc(invoice.expires_at)
    if config.sender_branch_code is not None:
        body["sender_branch_code"] = config.sender_branch_code
    return body


def _whole_togrog(amount: Money) -> int:
    if amount.currency.code != MNT or not is_whole_units(amount):
        raise ValueError(f"QPay takes whole tögrög, not {amount}")
    return int(amount.amount)


def _iso_utc(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("expires_at has no time zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_issued(body: InvoiceBody) -> IssuedInvoice:
    """Say QPay's answer in the port's words. Bank links without a link are passed over, and so is what is too long."""
    entries = body.urls if isinstance(body.urls, list) else []
    linked = [each for each in entries if isinstance(each, Mapping) and _text(each.get("link"))]
    return IssuedInvoice(
        external_id=body.invoice_id,
        qr_text=body.qr_text,
        qr_image=_text(body.qr_image, max_chars=IMAGE_MAX_CHARS) or None,
        short_url=_text(body.short_url) or None,
        links=tuple(map(_read_link, linked[:LINKS_MAX])),
    )


def _read_link(entry: Mapping[str, object]) -> BankLink:
    return BankLink(
        name=_text(entry.get("name")),
        description=_text(entry.get("description")),
        logo=_text(entry.get("logo")),
        link=_text(entry.get("link")),
    )


def _text(value: object, *, max_chars: int = TEXT_MAX_CHARS) -> str:
    """Take what is only shown, not reckoned with: text that can be stored, or nothing."""
    return storable_text(value).strip() if isinstance(value, str) and len(value) <= max_chars else ""
