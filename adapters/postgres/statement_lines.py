"""Lines of statements that are kept: read to be matched, with what is known of them; decided; and shown to people."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from moneyed import Money
from pydantic_core import to_json

from adapters.postgres.connection import Pool, Row
from adapters.postgres.queries import load_queries
from adapters.postgres.statement_facts import facts_of, known_payment, payments_on, recorded
from domain.money import from_minor_units
from domain.recorded import PaymentKey
from domain.statement_match import Facts, KnownPayment, OpenLine, State, Why

_queries = load_queries("statements")

_DECIDING_LOCK = 0x6C696E6573
"""Any number that nobody else locks: "lines" in ASCII."""


_WAITING = frozenset({State.NEW, State.PROPOSED, State.UNMATCHED})
"""Of which there is an index: a table of lines grows for ever, what waits does not."""


class LinesBusyError(Exception):
    """Others are deciding about lines, and did not come to an end. Nothing was written; trying again helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What became of a line."""

    line_id: int
    state: State
    why: Why
    invoice_id: str | None = None
    payment: PaymentKey | None = None
    candidates: tuple[str, ...] = ()
    who: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLine:
    """A line with what became of it. Times are UTC."""

    id: int
    key: str
    bank: str
    account: str
    posted_on: date
    posted_at: datetime
    timed: bool
    direction: str
    amount: Money
    balance: Money | None
    description: str
    counterparty_account: str | None
    counterparty_name: str | None
    reference: str | None
    correction: bool
    file_name: str
    number: int
    state: State
    why: str | None
    invoice_id: str | None
    payment: PaymentKey | None
    candidates: tuple[str, ...]
    who: str | None
    reason: str | None
    decided_at: datetime | None


class StatementLines:
    """The kept lines. Each method is one snapshot or one transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @contextmanager
    def deciding_alone(self) -> Iterator[None]:
        """Let nobody else decide about lines for the length of the block; who comes later waits up to `lock_timeout`.

        A payment of the ledger and what became of a line are two transactions. Whoever decides looks at the line, and
        whether it has an event, in the block: otherwise one may link a line that another one is just recording. Takes a
        connection of its own; one that is killed lets go within seconds.

        Raises:
            LinesBusyError: others did not come to an end.

        """
        with self._pool.connection() as connection:
            _queries.notice_a_dead_decider(connection)
            try:
                _queries.decide_alone(connection, lock=_DECIDING_LOCK)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
                raise LinesBusyError from None
            try:
                yield
            finally:
                if not connection.broken:
                    _queries.let_others_decide(connection, lock=_DECIDING_LOCK)

    def open(self, *, states: Sequence[State], after: int, page: int) -> list[OpenLine]:
        """Read up to `page` lines that are to be matched, with ids over `after`. Corrections are for people.

        What they say never changes. That they are to be matched may: see `still_open`.
        """
        with self._pool.connection() as connection:
            rows = _queries.open_lines(connection, states=list(states), after=after, page=page)
            return [
                open_line(row, raw={"line": row["id"], "bank": row.pop("bank"), "row": row.pop("raw")}) for row in rows
            ]

    def still_open(self, lines: Sequence[OpenLine], *, states: Sequence[State]) -> list[OpenLine]:
        """Return those of some lines, in the order of their ids, that are still to be matched."""
        with self._pool.connection() as connection:
            rows = _queries.still_open(connection, states=list(states), first=lines[0].id, last=lines[-1].id)
            ids = {row["line_id"] for row in rows}
        return [line for line in lines if line.id in ids]

    def count_open(self, *, states: Sequence[State]) -> int:
        """Count the lines that are to be matched."""
        with self._pool.connection() as connection:
            return int(_queries.count_open(connection, states=list(states)))

    def facts(self, lines: Sequence[OpenLine]) -> Facts:
        """Read what is known of lines: a query for each kind of fact, however many lines there are."""
        with self._pool.connection() as connection, connection.transaction():
            return facts_of(connection, lines)

    def raw(self, line_id: int) -> Mapping[str, object]:
        """Read what the event of a line that is kept keeps of it."""
        with self._pool.connection() as connection:
            row: Row = _queries.read_raw(connection, id=line_id)
        return row

    def decide(self, decided: Sequence[Decided], *, states: Sequence[State], now: datetime) -> int:
        """Write what became of lines that are still in one of `states`; returns of how many. All or none.

        Raises:
            psycopg.errors.UniqueViolation: another line was linked with one of the payments meanwhile.

        """
        rows = [
            {
                "line_id": one.line_id,
                "state": one.state.value,
                "why": one.why.value,
                "invoice_id": one.invoice_id,
                "gateway": one.payment[0] if one.payment else None,
                "payment_id": one.payment[1] if one.payment else None,
                "candidates": list(one.candidates),
                "who": one.who,
                "reason": one.reason,
            }
            for one in decided
        ]
        with self._pool.connection() as connection:
            return int(
                _queries.decide(
                    connection,
                    decided=to_json(rows).decode(),
                    line_ids=[one.line_id for one in decided],
                    states=list(states),
                    now=now,
                )
            )

    def list(self, *, states: Sequence[State], after: int, page: int) -> list[ShownLine]:
        """Read up to `page` lines in some states with ids over `after`, in the order of their ids."""
        read = _queries.list_waiting if set(states) <= _WAITING else _queries.list_lines
        with self._pool.connection() as connection:
            rows = read(connection, states=[*states], after=after, page=page)
            return [_shown(row) for row in rows]

    def read(self, line_id: int) -> ShownLine | None:
        """Read one line; None when there is none of that id."""
        with self._pool.connection() as connection:
            row = _queries.read_line(connection, id=line_id)
        return _shown(row) if row else None

    def recorded_on(self, key: str) -> str | None:
        """Return the invoice that a line's event was received on; None where it has none."""
        with self._pool.connection() as connection:
            return recorded(connection, [key]).get(key)

    def payments_on(self, invoice_id: str) -> Sequence[KnownPayment]:
        """Read the payments of gateways and people that an invoice has had something of."""
        with self._pool.connection() as connection:
            return payments_on(connection, {invoice_id}).get(invoice_id, ())

    def payment(self, payment: PaymentKey) -> KnownPayment | None:
        """Read the payment that a line may settle; None when none is recorded under that id."""
        gateway, payment_id = payment
        with self._pool.connection() as connection:
            row = _queries.payment_received(connection, gateway=gateway, payment_id=payment_id)
        return known_payment(row) if row else None

    def linked_with(self, payment: PaymentKey) -> int | None:
        """Return the line that is linked with a payment; None when none is."""
        gateway, payment_id = payment
        with self._pool.connection() as connection:
            line_id: int | None = _queries.line_of_payment(connection, gateway=gateway, payment_id=payment_id)
        return line_id


def open_line(row: Row, *, raw: Mapping[str, object]) -> OpenLine:
    """Return a row as matching needs it."""
    amount = from_minor_units(row.pop("amount_minor"), currency=row.pop("currency"))
    return OpenLine(**row, amount=amount, raw=raw)


def _shown(row: Row) -> ShownLine:
    currency, amount_minor, balance_minor = (row.pop(name) for name in ("currency", "amount_minor", "balance_minor"))
    gateway, payment_id = row.pop("gateway"), row.pop("payment_id")
    return ShownLine(
        **(row | {"state": State(row["state"]), "candidates": tuple(row["candidates"])}),
        amount=from_minor_units(amount_minor, currency=currency),
        balance=None if balance_minor is None else from_minor_units(balance_minor, currency=currency),
        payment=None if gateway is None else (gateway, payment_id),
    )
