"""Lateness: which seals were made long after their events were recorded, so that they may not be the first ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.seal import EventSeal, StoredEvent, utc_text


@dataclass(slots=True, kw_only=True)
class LateSeals:
    """Late seals in a row, from the first position to the last; since when recorded, and from when on sealed."""

    first: int
    last: int
    count: int
    since: str
    sealed_at: str


class Lateness:
    """Gathers late seals of events that come in the order of their positions, each with a seal that is right."""

    def __init__(self, late_after: timedelta, *, vouched_up_to: int | None) -> None:
        self._late_after = late_after
        self._vouched_up_to = vouched_up_to
        self._sealed_at = self._limit = ""
        self._run: LateSeals | None = None

    def take(self, seal: EventSeal, event: StoredEvent) -> Iterator[LateSeals]:
        """Judge the next seal; yield the late ones before it when it is timely."""
        if not self._is_late(seal, event):
            yield from self.settle()
        elif self._run is None:
            self._run = LateSeals(
                first=seal.position, last=seal.position, count=1, since=event.recorded_at, sealed_at=seal.sealed_at
            )
        else:
            self._run.last = seal.position
            self._run.count += 1
            self._run.since = min(self._run.since, event.recorded_at)

    def settle(self) -> Iterator[LateSeals]:
        """Yield the late ones that were not told of yet."""
        if self._run:
            yield self._run
            self._run = None

    def _is_late(self, seal: EventSeal, event: StoredEvent) -> bool:
        if self._vouched_up_to is not None and seal.position <= self._vouched_up_to:
            return False
        if seal.sealed_at != self._sealed_at:  # a thousand in a row have the same
            self._sealed_at = seal.sealed_at
            self._limit = utc_text(datetime.fromisoformat(seal.sealed_at) - self._late_after)
        return event.recorded_at < self._limit  # texts of this one form are in the order of their times
