"""The one clock of business times; tests give the use cases another."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the time now, in UTC."""


def utc_now() -> datetime:
    """Return the time of this machine, in UTC."""
    return datetime.now(UTC)


def rfc3339(time: datetime) -> str:
    """Write a time as the API does: in UTC, with a Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
