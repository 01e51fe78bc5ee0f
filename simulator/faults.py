"""How the simulator misbehaves: which fault meets which call, from a seed, so that a run can be had again."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from threading import Lock

EVERY = "*"
"""Stands for every endpoint, or for every kind."""


class Fault(StrEnum):
    """What may happen to a call. Each comes alone."""

    BUSY = "busy"
    """500 SYSTEM_BUSY; nothing was done."""
    BAD_GATEWAY = "badGateway"
    """502 with HTML from a proxy; nothing was done."""
    TOO_MANY = "tooMany"
    """429 with Retry-After; nothing was done."""
    UNAUTHORIZED = "unauthorized"
    """401 although the token lives; nothing was done."""
    LOGGED_OUT = "loggedOut"
    """Somebody else has logged in with the same credentials: the token is dead from now on."""
    LATENCY = "latency"
    """The call is acted upon and answered, later."""
    HANG = "hang"
    """Nothing is done, and nothing is answered."""
    HANG_AFTER = "hangAfter"
    """The call is acted upon and not answered."""
    DRIP = "drip"
    """The answer comes byte by byte."""
    RESET = "reset"
    """The connection is reset; nothing was done."""
    RESET_AFTER = "resetAfter"
    """The call is acted upon and the connection reset."""
    TRUNCATED = "truncated"
    """The answer's JSON breaks off."""
    WRONG_TYPES = "wrongTypes"
    """One value of the answer has another type."""
    NAN = "nan"
    """One number of the answer is NaN, which is no JSON."""
    OVERSIZED = "oversized"
    """The answer is far longer than any is."""
    DUPLICATED_ROWS = "duplicatedRows"
    """One row comes twice."""
    MOVING_ROWS = "movingRows"
    """The rows move on between two pages."""
    STALE = "stale"
    """The newest row is not there yet."""
    UNKNOWN_STATUS = "unknownStatus"
    """A status that nobody has heard of."""
    UNKNOWN_FIELDS = "unknownFields"
    """Fields that nobody has heard of."""


DEFAULT_S = {
    Fault.TOO_MANY: 1.0,
    Fault.LATENCY: 1.0,
    Fault.HANG: 60.0,
    Fault.HANG_AFTER: 60.0,
    Fault.DRIP: 1.0,
}
"""How long, where a fault takes time: until a retry, until the answer, in all, between two bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How likely a fault meets a call of an endpoint. Either may be `*`: every endpoint; all kinds, in equal shares."""

    endpoint: str
    kind: str
    probability: float
    seconds: float | None = None
    """None is the fault's own default."""


@dataclass(slots=True, kw_only=True)
class Drawn:
    """The fault that meets one call. `chance` decides its details; `done` is set once it really happened."""

    kind: Fault
    seconds: float
    chance: Random
    done: bool = False


class Faults:
    """Draws the fate of each call. The n-th call of an endpoint has the same fate in every run with the same seed."""

    def __init__(self, seed: int, *, possible: dict[str, frozenset[Fault]]) -> None:
        self._lock = Lock()
        self._possible = possible
        self._rules: tuple[Rule, ...] = ()
        self._chances: dict[str, dict[Fault, tuple[float, float]]] = {}
        self._injected: dict[str, Counter[str]] = {}
        self._draws: dict[str, Random] = {}
        self.seed = seed

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules as they were set."""
        return self._rules

    def set(self, rules: Iterable[Rule], *, seed: int | None = None) -> None:
        """Replace all rules and begin drawing anew, from this seed or the same as before.

        A rule for one endpoint or one kind goes before one for every. Raises ValueError for an endpoint or a kind that
        there is not, a kind that cannot meet the endpoint, and probabilities of more than 1 together.
        """
        kept = tuple(rules)
        chances = {endpoint: self._chances_of(endpoint, kept) for endpoint in self._possible}
        for rule in kept:
            self._require_possible(rule)
        with self._lock:
            self._rules, self._chances = kept, chances
            self.seed = self.seed if seed is None else seed
            self._draws.clear()
            self._injected.clear()

    def draw(self, endpoint: str) -> Drawn | None:
        """Draw what meets the next call of this endpoint; mostly nothing."""
        chances = self._chances.get(endpoint)
        if not chances:
            return None
        with self._lock:
            draws = self._draws.setdefault(endpoint, Random(f"{self.seed}:{endpoint}"))  # noqa: S311 - no secret
            fate, details = draws.random(), draws.getrandbits(64)
        for kind, (probability, seconds) in chances.items():
            fate -= probability
            if fate < 0:
                return Drawn(kind=kind, seconds=seconds, chance=Random(details))  # noqa: S311 - no secret
        return None

    def note(self, endpoint: str, kind: Fault) -> None:
        """Count a fault that has happened."""
        with self._lock:
            self._injected.setdefault(endpoint, Counter())[kind] += 1

    def injected(self) -> dict[str, dict[str, int]]:
        """Tell how often each fault has happened at each endpoint."""
        with self._lock:
            return {endpoint: dict(counted) for endpoint, counted in self._injected.items()}

    def _chances_of(self, endpoint: str, rules: tuple[Rule, ...]) -> dict[Fault, tuple[float, float]]:
        """Tell how likely each fault is here, and how long it takes; the most particular rule about it decides."""
        chances: dict[Fault, tuple[float, float]] = {}
        for rule in sorted(rules, key=lambda one: (one.endpoint != EVERY, one.kind != EVERY)):
            if rule.endpoint not in {EVERY, endpoint}:
                continue
            possible = [kind for kind in Fault if kind in self._possible[endpoint]]
            met = [kind for kind in possible if rule.kind in {EVERY, kind}]
            for kind in met:
                seconds = DEFAULT_S.get(kind, 0.0) if rule.seconds is None else rule.seconds
                chances[kind] = rule.probability / (len(met) if rule.kind == EVERY else 1), seconds
        if sum(probability for probability, _ in chances.values()) > 1 + 1e-9:
            raise ValueError(f"the faults of {endpoint} are more likely than certain, together")
        return chances

    def _require_possible(self, rule: Rule) -> None:
        if rule.endpoint != EVERY and rule.endpoint not in self._possible:
            raise ValueError(f"no such endpoint: {rule.endpoint}. There are *, {', '.join(self._possible)}")
        if rule.kind != EVERY and rule.kind not in set(Fault):
            raise ValueError(f"no such fault: {rule.kind}. There are *, {', '.join(Fault)}")
        if EVERY not in {rule.endpoint, rule.kind} and rule.kind not in self._possible[rule.endpoint]:
            raise ValueError(f"{rule.kind} cannot meet {rule.endpoint}")
