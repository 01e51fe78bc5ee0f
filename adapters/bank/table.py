"""The rows of a table, of whatever file, become lines: headings are found, and cells read by a mapping."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from math import isfinite

from adapters.bank.fields import (
    ULAANBAATAR,
    Given,
    Moment,
    is_told,
    make_line,
    read_clock,
    read_moment,
    read_number,
    text_of,
)
from adapters.bank.mapping import Columns, Mapping
from domain.statement import StatementFileError, StatementLine, UnreadableLine

HEADING_WITHIN_ROWS = 50
"""Above the headings an export names the account and the period, and no more."""

Cells = Sequence[object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table; `number` is what a spreadsheet calls it. `broken` says why it could not be taken apart."""

    number: int
    cells: Cells
    broken: str | None = None


def lines_of(rows: Iterable[Row], *, mapping: Mapping, given: Given) -> Iterator[StatementLine | UnreadableLine]:
    """Yield the lines below the headings, in their order; empty rows and totals are none.

    Raises:
        StatementFileError: no row has all the headings that are needed.

    """
    rows = iter(rows)
    places = _find_headings(rows, mapping.columns)
    reader = _Reader(places, mapping=mapping, given=given)
    for row in rows:
        if row.broken is not None:
            yield UnreadableLine(number=row.number, reason=row.broken, raw=[])
        elif any(map(is_told, row.cells)) and not reader.is_no_line(row.cells):
            try:
                yield reader.read(row)
            except ValueError as error:
                yield UnreadableLine(number=row.number, reason=str(error), raw=_jsonable(row.cells))


def _find_headings(rows: Iterator[Row], columns: Columns) -> dict[str, int]:
    wanted: dict[str, tuple[str, ...]] = {name: names for name, names in columns if names}
    missing = [name for name in wanted if name in _needed(columns)]
    for _, row in zip(range(HEADING_WITHIN_ROWS), rows, strict=False):
        places = {_folded(cell): place for place, cell in reversed(list(enumerate(row.cells))) if text_of(cell)}
        found = {
            name: next(places[_folded(heading)] for heading in headings if _folded(heading) in places)
            for name, headings in wanted.items()
            if any(_folded(heading) in places for heading in headings)
        }
        lacking = [name for name in wanted if name not in found and name in _needed(columns)]
        if not lacking:
            return found
        missing = min(missing, lacking, key=len)
    headings = "; ".join(f"{name} ({' or '.join(wanted[name])})" for name in missing)
    raise StatementFileError(f"no row has the headings: missing {headings}. Say which they are with --mapping")


def _needed(columns: Columns) -> set[str]:
    """Name the columns without which no line can be read; the others are taken where they are."""
    return {"date", "description", *(("amount",) if columns.amount else ("credit", "debit"))}


class _Reader:
    def __init__(self, places: dict[str, int], *, mapping: Mapping, given: Given) -> None:
        self._places = places
        self._mapping = mapping
        self._patterns = list(mapping.date_formats)
        self._given = replace(given, currency=mapping.currency)
        self._footers = tuple(_folded(word) for word in mapping.footers)
        self._signs = {_folded(word): 1 for word in mapping.credit_words} | {
            _folded(word): -1 for word in mapping.debit_words
        }

    def is_no_line(self, cells: Cells) -> bool:
        """Tell whether a row is blank, or a total."""
        first = next((text for cell in cells if (text := _folded(cell))), "")
        return not first or (bool(self._footers) and first.startswith(self._footers))

    def read(self, row: Row) -> StatementLine:
        def cell(name: str) -> object:
            place = self._places.get(name)
            return row.cells[place] if place is not None and place < len(row.cells) else None

        signed, correction = self._amount(cell)
        balance = cell("balance")
        return make_line(
            self._given,
            number=row.number,
            account=text_of(cell("account")) or None,
            moment=self._moment(cell("date"), cell("time")),
            signed=signed,
            currency=text_of(cell("currency")).upper() or self._given.currency,
            balance=self._number(balance) if _is_filled(balance) else None,
            description=text_of(cell("description")),
            counterparty_account=text_of(cell("counterparty_account")),
            counterparty_name=text_of(cell("counterparty_name")),
            reference=text_of(cell("reference")),
            correction=correction,
            raw={"row": _jsonable(row.cells)},
        )

    def _amount(self, cell: Callable[[str], object]) -> tuple[Decimal, bool]:
        """Return the signed amount, and whether its own sign goes against its column: the bank takes it back."""
        if self._mapping.columns.amount is None:
            sides = {name: self._number(cell(name)) for name in ("credit", "debit") if _is_filled(cell(name))}
            told = {name: number for name, number in sides.items() if number != 0}
            if len(told) != 1:
                raise ValueError("credit and debit are both filled" if told else "neither credit nor debit is filled")
            ((side, number),) = told.items()
            return (number if side == "credit" else -number), number < 0
        number = self._number(cell("amount"))
        if "direction" not in self._places:
            return number, False
        word = text_of(cell("direction"))
        sign = self._signs.get(_folded(word))
        if sign is None:
            raise ValueError(f"the direction is {word[:40]!r}, none of the words for credit and debit")
        return (abs(number) * sign, False) if sign < 0 else (number, number < 0)

    def _number(self, cell: object) -> Decimal:
        return read_number(cell, decimal=self._mapping.decimal, thousands=self._mapping.thousands)

    def _moment(self, day: object, clock: object) -> Moment:
        moment = self._day(day)
        if not is_told(clock):
            return moment
        told = clock.time() if isinstance(clock, datetime) else clock
        return replace(moment, clock=told if isinstance(told, time) else read_clock(text_of(clock)))

    def _day(self, cell: object) -> Moment:
        if isinstance(cell, datetime):
            local = cell if cell.tzinfo is None else cell.astimezone(ULAANBAATAR)
            midnight = local.time() == time()
            return read_moment(f"{local:%Y-%m-%d}" if midnight else f"{local:%Y-%m-%d %H:%M:%S}")
        if isinstance(cell, date):
            return read_moment(cell.isoformat())
        text = text_of(cell)
        for pattern in self._patterns:
            try:
                local = datetime.strptime(text, pattern).replace(tzinfo=UTC)
            except ValueError:
                continue
            self._patterns.sort(key=lambda other: other != pattern)  # the next line is written like this one
            has_clock = "%H" in pattern or "%I" in pattern
            return read_moment(f"{local:%Y-%m-%d %H:%M:%S}" if has_clock else f"{local:%Y-%m-%d}")
        return read_moment(text)


def _is_filled(cell: object) -> bool:
    return text_of(cell) not in {"", "-"}


def _folded(cell: object) -> str:
    return text_of(cell).casefold()


def _jsonable(cells: Cells) -> list[object]:
    """Return cells as JSON can hold them; what is long is cut, since a row may be anything."""
    kept = list(cells)
    while kept and not text_of(kept[-1]):
        kept.pop()
    return [None if cell is None else cell if _is_json(cell) else text_of(cell) for cell in kept[:100]]


def _is_json(cell: object) -> bool:
    """Tell whether JSON has it as it is: what is beyond a double's range comes out of a sheet as infinite."""
    return isinstance(cell, bool | int) or (isinstance(cell, float) and isfinite(cell))
