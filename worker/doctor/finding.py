"""Finding: what the doctor says about one thing, how bad that is, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARNING = "warning"
    """It works, and somebody should know."""
    FAILURE = "failure"
    """Do not take money like this."""
    UNTESTED = "untested"
    """It could not be tested from here, or nothing has happened yet that would show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the list. Holds no secret."""

    check: str
    """What was looked at: a heading of docs/go-live.md."""
    verdict: Verdict
    says: str
    """What was seen, without a full stop at its end."""
    action: str = ""
    """What to do, in one sentence; empty where there is nothing to do."""


@dataclass(frozen=True, slots=True)
class About:
    """Makes the findings of one check."""

    check: str

    def ok(self, says: str) -> Finding:
        """Say that it is as it should be."""
        return Finding(check=self.check, verdict=Verdict.OK, says=says)

    def warning(self, says: str, action: str) -> Finding:
        """Say what somebody should know."""
        return Finding(check=self.check, verdict=Verdict.WARNING, says=says, action=action)

    def failure(self, says: str, action: str) -> Finding:
        """Say what must be mended."""
        return Finding(check=self.check, verdict=Verdict.FAILURE, says=says, action=action)

    def untested(self, says: str, action: str = "") -> Finding:
        """Say what could not be tested, and why."""
        return Finding(check=self.check, verdict=Verdict.UNTESTED, says=says, action=action)

    def fault(self, says: str, action: str, *, live: bool) -> Finding:
        """Say what is wrong where real money is, and only worth knowing elsewhere."""
        return self.failure(says, action) if live else self.warning(says, action)


def is_well(findings: Iterable[Finding]) -> bool:
    """Tell whether nothing among these is a failure."""
    return all(one.verdict is not Verdict.FAILURE for one in findings)
