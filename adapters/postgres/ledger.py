"""The ledger: lets a rule decide on what is recorded, and writes what it decides if that is still what is recorded."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg

from adapters.postgres.check_requests import FinishedCheck
from adapters.postgres.connection import Connection, Pool
from adapters.postgres.queries import load_queries
from adapters.postgres.recorded import About, Seen, holders, lock, see
from adapters.postgres.written import Appended, DecideAnewError, Opened, write
from domain.payment_event import Kind
from domain.reconciler import Decision
from domain.recorded import Recorded

__all__ = ["Appended", "Ledger", "LedgerBusyError", "Opened", "StoredEvent"]

_queries = load_queries("ledger")

_LAST = 2**63 - 1
"""The highest position that there can be."""

TRIES = 8
"""How often a decision is made anew because others were faster; each time more is locked, or more is known."""


MANY = 100
"""So many payments are worth new plans: those of a session may have been made while the tables were all but empty, and
would then read all of a table for each payment."""


class LedgerBusyError(Exception):
    """Others changed what a decision was about, time and again. Nothing was written; trying again helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One event as it is stored. Times are UTC; amounts are in minor units."""

    position: int
    gateway: str
    payment_id: str
    kind: str
    invoice_id: str | None
    amount_minor: int
    currency: str
    fee_minor: int | None
    occurred_at: datetime
    occurred_at_source: str
    recorded_at: datetime
    source: str


class Ledger:
    """Payment events and the balances that they come to."""

    def __init__(self, pool: Pool, *, on_append: Callable[[Appended], None] = lambda _: None) -> None:
        """`on_append` hears of each append once it is committed; it must not raise."""
        self._pool = pool
        self._on_append = on_append

    def append(
        self,
        about: About,
        decide: Callable[[Recorded], Decision],
        *,
        recorded_at: datetime,
        finished: FinishedCheck | None = None,
        guess: Seen | None = None,
    ) -> Appended:
        """Let `decide` see what is recorded, and write what it decides: all of it, or nothing.

        One transaction: balances are locked in id order, then payments in key order, and compared with what was seen;
        events are inserted in key order and added to balances, payments and suspense; notifications are staged, QRs
        that were paid are settled, `finished` is written to its check request, and discrepancies are opened. Where
        others were faster nothing is written, and it is decided anew, the second time under lock: `decide` must have no
        effect of its own. With a `guess` the first decision is made on that instead of reading. Safe to repeat after
        an error whose outcome is unknown.

        Raises:
            LedgerBusyError: others were faster each time.
            psycopg.Error: the transaction failed, or nobody knows whether it was committed.

        """
        appended = self._append(about, decide, recorded_at=recorded_at, finished=finished, guess=guess)
        self._on_append(appended)
        return appended

    def _append(
        self,
        about: About,
        decide: Callable[[Recorded], Decision],
        *,
        recorded_at: datetime,
        finished: FinishedCheck | None,
        guess: Seen | None,
    ) -> Appended:
        with self._pool.connection() as connection:
            if len(about.payments) >= MANY:
                _queries.plan_anew(connection)
            for attempt in range(TRIES):
                try:
                    if attempt == 0:
                        seen = guess or _see_all(connection, about)
                        return write(connection, seen, decide(seen.recorded), finished, noted_at=recorded_at)
                    with connection.transaction():
                        lock(connection, about)
                        seen = _see_all(connection, about)
                        return write(connection, seen, decide(seen.recorded), finished, noted_at=recorded_at)
                except DecideAnewError as anew:
                    about = replace(about, invoices=about.invoices | anew.also_about)
                except psycopg.errors.SerializationFailure:
                    continue
        raise LedgerBusyError

    def event(self, gateway: str, payment_id: str, *, kind: Kind, ref: str) -> StoredEvent:
        """Read one event.

        Raises:
            LookupError: there is none of that key.

        """
        with self._pool.connection() as connection:
            row = _queries.event_by_key(connection, gateway=gateway, payment_id=payment_id, kind=kind.value, ref=ref)
        if row is None:
            raise LookupError(f"no event {kind} {ref} of {gateway}:{payment_id}")
        return StoredEvent(**row)

    def payments(
        self,
        *,
        after: int,
        page: int,
        up_to: int = _LAST,
        invoice_id: str | None = None,
        gateway: str | None = None,
        occurred_from: datetime | None = None,
        occurred_to: datetime | None = None,
        unmatched: bool = False,
    ) -> list[StoredEvent]:
        """Read up to `page` events with positions in (`after`, `up_to`], lowest first; `occurred_to` is exclusive."""
        with self._pool.connection() as connection:
            rows = _queries.events_page(
                connection,
                invoice_id=invoice_id,
                gateway=gateway,
                occurred_from=occurred_from,
                occurred_to=occurred_to,
                unmatched=unmatched,
                after=after,
                up_to=up_to,
                page=page,
            )
            return [StoredEvent(**row) for row in rows]

    def balances_unlike_events(self) -> list[str]:
        """Return the invoices whose balance is not the sum of their changes and events; none, if all is well."""
        with self._pool.connection() as connection:
            return [row["invoice_id"] for row in _queries.balances_unlike_events(connection)]


def _see_all(connection: Connection, about: About) -> Seen:
    seen = see(connection, about)
    beyond = holders(seen.recorded.payments) - about.invoices
    if beyond:
        raise DecideAnewError(also_about=beyond)
    return seen
