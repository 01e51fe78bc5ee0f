"""Notifications: what the merchant's application is to be told, who is at it, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from adapters.postgres.connection import Pool, Row
from adapters.postgres.queries import load_queries
from domain.check_request import RING_AGAIN_S
from domain.delivery import (
    GIVE_UP_AFTER_S,
    LEASE_MARGIN_S,
    RETRY_AFTER_MAX_S,
    RETRY_BASE_S,
    RETRY_MAX_S,
    Lane,
    Reply,
)
from domain.notification import NotificationType

_queries = load_queries("notifications")

WAIT_MAX_S = 2 * RETRY_AFTER_MAX_S
"""Nothing waits longer for its next try; a longer wait was written by a clock that has been set back since."""

ERROR_MAX_CHARS = 500
RESEND_PAGE = 1_000
"""Let go in one statement: milliseconds of locks."""


class DeliveryState(StrEnum):
    """What became of a notification."""

    PENDING = "pending"
    DELIVERED = "delivered"
    PARKED = "parked"
    """It failed for days, or was refused for good: a person has to look."""
    UNSENT = "unsent"
    """Its turn came and for days nobody was to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What is to be told, as it was staged."""

    id: int
    message_id: UUID
    """The same at every try."""
    invoice_id: str | None
    sequence: int | None
    type: NotificationType
    data: Mapping[str, Any]
    """Amounts in minor units."""
    staged_at: datetime
    """UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A notification that is its holder's to deliver, until the lease runs out."""

    staged: Staged
    lease_token: UUID
    attempts: int
    """1 for the first try."""
    tried_for_s: float
    """Since the first try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A notification with what became of it. Times are UTC, by PostgreSQL's clock but for `staged_at`."""

    staged: Staged
    state: DeliveryState
    attempts: int
    next_try_at: datetime
    first_tried_at: datetime | None
    ended_at: datetime | None
    last_status: int | None
    last_error: str | None


class Notifications:
    """The notifications of a database. Each method is one statement, committed when it returns."""

    def __init__(self, pool: Pool, *, timeout_s: float) -> None:
        """`timeout_s` is how long a delivery may take; its lease is a little longer."""
        self._pool = pool
        self._lease_s = timeout_s + LEASE_MARGIN_S

    def claim(self, lane: Lane, *, lease_token: UUID) -> Claimed | None:
        """Take what is to be told next in a lane, if it is due and free; None when there is nothing to do.

        Whoever holds the first of an invoice holds back all later ones of it.
        """
        with self._pool.connection() as connection:
            row: Row | None = _queries.claim_next(
                connection,
                invoice_id=lane.invoice_id,
                id=lane.notification_id,
                lease_token=lease_token,
                lease_s=self._lease_s,
                retry_base_s=RETRY_BASE_S,
                retry_max_s=RETRY_MAX_S,
                wait_max_s=WAIT_MAX_S,
                pause_max_s=RETRY_AFTER_MAX_S,
            )
        if row is None:
            return None
        return Claimed(
            staged=_staged(row), lease_token=lease_token, attempts=row["attempts"], tried_for_s=row["tried_for_s"]
        )

    def delivered(self, claimed: Claimed, reply: Reply) -> bool:
        """Write that the application has it; False when the lease was not its holder's any more."""
        return self._end(claimed, DeliveryState.DELIVERED, status=reply.status, error=None)

    def park(self, claimed: Claimed, reply: Reply) -> bool:
        """Write that it is tried no more; False likewise. The invoice's next is due then."""
        return self._end(claimed, DeliveryState.PARKED, status=reply.status, error=reply.reason)

    def try_again(self, claimed: Claimed, reply: Reply, *, delay_s: float) -> bool:
        """Write that a try failed and when the next one is; False likewise."""
        with self._pool.connection() as connection:
            written: int = _queries.fail_try(
                connection,
                id=claimed.staged.id,
                lease_token=claimed.lease_token,
                delay_s=delay_s,
                status=reply.status,
                error=reply.reason[:ERROR_MAX_CHARS],
            )
        return written == 1

    def release(self, claimed: Claimed) -> None:
        """Let another try at once: nothing was sent."""
        with self._pool.connection() as connection:
            _queries.release_try(connection, id=claimed.staged.id, lease_token=claimed.lease_token)

    def pause(self, pause_s: float) -> None:
        """Let nothing be delivered for so long."""
        with self._pool.connection() as connection:
            _queries.pause(connection, pause_s=pause_s)

    def ring_due(self, *, page: int) -> list[Lane]:
        """Return up to `page` lanes in which something is due and for which nobody was woken of late."""
        with self._pool.connection() as connection:
            rows = _queries.ring_due(
                connection,
                page=page,
                ring_again_s=RING_AGAIN_S,
                lease_s=self._lease_s,
                wait_max_s=WAIT_MAX_S,
                pause_max_s=RETRY_AFTER_MAX_S,
            )
            return [_lane(row) for row in rows]

    def leave_unsent(self, *, page: int) -> int:
        """Give up on up to `page` that nobody has tried for days, and return how many."""
        with self._pool.connection() as connection:
            left: int = _queries.leave_unsent(connection, give_up_after_s=GIVE_UP_AFTER_S, page=page)
        return left

    def park_overdue(self, *, page: int) -> int:
        """Park up to `page` over which workers die instead of giving them up, and return how many."""
        with self._pool.connection() as connection:
            parked: int = _queries.park_overdue(connection, give_up_after_s=GIVE_UP_AFTER_S, page=page)
        return parked

    def list(
        self, *, states: Sequence[DeliveryState], after: int, page: int, invoice_id: str | None = None
    ) -> list[Notification]:
        """Return up to `page` in these states with ids over `after`, in the order of being staged."""
        with self._pool.connection() as connection:
            rows = _queries.list_notifications(
                connection, states=[state.value for state in states], invoice_id=invoice_id, after=after, page=page
            )
            return [_notification(row) for row in rows]

    def read(self, notification_id: int) -> Notification | None:
        """Return one; None when there is none of that id."""
        with self._pool.connection() as connection:
            row: Row | None = _queries.read_notification(connection, id=notification_id)
        return _notification(row) if row else None

    def resend(self, ids: Sequence[int]) -> int:
        """Let these be tried from the start, and return how many; one that is being delivered now is left alone."""
        with self._pool.connection() as connection:
            resent: int = _queries.resend(connection, ids=list(ids))
        return resent

    def resend_all(self, state: DeliveryState, *, since: datetime | None) -> int:
        """Let all in one state be tried from the start, those that were staged since a time if one is given."""
        if state is DeliveryState.PENDING:
            raise ValueError("what is pending is sent anyway")
        resent = 0
        while page := self._resend_page(state, since=since):
            resent += page
        return resent

    def remove_older(self, *, days: int, page: int) -> int:
        """Remove what was delivered, or left unsent, more than `days` ago, and return how many; page by page.

        What is pending or parked stays, and so does the last of each invoice.
        """
        removed, after = 0, 0
        while True:
            with self._pool.connection() as connection:
                row = _queries.remove_page(connection, after=after, days=days, page=page)
            removed += int(row["removed"])
            if row["last_id"] is None:
                return removed
            after = row["last_id"]

    def _end(self, claimed: Claimed, state: DeliveryState, *, status: int | None, error: str | None) -> bool:
        with self._pool.connection() as connection:
            written: int = _queries.end_try(
                connection,
                id=claimed.staged.id,
                lease_token=claimed.lease_token,
                state=state.value,
                status=status,
                error=None if error is None else error[:ERROR_MAX_CHARS],
            )
        return written == 1

    def _resend_page(self, state: DeliveryState, *, since: datetime | None) -> int:
        with self._pool.connection() as connection:
            resent: int = _queries.resend_page(connection, state=state.value, since=since, page=RESEND_PAGE)
        return resent


def _lane(row: Row) -> Lane:
    if row["invoice_id"] is not None:
        return Lane(invoice_id=row["invoice_id"])
    return Lane(notification_id=row["id"])


def _staged(row: Row) -> Staged:
    return Staged(
        id=row["id"],
        message_id=row["message_id"],
        invoice_id=row["invoice_id"],
        sequence=row["sequence"],
        type=NotificationType(row["type"]),
        data=row["data"],
        staged_at=row["staged_at"],
    )


def _notification(row: Row) -> Notification:
    return Notification(
        staged=_staged(row),
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        next_try_at=row["next_try_at"],
        first_tried_at=row["first_tried_at"],
        ended_at=row["ended_at"],
        last_status=row["last_status"],
        last_error=row["last_error"],
    )
