"""Gateway refunds: that a gateway is about to be asked for one, and what became of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
from moneyed import Money

from adapters.postgres.connection import Connection, Pool, Row
from adapters.postgres.ledger import LedgerBusyError
from adapters.postgres.queries import load_queries
from adapters.postgres.recorded import About, lock, see
from domain.command import Command
from domain.gateway_refund import KNOWN_AFTER_S, IntendedRefund, RefundState, RefundUnderwayError
from domain.money import from_minor_units, minor_units
from domain.recorded import PaymentKey, Recorded

_queries = load_queries("gateway_refunds")

LOOK_AFTER_S = 30.0
"""Whoever dies while the gateway is asked leaves a check behind: after the call has certainly ended."""

_UNDERWAY = "TS001"
"""What the trigger no_second_refund raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRefund:
    """One refund that a gateway was asked for. `asked_at` is UTC."""

    key: str
    payment: PaymentKey
    gateway_invoice_id: UUID
    invoice_id: str | None
    amount: Money
    state: RefundState
    asked_at: datetime
    answer: str | None
    who: str


class GatewayRefunds:
    """The refunds that gateways are asked for. Each method is one transaction, committed when it returns."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def begin(
        self,
        command: Command,
        payment: PaymentKey,
        *,
        invoice_id: str | None,
        decide: Callable[[Recorded], IntendedRefund],
    ) -> tuple[GatewayRefund, bool]:
        """Write down, under the payment's lock, that the gateway is about to be asked; a check is requested with it.

        Returns the refund, and whether the gateway is to be asked now: not when the same command was given before,
        unless the gateway certainly did not act on it.

        Raises:
            RefundUnderwayError: it was asked by another command, and the outcome is unknown.
            Exception: whatever `decide` raises; nothing was written.

        """
        gateway, payment_id = payment
        about = About(payments=frozenset({payment}))
        with self._pool.connection() as connection, connection.transaction():
            lock(connection, about)
            row: Row | None = _queries.read_refund(connection, key=command.key)
            if row is not None and row["state"] != RefundState.NOT_ACTED:
                return _refund(row), False
            _refuse_underway(connection, payment)
            intended = decide(see(connection, about).recorded)
            _queries.intend(
                connection,
                key=command.key,
                gateway=gateway,
                payment_id=payment_id,
                gateway_invoice_id=intended.gateway_invoice_id,
                invoice_id=invoice_id,
                amount_minor=minor_units(intended.amount),
                currency=intended.amount.currency.code,
                reason=command.reason,
                who=command.who,
            )
            _queries.look_later(connection, id=intended.gateway_invoice_id, delay_s=LOOK_AFTER_S)
            return _refund(_queries.read_refund(connection, key=command.key)), True

    def answer(self, key: str, *, state: RefundState, answer: str) -> GatewayRefund:
        """Write down how the gateway answered; an outcome that is known stays."""
        with self._pool.connection() as connection, connection.transaction():
            _queries.answer(connection, key=key, state=state.value, answer=answer)
            return _refund(_queries.read_refund(connection, key=key))

    def note(self, key: str, *, answer: str) -> None:
        """Write down why no answer came; the outcome stays unknown."""
        with self._pool.connection() as connection:
            _queries.note(connection, key=key, answer=answer)

    def conclude(self, key: str) -> GatewayRefund:
        """Write down what the events, and checks of the QR, say of the outcome, if they do; else it stays unknown."""
        with self._pool.connection() as connection, connection.transaction():
            if not _queries.conclude_given(connection, key=key):
                _queries.conclude_not_given(connection, key=key, known_after_s=KNOWN_AFTER_S)
            _queries.withdraw_question(connection, key=key)
            return _refund(_queries.read_refund(connection, key=key))

    @contextmanager
    def refusing_underway(self, payment: PaymentKey) -> Iterator[None]:
        """Name what the database refuses while a gateway may be giving the payment back.

        Raises:
            RefundUnderwayError: a person wanted to give back, or move, some of it. Nothing was written.
            LedgerBusyError: likewise, and the outcome became known meanwhile.

        """
        try:
            yield
        except psycopg.DatabaseError as error:
            if error.sqlstate != _UNDERWAY:
                raise
            with self._pool.connection() as connection:
                _refuse_underway(connection, payment)
            raise LedgerBusyError from error


def _refuse_underway(connection: Connection, payment: PaymentKey) -> None:
    gateway, payment_id = payment
    row: Row | None = _queries.read_underway(connection, gateway=gateway, payment_id=payment_id)
    if row is not None:
        raise RefundUnderwayError(key=row["key"], who=row["who"], asked_at=row["asked_at"])


def _refund(row: Row) -> GatewayRefund:
    return GatewayRefund(
        key=row["key"],
        payment=(row["gateway"], row["payment_id"]),
        gateway_invoice_id=row["gateway_invoice_id"],
        invoice_id=row["invoice_id"],
        amount=from_minor_units(row["amount_minor"], currency=row["currency"]),
        state=RefundState(row["state"]),
        asked_at=row["asked_at"],
        answer=row["answer"],
        who=row["who"],
    )
