"""Bodies as pydantic reads them: what ids, texts and amounts of gateways have in common, and faults without values."""

import re
from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from adapters.calls.answers import visible
from adapters.calls.json_body import read_json
from domain.gateway import GatewayUnreadableError

ID_MAX_CHARS = 100
QR_TEXT_MAX_CHARS = 4_296
"""Counts what the largest QR code holds (ISO/IEC 18004, version 40-L, alphanumeric)."""
AMOUNT_MAX_DIGITS = 20
"""Counts all digits of an amount, those that say nothing included: far from where Decimal starts to round."""


def printable(text: str) -> str:
    """Accept a text that says something and can be printed.

    Raises:
        ValueError: it does not, or cannot.

    """
    if not text.isprintable() or not text.strip():
        raise ValueError("empty, or with characters that cannot be printed")
    return text


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


Identity = Annotated[
    str, BeforeValidator(_id_text), Field(min_length=1, max_length=ID_MAX_CHARS), AfterValidator(printable)
]
Amount = Annotated[Decimal, BeforeValidator(_plain_number)]
QrText = Annotated[str, Field(max_length=QR_TEXT_MAX_CHARS), AfterValidator(printable)]


class Body(BaseModel):
    """A body as far as we read it; what it does not name is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


BodyT = TypeVar("BodyT", bound=BaseModel)


def read_any(body: bytes, *, title: str) -> object:
    """Read a successful answer's body as whatever JSON it is; `title` names the gateway in messages.

    Raises:
        GatewayUnreadableError: not JSON.

    """
    try:
        return read_json(body)
    except ValueError:
        raise GatewayUnreadableError(f"{title}'s answer is not JSON") from None


def read_shape(shape: type[BodyT], value: object, *, title: str) -> BodyT:
    """Take an already read JSON value as `shape`.

    Raises:
        GatewayUnreadableError: it is not of this shape; names the fields, never their values.

    """
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        reason = faults(error)
    raise GatewayUnreadableError(visible(f"{title}'s answer has another shape: {reason}"))


def faults(error: ValidationError) -> str:
    """Name what is wrong, field by field, without the values."""
    each = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg'].removeprefix('Value error, ')}" for fault in each
    )
