"""The worker process: takes messages from the broker until it is told to stop."""

import structlog
from dramatiq import Broker, Worker

from worker.held import Held
from worker.stopping import stop_event

log = structlog.get_logger()

POLL_MS = 500
"""How often an idle thread looks up."""

SHUTDOWN_MS = 15_000
"""A stop waits this long for what is at hand: longer than a check may take. What has not ended then is let go."""


def consume(broker: Broker, *, threads: int, held: Held) -> None:
    """Work in `threads` threads until SIGTERM or SIGINT, then finish what is at hand, or let it go after a while.

    One process: more are more of this process, so that nothing is left running when one is killed.
    """
    told_to_stop = stop_event()
    worker = Worker(broker, worker_threads=threads, worker_timeout=POLL_MS)
    worker.start()
    log.info("worker.started", threads=threads)
    told_to_stop.wait()
    held.told_to_stop.set()
    log.info("worker.stopping")
    worker.stop(timeout=SHUTDOWN_MS)
    log.info("worker.stopped", let_go=held.release_all())
