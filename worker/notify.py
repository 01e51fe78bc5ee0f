"""Notify: tell the merchant's application what was staged, in order for each invoice, until it has it."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Protocol, assert_never
from uuid import uuid4

import structlog
from standardwebhooks import Webhook

from adapters.postgres.notifications import Claimed, Notifications, Staged
from domain.delivery import Delivered, Lane, Park, Reply, TooLateError, TryAgain, Verdict, judge
from worker.clock import Clock
from worker.notification_json import message_id, notification_out

log = structlog.get_logger()

IN_A_ROW_MAX = 50
"""So many of one invoice are told at one waking; the others are rung for, so that no invoice keeps a thread."""


class Post(Protocol):
    """Sends to the application."""

    def __call__(self, body: bytes, /, *, headers: dict[str, str], until_s: float) -> Reply:
        """Send it, at the latest until a time of `time.monotonic()`; TooLateError when that had come before."""


class Notify:
    """Delivers what is due in a lane. No transaction is open while the application is called."""

    def __init__(
        self,
        *,
        notifications: Notifications,
        post: Post,
        secrets: Sequence[str],
        timeout_s: float,
        clock: Clock,
        told: Callable[[Staged, Verdict, float], None] = lambda *_: None,
    ) -> None:
        """`secrets` all sign; `told` hears of each try, what became of it, and how many seconds it took."""
        self._notifications = notifications
        self._post = post
        self._signers = [Webhook(secret) for secret in secrets]
        self._timeout_s = timeout_s
        self._clock = clock
        self._told = told

    def __call__(self, lane: Lane) -> int:
        """Deliver what is due in the lane, one after the other until one fails, and return how many were delivered.

        Killed anywhere, the lease runs out and the same is sent again, under the same id: at least once. What its
        holder could send so late that another may have begun is not sent.

        Raises:
            Exception: whatever broke our part of it; the lease runs out and it is tried again.

        """
        for delivered in range(IN_A_ROW_MAX):
            until_s = time.monotonic() + self._timeout_s  # before the claim: so it ends before the lease does
            claimed = self._notifications.claim(lane, lease_token=uuid4())
            if claimed is None or not self._deliver(claimed, until_s=until_s):
                return delivered
            if lane.invoice_id is None:
                return 1
        return IN_A_ROW_MAX

    def _deliver(self, claimed: Claimed, *, until_s: float) -> bool:
        staged = claimed.staged
        with structlog.contextvars.bound_contextvars(
            notification=staged.id, type=staged.type.value, invoice=staged.invoice_id, sequence=staged.sequence
        ):
            body = notification_out(staged).model_dump_json(by_alias=True)
            begun_s = time.monotonic()
            try:
                reply = self._post(body.encode(), headers=self._headers(staged, body), until_s=until_s)
            except TooLateError:
                self._notifications.release(claimed)
                log.warning("notify.too_late", consequence="nothing was sent; it is due again")
                return False
            verdict = judge(
                reply,
                attempts=claimed.attempts,
                tried_for_s=claimed.tried_for_s,
                chance=random.random(),  # noqa: S311 - spreads load, guards nothing
            )
            self._write(claimed, reply, verdict)
            self._told(staged, verdict, time.monotonic() - begun_s)
            return isinstance(verdict, Delivered)

    def _headers(self, staged: Staged, body: str) -> dict[str, str]:
        name, now = message_id(staged), self._clock()
        return {
            "Content-Type": "application/json",
            "User-Agent": "tootsoo",
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(name, now, body) for signer in self._signers),
        }

    def _write(self, claimed: Claimed, reply: Reply, verdict: Verdict) -> None:
        # The application's words are kept for people who ask, and are in no log: they may hold anything.
        attempt, status = claimed.attempts, reply.status
        match verdict:
            case Delivered():
                written = self._notifications.delivered(claimed, reply)
                log.info("notify.delivered", attempt=attempt, status=status)
            case Park():
                written = self._notifications.park(claimed, reply)
                log.error("notify.parked", attempt=attempt, status=status)
            case TryAgain(delay_s=delay_s, pause_s=pause_s):
                written = self._notifications.try_again(claimed, reply, delay_s=delay_s)
                if pause_s:
                    self._notifications.pause(pause_s)
                log.warning(
                    "notify.failed", attempt=attempt, status=status, reason=_ours(reply), retry_in_s=round(delay_s)
                )
            case _:
                assert_never(verdict)
        if not written:
            log.warning("notify.late", consequence="another worker has begun it since, and may send it again")


def _ours(reply: Reply) -> str | None:
    return reply.reason if reply.status is None else None
