"""Owed QRs: which QRs expire, and which invoices are owed one because theirs was closed to be renewed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from moneyed import Money

from adapters.postgres.connection import Pool, Row
from adapters.postgres.gateway_invoices import CLOSE_AGAIN_S, REASON_MAX_CHARS
from adapters.postgres.invoices import lock_balance
from adapters.postgres.queries import load_queries
from domain.money import from_minor_units
from domain.refresh import End, ExpiringQr, RefreshPlan

_queries = load_queries("owed_qrs")

PAGE = 200
"""Read in one statement: milliseconds, and a few hundred kilobytes at most."""

_FIRST_ID = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedQr:
    """An invoice that is to get its next QR at a gateway. Times are UTC."""

    invoice_id: str
    gateway: str
    closing_id: UUID | None
    """The QR before, while it is not unpayable yet."""
    being_made: bool
    """A create was begun of which nobody knows the outcome; it is not given up yet."""
    outstanding: Money
    owing_since: datetime


class OwedQrs:
    """The QRs that expire and the QRs that are owed. Each method is one transaction, committed when it returns."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def count_expiring(self, gateway: str, *, until: datetime) -> int:
        """Count a gateway's open QRs that expire by `until`, UTC."""
        with self._pool.connection() as connection:
            return int(_queries.count_expiring(connection, gateway=gateway, until=until))

    def expiring(self, gateway: str, *, until: datetime) -> Iterator[ExpiringQr]:
        """Read a gateway's open QRs that expire by `until`, UTC, those that expire first; memory holds one page."""
        after, after_id = datetime.min.replace(tzinfo=until.tzinfo), _FIRST_ID
        while True:
            with self._pool.connection() as connection:
                rows = list(
                    _queries.read_expiring(
                        connection, gateway=gateway, until=until, after=after, after_id=after_id, page=PAGE
                    )
                )
            yield from map(_expiring, rows)
            if len(rows) < PAGE:
                return
            after, after_id = rows[-1]["expires_at"], rows[-1]["id"]

    def begin(self, qr: ExpiringQr, plan: Callable[[ExpiringQr], RefreshPlan]) -> RefreshPlan | None:
        """Plan once more under the invoice's lock, and write down what was decided: closing, and what is owed.

        Of two at once one gets the plan; the other, or whoever comes when the QR is no longer open, gets None.
        """
        with self._pool.connection() as connection, connection.transaction():
            lock_balance(connection, qr.invoice_id)
            row: Row | None = _queries.read_open(connection, id=qr.id)
            if row is None:
                return None
            decided = plan(_expiring(row))
            if isinstance(decided, End) and not _queries.begin_closing(
                connection, id=qr.id, close_again_s=CLOSE_AGAIN_S, owed=decided.replaced
            ):
                return None
        return decided

    def count_owed(self, gateway: str) -> int:
        """Count the invoices that are owed a QR at a gateway and whose time it is."""
        with self._pool.connection() as connection:
            return int(_queries.count_owed(connection, gateway=gateway))

    def owed(self, gateway: str) -> Iterator[OwedQr]:
        """Read the invoices that are owed a QR at a gateway and whose time it is, by id; memory holds one page."""
        after = ""
        while True:
            with self._pool.connection() as connection:
                rows = list(_queries.read_owed(connection, gateway=gateway, after=after, page=PAGE))
            yield from map(_owed, rows)
            if len(rows) < PAGE:
                return
            after = rows[-1]["invoice_id"]

    def count_owed_soon(self, *, within_s: float) -> int:
        """Count the invoices that are owed a QR and are tried, or tried again, within so long."""
        with self._pool.connection() as connection:
            return int(_queries.count_owed_soon(connection, within_s=within_s))

    def note_failure(self, invoice_id: str, *, gateway: str, reason: str, wait_s: float, wait_max_s: float) -> None:
        """Write why an invoice that is owed a QR did not get it; it waits `wait_s`, twice as long the next time."""
        with self._pool.connection() as connection:
            _queries.note_failure(
                connection,
                invoice_id=invoice_id,
                gateway=gateway,
                reason=reason[:REASON_MAX_CHARS],
                wait_s=wait_s,
                wait_max_s=wait_max_s,
            )

    def forgive(self, invoice_id: str, *, gateway: str) -> None:
        """Let an invoice be owed no QR; nothing happens to one that is owed none."""
        with self._pool.connection() as connection:
            _queries.forgive(connection, invoice_id=invoice_id, gateway=gateway)


def _expiring(row: Row) -> ExpiringQr:
    return ExpiringQr(outstanding=_outstanding(row), **row)


def _owed(row: Row) -> OwedQr:
    return OwedQr(outstanding=_outstanding(row), **row)


def _outstanding(row: Row) -> Money:
    return from_minor_units(row.pop("outstanding_minor"), currency=row.pop("currency"))
