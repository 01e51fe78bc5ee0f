"""The worker's parts, put together as in production, between real servers and the simulator."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import dramatiq
import httpx
import psycopg
import pytest
import uvicorn
from psycopg_pool import PoolTimeout
from pydantic import SecretStr

from adapters.redis.doorbell import DoorbellError
from simulator.clock import utc_now
from simulator.facts import Merchant, Terminal
from simulator.server import Running, serving
from simulator.world import Switches
from tests.proxy import Proxy, proxied
from tests.waiting import wait_until
from worker.accounts import Accounts
from worker.compose.database import open_keys
from worker.compose.processes import compose_scheduler, compose_web, compose_worker
from worker.settings import (
    SOCIALPAY_WEBHOOK,
    ApiSettings,
    CheckSettings,
    DatabaseSettings,
    DiscoverySettings,
    HistorySettings,
    LookBackSettings,
    MetricsSettings,
    QPaySettings,
    RedisSettings,
    RefreshSettings,
    SealSettings,
    SocialPaySettings,
    WebSettings,
)
from worker.web.app import create_app
from worker.web.parts import WebParts
from worker.web.server import config_of

MERCHANT = Merchant(username="TEST_MERCHANT", password="simulator-password", invoice_code="TEST_INVOICE")
WEBHOOK_SECRET = "a webhook secret that only tests know"
TERMINAL = "95000059"
SOCIALPAY_SECRET = "a terminal secret that only tests know"
METRICS_TOKEN = "a metrics token that only tests know"

TICK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The settings of the stack under test."""

    database: DatabaseSettings
    redis: RedisSettings
    checks: CheckSettings
    accounts: Accounts
    web: WebSettings

    @property
    def qpay(self) -> QPaySettings:
        assert self.accounts.qpay is not None
        return self.accounts.qpay


@dataclass(slots=True, kw_only=True)
class Stack:
    """The web process and its parts, a client of the API, the simulator, and the network to the servers."""

    groups: Groups
    parts: WebParts
    api: httpx.Client
    simulator: Running
    postgres: Proxy
    redis: Proxy
    gateway: Proxy

    def put(self, invoice_id: str = "order-1", *, amount: int = 1_500_000) -> dict[str, Any]:
        body = {"amount": {"amount": amount, "currency": "MNT"}, "description": "An order"}
        answer = self.api.put(f"/v2/invoices/{invoice_id}", json=body)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()  # type: ignore[no-any-return]  # JSON

    def pay_link(self, invoice_id: str = "order-1", *, gateway: str = "qpay") -> httpx.Response:
        return self.api.post(f"/v2/invoices/{invoice_id}/pay-link", json={"gateway": gateway})

    def invoice(self, invoice_id: str = "order-1") -> dict[str, Any]:
        return self.api.get(f"/v2/invoices/{invoice_id}").json()  # type: ignore[no-any-return]  # JSON

    def payments(self, invoice_id: str = "order-1") -> list[dict[str, Any]]:
        return self.api.get("/v2/payments", params={"invoice": invoice_id}).json()["payments"]  # type: ignore[no-any-return]  # JSON

    def pay(self, number: str | None = "order-1", **order: object) -> dict[str, Any]:
        which = {} if number is None else {"number": number}
        answer = httpx.post(f"{self.simulator.url}/simulator/pay", json=which | order, trust_env=False)
        assert answer.status_code == 201, answer.text
        return answer.json()  # type: ignore[no-any-return]  # JSON

    def record(self, amount: int | str, invoice_id: str = "order-1") -> None:
        """Let cash have been paid."""
        answer = self.api.post(
            f"/v2/invoices/{invoice_id}/manual-payment",
            json={"amount": {"amount": amount, "currency": "MNT"}, "method": "cash"},
            headers={"Idempotency-Key": f"{invoice_id}-{amount}"},
        )
        assert answer.status_code == 201, answer.text

    def calls(self) -> dict[str, Any]:
        return httpx.get(f"{self.simulator.url}/simulator/calls", trust_env=False).json()  # type: ignore[no-any-return]  # JSON

    def checks(self) -> int:
        return int(self.calls()["endpoints"].get("POST /v2/payment/check", 0))

    def creates(self) -> int:
        return int(self.calls()["endpoints"].get("POST /v2/invoice", 0))

    def callback_path(self, gateway_invoice_id: str) -> str:
        return f"/v2/qpay/webhook/{self.parts.tokens.make(UUID(gateway_invoice_id))}"


@pytest.fixture
def switches() -> Switches:
    return Switches()


@pytest.fixture
def spacing_s() -> float:
    """How far apart checks of one QR begin: less than in production, so that tests are quick."""
    return 0.2


@pytest.fixture
def retry_limit() -> int:
    """How often in a row a check may fail before it is parked."""
    return 600


@pytest.fixture
def api_limits() -> ApiSettings:
    """How often the API may be called: more than a test does."""
    return ApiSettings(rate_per_key=100_000, rate_per_address=100_000)


@pytest.fixture
def stack(
    database_url: str, redis_url: str, switches: Switches, spacing_s: float, retry_limit: int, api_limits: ApiSettings
) -> Iterator[Stack]:
    with ExitStack() as undo:
        postgres = undo.enter_context(proxied("127.0.0.1", urlsplit(database_url).port or 0))
        redis = undo.enter_context(proxied("127.0.0.1", urlsplit(redis_url).port or 0))
        listener = undo.enter_context(socket.create_server(("127.0.0.1", 0)))
        web_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        terminal = Terminal(terminal=TERMINAL, secret=SOCIALPAY_SECRET, push_url=f"{web_url}{SOCIALPAY_WEBHOOK}")
        simulator = undo.enter_context(
            serving(merchants=[MERCHANT], terminals=[terminal], clock=utc_now, switches=switches)
        )
        gateway = undo.enter_context(proxied("127.0.0.1", urlsplit(simulator.url).port or 0))
        groups = Groups(
            database=DatabaseSettings(database_url=_through(postgres, database_url)),
            redis=RedisSettings(redis_url=_through(redis, redis_url)),
            checks=CheckSettings(check_spacing_s=spacing_s, retry_base_s=0.2, retry_max_s=1.0, retry_limit=retry_limit),
            accounts=Accounts(
                qpay=QPaySettings(
                    qpay_base_url=f"http://127.0.0.1:{gateway.port}",
                    qpay_username=MERCHANT.username,
                    qpay_password=SecretStr(MERCHANT.password),
                    qpay_invoice_code=MERCHANT.invoice_code,
                    qpay_allow_partial=True,
                ),
                socialpay=SocialPaySettings(
                    socialpay_base_url=f"http://127.0.0.1:{gateway.port}",
                    socialpay_terminal=TERMINAL,
                    socialpay_secret=SecretStr(SOCIALPAY_SECRET),
                ),
            ),
            web=WebSettings(
                public_url=web_url, webhook_secret=(SecretStr(WEBHOOK_SECRET),), merchant_name="Гэрэл дэлгүүр"
            ),
        )
        parts = undo.enter_context(
            compose_web(
                database=groups.database,
                redis=groups.redis,
                checks=groups.checks,
                accounts=groups.accounts,
                web=groups.web,
                api=api_limits,
                timezone="Asia/Ulaanbaatar",
                metrics_settings=MetricsSettings(metrics_token=(SecretStr(METRICS_TOKEN),)),
            )
        )
        undo.enter_context(_served(parts, listener))
        with open_keys(groups.database) as keys:
            key = keys.create("test", now=utc_now())
        api = undo.enter_context(
            httpx.Client(base_url=web_url, headers={"Authorization": f"Bearer {key}"}, timeout=20, trust_env=False)
        )
        yield Stack(
            groups=groups, parts=parts, api=api, simulator=simulator, postgres=postgres, redis=redis, gateway=gateway
        )


@pytest.fixture
def working(working_unscheduled: Callable[[], int]) -> Iterator[Callable[[], int]]:
    """A worker that takes messages, and a scheduler that rings for what is due. Yields its tick, for the impatient.

    Without the scheduler a check that cannot be made at once, on a busy machine, is made again by nobody.
    """
    over = threading.Event()
    scheduler = threading.Thread(target=_tick, args=(working_unscheduled, over))
    scheduler.start()
    try:
        yield working_unscheduled
    finally:
        over.set()
        scheduler.join()


@pytest.fixture
def working_unscheduled(stack: Stack) -> Iterator[Callable[[], int]]:
    """A worker that takes messages. Yields the scheduler's tick: nothing is rung for but when the test calls it."""
    groups = stack.groups
    with (
        compose_worker(
            database=groups.database,
            redis=groups.redis,
            checks=groups.checks,
            accounts=groups.accounts,
            web=groups.web,
            refresh=RefreshSettings(),
            discovery=DiscoverySettings(),
            seals=SealSettings(),
            history=HistorySettings(),
            look_back=LookBackSettings(),
            timezone="Asia/Ulaanbaatar",
        ) as (broker, _),
        compose_scheduler(database=groups.database, redis=groups.redis, checks=groups.checks, jobs=()) as ticks,
    ):
        worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=50)
        worker.start()
        try:
            yield ticks["ring"]
        finally:
            worker.stop()


def _tick(ring: Callable[[], int], over: threading.Event) -> None:
    while not over.wait(TICK_EVERY_S):
        with suppress(DoorbellError, PoolTimeout, psycopg.Error):  # as the scheduler does: the next tick rings for it
            ring()


@pytest.fixture
def sql(database_url: str) -> Iterator[Callable[..., list[Any]]]:
    """Say a statement to the test's database, as its superuser; returns the rows."""
    with psycopg.connect(database_url, autocommit=True, options="-c search_path=tootsoo") as connection:

        def execute(statement: str, *values: object) -> list[Any]:
            cursor = connection.execute(statement, values)  # a test's own text
            return cursor.fetchall() if cursor.description else []

        yield execute


@contextmanager
def _served(parts: WebParts, listener: socket.socket) -> Iterator[None]:
    server = uvicorn.Server(config_of(create_app(parts), trusted_proxies=["127.0.0.1"]))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    wait_until(lambda: server.started or not thread.is_alive())
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def _through(proxy: Proxy, url: str) -> str:
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    return parts._replace(netloc=f"{user}127.0.0.1:{proxy.port}").geturl()
