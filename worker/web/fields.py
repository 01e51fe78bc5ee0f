"""The fields of requests: a line of text, a time, an amount of money; each as its JSON Schema says, and no wider."""

import re
from decimal import Decimal
from typing import Annotated, Any

from moneyed import Money
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictStr,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from domain.invoice import INVOICE_ID_PATTERN, InvalidInvoiceError
from domain.money import MAX_AMOUNT, MNT, money

INVOICE_ID_SCHEMA = {"pattern": f"^(?!.*-g[0-9]+$){INVOICE_ID_PATTERN}$"}
"""What `require_invoice_id` takes, for machines."""

_NO_LINE = r"\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
"""Control characters, other line ends, and what turns the direction of writing."""

_NOTHING_SEEN = r"\u0020\u00a0\u00ad\u1680\u2000-\u200d\u202f\u205f\u2060\u3000\u3164"
"""Spaces, and what takes none: a reason made of these is none."""

_HALF_CHARACTERS = r"\ud800-\udfff"
"""What JSON can escape and no text can hold, so that a schema need not speak of it."""

_ONE_LINE = re.compile(f"[^{_NO_LINE}{_HALF_CHARACTERS}]*")
_SEEN = re.compile(f"[^{_NOTHING_SEEN}]")

_TIME_PATTERN = "^2[01][0-9]{2}-[0-9]{2}-[0-9]{2}[Tt]"
"""Of this century and the next: what is outside is a mistake, and what is inside can be shown in every time zone.

pydantic would take a bare number as well, and guess whether it counts seconds or milliseconds.
"""

_TIME = re.compile(_TIME_PATTERN)


def _line(text: str) -> str:
    if not _ONE_LINE.fullmatch(text):
        raise ValueError("must be one line of printable characters")
    if text and not _SEEN.search(text):
        raise ValueError("must not be blank")
    return text


def _time_text(given: object) -> object:
    if not isinstance(given, str) or not _TIME.match(given):
        raise ValueError("must be a time such as 2026-11-22T04:30:00Z")
    return given


def _amount_text(given: object) -> object:
    """Take an integer of whole units as well, also with zeros behind a point, but no fraction of JSON."""
    if isinstance(given, Decimal) and -INTEGER_MAX < given < INTEGER_MAX and given == int(given):
        return str(int(given))
    if isinstance(given, int) and not isinstance(given, bool) and -INTEGER_MAX < given < INTEGER_MAX:
        return str(given)
    if not isinstance(given, str) or not _AMOUNT.fullmatch(given):
        raise ValueError('must be a string such as "1500000.00", or an integer of whole tögrög')
    return given


_AMOUNT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
"""As wide as a sentence about it can be right; what is wrong with the number itself is said by the rules."""

INTEGER_MAX = 10**20
"""Far above what is an amount; what is above is not turned into text: 1e999999999 would take all there is."""

_LINE_PATTERN = f"^[^{_NO_LINE}]*[^{_NO_LINE}{_NOTHING_SEEN}][^{_NO_LINE}]*$"
"""Both rules in one, for machines. Not tried here: what nearly fits would cost the square of its length."""

Line = Annotated[StrictStr, AfterValidator(_line), Field(json_schema_extra={"pattern": _LINE_PATTERN})]
TimeIn = Annotated[
    AwareDatetime,
    BeforeValidator(_time_text),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": _TIME_PATTERN}),
]


def _amount_schema(text_pattern: str) -> dict[str, Any]:
    return {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": int(MAX_AMOUNT)},
            {"type": "string", "pattern": text_pattern},
        ],
        "examples": ["1500000.00"],
    }


_AmountText = Annotated[StrictStr, BeforeValidator(_amount_text)]

_Amount = Annotated[_AmountText, WithJsonSchema(_amount_schema(r"^(?!0+(\.0+)?$)[0-9]{1,12}(\.[0-9]{1,2})?$"))]
_WholeAmount = Annotated[_AmountText, WithJsonSchema(_amount_schema(r"^(?!0+(\.|$))[0-9]{1,12}(\.00?)?$"))]

_Currency = Annotated[
    StrictStr,
    Field(pattern="^[A-Z]{3}$"),
    WithJsonSchema({"type": "string", "enum": [MNT], "examples": [MNT]}),
]


class Shape(BaseModel):
    """camelCase outside, snake_case inside; unknown fields are refused, so that a typing error is noticed."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid")


class Given(Shape):
    """A shape that comes in: by its outer names alone."""

    model_config = ConfigDict(validate_by_name=False)


class MoneyIn(Given):
    """An amount: a string, or an integer of whole tögrög. A JSON fraction is refused: most have been rounded."""

    amount: _Amount
    currency: _Currency


class PayableIn(MoneyIn):
    """An amount that an invoice may ask for: whole tögrög."""

    amount: _WholeAmount


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
