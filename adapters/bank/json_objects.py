"""The objects of a JSON file's list of lines, one at a time: memory does not grow with the file."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from domain.statement import StatementFileError

LISTS = frozenset({"transactions", "statements", "ntry", "entries", "data", "result", "records"})
"""Names under which banks put their lines; a list that is the whole file needs none."""

_HEADER_EVENTS_MAX = 10_000
"""A list of lines begins near the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Where the lines are, and the plain values that stand before them, by their names in lower case."""

    prefix: str
    values: dict[str, str]


def read_header(path: Path) -> Header:
    """Find the list of lines.

    Raises:
        StatementFileError: it is no JSON, or has no such list near the top.

    """
    values: dict[str, str] = {}
    with _opened(path) as file, _told():
        for count, (prefix, event, value) in enumerate(ijson.parse(file)):
            name = prefix.removesuffix(".item").rpartition(".")[2].lower()
            if event == "start_map" and (prefix == "item" or (prefix.endswith(".item") and name in LISTS)):
                return Header(prefix=prefix, values=values)
            if event in {"string", "number"}:
                values.setdefault(name, str(value)[:100])
            if count > _HEADER_EVENTS_MAX:
                break
    raise StatementFileError("no list of lines was found in the file: is it the bank's own answer?")


def objects(path: Path, *, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of the list; what is no object comes as one without fields.

    Raises:
        StatementFileError: the JSON breaks off or is wrong.

    """
    with _opened(path) as file, _told():
        for found in ijson.items(file, prefix):
            yield _plain(found) if isinstance(found, dict) else {}


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    """Unwrap lists of one, as those who turn XML into JSON write every value."""
    return {name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in found.items()}


def jsonable(value: object) -> object:
    """Return a value that JSON can hold exactly: a number with a fraction as text."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {str(name): jsonable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [jsonable(part) for part in value]
    return value


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


class _told:  # noqa: N801 - a context, used like a function
    """Tells what is wrong with the JSON in our own words."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, ijson.JSONError | UnicodeDecodeError | RecursionError | ValueError):
            raise StatementFileError("the file is no whole JSON: fetch the statement again") from None
