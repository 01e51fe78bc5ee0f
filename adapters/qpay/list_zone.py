"""In which time zone QPay reads the window of `payment/list`: nobody has written it down, so it is found out."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters.calls.shared import Shared
from domain.gateway import GatewayHeldBackError

WIDE = timedelta(days=1)
"""The margin while the zone is unknown: more than any zone is away from UTC."""

NEAR = timedelta(minutes=10)
"""What is listed so near to where it was looked for is listed by that clock: its time in the list need not be quite the
one that it is listed by."""

CANDIDATES = (timedelta(0), timedelta(hours=8))
"""UTC, in which QPay's answers are, and Asia/Ulaanbaatar, in which QPay's people are."""

PROBE = timedelta(minutes=1)
"""A window of this on both sides of a known payment's time shows it in one zone only."""

FOUND_OUT_FOR_S = 86_400
"""Counts how long an answer is believed before it is found out anew."""

_NEITHER = "neither"
_READ = "return redis.call('get', KEYS[1])"
_WRITE = "return redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """What is known. `offset` is how far the window's clock is ahead of UTC; None is not known."""

    offset: timedelta | None
    tried: bool
    """Whether it was tried to find out within the last day."""

    def window(self, since: datetime, until: datetime) -> tuple[datetime, datetime]:
        """Return the window to ask for, by QPay's clock, so that nothing of [`since`, `until`) (UTC) is left out."""
        if self.offset is None:
            return since - WIDE, until + WIDE
        return since + self.offset, until + self.offset


class ListZone:
    """What all processes know of the zone. Without Redis nothing is known, and windows are wide."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._keys = [shared.key("list_zone")]

    async def read(self) -> Zone:
        """Return what is known."""
        told = None
        with suppress(GatewayHeldBackError):
            told = await self._shared.run(_READ, keys=self._keys)
        if told is None or told == _NEITHER:
            return Zone(offset=None, tried=told is not None)
        return Zone(offset=timedelta(minutes=int(told)), tried=True)

    async def write(self, offset: timedelta | None) -> None:
        """Keep what was found out; None when neither candidate is it, or the window is not read to the minute."""
        minutes = _NEITHER if offset is None else str(int(offset / timedelta(minutes=1)))
        with suppress(GatewayHeldBackError):
            await self._shared.run(_WRITE, keys=self._keys, args=[minutes, FOUND_OUT_FOR_S * 1000])
