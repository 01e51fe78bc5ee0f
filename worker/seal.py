"""Seal: chain committed events to the seals before them, as soon as nothing below them is still to be committed."""

import structlog

from adapters.postgres.seals import Horizon, Seals
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


class Seal:
    """The scheduler's job. It remembers from tick to tick whom it waits for, and nothing else."""

    def __init__(self, *, seals: Seals, key: SealKey, clock: Clock) -> None:
        self._seals = seals
        self._key = key
        self._clock = clock
        self._awaited: Horizon | None = None
        self._ticks = 0

    def __call__(self) -> int:
        """Seal what may be sealed by now and return how much that was.

        An event takes its position before it is committed, so a lower one can be committed later. What is committed is
        sealed only once everybody who was writing at that moment has ended; until then a tick seals nothing new.

        Raises:
            PoolTimeout, psycopg.Error: PostgreSQL is away; the next tick goes on where this one ended.

        """
        position = self._safe_position()
        sealed = 0
        if position is None:
            return sealed
        for _ in range(PAGES):
            seals = self._seals.seal_up_to(position, key=self._key, sealed_at=self._clock(), page=PAGE)
            if not seals:
                break
            sealed += len(seals)
            head = seals[-1]
            log.info("events.sealed", count=len(seals), position=head.position, total=head.number, seal=head.seal.hex())
        return sealed

    def _safe_position(self) -> int | None:
        horizon = self._awaited or self._seals.horizon()
        if self._seals.any_writes(horizon):
            self._awaited = horizon
            self._ticks += 1
            if self._ticks % WARN_AFTER_TICKS == 0:
                log.warning("seal.waits", ticks=self._ticks, reason="a transaction that writes events does not end")
            return None
        self._awaited, self._ticks = None, 0
        return horizon.position


def seal_keys(settings: SealSettings) -> list[SealKey]:
    """Return the keys of SEAL_SECRET: the first seals, all of them verify; none when it is not set."""
    return [SealKey.of(secret.get_secret_value()) for secret in settings.seal_secret]
