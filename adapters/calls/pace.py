"""How fast a gateway may be asked: one limit for the requests of all processes, where the merchant has set one."""

import math

import anyio

from adapters.calls.limits import PACE_WAIT_MAX_S, CallLimits
from adapters.calls.shared import Shared
from domain.gateway import GatewayHeldBackError

# The generic cell rate algorithm, in microseconds of Redis's clock: the key holds when the next request is due if all
# came evenly. Up to a second's worth may come at once. A turn that would be too far off is not taken. So none is due
# later than that, unless Redis's clock was put back meanwhile.
_TURN = """
local time = redis.call('time')
local now = time[1] * 1000000 + time[2]
local interval, early, wait_max = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local due = math.max(tonumber(redis.call('get', KEYS[1]) or '0'), now)
if due > now + tonumber(ARGV[4]) + early + interval then due = now end
local wait = math.max(0, due - now - early)
if wait > wait_max then return {0, math.ceil(wait)} end
redis.call('set', KEYS[1], string.format('%d', due + interval), 'px', math.ceil((due + interval - now) / 1000) + 1000)
return {1, math.ceil(wait)}
"""


class Pace:
    """Gives each request its turn. Without a limit it costs nothing; with one, an exchange with Redis."""

    def __init__(self, shared: Shared, *, limits: CallLimits) -> None:
        self._shared = shared
        self._calls_per_s = limits.calls_per_s

    async def turn(self) -> None:
        """Wait until the next request may be sent. Must run under a deadline, of which it takes at most a half.

        Raises:
            GatewayHeldBackError: that would take too long.

        """
        if self._calls_per_s is None:
            return
        left_s = anyio.current_effective_deadline() - anyio.current_time()
        wait_max_us = round(min(PACE_WAIT_MAX_S, left_s / 2) * 1_000_000)
        interval_us = math.ceil(1_000_000 / self._calls_per_s)
        taken, wait_us = await self._shared.run(
            _TURN,
            keys=[self._shared.key("pace")],
            args=[interval_us, max(0, 1_000_000 - interval_us), wait_max_us, round(PACE_WAIT_MAX_S * 1_000_000)],
        )
        if not taken:
            message = f"{self._shared.counterpart.title} is asked {self._calls_per_s:g} times a second already"
            raise GatewayHeldBackError(message, retry_after_s=wait_us / 1_000_000)
        await anyio.sleep(wait_us / 1_000_000)
