"""What every payment gateway does in the same way, as `domain.gateway.PaymentGateway` says it does."""

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moneyed import Money

from domain.gateway import (
    NOT_OFFERED,
    CancelOutcome,
    GatewayBusyError,
    GatewayError,
    GatewayInvoiceRef,
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
    GatewayUnreadableError,
    InvoiceToIssue,
    IssuedInvoice,
    PaymentGateway,
)
from domain.payment_row import FoundPayment, PaymentRow, RowStatus, UnreadableRow
from tests.adapters.gateways.rig import CALL_S, SECRET, Mood, Rig
from tests.found_within import found_within
from tests.waiting import BUSY_S

HOUR = timedelta(hours=1)
NOBODYS = GatewayInvoiceRef(
    number="0" * 32, external_id="00000000-0000-4000-8000-000000000000", amount=Money(90_000, "MNT")
)

Ask = Callable[[PaymentGateway, GatewayInvoiceRef, str], object]
"""Asks about an invoice, or about a payment on it."""
READS: dict[str, Ask] = {
    "check": lambda gateway, invoice, _: gateway.check(invoice),
    "discover": lambda gateway, _, __: list(gateway.discover(since=datetime.now(UTC) - HOUR, until=datetime.now(UTC))),
}
ACTS: dict[str, Ask] = {
    "cancel": lambda gateway, invoice, _: gateway.cancel(invoice),
    "refund": lambda gateway, _, payment_id: gateway.refund(payment_id, note="returned"),
}
ENDS: dict[Mood, type[GatewayError]] = {
    Mood.BUSY: GatewayOutcomeUnknownError,
    Mood.NONSENSE: GatewayOutcomeUnknownError,
    Mood.ENDLESS: GatewayOutcomeUnknownError,
    Mood.TOO_LARGE: GatewayUnreadableError,
    Mood.TURNED_AWAY: GatewayBusyError,
    Mood.SILENT: GatewayOutcomeUnknownError,
    Mood.BREAKS_OFF: GatewayOutcomeUnknownError,
}


def named(issued: IssuedInvoice, *, number: str = "order-1") -> GatewayInvoiceRef:
    """Name an invoice of the order's amount."""
    return GatewayInvoiceRef(number=number, external_id=issued.external_id, amount=Money(90_000, "MNT"))


def told(gateway: PaymentGateway, invoice: GatewayInvoiceRef) -> list[PaymentRow]:
    return [row for row in gateway.check(invoice).rows if isinstance(row, PaymentRow)]


def offered(gateway: PaymentGateway, call: str) -> bool:
    can = gateway.capabilities
    return {"discover": can.lists, "cancel": can.cancels, "refund": can.refunds}.get(call, True)


# --- Issue -----------------------------------------------------------------------------------------------------------


def test_issued_invoice_has_an_id_and_a_qr(issued: IssuedInvoice) -> None:
    assert issued.external_id.isprintable()
    assert issued.qr_text
    assert all(link.link for link in issued.links)


def test_two_invoices_are_two(gateway: PaymentGateway, order: InvoiceToIssue, issued: IssuedInvoice) -> None:
    other = gateway.issue(replace(order, number="order-1-g2"))

    assert other.external_id != issued.external_id


@pytest.mark.parametrize(
    "change",
    [{"amount": Money("0.50", "MNT")}, {"amount": Money(1, "USD")}, {"expires_at": datetime(2026, 3, 1)}],  # noqa: DTZ001 - what is refused
)
def test_what_the_gateway_does_not_take_is_refused_before_any_call(
    rig: Rig, gateway: PaymentGateway, order: InvoiceToIssue, change: dict[str, object]
) -> None:
    if "expires_at" in change and not gateway.capabilities.takes_expiry:
        gateway.issue(replace(order, **change))  # type: ignore[arg-type]  # one field each
        return

    with pytest.raises(ValueError, match=r".+"):
        gateway.issue(replace(order, **change))  # type: ignore[arg-type]  # one field each

    assert rig.asked() == 0


@pytest.mark.parametrize("mood", [Mood.ACTS_IN_SILENCE, Mood.ACTS_AND_BREAKS_OFF, Mood.NONSENSE])
def test_create_whose_answer_was_lost_is_unknown_and_not_repeated(
    rig: Rig, gateway: PaymentGateway, order: InvoiceToIssue, issued: IssuedInvoice, mood: Mood
) -> None:
    rig.moody(mood, calls="issue")

    with pytest.raises(GatewayOutcomeUnknownError):
        gateway.issue(replace(order, number="order-2"))

    assert (rig.issued(), issued.external_id != "") == (2, True)


def test_create_that_was_turned_away_made_nothing(rig: Rig, gateway: PaymentGateway, order: InvoiceToIssue) -> None:
    rig.moody(Mood.TURNED_AWAY, calls="issue")

    with pytest.raises(GatewayBusyError):
        gateway.issue(order)

    assert rig.issued() == 0


# --- Check -----------------------------------------------------------------------------------------------------------


def test_unpaid_invoice_has_no_rows(gateway: PaymentGateway, issued: IssuedInvoice) -> None:
    assert gateway.check(named(issued)).rows == ()


def test_payment_is_told_exactly_and_with_an_id(rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice) -> None:
    payment_id = rig.pay(issued.external_id, amount=30_000)

    (row,) = told(gateway, named(issued))

    assert (row.payment_id, row.status, row.amount) == (payment_id, RowStatus.PAID, Money(30_000, "MNT"))
    assert row.paid_at is None or row.paid_at.tzinfo is UTC


def test_checking_changes_nothing(rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice) -> None:
    rig.pay(issued.external_id, amount=30_000)

    assert gateway.check(named(issued)) == gateway.check(named(issued))


def test_every_payment_is_told_however_many(rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice) -> None:
    paid = {rig.pay(issued.external_id, amount=10 + number) for number in range(105)}

    assert {row.payment_id for row in told(gateway, named(issued))} == paid


def test_payments_of_another_invoice_are_not_told(
    rig: Rig, gateway: PaymentGateway, order: InvoiceToIssue, issued: IssuedInvoice
) -> None:
    other = gateway.issue(replace(order, number="order-2"))
    rig.pay(other.external_id, amount=30_000)

    assert gateway.check(named(issued)).rows == ()


def test_unknown_invoice_is_refused_with_a_code(gateway: PaymentGateway) -> None:
    with pytest.raises(GatewayRefusedError) as refused:
        gateway.check(NOBODYS)

    assert refused.value.code


# --- Discover and look up --------------------------------------------------------------------------------------------


def found(gateway: PaymentGateway, *, since: datetime, until: datetime) -> dict[str, FoundPayment]:
    each = found_within(gateway, since=since, until=until)
    return {one.row.payment_id: one for one in each if isinstance(one, FoundPayment)}


def require_lists(gateway: PaymentGateway) -> None:
    if not gateway.capabilities.lists:
        with pytest.raises(GatewayRefusedError, match=NOT_OFFERED):
            list(gateway.discover(since=datetime.now(UTC), until=datetime.now(UTC)))
        pytest.skip("this gateway tells of no payments by itself")


def test_payments_that_nobody_announced_are_found_and_point_to_their_invoice(
    rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice
) -> None:
    require_lists(gateway)
    now = datetime.now(UTC)
    inside = rig.pay(issued.external_id, amount=30_000, at=now - HOUR)
    rig.pay(issued.external_id, amount=30_000, at=now - 3 * HOUR)

    one = found(gateway, since=now - 2 * HOUR, until=now).pop(inside)

    assert issued.external_id == one.external_id or issued.qr_text == one.qr_text
    assert one.row.amount == Money(30_000, "MNT")


def test_windows_that_touch_tell_each_payment_once(rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice) -> None:
    require_lists(gateway)
    now = datetime.now(UTC).replace(microsecond=0)
    paid = {rig.pay(issued.external_id, amount=100, at=now - HOUR / 4 * number) for number in range(1, 12)}
    windows = [(now - HOUR * (n + 1), now - HOUR * n) for n in range(4)]

    told_in = [set(found(gateway, since=since, until=until)) for since, until in windows]

    assert set().union(*told_in) == paid
    assert sum(map(len, told_in)) == len(paid)


def test_window_without_payments_is_empty(gateway: PaymentGateway) -> None:
    require_lists(gateway)
    assert found(gateway, since=datetime.now(UTC) - HOUR, until=datetime.now(UTC)) == {}


def test_total_of_the_first_page_tells_whether_anything_came(
    rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice
) -> None:
    require_lists(gateway)
    since, until = datetime.now(UTC) - HOUR, datetime.now(UTC) + HOUR
    for _ in range(105):
        rig.pay(issued.external_id, amount=10)
    list(gateway.discover(since=since, until=until))
    first, again = (next(gateway.discover(since=since, until=until)) for _ in range(2))

    rig.pay(issued.external_id, amount=10)
    asked = rig.asked()
    after = next(gateway.discover(since=since, until=until))

    assert rig.asked() == asked + 1
    assert (first.total, again.total, after.total) == (105, 105, 106)
    assert first.asked == again.asked == after.asked
    assert first.exact


@pytest.mark.parametrize(("since", "until"), [(HOUR, -HOUR), (None, HOUR)])
def test_window_that_is_none_is_refused_before_any_call(
    rig: Rig, gateway: PaymentGateway, since: timedelta | None, until: timedelta
) -> None:
    require_lists(gateway)
    now = datetime.now(UTC)
    begin = datetime(2026, 3, 1) if since is None else now + since  # noqa: DTZ001 - what is refused

    with pytest.raises(ValueError, match="since"):
        gateway.discover(since=begin, until=now + until)

    assert rig.asked() == 0


def test_payment_is_looked_up_with_its_invoice(rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice) -> None:
    require_lists(gateway)
    payment_id = rig.pay(issued.external_id, amount=30_000)

    one = gateway.look_up(payment_id)

    assert isinstance(one, FoundPayment)
    assert (one.row.payment_id, one.external_id) == (payment_id, issued.external_id)


def test_unknown_payment_is_none(gateway: PaymentGateway) -> None:
    require_lists(gateway)
    assert gateway.look_up("100000000000001") is None


# --- Cancel and refund -----------------------------------------------------------------------------------------------


def test_cancelling_twice_is_once(gateway: PaymentGateway, issued: IssuedInvoice) -> None:
    assert gateway.cancel(named(issued)) is CancelOutcome.CANCELLED
    assert gateway.cancel(named(issued)) is CancelOutcome.CANCELLED


def test_paid_invoice_is_not_cancelled(rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice) -> None:
    rig.pay(issued.external_id, amount=90_000)

    assert gateway.cancel(named(issued)) is CancelOutcome.PAID
    assert len(told(gateway, named(issued))) == 1


def test_cancel_whose_answer_was_lost_may_be_repeated(rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice) -> None:
    rig.moody(Mood.ACTS_AND_BREAKS_OFF, calls="cancel")
    with pytest.raises(GatewayOutcomeUnknownError):
        gateway.cancel(named(issued))
    rig.calm()

    assert gateway.cancel(named(issued)) is CancelOutcome.CANCELLED


def require_refunds(gateway: PaymentGateway) -> None:
    if not gateway.capabilities.refunds:
        with pytest.raises(GatewayRefusedError, match=NOT_OFFERED):
            gateway.refund("100000000000001", note="returned")
        pytest.skip("this gateway gives nothing back")


def test_refund_is_told_by_the_next_check_and_twice_is_once(
    rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice
) -> None:
    require_refunds(gateway)
    payment_id = rig.pay(issued.external_id, amount=90_000, by_card=True)

    gateway.refund(payment_id, note="returned")
    gateway.refund(payment_id, note="returned")

    assert [row.status for row in told(gateway, named(issued))] == [RowStatus.REFUNDED]


def test_unknown_payment_is_not_refunded(gateway: PaymentGateway) -> None:
    with pytest.raises(GatewayRefusedError):
        gateway.refund("100000000000001", note="returned")


@pytest.mark.parametrize("each_id", ["", "..", "."])
@pytest.mark.parametrize("call", ["cancel", "refund", "look_up"])
def test_id_that_can_be_nobodys_is_refused_before_any_call(
    rig: Rig, gateway: PaymentGateway, call: str, each_id: str
) -> None:
    ask: Callable[[str], object] = {
        "cancel": lambda external_id: gateway.cancel(replace(NOBODYS, number=external_id, external_id=external_id)),
        "refund": lambda payment_id: gateway.refund(payment_id, note=""),
        "look_up": gateway.look_up,
    }[call]

    with pytest.raises(ValueError, match="id"):
        ask(each_id)

    assert rig.asked() == 0


# --- Callbacks -------------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.text(max_size=20) | st.just("qpay_payment_id"), st.text(max_size=200), max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_callback_names_a_sane_id_or_none_and_costs_no_call(
    rig: Rig, gateway: PaymentGateway, query: dict[str, str]
) -> None:
    payment_id = gateway.read_callback(query)

    assert payment_id is None or (payment_id.isascii() and payment_id.isprintable() and 1 <= len(payment_id) <= 100)
    assert rig.asked() == 0


# --- Errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mood", ENDS)
@pytest.mark.parametrize("call", [*READS, *ACTS])
def test_each_trouble_is_the_error_that_says_whether_trying_again_helps(
    rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice, call: str, mood: Mood
) -> None:
    if not offered(gateway, call):
        pytest.skip(f"this gateway does not offer {call}")
    payment_id = rig.pay(issued.external_id, amount=10_000, by_card=True)
    rig.moody(mood)
    started_s = monotonic()

    with pytest.raises(GatewayError) as ended:
        (READS | ACTS)[call](gateway, named(issued), payment_id)

    assert isinstance(ended.value, ENDS[mood])
    assert monotonic() - started_s < CALL_S + BUSY_S
    if mood is Mood.TURNED_AWAY:
        assert isinstance(ended.value, GatewayBusyError)
        assert ended.value.retry_after_s == 7


@pytest.mark.parametrize("call", [*READS, *ACTS])
def test_who_cannot_be_reached_did_not_act(rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice, call: str) -> None:
    if not offered(gateway, call):
        pytest.skip(f"this gateway does not offer {call}")
    payment_id = rig.pay(issued.external_id, amount=10_000, by_card=True)
    rig.network.cut()

    with pytest.raises((GatewayBusyError, GatewayOutcomeUnknownError)):
        (READS | ACTS)[call](gateway, named(issued), payment_id)  # who hangs up may have been sent something

    rig.network.mend()
    assert [row.status for row in told(gateway, named(issued))] == [RowStatus.PAID]


def test_trouble_passes(rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice) -> None:
    payment_id = rig.pay(issued.external_id, amount=30_000)
    for mood in ENDS:
        rig.moody(mood, calls="check")
        with pytest.raises(GatewayError):
            gateway.check(named(issued))
        rig.calm()

        assert [row.payment_id for row in told(gateway, named(issued))] == [payment_id]


def test_wrong_credentials_are_unauthorised(rig: Rig, gateway: PaymentGateway) -> None:
    rig.refuse_credentials()

    with pytest.raises(GatewayUnauthorisedError):
        gateway.check(NOBODYS)


@pytest.mark.parametrize("mood", ENDS)
def test_no_error_tells_a_secret(rig: Rig, gateway: PaymentGateway, order: InvoiceToIssue, mood: Mood) -> None:
    rig.moody(mood)

    with pytest.raises(GatewayError) as ended:
        gateway.issue(order)

    shown = "".join(traceback.format_exception(ended.value)) + repr(vars(ended.value))
    assert SECRET not in shown
    assert "a-token-that-nobody-may-see" not in shown


# --- All in all ------------------------------------------------------------------------------------------------------


def test_what_it_offers_is_known_without_a_call(rig: Rig, gateway: PaymentGateway) -> None:
    assert gateway.capabilities == gateway.capabilities
    assert gateway.name.isidentifier()
    assert rig.asked() == 0


def test_calls_come_from_many_threads(rig: Rig, gateway: PaymentGateway, order: InvoiceToIssue) -> None:
    def one(number: int) -> bool:
        own = replace(order, number=f"order-{number}")
        issued = gateway.issue(own)
        payment_id = rig.pay(issued.external_id, amount=1_000)
        return [row.payment_id for row in told(gateway, named(issued, number=own.number))] == [payment_id]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(one, range(12)))


def test_rows_are_payments_or_say_why_not(rig: Rig, gateway: PaymentGateway, issued: IssuedInvoice) -> None:
    rig.pay(issued.external_id, amount=30_000)

    assert all(isinstance(row, PaymentRow | UnreadableRow) for row in gateway.check(named(issued)).rows)
