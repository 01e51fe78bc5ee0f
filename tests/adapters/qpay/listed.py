"""A payment/list that reads its window by a clock of its own, for tests of what is found by it and what that costs."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.adapters.qpay.scripted import Exchange, answer, fixture

LIST = "POST /v2/payment/list"
NOW = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)
UTC_CLOCK = timedelta(0)
ULAANBAATAR = timedelta(hours=8)


def listed(number: int, *, paid_at: datetime = NOW, **fields: object) -> dict[str, Any]:
    """A row as it was recorded, of another payment."""
    (row,) = json.loads(fixture("payment_list_200"))["rows"]
    told_at = paid_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**row, "payment_id": str(number), "payment_date": told_at, **fields}


@dataclass(slots=True)
class Lister:
    """Answers payment/list from its rows, newest first; `clock` is how far its windows are ahead of UTC."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    clock: timedelta = UTC_CLOCK
    whole_days: bool = False
    """It looks at the dates alone."""
    counts_pages: bool = False
    """Its count is that of the page."""
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, exchange: Exchange) -> None:
        asked = exchange.qpay.seen[-1].json
        self.asked.append(asked)
        start, end = (_clock_time(asked[name]) for name in ("start_date", "end_date"))
        if self.whole_days:
            start, end = start.replace(hour=0, minute=0, second=0), end.replace(hour=23, minute=59, second=59)
        inside = [row for row in self.rows if start <= _told_at(row) + self.clock <= end]
        size = asked["offset"]["page_limit"]
        first = (asked["offset"]["page_number"] - 1) * size
        page = inside[first : first + size]
        answer(200, {"count": len(page if self.counts_pages else inside), "rows": page})(exchange)

    @property
    def spans(self) -> list[timedelta]:
        return [_clock_time(each["end_date"]) - _clock_time(each["start_date"]) for each in self.asked]


def every_minute(count: int, *, until: datetime = NOW) -> Iterable[dict[str, Any]]:
    return (listed(number, paid_at=until - timedelta(minutes=number)) for number in range(1, count + 1))


def _clock_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def _told_at(row: dict[str, Any]) -> datetime:
    told = row["payment_date"]
    return datetime.fromisoformat(told) if isinstance(told, str) and "T" in told else NOW
