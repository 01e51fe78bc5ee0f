"""15: what was PAID is told otherwise later, or is gone, and nobody says so."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tests.faults.fleet import FaultError, wait_for
from tests.faults.oracle import Budget
from tests.faults.scenario import ImpossibleHereError, Scenario
from tests.faults.stage import Stage

ZONE = ZoneInfo("Asia/Ulaanbaatar")
NOON, MORNING = time(12), time(4, 1)
"""When customers pay, and when the look back has just begun."""

NIGHT_WITHIN_S = 120.0
QUESTIONS = {"changed_status", "missing_at_gateway", "changed_day"}


def paid_rows_change(stage: Stage) -> None:
    """Payments of a day that was compared turn REFUNDED and PARTIAL, or are gone: the next night notices it alone."""
    if stage.clock is None:
        raise ImpossibleHereError("no C compiler to make a clock with")
    paid_on = datetime.now(ZONE).date() + timedelta(days=1)
    _set_clock(stage, paid_on, NOON)
    stage.start_workers(2)
    refunded, partial, gone, *others = stage.shop.open_many(6, stage.rng)
    payments = {sale.invoice: stage.shop.pay(sale) for sale in (refunded, partial, gone, *others)}
    stage.await_recorded(*payments.values())
    wait_for("all is sealed", lambda: _unsealed(stage) == 0, within_s=60)  # else the jump would look like a forgery
    _set_clock(stage, paid_on + timedelta(days=1), MORNING)
    wait_for("the day was compared and is clean", lambda: _open_of(stage, paid_on) == [0], within_s=NIGHT_WITHIN_S)

    _tell(stage, payments[refunded.invoice], status="REFUNDED")
    _tell(stage, payments[partial.invoice], status="PARTIAL")
    _tell(stage, payments[gone.invoice], hidden=True)
    stage.healed()
    _set_clock(stage, paid_on + timedelta(days=2), MORNING)
    took_s = wait_for(
        "the refund is recorded, and the rest is asked about",
        lambda: _is_refunded(stage, payments[refunded.invoice]) and _asked(stage) >= QUESTIONS,
        within_s=NIGHT_WITHIN_S + 60,
        look_every_s=0.5,
    )
    stage.notes.append(f"noticed {took_s:.0f} s after the night began")
    if unexpected := _asked(stage) - QUESTIONS:
        raise FaultError(f"asked without cause: {unexpected}")


def _set_clock(stage: Stage, day: date, at: time) -> None:
    """Let it be this time in TIMEZONE for all processes of the trial."""
    if stage.clock is not None:
        stage.clock.set(round((datetime.combine(day, at, ZONE) - datetime.now(UTC)).total_seconds()))


def _unsealed(stage: Stage) -> int:
    with stage.eyes() as eyes:
        row = eyes.execute(
            "SELECT (SELECT count(*) FROM payment_event) - (SELECT count(*) FROM event_seal) AS unsealed"
        ).fetchone()
    return int(str(row["unsealed"])) if row else 0


def _tell(stage: Stage, payment: str, **telling: object) -> None:
    stage.shop.gateway.post(f"/simulator/payments/{payment}", json=telling).raise_for_status()


def _open_of(stage: Stage, day: date) -> list[object]:
    with stage.eyes() as eyes:
        rows = eyes.execute("SELECT open FROM reconciliation_run WHERE day = %s ORDER BY id", (day,)).fetchall()
    return [row["open"] for row in rows]


def _is_refunded(stage: Stage, payment: str) -> bool:
    with stage.eyes() as eyes:
        row = eyes.execute(
            "SELECT FROM payment_event WHERE payment_id = %s AND kind = 'refunded' AND source = 'sweep'", (payment,)
        ).fetchone()
    return row is not None


def _asked(stage: Stage) -> set[str]:
    with stage.eyes() as eyes:
        rows = eyes.execute("SELECT kind FROM discrepancy WHERE state = 'open'").fetchall()
    return {str(row["kind"]) for row in rows}


SCENARIOS = (
    Scenario(
        number=15,
        title="a PAID row turns REFUNDED, PARTIAL, or is gone",
        play=paid_rows_change,
        within_s=4 * 86_400,  # a clock that jumps measures nothing; the scenario itself waits
        budget=Budget(checks_per_qr=5, logins=5),
        env={"SEAL_EVERY_S": "1"},
        own_clock=True,
        may_ask=True,
    ),
)
