"""P4: what taking a callback in costs, against the same server with a handler that only writes and enqueues."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from adapters.redis.doorbell import queue_of
from tests.bench.bare_web import BARE_QUEUE
from tests.bench.database import OpenQr, superuser
from tests.bench.figures import Figure
from tests.bench.instant import ANYTHING
from tests.bench.load import Load, LoadError, as_fast_as_possible, at_a_rate, get
from tests.bench.rounds import Rounds, interleave, say
from tests.bench.sizes import Sizes
from tests.bench.stack import Stack, running_stack, start_module
from worker.local import free_port

RATE_REACH = 0.8
P99_REACH = 2.0
CONNECTIONS = 16
PACED_PER_S = 200.0
PACED_CONNECTIONS = 64
"""More than are ever busy at once, so that none of the callbacks waits for one."""

LIMIT = "the same server with a handler of one bare UPDATE and one bare enqueue"

Send = Callable[[list[bytes]], Load]


@dataclass(slots=True, kw_only=True)
class _Side:
    """One of the two servers."""

    path_of: Callable[[OpenQr], str]
    port: int
    queue: str
    client_shares: list[float] = field(default_factory=list)
    """Of one core, that the load took in each round."""


def measure_callbacks(sizes: Sizes) -> Iterator[Figure]:
    """Callbacks of as many QRs, as fast as they are answered, and 200 a second. Nobody settles meanwhile."""
    count = 2 * (sizes.rounds + 1) * (sizes.callbacks + sizes.paced_callbacks)
    say(f"P4: seeding {count:,} QRs")
    with running_stack(qrs=count, events=sizes.small_events) as stack:
        bare_port = free_port()
        start_module(stack.fleet, "bare_web", port=bare_port)
        sides = {
            "ours": _Side(path_of=stack.path_of, port=stack.web_port, queue=f"tootsoo:{queue_of('qpay')}"),
            "limit": _Side(path_of=_bare_path_of, port=bare_port, queue=BARE_QUEUE),
        }
        fastest = _load_alone(stack, sizes.callbacks)
        say(f"P4, {CONNECTIONS} connections ", end="")
        rates = interleave(
            {name: partial(_rate, stack, side, sizes.callbacks) for name, side in sides.items()}, rounds=sizes.rounds
        )
        share = max(share for side in sides.values() for share in side.client_shares)
        note = f"the load alone comes to {fastest:,.0f}/s; beside the servers it took {share:.0%} of a core at most"
        yield _figure(f"callbacks, {CONNECTIONS} connections", rates, unit="/s", reach=RATE_REACH, note=note)
        say(f"P4, {PACED_PER_S:.0f}/s ", end="")
        times = interleave(
            {name: partial(_p99_ms, stack, side, sizes.paced_callbacks) for name, side in sides.items()},
            rounds=sizes.rounds,
        )
        yield _figure(f"callbacks at {PACED_PER_S:.0f}/s, p99", times, unit="ms", reach=P99_REACH, note="")


def _bare_path_of(qr: OpenQr) -> str:
    return f"/bare/{qr.gateway_invoice_id}?qpay_payment_id={qr.payment_id}"


def _load_alone(stack: Stack, count: int) -> float:
    """Measure the load against a server that answers at once: what it can do at best."""
    requests = [get("/")] * count
    return as_fast_as_possible(stack.instant_port, requests, connections=CONNECTIONS, expected=ANYTHING).rate


def _rate(stack: Stack, side: _Side, count: int, _: int) -> float:
    load = _send(
        stack,
        side,
        count,
        lambda requests: as_fast_as_possible(side.port, requests, connections=CONNECTIONS, expected=b"SUCCESS"),
    )
    side.client_shares.append(load.client_cpu_s / load.took_s)
    return load.rate


def _p99_ms(stack: Stack, side: _Side, count: int, _: int) -> float:
    load = _send(
        stack,
        side,
        count,
        lambda requests: at_a_rate(
            side.port, requests, per_s=PACED_PER_S, connections=PACED_CONNECTIONS, expected=b"SUCCESS"
        ),
    )
    return load.p99_s * 1_000


def _send(stack: Stack, side: _Side, count: int, send: Send) -> Load:
    """Send a callback of each of so many new QRs, and see that each was written down and rung."""
    qrs = list(islice(stack.qrs, count))
    load = send([get(side.path_of(qr)) for qr in qrs])
    ids = [qr.gateway_invoice_id for qr in qrs]
    with superuser(stack.servers.postgres_url) as connection:
        written = connection.execute(
            "SELECT count(*) FROM gateway_invoice WHERE id = ANY (%s) AND requested = 1", (ids,)
        ).fetchone()
    rung = stack.waiting(side.queue)
    if len(qrs) < count or written != (count,) or rung != count:
        raise LoadError(f"of {count} callbacks {written} were written down and {rung} rung")
    stack.forget_messages()
    return load


def _figure(work: str, rounds: Rounds, *, unit: str, reach: float, note: str) -> Figure:
    return Figure(
        id="P4",
        work=work,
        ours=rounds.median("ours"),
        limit=rounds.median("limit"),
        unit="ms" if unit == "ms" else "/s",
        limit_is=LIMIT,
        ratio=rounds.ratio("ours", "limit"),
        ratios=tuple(rounds.ratios("ours", "limit")),
        reach=reach,
        at="most" if unit == "ms" else "least",
        note=note,
    )
