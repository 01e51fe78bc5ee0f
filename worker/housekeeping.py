"""Housekeeping: remove history and notifications that are old enough. Events are neither: they are never removed."""

from datetime import timedelta

import structlog

from adapters.postgres.history import History, Removed
from adapters.postgres.idempotency_keys import IdempotencyKeys
from adapters.postgres.notifications import Notifications
from worker.clock import Clock

log = structlog.get_logger()

PAGE = 1_000
"""Removed in one transaction: milliseconds, so that nobody waits for its locks."""

PAGES_MAX = 1_000
"""Removed in one run: a million checks and as many QRs' callbacks; what is left goes with the next run."""

ANSWERS_KEPT = timedelta(days=7)
"""Nobody repeats a request for longer: a QR that was answered has expired by then."""


def housekeep(history: History, *, days: int) -> Removed:
    """Remove checks, and callbacks of which the last came, more than `days` ago; return how many.

    Page by page, each committed by itself: killed anywhere, run twice or by several at once, the same is gone in the
    end.

    Raises:
        PoolTimeout, psycopg.Error: PostgreSQL is away; the next run goes on where this one ended.

    """
    checks = callbacks = 0
    for _ in range(PAGES_MAX):
        removed = history.remove_older(days=days, page=PAGE)
        checks += removed.checks
        callbacks += removed.callbacks
        if removed.checks < PAGE and removed.callbacks < PAGE:
            break
    if checks or callbacks:
        log.info("history.removed", checks=checks, callbacks=callbacks, older_than_days=days)
    return Removed(checks=checks, callbacks=callbacks)


def remove_notifications(notifications: Notifications, *, days: int) -> int:
    """Remove notifications that were delivered, or left unsent, more than `days` ago; return how many.

    What nobody has tried for days is left unsent first: where nobody is to be told, nobody else does that.

    Raises:
        PoolTimeout, psycopg.Error: PostgreSQL is away; the next run goes on where this one ended.

    """
    for _ in range(PAGES_MAX):
        if notifications.leave_unsent(page=PAGE) < PAGE:
            break
    return notifications.remove_older(days=days, page=PAGE)


def forget_answers(keys: IdempotencyKeys, *, clock: Clock) -> int:
    """Forget what was answered to callers' keys more than `ANSWERS_KEPT` ago; return how many.

    Raises:
        PoolTimeout, psycopg.Error: PostgreSQL is away; the next run forgets them.

    """
    return keys.forget_answers(earlier=clock() - ANSWERS_KEPT)
