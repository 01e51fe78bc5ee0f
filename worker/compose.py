"""The composition root: the one place that builds adapters and puts the use cases together."""

import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from dramatiq.brokers.redis import RedisBroker

from adapters.embedded.errors import EmbeddedServerError
from adapters.embedded.process import die_with_parent
from adapters.embedded.servers import EmbeddedServers as EmbeddedServers  # noqa: PLC0414 - handed on to the local stack
from adapters.embedded.servers import remove_home, start_servers
from adapters.postgres import connection as postgres
from adapters.postgres.api_keys import ApiKeys
from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.dossiers import Dossiers
from adapters.postgres.gateway_invoices import GatewayInvoices
from adapters.postgres.gateway_refunds import GatewayRefunds
from adapters.postgres.history import History
from adapters.postgres.idempotency_keys import IdempotencyKeys
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.parked import ParkedQrs
from adapters.postgres.schedule import ScheduleRuns
from adapters.postgres.schema import migrate, require_schema
from adapters.postgres.seals import Seals
from adapters.postgres.state import StateStore
from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.gateway import QPayGateway
from adapters.redis import doorbell as redis_doorbell
from adapters.redis.doorbell import Doorbell, DoorbellError
from domain.discrepancy import credentials_used_elsewhere
from domain.gateway import PaymentGateway
from domain.schedule import Job
from simulator import server as simulator
from simulator.facts import Merchant
from simulator.faults import Rule
from simulator.switches import switched
from worker.actors import declare_actors, declare_job
from worker.clock import utc_now
from worker.close import CloseDue, CloseQr
from worker.correct import Correct
from worker.held import Held
from worker.housekeeping import housekeep
from worker.issue import ISSUE_DEADLINE_S, Issue
from worker.jobs import works
from worker.kill_points import Accident, FatalCheckRequests, FatalLedger, fatal_settle
from worker.latest import Latest
from worker.metrics.instruments import Metrics
from worker.metrics.messages import MessageMetrics
from worker.metrics.state import StateCollector
from worker.plan import Plan
from worker.refund_at_gateway import RefundAtGateway
from worker.replay import Replayed, replay
from worker.ring import Ring, ring_due, ring_quietly
from worker.run_job import RunJob
from worker.seal import Seal, seal_keys
from worker.settings import (
    QR_LIFETIME,
    CheckSettings,
    DatabaseSettings,
    HistorySettings,
    MetricsSettings,
    QPaySettings,
    RedisSettings,
    SealSettings,
    SettingsError,
    SimulatedMerchant,
    SimulatorSettings,
    WebSettings,
)
from worker.settle import Settle
from worker.sight import FRESH_S, NOTHING_SEEN, WAIT_S, Sight, look
from worker.starting import StartError, await_up, database_reported
from worker.verify_ledger import LedgerReport, verify_ledger
from worker.web.parts import WebParts
from worker.webhook_token import WebhookTokens

WEB_REDIS_TIMEOUT_S = 1.0
"""A callback is answered even while Redis hangs: what is due is in PostgreSQL already."""

WORKER_REDIS_TIMEOUT_S = 5.0


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
        await_up(lambda: _open_broker(redis, timeout_s=WORKER_REDIS_TIMEOUT_S).close(), until=until)


def migrate_database(settings: DatabaseSettings) -> list[str]:
    """Bring the database to this version and return the migrations that were applied.

    Raises:
        StartError: it cannot be reached, or is not for us.

    """
    with database_reported(settings):
        return migrate(settings.database_url, qpay_env=settings.qpay_env)


@contextmanager
def open_database(settings: DatabaseSettings) -> Iterator[postgres.Pool]:
    """Open the pool of a database that is at this version.

    Raises:
        StartError: it cannot be reached, or is at another version.

    """
    with database_reported(settings):
        require_schema(settings.database_url, qpay_env=settings.qpay_env)
    with postgres.open_pool(settings.database_url, size=settings.database_pool_size) as pool:
        yield pool


@contextmanager
def open_keys(settings: DatabaseSettings) -> Iterator[ApiKeys]:
    """Open the API's keys."""
    with open_database(settings) as pool:
        yield ApiKeys(pool)


@contextmanager
def open_ledger(settings: DatabaseSettings) -> Iterator[Ledger]:
    """Open the ledger."""
    with open_database(settings) as pool:
        yield Ledger(pool)


@contextmanager
def open_discrepancies(settings: DatabaseSettings) -> Iterator[Discrepancies]:
    """Open the questions for a person."""
    with open_database(settings) as pool:
        yield Discrepancies(pool)


@contextmanager
def open_dossiers(settings: DatabaseSettings) -> Iterator[Dossiers]:
    """Open what is recorded about an invoice, a QR or a payment, to be explained."""
    with open_database(settings) as pool:
        yield Dossiers(pool)


@contextmanager
def compose_correct(database: DatabaseSettings) -> Iterator[Correct]:
    """Put a person's commands about money together that need no gateway."""
    with open_database(database) as pool:
        yield _correct(pool)


@contextmanager
def open_parked(settings: DatabaseSettings) -> Iterator[ParkedQrs]:
    """Open what is parked."""
    with open_database(settings) as pool:
        yield ParkedQrs(pool)


@contextmanager
def open_seals(settings: DatabaseSettings) -> Iterator[Seals]:
    """Open the seals."""
    with open_database(settings) as pool:
        yield Seals(pool)


@contextmanager
def compose_replay(settings: DatabaseSettings) -> Iterator[Callable[..., Replayed]]:
    """Put replay together: one connection holds its lock, another one works."""
    with open_database(settings.model_copy(update={"database_pool_size": 2})) as pool:
        yield partial(replay, pool, clock_s=time.monotonic)


@contextmanager
def compose_verify(settings: DatabaseSettings) -> Iterator[Callable[..., LedgerReport]]:
    """Put the verification of the ledger together."""
    with open_database(settings) as pool:
        yield partial(verify_ledger, pool)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Core:
    """What web and worker have in common."""

    pool: postgres.Pool
    ledger: Ledger
    check_requests: CheckRequests
    gateways: Mapping[str, PaymentGateway]
    held: Held
    settle: Settle
    close: CloseQr
    broker: RedisBroker
    doorbell: Doorbell
    ring: Ring


@contextmanager
def _core(
    *,
    database: DatabaseSettings,
    redis: RedisSettings,
    checks: CheckSettings,
    qpay: QPaySettings,
    redis_timeout_s: float,
    metrics: Metrics,
    accident: Accident | None = None,
) -> Iterator[_Core]:
    broker = _open_broker(redis, timeout_s=redis_timeout_s)
    with open_database(database) as pool, _open_qpay(qpay, redis=redis, pool=pool, metrics=metrics) as gateway:
        ledger = (
            Ledger(pool, on_append=metrics.appended)
            if accident is None
            else FatalLedger(pool, on_append=metrics.appended, accident=accident)
        )
        check_requests = _check_requests(pool, checks, accident=accident)
        gateways: Mapping[str, PaymentGateway] = {gateway.name: gateway}
        doorbell = Doorbell(broker)
        ring = ring_quietly(doorbell)
        held = Held()
        settle = Settle(
            gateways=gateways,
            check_requests=check_requests,
            ledger=ledger,
            history=History(pool),
            ring=ring,
            clock=utc_now,
            retry_base_s=checks.retry_base_s,
            retry_max_s=checks.retry_max_s,
            retry_limit=checks.retry_limit,
            held=held,
            check_ended=metrics.check_ended,
        )
        yield _Core(
            pool=pool,
            ledger=ledger,
            check_requests=check_requests,
            gateways=gateways,
            held=held,
            settle=settle,
            close=CloseQr(
                gateways=gateways,
                gateway_invoices=_gateway_invoices(pool),
                check_requests=check_requests,
                settle=settle,
                clock=utc_now,
            ),
            broker=broker,
            doorbell=doorbell,
            ring=ring,
        )
    broker.close()


@contextmanager
def compose_web(
    *,
    database: DatabaseSettings,
    redis: RedisSettings,
    checks: CheckSettings,
    qpay: QPaySettings,
    web: WebSettings,
    metrics_settings: MetricsSettings,
) -> Iterator[WebParts]:
    """Put the web process together. It alone reads for its metrics how the installation stands."""
    metrics = Metrics()
    with (
        _core(
            database=database,
            redis=redis,
            checks=checks,
            qpay=qpay,
            redis_timeout_s=WEB_REDIS_TIMEOUT_S,
            metrics=metrics,
        ) as core,
        _sight(database, core.doorbell) as see,
    ):
        metrics.registry.register(StateCollector(see))
        tokens = WebhookTokens([secret.get_secret_value() for secret in web.webhook_secret])
        callback_base = qpay.qpay_callback_url or f"{web.public_url}/v2/qpay/webhook"
        yield WebParts(
            invoices=Invoices(core.pool),
            ledger=core.ledger,
            check_requests=core.check_requests,
            api_keys=ApiKeys(core.pool),
            correct=_correct(core.pool, ledger=core.ledger),
            issue=Issue(
                gateways=core.gateways,
                gateway_invoices=_gateway_invoices(core.pool, qr_lifetime=web.qr_lifetime),
                close=core.close,
                callback_url=lambda gateway_invoice_id: f"{callback_base}/{tokens.make(gateway_invoice_id)}",
                ring=core.ring,
                clock=utc_now,
            ),
            gateways=core.gateways,
            tokens=tokens,
            ring=core.ring,
            see=see,
            metrics=metrics,
            metrics_tokens=metrics_settings.metrics_token,
            clock=utc_now,
        )


@contextmanager
def compose_refund_at_gateway(
    *, database: DatabaseSettings, redis: RedisSettings, checks: CheckSettings, qpay: QPaySettings
) -> Iterator[RefundAtGateway]:
    """Put the refund at a gateway together."""
    with _core(
        database=database,
        redis=redis,
        checks=checks,
        qpay=qpay,
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
    qpay: QPaySettings,
    seals: SealSettings,
    history: HistorySettings,
    metrics: Metrics | None = None,
    accident: Accident | None = None,
) -> Iterator[tuple[RedisBroker, Held]]:
    """Put the worker process together: a broker whose actors settle and do the schedule's jobs, and what they hold.

    An `accident` befalls a worker under test.
    """
    metrics = metrics or Metrics()
    with (
        _core(
            database=database,
            redis=redis,
            checks=checks,
            qpay=qpay,
            redis_timeout_s=WORKER_REDIS_TIMEOUT_S,
            metrics=metrics,
            accident=accident,
        ) as core,
        compose_seal(database, seals=seals) as seal,
    ):
        core.broker.add_middleware(MessageMetrics(core.broker, registry=metrics.registry))
        actors: dict[str, Callable[[UUID], object]] = {
            redis_doorbell.SETTLE_ACTOR: core.settle
            if accident is None
            else fatal_settle(core.settle, accident=accident),
            redis_doorbell.CLOSE_ACTOR: CloseDue(close=core.close, gateway_invoices=_gateway_invoices(core.pool)),
        }
        declare_actors(
            core.broker,
            queues=[redis_doorbell.queue_of(gateway) for gateway in core.gateways],
            actors={name: metrics.counting_errors(name, act) for name, act in actors.items()},
        )
        runs, kept = ScheduleRuns(core.pool), History(core.pool)
        jobs = works(runs=runs, remove_history=partial(housekeep, kept, days=history.history_days), seal=seal)
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
) -> Iterator[Mapping[str, Callable[[], int]]]:
    """Put the scheduler together: what it calls at each tick, by name."""
    broker = _open_broker(redis, timeout_s=WORKER_REDIS_TIMEOUT_S)
    with open_database(database) as pool:
        check_requests, doorbell = _check_requests(pool, checks), Doorbell(broker)
        gateway_invoices, runs = _gateway_invoices(pool), ScheduleRuns(pool)
        yield {
            "ring": lambda: ring_due(check_requests, gateway_invoices, doorbell),
            "plan": Plan(jobs=jobs, runs=runs, ring_runs=doorbell.ring_runs, clock=runs.now),
        }
    broker.close()


@contextmanager
def open_schedule(database: DatabaseSettings) -> Iterator[ScheduleRuns]:
    """Open what the schedule has had done."""
    with open_database(database) as pool:
        yield ScheduleRuns(pool)


@contextmanager
def compose_seal(database: DatabaseSettings, *, seals: SealSettings) -> Iterator[Callable[[], int] | None]:
    """Put what seals together, on a connection of its own; None without a secret to seal with."""
    keys = seal_keys(seals)
    if not keys:
        yield None
        return
    with open_seals(database.model_copy(update={"database_pool_size": 1})) as store:
        yield Seal(seals=store, key=keys[0], clock=utc_now)


@contextmanager
def embedded_servers(home: Path) -> Iterator[EmbeddedServers]:
    """Run embedded servers on new data in `home`, which is removed at the end.

    Raises:
        StartError: they do not start, or somebody else uses the folder.

    """
    try:
        remove_home(home)
        # Data that nobody keeps needs no protection from a power cut.
        with start_servers(home, fsync=False, appendonly=False) as servers:
            yield servers
        remove_home(home)
    except EmbeddedServerError as error:
        raise StartError(str(error)) from None


def child_guard(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """Return what lets a child process be signalled when this one dies, even by SIGKILL; None where that cannot be."""
    return die_with_parent(stop_signal)


def run_simulator(
    settings: SimulatorSettings,
    *,
    host: str,
    port: int,
    seed: int | None = None,
    faults: Mapping[tuple[str, str], float] | None = None,
    switches: Mapping[str, str] | None = None,
    public: bool = False,
    call_anywhere: bool = False,
    on_ready: Callable[[str, int], None],
) -> None:
    """Run the simulator until SIGTERM or SIGINT.

    `faults` are probabilities by kind and endpoint, `switches` values by name; either may be `*` for every one of them
    in `faults`. `on_ready` gets the URL and the seed from which faults are drawn.

    Raises:
        StartError: the address is taken, or cannot be listened on.
        SettingsError: others could reach the address; there is no such fault or switch.

    """
    own = SimulatedMerchant(
        username=settings.qpay_username, password=settings.qpay_password, invoice_code=settings.qpay_invoice_code
    )
    merchants = [
        Merchant(username=one.username, password=one.password.get_secret_value(), invoice_code=one.invoice_code)
        for one in (*settings.simulator_merchants, own)
    ]
    chosen = secrets.randbelow(simulator.SEED_MAX) if seed is None else seed
    try:
        simulator.run(
            merchants=merchants,
            host=host,
            port=port,
            seed=chosen,
            rules=[
                Rule(kind=kind, endpoint=endpoint, probability=probability)
                for (kind, endpoint), probability in (faults or {}).items()
            ],
            switches=switched(switches or {}),
            allow_public=public,
            call_anywhere=call_anywhere,
            on_ready=lambda url: on_ready(url, chosen),
        )
    except OSError as error:
        raise StartError(f"the simulator cannot listen on {host}:{port}: {error}") from None
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _gateway_invoices(pool: postgres.Pool, *, qr_lifetime: timedelta = QR_LIFETIME) -> GatewayInvoices:
    return GatewayInvoices(pool, qr_lifetime=qr_lifetime, issue_deadline_s=ISSUE_DEADLINE_S)


def _correct(pool: postgres.Pool, *, ledger: Ledger | None = None) -> Correct:
    return Correct(
        ledger=ledger or Ledger(pool),
        invoices=Invoices(pool),
        keys=IdempotencyKeys(pool),
        gateway_refunds=GatewayRefunds(pool),
        clock=utc_now,
    )


def _check_requests(pool: postgres.Pool, checks: CheckSettings, *, accident: Accident | None = None) -> CheckRequests:
    timing = {
        "spacing_s": checks.check_spacing_s,
        "retry_base_s": checks.retry_base_s,
        "retry_max_s": checks.retry_max_s,
    }
    return CheckRequests(pool, **timing) if accident is None else FatalCheckRequests(pool, accident=accident, **timing)


def _open_broker(settings: RedisSettings, *, timeout_s: float) -> RedisBroker:
    address = redis_doorbell.address_of(settings.redis_url)
    try:
        broker = redis_doorbell.open_broker(settings.redis_url, timeout_s=timeout_s)
        Doorbell(broker).ping()
    except (ValueError, TypeError):
        raise SettingsError("REDIS_URL is wrong: it should be redis://:password@host:6379/0, without options") from None
    except DoorbellError as error:
        raise StartError(f"Redis at {address} (REDIS_URL) cannot be reached: {error}") from None
    return broker


def _open_qpay(settings: QPaySettings, *, redis: RedisSettings, pool: postgres.Pool, metrics: Metrics) -> QPayGateway:
    try:
        config = QPayConfig(
            base_url=settings.qpay_base_url,
            username=settings.qpay_username,
            password=settings.qpay_password,
            invoice_code=settings.qpay_invoice_code,
            allow_partial=settings.qpay_allow_partial,
        )
    except ValueError as error:
        raise SettingsError(f"QPAY_BASE_URL is wrong: {error}") from None

    def ask_who_else() -> None:
        now = utc_now()
        question = credentials_used_elsewhere(gateway="qpay", account=settings.qpay_username, noticed_at=now)
        Discrepancies(pool).ask(question, now=now)

    return QPayGateway(
        config,
        redis_url=redis.redis_url,
        now=time.time,
        observe=metrics.gateway_called("qpay"),
        limits=Limits(calls_per_s=settings.qpay_calls_per_s),
        on_credentials_used_elsewhere=ask_who_else,
    )


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
