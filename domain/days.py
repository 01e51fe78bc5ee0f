"""Days of a time zone: when one begins and ends."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Self

from domain.schedule import Nightly, begin_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day: [`since`, `until`), in UTC. It has 23 or 25 hours where clocks are changed."""

    since: datetime
    until: datetime

    @classmethod
    def of(cls, day: date, *, zone: tzinfo) -> Self:
        """Return a date's day in a time zone."""
        midnight = Nightly(at=time(0), zone=zone)
        return cls(since=begin_of(midnight, day), until=begin_of(midnight, day + timedelta(days=1)))

    def __contains__(self, moment: datetime) -> bool:
        """Tell whether a moment is in it."""
        return self.since <= moment < self.until
