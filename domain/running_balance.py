"""Whether a statement's balances add up, line after line, whichever end it begins with."""

from dataclasses import dataclass, field
from decimal import Decimal

from domain.statement import Direction, StatementLine

BREAKS_TOLD = 20
"""Where more do not add up, more numbers help nobody."""


@dataclass(slots=True)
class RunningBalance:
    """Follows the lines of one file as they come; memory does not grow with them.

    Statements are printed oldest or newest line first: of the two ways in which balances could add up the one counts
    that breaks less often. A line without a balance, or one that could not be read, ends what can be compared.
    """

    _before: StatementLine | None = None
    _breaks: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    _counts: list[int] = field(default_factory=lambda: [0, 0])

    def follow(self, line: StatementLine) -> None:
        """Take the next line in."""
        before, self._before = self._before, line
        if before is None or before.balance is None or line.balance is None:
            return
        if (before.account, before.balance.currency) != (line.account, line.balance.currency):
            return
        oldest_first = before.balance.amount + _signed(line) == line.balance.amount
        newest_first = line.balance.amount + _signed(before) == before.balance.amount
        for way, adds_up in enumerate((oldest_first, newest_first)):
            if not adds_up:
                self._counts[way] += 1
                if len(self._breaks[way]) < BREAKS_TOLD:
                    self._breaks[way].append(line.number)

    def interrupt(self) -> None:
        """Forget the line before: one that cannot be read stands between it and the next."""
        self._before = None

    @property
    def breaks(self) -> int:
        """How often a balance is not the one before and the amount."""
        return min(self._counts)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The lines at which it was so; the first `BREAKS_TOLD`."""
        return tuple(self._breaks[self._counts.index(min(self._counts))])


def _signed(line: StatementLine) -> Decimal:
    return line.amount.amount if line.direction is Direction.CREDIT else -line.amount.amount
