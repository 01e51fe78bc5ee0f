"""Around: your application, the customers' page, the API's keys, the metrics, and Redis."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from adapters.postgres.api_keys import ApiKey, Scope
from worker.doctor.finding import About, Finding
from worker.doctor.loaded import Loaded

REDIS, NOTIFY, KEYS = About("redis"), About("notifications"), About("api-keys")
PAY_PAGE, METRICS = About("pay-page"), About("metrics")


def judge_redis(server: str, *, address: str) -> Iterator[Finding]:
    """Say which Redis it is; it may forget everything, so nothing is asked of it but that it answers and writes."""
    yield REDIS.ok(f"{server} at {address}; it needs no persistence")


def judge_notify(loaded: Loaded, *, unreached: str | None) -> Iterator[Finding]:
    """Judge where notifications go; `unreached` says why no connection could be made."""
    target = loaded.target
    if target is None:
        yield NOTIFY.ok("NOTIFY_URL is not set: your application asks, and is not told")
    elif unreached is not None:
        yield NOTIFY.fault(
            f"NOTIFY_URL cannot be reached from here: {unreached}",
            "Mend the address or its certificate; what is to be told waits for three days.",
            live=loaded.live,
        )
    elif urlsplit(target.url).scheme != "https":
        yield NOTIFY.warning(
            "NOTIFY_URL is private and not encrypted", "Let nobody else into that network, or use https://."
        )
    else:
        yield NOTIFY.ok("NOTIFY_URL takes connections; whether your application verifies shows with the first one")


def judge_keys(keys: Sequence[ApiKey], *, now: datetime) -> Iterator[Finding]:
    """Say whether anybody can call the API, and who has not for long."""
    valid = [key for key in keys if key.revoked_at is None]
    if not any(Scope.WRITE in key.scopes for key in valid):
        yield KEYS.failure(
            "no valid key may write: nobody can put an invoice",
            "Run tootsoo keys create shop-backend, and keep what it prints.",
        )
        return
    unused = [key.name for key in valid if key.last_used_at is None and (now - key.created_at).days >= 1]
    if unused:
        yield KEYS.warning(
            f"made and never used: {', '.join(unused)}",
            "Revoke what nobody needs: tootsoo keys list, tootsoo keys revoke.",
        )
    else:
        yield KEYS.ok(f"{len(valid)} valid")


def judge_pay_page(loaded: Loaded) -> Iterator[Finding]:
    """Say whether customers are told whom they pay."""
    if loaded.web is None or loaded.web.merchant_name is None:
        yield PAY_PAGE.warning(
            "MERCHANT_NAME is not set: the page names nobody", "Set MERCHANT_NAME to what customers know you by."
        )
    else:
        yield PAY_PAGE.ok("it names whom the customer pays")


def judge_metrics(loaded: Loaded) -> Iterator[Finding]:
    """Say whether somebody can be woken when something is wrong."""
    if loaded.metrics is None or not loaded.metrics.metrics_token:
        yield METRICS.warning(
            "METRICS_TOKEN is not set: /metrics of the web process is closed, and no alert can fire",
            "Set METRICS_TOKEN, and let Prometheus load docs/alerts.yml.",
        )
    else:
        yield METRICS.ok("METRICS_TOKEN is set; whether an alert wakes somebody, try by stopping a worker")
