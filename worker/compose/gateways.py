"""The gateways that the merchant has an account at."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from adapters.calls.limits import CallLimits
from adapters.postgres import connection as postgres
from adapters.postgres.discrepancies import Discrepancies
from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.gateway import QPayGateway
from adapters.socialpay.config import IssueBy, Paths, SocialPayConfig
from adapters.socialpay.gateway import BODY_MAX_BYTES, SocialPayGateway
from domain.discrepancy import credentials_used_elsewhere
from domain.gateway import PaymentGateway, ReadPush
from worker.accounts import Accounts
from worker.clock import utc_now
from worker.metrics.instruments import Metrics
from worker.settings import QPaySettings, RedisSettings, SettingsError, SocialPaySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateways:
    """The gateways by their names, and who reads the pushes of those that sign them."""

    by_name: Mapping[str, PaymentGateway]
    pushes: Mapping[str, ReadPush]


@contextmanager
def open_gateways(
    accounts: Accounts, *, redis: RedisSettings, pool: postgres.Pool, metrics: Metrics
) -> Iterator[Gateways]:
    """Open every gateway that there is an account at.

    Raises:
        SettingsError: an address is wrong.

    """
    by_name: dict[str, PaymentGateway] = {}
    pushes: dict[str, ReadPush] = {}
    with ExitStack() as opened:
        if accounts.qpay is not None:
            qpay = opened.enter_context(open_qpay(accounts.qpay, redis=redis, pool=pool, metrics=metrics))
            by_name[qpay.name] = qpay
        if accounts.socialpay is not None:
            socialpay = opened.enter_context(open_socialpay(accounts.socialpay, redis=redis, metrics=metrics))
            by_name[socialpay.name] = socialpay
            pushes[socialpay.name] = socialpay.read_push
        yield Gateways(by_name=by_name, pushes=pushes)


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
            list_offset=settings.qpay_list_zone,
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


def open_socialpay(settings: SocialPaySettings, *, redis: RedisSettings, metrics: Metrics) -> SocialPayGateway:
    """Open SocialPay.

    Raises:
        SettingsError: the address is wrong.

    """
    try:
        config = SocialPayConfig(
            base_url=settings.socialpay_base_url,
            terminal=settings.socialpay_terminal,
            secret=settings.socialpay_secret,
            issue_by=IssueBy(settings.socialpay_issue_by),
            paths=Paths(
                qr=settings.socialpay_path_qr,
                deeplink=settings.socialpay_path_deeplink,
                phone=settings.socialpay_path_phone,
                check=settings.socialpay_path_check,
                cancel=settings.socialpay_path_cancel,
            ),
        )
    except ValueError as error:
        raise SettingsError(f"SOCIALPAY_BASE_URL is wrong: {error}") from None
    return SocialPayGateway(
        config,
        redis_url=redis.redis_url,
        now=time.time,
        observe=metrics.gateway_called("socialpay"),
        limits=CallLimits(calls_per_s=settings.socialpay_calls_per_s, body_max_bytes=BODY_MAX_BYTES),
    )
