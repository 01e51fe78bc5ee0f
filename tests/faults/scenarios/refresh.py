"""26: QRs are renewed while their customers pay: on the old one before, between and after its cancel, or on the new."""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import httpx

from tests.faults.fleet import FaultError, wait_for
from tests.faults.oracle import Budget
from tests.faults.scenario import ImpossibleHereError, Scenario
from tests.faults.shop import Sale
from tests.faults.stage import Stage

SALES = 48
PER_S = 12.0
"""Renewed a second, so that there is time for customers in between."""
RUNS_MAX = 4


def race_with_payments(stage: Stage) -> None:
    """Half of the customers pay at a moment of their own while all QRs are renewed; the gateway books some late."""
    if stage.fleet.run("refresh", "--help").returncode != 0:
        raise ImpossibleHereError("this version renews no QRs")
    stage.start_workers(2)
    sales = stage.shop.open_many(SALES, stage.rng)
    old = _let_all_expire(stage)
    early = [sale for sale in sales if stage.rng.random() < 0.1]
    unannounced = [stage.shop.pay(sale, callback="drop") for sale in early]
    racers = [sale for sale in sales if sale not in early and stage.rng.random() < 0.6]

    refreshing = stage.fleet.start("refresh", "--json", REFRESH_PER_S=str(PER_S), REFRESH_THREADS="4")
    wait_for("QRs are being renewed", lambda: _open_of(stage, old) < SALES, within_s=60)
    with ThreadPoolExecutor(max_workers=8) as customers:
        for sale in racers:
            customers.submit(_pay_at_some_moment, stage, sale, old[sale.qr], random.Random(stage.rng.random()))
    if refreshing.child.wait(timeout=120):
        _refresh_until_done(stage)
    stage.await_recorded(*unannounced, within_s=1)  # by the last look, and no callback ever came
    stage.healed()
    stage.await_recorded(*(payment for sale in racers for payment in sale.payments), within_s=60)
    _require_one_payable_qr_each(stage, sales)


def _let_all_expire(stage: Stage) -> dict[UUID, str]:
    """Let every QR be in its last hour, and return what the gateway calls each of them."""
    with stage.eyes() as eyes:
        rows = eyes.execute(
            "UPDATE gateway_invoice"
            " SET issued_at = issued_at - interval '6 days', expires_at = now() + interval '1 hour'"
            " WHERE state = 'open' RETURNING id, external_id"
        ).fetchall()
    return {UUID(str(row["id"])): str(row["external_id"]) for row in rows}


def _open_of(stage: Stage, qrs: dict[UUID, str]) -> int:
    with stage.eyes() as eyes:
        row = eyes.execute(
            "SELECT count(*) AS n FROM gateway_invoice WHERE state = 'open' AND id = ANY (%s)", (list(qrs),)
        ).fetchone()
    return int(str(row["n"])) if row else 0


def _pay_at_some_moment(stage: Stage, sale: Sale, old_id: str, rng: random.Random) -> None:
    """Pay the old QR, which for some was begun before its cancel and is booked only now; or else pay the new one."""
    time.sleep(rng.uniform(0, SALES / PER_S))
    late = rng.random() < 0.5
    order = {"invoiceId": old_id, "callback": "send", "force": late}
    answer = stage.shop.gateway.post("/simulator/pay", json=order)
    if answer.is_success:
        sale.payments.append(str(answer.json()["paymentId"]))
        return
    new_id = _await_new_qr(stage, sale)
    paid = stage.shop.gateway.post("/simulator/pay", json={"invoiceId": new_id, "callback": "send"})
    paid.raise_for_status()
    sale.payments.append(str(paid.json()["paymentId"]))


def _await_new_qr(stage: Stage, sale: Sale) -> str:
    """Ask for the QR until there is one, and return what the gateway calls it."""
    found: list[httpx.Response] = []

    def given() -> bool:
        found.append(stage.shop.ask_for_qr(sale.invoice))
        return found[-1].is_success

    wait_for(f"{sale.invoice} has a QR", given, within_s=60, look_every_s=0.5)
    with stage.eyes() as eyes:
        row = eyes.execute(
            "SELECT external_id FROM gateway_invoice WHERE id = %s", (found[-1].json()["gatewayInvoiceId"],)
        ).fetchone()
    return str(row["external_id"]) if row else ""


def _refresh_until_done(stage: Stage) -> None:
    for _ in range(RUNS_MAX):
        done = stage.fleet.run("refresh", "--json")
        if done.returncode == 0:
            return
        stage.notes.append(f"refreshed again: {done.stdout[-200:]}")
        time.sleep(20)  # a create whose outcome nobody knows is given up after a minute
    raise FaultError("the refresh does not come to its end")


def _require_one_payable_qr_each(stage: Stage, sales: list[Sale]) -> None:
    """Whoever has paid has none that can be paid, everybody else exactly one; and none is owed."""

    def right() -> bool:
        payable = Counter(
            invoice["number"].split("-g")[0] for invoice in stage.shop.facts()["invoices"] if invoice["state"] == "open"
        )
        return all(payable[sale.invoice] == (0 if sale.payments else 1) for sale in sales)

    wait_for("each invoice has the QRs that it should have", right, within_s=60, look_every_s=0.5)
    with stage.eyes() as eyes:
        if eyes.execute("SELECT FROM owed_qr").fetchone() is not None:
            raise FaultError("an invoice is owed a QR for ever")
        rows = eyes.execute("SELECT external_id FROM gateway_invoice WHERE external_id IS NOT NULL").fetchall()
        closed = eyes.execute(
            "SELECT count(*) AS n FROM payment_event JOIN gateway_invoice AS g ON g.id = gateway_invoice_id"
            " WHERE recorded_at > g.ended_at"
        ).fetchone()
        stage.notes.append(f"{closed and closed['n']} were paid on a QR that had been closed")
    stage.expected |= {str(row["external_id"]) for row in rows}  # each may be looked at once when it is closed


SCENARIOS = (
    Scenario(
        number=26,
        title="QRs are renewed while their customers pay",
        play=race_with_payments,
        within_s=20,
        budget=Budget(checks_per_qr=4, logins=1),
    ),
)
