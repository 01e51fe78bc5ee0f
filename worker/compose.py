"""The composition root: the one place that builds adapters and puts the use cases together."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
from dramatiq.brokers.redis import RedisBroker

from adapters.embedded.errors import EmbeddedServerError
from adapters.embedded.process import die_with_parent
from adapters.embedded.servers import EmbeddedServers as EmbeddedServers  # noqa: PLC0414 - handed on to the local stack
from adapters.embedded.servers import remove_home, start_servers
from adapters.postgres import connection as postgres
from adapters.postgres.api_keys import ApiKeys
from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.gateway_invoices import GatewayInvoices
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.schema import SchemaError, migrate, require_schema
from adapters.postgres.seals import Seals
from adapters.qpay.config import QPayConfig
from adapters.qpay.gateway import QPayGateway
from adapters.redis import doorbell as redis_doorbell
from adapters.redis.doorbell import Doorbell, DoorbellError
from domain.gateway import PaymentGateway
from simulator import server as simulator
from simulator.facts import Merchant
from worker.actors import declare_actors
from worker.clock import utc_now
from worker.close import CloseQr
from worker.correct import Correct
from worker.issue import ISSUE_DEADLINE_S, Issue
from worker.kill_points import Accident, FatalCheckRequests, FatalLedger, fatal_settle
from worker.ring import Ring, ring_due, ring_quietly
from worker.seal import Seal, seal_keys
from worker.settings import (
    QR_LIFETIME,
    CheckSettings,
    DatabaseSettings,
    QPaySettings,
    RedisSettings,
    SealSettings,
    SettingsError,
    SimulatorSettings,
    WebSettings,
)
from worker.settle import Settle
from worker.starting import StartError, database_reported
from worker.web.parts import WebParts
from worker.webhook_token import WebhookTokens

WEB_REDIS_TIMEOUT_S = 1.0
"""A callback is answered even while Redis hangs: what is due is in PostgreSQL already."""

WORKER_REDIS_TIMEOUT_S = 5.0


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
def compose_correct(database: DatabaseSettings) -> Iterator[Correct]:
    """Put a person's commands about money together; without gateways."""
    with open_database(database) as pool:
        yield _correct(pool, gateways={})


@contextmanager
def compose_correct_at_gateway(
    database: DatabaseSettings, *, redis: RedisSettings, qpay: QPaySettings
) -> Iterator[Correct]:
    """Put a person's commands about money together, with the gateways that can be asked to refund."""
    with open_database(database) as pool, _open_qpay(qpay, redis=redis) as gateway:
        yield _correct(pool, gateways={gateway.name: gateway})


@contextmanager
def open_seals(settings: DatabaseSettings) -> Iterator[Seals]:
    """Open the seals."""
    with open_database(settings) as pool:
        yield Seals(pool)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Core:
    """What web and worker have in common."""

    pool: postgres.Pool
    ledger: Ledger
    check_requests: CheckRequests
    gateways: Mapping[str, PaymentGateway]
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
    accident: Accident | None = None,
) -> Iterator[_Core]:
    broker = _open_broker(redis, timeout_s=redis_timeout_s)
    with open_database(database) as pool, _open_qpay(qpay, redis=redis) as gateway:
        ledger = Ledger(pool) if accident is None else FatalLedger(pool, accident=accident)
        check_requests = _check_requests(pool, checks, accident=accident)
        gateways: Mapping[str, PaymentGateway] = {gateway.name: gateway}
        doorbell = Doorbell(broker)
        ring = ring_quietly(doorbell)
        settle = Settle(
            gateways=gateways,
            check_requests=check_requests,
            ledger=ledger,
            ring=ring,
            clock=utc_now,
            retry_base_s=checks.retry_base_s,
            retry_max_s=checks.retry_max_s,
        )
        yield _Core(
            pool=pool,
            ledger=ledger,
            check_requests=check_requests,
            gateways=gateways,
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
) -> Iterator[WebParts]:
    """Put the web process together."""
    with _core(database=database, redis=redis, checks=checks, qpay=qpay, redis_timeout_s=WEB_REDIS_TIMEOUT_S) as core:
        tokens = WebhookTokens([secret.get_secret_value() for secret in web.webhook_secret])
        callback_base = qpay.qpay_callback_url or f"{web.public_url}/v2/qpay/webhook"
        yield WebParts(
            invoices=Invoices(core.pool),
            ledger=core.ledger,
            check_requests=core.check_requests,
            api_keys=ApiKeys(core.pool),
            correct=_correct(core.pool, gateways=core.gateways),
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
            not_ready=lambda: _not_ready(database, core),
            clock=utc_now,
        )


@contextmanager
def compose_worker(
    *,
    database: DatabaseSettings,
    redis: RedisSettings,
    checks: CheckSettings,
    qpay: QPaySettings,
    accident: Accident | None = None,
) -> Iterator[RedisBroker]:
    """Put the worker process together: a broker whose actors settle. An `accident` befalls a worker under test."""
    with _core(
        database=database,
        redis=redis,
        checks=checks,
        qpay=qpay,
        redis_timeout_s=WORKER_REDIS_TIMEOUT_S,
        accident=accident,
    ) as core:
        settle = core.settle if accident is None else fatal_settle(core.settle, accident=accident)
        declare_actors(
            core.broker,
            queue=redis_doorbell.SETTLE_QUEUE,
            actors={redis_doorbell.SETTLE_ACTOR: settle, redis_doorbell.CLOSE_ACTOR: core.close},
        )
        yield core.broker


@contextmanager
def compose_scheduler(
    *, database: DatabaseSettings, redis: RedisSettings, checks: CheckSettings
) -> Iterator[Callable[[], int]]:
    """Put the scheduler together: its one job rings for what is due."""
    broker = _open_broker(redis, timeout_s=WORKER_REDIS_TIMEOUT_S)
    with open_database(database) as pool:
        check_requests, doorbell = _check_requests(pool, checks), Doorbell(broker)
        gateway_invoices = _gateway_invoices(pool)
        yield lambda: ring_due(check_requests, gateway_invoices, doorbell)
    broker.close()


@contextmanager
def compose_seal(database: DatabaseSettings, *, seals: SealSettings) -> Iterator[Callable[[], int] | None]:
    """Put the job that seals together, on a connection of its own; None without a secret to seal with."""
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


def run_simulator(settings: SimulatorSettings, *, host: str, port: int) -> None:
    """Run the simulator until SIGTERM or SIGINT.

    Raises:
        StartError: the address is taken, or others could reach it.

    """
    merchant = Merchant(
        username=settings.qpay_username,
        password=settings.qpay_password.get_secret_value(),
        invoice_code=settings.qpay_invoice_code,
    )
    try:
        simulator.run(merchants=[merchant], host=host, port=port)
    except (ValueError, OSError) as error:
        raise StartError(f"the simulator cannot listen on {host}:{port}: {error}") from None


def _gateway_invoices(pool: postgres.Pool, *, qr_lifetime: timedelta = QR_LIFETIME) -> GatewayInvoices:
    return GatewayInvoices(pool, qr_lifetime=qr_lifetime, issue_deadline_s=ISSUE_DEADLINE_S)


def _correct(pool: postgres.Pool, *, gateways: Mapping[str, PaymentGateway]) -> Correct:
    return Correct(
        ledger=Ledger(pool),
        invoices=Invoices(pool),
        discrepancies=Discrepancies(pool),
        gateways=gateways,
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


def _open_qpay(settings: QPaySettings, *, redis: RedisSettings) -> QPayGateway:
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
    return QPayGateway(config, redis_url=redis.redis_url, now=time.time)


def _not_ready(database: DatabaseSettings, core: _Core) -> dict[str, str]:
    reasons: dict[str, str] = {}
    try:
        require_schema(database.database_url, qpay_env=database.qpay_env, newer_will_do=True, must_take_writes=True)
    except SchemaError as error:
        reasons["schema"] = str(error)
    except psycopg.Error as error:
        reasons["postgresql"] = type(error).__name__
    try:
        core.doorbell.ping()
    except DoorbellError as error:
        reasons["redis"] = str(error)
    return reasons
