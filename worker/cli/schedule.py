"""What `tootsoo scheduler --list` shows: the jobs, their last results, and when they run next."""

import json
from datetime import datetime
from typing import assert_never

import typer
from rich.table import Table

from adapters.postgres.schedule import LastRun, ScheduleRuns
from domain.schedule import Cadence, Every, Job, Nightly, next_begin
from worker.cli.tables import print_table
from worker.clock import rfc3339
from worker.compose.database import open_schedule
from worker.jobs import timetable
from worker.scheduler import TICK_EVERY_S
from worker.settings import CommonSettings, DatabaseSettings, DiscoverySettings, RefreshSettings, SealSettings, load


def jobs_of_settings() -> tuple[Job, ...]:
    """Return the jobs of this installation."""
    seals = load(SealSettings)
    return timetable(
        timezone=load(CommonSettings).timezone,
        refresh_at=load(RefreshSettings).refresh_at,
        discover_every_s=load(DiscoverySettings).discover_every_s,
        seal_every_s=seals.seal_every_s if seals.seal_secret else None,
    )


def show_schedule(*, as_json: bool) -> None:
    """Show what there is to run, how it went and when it comes next.

    Raises:
        typer.Exit: 1 when the last run of a job was given up.

    """
    jobs = jobs_of_settings()
    with open_schedule(load(DatabaseSettings)) as runs:
        shown = [_Shown(job, runs) for job in jobs]
    if as_json:
        typer.echo(json.dumps({"ringEveryS": TICK_EVERY_S, "jobs": [one.as_json() for one in shown]}))
    else:
        table = Table("job", "comes", "last", "result", "next")
        table.add_row("ring", f"every {TICK_EVERY_S} s, unrecorded", "", "", "")
        for one in shown:
            table.add_row(*one.as_row())
        print_table(table)
    if any(one.given_up for one in shown):
        raise typer.Exit(1)


class _Shown:
    """One job as it stands."""

    def __init__(self, job: Job, runs: ScheduleRuns) -> None:
        now = runs.now()
        self._job = job
        self._last = runs.last(job.name)
        self._next = next_begin(job.cadence, runs.history(job, now=now), now=now)
        self._due = self._next is not None and self._next <= now
        self.given_up = self._last is not None and self._last.outcome == "failed"

    def as_json(self) -> dict[str, object]:
        return {
            "job": self._job.name,
            "comes": _words(self._job.cadence),
            "last": None if self._last is None else _last_json(self._last),
            "nextAt": rfc3339(self._next) if self._next else None,
        }

    def as_row(self) -> tuple[str, str, str, str, str]:
        last = "" if self._last is None else _told(self._last.begun_at)
        coming = "when the last one has ended" if self._next is None else "now" if self._due else _told(self._next)
        return (self._job.name, _words(self._job.cadence), last, _outcome(self._last), coming)


def _last_json(last: LastRun) -> dict[str, object]:
    return {
        "period": last.period,
        "begunAt": rfc3339(last.begun_at),
        "finishedAt": rfc3339(last.finished_at) if last.finished_at else None,
        "attempts": last.attempts,
        "outcome": last.outcome,
        "result": last.result,
    }


def _outcome(last: LastRun | None) -> str:
    if last is None:
        return "never ran"
    if last.outcome is not None:
        return f"{last.outcome}: {last.result}"
    if last.attempts == 0:
        return "waits for a worker"
    return f"under way, attempt {last.attempts}" + (f"; {last.result}" if last.result else "")


def _words(cadence: Cadence) -> str:
    match cadence:
        case Nightly():
            return f"each night at {cadence.at:%H:%M}, {cadence.zone}"
        case Every():
            return f"every {cadence.every_s:g} s"
        case _:
            assert_never(cadence)


def _told(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
