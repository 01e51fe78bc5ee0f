"""How much each benchmark does: enough to be steady, or just enough to see that it runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    rounds: int
    single_payments: int
    """Of each side in each round."""
    batches: int
    events: int
    """In the large ledger of P8."""
    small_events: int
    latencies: int
    """Appends whose time is taken, of each ledger in each round."""
    replayed_events: tuple[int, ...]
    """The ledgers of P1."""
    replay_rounds: int
    slices: int
    """The peers' work is done slice by slice, each side in turn."""
    slice_invoices: int
    callbacks: int
    """Of each side in each round of P4, as fast as they are answered."""
    paced_callbacks: int
    """Likewise, 200 a second."""
    settled: int
    """Payments of each side in each round of P5."""
    reads: int
    """Of each side in each round, as fast as they are answered."""
    swept_payments: int
    """Of each side of P6."""
    day_payments: int
    day_unpaid: int
    open_qrs: int
    """In the sweep of P9."""
    sweep_rounds: int
    statement_lines: int
    statement_rounds: int


FULL = Sizes(
    rounds=7,
    single_payments=400,
    batches=4,
    events=10_000_000,
    small_events=10_000,
    latencies=300,
    replayed_events=(10_000, 100_000, 1_000_000),
    replay_rounds=5,
    slices=5,
    slice_invoices=2_000,
    callbacks=3_000,
    paced_callbacks=1_000,
    settled=800,
    reads=4_000,
    swept_payments=1_000,
    day_payments=10_000,
    day_unpaid=1_000,
    open_qrs=100_000,
    sweep_rounds=3,
    statement_lines=50_000,
    statement_rounds=3,
)
QUICK = Sizes(
    rounds=3,
    single_payments=80,
    batches=1,
    events=100_000,
    small_events=10_000,
    latencies=100,
    replayed_events=(10_000,),
    replay_rounds=2,
    slices=2,
    slice_invoices=100,
    callbacks=500,
    paced_callbacks=200,
    settled=100,
    reads=500,
    swept_payments=60,
    day_payments=600,
    day_unpaid=100,
    open_qrs=5_000,
    sweep_rounds=2,
    statement_lines=2_000,
    statement_rounds=2,
)
