"""18, 19, 23: callbacks that come all at once, with others, and too early."""

import threading
from collections.abc import Callable
from uuid import UUID

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.connection import open_pool
from domain.payment_event import Source
from tests.faults.fleet import FaultError, wait_for
from tests.faults.oracle import Budget
from tests.faults.scenario import Scenario
from tests.faults.shop import Sale
from tests.faults.stage import Stage

BURST = 100


def hundred_at_once(stage: Stage) -> None:
    """A gateway sends the same callback a hundred times at once, for some invoices."""
    stage.start_workers(2)
    for sale in stage.shop.open_many(4, stage.rng):
        stage.shop.pay(sale, repeat=BURST)
    stage.healed()


def three_at_the_same_moment(stage: Stage) -> None:
    """A callback, a sweep and a person ask for a check of the same QR at the same moment, with workers for each."""
    stage.start_workers(3)
    with open_pool(stage.eyes_url, size=4) as pool:
        requests = CheckRequests(pool, spacing_s=2.0, retry_base_s=2.0, retry_max_s=600.0)
        for sale in stage.shop.open_many(12, stage.rng):
            payment = stage.shop.pay(sale, callback="drop")
            _at_once(
                lambda sale=sale, payment=payment: stage.shop.call_back(sale, payment),  # type: ignore[misc]
                lambda qr=sale.qr: _ask(stage, requests, qr, Source.SWEEP),  # type: ignore[misc]
                lambda qr=sale.qr: _ask(stage, requests, qr, Source.COMMAND),  # type: ignore[misc]
            )
    stage.healed()


def _ask(stage: Stage, requests: CheckRequests, qr: UUID, source: Source) -> None:
    """Ask for a check and ring twice, so that several workers come."""
    requests.request(qr, source=source)
    for _ in range(2):
        stage.ring(qr)


def _at_once(*works: Callable[[], object]) -> None:
    gate = threading.Barrier(len(works))

    def go(work: Callable[[], object]) -> None:
        gate.wait()
        work()

    threads = [threading.Thread(target=go, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def before_the_qr_is_saved(stage: Stage) -> None:
    """The customer has paid, and the callback comes, while the gateway's answer to the create is still on its way."""
    stage.start_workers(1)
    stage.shop.open("order-first", 1_000)  # somebody has logged in
    for number in range(5):
        invoice, amount = f"early-{number}", stage.rng.randint(100, 10**6)
        stage.shop.put(invoice, amount).raise_for_status()
        made: list[Sale] = []
        asking = threading.Thread(target=lambda i=invoice, a=amount, m=made: m.append(stage.shop.open(i, a)))
        with stage.gateway.answers_held():
            asking.start()
            wait_for("the gateway has made the QR", lambda i=invoice: _is_made(stage, i), within_s=20)  # type: ignore[misc]
            paid = stage.shop.gateway.post(
                "/simulator/pay", json={"number": invoice, "repeat": stage.rng.randint(1, 3)}
            )
            paid.raise_for_status()
            wait_for("the callbacks are answered", lambda: not stage.shop.callbacks()["pending"], within_s=20)
        asking.join()
        if not made:
            raise FaultError(f"{invoice} got no QR")
        made[0].payments.append(paid.json()["paymentId"])
    stage.healed()


def _is_made(stage: Stage, invoice: str) -> bool:
    return any(known["number"] == invoice for known in stage.shop.facts()["invoices"])


SCENARIOS = (
    Scenario(
        number=18,
        title="100 callbacks at once for one invoice",
        play=hundred_at_once,
        within_s=15,
        budget=Budget(checks_per_qr=2, logins=1),
        quick=True,
    ),
    Scenario(
        number=19,
        title="callback, sweep and a person at the same moment",
        play=three_at_the_same_moment,
        within_s=15,
        budget=Budget(checks_per_qr=3, logins=1),
    ),
    Scenario(
        number=23,
        title="a callback before the QR is saved",
        play=before_the_qr_is_saved,
        within_s=20,
        budget=Budget(checks_per_qr=4, logins=1),
    ),
)
