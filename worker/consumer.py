"""The worker process: takes messages from the broker until it is told to stop."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from dramatiq import Broker, Worker

from worker.held import Held
from worker.stopping import stop_event

log = structlog.get_logger()

POLL_MS = 500
"""How often an idle thread looks up."""

SHUTDOWN_MS = 15_000
"""A stop waits this long for what is at hand: longer than a check may take. What has not ended then is let go."""


def consume(broker: Broker, *, threads: int, held: Held, apart: Sequence[tuple[Broker, int]] = ()) -> None:
    """Work in `threads` threads until SIGTERM or SIGINT, then finish what is at hand, or let it go after a while.

    `apart` are brokers with so many threads of their own, so that what is slow there holds up nothing else.
    One process: more are more of this process, so that nothing is left running when one is killed.
    """
    told_to_stop = stop_event()
    workers = [Worker(one, worker_threads=own, worker_timeout=POLL_MS) for one, own in ((broker, threads), *apart)]
    for worker in workers:
        worker.start()
    log.info("worker.started", threads=threads, apart=sum(own for _, own in apart))
    told_to_stop.wait()
    held.told_to_stop.set()
    log.info("worker.stopping")
    with ThreadPoolExecutor(max_workers=len(workers)) as stoppers:
        list(stoppers.map(lambda worker: worker.stop(timeout=SHUTDOWN_MS), workers))
    log.info("worker.stopped", let_go=held.release_all())
