"""The circuit breaker of one merchant's calls, shared by all processes: who may ask a gateway that does not answer."""

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from uuid import uuid4

import structlog

from adapters.calls.limits import CallLimits
from adapters.calls.shared import Shared
from domain.gateway import (
    GatewayBusyError,
    GatewayError,
    GatewayHeldBackError,
    GatewayOutcomeUnknownError,
)

PROBING_WAIT_S = 1.0
"""Counts what is waited for while somebody else's probe is under way: most answers come sooner."""

PROBE_MARGIN_S = 3.0
"""Counts what a probe is given beyond the longest call, to be told of; afterwards its process is taken for dead."""

_TRIPPED_KEPT = 10
"""How many of the longest pauses a trip is remembered without anybody calling; then it is forgotten."""

# "open" exists during a pause; "tripped" holds how many probes have failed and outlives it; "probe" holds who probes.
# Redis counts what is left of a key by the clock on its wall: where that was put back, a pause would be as much longer.
_ADMIT = """
local left, longest = redis.call('pttl', KEYS[1]), tonumber(ARGV[4])
if left > longest then
  redis.call('pexpire', KEYS[1], longest)
  left = longest
end
if left > 0 then return {'held', left} end
if redis.call('exists', KEYS[2]) == 1 then
  if redis.call('set', KEYS[3], ARGV[1], 'nx', 'px', ARGV[2]) then return {'probe', 0} end
  if redis.call('pttl', KEYS[3]) > tonumber(ARGV[2]) then redis.call('pexpire', KEYS[3], ARGV[2]) end
  return {'held', tonumber(ARGV[3])}
end
return {'go', tonumber(redis.call('get', KEYS[4]) or '0')}
"""
_FAILED = """
if redis.call('exists', KEYS[2]) == 1 then return 0 end
local failures = redis.call('incr', KEYS[4])
redis.call('pexpire', KEYS[4], ARGV[2])
if failures < tonumber(ARGV[1]) then return 0 end
redis.call('set', KEYS[1], '1', 'px', ARGV[3])
redis.call('set', KEYS[2], '0', 'px', ARGV[4])
redis.call('del', KEYS[4])
return tonumber(ARGV[3])
"""
_PROBE_FAILED = """
if redis.call('get', KEYS[3]) ~= ARGV[1] then return 0 end
local failed = tonumber(redis.call('get', KEYS[2]) or '0') + 1
local pause = math.min(tonumber(ARGV[2]) * 2 ^ math.min(failed, 30), tonumber(ARGV[3]))
pause = math.floor(math.max(pause, tonumber(ARGV[4])))
redis.call('set', KEYS[1], '1', 'px', pause)
redis.call('set', KEYS[2], failed, 'px', ARGV[5])
redis.call('del', KEYS[3])
return pause
"""
_PROBE_ANSWERED = """
if redis.call('get', KEYS[3]) ~= ARGV[1] then return 0 end
redis.call('del', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
return 1
"""
_LEAVE = "if redis.call('get', KEYS[3]) == ARGV[1] then return redis.call('del', KEYS[3]) end return 0"
_ANSWERED = "return redis.call('del', KEYS[4])"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """That a call may be made, and what its outcome will mean."""

    probe: str | None
    """Who probes, when this call is to find out whether the gateway is back."""
    failures: int
    """How many calls in a row had failed before."""


class _Verdict(StrEnum):
    """What a call's outcome says about the gateway, whatever it says about the call."""

    UP = "up"
    DOWN = "down"
    NOTHING = "nothing"


class Breaker:
    """Lets calls through while the gateway answers, and one at a time, ever more seldom, while it does not.

    After `breaker_failures` failures in a row, over all processes, nobody calls for `breaker_open_s`. Then exactly one
    call is the probe: when it is answered everybody calls again, when it fails the pause doubles. A refusal is an
    answer. Redis forgetting everything costs `breaker_failures` calls. Without Redis nothing is called at all: that is
    the breaker for that case.
    """

    def __init__(self, shared: Shared, *, limits: CallLimits) -> None:
        self._shared = shared
        self._limits = limits
        self._gateway = shared.counterpart
        self._keys = [shared.key(name) for name in ("open", "tripped", "probe", "failures")]

    async def admit(self) -> Admission:
        """Let a call be made, or not.

        Raises:
            GatewayHeldBackError: not now; `retry_after_s` says when to ask again.

        """
        owner = uuid4().hex
        probe_ms = _ms(self._limits.longest_call_s + PROBE_MARGIN_S)
        longest_ms = _ms(max(self._limits.breaker_open_s, self._limits.breaker_open_max_s))
        waits_ms = [probe_ms, _ms(PROBING_WAIT_S), longest_ms]
        says, number = await self._shared.run(_ADMIT, keys=self._keys, args=[owner, *waits_ms])
        if says == "held":
            message = f"{self._gateway.title} does not answer, and is left alone for now"
            raise GatewayHeldBackError(message, retry_after_s=number / 1000)
        if says == "probe":
            log.info("gateway.probe", gateway=self._gateway.name)
            return Admission(probe=owner, failures=0)
        return Admission(probe=None, failures=number)

    async def note(self, admission: Admission, error: BaseException | None) -> None:
        """Remember how a call that was admitted ended; never raises, what Redis does not take is not remembered."""
        verdict = _judge(error)
        with suppress(GatewayHeldBackError):
            if admission.probe is not None:
                await self._note_probe(admission.probe, verdict, error)
            elif verdict is _Verdict.DOWN:
                await self._note_failure(error)
            elif verdict is _Verdict.UP and admission.failures:
                await self._shared.run(_ANSWERED, keys=self._keys)

    async def _note_failure(self, error: BaseException | None) -> None:
        limits = self._limits
        pause_ms = max(_ms(limits.breaker_open_s), self._asked_ms(error))
        args = [limits.breaker_failures, _ms(limits.breaker_window_s), pause_ms, self._kept_ms]
        if await self._shared.run(_FAILED, keys=self._keys, args=args):
            log.error(
                "gateway.breaker_opened",
                gateway=self._gateway.name,
                failures=limits.breaker_failures,
                pause_s=pause_ms / 1000,
            )

    async def _note_probe(self, owner: str, verdict: _Verdict, error: BaseException | None) -> None:
        if verdict is _Verdict.UP:
            if await self._shared.run(_PROBE_ANSWERED, keys=self._keys, args=[owner]):
                log.info("gateway.breaker_closed", gateway=self._gateway.name)
        elif verdict is _Verdict.DOWN:
            limits = self._limits
            pauses = [_ms(limits.breaker_open_s), _ms(limits.breaker_open_max_s), self._asked_ms(error)]
            pause_ms = await self._shared.run(_PROBE_FAILED, keys=self._keys, args=[owner, *pauses, self._kept_ms])
            log.warning("gateway.probe_failed", gateway=self._gateway.name, pause_s=pause_ms / 1000)
        else:
            await self._shared.run(_LEAVE, keys=self._keys, args=[owner])

    def _asked_ms(self, error: BaseException | None) -> int:
        """Return what the gateway asks to be left alone for, at most the longest pause: it may have sent nonsense."""
        asked_s = getattr(error, "retry_after_s", None) or 0.0
        return _ms(min(asked_s, self._limits.breaker_open_max_s))

    @property
    def _kept_ms(self) -> int:
        return _ms(_TRIPPED_KEPT * self._limits.breaker_open_max_s)


def _judge(error: BaseException | None) -> _Verdict:
    """Tell what an outcome says: no answer, a 5xx, a 429 and nonsense are down; a refusal is an answer."""
    match error:
        case GatewayHeldBackError():
            return _Verdict.NOTHING
        case GatewayBusyError() | GatewayOutcomeUnknownError():
            return _Verdict.DOWN
        case None | GatewayError():
            return _Verdict.UP
        case _:
            return _Verdict.NOTHING


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
