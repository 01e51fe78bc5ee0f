"""JSON as it comes from a gateway: numbers read without loss, and made ready to be stored again."""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Never

NESTING_MAX = 50
"""Counts lists and objects within one another. Gateways' rows have three; deeper ones only serve to exhaust a stack."""

_INT_DIGITS_MAX = 18
"""Counts digits that any bigint holds, and any reader of JSON takes for an integer."""

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL and halves of surrogate pairs: JSON can say them, PostgreSQL's jsonb and UTF-8 cannot hold them."""


def read_json(body: bytes) -> object:
    """Read one JSON text in UTF-8. Fractions and long integers become Decimal; NaN and Infinity are no JSON.

    A number beyond what a Decimal can hold stays the text that it was, for whoever wants it as money to refuse. A name
    that comes twice in one object with different values has the list of them: which one is meant nobody knows.

    Raises:
        ValueError: not JSON, not UTF-8, or nested too deep to be read.

    """
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            parse_float=_read_number,
            parse_int=_read_integer,
            parse_constant=_refuse,
            object_pairs_hook=_read_object,
        )
    except RecursionError:
        raise ValueError("nested too deep") from None


def as_storable(value: object, *, nesting_left: int = NESTING_MAX) -> object:
    """Make what `read_json` gave ready for `json.dumps` and jsonb, without loss of money.

    Integers stay; a Decimal becomes a string with all its digits; characters that jsonb cannot hold become U+FFFD.

    Raises:
        ValueError: nested deeper than `nesting_left`.

    """
    if nesting_left < 0:
        raise ValueError(f"nested deeper than {NESTING_MAX}")
    match value:
        case dict():
            return {
                storable_text(str(key)): as_storable(each, nesting_left=nesting_left - 1) for key, each in value.items()
            }
        case list():
            return [as_storable(each, nesting_left=nesting_left - 1) for each in value]
        case str():
            return storable_text(value)
        case Decimal():
            return str(value)
        case _:
            return value


def storable_text(text: str) -> str:
    """Replace what neither jsonb nor UTF-8 can hold by U+FFFD."""
    return _NOT_STORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _read_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) == len(pairs):
        return read
    told: dict[str, list[object]] = {}
    for name, value in pairs:
        told.setdefault(name, []).append(value)
    return {name: values[0] if all(each == values[0] for each in values) else values for name, values in told.items()}


def _read_number(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _read_integer(text: str) -> int | Decimal | str:
    return int(text) if len(text) <= _INT_DIGITS_MAX else _read_number(text)


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")
