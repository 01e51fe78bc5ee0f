"""A sound installation for the doctor to look at, and what stands in for the internet around it."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from domain.schedule import Every, Job
from tests.worker.conftest import Stack
from worker.accounts import Accounts
from worker.compose.doctor import compose_doctor
from worker.doctor.examine import Check, examine
from worker.doctor.finding import Finding, Verdict
from worker.doctor.loaded import Loaded
from worker.settings import (
    CheckSettings,
    CommonSettings,
    DatabaseSettings,
    KillSettings,
    MetricsSettings,
    NotifySettings,
    QPaySettings,
    RedisSettings,
    RefreshSettings,
    SealSettings,
    WebSettings,
)

NAME = "pay.gerel.mn"
"""Leads to our web process in these tests, as a name in the internet would."""

PUBLIC = ["103.9.90.10"]

SEAL_SECRET = "jXG3cZq8vN1sT6wB0yRkL5mPdH9uEa2f"
OFTEN = Job(name="seal", cadence=Every(every_s=3_600))
"""So seldom that a test is not late for it."""

PATIENCE_S = 3.0


class Internet(httpx.BaseTransport):
    """Leads one name to an address of this machine, and everything else where it says."""

    def __init__(self, leads_to: str, *, trusting: ssl.SSLContext | None = None) -> None:
        """`trusting` are the certificates that are taken; those of the internet without it."""
        self._leads_to = httpx.URL(leads_to)
        self._inner = httpx.HTTPTransport(verify=trusting or True)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == NAME:
            there = self._leads_to
            request.url = request.url.copy_with(scheme=there.scheme, host=there.host, port=there.port)
            request.extensions = {**request.extensions, "sni_hostname": NAME}
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


def a_loaded() -> Loaded:
    """Settings as they should be, of servers that nobody has to look at."""
    return Loaded(
        errors=(),
        common=CommonSettings(),
        database=DatabaseSettings(database_url="postgresql://shop:kW7-nq2LrXv0@db.gerel.mn/tootsoo"),
        redis=RedisSettings(redis_url="redis://redis.gerel.mn:6379/0"),
        checks=CheckSettings(),
        accounts=Accounts(
            qpay=QPaySettings(
                qpay_base_url="https://merchant-sandbox.qpay.mn",
                qpay_username="GEREL",
                qpay_password=SecretStr("fJ3kd0Wq"),
                qpay_invoice_code="GEREL_INVOICE",
            )
        ),
        web=WebSettings(
            public_url=f"https://{NAME}",
            webhook_secret=(SecretStr("Zt5bQ9xM2rVw7cKj4hNs8pLd6gFy3aUe"),),
            merchant_name="Гэрэл",
        ),
        refresh=RefreshSettings(),
        seals=SealSettings(seal_secret=(SecretStr(SEAL_SECRET),)),
        notify=NotifySettings(),
        metrics=MetricsSettings(metrics_token=(SecretStr("Hq4vR8nYw2kTz6mBx0sJc5pLf9dGa3eU"),)),
        kill=KillSettings(),
    )


def findings(
    loaded: Loaded,
    *,
    only: Sequence[str] = (),
    leads_to: str = "http://127.0.0.1:1",
    resolved: Sequence[str] | None = PUBLIC,
    jobs: Sequence[Job] = (OFTEN,),
    trusting: ssl.SSLContext | None = None,
) -> list[Finding]:
    """What the doctor finds; `only` these checks, and what they need."""
    with compose_doctor(
        loaded,
        jobs=jobs,
        resolve=lambda _: resolved,
        transport=Internet(leads_to, trusting=trusting),
        patience_s=PATIENCE_S,
    ) as checks:
        return examine(_with_needs(checks, only) if only else checks)


def _with_needs(checks: Sequence[Check], only: Sequence[str]) -> list[Check]:
    wanted = set(only)
    for check in reversed(checks):
        if check.name in wanted:
            wanted |= set(check.needs)
    return [check for check in checks if check.name in wanted]


def verdicts(found: Sequence[Finding], check: str) -> set[Verdict]:
    return {one.verdict for one in found if one.check == check}


def accounts_with(loaded: Loaded, **changes: object) -> Loaded:
    """The same with another account at QPay."""
    assert loaded.accounts.qpay is not None
    return replace(loaded, accounts=Accounts(qpay=loaded.accounts.qpay.model_copy(update=changes)))


@contextmanager
def a_login(admin_url: str, database_url: str) -> Iterator[str]:
    """A login as it should be: a member of tootsoo_app alone. Yields the database's URL with it."""
    name = f"login_{uuid4().hex}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(name)))
        admin.execute(SQL("GRANT tootsoo_app TO {}").format(Identifier(name)))
        try:
            parts = urlsplit(database_url)
            yield parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}").geturl()
        finally:
            admin.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
            admin.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def env_of(stack: Stack) -> dict[str, str]:
    """The stack's settings, as a command reads them."""
    qpay = stack.groups.qpay
    return {
        "DATABASE_URL": stack.groups.database.database_url,
        "REDIS_URL": stack.groups.redis.redis_url,
        "PUBLIC_URL": stack.groups.web.public_url,
        "WEBHOOK_SECRET": stack.groups.web.webhook_secret[0].get_secret_value(),
        "QPAY_BASE_URL": qpay.qpay_base_url,
        "QPAY_USERNAME": qpay.qpay_username,
        "QPAY_PASSWORD": qpay.qpay_password.get_secret_value(),
        "QPAY_INVOICE_CODE": qpay.qpay_invoice_code,
    }
