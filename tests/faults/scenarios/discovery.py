"""20, 21, 37: callbacks that never come, or come when nobody waits for them any more; payments that are found early."""

import threading
from concurrent.futures import ThreadPoolExecutor

from tests.faults.fleet import wait_for
from tests.faults.oracle import Budget
from tests.faults.scenario import ImpossibleHereError, Scenario
from tests.faults.shop import Sale
from tests.faults.stage import Stage

SWEEP_EVERY_S = 2
"""What five minutes are in production: then it is found within the same two sweeps."""

SWEPT = {"DISCOVER_EVERY_S": str(SWEEP_EVERY_S), "SEAL_EVERY_S": "1"}
HOUR_S = 3_600
PAID, UNPAID = 140, 20
"""More payments than a page of the list holds, so that new ones move others while its pages are read."""


def all_callbacks_lost(stage: Stage) -> None:
    """No callback ever comes; customers pay while the list is read, which is newest first, so that its rows move."""
    stage.shop.announces = False
    stage.start_workers(2)
    paid = stage.shop.open_many(PAID, stage.rng, patience_s=60)
    stage.shop.open_many(UNPAID, stage.rng, prefix="unpaid", patience_s=60)
    stage.rng.shuffle(paid)
    stage.healed()
    with ThreadPoolExecutor(4) as customers:
        list(customers.map(lambda sale: stage.shop.pay(sale, callback="drop"), paid))
    stage.await_recorded(*(payment for sale in paid for payment in sale.payments))
    calls = stage.shop.calls()
    lists = calls["endpoints"].get("POST /v2/payment/list", 0)
    checks = sum(calls["checks"].values())
    stage.notes.append(f"{checks / PAID:.2f} checks a payment, {lists} calls of the list")


def callbacks_out_of_time(stage: Stage) -> None:
    """Callbacks come reordered three days late, and once more after thirty days: all has been found long before."""
    clock = stage.clock
    if clock is None:
        raise ImpossibleHereError("no C compiler to make a clock with")
    stage.shop.announces = False
    stage.start_workers(2)
    sales = stage.shop.open_many(12, stage.rng)
    stage.healed()
    for sale in sales:
        stage.shop.pay(sale, callback="hold")
    stage.await_recorded(*(payment for sale in sales for payment in sale.payments))
    stage.look()
    _await_sealed(stage)
    clock.set(72 * HOUR_S)
    stage.shop.gateway.post("/simulator/callbacks/release", json={"order": "reversed"}).raise_for_status()
    wait_for("the late callbacks are answered", lambda: not stage.shop.callbacks()["pending"], within_s=60)
    _await_checks(stage, 2 * len(sales))
    clock.set(30 * 24 * HOUR_S)
    replayed = [stage.shop.call_back(sale, payment) for sale in sales for payment in sale.payments]
    stage.notes.append(f"{replayed.count(200)} of {len(replayed)} replayed callbacks were taken")
    _await_checks(stage, 3 * len(sales))


def found_before_the_qr_is_saved(stage: Stage) -> None:
    """The list shows a payment while the gateway's answer to the create is still being written down."""
    stage.shop.announces = False
    stage.start_workers(1)
    stage.shop.open("order-first", 1_000)  # there is something to be found from now on
    stage.as_superuser(
        "CREATE FUNCTION public.save_slowly() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN PERFORM pg_sleep(7); RETURN NEW; END $$"
    )
    stage.as_superuser(
        "CREATE TRIGGER save_slowly BEFORE UPDATE OF external_id ON gateway_invoice FOR EACH ROW"
        " WHEN (NEW.state = 'open' AND OLD.state = 'issuing') EXECUTE FUNCTION public.save_slowly()"
    )
    amount, made = stage.rng.randint(100, 10**6), list[Sale]()
    asking = threading.Thread(target=lambda: made.append(stage.shop.open("early", amount)))
    asking.start()
    wait_for("the gateway has made the QR", lambda: _is_made(stage, "early"), within_s=20)
    order = {"number": "early", "callback": "drop"}
    payment = stage.shop.gateway.post("/simulator/pay", json=order).raise_for_status().json()["paymentId"]
    seen_s = wait_for("the list was read", lambda: _is_followed(stage, payment), within_s=20)
    saved = not asking.is_alive()
    asking.join()
    stage.as_superuser("DROP TRIGGER save_slowly ON gateway_invoice")
    made[0].payments.append(payment)
    stage.healed()
    took_s = stage.await_recorded(payment)
    stage.notes.append(
        f"found after {seen_s:.1f} s, {'after' if saved else 'before'} its QR was saved; recorded {took_s:.1f} s later"
    )


def _is_made(stage: Stage, invoice: str) -> bool:
    return any(known["number"] == invoice for known in stage.shop.facts()["invoices"])


def _is_followed(stage: Stage, payment: str) -> bool:
    with stage.eyes() as eyes:
        return bool(eyes.execute("SELECT FROM found_payment WHERE payment_id = %s", (payment,)).fetchall())


def _await_checks(stage: Stage, count: int) -> None:
    """Wait until so many checks were made: each callback causes one, late as it is."""
    wait_for(
        "the callbacks are looked into",
        lambda: sum(stage.shop.calls()["checks"].values()) >= count,
        within_s=60,
        look_every_s=0.25,
    )


def _await_sealed(stage: Stage) -> None:
    """Wait until every event is sealed: else the jump of the clock would look like a forgery."""

    def sealed() -> bool:
        with stage.eyes() as eyes:
            counted = "SELECT (SELECT count(*) FROM payment_event) = (SELECT count(*) FROM event_seal) AS all_sealed"
            row = eyes.execute(counted).fetchone()
        return bool(row and row["all_sealed"])

    wait_for("all is sealed", sealed, within_s=60, look_every_s=0.25)


SCENARIOS = (
    Scenario(
        number=20,
        title="all callbacks lost",
        play=all_callbacks_lost,
        within_s=20,
        budget=Budget(checks_per_qr=1, logins=1),
        env=SWEPT,
        quick=True,
    ),
    Scenario(
        number=21,
        title="callbacks reordered, three days late, replayed after thirty",
        play=callbacks_out_of_time,
        within_s=20,
        budget=Budget(checks_per_qr=3, logins=4),
        env=SWEPT,
        own_clock=True,
    ),
    Scenario(
        number=37,
        title="a payment is found before its QR is saved",
        play=found_before_the_qr_is_saved,
        within_s=20,
        budget=Budget(checks_per_qr=1, logins=1),
        env=SWEPT,
    ),
)
