"""`GET invoice` and `GET payment` on QPay's wire: one thing by its id, for a person's question or a last resort."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from moneyed import Money
from pydantic import ValidationError

from adapters.calls.answers import visible
from adapters.calls.http import Request
from adapters.calls.json_body import as_storable, storable_text
from adapters.qpay.wire import InvoiceDetailBody, NumberBody, read_any, read_shape
from domain.gateway import GatewayUnreadableError
from domain.money import MNT, money


class InvoiceStatus(StrEnum):
    """What QPay calls an invoice (QPay v2 workbook, 2026-03)."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    """Paid."""
    CANCELED = "CANCELED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class QPayInvoice:
    """An invoice as QPay describes it: for people to compare with ours, no evidence of money."""

    external_id: str
    status: InvoiceStatus
    status_text: str
    number: str | None
    """Our `sender_invoice_no`; None when the answer does not tell."""
    total: Money | None
    """None when the answer tells no amount that can be held exactly."""
    raw: Mapping[str, object]
    """As it came, ready for JSON. Its `expiry_date` says nothing unless `enable_expiry` is true."""


def path_part(value: str, *, called: str) -> str:
    """Quote an id for a path.

    Raises:
        ValueError: it cannot be a part of one.

    """
    if not value.strip("."):
        raise ValueError(f"{called} is empty or made of dots")
    return quote(value, safe="")


def invoice_request(external_id: str) -> Request:
    """Say `GET invoice`; ValueError as in `path_part`."""
    path = f"/invoice/{path_part(external_id, called='external_id')}"
    return Request(endpoint="GET invoice", method="GET", path=path)


def payment_request(payment_id: str) -> Request:
    """Say `GET payment`; ValueError as in `path_part`."""
    path = f"/payment/{path_part(payment_id, called='payment_id')}"
    return Request(endpoint="GET payment", method="GET", path=path)


def read_invoice(body: bytes) -> QPayInvoice:
    """Read `GET invoice`, whose amounts are strings, numbers and null side by side.

    Raises:
        GatewayUnreadableError: not JSON, or without an id or a status.

    """
    told = read_any(body)
    shape = read_shape(InvoiceDetailBody, told)
    try:
        raw = as_storable(told)
    except ValueError as error:
        raise GatewayUnreadableError(f"QPay's answer to GET invoice is {error}") from None
    status = visible(shape.invoice_status, max_chars=40)
    known = {each.value: each for each in InvoiceStatus if each is not InvoiceStatus.UNKNOWN}
    return QPayInvoice(
        external_id=shape.invoice_id,
        status=known.get(shape.invoice_status, InvoiceStatus.UNKNOWN),
        status_text=status,
        number=storable_text(shape.sender_invoice_no) if isinstance(shape.sender_invoice_no, str) else None,
        total=_read_amount(shape.total_amount) or _read_amount(shape.gross_amount),
        raw=raw if isinstance(raw, dict) else {},
    )


def _read_amount(told: object) -> Money | None:
    try:
        return money(NumberBody.model_validate({"amount": told}).amount, currency=MNT)
    except (ValidationError, ValueError):
        return None
