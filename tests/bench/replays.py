"""P1: what a replay costs, against the bare statement that only sums the same events."""

from collections.abc import Iterator
from functools import partial
from resource import RUSAGE_SELF, getrusage
from time import monotonic

from adapters.postgres.connection import Pool, open_pool
from tests.bench.database import database, load_bench_queries, running_server
from tests.bench.figures import Figure
from tests.bench.rounds import interleave, say, seconds
from tests.bench.sizes import Sizes
from tests.filled import fill, spoil, superuser
from worker.cli.differences import SHOWN_MAX
from worker.replay import Replayed, replay

REACH_RIGHT = 2.5
REACH_WRONG = 4.0

LIMIT = "CREATE TABLE … AS SELECT invoice_id, the five figures of its balance … GROUP BY, and its primary key"

_bare = load_bench_queries("replay")


def measure_replay(sizes: Sizes) -> Iterator[Figure]:
    """Replay with every balance right and with every one wrong, at growing sizes; fsync off, for both alike."""
    with running_server(fsync=False) as admin_url:
        for events in sizes.replayed_events:
            with database(admin_url, f"replay_{events}") as url, open_pool(url, size=2) as pool:
                say(f"P1: filling {events:,} events")
                fill(url, events)
                yield from _figures(url, pool, events, rounds=sizes.replay_rounds)


def _figures(url: str, pool: Pool, events: int, *, rounds: int) -> Iterator[Figure]:
    say(f"P1, {events:,} events ", end="")
    before_mb = _peak_mb()
    done = interleave(
        {
            "limit": lambda _: _limit_s(url),
            "right": lambda _: _replay_s(pool, changed=0),
            "wrong": lambda _: _replay_s(pool, changed=_spoil(url)),
        },
        rounds=rounds,
    )
    note = (
        f"peak memory of our process at {events:,} events {_peak_mb()} MB, {_peak_mb() - before_mb} MB more than before"
    )
    for side, reach in (("right", REACH_RIGHT), ("wrong", REACH_WRONG)):
        yield Figure(
            id="P1",
            work=f"replay of {events:,} events, every balance {side}",
            ours=done.median(side) * 1_000,
            limit=done.median("limit") * 1_000,
            unit="ms",
            limit_is=LIMIT,
            ratio=done.ratio(side, "limit"),
            ratios=tuple(done.ratios(side, "limit")),
            reach=reach,
            at="most",
            note=note,
        )


def _limit_s(url: str) -> float:
    with superuser(url) as connection:
        return seconds(partial(_bare.sum_events, connection))


def _replay_s(pool: Pool, *, changed: int) -> float:
    replayed: Replayed = replay(
        pool,
        invoice_id=None,
        dry_run=False,
        show=lambda _: None,
        shown_max=SHOWN_MAX + 1,
        tell=lambda _, __: None,
        clock_s=monotonic,
    )
    assert replayed.changed == changed
    return replayed.seconds


def _spoil(url: str) -> int:
    """Make every balance wrong, and leave it as autovacuum would have: the rows that were are not timed."""
    count = spoil(url)
    with superuser(url) as connection:
        connection.execute("VACUUM (ANALYZE) invoice_balance")
        connection.execute("CHECKPOINT")
    return count


def _peak_mb() -> int:
    return getrusage(RUSAGE_SELF).ru_maxrss // 1_024
