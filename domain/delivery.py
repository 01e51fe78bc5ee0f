"""Delivery: when a notification is tried, tried again and given up, by what the merchant's application answers."""

from dataclasses import dataclass
from http import HTTPStatus

from domain.check_request import retry_delay_s

RETRY_BASE_S = 5.0
RETRY_MAX_S = 1_800.0
"""The wait doubles from the first to the second. So what failed during an outage comes within half an hour of its end,
and sooner after a short one."""

GIVE_UP_AFTER_S = 3 * 86_400.0
"""So long after its first try a notification that still fails is parked; so long without any it is left unsent."""

RETRY_AFTER_MAX_S = 3_600.0
"""No longer than this is waited because an application asked for it."""

LEASE_MARGIN_S = 5.0
"""How much longer than a delivery may take it belongs to its holder: to write down how it ended."""


class TooLateError(Exception):
    """The time of a delivery was over before anything was sent; nothing was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What is told in order: the notifications of one invoice, or one that is of no invoice."""

    invoice_id: str | None = None
    notification_id: int | None = None

    def __str__(self) -> str:
        return f"invoice {self.invoice_id}" if self.invoice_id is not None else f"notification {self.notification_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of telling the application."""

    status: int | None
    """The HTTP status; None where no answer came."""
    reason: str
    """For people: without secrets, one line."""
    retry_after_s: float | None = None
    """What the application asked for."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The application has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TryAgain:
    """Later."""

    delay_s: float
    pause_s: float | None = None
    """Nothing else is delivered for so long either: the application asked for it."""


@dataclass(frozen=True, slots=True)
class Park:
    """Not again until a person says so."""


Verdict = Delivered | TryAgain | Park


def judge(reply: Reply, *, attempts: int, tried_for_s: float, chance: float) -> Verdict:
    """Say what becomes of a notification after its `attempts`-th try (1, 2, …) ended with this reply.

    Any 2xx is delivered. 410 says that nobody will ever take it. Everything else may pass: also a 4xx, which is often a
    mistake that the application's next version mends. `tried_for_s` counts from the first try; `chance` is in [0, 1).
    """
    status = reply.status
    if status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Delivered()
    if status == HTTPStatus.GONE or tried_for_s >= GIVE_UP_AFTER_S:
        return Park()
    asked_s = None if reply.retry_after_s is None else min(reply.retry_after_s, RETRY_AFTER_MAX_S)
    slow_down = status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    delay_s = retry_delay_s(
        attempts, base_s=RETRY_BASE_S, max_s=RETRY_MAX_S, chance=chance, retry_after_s=asked_s if slow_down else None
    )
    return TryAgain(delay_s=delay_s, pause_s=asked_s if slow_down else None)
