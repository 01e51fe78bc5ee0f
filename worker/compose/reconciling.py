"""What compares gateways' lists with what is recorded: a person's report, and the nightly look back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from zoneinfo import ZoneInfo

from adapters.postgres.discoveries import Discoveries
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.reconciliations import Reconciliations
from adapters.postgres.schedule import ScheduleRuns
from adapters.postgres.ties import Ties
from domain.payment_row import FoundPayment
from domain.schedule import Nightly, latest_night
from worker.accounts import Accounts
from worker.clock import Clock, utc_now
from worker.compose.core import Core, open_core
from worker.follow_up import FollowUp
from worker.jobs import RECONCILE_AT
from worker.look_back import PAUSE_S, LookBack, LookBackFailedError
from worker.metrics.instruments import Metrics
from worker.read_list import Rows
from worker.reconcile import Reconcile
from worker.settings import CheckSettings, DatabaseSettings, DiscoverySettings, LookBackSettings, RedisSettings

REDIS_TIMEOUT_S = 5.0

LOOK_UPS_MAX = 50
"""A person may ask about so many single payments of a day; a schedule about none: QPay forbids that."""


@contextmanager
def compose_reconcile(
    *,
    database: DatabaseSettings,
    redis: RedisSettings,
    checks: CheckSettings,
    accounts: Accounts,
    discovery: DiscoverySettings,
    timezone: str,
    clock: Clock = utc_now,
) -> Iterator[Reconcile]:
    """Put a person's comparison together."""
    with open_core(
        database=database,
        redis=redis,
        checks=checks,
        accounts=accounts,
        redis_timeout_s=REDIS_TIMEOUT_S,
        metrics=Metrics(),
    ) as core:
        follow_up = _follow_up_on(core, discovery=discovery, look_ups_max=LOOK_UPS_MAX, clock=clock)
        yield _reconcile_on(core, follow_up=follow_up, timezone=timezone, clock=clock)


def look_back_on(
    core: Core,
    *,
    settings: LookBackSettings,
    accounts: Accounts,
    discovery: DiscoverySettings,
    timezone: str,
    clock: Clock = utc_now,
    scheduled: Clock | None = None,
    pause: Callable[[float], None] | None = None,
) -> LookBack:
    """Put the nightly look back together. It leaves half of the calls that may be sent to everybody else.

    `scheduled` is the schedule's own clock, PostgreSQL's; a `pause` of its own ends when the worker is told to stop.
    """
    zone = ZoneInfo(timezone)
    calls_per_s = accounts.calls_per_s
    discoveries = Discoveries(core.pool)
    reconciliations, now = Reconciliations(core.pool), scheduled or ScheduleRuns(core.pool).now

    def pause_unless_stopping(pause_s: float) -> None:
        if core.held.told_to_stop.wait(pause_s):
            raise LookBackFailedError("the worker stops")

    def current_night() -> date:
        return latest_night(Nightly(at=RECONCILE_AT, zone=zone), now=now())

    def first_day(gateway: str) -> date | None:
        issued_at = reconciliations.first_issued_at(gateway)
        return None if issued_at is None else issued_at.astimezone(zone).date()

    def hand_over(gateway: str, unknown: Rows) -> None:
        first = reconciliations.first_issued_at(gateway)
        paid_at = [one.row.paid_at if isinstance(one, FoundPayment) else None for one in unknown]
        ours = [one for one, at in zip(unknown, paid_at, strict=True) if first and (at is None or at >= first)]
        discoveries.note_found(gateway, ours, now=clock())

    return LookBack(
        reconcile=_reconcile_on(
            core,
            follow_up=_follow_up_on(core, discovery=discovery, look_ups_max=0, clock=clock),
            timezone=timezone,
            clock=clock,
            hand_over=hand_over,
        ),
        reconciliations=reconciliations,
        gateways=core.gateways,
        days=settings.lookback_days,
        current_night=current_night,
        first_day=first_day,
        pause=pause or pause_unless_stopping,
        page_pause_s=max(PAUSE_S, 2 / calls_per_s) if calls_per_s else PAUSE_S,
    )


def _reconcile_on(
    core: Core,
    *,
    follow_up: FollowUp,
    timezone: str,
    clock: Clock,
    hand_over: Callable[[str, Rows], None] = lambda *_: None,
) -> Reconcile:
    return Reconcile(
        gateways=core.gateways,
        reconciliations=follow_up.reconciliations,
        ties=follow_up.ties,
        follow_up=follow_up,
        clock=clock,
        zone=ZoneInfo(timezone),
        hand_over=hand_over,
    )


def _follow_up_on(core: Core, *, discovery: DiscoverySettings, look_ups_max: int, clock: Clock) -> FollowUp:
    return FollowUp(
        reconciliations=Reconciliations(core.pool),
        discoveries=Discoveries(core.pool),
        ties=Ties(core.pool),
        check_requests=core.check_requests,
        discrepancies=Discrepancies(core.pool),
        ring=core.ring,
        clock=clock,
        unmatched=discovery.unmatched,
        look_ups_max=look_ups_max,
    )
