"""Replay: rebuild every balance from events and changes, while payments go on."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice

from adapters.postgres.comparison import Difference, comparing
from adapters.postgres.connection import Pool
from adapters.postgres.replay import Tell, the_one_replay, write_unlike


class UnknownInvoiceIdError(Exception):
    """There is no invoice of that id. Nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay came to."""

    events: int
    invoices: int
    unlike: int
    """Rows that were found to differ."""
    changed: int
    """Rows that were written; none in a dry run."""
    busy: int
    """Rows that others kept locked: they may still differ."""
    unwritable: int
    """Rows whose events come to what no row can hold: they do still differ."""
    seconds: float
    dry_run: bool

    @property
    def right(self) -> bool:
        """Whether all that was looked at is right now."""
        return self.unlike == 0 if self.dry_run else self.busy + self.unwritable == 0


def replay(
    pool: Pool,
    *,
    invoice_id: str | None,
    dry_run: bool,
    show: Callable[[Difference], object],
    shown_max: int | None = None,
    tell: Tell,
    clock_s: Callable[[], float],
) -> Replayed:
    """Compare, show what differs, and write it; of one invoice, or of all, payments and suspense included.

    Rebuilt and live are compared in one snapshot. What differs is handed to `show`, one column at a time and nothing
    of it kept, before anything is written; no more than `shown_max` columns are read. Then each row is computed anew
    under its lock. No gateway is called and nobody is notified. A second run changes nothing; a killed one leaves each
    row as it was, or right. `pool` needs two connections; `clock_s` counts seconds from anywhere.

    Raises:
        ReplayRunsError: another replay writes.
        UnknownInvoiceIdError: there is no such invoice.
        psycopg.Error: PostgreSQL is away, or became so; safe to repeat.

    """
    began_s = clock_s()
    with nullcontext() if dry_run else the_one_replay(pool), comparing(pool, invoice_id=invoice_id) as comparison:
        if invoice_id is not None and comparison.invoices == 0:
            raise UnknownInvoiceIdError
        for difference in islice(comparison.differences(), shown_max):
            show(difference)
        written = None if dry_run else write_unlike(comparison, tell=tell)
        return Replayed(
            events=comparison.events,
            invoices=comparison.invoices,
            unlike=comparison.unlike.rows,
            changed=written.changed if written else 0,
            busy=written.busy if written else 0,
            unwritable=written.unwritable if written else 0,
            seconds=clock_s() - began_s,
            dry_run=dry_run,
        )
