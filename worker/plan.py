"""Plan: enter the periods that are due into the schedule, and wake workers for what nobody has done yet."""

from collections.abc import Callable, Iterable, Sequence

import structlog

from adapters.postgres.schedule import ScheduleRuns
from domain.schedule import Job, due_periods
from worker.clock import Clock

log = structlog.get_logger()


class Plan:
    """The scheduler's tick. Any number of schedulers may call it at once: of each period one enters it."""

    def __init__(
        self, *, jobs: Sequence[Job], runs: ScheduleRuns, ring_runs: Callable[[Iterable[int]], None], clock: Clock
    ) -> None:
        self._jobs = jobs
        self._runs = runs
        self._ring_runs = ring_runs
        self._clock = clock

    def __call__(self) -> int:
        """Enter what is due, ring for all that waits, and return how many periods were entered.

        Killed anywhere, or without Redis, nothing is lost: what was entered is rung until it is done.

        Raises:
            DoorbellError: Redis did not take a message; it is rung again in seconds.
            PoolTimeout, psycopg.Error: PostgreSQL is away; the next tick enters what is due then.

        """
        now = self._clock()
        entered = 0
        for job in self._jobs:
            for period in due_periods(job.cadence, self._runs.history(job, now=now), now=now):
                if self._runs.enter(job.name, period, now=now):
                    entered += 1
                    log.debug("schedule.entered", job=job.name, period=period)
        self._ring_runs(self._runs.ring_due())
        return entered
