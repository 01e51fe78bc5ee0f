"""Compares every projection with what its events and changes come to, in one snapshot, and keeps what differs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moneyed import CurrencyDoesNotExist, Money

from adapters.postgres.connection import Connection, Pool, Row, answering_within
from adapters.postgres.queries import load_queries
from domain.money import from_minor_units

_queries = load_queries("comparison")

COMPARISON_MAX_S = 3_600.0
"""How long one statement of it may take: what `begin_comparison` sets, and how long its answer is waited for."""

PAGE = 500
"""Rows read at once: how much of the difference is in memory, however much there is."""

_MONEY = frozenset({"due", "received", "refunded"})

Value = Money | int | str | None
"""What a column says: money, a count, a time or a word; None where there is no row, or nothing in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One column of one row that is not what its events and changes come to."""

    invoice: str | None
    """The invoice; of a payment the one that holds it; None for suspense."""
    of: str | None
    """`payment qpay:…` or `suspense at qpay`; None for the invoice's balance."""
    column: str
    live: Value
    rebuilt: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlike:
    """How many rows of each projection differ."""

    balances: int
    payments: int
    suspense: int

    @property
    def rows(self) -> int:
        """All of them."""
        return self.balances + self.payments + self.suspense


class Comparison:
    """What was compared and what differs, in temporary tables of one session; ends with `comparing`."""

    def __init__(self, connection: Connection, *, events: int, invoices: int) -> None:
        self.connection = connection
        self.events = events
        self.invoices = invoices
        self.unlike = Unlike(**_queries.count_unlike(connection))

    def differences(self) -> Iterator[Difference]:
        """Read what differs, a page at a time: balances in id order, then payments in key order, then suspense."""
        for read, rows in (
            (_queries.balance_differences, self.unlike.balances),
            (_queries.payment_differences, self.unlike.payments),
            (_queries.suspense_differences, self.unlike.suspense),
        ):
            for after in range(0, rows, PAGE):
                for row in list(read(self.connection, after=after, page=PAGE)):
                    yield _difference(row)


@contextmanager
def comparing(
    pool: Pool, *, invoice_id: str | None = None, meanwhile: Callable[[Connection], object] = lambda _: None
) -> Iterator[Comparison]:
    """Compare all projections with all events and changes, or one invoice's balance and payments, in one snapshot.

    One REPEATABLE READ transaction, which has ended when this yields: nothing is locked and no payment waits. It may
    take an hour and writes nothing but temporary tables. `meanwhile` reads more in the same snapshot.

    Raises:
        psycopg.Error: PostgreSQL is away, the login may not make temporary tables, or the hour is over.

    """
    with pool.connection() as connection:
        try:
            with answering_within(connection, COMPARISON_MAX_S), connection.transaction():
                _queries.begin_comparison(connection)
                size = _compare(connection, invoice_id)
                _queries.index_unlike(connection)
                meanwhile(connection)
            yield Comparison(connection, **size)
        finally:
            if not connection.broken:
                _queries.end_comparison(connection)


def _compare(connection: Connection, invoice_id: str | None) -> dict[str, int]:
    size: dict[str, int]
    if invoice_id is None:
        size = _queries.size(connection)
        _queries.doubt_payments(connection)
        _queries.compare_suspense(connection)
    else:
        size = _queries.size_of_invoice(connection, invoice_id=invoice_id)
        _queries.doubt_payments_of_invoice(connection, invoice_id=invoice_id)
        _queries.no_suspense(connection)
    _queries.compare_balances(connection, invoice_id=invoice_id)
    _queries.analyse_doubtful_payments(connection)
    _queries.compare_payments(connection)
    return size


def value_of(amount_minor: Any, *, currency: str | None) -> Value:
    """Make money of minor units. What only a forger can have written, a currency that is none, is told in words."""
    if amount_minor is None or currency is None:
        return None if amount_minor is None else int(amount_minor)
    try:
        return from_minor_units(int(amount_minor), currency=currency)
    except CurrencyDoesNotExist:
        return f"{amount_minor} minor units of {currency}"


def _difference(row: Row) -> Difference:
    column: str = row["column"]
    live, rebuilt = row["live"], row["rebuilt"]
    if column in _MONEY:
        live = value_of(live, currency=row["live_currency"])
        rebuilt = value_of(rebuilt, currency=row["rebuilt_currency"])
    return Difference(invoice=row["invoice"], of=row["of"], column=column, live=live, rebuilt=rebuilt)
