"""The worker process: takes messages from the broker until it is told to stop."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import structlog
from dramatiq import Broker, Worker

from worker.held import Held
from worker.stopping import stop_event

log = structlog.get_logger()

POLL_MS = 500
"""How often an idle thread looks up."""

SHUTDOWN_MS = 15_000
"""A stop waits this long for what is at hand: longer than a check may take. What has not ended then is let go."""

NOWHERE: Mapping[str, int] = MappingProxyType({})


def consume(broker: Broker, *, threads: int, held: Held, apart: Mapping[str, int] = NOWHERE) -> None:
    """Work in `threads` threads until SIGTERM or SIGINT, then finish what is at hand, or let it go after a while.

    `apart` names queues that have so many threads of their own, so that what is slow there holds up nothing else.
    One process: more are more of this process, so that nothing is left running when one is killed.
    """
    told_to_stop = stop_event()
    others = set(broker.get_declared_queues()) - set(apart)
    # Dramatiq warns of two workers in a process: untold, each would listen to all queues.
    workers = [Worker(broker, queues=others, worker_threads=threads, worker_timeout=POLL_MS)] + [
        Worker(broker, queues={queue}, worker_threads=own, worker_timeout=POLL_MS) for queue, own in apart.items()
    ]
    for worker in workers:
        worker.start()
    log.info("worker.started", threads=threads, apart=dict(apart))
    told_to_stop.wait()
    held.told_to_stop.set()
    log.info("worker.stopping")
    with ThreadPoolExecutor(max_workers=len(workers)) as stoppers:
        list(stoppers.map(lambda worker: worker.stop(timeout=SHUTDOWN_MS), workers))
    log.info("worker.stopped", let_go=held.release_all())
