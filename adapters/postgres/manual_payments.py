"""Payments by hand: which were recorded before with the same reference."""

from dataclasses import dataclass

from moneyed import Money

from adapters.postgres.connection import Pool
from adapters.postgres.queries import load_queries
from domain.money import from_minor_units
from domain.recorded import PaymentKey

_queries = load_queries("manual_payments")


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierPayment:
    """A payment by hand that was recorded earlier."""

    payment_id: str
    invoice_id: str
    amount: Money


class ManualPayments:
    """Looks at payments by hand; writes nothing."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def earlier_with(self, reference: str, *, than: PaymentKey, page: int) -> list[EarlierPayment]:
        """Return up to `page` that had this reference, in any case, before `than` was recorded; the newest first."""
        gateway, payment_id = than
        with self._pool.connection() as connection:
            rows = _queries.earlier_with_reference(
                connection, gateway=gateway, payment_id=payment_id, reference=reference, page=page
            )
            return [
                EarlierPayment(
                    payment_id=row["payment_id"],
                    invoice_id=row["invoice_id"],
                    amount=from_minor_units(row["amount_minor"], currency=row["currency"]),
                )
                for row in rows
            ]
