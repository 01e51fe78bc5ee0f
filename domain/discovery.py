"""Discovery: which windows of a gateway's list are to be asked for, and when again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from domain.payment_row import FoundPage, RowStatus, UnreadableRow

WINDOW = timedelta(minutes=15)
"""How long a window is. At 10,000 payments a day it has a page of a hundred; each costs some eighteen calls in all."""

SETTLING = timedelta(minutes=15)
"""A window is asked for at each sweep until so long after its end: clocks differ, and rows may show up late."""

GROWTH = 1.5
"""Then it is asked for whenever its age has grown by this: a late row is found when it is half as late again."""

LATE = timedelta(hours=26)
"""The last time is so long after its end; what shows up later is left to the nightly look back."""

LOOK_BACK = timedelta(days=35)
"""What was never asked for, because everything was down, is asked for as far back as this."""

SPAN = timedelta(days=1)
"""No question is longer than this. Its answer is read page by page, and what is remembered of it are ids."""

AHEAD = timedelta(days=1)
"""The newest window is asked for so far beyond its end: the gateway's clock may be ahead of ours, and nothing is there
else."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A window that was asked for."""

    asked_at: datetime
    question: str | None
    """In the gateway's words; None where it was a part of a longer question."""
    total: int | None
    """How many payments there were; None where that cannot be relied upon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is to be asked for: [`begins_at`, `until`), UTC."""

    begins_at: datetime
    ends_at: datetime
    windows: tuple[datetime, ...]
    """The beginnings of the windows that are due in it."""
    before: Asked | None = None
    """What was answered before, of a single window."""
    newest: bool = False

    @property
    def until(self) -> datetime:
        """The end of the question."""
        return self.ends_at + AHEAD if self.newest else self.ends_at


def due_windows(asked: Mapping[datetime, Asked], *, first: datetime, now: datetime) -> list[Window]:
    """Return what is to be asked for at `now` (UTC), newest first, by what was `asked` under each beginning.

    `first` is before all that may be found. A time in the future is one of a clock that has been set back since.
    Windows that nobody ever asked for, and that are over for long, are put together.
    """
    begin = _floor(max(first, now - LOOK_BACK))
    recent: list[Window] = []
    long_over: list[Window] = []
    at = newest = _floor(now)
    while at >= begin:
        known = asked.get(at)
        if _is_due(known, ends_at=at + WINDOW, now=now):
            window = Window(begins_at=at, ends_at=at + WINDOW, windows=(at,), before=known, newest=at == newest)
            (long_over if known is None and now - window.ends_at > LATE else recent).append(window)
        at -= WINDOW
    return [*recent, *put_together(long_over)]


def put_together(windows: Iterable[Window]) -> list[Window]:
    """Return the fewest questions that cover the windows, which are given newest first, none longer than `SPAN`."""
    together: list[Window] = []
    for window in windows:
        last = together[-1] if together else None
        if last is not None and last.ends_at - window.begins_at <= SPAN:
            wider = replace(last, begins_at=window.begins_at, windows=(*last.windows, *window.windows), before=None)
            together[-1] = wider
        else:
            together.append(window)
    return together


@dataclass(slots=True)
class Reading:
    """What was read of one question so far. It tells whether the total can be relied upon the next time."""

    question: str | None = None
    pages: int = 0
    first_total: int | None = None
    _totals: set[int] = field(default_factory=set)
    _ids: set[str] = field(default_factory=set)
    _unfinished: bool = False
    """A row can become money without another row: it is not paid yet, or cannot be read."""

    def take(self, page: FoundPage) -> None:
        """Count a page."""
        if self.pages == 0:
            self.question, self.first_total = page.asked, page.total
        self.pages += 1
        if page.total is not None:
            self._totals.add(page.total)
        for found in page.found:
            if isinstance(found, UnreadableRow):
                self._unfinished = True
            else:
                self._ids.add(found.row.payment_id)
                self._unfinished |= found.row.status in {RowStatus.NEW, RowStatus.PARTIAL, RowStatus.UNKNOWN}

    def is_as(self, before: Asked | None) -> bool:
        """Whether the first page alone tells that nothing has changed since it was asked for before."""
        if before is None or before.total is None:
            return False
        return self.pages == 1 and (self.question, self.first_total) == (before.question, before.total)

    @property
    def moved(self) -> bool:
        """Whether rows came or went while the pages were read, so that some may have been missed."""
        return self.pages > 1 and (len(self._totals) > 1 or max(self._totals, default=0) > len(self._ids))

    @property
    def total(self) -> int | None:
        """The total by which it can be told the next time that nothing has changed; None: read it again then."""
        is_whole = self._totals == {len(self._ids)}
        return self.first_total if is_whole and not self._unfinished else None


def _is_due(asked: Asked | None, *, ends_at: datetime, now: datetime) -> bool:
    if asked is None or asked.asked_at > now or now - ends_at <= SETTLING:
        return True
    age_then = asked.asked_at - ends_at
    if age_then >= LATE:
        return False
    return now - ends_at >= min(LATE, max(SETTLING, age_then * GROWTH))


def _floor(time: datetime) -> datetime:
    return time - (time - _EPOCH) % WINDOW
