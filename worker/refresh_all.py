"""Refresh all: renew every QR that expires, page by page, a few at once and not too fast, and tell what came of it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import takewhile

import structlog

from adapters.postgres.owed_qrs import OwedQrs
from domain.gateway import PaymentGateway
from domain.refresh import End, ExpiringQr, RefreshTerms, latest_expiry
from worker.clock import Clock
from worker.few_at_once import few_at_once
from worker.refresh import Done, Outcome, Refresh

log = structlog.get_logger()

FAILURES_MAX = 5
"""So many failures in a row at a gateway end a run there: what is wrong is wrong with the gateway or with us, and each
further QR that is closed would be one that a customer no longer has."""

SOON_S = 3_600.0
"""What is owed and tried again within this is unfinished; what waits longer is left to the next night."""

REASONS_MAX = 20

Tell = Callable[[int, int], object]
"""Hears how many are done, of how many."""


class RefreshUnfinishedError(Exception):
    """A run came to an end and has to be run again soon. The message says why, and what it came to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a run came to."""

    counts: Mapping[Outcome, int]
    reasons: Mapping[str, int]
    """Why some failed, each with how many did."""
    owed: int
    """Invoices that are without a QR now and are to have one within the hour, or the next time this runs."""
    stopped: str | None
    """Why it ended before all were done."""

    @property
    def finished(self) -> bool:
        """Tell whether nothing is left to this night."""
        return self.stopped is None and self.owed == 0


class RefreshAll:
    """Renews all QRs that expire. Runs may be killed anywhere, and run beside one another: each QR is renewed once."""

    def __init__(
        self,
        *,
        gateways: Mapping[str, PaymentGateway],
        owed_qrs: OwedQrs,
        refresh: Refresh,
        terms: RefreshTerms,
        clock: Clock,
        told_to_stop: threading.Event,
        threads: int,
        per_s: float,
    ) -> None:
        self._gateways = gateways
        self._owed_qrs = owed_qrs
        self._refresh = refresh
        self._terms = terms
        self._clock = clock
        self._told_to_stop = told_to_stop
        self._threads = threads
        self._per_s = per_s

    def expiring(self) -> Iterator[tuple[ExpiringQr, End]]:
        """Tell which QRs a run would end now, and what it would do with each. Writes nothing, calls no gateway."""
        for name in self._gateways:
            yield from self._ending_at(name)

    def owed(self) -> int:
        """Count the invoices that are owed a QR and that a run would give one now."""
        return sum(self._owed_qrs.count_owed(name) for name in self._gateways)

    def __call__(self, *, show: Callable[[Done], object], tell: Tell, for_s: float | None = None) -> Refreshed:
        """Give owed QRs first, then renew what expires, until all are done or it is told to stop.

        At a gateway where too many fail in a row it ends before. No more is begun after `for_s` seconds. `show` hears
        of each that failed, `tell` how far it is; both in any thread, one after the other.

        Raises:
            PoolTimeout, psycopg.Error: PostgreSQL is away; what was begun is done, and the next run goes on.

        """
        run = _Run(show=show, tell=tell, total=self.owed() + self._count_expiring())
        until = None if for_s is None else time.monotonic() + for_s
        few_at_once(run.do, self._paced(run, until=until), threads=self._threads)
        return run.result(owed=self._owed_qrs.count_owed_soon(within_s=SOON_S))

    def _paced(self, run: "_Run", *, until: float | None) -> Iterator["_Work"]:
        """Give one QR's work after another: not faster than may be, and none once the run is to end."""
        next_at = time.monotonic()
        for work in self._works(run):
            if self._told_to_stop.wait(max(0.0, next_at - time.monotonic())):
                run.stop("it was told to stop")
            if until is not None and time.monotonic() > until:
                run.stop("it has taken long enough for once")
            if run.stopped is not None:
                return
            next_at = max(next_at, time.monotonic() - 1.0) + 1.0 / self._per_s
            yield work

    def _works(self, run: "_Run") -> Iterator["_Work"]:
        for name in self._gateways:
            for owed in takewhile(lambda _, at=name: run.goes_on_at(at), self._owed_qrs.owed(name)):  # type: ignore[misc]
                yield name, partial(self._refresh.pay_off, owed)
        for name in self._gateways:
            for qr, _ in takewhile(lambda _, at=name: run.goes_on_at(at), self._ending_at(name)):  # type: ignore[misc]
                yield name, partial(self._refresh.renew, qr)

    def _ending_at(self, gateway: str) -> Iterator[tuple[ExpiringQr, End]]:
        for qr in self._expiring_at(gateway):
            plan = self._refresh.plan(qr)
            if isinstance(plan, End):
                yield qr, plan

    def _expiring_at(self, gateway: str) -> Iterator[ExpiringQr]:
        until = self._latest_expiry(gateway)
        return iter(()) if until is None else self._owed_qrs.expiring(gateway, until=until)

    def _count_expiring(self) -> int:
        untils = {name: self._latest_expiry(name) for name in self._gateways}
        return sum(self._owed_qrs.count_expiring(name, until=until) for name, until in untils.items() if until)

    def _latest_expiry(self, gateway: str) -> datetime | None:
        return latest_expiry(terms=self._terms, capabilities=self._gateways[gateway].capabilities, now=self._clock())


_Work = tuple[str, Callable[[], Done]]
"""The gateway, and what is done there for one QR."""


@dataclass(slots=True, kw_only=True)
class _Run:
    """How one run goes. Told by several threads."""

    show: Callable[[Done], object]
    tell: Tell
    total: int
    stopped: str | None = None
    _counts: Counter[Outcome] = field(default_factory=Counter)
    _reasons: Counter[str] = field(default_factory=Counter)
    _failed_in_a_row: Counter[str] = field(default_factory=Counter)
    """By gateway: one that is away is no reason to leave the others' QRs alone."""
    _ended: dict[str, str] = field(default_factory=dict)
    """At which gateways nothing more is done, and why."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def goes_on_at(self, gateway: str) -> bool:
        """Tell whether more is done at a gateway."""
        return self.stopped is None and gateway not in self._ended

    def do(self, work: "_Work") -> None:
        """Do one QR's work, unless the run was to end since it was taken."""
        gateway, do = work
        if self.goes_on_at(gateway):
            self.note(do())

    def note(self, done: Done) -> None:
        with self._lock:
            self._counts[done.outcome] += 1
            if done.outcome is Outcome.FAILED:
                self._failed_in_a_row[done.gateway] += 1
                self._note_reason(done)
                self.show(done)
            elif done.outcome not in {Outcome.LEFT, Outcome.WAITING}:
                self._failed_in_a_row[done.gateway] = 0
            if self._failed_in_a_row[done.gateway] >= FAILURES_MAX and done.gateway not in self._ended:
                why = f"{FAILURES_MAX} failed in a row at {done.gateway}, the last one: {done.reason}"
                self._ended[done.gateway] = why
                log.warning("refresh.stopped", gateway=done.gateway, why=why)
            done_so_far = sum(self._counts.values())
            self.tell(done_so_far, max(self.total, done_so_far))

    def stop(self, why: str) -> None:
        with self._lock:
            self._stop(why)

    def result(self, *, owed: int) -> Refreshed:
        stopped = self.stopped or "; ".join(self._ended.values()) or None
        return Refreshed(counts=dict(self._counts), reasons=dict(self._reasons), owed=owed, stopped=stopped)

    def _stop(self, why: str) -> None:
        if self.stopped is None:
            self.stopped = why
            log.warning("refresh.stopped", why=why)

    def _note_reason(self, done: Done) -> None:
        reason = f"{done.gateway}: {done.reason}"
        if reason not in self._reasons and len(self._reasons) >= REASONS_MAX:
            reason = "other reasons"
        self._reasons[reason] += 1


_WORDS: Sequence[tuple[Outcome, str]] = (
    (Outcome.REFRESHED, "refreshed"),
    (Outcome.SETTLED, "settled instead"),
    (Outcome.CANCELLED, "cancelled"),
    (Outcome.EXPIRED, "expired without another"),
    (Outcome.KEPT, "kept by the gateway"),
    (Outcome.WAITING, "waiting for a create's outcome"),
    (Outcome.FAILED, "failed"),
)
_ALWAYS = {Outcome.REFRESHED, Outcome.SETTLED, Outcome.CANCELLED, Outcome.FAILED}


def in_words(refreshed: Refreshed) -> str:
    """Say in a line what a run came to."""
    counts = refreshed.counts
    said = [f"{counts.get(one, 0):,} {words}" for one, words in _WORDS if one in _ALWAYS or counts.get(one)]
    if refreshed.reasons:
        most = sorted(refreshed.reasons.items(), key=lambda each: -each[1])
        said[-1] += f" ({'; '.join(f'{reason}, {count:,}' for reason, count in most)})"
    if refreshed.owed:
        said.append(f"{refreshed.owed:,} owed still")
    stopped = f"stopped, because {refreshed.stopped}: " if refreshed.stopped else ""
    return stopped + ", ".join(said)


def refresh_nightly(refresh_all: RefreshAll, *, for_s: float) -> str:
    """Run, and say what it came to. Twice is once.

    Raises:
        RefreshUnfinishedError: it is to be run again soon.

    """
    refreshed = refresh_all(show=lambda _: None, tell=lambda *_: None, for_s=for_s)
    said = in_words(refreshed)
    log.info("refresh.ended", finished=refreshed.finished, result=said)
    if not refreshed.finished:
        raise RefreshUnfinishedError(said)
    return said
