"""What web, worker and a refund at the gateway have in common."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from dramatiq.brokers.redis import RedisBroker

from adapters.postgres import connection as postgres
from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.gateway_invoices import GatewayInvoices
from adapters.postgres.history import History
from adapters.postgres.ledger import Appended, Ledger
from adapters.redis.doorbell import Doorbell
from domain.gateway import PaymentGateway, ReadPush
from worker.accounts import Accounts
from worker.clock import utc_now
from worker.close import CloseQr
from worker.compose.database import open_database
from worker.compose.gateways import open_gateways
from worker.compose.services import open_broker
from worker.held import Held
from worker.issue import ISSUE_DEADLINE_S
from worker.kill_points import Accident, FatalCheckRequests, FatalLedger
from worker.metrics.instruments import Metrics
from worker.ring import Ring, ring_for_told, ring_quietly
from worker.settings import QR_LIFETIME, CheckSettings, DatabaseSettings, RedisSettings
from worker.settle import Settle


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What web and worker have in common."""

    pool: postgres.Pool
    ledger: Ledger
    check_requests: CheckRequests
    gateways: Mapping[str, PaymentGateway]
    pushes: Mapping[str, ReadPush]
    held: Held
    settle: Settle
    close: CloseQr
    broker: RedisBroker
    doorbell: Doorbell
    ring: Ring


@contextmanager
def open_core(
    *,
    database: DatabaseSettings,
    redis: RedisSettings,
    checks: CheckSettings,
    accounts: Accounts,
    redis_timeout_s: float,
    metrics: Metrics,
    consumes: bool = False,
    rings_for_told: bool = False,
    accident: Accident | None = None,
) -> Iterator[Core]:
    """Open what web and worker have in common. A worker `consumes`; an `accident` befalls one under test.

    With `rings_for_told` each append wakes a worker for the notifications that it staged.
    """
    broker = open_broker(redis, timeout_s=redis_timeout_s, consumes=consumes)
    with (
        open_database(database) as pool,
        open_gateways(accounts, redis=redis, pool=pool, metrics=metrics) as opened,
    ):
        doorbell = Doorbell(broker)
        hearers = [metrics.appended, *([ring_for_told(doorbell)] if rings_for_told else [])]

        def on_append(appended: Appended) -> None:
            for hear in hearers:
                hear(appended)

        ledger = (
            Ledger(pool, on_append=on_append)
            if accident is None
            else FatalLedger(pool, on_append=on_append, accident=accident)
        )
        check_requests = check_requests_on(pool, checks, accident=accident)
        gateways = opened.by_name
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
        yield Core(
            pool=pool,
            ledger=ledger,
            check_requests=check_requests,
            gateways=gateways,
            pushes=opened.pushes,
            held=held,
            settle=settle,
            close=CloseQr(
                gateways=gateways,
                gateway_invoices=gateway_invoices_on(pool),
                check_requests=check_requests,
                settle=settle,
                clock=utc_now,
            ),
            broker=broker,
            doorbell=doorbell,
            ring=ring,
        )
    broker.close()


def gateway_invoices_on(pool: postgres.Pool, *, qr_lifetime: timedelta = QR_LIFETIME) -> GatewayInvoices:
    """Open the QRs of a database."""
    return GatewayInvoices(pool, qr_lifetime=qr_lifetime, issue_deadline_s=ISSUE_DEADLINE_S)


def check_requests_on(pool: postgres.Pool, checks: CheckSettings, *, accident: Accident | None = None) -> CheckRequests:
    """Open the check requests of a database."""
    timing = {
        "spacing_s": checks.check_spacing_s,
        "retry_base_s": checks.retry_base_s,
        "retry_max_s": checks.retry_max_s,
    }
    return CheckRequests(pool, **timing) if accident is None else FatalCheckRequests(pool, accident=accident, **timing)
