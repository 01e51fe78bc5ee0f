"""Seal: chain committed events to the seals before them, as soon as nothing below them is still to be committed."""

from datetime import timedelta

import structlog

from adapters.postgres.horizon import Horizon, Horizons
from adapters.postgres.seals import Head, LostHeadError, Seals
from domain.seal import SealKey
from worker.clock import Clock
from worker.settings import SealSettings

log = structlog.get_logger()

PAGE = 1_000
"""Sealed in one transaction: milliseconds, well within the statements' limit."""

PAGES = 20
"""Sealed in one tick at most: a backlog is caught up with at 20,000 events a tick and does not hold up the process."""

WARN_AFTER_TICKS = 6
"""Ticks without a seal because of one writer; then an open transaction on the events is worth a look."""


LATE_AFTER = timedelta(minutes=15)
"""From an event's record to its seal: a restart, a backlog and a difference of clocks take less."""

LATE_AFTER_PERIODS = 3
"""An event waits for the next tick, and for one more while somebody writes."""


class Seal:
    """The scheduler's job. It remembers from tick to tick whom it waits for, and the newest seal that it has seen.

    That seal it holds against the table before it seals on: whoever removed or changed it would have the sealer itself
    seal anew what was changed. It says so at each tick and seals nothing until it is started again.
    """

    def __init__(self, *, seals: Seals, horizons: Horizons, key: SealKey, clock: Clock) -> None:
        self._seals = seals
        self._horizons = horizons
        self._key = key
        self._clock = clock
        self._awaited: Horizon | None = None
        self._ticks = 0
        self._known: Head | None = None

    def __call__(self) -> int:
        """Seal what may be sealed by now and return how much that was.

        An event takes its position before it is committed, so a lower one can be committed later. What is committed is
        sealed only once everybody who was writing at that moment has ended; until then a tick seals nothing new.

        Raises:
            PoolTimeout, psycopg.Error: PostgreSQL is away; the next tick goes on where this one ended.

        """
        position = self._safe_position()
        if position is None:
            return 0
        try:
            sealed = self._seal_up_to(position)
        except LostHeadError as lost:
            _tell_of_a_lost(lost.known)
            return 0
        passed_over = self._seals.passed_over()
        if passed_over is not None:
            log.error(
                "seal.passed_over",
                position=passed_over,
                reason="it stands below the newest seal and has none: something was put into the database far ahead",
                action="tootsoo verify --seals",
            )
        return sealed

    def _seal_up_to(self, position: int) -> int:
        sealed = 0
        for _ in range(PAGES):
            done = self._seals.seal_up_to(
                position, key=self._key, sealed_at=self._clock(), page=PAGE, known=self._known
            )
            self._known = done.head or self._known
            if not done.seals:
                break
            sealed += len(done.seals)
            head = done.seals[-1]
            log.info(
                "events.sealed", count=len(done.seals), position=head.position, total=head.number, seal=head.seal.hex()
            )
        return sealed

    def _safe_position(self) -> int | None:
        horizon = self._awaited or self._horizons.read()
        if self._horizons.any_writes(horizon):
            self._awaited = horizon
            self._ticks += 1
            if self._ticks % WARN_AFTER_TICKS == 0:
                log.warning("seal.waits", ticks=self._ticks, reason="a transaction that writes events does not end")
            return None
        self._awaited, self._ticks = None, 0
        return horizon.position


def _tell_of_a_lost(head: Head) -> None:
    log.error(
        "seal.refused",
        expect_head=f"{head.position}:{head.seal.hex()}",
        reason="the newest seal was removed or changed in the database; sealing on would hide that",
        action="tootsoo verify --seals --expect-head with this one; a scheduler that is started anew seals on",
    )


def seal_keys(settings: SealSettings) -> list[SealKey]:
    """Return the keys of SEAL_SECRET: the first seals, all of them verify; none when it is not set."""
    return [SealKey.of(secret.get_secret_value()) for secret in settings.seal_secret]


def late_after(settings: SealSettings) -> timedelta:
    """Return from when on a seal is later than a sealer that runs would have made it."""
    return max(LATE_AFTER, LATE_AFTER_PERIODS * timedelta(seconds=settings.seal_every_s))
