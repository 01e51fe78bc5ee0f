"""Opens a bank's statement, whichever bank and format, and yields its lines."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from adapters.bank import csv_rows, golomt, khan, tdb
from adapters.bank.fields import Given, text_of
from adapters.bank.json_objects import objects, read_header
from adapters.bank.mapping import Mapping as TableMapping
from adapters.bank.mapping import built_in, read_mapping
from adapters.bank.table import Row, lines_of
from domain.statement import StatementFileError, StatementLine, UnreadableLine, account_of

FILE_MAX_BYTES = 256 * 2**20
LINES_MAX = 1_000_000

_JSON: Mapping[str, Callable[..., StatementLine]] = {"khan": khan.read, "golomt": golomt.read, "tdb": tdb.read}

BANKS = tuple(_JSON)
"""Whose own formats are known; any other bank's table is read by a mapping."""

_ACCOUNT_NAMES = ("account", "accountid", "accountno", "accountnumber", "acct", "acntno", "iban")


class FileFormat(StrEnum):
    """How a file is written."""

    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement that can be read, again and again; each time from the file."""

    path: Path
    bank: str
    format: str
    """The bank and how it is read: of two lines of one format times and references can be compared."""
    digest: bytes
    """SHA-256 of the file."""
    _read: Callable[[], Iterator[StatementLine | UnreadableLine]]

    @property
    def name(self) -> str:
        """The file's name, without folders; what is no UTF-8 in it is shown as such."""
        return os.fsencode(self.path.name).decode(errors="replace")

    def lines(self) -> Iterator[StatementLine | UnreadableLine]:
        """Yield the lines in the file's order; memory holds one.

        Raises:
            StatementFileError: the file is broken from here on, or has more lines than a statement can have.

        """
        with _readable(self.path):
            for count, line in enumerate(self._read()):
                if count >= LINES_MAX:
                    raise StatementFileError(f"the file has more than {LINES_MAX:,} lines: split it by days")
                yield line


def open_statement(
    path: Path,
    *,
    bank: str,
    file_format: FileFormat | None = None,
    account: str | None = None,
    mapping_path: Path | None = None,
) -> Statement:
    """Open a file as a bank's statement; by its suffix where no format is said.

    `account` is the merchant's own, for formats that do not tell it. A file, or a line, that tells another one is not
    read: lines are known by their account, so under another one they would count once more.

    Raises:
        StatementFileError: it cannot be read so; the message says what to say.

    """
    with _readable(path):
        size = path.stat().st_size
        if not path.is_file() or size > FILE_MAX_BYTES:
            raise StatementFileError(f"{path.name} is no file of at most {FILE_MAX_BYTES // 2**20} MiB")
        with path.open("rb") as file:
            digest = _digest_of(file)
    try:
        own_account = None if account is None else account_of(account)
    except ValueError:
        raise StatementFileError(f"{account!r} is not an account number") from None
    known = file_format or _format_of(path)
    given = Given(bank=bank, format=f"{bank}.{known}", account=own_account, currency="MNT")
    read = (
        _json_of(path, given) if known is FileFormat.JSON else _table_of(path, given, known, mapping_path=mapping_path)
    )
    return Statement(path=path, bank=read.given.bank, format=read.given.format, digest=digest, _read=read)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StatementFileError(f"{path.name} cannot be read: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class _Reading:
    """What yields lines, and what is known of all of them."""

    given: Given
    lines: Callable[[], Iterator[StatementLine | UnreadableLine]]

    def __call__(self) -> Iterator[StatementLine | UnreadableLine]:
        return self.lines()


def _format_of(path: Path) -> FileFormat:
    try:
        return FileFormat(path.suffix.lower().removeprefix("."))
    except ValueError:
        raise StatementFileError(f"{path.name} ends in none of .json, .csv, .xlsx: say --format") from None


def _json_of(path: Path, given: Given) -> _Reading:
    if given.bank not in _JSON:
        raise StatementFileError(f"of JSON only the answers of {', '.join(BANKS)} are known: take the CSV export")
    header = read_header(path)
    told = next((header.values[name] for name in _ACCOUNT_NAMES if name in header.values), None)
    in_file = None if told is None else _account_told(told)
    account = given.account or in_file
    if account is None:
        raise StatementFileError("the file does not tell whose account it is: say --account")
    if in_file not in {None, account}:
        raise StatementFileError(f"the file is of the account {in_file}, and --account says {account}")
    known = Given(
        bank=given.bank,
        format=given.format,
        account=account,
        currency=header.values.get("currency", given.currency).upper(),
    )

    def lines() -> Iterator[StatementLine | UnreadableLine]:
        for number, row in enumerate(objects(path, prefix=header.prefix), start=1):
            yield _line_or_not(row, number=number, given=known)

    return _Reading(known, lines)


def _account_told(text: str) -> str | None:
    try:
        return account_of(text)
    except ValueError:
        return None


def _line_or_not(row: dict[str, Any], *, number: int, given: Given) -> StatementLine | UnreadableLine:
    try:
        return _JSON[given.bank](row, number=number, given=given)
    except (ValueError, ArithmeticError) as error:
        return UnreadableLine(number=number, reason=text_of(error), raw={key: text_of(row[key]) for key in row})


def _table_of(path: Path, given: Given, known: FileFormat, *, mapping_path: Path | None) -> _Reading:
    if mapping_path is None:
        mapping, digest = built_in(given.bank), ""
        if mapping is None:
            raise StatementFileError(
                f"the export of {given.bank} is not known: say which columns it has with --mapping"
            )
    else:
        try:
            mapping, digest = read_mapping(mapping_path)
        except OSError as error:
            raise StatementFileError(f"{mapping_path.name} cannot be read: {error.strerror}") from None
    account = given.account or (None if mapping.account is None else _account_told(mapping.account))
    if account is None and mapping.columns.account is None:
        raise StatementFileError("the file does not tell whose account it is: say --account")
    told = Given(
        bank=given.bank,
        format=f"{given.format}:{digest}" if digest else given.format,
        account=account,
        currency=mapping.currency,
    )
    rows_of = csv_rows.rows_of if known is FileFormat.CSV else _xlsx_rows_of
    return _Reading(told, lambda: lines_of(rows_of(path, mapping=mapping), mapping=mapping, given=told))


def _xlsx_rows_of(path: Path, *, mapping: TableMapping) -> Iterator[Row]:
    from adapters.bank.xlsx_rows import rows_of  # noqa: PLC0415 - what reads sheets takes a tenth of a second to load

    return rows_of(path, mapping=mapping)


def _digest_of(file: Any) -> bytes:
    digest = sha256()
    while chunk := file.read(2**20):
        digest.update(chunk)
    return digest.digest()
