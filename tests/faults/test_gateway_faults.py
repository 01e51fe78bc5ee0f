"""A fifth of all calls to QPay goes wrong, in each way alone and in all at once: every payment settles exactly once."""

import os
import random
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from simulator.faults import Fault
from tests.faults import oracle
from tests.faults.fleet import FaultError
from tests.faults.oracle import Breach, Budget
from tests.faults.shop import Sale
from tests.faults.stage import Stage, new_stage
from tests.faults.trial import judge_at_rest, judge_at_work

pytestmark = pytest.mark.slow

SHARE = 0.2
"""Of all calls that a fault can meet."""
EACH, TOGETHER = 100, 500
"""Payments for each fault alone, and for all of them at once."""
PARTS = 105
"""More, on one QR, where rows are what goes wrong: a page does not hold them. And the others are paid in two, for rows
move only where there are several."""
CUSTOMERS = 32
"""So many are served at once."""

HASTE = (
    "10 check_timeout_s=1.5 issue_timeout_s=1.5 cancel_timeout_s=1.5 refund_timeout_s=1.5 look_timeout_s=1.5"
    " login_timeout_s=0.3 login_spacing_s=0.3 ISSUE_DEADLINE_S=2.2 LEASE_S=3 RING_AGAIN_S=1.5"
)
"""Calls keep a fifth of their time, so that a busy machine does not look like a fault. Logins are 0.3 s apart instead
of 30: each fault of a token costs one, and of two hundred calls forty have one. A create is given up after 2.2 s, not
60: for one invoice in a hundred three in a row go wrong."""
SETTINGS = {"RETRY_BASE_S": "0.2", "RETRY_MAX_S": "2", "CHECK_SPACING_S": "0.2", "DISCOVER_EVERY_S": "10"}
"""What neither a callback nor a look after it has brought is found by a sweep."""

PATIENCE_S = 90.0
"""How long a customer asks again for a QR."""
SETTLED_WITHIN_S = 90.0

BUDGET = Budget(checks_per_qr=60, logins=100_000, looks_per_payment=5)
"""A sweep looks up a payment whose row in a list, or whose check, has gone wrong; and a look may go wrong as well."""
OF_ROWS = {Fault.DUPLICATED_ROWS, Fault.MOVING_ROWS, Fault.STALE}

CAUSE_TO_ASK = {
    Fault.UNAUTHORIZED: {"credentials_used_elsewhere"},
    Fault.LOGGED_OUT: {"credentials_used_elsewhere"},
    Fault.STALE: {"missing_at_gateway"},
    Fault.MOVING_ROWS: {"missing_at_gateway"},
    Fault.WRONG_TYPES: {"unreadable_row"},
    Fault.UNKNOWN_STATUS: {"unknown_status"},
}
"""What a person may be asked: two stale reads in a row are a question, and so are two strange rows."""


def test_each_fault_alone_at_a_fifth_of_calls_settles_every_payment_once(tmp_path: Path) -> None:
    with _stage(tmp_path) as stage:
        broken = {
            fault.value: _endure(
                stage,
                name=fault.value.lower(),
                rule={"kind": fault, "probability": SHARE},
                payments=EACH,
                parts=PARTS if fault in OF_ROWS else 0,
                may_ask=CAUSE_TO_ASK.get(fault, set()),
            )
            for fault in Fault
        }
        broken["at rest"] = judge_at_rest(stage)

    assert {name: breaches for name, breaches in broken.items() if breaches} == {}


def test_all_faults_together_at_a_fifth_of_calls_settle_every_payment_once(tmp_path: Path) -> None:
    with _stage(tmp_path) as stage:
        broken = _endure(
            stage,
            name="together",
            rule={"probability": SHARE},
            payments=TOGETHER,
            parts=PARTS,
            may_ask=set.union(*CAUSE_TO_ASK.values()),
        )
        broken += judge_at_rest(stage)

    assert broken == []


@contextmanager
def _stage(folder: Path) -> Iterator[Stage]:
    seed = os.environ.get("SEED") or str(secrets.randbelow(10**6))
    print(f"SEED={seed}")  # noqa: T201 - by it the run can be had again
    with new_stage(seed=seed, logs=folder, env=SETTINGS, haste=HASTE) as stage:
        stage.start_workers(2)
        stage.shop.gateway.patch("/simulator/switches", json={"qrImageIsEmpty": True}).raise_for_status()
        yield stage


def _endure(
    stage: Stage, *, name: str, rule: dict[str, object], payments: int, parts: int, may_ask: set[str]
) -> list[Breach]:
    """Have customers pay while calls go wrong, until all is settled, and judge when nothing goes wrong any more."""
    begun = time.monotonic()
    rng = random.Random(f"{stage.seed}:{name}")
    stage.shop.break_gateway(rule, seed=rng.randrange(2**31))
    try:
        sales = _sell(stage, name=name, rng=rng, payments=payments, parts=parts)
        swept = _await_settled(stage, sales)
    except FaultError as error:
        return [Breach(invariant="settled", what=str(error))]
    went_wrong = stage.shop.went_wrong()
    stage.shop.mend_gateway()
    stage.healed()
    quiet_s = stage.await_quiet()
    print(  # noqa: T201 - what a failure is judged by
        f"{name}: {sum(len(sale.payments) for sale in sales)} payments, {swept} swept, {went_wrong} faults,"
        f" {time.monotonic() - begun:.1f} s, of which quiet {quiet_s:.1f}"
    )
    breaches = judge_at_work(stage, within_s=SETTLED_WITHIN_S, budget=BUDGET, may_ask=True)
    if not went_wrong:
        breaches.append(Breach(invariant="harness", what="nothing went wrong"))
    return breaches + [
        Breach(invariant="I1", what=f"a question without cause: {kind}: {detail}")
        for kind, detail in _new_questions(stage)
        if kind not in may_ask
    ]


def _sell(stage: Stage, *, name: str, rng: random.Random, payments: int, parts: int) -> list[Sale]:
    """Sell to many at once; one more pays in so many `parts`, of which one in ten is announced, if any does."""
    each = 2 if parts else 1
    orders = [(f"{name}-{number}", rng.randint(200, 5_000_000)) for number in range(payments // each)]
    with ThreadPoolExecutor(CUSTOMERS) as pool:
        in_parts = [pool.submit(_buy_in_parts, stage, f"{name}-parts", parts)] if parts else []
        others = [pool.submit(_buy, stage, *order, payments=each) for order in orders]
        return [sold.result() for sold in (*others, *in_parts)]


def _buy(stage: Stage, invoice: str, amount: int, *, payments: int) -> Sale:
    sale = _open(stage, invoice, amount)
    for left in range(payments, 0, -1):
        stage.shop.pay(sale, None if left == 1 else amount // payments)
    return sale


def _buy_in_parts(stage: Stage, invoice: str, parts: int) -> Sale:
    sale = _open(stage, invoice, parts * 100)
    for part in range(parts):
        stage.shop.pay(sale, 100, callback="send" if part % 10 == 0 or part == parts - 1 else "drop")
    return sale


def _open(stage: Stage, invoice: str, amount: int) -> Sale:
    """Ask for a QR until there is one, also when QPay has refused our token twice."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return stage.shop.open(invoice, amount, patience_s=PATIENCE_S)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.BAD_GATEWAY or time.monotonic() > until:
                raise FaultError(f"no QR for {invoice}: {error.response.text[:300]}") from error


def _await_settled(stage: Stage, sales: list[Sale]) -> int:
    """Wait until every payment is recorded while calls still go wrong; return how many of them a sweep has found."""
    wanted = {payment for sale in sales for payment in sale.payments}
    stage.await_recorded(*wanted, within_s=SETTLED_WITHIN_S)
    with stage.eyes() as eyes:
        return sum(event["source"] == "sweep" and event["payment_id"] in wanted for event in oracle.read(eyes).events)


def _new_questions(stage: Stage) -> list[tuple[str, str]]:
    """Return what is asked, and answer it, so that the next fault is not blamed for it."""
    with stage.eyes() as eyes:
        asked = oracle.read(eyes).questions
        eyes.execute(
            "UPDATE discrepancy SET state = 'resolved', resolution = 'seen', resolved_by = 'test', resolved_at = now()"
            " WHERE state = 'open'"
        )
    return [(one["kind"], one["detail"]) for one in asked]
