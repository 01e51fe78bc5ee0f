"""Each night the last days are compared again: yesterday first, each once, and what nobody announced is noticed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from random import Random

import psycopg
import pytest

from adapters.postgres.discoveries import UNREADABLE
from adapters.postgres.schedule import ScheduleRuns
from domain.following import Unmatched
from simulator.faults import Drawn, Fault
from simulator.world import Switches
from tests.waiting import wait_until
from tests.worker.conftest import METRICS_TOKEN, Stack
from tests.worker.reconciling import ZONE, paid, questions, sql, tell, today, tomorrow
from tests.worker.scrape import scrape
from tests.worker.test_reconcile import of_another_client
from worker.compose.core import open_core
from worker.compose.reconciling import look_back_on
from worker.look_back import CHECKED_AFTER_S, LookBack, LookBackFailedError
from worker.metrics.instruments import Metrics
from worker.settings import DiscoverySettings, LookBackSettings

TOMORROW = (today() + timedelta(days=1)).isoformat()


@contextmanager
def looking_back(
    stack: Stack,
    *,
    days: int = 3,
    pause: Callable[[float], None] = lambda _: None,
    unmatched: Unmatched = Unmatched.SUSPENSE,
) -> Iterator[LookBack]:
    """The nightly job, as it is tomorrow."""
    groups = stack.groups
    with open_core(
        database=groups.database,
        redis=groups.redis,
        checks=groups.checks,
        accounts=groups.accounts,
        redis_timeout_s=5,
        metrics=Metrics(),
    ) as core:
        runs = ScheduleRuns(core.pool)
        yield look_back_on(
            core,
            settings=LookBackSettings(lookback_days=days),
            accounts=groups.accounts,
            discovery=DiscoverySettings(unmatched=unmatched),
            timezone=ZONE,
            clock=tomorrow,
            scheduled=lambda: runs.now() + timedelta(days=1),
            pause=pause,
        )


@pytest.fixture
def look_back(stack: Stack) -> Iterator[LookBack]:
    with looking_back(stack) as look_back:
        yield look_back


def lists(stack: Stack) -> int:
    return int(stack.calls()["endpoints"].get("POST /v2/payment/list", 0))


def older_qrs(stack: Stack) -> None:
    sql(stack, "UPDATE gateway_invoice SET issued_at = issued_at - interval '20 days'")


@pytest.mark.usefixtures("working")
def test_a_night_compares_each_day_once_and_a_second_try_nothing(stack: Stack, look_back: LookBack) -> None:
    paid(stack, "order-1")
    older_qrs(stack)

    first = look_back(TOMORROW)
    calls = lists(stack)
    second = look_back(TOMORROW)

    days = [row["day"] for row in sql(stack, "SELECT day FROM reconciliation_run ORDER BY id")]
    assert days == [today() - timedelta(days=back) for back in range(3)]
    assert first.startswith("qpay: 3 of 3 days compared, ")
    assert second.startswith("qpay: 3 of 3 days compared, 0 rows")
    assert lists(stack) == calls


@pytest.mark.usefixtures("working")
def test_days_before_the_first_qr_of_ours_are_not_asked_about(stack: Stack, look_back: LookBack) -> None:
    before = look_back(TOMORROW)
    paid(stack, "order-1")

    told = look_back(TOMORROW)

    assert before == "qpay: nothing of ours is older than today"
    assert told.startswith("qpay: 1 of 1 days compared")


@pytest.mark.usefixtures("working")
def test_what_is_not_recorded_is_handed_to_discovery_which_follows_it(stack: Stack, look_back: LookBack) -> None:
    paid(stack, "order-1")
    theirs = of_another_client(stack)

    look_back(TOMORROW)

    assert sql(stack, "SELECT payment_id FROM found_payment") == [{"payment_id": theirs}]
    assert stack.calls()["paymentGets"] == {}


@pytest.mark.usefixtures("working")
def test_a_payment_whose_row_cannot_be_read_is_handed_to_discovery_as_well(stack: Stack, look_back: LookBack) -> None:
    paid(stack, "order-1")
    theirs = of_another_client(stack)
    tell(stack, theirs, garbled=True)

    look_back(TOMORROW)

    assert sql(stack, "SELECT payment_id, status FROM found_payment") == [{"payment_id": theirs, "status": UNREADABLE}]


@pytest.mark.parametrize("switches", [Switches(list_object_id="absent", list_without_qr_code=True)])
def test_what_the_list_ties_to_nothing_is_ignored_only_when_it_was_looked_up(stack: Stack) -> None:
    paid(stack, "ours", callback="drop")
    theirs = of_another_client(stack)

    for _ in range(2):
        with looking_back(stack, unmatched=Unmatched.IGNORE) as look_back:
            look_back(TOMORROW)
        with psycopg.connect(stack.groups.database.database_url, options="-c search_path=tootsoo") as discovery:
            discovery.execute(
                "UPDATE found_payment SET outcome = 'ignored', ended_at = now() WHERE payment_id = %s", (theirs,)
            )
            discovery.execute("UPDATE reconciliation_run SET night = NULL")

    assert [row["open"] for row in sql(stack, "SELECT open FROM reconciliation_run ORDER BY id")] == [2, 1]


@pytest.mark.usefixtures("working")
def test_what_was_missed_is_left_to_the_latest_night(stack: Stack, look_back: LookBack) -> None:
    paid(stack, "order-1")

    yesterday = today() - timedelta(days=1)  # today's night may not have begun, and then it is the latest

    assert "left to a later night" in look_back(yesterday.isoformat())
    assert lists(stack) == 0


@pytest.mark.usefixtures("working")
def test_the_list_is_read_within_the_budget_and_the_rest_the_next_night(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.look_back.CALLS_MAX", 0)
    paid(stack, "order-1")
    older_qrs(stack)

    with looking_back(stack) as look_back:
        told = look_back(TOMORROW)

    assert told.startswith("qpay: 1 of 3 days compared")
    assert [row["day"] for row in sql(stack, "SELECT day FROM reconciliation_run")] == [today()]


@pytest.mark.usefixtures("working")
def test_a_gateway_that_does_not_answer_fails_the_try_and_the_next_one_goes_on(
    stack: Stack, look_back: LookBack
) -> None:
    paid(stack, "order-1")
    stack.gateway.cut()
    with pytest.raises(LookBackFailedError, match="qpay"):
        look_back(TOMORROW)

    stack.gateway.mend()
    wait_until(lambda: _told(look_back) is not None)

    assert len(sql(stack, "SELECT id FROM reconciliation_run")) == 1


@pytest.mark.usefixtures("working")
def test_a_day_that_cannot_be_read_keeps_no_other_from_being_compared(
    stack: Stack, look_back: LookBack, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid(stack, "order-1")
    older_qrs(stack)
    look_back(TOMORROW)  # now the zone of the list is known
    sql(stack, "DELETE FROM reconciliation_run")
    faults, draw = stack.simulator.world.faults, stack.simulator.world.faults.draw
    asked = count()

    def cut_off_at_first(endpoint: str) -> Drawn | None:
        first = endpoint == "POST /v2/payment/list" and next(asked) == 0
        return Drawn(kind=Fault.TRUNCATED, seconds=0, chance=Random(0)) if first else draw(endpoint)

    monkeypatch.setattr(faults, "draw", cut_off_at_first)

    with pytest.raises(LookBackFailedError, match=rf"qpay, {today()}: .*; qpay: 2 of 3 days compared"):
        look_back(TOMORROW)
    told = look_back(TOMORROW)

    assert told.startswith("qpay: 3 of 3 days compared")
    assert len(sql(stack, "SELECT id FROM reconciliation_run")) == 3


def _told(look_back: LookBack) -> str | None:
    try:
        return look_back(TOMORROW)
    except LookBackFailedError:
        return None


def test_a_refund_and_a_payment_that_is_gone_are_noticed_though_nobody_told(
    stack: Stack, working: Callable[[], int]
) -> None:
    refunded, gone = paid(stack, "refunded"), paid(stack, "gone")
    tell(stack, refunded, status="REFUNDED")
    tell(stack, gone, hidden=True)

    def let_them_be_checked(pause_s: float) -> None:
        if pause_s >= CHECKED_AFTER_S:
            wait_until(lambda: working() >= 0 and stack.invoice("refunded")["balance"]["status"] == "refunded")
            wait_until(lambda: [one["kind"] for one in questions(stack)] == ["missing_at_gateway"])

    with looking_back(stack, pause=let_them_be_checked) as look_back:
        told = look_back(TOMORROW)

    assert stack.payments("refunded")[-1]["source"] == "sweep"
    assert told.endswith(f"1 days with something open ({today()}), 2 checks queued")
    assert [row["open"] for row in sql(stack, "SELECT open FROM reconciliation_run ORDER BY id")] == [2, 1]
    web = scrape(f"{stack.api.base_url}/metrics", METRICS_TOKEN)
    assert web("tootsoo_reconcile_open", gateway="qpay") == 1
    assert web("tootsoo_reconciled_behind_seconds", gateway="qpay") == 0
