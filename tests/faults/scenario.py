"""What a scenario is: a fault, how it is made, and what the oracle allows for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.faults.oracle import Budget
from tests.faults.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One fault. `number` is its number in the list of faults that the design names."""

    number: int
    title: str
    play: Callable[[Stage], None]
    within_s: float
    """I6: how long a payment may take once a callback of it was taken and nothing is wrong any more."""
    budget: Budget
    """I8: how often the gateway may be asked."""
    quick: bool = False
    """Belongs to the selection that `make test-slow` runs."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Settings that differ from the defaults."""
    haste: str | None = None
    """By how much the waits of our processes are shorter, in the words of `hasty.py`: then a second stands for more."""
    own_clock: bool = False
    """Plays with a clock that can be set."""
    older_worker: bool = False
    """Begins with a database and a worker of the version before the last migration."""
    tells: bool = False
    """Has an application that is to be told; it is not there before the scenario starts it."""
    small_disk: bool = False
    """Plays on a disk that can be filled."""
    may_ask: bool = False
    """Gives cause for questions to a person."""


class ImpossibleHereError(Exception):
    """This machine does not let a scenario be played. The message says why."""
