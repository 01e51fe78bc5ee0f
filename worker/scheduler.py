"""The scheduler process: a clock that ticks. It wakes workers for what is due, and does nothing else itself."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import psycopg
import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from psycopg_pool import PoolTimeout

from adapters.redis.doorbell import DoorbellError
from worker.clock import utc_now
from worker.stopping import stop_event

log = structlog.get_logger()

TICK_EVERY_S = 2
"""What is due waits for a ring no longer than this."""


def schedule(ticks: Mapping[str, Callable[[], int]]) -> None:
    """Call each of these every `TICK_EVERY_S` until SIGTERM or SIGINT.

    None waits for another. One that fails is logged, and called again at the next tick; ticks that could not come in
    time are one tick, not many. Nothing here knows which periods there are: that is in PostgreSQL, so any number of
    these processes may run, and one that was asleep has missed nothing.
    """
    told_to_stop = stop_event()
    scheduler = BackgroundScheduler(timezone="UTC")
    for name, tick in ticks.items():
        scheduler.add_job(
            _survive(name, tick),
            "interval",
            seconds=TICK_EVERY_S,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
    scheduler.start()
    log.info("scheduler.started", tick_every_s=TICK_EVERY_S)
    while not told_to_stop.wait(TICK_EVERY_S):
        heed_the_clock(scheduler)
    log.info("scheduler.stopping")
    scheduler.shutdown(wait=True)
    log.info("scheduler.stopped")


def heed_the_clock(scheduler: BackgroundScheduler) -> None:
    """Bring forward ticks that a clock has put off which was set back since: APScheduler goes by the time of day."""
    now = utc_now()
    for job in scheduler.get_jobs():
        if job.next_run_time > now + timedelta(seconds=2 * TICK_EVERY_S):
            log.warning("scheduler.clock_went_back", put_off_until=job.next_run_time.isoformat())
            job.modify(next_run_time=now)


def _survive(name: str, tick: Callable[[], int]) -> Callable[[], None]:
    failed = f"{name}.failed"

    def survive() -> None:
        try:
            tick()
        except (DoorbellError, PoolTimeout, psycopg.Error) as error:
            log.warning(failed, error=type(error).__name__, reason=str(error).strip())

    return survive
