"""Clock: how far this machine, PostgreSQL and a gateway are apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.doctor.finding import About, Finding

CLOCK = About("clock")

APART_S = 5.0
"""More than any network takes: a clock that nobody sets."""

FAR_APART_S = 60.0
"""As much as a token's end is kept away from: beyond it calls meet dead tokens, and times on events are wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What another clock said, between two looks at this machine's. Times are UTC."""

    before: datetime
    theirs: datetime
    after: datetime
    coarse: timedelta = timedelta(0)
    """How much it cuts off: HTTP's dates are in whole seconds."""

    @property
    def apart_s(self) -> float:
        """How far it is certainly ahead of this machine's (over 0) or behind it (under 0)."""
        ahead = (self.theirs - self.after).total_seconds()
        behind = (self.theirs + self.coarse - self.before).total_seconds()
        return ahead if ahead > 0 else min(behind, 0.0)


def judge_clock(whose: str, reading: Reading | None) -> Finding:
    """Judge one clock; without a reading it told no time."""
    if reading is None:
        return CLOCK.untested(f"{whose} tells no time")
    apart_s = reading.apart_s
    if abs(apart_s) < APART_S:
        return CLOCK.ok(f"this machine and {whose} agree to within {APART_S:g} s")
    says = f"this machine is {abs(apart_s):,.0f} s {'behind' if apart_s > 0 else 'ahead of'} {whose}"
    action = "Have every machine's clock set by NTP (timedatectl set-ntp true), and see which one is wrong."
    return CLOCK.failure(says, action) if abs(apart_s) >= FAR_APART_S else CLOCK.warning(says, action)


def judge_clocks(readings: Iterator[tuple[str, Reading | None]]) -> Iterator[Finding]:
    """Judge several."""
    for whose, reading in readings:
        yield judge_clock(whose, reading)
