"""P5: from the callback to the balance, on one machine, against the bare parts in one loop."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any

import psycopg

from tests.bench.bare_loop import BareLoop
from tests.bench.database import OpenQr, superuser
from tests.bench.figures import Figure
from tests.bench.load import LoadError, as_fast_as_possible, get
from tests.bench.rounds import interleave, say, seconds
from tests.bench.sizes import Sizes
from tests.bench.stack import Stack, running_stack
from worker.settings import WorkerSettings

REACH = 0.7
THREADS: int = WorkerSettings.model_fields["worker_threads"].default
"""Of the worker, and of the loop; as many connections send callbacks."""

SETTLED_WITHIN_S = 120.0
LOOK_EVERY_S = 0.02

LIMIT = (
    "in one loop, bare, and without a web server: UPDATE the QR, enqueue, fetch, UPDATE the QR, one httpx POST, the "
    "five rows of P2 in a transaction, acknowledge"
)


def measure_settling(sizes: Sizes) -> Iterator[Figure]:
    """Callbacks of as many QRs, each paid once, to a web process, a worker and a scheduler, until all are paid."""
    count = 2 * (sizes.rounds + 1) * sizes.settled
    say(f"P5: seeding {count:,} QRs")
    with running_stack(qrs=count, events=sizes.small_events) as stack:
        loop = BareLoop(
            database_url=stack.servers.postgres_url,
            redis_url=stack.servers.redis_url,
            gateway_url=f"http://127.0.0.1:{stack.instant_port}",
            threads=THREADS,
        )
        with closing(loop):
            stack.start_worker()
            say(f"P5, {THREADS} threads ", end="")
            rounds = interleave(
                {
                    "ours": lambda _: _rate(stack, sizes.settled, partial(_call_back, stack)),
                    "limit": lambda _: _rate(stack, sizes.settled, loop.settle),
                },
                rounds=sizes.rounds,
            )
    yield Figure(
        id="P5",
        work=f"callback to balance, {THREADS} threads",
        ours=rounds.median("ours"),
        limit=rounds.median("limit"),
        unit="/s",
        limit_is=LIMIT,
        ratio=rounds.ratio("ours", "limit"),
        ratios=tuple(rounds.ratios("ours", "limit")),
        reach=REACH,
    )


def _rate(stack: Stack, count: int, settle: Callable[[list[OpenQr]], None]) -> float:
    qrs = list(islice(stack.qrs, count))
    rate = count / seconds(partial(settle, qrs))
    with superuser(stack.servers.postgres_url) as connection:
        paid = connection.execute(
            "SELECT count(*) FROM invoice_balance WHERE invoice_id = ANY (%s) AND status = 'paid' AND payments = 1",
            ([qr.invoice_id for qr in qrs],),
        ).fetchone()
    if paid != (count,):
        raise LoadError(f"of {count} invoices {paid} were paid")
    return rate


def _call_back(stack: Stack, qrs: list[OpenQr]) -> None:
    """Send a callback about each QR, and wait until all are paid."""
    with superuser(stack.servers.postgres_url) as connection:
        before = _events(connection, after=0)[1]
        requests = [get(stack.path_of(qr)) for qr in qrs]
        as_fast_as_possible(stack.web_port, requests, connections=THREADS, expected=b"SUCCESS")
        until = time.monotonic() + SETTLED_WITHIN_S
        while _events(connection, after=before)[0] < len(qrs):
            if time.monotonic() > until:
                raise LoadError(f"not all of {len(qrs)} payments were recorded within {SETTLED_WITHIN_S:.0f} s")
            time.sleep(LOOK_EVERY_S)


def _events(connection: psycopg.Connection[Any], *, after: int) -> tuple[int, int]:
    """Count the events behind a position, and tell the last position."""
    row = connection.execute(
        "SELECT count(*), coalesce(max(position), 0) FROM payment_event WHERE position > %s", (after,)
    ).fetchone()
    assert row is not None
    count, last = row
    return count, last
