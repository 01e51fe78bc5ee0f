"""A statement's file on its way in: its lines wait in PostgreSQL until it is known which are new, and are kept then."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from adapters.postgres.connection import Connection, Pool, Row, answering_within
from adapters.postgres.queries import load_queries
from domain.money import from_minor_units, minor_units
from domain.statement import Direction, StatementLine
from domain.statement_match import State, Why
from domain.statement_overlap import Trait

_queries = load_queries("statement_files")

_IMPORT_LOCK = 0x696D706F7274
"""Any number that nobody else locks: "import" in ASCII."""

PAGING_MAX_S = 600.0
"""How long putting a file's lines side by side may take; `take_time` says the same."""


class ImportRunsError(Exception):
    """Another import is running. Nothing was written; trying again helps once that one has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedLine:
    """A line of the file, as it waits, without what it was read from. `ordinal` tells it from the others."""

    ordinal: int
    line: StatementLine


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLine:
    """A line that is kept, of those that agree with one of a page."""

    id: int
    group: tuple[object, ...]
    trait: Trait


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherUnderReference:
    """Another line, kept or earlier in the file, that has the same reference of the bank."""

    line_id: int | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of the file: whole groups of lines that agree in account, day, direction, amount and currency."""

    number: int
    lines: Sequence[StagedLine]
    kept: Sequence[KeptLine]
    others: Mapping[int, OtherUnderReference]
    """By ordinals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLine:
    """A line that is to be kept."""

    ordinal: int
    key: str
    occurrence: int
    state: State
    why: Why | None


class StatementFile:
    """The lines of one file, in a temporary table of one session; ends with `staging`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._staged = 0

    def stage(self, lines: Sequence[StatementLine]) -> None:
        """Take lines in, in the order of the file."""
        rows = [_as_row(line, place=self._staged + place) for place, line in enumerate(lines)]
        _queries.stage(self._connection, lines=json.dumps(rows, ensure_ascii=False))
        self._staged += len(lines)

    def pages(self) -> Iterator[Page]:
        """Put lines that agree side by side, and yield them; what was kept before a page is yielded is seen in it."""
        with answering_within(self._connection, PAGING_MAX_S):
            _queries.take_time(self._connection)
            _queries.page_staged(self._connection)
            _queries.take_as_usual(self._connection)
        last = _queries.last_page(self._connection)
        for number in range(0 if last is None else last + 1):
            lines = [_staged(row) for row in _queries.staged_page(self._connection, page=number)]
            if lines:
                yield Page(
                    number=number,
                    lines=lines,
                    kept=[_kept(row) for row in _queries.kept_like(self._connection, page=number)],
                    others={
                        row["ordinal"]: _other(row)
                        for row in _queries.kept_under_references(self._connection, page=number)
                    },
                )

    def keep(self, page: Page, new: Sequence[NewLine], *, import_id: int, now: datetime) -> None:
        """Keep the new lines of a page, each with its outcome: all or none."""
        rows = [
            {
                "ordinal": one.ordinal,
                "key": one.key,
                "occurrence": one.occurrence,
                "state": one.state.value,
                "why": one.why,
            }
            for one in new
        ]
        _queries.keep(self._connection, page=page.number, import_id=import_id, kept=json.dumps(rows), now=now)


@contextmanager
def staging(pool: Pool) -> Iterator[StatementFile]:
    """Make room for one file's lines for the length of the block; a killed process leaves nothing of it.

    Raises:
        psycopg.Error: PostgreSQL is away, or the login may not make temporary tables.

    """
    with pool.connection() as connection:
        _queries.begin_staging(connection)
        try:
            yield StatementFile(connection)
        finally:
            if not connection.broken:
                _queries.end_staging(connection)


@contextmanager
def the_one_import(pool: Pool) -> Iterator[None]:
    """Let no other import or match write for the length of the block; a killed one lets go within seconds.

    Raises:
        ImportRunsError: another one writes.

    """
    with pool.connection() as connection:
        _queries.notice_a_dead_client(connection)
        if not _queries.become_the_import(connection, lock=_IMPORT_LOCK):
            raise ImportRunsError
        try:
            yield
        finally:
            if not connection.broken:
                _queries.step_back(connection, lock=_IMPORT_LOCK)


class StatementImports:
    """Which files were read. Each method is committed when it returns."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def imported_before(self, digest: bytes) -> datetime | None:
        """Return when this very file was last read to its end; None when it was not."""
        with self._pool.connection() as connection:
            before: datetime | None = _queries.imported_before(connection, file_digest=digest)
        return before

    def begin(self, *, file_name: str, digest: bytes, bank: str, format_: str, who: str, now: datetime) -> int:
        """Write down that a file is read; returns its number."""
        with self._pool.connection() as connection:
            return int(
                _queries.begin_import(
                    connection,
                    file_name=file_name[-255:],
                    file_digest=digest,
                    bank=bank,
                    format=format_,
                    who=who,
                    now=now,
                )
            )

    def finish(self, import_id: int, *, outcome: Mapping[str, object], now: datetime) -> None:
        """Write down what it came to."""
        with self._pool.connection() as connection:
            _queries.finish_import(connection, id=import_id, outcome=json.dumps(outcome), now=now)


def group_of(line: StatementLine) -> tuple[object, ...]:
    """Return what lines agree in that are told apart by the rest."""
    return (line.account, line.posted_on, line.direction, minor_units(line.amount), line.amount.currency.code)


def trait_of(line: StatementLine) -> Trait:
    """Return what tells a line from others of its group."""
    return Trait(
        format=line.format,
        posted_at=line.posted_at if line.timed else None,
        balance_minor=None if line.balance is None else minor_units(line.balance),
        reference=line.reference,
    )


def _as_row(line: StatementLine, *, place: int) -> Row:
    return {
        "place": place,
        "number": line.number,
        "format": line.format,
        "bank": line.bank,
        "account": line.account,
        "posted_on": line.posted_on.isoformat(),
        "posted_at": line.posted_at.isoformat(),
        "timed": line.timed,
        "direction": line.direction.value,
        "amount_minor": minor_units(line.amount),
        "currency": line.amount.currency.code,
        "balance_minor": None if line.balance is None else minor_units(line.balance),
        "description": line.description,
        "counterparty_account": line.counterparty_account,
        "counterparty_name": line.counterparty_name,
        "reference": line.reference,
        "correction": line.correction,
        "raw": line.raw,
    }


def _staged(row: Row) -> StagedLine:
    amount_minor, balance_minor = row["amount_minor"], row["balance_minor"]
    said = {
        name: row[name]
        for name in (
            "number",
            "format",
            "bank",
            "account",
            "posted_on",
            "posted_at",
            "timed",
            "description",
            "counterparty_account",
            "counterparty_name",
            "reference",
            "correction",
        )
    }
    line = StatementLine(
        **said,
        direction=Direction(row["direction"]),
        amount=from_minor_units(amount_minor, currency=row["currency"]),
        balance=None if balance_minor is None else from_minor_units(balance_minor, currency=row["currency"]),
        raw={},
    )
    return StagedLine(ordinal=row["ordinal"], line=line)


def _kept(row: Row) -> KeptLine:
    return KeptLine(
        id=row["id"],
        group=(row["account"], row["posted_on"], row["direction"], row["amount_minor"], row["currency"]),
        trait=Trait(
            format=row["format"],
            posted_at=row["posted_at"] if row["timed"] else None,
            balance_minor=row["balance_minor"],
            reference=row["reference"],
        ),
    )


def _other(row: Row) -> OtherUnderReference:
    amount = from_minor_units(row["amount_minor"], currency=row["currency"])
    words = f"{row['direction']} of {amount} on {row['posted_on']}"
    return OtherUnderReference(line_id=row["line_id"], words=words)
