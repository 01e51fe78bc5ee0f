"""The rows of a CSV file, one at a time, in whatever encoding and with whatever delimiter banks write them."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from adapters.bank.mapping import Mapping
from adapters.bank.table import HEADING_WITHIN_ROWS, Row
from domain.statement import StatementFileError

_DELIMITERS = ",;\t|"

_SNIFF_CHARS = 65_536

LINE_MAX_CHARS = 2**20
"""No export has longer ones, and a file without an end of line is no table."""


def rows_of(path: Path, *, mapping: Mapping) -> Iterator[Row]:
    """Yield the rows. One that cannot be taken apart is told, and does not stop the next.

    Raises:
        StatementFileError: it is no text in the encoding, or its lines have no end.

    """
    encoding = mapping.encoding or _encoding_of(path)
    with _decoding(encoding), path.open(encoding=encoding, newline="") as file:
        delimiter = mapping.delimiter or _delimiter_of(file)
        file.seek(0)
        reader = csv.reader(_lines_of(file), delimiter=delimiter)
        columns = 0
        while True:
            number = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(number=number, cells=(), broken=f"the row cannot be taken apart: {error}")
                continue
            columns = max(columns, len(cells))
            if reader.line_num > number and _has_swallowed(cells, delimiter, columns=columns):
                why = f"a quote is opened and not closed: the rows up to {reader.line_num} are in one of its cells"
                yield Row(number=number, cells=(), broken=why)
            else:
                yield Row(number=number, cells=cells)


def _lines_of(file: TextIO) -> Iterator[str]:
    while line := file.readline(LINE_MAX_CHARS + 1):
        if len(line) > LINE_MAX_CHARS:
            raise StatementFileError(f"the file has a line of more than {LINE_MAX_CHARS:,} characters")
        yield line.replace("\0", "")


def _has_swallowed(cells: list[str], delimiter: str, *, columns: int) -> bool:
    """Tell whether a cell of several lines has other rows in it: a payer's quote that nobody closed."""
    enough = max(2, columns // 2)
    return any(line.count(delimiter) >= enough for cell in cells for line in cell.splitlines()[1:])


def _encoding_of(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(3)
    return "utf-16" if start[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"


def _delimiter_of(file: TextIO) -> str:
    """Take the delimiter that makes most columns of the top of the file."""
    top = file.read(_SNIFF_CHARS).splitlines()[:HEADING_WITHIN_ROWS]
    widths = {mark: max((line.count(mark) for line in top), default=0) for mark in _DELIMITERS}
    return max(_DELIMITERS, key=lambda mark: widths[mark])


@contextmanager
def _decoding(encoding: str) -> Iterator[None]:
    try:
        yield
    except UnicodeError:
        raise StatementFileError(
            f"the file is not text in {encoding.removesuffix('-sig')}: say which with --mapping, such as"
            ' encoding = "cp1251"'
        ) from None
