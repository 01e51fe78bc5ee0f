"""P8: what an append costs in a large ledger, against the same in a small one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median
from time import perf_counter

from adapters.postgres.connection import open_pool
from tests.bench.appends import our_append
from tests.bench.database import database, database_bytes, fill_events, running_server, seed_qrs
from tests.bench.figures import Figure
from tests.bench.payments import Supply
from tests.bench.rounds import Turn, interleave, say, seconds
from tests.bench.sizes import Sizes

REACH = 1.2


def measure_growth(sizes: Sizes) -> Iterator[Figure]:
    """The median time of one append, finish included, on one connection; both ledgers on one server, fsync off."""
    with ExitStack() as stack:
        admin_url = stack.enter_context(running_server(fsync=False))
        turns: dict[str, Turn] = {}
        for side, events in (("limit", sizes.small_events), ("ours", sizes.events)):
            url = stack.enter_context(database(admin_url, f"growth_{side}"))
            say(f"P8: filling {events:,} events ", end="")
            filled_s = seconds(partial(fill_events, url, events))
            filled_bytes = database_bytes(url)
            supply = Supply(seed_qrs(url, sizes.latencies * (sizes.rounds + 1)))
            turns[side] = stack.enter_context(_ledger(url, supply, sizes.latencies))
        say("P8 ", end="")
        rounds = interleave(turns, rounds=sizes.rounds)
    yield Figure(
        id="P8",
        work=f"append p50 at {sizes.events:,} events",
        ours=rounds.median("ours"),
        limit=rounds.median("limit"),
        unit="ms",
        limit_is=f"the same at {sizes.small_events:,} events, in another database of the same server",
        ratio=rounds.ratio("ours", "limit"),
        ratios=tuple(rounds.ratios("ours", "limit")),
        reach=REACH,
        at="most",
        note=f"{filled_bytes / 1e9:.1f} GB, filled in {filled_s:.0f} s",
    )


@contextmanager
def _ledger(url: str, supply: Supply, count: int) -> Iterator[Turn]:
    """Yields what takes the median time of `count` appends, in ms."""
    with open_pool(url, size=1) as pool:
        append = our_append(pool)

        def turn(_: int) -> float:
            times_s = []
            for payment in supply.take(count):
                began = perf_counter()
                append(payment)
                times_s.append(perf_counter() - began)
            return median(times_s) * 1_000

        yield turn
