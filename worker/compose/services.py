"""The services beside PostgreSQL: Redis, and the gateways."""

import time

from dramatiq.brokers.redis import RedisBroker

from adapters.postgres import connection as postgres
from adapters.postgres.discrepancies import Discrepancies
from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.gateway import QPayGateway
from adapters.redis import doorbell as redis_doorbell
from adapters.redis.doorbell import Doorbell, DoorbellError
from domain.discrepancy import credentials_used_elsewhere
from worker.clock import utc_now
from worker.metrics.instruments import Metrics
from worker.settings import QPaySettings, RedisSettings, SettingsError
from worker.starting import StartError


def open_broker(settings: RedisSettings, *, timeout_s: float) -> RedisBroker:
    """Open the broker, and ask Redis for a sign of life.

    Raises:
        SettingsError: the address cannot be understood.
        StartError: nobody answers there.

    """
    address = redis_doorbell.address_of(settings.redis_url)
    try:
        broker = redis_doorbell.open_broker(settings.redis_url, timeout_s=timeout_s)
        Doorbell(broker).ping()
    except (ValueError, TypeError):
        raise SettingsError("REDIS_URL is wrong: it should be redis://:password@host:6379/0, without options") from None
    except DoorbellError as error:
        raise StartError(f"Redis at {address} (REDIS_URL) cannot be reached: {error}") from None
    return broker


def open_qpay(settings: QPaySettings, *, redis: RedisSettings, pool: postgres.Pool, metrics: Metrics) -> QPayGateway:
    """Open QPay. Who else uses our credentials there is asked in the database of `pool`.

    Raises:
        SettingsError: the address is wrong.

    """
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
