"""What is parked: checks and closings that failed too often and wait for a person."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from adapters.postgres.connection import Pool
from adapters.postgres.queries import load_queries

_queries = load_queries("parked")

RETRY_PAGE = 1_000
"""Let go in one statement: milliseconds of locks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """One check or closing that is not tried any more. Times are UTC."""

    kind: str
    """`check` or `close`."""
    id: UUID
    """The gateway invoice's."""
    invoice_id: str
    gateway: str
    generation: int
    number: str
    external_id: str | None
    state: str
    parked_at: datetime
    code: str | None
    """The gateway's, where it gave one."""
    reason: str | None
    failures: int
    """In a row."""


class ParkedQrs:
    """The gateway invoices of which something is parked. What is let go is rung by the next scheduler's tick."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def list(self, *, page: int, gateway_invoice_id: UUID | None = None) -> list[Parked]:
        """Read up to `page` of what is parked, longest first; of one gateway invoice where one is given."""
        with self._pool.connection() as connection:
            rows = _queries.list_parked(connection, gateway_invoice_id=gateway_invoice_id, page=page)
            return [Parked(**row) for row in rows]

    def find(self, name: str) -> UUID | None:
        """Find a gateway invoice by its id or its number; None when there is none."""
        with self._pool.connection() as connection:
            found: UUID | None = _queries.find(connection, name=name)
        return found

    def retry(self, gateway_invoice_id: UUID) -> int:
        """Let what is parked of one gateway invoice be tried again, and return how much that was; twice is once."""
        return self._retry_page(gateway_invoice_id, code=None)

    def retry_all(self, *, code: str | None = None) -> int:
        """Let all be tried again, or what the gateway refused with one code; return how much that was."""
        retried = 0
        while page := self._retry_page(None, code=code):
            retried += page
        return retried

    def _retry_page(self, gateway_invoice_id: UUID | None, *, code: str | None) -> int:
        with self._pool.connection() as connection:
            checks: int = _queries.retry_checks(
                connection, gateway_invoice_id=gateway_invoice_id, code=code, page=RETRY_PAGE
            )
            closings: int = _queries.retry_closings(
                connection, gateway_invoice_id=gateway_invoice_id, code=code, page=RETRY_PAGE
            )
        return checks + closings
