"""The processes: web, worker and scheduler, and what else speaks to a gateway."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from uuid import UUID

from dramatiq.brokers.redis import RedisBroker

from adapters.postgres import connection as postgres
from adapters.postgres.api_keys import ApiKeys
from adapters.postgres.discoveries import Discoveries
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.gateway_refunds import GatewayRefunds
from adapters.postgres.history import History
from adapters.postgres.horizon import Horizons
from adapters.postgres.idempotency_keys import IdempotencyKeys
from adapters.postgres.invoices import Invoices
from adapters.postgres.notifications import Notifications
from adapters.postgres.polls import Polls
from adapters.postgres.schedule import ScheduleRuns
from adapters.postgres.state import StateStore
from adapters.redis import doorbell as redis_doorbell
from adapters.redis.doorbell import Doorbell, DoorbellError
from domain.schedule import Job
from worker.accounts import Accounts
from worker.actors import declare_actors, declare_job
from worker.clock import utc_now
from worker.close import CloseDue
from worker.compose.core import check_requests_on, gateway_invoices_on, open_core
from worker.compose.database import compose_seal, correct_on, open_database, record_on
from worker.compose.discovering import discover_on
from worker.compose.issuing import issue_on, pay_pages_of, refresh_on, tokens_of
from worker.compose.reconciling import look_back_on
from worker.compose.services import open_broker
from worker.discover import discover_once
from worker.held import Held
from worker.housekeeping import forget_answers, housekeep, remove_notifications
from worker.jobs import works
from worker.kill_points import Accident, fatal_settle
from worker.latest import Latest
from worker.metrics.instruments import Metrics
from worker.metrics.messages import MessageMetrics
from worker.metrics.state import StateCollector
from worker.notify_target import NotifyTarget
from worker.plan import Plan
from worker.poll import poll_due
from worker.refresh_all import refresh_nightly
from worker.refund_at_gateway import RefundAtGateway
from worker.ring import ring_due, ring_lanes, ring_quietly
from worker.run_job import RunJob
from worker.settings import (
    ApiSettings,
    CheckSettings,
    DatabaseSettings,
    DiscoverySettings,
    HistorySettings,
    LookBackSettings,
    MetricsSettings,
    RedisSettings,
    RefreshSettings,
    SealSettings,
    WebSettings,
)
from worker.sight import FRESH_S, NOTHING_SEEN, WAIT_S, Sight, look
from worker.starting import await_up, database_reported
from worker.web.callers import Callers
from worker.web.parts import WebParts
from worker.web.rates import Rates

WEB_REDIS_TIMEOUT_S = 1.0
"""A callback is answered even while Redis hangs: what is due is in PostgreSQL already."""

WORKER_REDIS_TIMEOUT_S = 5.0

REFRESH_FOR_S = 3_000.0
"""Less than a run of the schedule may take: one that renews for longer is taken up again by itself."""


def await_servers(database: DatabaseSettings, *, redis: RedisSettings | None = None, within_s: float) -> None:
    """Wait until PostgreSQL, and then Redis where it is needed, can be reached.

    Raises:
        SettingsError: an address cannot be understood.
        StartError: one could not be reached within `within_s`.

    """
    until = time.monotonic() + within_s

    def reach_postgres() -> None:
        with database_reported(database):
            postgres.reach(database.database_url)

    await_up(reach_postgres, until=until)
    if redis is not None:
        await_up(lambda: open_broker(redis, timeout_s=WORKER_REDIS_TIMEOUT_S).close(), until=until)


@contextmanager
def compose_web(
    *,
    database: DatabaseSettings,
    redis: RedisSettings,
    checks: CheckSettings,
    accounts: Accounts,
    web: WebSettings,
    api: ApiSettings,
    timezone: str,
    metrics_settings: MetricsSettings,
    notify: NotifyTarget | None = None,
) -> Iterator[WebParts]:
    """Put the web process together. It alone reads for its metrics how the installation stands."""
    metrics = Metrics()
    with (
        open_core(
            database=database,
            redis=redis,
            checks=checks,
            accounts=accounts,
            redis_timeout_s=WEB_REDIS_TIMEOUT_S,
            metrics=metrics,
            rings_for_told=notify is not None,
        ) as core,
        _sight(database, core.doorbell) as see,
    ):
        metrics.registry.register(StateCollector(see, notifies=notify is not None))
        yield WebParts(
            invoices=Invoices(core.pool),
            ledger=core.ledger,
            horizons=Horizons(core.pool),
            check_requests=core.check_requests,
            callers=Callers(ApiKeys(core.pool), clock=utc_now),
            rates=Rates(per_key_a_minute=api.rate_per_key, per_address_a_minute=api.rate_per_address),
            keys=IdempotencyKeys(core.pool),
            correct=correct_on(core.pool, ledger=core.ledger),
            record=record_on(core.pool, ledger=core.ledger),
            issue=issue_on(core, web=web, accounts=accounts),
            gateway_invoices=gateway_invoices_on(core.pool),
            pay_pages=pay_pages_of(web, timezone=timezone),
            gateways=core.gateways,
            pushes=core.pushes,
            tokens=tokens_of(web),
            ring=core.ring,
            see=see,
            metrics=metrics,
            metrics_tokens=metrics_settings.metrics_token,
            clock=utc_now,
            https=web.public_url.startswith("https://"),
        )


@contextmanager
def compose_refund_at_gateway(
    *, database: DatabaseSettings, redis: RedisSettings, checks: CheckSettings, accounts: Accounts
) -> Iterator[RefundAtGateway]:
    """Put the refund at a gateway together."""
    with open_core(
        database=database,
        redis=redis,
        checks=checks,
        accounts=accounts,
        redis_timeout_s=WEB_REDIS_TIMEOUT_S,
        metrics=Metrics(),
    ) as core:
        yield RefundAtGateway(
            gateways=core.gateways,
            refunds=GatewayRefunds(core.pool),
            ledger=core.ledger,
            keys=IdempotencyKeys(core.pool),
            discrepancies=Discrepancies(core.pool),
            check_requests=core.check_requests,
            settle=core.settle,
            ring=core.ring,
            clock=utc_now,
        )


@contextmanager
def compose_worker(
    *,
    database: DatabaseSettings,
    redis: RedisSettings,
    checks: CheckSettings,
    accounts: Accounts,
    web: WebSettings,
    refresh: RefreshSettings,
    discovery: DiscoverySettings,
    seals: SealSettings,
    history: HistorySettings,
    look_back: LookBackSettings,
    timezone: str,
    notify: NotifyTarget | None = None,
    metrics: Metrics | None = None,
    accident: Accident | None = None,
) -> Iterator[tuple[RedisBroker, Held]]:
    """Put the worker process together: a broker whose actors settle and do the schedule's jobs, and what they hold.

    With a `notify` each append wakes who tells the merchant's application. An `accident` befalls a worker under test.
    """
    metrics = metrics or Metrics()
    with (
        open_core(
            database=database,
            redis=redis,
            checks=checks,
            accounts=accounts,
            redis_timeout_s=WORKER_REDIS_TIMEOUT_S,
            metrics=metrics,
            consumes=True,
            rings_for_told=notify is not None,
            accident=accident,
        ) as core,
        compose_seal(database, seals=seals) as seal,
    ):
        core.broker.add_middleware(MessageMetrics(core.broker, registry=metrics.registry))
        actors: dict[str, Callable[[UUID], object]] = {
            redis_doorbell.SETTLE_ACTOR: core.settle
            if accident is None
            else fatal_settle(core.settle, accident=accident),
            redis_doorbell.CLOSE_ACTOR: CloseDue(close=core.close, gateway_invoices=gateway_invoices_on(core.pool)),
        }
        declare_actors(
            core.broker,
            queues=[redis_doorbell.queue_of(gateway) for gateway in core.gateways],
            actors={name: metrics.counting_errors(name, act) for name, act in actors.items()},
        )
        runs, kept = ScheduleRuns(core.pool), History(core.pool)
        refresh_all = refresh_on(
            core,
            issue=issue_on(core, web=web, accounts=accounts),
            settings=refresh,
            accounts=accounts,
            told_to_stop=core.held.told_to_stop,
        )
        told = Notifications(core.pool, timeout_s=0.0)  # to be removed: nothing is claimed by it
        discover = discover_on(core, settings=discovery, told_to_stop=core.held.told_to_stop)
        jobs = works(
            runs=runs,
            remove_history=partial(housekeep, kept, days=history.history_days),
            removals={
                "notifications": partial(remove_notifications, told, days=history.history_days),
                "payments that were found": Discoveries(core.pool).forget,
                "kept answers": partial(forget_answers, IdempotencyKeys(core.pool), clock=utc_now),
            },
            refresh=partial(refresh_nightly, refresh_all, for_s=REFRESH_FOR_S),
            look_back=look_back_on(core, settings=look_back, accounts=accounts, discovery=discovery, timezone=timezone),
            discover=partial(discover_once, discover),
            seal=seal,
        )
        declare_job(
            core.broker,
            queue=redis_doorbell.JOB_QUEUE,
            name=redis_doorbell.JOB_ACTOR,
            run=RunJob(runs=runs, works=jobs, held=core.held),
        )
        yield core.broker, core.held


@contextmanager
def compose_scheduler(
    *,
    database: DatabaseSettings,
    redis: RedisSettings,
    checks: CheckSettings,
    jobs: Sequence[Job],
    notify: NotifyTarget | None = None,
) -> Iterator[Mapping[str, Callable[[], int]]]:
    """Put the scheduler together: what it calls at each tick, by name."""
    broker = open_broker(redis, timeout_s=WORKER_REDIS_TIMEOUT_S)
    with open_database(database) as pool:
        check_requests, doorbell = check_requests_on(pool, checks), Doorbell(broker)
        gateway_invoices, runs, polls = gateway_invoices_on(pool), ScheduleRuns(pool), Polls(pool)
        ticks: dict[str, Callable[[], int]] = {
            "ring": lambda: ring_due(check_requests, gateway_invoices, doorbell),
            "poll": lambda: poll_due(polls, gateway_invoices, check_requests, ring_quietly(doorbell)),
            "plan": Plan(jobs=jobs, runs=runs, ring_runs=doorbell.ring_runs, clock=runs.now),
        }
        if notify is not None:
            ticks["notify"] = partial(ring_lanes, Notifications(pool, timeout_s=notify.timeout_s), doorbell)
        yield ticks
    broker.close()


@contextmanager
def _sight(database: DatabaseSettings, doorbell: Doorbell) -> Iterator[Callable[[], Sight]]:
    """Look at the servers, on a connection of its own: it must be free while requests hold all others."""
    with postgres.open_pool(database.database_url, size=1) as pool:
        store = StateStore(pool, qpay_env=database.qpay_env)
        latest = Latest(lambda: look(store.read, lambda: _why_silent(doorbell)), fresh_s=FRESH_S, wait_s=WAIT_S)
        yield lambda: latest() or NOTHING_SEEN


def _why_silent(doorbell: Doorbell) -> str | None:
    try:
        doorbell.ping()
    except DoorbellError as error:
        return str(error)
    return None
