"""Interleaved rounds: every side takes its turn in each round, so that noise hits all of them."""

import gc
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter

Turn = Callable[[int], float]
"""Does its part of the round of this number, 0 being the warm-up, and returns the figure: a rate or a time."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """The figures of each side, a round at a place, without the warm-up."""

    figures: dict[str, list[float]]

    def median(self, side: str) -> float:
        return median(self.figures[side])

    def ratio(self, side: str, other: str) -> float:
        """The median of the rounds' own ratios: what slows a whole round down cancels out."""
        return median(self.ratios(side, other))

    def ratios(self, side: str, other: str) -> list[float]:
        return [one / two for one, two in zip(self.figures[side], self.figures[other], strict=True)]


def interleave(sides: Mapping[str, Turn], *, rounds: int) -> Rounds:
    """Run `rounds` rounds, ABAB…, after one that does not count."""
    figures: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds + 1):
        for side, turn in sides.items():
            gc.collect()
            figure = turn(number)
            if number > 0:
                figures[side].append(figure)
        say(".", end="")
    say("")
    return Rounds(figures)


def seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def say(text: str, *, end: str = "\n") -> None:
    """Tell on stderr what is running: it takes minutes."""
    sys.stderr.write(text + end)
    sys.stderr.flush()
