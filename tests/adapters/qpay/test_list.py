"""Discovery finds every payment of a window, in whatever zone QPay reads it, and asks for no more than it needs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
import redis
from moneyed import Money

from adapters.qpay.config import Limits, QPayConfig
from adapters.qpay.gateway import QPayGateway
from domain.gateway import GatewayError, GatewayOutcomeUnknownError, GatewayUnreadableError
from domain.payment_row import FoundPayment, UnreadableRow
from tests.adapters.qpay.conftest import OpenGateway
from tests.adapters.qpay.listed import LIST, NOW, ULAANBAATAR, UTC_CLOCK, Lister, every_minute, listed
from tests.adapters.qpay.scripted import ScriptedQPay, answer, fixture, rows
from tests.found_within import ROOM, found_within

HOUR = timedelta(hours=1)
NARROW = HOUR + 2 * ROOM + timedelta(seconds=1)
WIDE = NARROW + timedelta(days=2)
CLOCKS = [UTC_CLOCK, ULAANBAATAR, -timedelta(hours=11), timedelta(hours=13)]


@pytest.fixture
def lister(qpay: ScriptedQPay) -> Lister:
    lister = Lister()
    qpay.will(LIST, lister)
    return lister


def found(gateway: QPayGateway, *, since: datetime = NOW - HOUR, until: datetime = NOW) -> list[str]:
    return [
        each.row.payment_id
        for each in found_within(gateway, since=since, until=until)
        if isinstance(each, FoundPayment)
    ]


def test_recorded_row_is_read_with_what_tells_its_invoice(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(LIST, answer(200, fixture("payment_list_200")))
    paid_at = datetime(2026, 3, 11, 5, 57, 47, 336_000, tzinfo=UTC)

    (one,) = found_within(gateway, since=paid_at - HOUR, until=paid_at + HOUR)

    assert isinstance(one, FoundPayment)
    assert (one.row.payment_id, one.row.amount, one.row.paid_at) == (
        "100000000000001",
        Money(1_500_000, "MNT"),
        paid_at,
    )
    assert one.row.fee == Money(15_000, "MNT")
    assert one.external_id == "6f0f4b52-3f0e-4d0b-9d5e-0a8f5f2b7c11"
    assert one.qr_text is not None
    assert one.qr_text.startswith("00020101")


def test_list_is_asked_for_by_our_invoice_code_with_a_day_on_both_sides(
    lister: Lister, gateway: QPayGateway, config: QPayConfig
) -> None:
    assert found(gateway) == []

    assert lister.asked == [
        {
            "object_type": "INVOICE",
            "object_id": config.invoice_code,
            "start_date": "2026-03-10 10:50:00",
            "end_date": "2026-03-12 12:10:01",
            "offset": {"page_number": 1, "page_limit": 100},
        }
    ]


def test_no_call_is_made_before_its_page_is_wanted(lister: Lister, gateway: QPayGateway) -> None:
    lister.rows = [*every_minute(150)]

    iterator = found_within(gateway, since=NOW - 3 * HOUR, until=NOW)
    assert lister.asked == []
    next(iterator)

    assert [each["offset"]["page_number"] for each in lister.asked if each["start_date"].startswith("2026-03-10")] == [
        1
    ]


@pytest.mark.parametrize("clock", CLOCKS, ids=str)
@pytest.mark.parametrize("whole_days", [False, True])
def test_window_is_complete_whatever_clock_it_is_read_by(
    lister: Lister, gateway: QPayGateway, clock: timedelta, *, whole_days: bool
) -> None:
    lister.clock, lister.whole_days = clock, whole_days
    lister.rows = [*every_minute(100)]
    expected = [str(number) for number in range(1, 61)]

    assert found(gateway) == expected
    assert found(gateway) == expected  # what was found out meanwhile leaves nothing out


@pytest.mark.parametrize(("clock", "minutes"), [(UTC_CLOCK, "0"), (ULAANBAATAR, "480"), (CLOCKS[2], "neither")])
def test_clock_is_found_out_once_and_then_less_is_asked_for(
    lister: Lister, open_gateway: OpenGateway, shared: "redis.Redis", clock: timedelta, minutes: str
) -> None:
    lister.clock = clock
    lister.rows = [*every_minute(3)]
    found(open_gateway())
    asked_first = len(lister.asked)

    found(open_gateway())

    (key,) = shared.keys("tootsoo:qpay:list_zone:*")
    asked_again = 0 if minutes == "neither" else 1
    # The wide page, a question for each zone that it may be, and the window by that zone's clock.
    assert (asked_first, len(lister.asked)) == (3 + asked_again, 4 + asked_again)
    assert shared.get(key) == minutes
    assert 86_300 < shared.ttl(key) <= 86_400
    assert lister.spans[-1] == (WIDE if minutes == "neither" else NARROW)


def test_window_that_is_read_by_its_dates_alone_stays_wide(lister: Lister, gateway: QPayGateway) -> None:
    lister.rows, lister.whole_days = [*every_minute(3)], True

    found(gateway)
    found(gateway)

    assert lister.spans[-1] == WIDE


@pytest.mark.parametrize("clock", CLOCKS, ids=str)
def test_clock_that_is_told_is_asked_by_at_once_also_where_rows_tell_no_time(
    lister: Lister, open_gateway: OpenGateway, config: QPayConfig, clock: timedelta
) -> None:
    lister.clock = clock
    lister.rows = [listed(1, payment_date=None)]  # listed at NOW
    gateway = open_gateway(config=replace(config, list_offset=clock))

    pages = list(gateway.discover(since=NOW - HOUR, until=NOW + HOUR))

    assert [(page.exact, len(page.found)) for page in pages] == [(True, 1)]
    assert lister.spans == [2 * HOUR + timedelta(seconds=1)]


@pytest.mark.parametrize("clock", CLOCKS, ids=str)
@pytest.mark.parametrize("told", [UTC_CLOCK, ULAANBAATAR], ids=str)
def test_clock_that_is_told_wrongly_is_not_believed_where_payments_belie_it(
    lister: Lister, open_gateway: OpenGateway, config: QPayConfig, clock: timedelta, told: timedelta
) -> None:
    lister.clock = clock
    lister.rows = [*every_minute(48 * 60, until=NOW + 24 * HOUR)]
    gateway = open_gateway(config=replace(config, list_offset=told))

    assert len(found(gateway)) == 60
    assert lister.spans[-1] == (NARROW if clock == told else WIDE)


def test_unchanged_window_costs_one_call_however_many_pages_it_has(lister: Lister, gateway: QPayGateway) -> None:
    lister.rows = [*every_minute(250)]
    window = {"since": NOW - 5 * HOUR, "until": NOW}
    pages = list(gateway.discover(**window))
    before = len(lister.asked)

    again = next(gateway.discover(**window))

    assert len(lister.asked) == before + 1
    assert [len(page.found) for page in pages] == [100, 100, 50]
    assert (again.asked, again.total, again.exact) == (pages[0].asked, 250, True)


@pytest.mark.parametrize(("rows", "totals"), [(0, [0]), (99, [99]), (100, [None, 100]), (250, [None, None, 250])])
def test_count_that_may_be_that_of_a_page_is_no_total(
    lister: Lister, gateway: QPayGateway, rows: int, totals: list[int | None]
) -> None:
    lister.rows, lister.counts_pages = [*every_minute(rows)], True

    pages = list(gateway.discover(since=NOW - 5 * HOUR, until=NOW))

    assert [page.total for page in pages] == totals
    assert sum(len(page.found) for page in pages) == rows


def test_payment_outside_of_the_window_is_left_out_and_the_end_is_not_inside(
    lister: Lister, gateway: QPayGateway
) -> None:
    lister.rows = [listed(1), listed(2, paid_at=NOW - HOUR), listed(3, paid_at=NOW - HOUR - timedelta(seconds=1))]

    assert found(gateway) == ["2"]


@pytest.mark.parametrize("told", [None, "yesterday", 5, ""])
def test_payment_whose_time_cannot_be_read_is_told(lister: Lister, gateway: QPayGateway, told: object) -> None:
    lister.rows = [listed(1, payment_date=told)]

    assert found(gateway) == ["1"]


def test_strange_row_does_not_hide_its_neighbours(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    at = NOW - HOUR / 2
    qpay.will(
        LIST, rows(listed(1, paid_at=at), "what?", listed(2, paid_at=at, payment_amount="NaN"), listed(3, paid_at=at))
    )

    kinds = [type(each) for each in found_within(gateway, since=NOW - HOUR, until=NOW)]

    assert kinds == [FoundPayment, UnreadableRow, UnreadableRow, FoundPayment]


@pytest.mark.parametrize(
    ("fields", "external_id"),
    [
        ({}, "6f0f4b52-3f0e-4d0b-9d5e-0a8f5f2b7c11"),
        ({"object_type": None}, "6f0f4b52-3f0e-4d0b-9d5e-0a8f5f2b7c11"),
        ({"object_type": "MERCHANT"}, None),
        ({"object_type": ["INVOICE"]}, None),
        ({"object_id": None}, None),
        ({"object_id": ""}, None),
        ({"object_id": {"id": 1}}, None),
        ({"object_id": "x" * 101}, None),
        ({"object_id": 17}, "17"),
    ],
)
def test_invoice_is_told_where_the_row_tells_it(
    qpay: ScriptedQPay, gateway: QPayGateway, fields: dict[str, object], external_id: str | None
) -> None:
    qpay.will(LIST, rows(listed(1, paid_at=NOW - HOUR / 2, **fields)))

    (one,) = found_within(gateway, since=NOW - HOUR, until=NOW)

    assert isinstance(one, FoundPayment)
    assert one.external_id == external_id


@pytest.mark.parametrize("qr_code", [None, "", " ", 7, "x" * 4_297, "a\nb"])
def test_qr_that_is_none_is_not_told(qpay: ScriptedQPay, gateway: QPayGateway, qr_code: object) -> None:
    qpay.will(LIST, rows(listed(1, paid_at=NOW - HOUR / 2, qr_code=qr_code)))

    (one,) = found_within(gateway, since=NOW - HOUR, until=NOW)

    assert isinstance(one, FoundPayment)
    assert one.qr_text is None


def test_window_with_more_than_can_be_paged_through_is_read_in_halves(
    lister: Lister, open_gateway: OpenGateway
) -> None:
    lister.rows = [*every_minute(1_000)]
    gateway = open_gateway(limits=Limits(list_pages_max=2))

    numbers = found(gateway, since=NOW - 12 * HOUR, until=NOW)

    assert {*map(int, numbers)} == set(range(1, 721))
    assert max(each["offset"]["page_number"] for each in lister.asked) <= 2


def test_second_with_more_payments_than_can_be_read_is_unreadable(lister: Lister, open_gateway: OpenGateway) -> None:
    lister.rows = [listed(number, paid_at=NOW - HOUR / 2) for number in range(300)]
    gateway = open_gateway(limits=Limits(list_pages_max=2))

    with pytest.raises(GatewayUnreadableError, match="one second"):
        found(gateway)


def test_error_comes_when_its_page_is_wanted_and_what_came_before_is_kept(
    qpay: ScriptedQPay, gateway: QPayGateway
) -> None:
    page = [listed(number, payment_date=None) for number in range(100)]
    qpay.will(LIST, rows(*page, count=150), answer(500))
    iterator = found_within(gateway, since=NOW - HOUR, until=NOW)

    assert len([next(iterator) for _ in range(100)]) == 100
    with pytest.raises(GatewayOutcomeUnknownError):
        next(iterator)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"rows": null}', b'{"count": NaN, "rows": []}'])
def test_answer_of_another_shape_is_unreadable(qpay: ScriptedQPay, gateway: QPayGateway, body: bytes) -> None:
    qpay.will(LIST, answer(200, body))

    with pytest.raises(GatewayUnreadableError):
        found(gateway)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (datetime(2026, 3, 11), NOW),  # noqa: DTZ001 - what is refused
        (NOW, datetime(2026, 3, 12)),  # noqa: DTZ001 - likewise
        (NOW + HOUR, NOW),
    ],
)
def test_window_that_is_none_is_refused_before_any_call(
    lister: Lister, gateway: QPayGateway, since: datetime, until: datetime
) -> None:
    with pytest.raises(ValueError, match="since"):
        gateway.discover(since=since, until=until)

    assert lister.asked == []


def test_window_may_be_given_in_any_zone(lister: Lister, gateway: QPayGateway) -> None:
    lister.rows = [listed(1, paid_at=NOW - HOUR / 2)]
    here = timezone(timedelta(hours=8))

    assert found(gateway, since=(NOW - HOUR).astimezone(here), until=NOW.astimezone(here)) == ["1"]


def test_probe_of_the_breaker_is_a_call_to_qpay_and_not_a_look_into_redis(
    qpay: ScriptedQPay, open_gateway: OpenGateway, shared: "redis.Redis"
) -> None:
    gateway = open_gateway(limits=Limits(breaker_failures=1, breaker_open_s=60))
    qpay.will(LIST, answer(500))
    for _ in range(2):
        with pytest.raises(GatewayError):
            found(gateway)

    assert len(qpay.calls(LIST)) == 1
    assert len(shared.keys("tootsoo:qpay:tripped:*")) == 1
