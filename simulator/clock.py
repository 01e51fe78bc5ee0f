"""Time: whoever needs it is given a clock, and everybody writes it in the same way."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Tells the time in UTC."""


def utc_now() -> datetime:
    """Tell the time of this machine."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """Write a time as QPay does: UTC with milliseconds, `2026-03-11T05:57:47.336Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
