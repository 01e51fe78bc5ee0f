"""The scheduler process: rings every two seconds for what is due. Any number may run; it holds nothing."""

from collections.abc import Callable

import psycopg
import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from psycopg_pool import PoolTimeout

from adapters.redis.doorbell import DoorbellError
from worker.stopping import stop_event

log = structlog.get_logger()

RING_EVERY_S = 2


def schedule(ring: Callable[[], int]) -> None:
    """Ring every `RING_EVERY_S` until SIGTERM or SIGINT; a tick that fails is logged and the next one comes."""

    def tick() -> None:
        try:
            ring()
        except (DoorbellError, PoolTimeout, psycopg.Error) as error:
            log.warning("ring.failed", error=type(error).__name__, reason=str(error).strip())

    told_to_stop = stop_event()
    scheduler = BackgroundScheduler(timezone="UTC")
    # One tick at a time; ticks that could not run in time are one tick, not many.
    scheduler.add_job(tick, "interval", seconds=RING_EVERY_S, max_instances=1, coalesce=True)
    scheduler.start()
    log.info("scheduler.started", ring_every_s=RING_EVERY_S)
    told_to_stop.wait()
    log.info("scheduler.stopping")
    scheduler.shutdown(wait=True)
    log.info("scheduler.stopped")
