"""What issues QRs: for a pay-link, and in place of those that expire."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from zoneinfo import ZoneInfo

from adapters.postgres.owed_qrs import OwedQrs
from domain.refresh import RefreshTerms
from worker.accounts import Accounts
from worker.clock import utc_now
from worker.compose.core import Core, gateway_invoices_on, open_core
from worker.issue import Issue
from worker.metrics.instruments import Metrics
from worker.pay_pages import PayPages
from worker.pay_token import PayTokens
from worker.refresh import Refresh
from worker.refresh_all import RefreshAll
from worker.settings import (
    CheckSettings,
    DatabaseSettings,
    RedisSettings,
    RefreshSettings,
    WebSettings,
)
from worker.webhook_token import WebhookTokens

COMMAND_REDIS_TIMEOUT_S = 5.0

CALLS_PER_QR = 3
"""A cancel, a check and a create."""

SHARE_OF_CALLS = 0.5
"""Of the calls that the merchant allows: payments that were announced meanwhile come first."""


def issue_on(core: Core, *, web: WebSettings, accounts: Accounts) -> Issue:
    """Put together what issues QRs."""
    tokens = tokens_of(web)
    callback_base = callback_base_of(web, accounts)
    return Issue(
        gateways=core.gateways,
        gateway_invoices=gateway_invoices_on(core.pool, qr_lifetime=web.qr_lifetime),
        close=core.close,
        callback_url=lambda gateway_invoice_id: f"{callback_base}/{tokens.make(gateway_invoice_id)}",
        ring=core.ring,
        clock=utc_now,
    )


def callback_base_of(web: WebSettings, accounts: Accounts) -> str:
    """Return where QPay's callbacks go: a token is appended, behind a slash."""
    own = accounts.qpay.qpay_callback_url if accounts.qpay else None
    return own or f"{web.public_url}/v2/qpay/webhook"


def tokens_of(web: WebSettings) -> WebhookTokens:
    """Return what makes and reads the tokens of callbacks."""
    return WebhookTokens([secret.get_secret_value() for secret in web.webhook_secret])


def pay_pages_of(web: WebSettings, *, timezone: str) -> PayPages:
    """Return what makes and reads the addresses of pay pages."""
    return PayPages(
        public_url=web.public_url,
        tokens=PayTokens([secret.get_secret_value() for secret in web.webhook_secret]),
        lifetime=web.pay_page_lifetime,
        merchant_name=web.merchant_name,
        zone=ZoneInfo(timezone),
    )


def refresh_on(
    core: Core, *, issue: Issue, settings: RefreshSettings, accounts: Accounts, told_to_stop: threading.Event
) -> RefreshAll:
    """Put together what renews QRs."""
    owed_qrs = OwedQrs(core.pool)
    terms = RefreshTerms(horizon=settings.refresh_horizon, reissue_for=timedelta(days=settings.reissue_days))
    limit = accounts.calls_per_s
    allowed_per_s = SHARE_OF_CALLS / CALLS_PER_QR * limit if limit else None
    return RefreshAll(
        gateways=core.gateways,
        owed_qrs=owed_qrs,
        refresh=Refresh(
            gateways=core.gateways,
            gateway_invoices=gateway_invoices_on(core.pool),
            owed_qrs=owed_qrs,
            close=core.close,
            issue=issue,
            terms=terms,
            clock=utc_now,
            told_to_stop=told_to_stop,
        ),
        terms=terms,
        clock=utc_now,
        told_to_stop=told_to_stop,
        threads=settings.refresh_threads,
        per_s=min(settings.refresh_per_s, allowed_per_s or settings.refresh_per_s),
    )


@contextmanager
def compose_refresh(
    *,
    database: DatabaseSettings,
    redis: RedisSettings,
    checks: CheckSettings,
    accounts: Accounts,
    web: WebSettings,
    settings: RefreshSettings,
    told_to_stop: threading.Event,
) -> Iterator[RefreshAll]:
    """Put a person's refresh together."""
    with open_core(
        database=database,
        redis=redis,
        checks=checks,
        accounts=accounts,
        redis_timeout_s=COMMAND_REDIS_TIMEOUT_S,
        metrics=Metrics(),
    ) as core:
        issue = issue_on(core, web=web, accounts=accounts)
        yield refresh_on(core, issue=issue, settings=settings, accounts=accounts, told_to_stop=told_to_stop)
