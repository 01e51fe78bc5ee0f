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
    slices: int
    """The peers' work is done slice by slice, each side in turn."""
    slice_invoices: int


FULL = Sizes(
    rounds=7,
    single_payments=400,
    batches=4,
    events=10_000_000,
    small_events=10_000,
    latencies=300,
    slices=5,
    slice_invoices=2_000,
)
QUICK = Sizes(
    rounds=3,
    single_payments=80,
    batches=1,
    events=100_000,
    small_events=10_000,
    latencies=100,
    slices=2,
    slice_invoices=100,
)
