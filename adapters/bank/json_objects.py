"""The objects of a JSON file's list of lines, one at a time: memory does not grow with the file."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import ijson

from adapters.bank.fields import TEXT_MAX_CHARS
from domain.statement import StatementFileError

LISTS = frozenset({"transactions", "statements", "ntry", "entries", "data", "result", "records"})
"""Names under which banks put their lines; a list that is the whole file needs none."""

PARTS_MAX = 100
"""Of more fields, or parts of a field, the rest is not kept with a line."""

DEPTH_MAX = 32
"""Lists within lists: a parser that names where it is needs memory by the square of how deep they are."""

_CHUNK_BYTES = 2**20

_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""What JSON can say and no database keep: the zero, and halves of pairs."""

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
        StatementFileError: it is no JSON, has no such list near the top, or has lists within lists without end.

    """
    _require_shallow(path)
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


def raw_of(row: Mapping[str, Any]) -> dict[str, object]:
    """Return an object as PostgreSQL keeps it: numbers exact, what is long cut, since a row may be anything."""
    return _kept_object(row)


def _kept_object(found: Mapping[str, Any]) -> dict[str, object]:
    parts = found.items() if len(found) <= PARTS_MAX else islice(found.items(), PARTS_MAX)
    return {_kept_text(name): _kept_text(part) if isinstance(part, str) else _kept(part) for name, part in parts}


def _kept(value: object) -> object:
    match value:
        case Decimal():
            return str(value)
        case None | bool() | int():
            return value
        case str():
            return _kept_text(value)
        case dict():
            return _kept_object(value)
        case list():
            return [_kept(part) for part in value[:PARTS_MAX]]
        case _:
            return _cut(str(value))


def _kept_text(text: str) -> str:
    return text if text.isprintable() and len(text) <= TEXT_MAX_CHARS else _cut(text)


def _cut(text: str) -> str:
    return _NO_TEXT.sub("\ufffd", text[:TEXT_MAX_CHARS])


def _require_shallow(path: Path) -> None:
    """Refuse a file that is made to fill memory: lists in lists in lists."""
    depth, is_text, carried = 0, False, b""
    with _opened(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            part = (carried + chunk).replace(b"\\\\", b"")
            carried = b"\\" if part.endswith(b"\\") else b""
            pieces = part.removesuffix(b"\\").replace(b'\\"', b"").split(b'"')
            rest = b"".join(pieces[is_text::2])
            is_text ^= len(pieces) % 2 == 0
            brackets = rest.translate(None, _ALL_BUT_BRACKETS)
            for _ in range(DEPTH_MAX):
                brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
            closed = brackets.count(b"}") + brackets.count(b"]")
            depth = max(0, depth - closed) + len(brackets) - closed
            if depth > DEPTH_MAX or b"{}" in brackets or b"[]" in brackets:
                raise StatementFileError("the file has lists within lists, deeper than a statement can")


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


class _told:  # noqa: N801 - a context, used like a function
    """Tells what is wrong with the JSON in our own words."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, ijson.JSONError | UnicodeDecodeError | RecursionError | ValueError):
            raise StatementFileError("the file is no whole JSON: fetch the statement again") from None
