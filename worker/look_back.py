"""Look back: each night compare the last days again, so that what changed afterwards is noticed without being told."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

import structlog

from adapters.postgres.reconciliations import Compared, Reconciliations
from domain.gateway import GatewayError, GatewayOutcomeUnknownError, PaymentGateway
from domain.payment_event import Source
from worker.reconcile import DayReport, Reconcile

log = structlog.get_logger()

PAUSE_S = 0.25
"""Between two calls: nobody waits for the look back, and customers' checks go first."""

CALLS_MAX = 1_500
"""Calls of one gateway's list in a night: 35 days of 4,000 payments. Of more, the days whose last comparison is
the oldest go first and the others the next night; yesterday goes before all."""


CHECKED_AFTER_S = 90.0
"""So long after the last day those are compared again of which checks were queued: these have ended by then, also what
was looked at twice, and people find in the morning what is left."""


UNREAD_MAX = 3
"""So many days in a row whose list cannot be read: then it is the gateway, and the others are left to the next try."""

TOLD_MAX = 5
"""Counts the days that could not be read and are named one by one."""


class LookBackFailedError(Exception):
    """A gateway did not tell its list, or the worker stops; what was compared is kept, and the next try goes on."""


class LookBack:
    """The nightly job. Killed anywhere, the next try compares what is left of the night."""

    def __init__(
        self,
        *,
        reconcile: Reconcile,
        reconciliations: Reconciliations,
        gateways: Mapping[str, PaymentGateway],
        days: int,
        current_night: Callable[[], date],
        first_day: Callable[[str], date | None],
        pause: Callable[[float], None],
        page_pause_s: float,
    ) -> None:
        """`days` before the night are looked at, those before a gateway's `first_day` with us are not."""
        self._reconcile = reconcile
        self._reconciliations = reconciliations
        self._gateways = gateways
        self._days = days
        self._current_night = current_night
        self._first_day = first_day
        self._pause = pause
        self._page_pause_s = page_pause_s

    def __call__(self, period: str) -> str:
        """Compare the days before a night, and say in a few words what it came to.

        Raises:
            LookBackFailedError: a gateway did not tell its list.
            PoolTimeout, psycopg.Error: PostgreSQL is away.

        """
        night = date.fromisoformat(period)
        if self._current_night() > night:
            return "left to a later night, which looks back over this one's days"
        told: list[str] = []
        failed: list[str] = []
        for name, gateway in sorted(self._gateways.items()):
            if gateway.capabilities.lists:
                try:
                    told.append(self._look_back(name, night, failed=failed))
                except GatewayError as error:
                    failed.append(f"{name}: {type(error).__name__}: {error.message}")
        self._reconciliations.forget()
        if failed:
            raise LookBackFailedError("; ".join([*failed[:TOLD_MAX], *told]))
        return "; ".join(told) or "no gateway has a list"

    def _look_back(self, gateway: str, night: date, *, failed: list[str]) -> str:
        """Compare what is left of the night; a day that cannot be read goes to `failed` and holds up no other."""
        first = self._first_day(gateway)
        candidates = [night - timedelta(days=back) for back in range(1, self._days + 1)]
        days = [day for day in candidates if first is not None and day >= first]
        if not days:
            return f"{gateway}: nothing of ours is older than today"
        compared = self._reconciliations.compared(gateway, first=days[-1], last=days[0], night=night)
        calls_left = CALLS_MAX - sum(one.calls_tonight for one in compared.values())
        reports: list[DayReport] = []
        unread_in_a_row = 0
        for day in _in_order(days, compared):
            if (calls_left <= 0 and day != days[0]) or unread_in_a_row >= UNREAD_MAX:
                break
            report = self._compare(gateway, day, night=night, failed=failed)
            if report is None:
                unread_in_a_row += 1
                continue
            unread_in_a_row = 0
            reports.append(report)
            calls_left -= report.list_calls
        queued = sum(report.queued for report in reports)
        reports = self._compare_checked(gateway, reports, night=night, failed=failed)
        done = len(reports) + sum(one.tonight for one in compared.values())
        return _words(gateway, reports, queued=queued, done=done, of=len(days))

    def _compare_checked(
        self, gateway: str, reports: Sequence[DayReport], *, night: date, failed: list[str]
    ) -> list[DayReport]:
        """Compare days again of which something was checked, once the checks have had their time."""
        if not any(report.queued for report in reports):
            return list(reports)
        self._pause(CHECKED_AFTER_S)
        return [
            (self._compare(gateway, one.day, night=night, failed=failed) or one) if one.queued else one
            for one in reports
        ]

    def _compare(self, gateway: str, day: date, *, night: date, failed: list[str]) -> DayReport | None:
        """Compare one day; None, and a line in `failed`, where the gateway is there and this day cannot be read."""
        try:
            return self._reconcile(
                gateway, day, source=Source.SWEEP, night=night, after_page=lambda _: self._pause(self._page_pause_s)
            )
        except GatewayOutcomeUnknownError as error:
            failed.append(f"{gateway}, {day}: {type(error).__name__}: {error.message}")
            log.warning("look_back.day_failed", gateway=gateway, day=day.isoformat(), reason=error.message)
            return None


def _in_order(days: list[date], compared: Mapping[date, Compared]) -> list[date]:
    """Order the days that were not compared this night: yesterday, then what was never, then what was longest ago."""
    yesterday, *others = days
    waiting = [day for day in others if day not in compared or not compared[day].tonight]
    never = [day for day in waiting if day not in compared]
    again = sorted((day for day in waiting if day in compared), key=lambda day: compared[day].began_at)
    first = [] if yesterday in compared and compared[yesterday].tonight else [yesterday]
    return [*first, *never, *again]


def _words(gateway: str, reports: list[DayReport], *, queued: int, done: int, of: int) -> str:
    with_open = [report.day.isoformat() for report in reports if report.open]
    shown = f" ({', '.join(with_open[:5])}{', …' if len(with_open) > 5 else ''})" if with_open else ""  # noqa: PLR2004 - a few
    return (
        f"{gateway}: {done} of {of} days compared, {sum(report.listed_rows for report in reports):,} rows,"
        f" {len(with_open)} days with something open{shown}, {queued} checks queued"
    )
