"""Verify the ledger: balances, payments and suspense against events and changes, and the events against their rules."""

from collections.abc import Callable
from dataclasses import dataclass

from adapters.postgres.comparison import Difference
from adapters.postgres.connection import Pool
from adapters.postgres.findings import Finding, Sums, examining


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReport:
    """What was read, and how much of it is not as it should be."""

    events: int
    invoices: int
    differences: int
    """Columns that differ, and findings."""
    sums: tuple[Sums, ...]
    """What the events come to, for each gateway and currency."""


def verify_ledger(
    pool: Pool, *, show: Callable[[Difference | Finding], object], tell: Callable[[str], object]
) -> LedgerReport:
    """Compare and examine everything in one snapshot, and write nothing.

    Each difference and finding is handed to `show` and not kept; `tell` hears what is done.

    Raises:
        psycopg.Error: PostgreSQL is away, or became so.

    """
    tell("Comparing balances, payments and suspense with events and changes")
    with examining(pool) as findings:
        shown = 0
        for difference in findings.comparison.differences():
            show(difference)
            shown += 1
        for finding in findings.findings():
            show(finding)
            shown += 1
        return LedgerReport(
            events=findings.comparison.events,
            invoices=findings.comparison.invoices,
            differences=shown,
            sums=tuple(findings.sums),
        )
