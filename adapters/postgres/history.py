"""The history: what each check came to and how often callbacks came, kept for a set time to explain balances."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.postgres.check_requests import ClaimedCheck
from adapters.postgres.connection import Pool
from adapters.postgres.queries import load_queries
from domain.money import minor_units
from domain.payment_row import PaymentRow, UnreadableRow

_queries = load_queries("history")

ROWS_KEPT = 20
"""More payments of one answer are only counted; a QR seldom has more than one."""

ERROR_MAX_CHARS = 500
_TEXT_MAX_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """How much history was removed."""

    checks: int
    callbacks: int


class History:
    """The history of checks and callbacks. Each statement is committed by itself.

    That a check began is written by `CheckRequests.claim`, and a callback is counted by `CheckRequests.request`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def record_answer(
        self,
        check: ClaimedCheck,
        rows: Sequence[PaymentRow | UnreadableRow],
        *,
        duration_ms: int,
        seen_at: datetime,
        new_events: int,
        new_discrepancies: int,
    ) -> None:
        """Write what the gateway answered, `ROWS_KEPT` payments of it at most, and what was new in it.

        `seen_at` is the `recorded_at` of the events that it proved. The first outcome of a check counts.
        """
        with self._pool.connection() as connection:
            _queries.record_answer(
                connection,
                gateway_invoice_id=check.gateway_invoice_id,
                check_id=check.check_id,
                duration_ms=duration_ms,
                seen_at=seen_at,
                answer_rows=len(rows),
                answer=json.dumps([_as_json(row) for row in rows[:ROWS_KEPT]], ensure_ascii=False),
                new_events=new_events,
                new_discrepancies=new_discrepancies,
            )

    def record_failure(self, check: ClaimedCheck, *, duration_ms: int, error: str) -> None:
        """Write why the gateway gave no answer. The first outcome of a check counts."""
        with self._pool.connection() as connection:
            _queries.record_failure(
                connection,
                gateway_invoice_id=check.gateway_invoice_id,
                check_id=check.check_id,
                duration_ms=duration_ms,
                error=error[:ERROR_MAX_CHARS],
            )

    def remove_older(self, *, days: int, page: int) -> Removed:
        """Remove up to `page` checks, and the callbacks of up to `page` QRs, of more than `days` ago.

        Several at once share the work. Events are never removed: the role that this acts as may not.
        """
        with self._pool.connection() as connection:
            return Removed(
                checks=_queries.remove_checks(connection, days=days, page=page),
                callbacks=_queries.remove_callbacks(connection, days=days, page=page),
            )


def _as_json(row: PaymentRow | UnreadableRow) -> dict[str, object]:
    if isinstance(row, UnreadableRow):
        return {"unreadable": row.words[:_TEXT_MAX_CHARS]}
    return {
        "paymentId": row.payment_id[:_TEXT_MAX_CHARS],
        "status": row.status_text,
        "amountMinor": minor_units(row.amount),
        "currency": row.amount.currency.code,
    }
