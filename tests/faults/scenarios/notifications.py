"""33: the merchant's application is down for a day, while customers pay and workers and Valkey die."""

from collections import defaultdict
from typing import LiteralString

from tests.faults.fleet import FaultError, wait_for
from tests.faults.oracle import Budget
from tests.faults.scenario import ImpossibleHereError, Scenario
from tests.faults.stage import Stage
from tests.merchant import Application, an_application

DAY_S = 86_400
STEPS = 6
LONGEST_WAIT_S = 1_860
"""Until what failed is tried again, and a minute."""


def application_is_down_for_a_day(stage: Stage) -> None:
    """Nobody listens for a day; then every notification comes, in order for each invoice."""
    clock, port = stage.clock, stage.notify_port
    if clock is None or port is None:
        raise ImpossibleHereError("no C compiler to make a clock with")
    clock.set(-DAY_S - LONGEST_WAIT_S)  # so that it is now when it ends: receivers look at the time
    workers = stage.start_workers(2)
    sales = stage.shop.open_many(6, stage.rng)
    for step in range(STEPS):
        for sale in sales:
            amount = max(1, sale.amount // STEPS)
            stage.await_recorded(stage.shop.pay(sale, amount), within_s=120)
        if step == 1:
            workers[0].kill()
            stage.start_workers(1)
        if step == 3:
            stage.valkey("FLUSHALL")
        wait_for("events are sealed before it is late", lambda: _unsealed(stage) == 0, within_s=120, look_every_s=0.5)
        clock.set(clock.offset_s + DAY_S // STEPS)
    stage.healed()
    with an_application(port=port) as application:
        clock.set(0)
        wait_for("everything is told", lambda: _untold(stage) == 0, within_s=120, look_every_s=0.5)
        _require_order(stage, application)


def _unsealed(stage: Stage) -> int:
    return _count(
        stage,
        "SELECT count(*) AS found FROM payment_event LEFT JOIN event_seal USING (position) WHERE number IS NULL",
    )


def _untold(stage: Stage) -> int:
    return _count(stage, "SELECT count(*) AS found FROM notification WHERE state <> 'delivered'")


def _count(stage: Stage, query: LiteralString) -> int:
    with stage.eyes() as eyes:
        row = eyes.execute(query).fetchone()
    return int(str(row["found"])) if row else 0


def _require_order(stage: Stage, application: Application) -> None:
    """Fail unless each was told once and in order, by its id and by its sequence."""
    if not all("too old" in why for why in application.refused):  # as long as their clock was behind
        raise FaultError(f"badly signed: {application.refused[:3]}")
    seen, told = set(), defaultdict(list)
    for one in application.taken():
        if one.id not in seen:  # after a crash the same may come again
            seen.add(one.id)
            told[one.invoice].append(one.sequence)
    with stage.eyes() as eyes:
        rows = eyes.execute(
            "SELECT invoice_id, array_agg(sequence ORDER BY sequence) AS staged FROM notification GROUP BY invoice_id"
        ).fetchall()
    for row in rows:
        if told[str(row["invoice_id"])] != row["staged"]:
            raise FaultError(f"{row['invoice_id']}: told {told[str(row['invoice_id'])]}, staged {row['staged']}")
    twice = len(application.taken()) - len(seen)
    stage.notes.append(f"{len(seen)} told of {len(rows)} invoices, {twice} of them twice")


SCENARIOS = (
    Scenario(
        number=33,
        title="the merchant's application down for a day",
        play=application_is_down_for_a_day,
        within_s=2 * DAY_S,  # a clock that jumps measures nothing; the scenario itself waits
        budget=Budget(checks_per_qr=4 * STEPS, logins=4),
        env={"SEAL_EVERY_S": "1"},
        own_clock=True,
        tells=True,
    ),
)
