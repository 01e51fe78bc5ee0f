"""A day at the simulator, compared as in production, a day later by the clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import LiteralString
from zoneinfo import ZoneInfo

import httpx

from adapters.postgres.connection import open_pool
from domain.following import Unmatched
from domain.payment_event import Source
from tests.waiting import wait_until
from tests.worker.conftest import Stack
from worker.clock import utc_now
from worker.compose.reconciling import compose_reconcile
from worker.follow_up import Difference
from worker.reconcile import DayReport, Reconcile
from worker.settings import DiscoverySettings

ZONE = "Asia/Ulaanbaatar"


@dataclass(slots=True)
class Compared:
    """One comparison, with the differences that it told of."""

    report: DayReport
    differences: list[Difference] = field(default_factory=list)

    def outline(self) -> dict[str | None, tuple[str, str]]:
        """Verdict and action of each payment that differs."""
        return {one.comparison.payment_id: (one.comparison.verdict.value, one.action.value) for one in self.differences}

    def counts(self) -> dict[str, int]:
        """Count the verdicts that there are."""
        assert self.report.tally is not None
        return {verdict.value: count for verdict, count in self.report.tally.counts.items() if count}


def tomorrow() -> datetime:
    return utc_now() + timedelta(days=1)


def today() -> date:
    return datetime.now(ZoneInfo(ZONE)).date()


@contextmanager
def comparing(stack: Stack, *, unmatched: Unmatched = Unmatched.SUSPENSE) -> Iterator[Reconcile]:
    """What compares, tomorrow: today is over then, and nothing recorded is so young that no list need have it."""
    groups = stack.groups
    with compose_reconcile(
        database=groups.database,
        redis=groups.redis,
        checks=groups.checks,
        accounts=groups.accounts,
        discovery=DiscoverySettings(unmatched=unmatched),
        timezone=ZONE,
        clock=tomorrow,
    ) as reconcile:
        yield reconcile


def compare(reconcile: Reconcile, day: date | None = None) -> Compared:
    told: list[Difference] = []
    report = reconcile("qpay", day or today(), source=Source.COMMAND, show=told.append)
    return Compared(report=report, differences=told)


def paid(stack: Stack, invoice_id: str, **order: object) -> str:
    """Make an invoice and have it paid; wait until that is recorded, unless nobody is told of it."""
    stack.put(invoice_id)
    stack.pay_link(invoice_id)
    payment_id: str = stack.pay(invoice_id, **order)["paymentId"]
    if order.get("callback") != "drop":
        wait_until(lambda: bool(stack.payments(invoice_id)))
    return payment_id


def tell(stack: Stack, payment_id: str, **telling: object) -> None:
    """Have the gateway tell something else of a payment."""
    url = f"{stack.simulator.url}/simulator/payments/{payment_id}"
    assert httpx.post(url, json=telling, trust_env=False).status_code == 200


def questions(stack: Stack) -> list[dict[str, object]]:
    """Every question that there ever was, oldest first."""
    return sql(stack, "SELECT id, kind, subject, state, seen FROM discrepancy ORDER BY id")


def sql(stack: Stack, statement: LiteralString) -> list[dict[str, object]]:
    """Ask the database, or change something in it, as the application's role may."""
    with open_pool(stack.groups.database.database_url, size=1) as pool, pool.connection() as connection:
        answer = connection.execute(statement)
        return answer.fetchall() if answer.description else []
