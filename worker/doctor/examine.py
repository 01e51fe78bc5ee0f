"""Examine: make every check, each bounded in time, so that one that hangs or breaks stops no other."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from worker.doctor.finding import About, Finding, Verdict

LIMIT_S = 10.0
"""How long a check may take unless it says otherwise; each bounds its own waits to less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing to look at."""

    name: str
    look: Callable[[], Iterable[Finding]]
    needs: tuple[str, ...] = ()
    """Checks that must not have failed: without them this one cannot tell anything."""
    limit_s: float = LIMIT_S


def examine(checks: Sequence[Check]) -> list[Finding]:
    """Make all checks and return what they found, in the order of `checks`.

    Those whose needs are known go at once, each in a thread of its own, which does not keep the process from ending.
    All of it takes no longer than the limits along the longest chain of needs, together.
    """
    found: dict[str, list[Finding]] = {}
    waiting = list(checks)
    while waiting:
        ready = [check for check in waiting if not any(_is_pending(need, waiting) for need in check.needs)]
        waiting = [check for check in waiting if check not in ready]
        begun_s = time.monotonic()
        for check, answer in [(check, _begin(check, found)) for check in ready]:
            found[check.name] = _await(check, answer, until_s=begun_s + check.limit_s)
    return [one for check in checks for one in found[check.name]]


def _is_pending(need: str, waiting: Iterable[Check]) -> bool:
    return any(check.name == need for check in waiting)


def _begin(check: Check, found: dict[str, list[Finding]]) -> Future[list[Finding]]:
    answer: Future[list[Finding]] = Future()
    missing = [need for need in check.needs if not _holds(found.get(need, []))]
    if missing:
        answer.set_result([About(check.name).untested(f"nobody can tell: see {' and '.join(missing)}")])
        return answer

    def look() -> None:
        try:
            answer.set_result(list(check.look()))
        except BaseException as error:  # noqa: BLE001 - it is told as a finding
            answer.set_exception(error)

    threading.Thread(target=look, name=f"check-{check.name}", daemon=True).start()
    return answer


def _holds(findings: Sequence[Finding]) -> bool:
    """Tell whether others may build on a check: nothing of it failed, and not all of it is unknown."""
    verdicts = {one.verdict for one in findings}
    return Verdict.FAILURE not in verdicts and verdicts != {Verdict.UNTESTED}


def _await(check: Check, answer: Future[list[Finding]], *, until_s: float) -> list[Finding]:
    about = About(check.name)
    try:
        return answer.result(timeout=max(0.0, until_s - time.monotonic()))
    except TimeoutError:
        return [about.failure(f"no answer within {check.limit_s:g} s", "See what hangs, and run this again.")]
    except Exception as error:  # noqa: BLE001 - a check that breaks stops no other; its text may hold anything
        says = f"this check broke ({type(error).__name__}), so nothing is known"
        return [about.failure(says, "Run it again; if it stays, tell us the name of the error.")]
