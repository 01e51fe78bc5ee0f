"""Housekeeping: remove history that is old enough. Events are no history: they are never removed."""

import structlog

from adapters.postgres.history import History, Removed

log = structlog.get_logger()

PAGE = 1_000
"""Removed in one transaction: milliseconds, so that nobody waits for its locks."""

PAGES_MAX = 1_000
"""Removed in one run: a million checks and as many QRs' callbacks; what is left goes with the next run."""


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
