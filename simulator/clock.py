"""Time: whoever needs it is given a clock, and everybody writes it in the same way."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Tells the time in UTC."""


def utc_now() -> datetime:
    """Tell the time of this machine."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """Write a time as QPay does: UTC with milliseconds, `2026-03-11T05:57:47.336Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class MovableClock:
    """A clock that runs on as the one beneath it, some time ahead of it or behind."""

    def __init__(self, beneath: Clock) -> None:
        self._beneath = beneath
        self._shift = timedelta()

    def __call__(self) -> datetime:
        """Tell the time in UTC."""
        return self._beneath() + self._shift

    def set(self, now: datetime | None, *, advance_s: float | None = None) -> None:
        """Let it be `now`, moved by `advance_s`, and run on; with neither it is the clock beneath again."""
        if now is not None:
            self._shift = now - self._beneath()
        if advance_s is not None:
            self._shift += timedelta(seconds=advance_s)
        if now is None and advance_s is None:
            self.reset()

    def reset(self) -> None:
        """Tell the time of the clock beneath again."""
        self._shift = timedelta()

    @property
    def ahead_s(self) -> float:
        """How many seconds it is ahead of the clock beneath."""
        return self._shift.total_seconds()
