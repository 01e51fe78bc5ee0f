"""Waiting for a condition: never for a while."""

import time
from collections.abc import Callable

BUSY_S = 45.0
"""Slack for a busy machine: what is tested must otherwise hang for longer than this."""


def wait_until(holds: Callable[[], bool], *, within_s: float = 60.0) -> None:
    """Wait for a condition; fail when it does not come to hold."""
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "the condition did not come to hold"
        time.sleep(0.02)  # between two looks, not instead of one
