"""A statement's file on its way in: its lines wait in PostgreSQL until it is known which are new, and are kept then."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from psycopg.rows import args_row
from pydantic_core import to_json

from adapters.postgres.connection import Connection, Pool, Row, answering_within
from adapters.postgres.queries import load_queries
from adapters.postgres.statement_lines import open_line
from domain.money import from_minor_units, minor_units
from domain.statement import Direction, Group, StatementLine
from domain.statement_match import OpenLine, State, Why
from domain.statement_overlap import Trait

_queries = load_queries("statement_files")

_Made = TypeVar("_Made")

_IMPORT_LOCK = 0x696D706F7274
"""Any number that nobody else locks: "import" in ASCII."""

STAGING_MAX_S = 600.0
"""How long taking a file's lines in, and putting them side by side, may each take; `take_time` says the same."""


class ImportRunsError(Exception):
    """Another import is running. Nothing was written; trying again helps once that one has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedLine:
    """What tells whether a line of the file is new, and what a new one is. `ordinal` tells it from the others."""

    ordinal: int
    group: Group
    trait: Trait
    correction: bool
    """As `StatementLine` has it."""
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLine:
    """A line that is kept, of those that agree with one of a page."""

    id: int
    group: Group
    trait: Trait


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherUnderReference:
    """Another line, kept or earlier in the file, that has the same reference of the bank."""

    line_id: int | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of the file: whole groups of lines."""

    number: int
    lines: Sequence[StagedLine]
    kept: Sequence[KeptLine]
    """Of the same groups."""


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

    def stage(self, lines: Iterable[StatementLine]) -> None:
        """Take all lines in, in the order of the file. They are on their way while the next ones are read.

        What goes wrong with reading them comes through, and none is taken in then.
        """
        with (
            self._taking_long(),
            self._connection.cursor() as cursor,
            cursor.copy(_queries.stage.sql) as copy,
        ):
            for place, line in enumerate(lines):
                copy.write_row(_as_row(line, place=place))

    def pages(self) -> Iterator[Page]:
        """Put lines that agree side by side, and yield them. What is kept of one page makes no difference to another.

        The first takes long, and is done when this returns.
        """
        with self._taking_long():
            _queries.page_staged(self._connection)
        last = _queries.last_page(self._connection)
        pages = map(self._page, range(0 if last is None else last + 1))
        return (page for page in pages if page.lines)

    def _page(self, number: int) -> Page:
        return Page(
            number=number,
            lines=self._read(_queries.staged_page.sql, number, _staged),
            kept=self._read(_queries.kept_like.sql, number, _kept),
        )

    def _read(self, query: str, page: int, make: Callable[..., _Made]) -> list[_Made]:
        """Make something of each row's columns: of so many rows psycopg need not make dicts first."""
        with self._connection.cursor(row_factory=args_row(make)) as cursor:
            return cursor.execute(query, {"page": page}).fetchall()

    def others(self, page: Page) -> Mapping[int, OtherUnderReference]:
        """Find, by ordinals, what else has the references of a page's lines, kept by now or before them in the file."""
        rows = _queries.kept_under_references(self._connection, page=page.number)
        return {row["ordinal"]: _other(row) for row in rows}

    def open_lines(self, page: Page) -> Mapping[int, OpenLine]:
        """Read the lines of a page as matching needs them, by their ordinals; they have neither id nor key yet."""
        return {row["id"]: open_line(row, raw={}) for row in _queries.staged_open(self._connection, page=page.number)}

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
        _queries.keep(self._connection, page=page.number, import_id=import_id, kept=to_json(rows).decode(), now=now)

    @contextmanager
    def _taking_long(self) -> Iterator[None]:
        """Allow statements to take long: a file may have a million lines."""
        with answering_within(self._connection, STAGING_MAX_S):
            _queries.take_time(self._connection)
            yield
            _queries.take_as_usual(self._connection)


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
            _queries.finish_import(connection, id=import_id, outcome=to_json(outcome).decode(), now=now)


def _as_row(line: StatementLine, *, place: int) -> tuple[object, ...]:
    """Return the columns of `stage`."""
    return (
        place,
        line.number,
        line.format,
        line.bank,
        line.account,
        line.posted_on,
        line.posted_at,
        line.timed,
        line.direction.value,
        minor_units(line.amount),
        line.amount.currency.code,
        None if line.balance is None else minor_units(line.balance),
        line.description,
        line.counterparty_account,
        line.counterparty_name,
        line.reference,
        line.correction,
        to_json(line.raw).decode(),
    )


def _staged(*columns: Any) -> StagedLine:
    ordinal, correction, description, *said = columns
    group, trait = _told(said)
    return StagedLine(ordinal=ordinal, group=group, trait=trait, correction=correction, description=description)


def _kept(*columns: Any) -> KeptLine:
    line_id, *said = columns
    group, trait = _told(said)
    return KeptLine(id=line_id, group=group, trait=trait)


def _told(said: Sequence[Any]) -> tuple[Group, Trait]:
    """Return what both queries tell of a line, last and in this order."""
    account, posted_on, direction, amount_minor, currency, format_, posted_at, timed, balance_minor, reference = said
    return Group(account, posted_on, Direction(direction), amount_minor, currency), Trait(
        format=format_, posted_at=posted_at if timed else None, balance_minor=balance_minor, reference=reference
    )


def _other(row: Row) -> OtherUnderReference:
    amount = from_minor_units(row["amount_minor"], currency=row["currency"])
    words = f"{row['direction']} of {amount} on {row['posted_on']}"
    return OtherUnderReference(line_id=row["line_id"], words=words)
