"""The jobs: what the schedule has done and when, and the work behind each name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time
from zoneinfo import ZoneInfo

from adapters.postgres.history import Removed
from adapters.postgres.schedule import ScheduleRuns
from domain.schedule import EVERY_TRIES, NIGHTLY_TRIES, Every, Job, Nightly

SEAL = "seal"
HOUSEKEEPING = "housekeeping"
REFRESH = "refresh"
RECONCILE = "reconcile"
DISCOVER = "discover"

HOUSEKEEPING_AT = time(3, 0)
"""Nobody pays at three in the morning, by TIMEZONE."""

RECONCILE_AT = time(4, 0)
"""When yesterday is over in any time zone that a gateway may count its days by, and before people come to work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a worker does for a job."""

    do: Callable[[str], str]
    """Takes the period and says in a few words what it came to. Twice, or two at once, is once."""
    tries: int
    """A run that failed so often is given up."""


def timetable(
    *, timezone: str, refresh_at: time, discover_every_s: float, seal_every_s: float | None
) -> tuple[Job, ...]:
    """Return the jobs of this installation; nothing is sealed where `seal_every_s` is None."""
    zone = ZoneInfo(timezone)
    jobs = [
        Job(name=REFRESH, cadence=Nightly(at=refresh_at, zone=zone)),
        Job(name=HOUSEKEEPING, cadence=Nightly(at=HOUSEKEEPING_AT, zone=zone)),
        Job(name=DISCOVER, cadence=Every(every_s=discover_every_s)),
        Job(name=RECONCILE, cadence=Nightly(at=RECONCILE_AT, zone=zone)),
    ]
    if seal_every_s is not None:
        jobs.append(Job(name=SEAL, cadence=Every(every_s=seal_every_s)))
    return tuple(jobs)


def works(
    *,
    runs: ScheduleRuns,
    remove_history: Callable[[], Removed],
    removals: Mapping[str, Callable[[], int]],
    refresh: Callable[[], str],
    look_back: Callable[[str], str],
    discover: Callable[[], str],
    seal: Callable[[], int] | None,
) -> Mapping[str, Work]:
    """Return what a worker does for each job; without `seal` it says that it cannot.

    `removals` are what else is to be removed when it is old enough, by their nouns; each returns how many.
    """
    return {
        REFRESH: Work(do=lambda _: refresh(), tries=NIGHTLY_TRIES),
        HOUSEKEEPING: Work(do=lambda _: _keep_house(runs, remove_history, removals), tries=NIGHTLY_TRIES),
        RECONCILE: Work(do=look_back, tries=NIGHTLY_TRIES),
        DISCOVER: Work(do=lambda _: discover(), tries=EVERY_TRIES),
        SEAL: Work(do=lambda _: _seal(seal), tries=EVERY_TRIES),
    }


def _keep_house(
    runs: ScheduleRuns, remove_history: Callable[[], Removed], removals: Mapping[str, Callable[[], int]]
) -> str:
    removed = remove_history()
    others = [f"{remove()} {noun}" for noun, remove in removals.items()]
    old_runs = runs.forget(nightly=[HOUSEKEEPING, REFRESH, RECONCILE])
    return ", ".join(
        [f"removed {removed.checks} old checks", f"{removed.callbacks} QRs' callbacks", *others, f"{old_runs} runs"]
    )


def _seal(seal: Callable[[], int] | None) -> str:
    if seal is None:
        raise ValueError("the scheduler has a SEAL_SECRET and this worker has none")
    return f"{seal()} events sealed"
