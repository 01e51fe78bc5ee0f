"""From the customer's payment to the merchant's application, through real processes' parts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dramatiq
import psycopg
import pytest
from prometheus_client import generate_latest

from tests.merchant import SECRET, Application, an_application
from tests.waiting import wait_until
from tests.worker.conftest import Stack
from tests.worker.scrape import Scrape
from tests.worker.test_cli import run
from worker.compose.notifying import compose_notifier
from worker.compose.processes import compose_scheduler, compose_worker
from worker.metrics.instruments import Metrics
from worker.notify_target import NotifyTarget
from worker.settings import DiscoverySettings, HistorySettings, LookBackSettings, RefreshSettings, SealSettings

Tick = Callable[[], int]


@pytest.fixture
def application() -> Iterator[Application]:
    with an_application() as running:
        yield running


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def tick(stack: Stack, application: Application, metrics: Metrics) -> Iterator[Tick]:
    """A worker that tells the application, and the scheduler's tick for it."""
    groups = stack.groups
    target = NotifyTarget(url=application.url, secrets=(SECRET,), allow_private=True, timeout_s=5)
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
            notify=target,
            metrics=metrics,
        ) as (broker, _),
        compose_notifier(target, database=groups.database, redis=groups.redis, metrics=metrics) as ((apart, _),),
        compose_scheduler(
            database=groups.database, redis=groups.redis, checks=groups.checks, jobs=(), notify=target
        ) as ticks,
    ):
        workers = [dramatiq.Worker(one, worker_threads=4, worker_timeout=50) for one in (broker, apart)]
        for worker in workers:
            worker.start()
        try:
            yield ticks["notify"]
        finally:
            for worker in workers:
                worker.stop()


def test_a_payment_is_told_at_once_with_the_balance_that_the_api_shows(
    stack: Stack, tick: Tick, application: Application, metrics: Metrics, database_url: str, tmp_path: Path
) -> None:
    stack.put()
    stack.pay_link()
    paid = stack.pay()

    wait_until(lambda: len(application.told) == 1)  # nobody ticks: the append itself rings

    (told,) = application.told
    invoice = stack.invoice()
    assert (told.type, told.sequence) == ("invoice.paid", 1)
    assert told.payload["data"]["invoice"] == {"id": "order-1", "balance": invoice["balance"]}
    assert told.payload["data"]["payments"] == [
        {
            "id": f"qpay:{paid['paymentId']}",
            "gateway": "qpay",
            "paymentId": paid["paymentId"],
            "kind": "received",
            "amount": {"amount": "1500000.00", "currency": "MNT"},
        }
    ]
    assert told.payload["timestamp"] == stack.payments()[0]["recordedAt"]

    replayed = run(tmp_path, "replay", DATABASE_URL=database_url)
    assert replayed.returncode == 0
    assert tick() == 0
    counted = Scrape(generate_latest(metrics.registry).decode())
    assert counted("tootsoo_notifications_total", type="invoice.paid", outcome="delivered") == 1
    assert len(application.told) == 1


def test_what_redis_lost_or_the_application_refused_is_told_at_the_schedulers_tick(
    stack: Stack, tick: Tick, application: Application, database_url: str
) -> None:
    application.answer = lambda _: (500, {}, b"")
    stack.put()
    stack.pay_link()
    stack.pay(amount=1_000_000)
    wait_until(lambda: stack.invoice()["balance"]["status"] == "partially_paid")
    stack.pay(amount=500_000)
    wait_until(lambda: stack.invoice()["balance"]["status"] == "paid")
    wait_until(lambda: len(application.told) >= 1)
    application.answer = lambda _: (200, {}, b"")

    def told() -> bool:
        with psycopg.connect(database_url) as clock:  # the wait after the failure is over
            clock.execute("UPDATE tootsoo.notification SET next_try_at = now(), rung_at = NULL WHERE state = 'pending'")
        tick()
        return len(application.taken()) == 2

    wait_until(told)

    assert [(one.type, one.sequence) for one in application.taken()] == [
        ("invoice.partially_paid", 1),
        ("invoice.paid", 2),
    ]
