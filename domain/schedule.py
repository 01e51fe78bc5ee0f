"""The schedule: which periods of a job are to be run now, whatever the clock did since."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import assert_never

CATCH_UP_NIGHTS = 31
"""Nights that were missed while everything was down are run late, as far back as this."""

NIGHTLY_TRIES = 30
"""A night's run is tried for some four hours, ten minutes apart in the end."""

TRY_AGAIN_MAX_S = 600.0
"""The longest wait between two tries of a run."""

EVERY_TRIES = 3
"""A run that comes every so many seconds is given up sooner: the next one does its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nightly:
    """Once for each date of a time zone, from a time of day on."""

    at: time
    zone: tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """Again so long after the last one began, and not before that has ended. What was missed is one run."""

    every_s: float


Cadence = Nightly | Every


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is run again and again. One that changes from one kind of cadence to the other needs another name."""

    name: str
    cadence: Cadence


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is recorded of a job's runs."""

    first_night: date | None = None
    """The earliest recorded one: what was before it was never meant to be run."""
    nights: Collection[date] = ()
    """Those recorded among `recent_nights`."""
    last_number: int | None = None
    """The number of the run that was entered last."""
    last_begun_at: datetime | None = None
    last_finished: bool = True


def due_periods(cadence: Cadence, history: History, *, now: datetime) -> list[str]:
    """Return the periods that should have begun by `now` (UTC) and are not recorded, in order.

    A clock that went forward and came back neither runs a night twice nor keeps one from its time: only what is
    recorded counts. Where nothing is recorded yet the latest night is due, and none before it.
    """
    match cadence:
        case Nightly():
            latest = latest_night(cadence, now=now)
            first = history.first_night or latest
            candidates = recent_nights(cadence, now=now)
            return [night.isoformat() for night in candidates if night >= first and night not in history.nights]
        case Every():
            return [str((history.last_number or 0) + 1)] if _may_begin(cadence, history, now=now) else []
        case _:
            assert_never(cadence)


def next_begin(cadence: Cadence, history: History, *, now: datetime) -> datetime | None:
    """Return when the next period begins, in UTC: `now` for one that is due; None while the last one is not over."""
    if due_periods(cadence, history, now=now):
        return now
    match cadence:
        case Nightly():
            return begin_of(cadence, latest_night(cadence, now=now) + timedelta(days=1))
        case Every():
            if not history.last_finished or history.last_begun_at is None:
                return None
            return history.last_begun_at + timedelta(seconds=cadence.every_s)
        case _:
            assert_never(cadence)


def recent_nights(cadence: Nightly, *, now: datetime) -> list[date]:
    """Return the nights that have begun by `now` and may still be run, oldest first."""
    latest = latest_night(cadence, now=now)
    return [latest - timedelta(days=back) for back in reversed(range(CATCH_UP_NIGHTS))]


def latest_night(cadence: Nightly, *, now: datetime) -> date:
    """Return the last date whose night has begun by `now`."""
    night = now.astimezone(cadence.zone).date() + timedelta(days=1)
    while begin_of(cadence, night) > now:
        night -= timedelta(days=1)
    return night


def begin_of(cadence: Nightly, night: date) -> datetime:
    """Return when a night begins, in UTC.

    Where clocks go forward over the time of day it is as long after midnight as ever; where they go back it is the
    first of the two.
    """
    return datetime.combine(night, cadence.at, tzinfo=cadence.zone).astimezone(UTC)


def try_again_s(attempts: int) -> float:
    """Return how long a run waits after its `attempts`-th failure: 5 s, doubling up to ten minutes."""
    return min(TRY_AGAIN_MAX_S, 5.0 * 2.0 ** min(attempts - 1, 10))


def _may_begin(cadence: Every, history: History, *, now: datetime) -> bool:
    if history.last_begun_at is None:
        return True
    # A time in the future is one that a clock wrote which has been set back since.
    recent = timedelta(0) <= now - history.last_begun_at < timedelta(seconds=cadence.every_s)
    return history.last_finished and not recent
