"""Discover: find the payments that nobody announced, at each gateway in the way that it allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from domain.gateway import PaymentGateway
from worker.follow import Follow, Steps
from worker.sweep import Sweep, Swept, Tell

log = structlog.get_logger()


class DiscoveryUnfinishedError(Exception):
    """A gateway could not be asked to the end; it is tried again. The message says which, why, and what was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """What discovery came to at one gateway that lists payments."""

    swept: Swept
    steps: Steps

    @property
    def failed(self) -> str | None:
        """Why it did not come to its end."""
        if self.swept.failed or self.steps.failed:
            return self.swept.failed or self.steps.failed
        if self.steps.broken:
            return f"{self.steps.broken} payments could not be followed: see the log"
        if self.steps.not_told:
            return f"{self.steps.not_told} payments could not be looked up: see the log"
        return None


class Discover:
    """Sweeps the lists of gateways that have one. Killed anywhere, or run by several at once, all is found once."""

    def __init__(self, *, gateways: Mapping[str, PaymentGateway], sweep: Sweep, follow: Follow) -> None:
        self._gateways = [gateway for gateway in gateways.values() if gateway.capabilities.lists]
        self._sweep = sweep
        self._follow = follow

    def __call__(self, tell: Tell = lambda *_: None) -> list[Discovered]:
        """Read what is due of each list, and take the next step with all that was found there.

        One gateway's troubles keep no other from being swept.
        """
        return [self._at(gateway, tell=tell) for gateway in self._gateways]

    def _at(self, gateway: PaymentGateway, *, tell: Tell) -> Discovered:
        swept = self._sweep(gateway, tell=tell)
        steps = self._follow(gateway, may_ask=not swept.stopped)
        log.info(
            "discovery.ended",
            gateway=gateway.name,
            questions=swept.questions,
            pages=swept.pages,
            new=swept.new,
            rung=steps.rung,
            looked_up=steps.looked_up,
            filed=steps.filed,
            failed=swept.failed or steps.failed,
        )
        return Discovered(swept=swept, steps=steps)


def discover_once(discover: Discover) -> str:
    """Run, and say what it came to.

    Raises:
        DiscoveryUnfinishedError: a gateway could not be asked to the end.

    """
    discovered = discover()
    said = in_words(discovered)
    if any(one.failed for one in discovered):
        raise DiscoveryUnfinishedError(said)
    return said


def in_words(discovered: Sequence[Discovered]) -> str:
    """Say what discovery came to, for people."""
    return "; ".join(map(_in_words, discovered)) or "no gateway lists its payments"


def _in_words(one: Discovered) -> str:
    swept, steps = one.swept, one.steps
    parts = [f"{swept.questions} windows asked for, {swept.unchanged} unchanged", f"{swept.new} payments found"]
    counted = {
        "checks asked for": steps.rung,
        "looked up": steps.looked_up,
        "filed in suspense": steps.filed,
        "ignored": steps.ignored,
        "waiting": steps.waiting,
        "rows that cannot be read": swept.unreadable,
        "windows that could not be read": swept.unread,
        "windows left to the next time": swept.left,
    }
    parts += [f"{count} {what}" for what, count in counted.items() if count]
    if one.failed:
        parts.append(f"{'stopped' if swept.stopped or steps.failed else 'failed'}: {one.failed}")
    return f"{swept.gateway}: {', '.join(parts)}"
