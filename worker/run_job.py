"""Run a job: do one period of the schedule, and write how it ended."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from adapters.postgres.schedule import RUN_LEASE_S, ClaimedRun, ScheduleRuns
from domain.schedule import try_again_s
from worker.held import Held
from worker.jobs import Work

log = structlog.get_logger()

KEEP_EVERY_S = RUN_LEASE_S / 3
"""How often the lease of a run that is being worked on is put off."""

RUN_MAX_S = 3_600.0
"""After this a run is taken for hung: its lease is put off no more, and another worker may begin it."""


class RunJob:
    """Does one run of the schedule, if it is due and free."""

    def __init__(self, *, runs: ScheduleRuns, works: Mapping[str, Work], held: Held) -> None:
        self._runs = runs
        self._held = held
        self._works = works

    def __call__(self, run_id: int) -> None:
        """Claim the run, do its work, and write what it came to.

        One that fails is tried again, later and later, and given up when it was tried often enough; so is one over
        which workers die. Killed anywhere, the lease runs out and another worker begins it anew.
        """
        run = self._runs.claim(run_id, jobs=self._works.keys(), lease_token=uuid4())
        if run is None:
            return
        work = self._works[run.job]
        with structlog.contextvars.bound_contextvars(job=run.job, period=run.period):
            if run.attempts > work.tries:
                self._runs.finish(run, done=False, result=f"given up: {work.tries} workers began it and did not end it")
                log.error("job.given_up", attempts=work.tries)
                return
            log.debug("job.started", attempt=run.attempts)
            try:
                with self._kept(run), self._held.holding(lambda: self._runs.release(run)):
                    result = work.do(run.period)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is written down and tried again
                if self._held.told_to_stop.is_set():
                    self._runs.release(run)
                    log.info("job.let_go", reason=str(error), consequence="another worker goes on with it")
                    return
                self._fail(run, error, tries=work.tries)
                return
            if self._runs.finish(run, done=True, result=result):
                log.info("job.finished", result=result)
            else:
                _say_late(result)

    def _fail(self, run: ClaimedRun, error: Exception, *, tries: int) -> None:
        reason = f"{type(error).__name__}: {str(error).strip() or 'no reason given'}"
        delay_s = try_again_s(run.attempts)
        given_up = run.attempts >= tries
        if given_up:
            written = self._runs.finish(run, done=False, result=reason)
        else:
            written = self._runs.try_again(run, delay_s=delay_s, reason=reason)
        if not written:
            _say_late(reason)
        elif given_up:
            log.error("job.given_up", attempts=run.attempts, reason=reason)
        else:
            log.warning("job.failed", attempt=run.attempts, reason=reason, retry_in_s=delay_s)

    @contextmanager
    def _kept(self, run: ClaimedRun) -> Iterator[None]:
        """Put off the end of the lease for as long as the work lasts."""
        over = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(run, over), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()

    def _keep(self, run: ClaimedRun, over: threading.Event) -> None:
        until = time.monotonic() + RUN_MAX_S
        while not over.wait(KEEP_EVERY_S) and time.monotonic() < until:
            try:
                if not self._runs.keep(run):
                    return
            except (PoolTimeout, psycopg.Error) as error:
                log.warning("job.not_kept", job=run.job, period=run.period, error=type(error).__name__)


def _say_late(result: str) -> None:
    log.warning(
        "job.late",
        result=result,
        consequence="nothing is written: its lease ran out, and another worker does it or has done it",
    )
