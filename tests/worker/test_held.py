"""A process that must stop finishes what is at hand, and lets go what does not end in time."""

import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import dramatiq
import pytest

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.schedule import ScheduleRuns
from adapters.redis.doorbell import open_broker
from domain.payment_event import Source
from tests.adapters.postgres.samples import open_qr, put
from tests.waiting import wait_until
from worker import consumer
from worker.held import Held
from worker.jobs import Work
from worker.run_job import RunJob

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size=4) as pool:
        yield pool


@pytest.fixture
def qr(pool: Pool) -> UUID:
    put(Invoices(pool))
    return open_qr(pool)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_check_that_is_released_can_be_made_by_another_at_once(pool: Pool, qr: UUID) -> None:
    requests = CheckRequests(pool, spacing_s=2.0, retry_base_s=2.0, retry_max_s=60.0)
    requests.request(qr, source=Source.CALLBACK)
    check = requests.claim(qr, lease_token=uuid4())
    assert check is not None

    assert (requests.release(check), requests.release(check)) == (True, False)

    assert requests.ring_due("qpay", page=10) == [qr]
    again = requests.claim(qr, lease_token=uuid4())
    assert again is not None
    assert again.attempts == 1


def test_what_has_ended_is_not_let_go() -> None:
    held, let_go = Held(), list[str]()
    with held.holding(lambda: let_go.append("first")):
        with held.holding(lambda: let_go.append("second")):
            pass

        assert held.release_all() == 1

    assert (let_go, held.release_all()) == (["first"], 0)


def test_sigterm_lets_go_of_work_that_does_not_end(pool: Pool, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "SHUTDOWN_MS", 300)
    runs, held, goes_on = ScheduleRuns(pool), Held(), threading.Event()
    runs.enter("house", "2026-11-22", now=NOON)
    broker = open_broker(redis_url, timeout_s=5)

    def do(_: str) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        goes_on.wait(timeout=30)
        return "late"

    run_job = RunJob(runs=runs, works={"house": Work(do=do, tries=3)}, held=held)
    dramatiq.actor(broker=broker, actor_name="job", queue_name="jobs")(lambda: run_job(1)).send()

    consumer.consume(broker, threads=1, held=held)
    again = runs.claim(1, jobs=["house"], lease_token=uuid4())
    goes_on.set()

    assert again is not None
    assert again.attempts == 1
    wait_until(lambda: held.release_all() == 0)
    last = runs.last("house")
    assert last is not None
    assert last.outcome is None
