"""The shapes of QPay's bodies, as far as we read them; what they do not name is passed over."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from adapters.calls import shapes
from adapters.calls.shapes import Amount, Body, BodyT, Identity, QrText

TOKEN_MAX_CHARS = 8_000
"""Counts what servers take as one header."""


def _header_safe(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("not printable ASCII")
    return text


def _header_safe_or_none(value: object) -> object:
    if not isinstance(value, str) or len(value) > TOKEN_MAX_CHARS:
        return None
    return value if re.fullmatch(r"[\x21-\x7e]+", value) else None


def _count(value: object) -> object:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


class TokenBody(Body):
    """The answer of `auth/token` and `auth/refresh`. `expires_in` is an absolute UNIX time, whatever its name says."""

    access_token: Annotated[str, Field(max_length=TOKEN_MAX_CHARS, repr=False), AfterValidator(_header_safe)]
    expires_in: int
    refresh_token: Annotated[str | None, BeforeValidator(_header_safe_or_none), Field(repr=False)] = None
    """None where there is none that a header can carry: then it is logged in again."""


class InvoiceBody(Body):
    """The answer of `POST invoice`. Without an id and a QR it is no invoice; everything else may be missing."""

    invoice_id: Identity
    qr_text: QrText
    qr_image: object = None
    short_url: object = Field(default=None, alias="qPay_shortUrl")
    urls: object = None


class PageBody(Body):
    """One page of `payment/check` or `payment/list`. `paid_amount` is absent when nothing is paid, and never needed."""

    count: Annotated[int | None, BeforeValidator(_count)] = None
    """None when the answer does not tell, or tells nonsense."""
    rows: list[object]


class RowBody(Body):
    """One payment, as `payment/check` in today's shape and the older one, `payment/list` and `GET payment` have it."""

    payment_id: Identity
    payment_status: str
    payment_amount: Amount
    payment_currency: str
    trx_fee: object = None
    payment_fee: object = None
    payment_date: object = None
    card_transactions: object = None


class PlaceBody(Body):
    """What `payment/list` and `GET payment` may tell of where a payment was made; each may be missing or strange."""

    object_type: object = None
    object_id: object = None
    qr_code: object = None


class InvoiceDetailBody(Body):
    """The answer of `GET invoice`. `expiry_date` is not read: without an expiry it is the time of creation."""

    invoice_id: Identity
    invoice_status: str
    sender_invoice_no: object = None
    total_amount: object = None
    gross_amount: object = None
    enable_expiry: object = None


class NumberBody(Body):
    """An amount, alone, because one that cannot be read does not stop what it stands in."""

    amount: Amount


class IdentityBody(Body):
    """An id, alone, likewise."""

    identity: Identity


def read_body(shape: type[BodyT], body: bytes) -> BodyT:
    """Read a successful answer's body as `shape`.

    Raises:
        GatewayUnreadableError: not JSON, or not of this shape; names the fields, never their values.

    """
    return read_shape(shape, read_any(body))


def read_any(body: bytes) -> object:
    """Read a successful answer's body as whatever JSON it is; errors as in `shapes.read_any`."""
    return shapes.read_any(body, title="QPay")


def read_shape(shape: type[BodyT], value: object) -> BodyT:
    """Take an already read JSON value as `shape`; errors as in `read_body`."""
    return shapes.read_shape(shape, value, title="QPay")
