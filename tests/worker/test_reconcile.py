"""The report of a day shows each kind of difference, and has each looked at."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from domain.following import Unmatched
from domain.gateway import GatewayError, InvoiceToIssue
from domain.money import money
from simulator.facts import Payment
from simulator.telling import Telling
from simulator.world import Switches
from tests.waiting import wait_until
from tests.worker.conftest import Stack
from tests.worker.reconciling import ZONE, compare, comparing, paid, questions, sql, tell, today
from worker.clock import utc_now
from worker.reconcile import Reconcile

Working = Callable[[], int]


@pytest.fixture
def reconcile(stack: Stack) -> Iterator[Reconcile]:
    with comparing(stack) as reconcile:
        yield reconcile


def of_another_client(stack: Stack) -> str:
    """A payment on an invoice that other software made under the same invoice code: no QR of ours knows of it."""
    made = stack.parts.gateways["qpay"].issue(
        InvoiceToIssue(
            number="theirs-1",
            amount=money(700, currency="MNT"),
            description="Of others",
            receiver_code="terminal",
            callback_url="https://example.mn/callback",
            expires_at=utc_now() + timedelta(days=1),
        )
    )
    return str(stack.pay(None, invoiceId=made.external_id, callback="drop")["paymentId"])


@pytest.mark.usefixtures("working")
def test_the_report_of_a_day_shows_each_kind_of_difference(stack: Stack, reconcile: Reconcile) -> None:
    matched = paid(stack, "matched")
    refunded, partial, gone, changed, unclear, garbled = (
        paid(stack, invoice) for invoice in ("refunded", "partial", "gone", "changed", "unclear", "garbled")
    )
    unannounced = paid(stack, "unannounced", callback="drop")
    theirs = of_another_client(stack)
    tell(stack, refunded, status="REFUNDED")
    tell(stack, partial, status="PARTIAL")
    tell(stack, gone, hidden=True)
    tell(stack, changed, amount=1_400_000)
    tell(stack, unclear, status="SETTLING")
    tell(stack, garbled, garbled=True)

    compared = compare(reconcile)

    assert compared.outline() == {
        refunded: ("different", "check_queued"),
        partial: ("different", "check_queued"),
        gone: ("only_here", "check_queued"),
        changed: ("different", "check_queued"),
        unclear: ("unclear", "check_queued"),
        garbled: ("unclear", "check_queued"),
        unannounced: ("only_there", "check_queued"),
        theirs: ("only_there", "no_invoice"),
    }
    assert {one.comparison.payment_id: one.invoice_id for one in compared.differences} == {
        refunded: "refunded",
        partial: "partial",
        gone: "gone",
        changed: "changed",
        unclear: "unclear",
        garbled: "garbled",
        unannounced: "unannounced",
        theirs: None,
    }
    assert compared.counts() == {"matched": 1, "only_there": 2, "only_here": 1, "different": 3, "unclear": 2}
    assert (compared.report.open, compared.report.queued) == (8, 7)
    assert matched not in compared.outline()


def test_the_checks_settle_what_they_can_and_ask_about_the_rest(
    stack: Stack, working: Working, reconcile: Reconcile
) -> None:
    refunded, changed = paid(stack, "refunded"), paid(stack, "changed")
    unannounced = paid(stack, "unannounced", callback="drop")
    tell(stack, refunded, status="REFUNDED")
    tell(stack, changed, amount=1_400_000)
    compare(reconcile)

    wait_until(lambda: working() >= 0 and _statuses(stack) == {"refunded": "refunded", "unannounced": "paid"})
    wait_until(lambda: [one["kind"] for one in questions(stack)] == ["changed_amount"])
    again = compare(reconcile)

    assert again.outline() == {changed: ("different", "asked")}
    assert again.counts() == {"matched": 2, "different": 1}
    assert {one["source"] for one in stack.payments("unannounced")} == {"command"}
    assert unannounced not in again.outline()


def _statuses(stack: Stack) -> dict[str, str]:
    return {invoice: stack.invoice(invoice)["balance"]["status"] for invoice in ("refunded", "unannounced")}


def test_what_a_person_has_answered_is_open_no_more(stack: Stack, working: Working, reconcile: Reconcile) -> None:
    changed = paid(stack, "changed")
    tell(stack, changed, amount=1_400_000)
    compare(reconcile)
    wait_until(lambda: working() >= 0 and bool(questions(stack)))
    sql(
        stack,
        "UPDATE discrepancy SET state = 'resolved', resolved_at = now(), resolved_by = 'me', resolution = 'fine'",
    )

    answered = compare(reconcile)
    tell(stack, changed, amount=1_300_000)
    changed_again = compare(reconcile)

    assert (answered.outline(), answered.report.open) == ({changed: ("different", "answered")}, 0)
    assert (changed_again.outline(), changed_again.report.open) == ({changed: ("different", "check_queued")}, 1)


@pytest.mark.usefixtures("working")
def test_a_day_that_agrees_is_clean_and_its_sums_are_the_same(stack: Stack, reconcile: Reconcile) -> None:
    for number in range(3):
        paid(stack, f"order-{number}")

    compared = compare(reconcile)

    tally = compared.report.tally
    assert tally is not None
    assert (compared.outline(), compared.report.open, compared.report.queued) == ({}, 0, 0)
    assert tally.there == tally.here
    (figures,) = tally.here.values()
    assert (figures.count, figures.gross.amount, figures.net.amount) == (
        3,
        Decimal(4_500_000),
        4_500_000 - figures.fee.amount,
    )


@pytest.mark.parametrize("switches", [Switches(), Switches(list_window_is_local=True)], ids=["utc", "local"])
@pytest.mark.usefixtures("working")
def test_in_either_time_zone_of_the_list_a_payment_is_on_its_day_and_no_other(
    stack: Stack, reconcile: Reconcile
) -> None:
    midnight = datetime.combine(today(), datetime.min.time(), ZoneInfo(ZONE))
    late = paid(stack, "late", paidAt=(midnight - timedelta(seconds=1)).isoformat())
    early = paid(stack, "early", paidAt=midnight.isoformat())

    before, on_the_day = compare(reconcile, today() - timedelta(days=1)), compare(reconcile)

    assert (before.outline(), before.counts()) == ({}, {"matched": 1})
    assert (on_the_day.outline(), on_the_day.counts()) == ({}, {"matched": 1})
    assert late != early


@pytest.mark.usefixtures("working")
def test_a_payment_of_yesterday_that_was_seen_today_is_missing_on_neither_day(
    stack: Stack, reconcile: Reconcile
) -> None:
    yesterday = datetime.now(ZoneInfo(ZONE)) - timedelta(days=1, hours=3)
    stack.put("late")
    stack.pay_link("late")
    sql(stack, "UPDATE gateway_invoice SET issued_at = issued_at - interval '3 days'")
    late = paid(stack, "late", paidAt=yesterday.isoformat())

    today_first, then_yesterday = compare(reconcile), compare(reconcile, yesterday.date())
    tell(stack, late, hidden=True)
    gone = compare(reconcile, yesterday.date())

    assert (today_first.counts(), then_yesterday.counts()) == ({}, {"matched": 1})
    assert gone.outline() == {late: ("only_here", "check_queued")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "switches",
    [
        Switches(list_newest_first=True),
        Switches(list_object_id="absent"),
        Switches(list_object_id="invoice_code", list_without_qr_code=True),
    ],
    ids=["newest first", "no object_id", "nothing that leads to an invoice"],
)
@pytest.mark.usefixtures("working")
def test_however_the_list_is_written_what_is_only_there_is_queued(stack: Stack, reconcile: Reconcile) -> None:
    unannounced = paid(stack, "unannounced", callback="drop")

    compared = compare(reconcile)

    assert compared.outline() == {unannounced: ("only_there", "check_queued")}


@pytest.mark.usefixtures("working")
def test_rows_that_come_twice_are_counted_once(stack: Stack, reconcile: Reconcile) -> None:
    tell(stack, paid(stack, "twice"), duplicated=3)

    compared = compare(reconcile)

    assert compared.counts() == {"matched": 1}
    assert compared.report.listed_rows == 3


def _many(stack: Stack, count: int) -> None:
    """So many payments of others, more than a page of the list."""
    of_another_client(stack)
    (one,) = stack.simulator.world.book.payments()
    for number in range(1, count):
        _pay_another(stack, one, f"{10**14 + number}", later_by=timedelta(milliseconds=number))


def _pay_another(stack: Stack, one: Payment, payment_id: str, *, later_by: timedelta) -> None:
    stack.simulator.world.book.add_payment(replace(one, payment_id=payment_id, paid_at=one.paid_at + later_by))


@pytest.mark.slow
@pytest.mark.parametrize("switches", [Switches(), Switches(list_count_is_of_page=True)], ids=str)
def test_a_list_of_several_pages_is_read_once(stack: Stack, reconcile: Reconcile) -> None:
    _many(stack, 150)
    compare(reconcile)  # now the zone of the list is known

    assert compare(reconcile).report.list_calls == 2


@pytest.mark.parametrize("switches", [Switches(list_newest_first=True)])
def test_what_moves_off_a_page_while_another_one_comes_is_found(
    stack: Stack, reconcile: Reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One payment comes and one goes, so that the count is the same, and what came is on no page that is still read."""
    _many(stack, 150)
    compare(reconcile)
    book, calls = stack.simulator.world.book, stack.simulator.world.calls
    counted, asked = calls.count, itertools.count(1)
    oldest, *_, newest = sorted(book.payments(), key=lambda one: one.paid_at)

    def between_the_pages(endpoint: str, *, invoice_id: str | None) -> None:
        counted(endpoint, invoice_id=invoice_id)
        if endpoint == "POST /v2/payment/list" and next(asked) == 2:
            book.set_telling(oldest, Telling(hidden=True))
            _pay_another(stack, newest, "new", later_by=timedelta(milliseconds=1))

    monkeypatch.setattr(calls, "count", between_the_pages)

    compared = compare(reconcile)

    assert "new" in compared.outline()
    assert compared.report.list_calls == 4


@pytest.mark.usefixtures("working")
def test_a_clean_day_that_changes_becomes_one_question_for_each_change(stack: Stack, reconcile: Reconcile) -> None:
    first = paid(stack, "first")
    clean = compare(reconcile)
    tell(stack, first, hidden=True)
    gone, still_gone = compare(reconcile), compare(reconcile)
    tell(stack, first, status=None)
    back = compare(reconcile)
    tell(stack, first, hidden=True)
    gone_again = compare(reconcile)

    changed = [one for one in questions(stack) if one["kind"] == "changed_day"]
    assert [one.report.open for one in (clean, gone, still_gone, back, gone_again)] == [0, 1, 1, 0, 1]
    assert [(one["subject"], one["state"], one["seen"]) for one in changed] == [
        (today().isoformat(), "open", 2),
        (today().isoformat(), "open", 1),
    ]


@pytest.mark.usefixtures("working")
def test_a_payment_that_comes_to_a_clean_day_later_is_a_question_once(stack: Stack, reconcile: Reconcile) -> None:
    paid(stack, "first")
    compare(reconcile)
    paid(stack, "second")

    opened = [compare(reconcile).report.asked for _ in range(2)]

    assert opened == [1, 0]
    assert [one["kind"] for one in questions(stack)] == ["changed_day"]


@pytest.mark.usefixtures("working")
def test_a_day_that_goes_on_is_told_of_and_not_kept(stack: Stack, reconcile: Reconcile) -> None:
    paid(stack, "first")

    compared = compare(reconcile, today() + timedelta(days=1))

    assert compared.counts() == {}
    assert sql(stack, "SELECT day FROM reconciliation_run") == []


@pytest.mark.usefixtures("working")
def test_a_gateway_that_does_not_answer_leaves_nothing_behind(stack: Stack, reconcile: Reconcile) -> None:
    paid(stack, "first")
    stack.gateway.cut()

    with pytest.raises(GatewayError):
        compare(reconcile)

    assert sql(stack, "SELECT day FROM reconciliation_run") == []


@pytest.mark.usefixtures("working")
def test_payments_of_other_software_are_not_open_where_they_are_ignored(stack: Stack) -> None:
    theirs = of_another_client(stack)

    with comparing(stack, unmatched=Unmatched.IGNORE) as reconcile:
        compared = compare(reconcile)

    assert compared.outline() == {theirs: ("only_there", "ignored")}
    assert compared.report.open == 0
