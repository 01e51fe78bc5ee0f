"""The schedule's runs: each period of each job once, entered by any scheduler and done by any worker."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from adapters.postgres.connection import Pool, Row
from adapters.postgres.queries import load_queries
from domain.check_request import RING_AGAIN_S
from domain.schedule import TRY_AGAIN_MAX_S, Every, History, Job, Nightly, recent_nights

_queries = load_queries("schedule")

RUN_LEASE_S = 30.0
"""A worker that has not been heard of for this long is taken for dead, and another does its run."""

WAIT_MAX_S = TRY_AGAIN_MAX_S + 60.0
"""No run waits longer to be tried again; a longer wait was written by a clock that has been set back since."""

KEEP_NIGHTS_DAYS = 400
KEEP_OTHERS_DAYS = 2
"""A job every ten seconds has 8,640 runs a day, of which nobody reads more than a few."""

FORGET_PAGE = 5_000
RESULT_MAX_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The run of a job that was entered last. Times are UTC."""

    period: str
    begun_at: datetime
    finished_at: datetime | None
    attempts: int
    outcome: str | None
    """`done` or `failed`; None while it is not over."""
    result: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedRun:
    """A run that is the caller's until its lease runs out."""

    id: int
    job: str
    period: str
    attempts: int
    lease_token: UUID


class ScheduleRuns:
    """The runs of all jobs. Each method is one statement or two, committed when it returns."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def now(self) -> datetime:
        """Return PostgreSQL's time, in UTC: schedulers on machines whose clocks differ agree on it."""
        with self._pool.connection() as connection:
            now: datetime = _queries.clock(connection)
        return now.astimezone(UTC)

    def history(self, job: Job, *, now: datetime) -> History:
        """Read what the rules of the schedule ask about a job."""
        with self._pool.connection() as connection:
            last: Row | None = _queries.last_run(connection, job=job.name)
            match job.cadence:
                case Every():
                    number = int(last["period"]) if last else None
                    nights: Collection[date] = ()
                    first = None
                case Nightly():
                    number = None
                    recent = recent_nights(job.cadence, now=now)
                    rows = _queries.nights(
                        connection, job=job.name, first=recent[0].isoformat(), last=recent[-1].isoformat()
                    )
                    nights = {date.fromisoformat(row["period"]) for row in rows}
                    first = _queries.first_night(connection, job=job.name)
        return History(
            first_night=date.fromisoformat(first) if first else None,
            nights=nights,
            last_number=number,
            last_begun_at=last["begun_at"] if last else None,
            last_finished=last is None or last["finished_at"] is not None,
        )

    def last(self, job: str) -> LastRun | None:
        """Read the run of a job that was entered last."""
        with self._pool.connection() as connection:
            row: Row | None = _queries.last_run(connection, job=job)
        return LastRun(**row) if row else None

    def enter(self, job: str, period: str, *, now: datetime) -> bool:
        """Decide that a period of a job is run; False when somebody did so before."""
        with self._pool.connection() as connection:
            entered: int = _queries.enter_run(connection, job=job, period=period, now=now)
        return entered == 1

    def ring_due(self) -> list[int]:
        """Return the runs that wait for a worker and for which none was woken of late."""
        with self._pool.connection() as connection:
            rows = _queries.ring_runs(connection, lease_s=RUN_LEASE_S, wait_max_s=WAIT_MAX_S, ring_again_s=RING_AGAIN_S)
            return [row["id"] for row in rows]

    def claim(self, run_id: int, *, jobs: Collection[str], lease_token: UUID) -> ClaimedRun | None:
        """Take a run if it is due and free and one of `jobs`; None when it is not."""
        with self._pool.connection() as connection:
            row: Row | None = _queries.claim_run(
                connection,
                id=run_id,
                jobs=list(jobs),
                lease_token=lease_token,
                lease_s=RUN_LEASE_S,
                wait_max_s=WAIT_MAX_S,
            )
        return ClaimedRun(lease_token=lease_token, **row) if row else None

    def keep(self, run: ClaimedRun) -> bool:
        """Put off the end of the lease; False when it is another's by now."""
        with self._pool.connection() as connection:
            kept: int = _queries.keep_run(connection, id=run.id, lease_token=run.lease_token, lease_s=RUN_LEASE_S)
        return kept == 1

    def finish(self, run: ClaimedRun, *, done: bool, result: str) -> bool:
        """Write that a run is done, or given up; False when the lease was no longer its holder's."""
        with self._pool.connection() as connection:
            written: int = _queries.finish_run(
                connection,
                id=run.id,
                lease_token=run.lease_token,
                outcome="done" if done else "failed",
                result=result[:RESULT_MAX_CHARS],
            )
        return written == 1

    def try_again(self, run: ClaimedRun, *, delay_s: float, reason: str) -> bool:
        """Write that an attempt failed, to be tried again in `delay_s`; False when it was no longer its holder's."""
        return self._put_back(run, delay_s=delay_s, result=reason[:RESULT_MAX_CHARS], uncounted=False)

    def release(self, run: ClaimedRun) -> None:
        """Let another worker begin a run at once: this one stops before it has ended."""
        self._put_back(run, delay_s=0.0, result=None, uncounted=True)

    def forget(self, *, nightly: Collection[str]) -> int:
        """Remove runs that ended long ago and return how many; the newest of each job stays."""
        forgotten = 0
        while True:
            with self._pool.connection() as connection:
                removed: int = _queries.forget_runs(
                    connection,
                    nightly=list(nightly),
                    keep_nights_days=KEEP_NIGHTS_DAYS,
                    keep_others_days=KEEP_OTHERS_DAYS,
                    page=FORGET_PAGE,
                )
            forgotten += removed
            if removed < FORGET_PAGE:
                return forgotten

    def _put_back(self, run: ClaimedRun, *, delay_s: float, result: str | None, uncounted: bool) -> bool:
        with self._pool.connection() as connection:
            put_back: int = _queries.put_back_run(
                connection,
                id=run.id,
                lease_token=run.lease_token,
                delay_s=delay_s,
                result=result,
                uncounted=uncounted,
            )
        return put_back == 1
