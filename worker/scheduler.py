"""The scheduler process: rings for what is due, seals events, removes old history. Any number may run."""

from collections.abc import Callable

import psycopg
import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from psycopg_pool import PoolTimeout

from adapters.redis.doorbell import DoorbellError
from worker.clock import utc_now
from worker.stopping import stop_event

log = structlog.get_logger()

RING_EVERY_S = 2
HOUSEKEEP_EVERY_H = 24


def schedule(
    ring: Callable[[], int],
    *,
    seal: Callable[[], int] | None,
    seal_every_s: float,
    housekeep: Callable[[], object],
) -> None:
    """Ring every `RING_EVERY_S`, seal every `seal_every_s`, keep house daily, until SIGTERM or SIGINT.

    Each is a job of its own: neither waits for the other, and a tick that fails is logged and the next one comes.
    """
    told_to_stop = stop_event()
    scheduler = BackgroundScheduler(timezone="UTC")
    # One tick at a time; ticks that could not run in time are one tick, not many.
    scheduler.add_job(_survive("ring", ring), "interval", seconds=RING_EVERY_S, max_instances=1, coalesce=True)
    if seal is None:
        log.warning(
            "seal.off", reason="SEAL_SECRET is not set", consequence="nobody can tell when an event was changed"
        )
    else:
        scheduler.add_job(_survive("seal", seal), "interval", seconds=seal_every_s, max_instances=1, coalesce=True)
    # At the start as well: a scheduler that is started anew every day would never come to it.
    scheduler.add_job(
        _survive("housekeeping", housekeep),
        "interval",
        hours=HOUSEKEEP_EVERY_H,
        next_run_time=utc_now(),
        max_instances=1,
        coalesce=True,
    )
    scheduler.start()
    log.info("scheduler.started", ring_every_s=RING_EVERY_S, seal_every_s=seal_every_s if seal else None)
    told_to_stop.wait()
    log.info("scheduler.stopping")
    scheduler.shutdown(wait=True)
    log.info("scheduler.stopped")


def _survive(job: str, work: Callable[[], object]) -> Callable[[], None]:
    failed = f"{job}.failed"

    def tick() -> None:
        try:
            work()
        except (DoorbellError, PoolTimeout, psycopg.Error) as error:
            log.warning(failed, error=type(error).__name__, reason=str(error).strip())

    return tick
