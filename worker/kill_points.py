"""Kill points: where a worker under test dies or stops, as if by accident. Without the setting they do not exist.

They are put around what the worker is made of, so the code that handles money has no trace of them.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from adapters.postgres.check_requests import CheckRequests, ClaimedCheck
from adapters.postgres.connection import Pool
from adapters.postgres.ledger import Appended, Ledger
from adapters.postgres.recorded import About, Seen
from domain.reconciler import Decision
from domain.recorded import Recorded
from worker.settings import CommonSettings, KillSettings, SettingsError, TootsooEnv, load
from worker.settle import Settled

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
"""What may happen at a kill point: the end, or a sleep until SIGCONT."""


class KillPoint(StrEnum):
    """Where in the way of a check."""

    BEFORE_CHECK = "before_check"
    """Claimed; the gateway has not been asked."""
    AFTER_ANSWER = "after_answer"
    """The gateway has answered; nothing is decided."""
    BEFORE_COMMIT = "before_commit"
    """Decided; nothing is written."""
    AFTER_COMMIT = "after_commit"
    """Written; nobody has been rung for what was asked meanwhile."""
    BEFORE_ACK = "before_ack"
    """Done, but for telling Redis so."""


@dataclass(slots=True)
class Accident:
    """What happens, and where; it happens once."""

    point: KillPoint
    signal: signal.Signals
    _ahead: bool = field(default=True, init=False)

    def reach(self, point: KillPoint) -> None:
        """Let it happen to this process if it is to happen here."""
        if point is self.point and self._ahead:
            self._ahead = False
            os.kill(os.getpid(), self.signal)


def load_accident() -> Accident | None:
    """Return the accident that KILL_POINT asks for; None when it is not set.

    Raises:
        SettingsError: KILL_POINT is wrong, or is set in production.

    """
    text = load(KillSettings).kill_point
    if text is None:
        return None
    if load(CommonSettings).tootsoo_env is TootsooEnv.PRODUCTION:
        raise SettingsError("KILL_POINT is refused with TOOTSOO_ENV=production: it kills the worker")
    how, _, where = text.partition(":")
    if how not in SIGNALS or where not in set(KillPoint):
        raise SettingsError(
            f"KILL_POINT is wrong: it should be {' or '.join(SIGNALS)}, a colon, and one of {', '.join(KillPoint)}"
        )
    return Accident(KillPoint(where), SIGNALS[how])


class FatalCheckRequests(CheckRequests):
    """Check requests whose claim may be the last thing that a worker does."""

    def __init__(self, pool: Pool, *, accident: Accident, **timing: Any) -> None:
        super().__init__(pool, **timing)
        self._accident = accident

    def claim(self, gateway_invoice_id: UUID, *, lease_token: UUID) -> ClaimedCheck | None:
        """Claim, and have the accident."""
        claimed = super().claim(gateway_invoice_id, lease_token=lease_token)
        if claimed is not None:
            self._accident.reach(KillPoint.BEFORE_CHECK)
        return claimed


class FatalLedger(Ledger):
    """A ledger in which a worker may die."""

    def __init__(self, pool: Pool, *, accident: Accident, **hooks: Any) -> None:
        super().__init__(pool, **hooks)
        self._accident = accident

    def append(
        self,
        about: About,
        decide: Callable[[Recorded], Decision],
        *,
        recorded_at: datetime,
        guess: Seen | None = None,
        **more: Any,
    ) -> Appended:
        """Append, and have the accident before, during or after it."""

        def decided(recorded: Recorded) -> Decision:
            decision = decide(recorded)
            self._accident.reach(KillPoint.BEFORE_COMMIT)
            return decision

        self._accident.reach(KillPoint.AFTER_ANSWER)
        appended = super().append(about, decided, recorded_at=recorded_at, guess=guess, **more)
        self._accident.reach(KillPoint.AFTER_COMMIT)
        return appended


def fatal_settle(settle: Callable[[UUID], Settled], *, accident: Accident) -> Callable[[UUID], Settled]:
    """Return a settle after whose check the worker may die before Redis hears of it."""

    def settle_fatally(gateway_invoice_id: UUID) -> Settled:
        settled = settle(gateway_invoice_id)
        if settled is Settled.CHECKED:
            accident.reach(KillPoint.BEFORE_ACK)
        return settled

    return settle_fatally
