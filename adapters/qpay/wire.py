"""The shapes of QPay's bodies, as far as we read them; what they do not name is passed over."""

import re
from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from adapters.qpay.errors import visible
from adapters.qpay.json_body import read_json
from domain.gateway import GatewayUnreadableError

ID_MAX_CHARS = 100
QR_TEXT_MAX_CHARS = 4_296
"""Counts what the largest QR code holds (ISO/IEC 18004, version 40-L, alphanumeric)."""
TOKEN_MAX_CHARS = 8_000
"""Counts what servers take as one header."""
AMOUNT_MAX_DIGITS = 20
"""Counts all digits of an amount, those that say nothing included: far from where Decimal starts to round."""


def _printable(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("empty, or with characters that cannot be printed")
    return text


def _header_safe(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("not printable ASCII")
    return text


def _header_safe_or_none(value: object) -> object:
    if not isinstance(value, str) or len(value) > TOKEN_MAX_CHARS:
        return None
    return value if re.fullmatch(r"[\x21-\x7e]+", value) else None


def _id_text(value: object) -> object:
    """Take a bare number as the id that it is; `read_json` makes long ones Decimal, and 1e5 is no id."""
    match value:
        case bool():
            return value
        case int():
            return str(value)
        case Decimal() if value.as_tuple().exponent == 0:
            return str(value)
        case _:
            return value


def _plain_number(value: object) -> Decimal:
    """Read money as the wire has it, string or number; the message never repeats the value."""
    match value:
        case bool():
            raise ValueError("not a number")
        case int() | Decimal():
            number = Decimal(value)
        case str() if re.fullmatch(rf"[+-]?[0-9]{{1,{AMOUNT_MAX_DIGITS}}}(\.[0-9]{{1,{AMOUNT_MAX_DIGITS}}})?", value):
            number = Decimal(value)
        case _:
            raise ValueError("not a number")
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or len(digits) > AMOUNT_MAX_DIGITS or abs(exponent) > AMOUNT_MAX_DIGITS:
        raise ValueError("not a number of a size that money has")
    return number


def _count(value: object) -> object:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


Identity = Annotated[
    str, BeforeValidator(_id_text), Field(min_length=1, max_length=ID_MAX_CHARS), AfterValidator(_printable)
]
Amount = Annotated[Decimal, BeforeValidator(_plain_number)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class TokenBody(_Body):
    """The answer of `auth/token` and `auth/refresh`. `expires_in` is an absolute UNIX time, whatever its name says."""

    access_token: Annotated[str, Field(max_length=TOKEN_MAX_CHARS, repr=False), AfterValidator(_header_safe)]
    expires_in: int
    refresh_token: Annotated[str | None, BeforeValidator(_header_safe_or_none), Field(repr=False)] = None
    """None where there is none that a header can carry: then it is logged in again."""


class InvoiceBody(_Body):
    """The answer of `POST invoice`. Without an id and a QR it is no invoice; everything else may be missing."""

    invoice_id: Identity
    qr_text: Annotated[str, Field(max_length=QR_TEXT_MAX_CHARS), AfterValidator(_printable)]
    qr_image: object = None
    short_url: object = Field(default=None, alias="qPay_shortUrl")
    urls: object = None


class PageBody(_Body):
    """One page of `payment/check` or `payment/list`. `paid_amount` is absent when nothing is paid, and never needed."""

    count: Annotated[int | None, BeforeValidator(_count)] = None
    """None when the answer does not tell, or tells nonsense."""
    rows: list[object]


class RowBody(_Body):
    """One payment, as `payment/check` in today's shape and the older one, `payment/list` and `GET payment` have it."""

    payment_id: Identity
    payment_status: str
    payment_amount: Amount
    payment_currency: str
    trx_fee: object = None
    payment_fee: object = None
    payment_date: object = None
    card_transactions: object = None


class PlaceBody(_Body):
    """What `payment/list` and `GET payment` may tell of where a payment was made; each may be missing or strange."""

    object_type: object = None
    object_id: object = None
    qr_code: object = None


class InvoiceDetailBody(_Body):
    """The answer of `GET invoice`. `expiry_date` is not read: without an expiry it is the time of creation."""

    invoice_id: Identity
    invoice_status: str
    sender_invoice_no: object = None
    total_amount: object = None
    gross_amount: object = None
    enable_expiry: object = None


class NumberBody(_Body):
    """An amount, alone, because one that cannot be read does not stop what it stands in."""

    amount: Amount


class IdentityBody(_Body):
    """An id, alone, likewise."""

    identity: Identity


BodyT = TypeVar("BodyT", bound=BaseModel)


def read_body(shape: type[BodyT], body: bytes) -> BodyT:
    """Read a successful answer's body as `shape`.

    Raises:
        GatewayUnreadableError: not JSON, or not of this shape; names the fields, never their values.

    """
    return read_shape(shape, read_any(body))


def read_any(body: bytes) -> object:
    """Read a successful answer's body as whatever JSON it is.

    Raises:
        GatewayUnreadableError: not JSON.

    """
    try:
        return read_json(body)
    except ValueError:
        raise GatewayUnreadableError("QPay's answer is not JSON") from None


def read_shape(shape: type[BodyT], value: object) -> BodyT:
    """Take an already read JSON value as `shape`; errors as in `read_body`."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        reason = faults(error)
    raise GatewayUnreadableError(visible(f"QPay's answer has another shape: {reason}"))


def faults(error: ValidationError) -> str:
    """Name what is wrong, field by field, without the values."""
    each = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg'].removeprefix('Value error, ')}" for fault in each
    )
