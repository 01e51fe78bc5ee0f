"""A check brings every payment of an invoice, over all pages, in both shapes that QPay's answers have had."""

import json
from datetime import UTC, datetime

import pytest
from moneyed import Money

from adapters.qpay.config import Limits
from adapters.qpay.gateway import NOT_TOLD, QPayGateway
from domain.gateway import GatewayUnreadableError
from domain.payment_row import CheckAnswer, PaymentRow, RowStatus, UnreadableRow
from tests.adapters.qpay.conftest import OpenGateway
from tests.adapters.qpay.scripted import ScriptedQPay, answer, fixture, rows
from tests.adapters.refs import ref

CHECK = "POST /v2/payment/check"


def payment(number: int) -> dict[str, object]:
    return {
        "payment_id": str(number),
        "payment_status": "PAID",
        "payment_amount": "100.00",
        "payment_currency": "MNT",
    }


def payments(first: int, last: int) -> list[dict[str, object]]:
    return [payment(number) for number in range(first, last + 1)]


def ids(answer: CheckAnswer) -> list[str]:
    return [row.payment_id for row in answer.rows if isinstance(row, PaymentRow)]


def only(answer: CheckAnswer) -> PaymentRow:
    (row,) = answer.rows
    assert isinstance(row, PaymentRow)
    return row


def test_check_names_the_invoice_and_the_page(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, answer(200, fixture("payment_check_200_unpaid")))

    gateway.check(ref("6f0f4b52"))

    assert qpay.checks[0].json == {
        "object_type": "INVOICE",
        "object_id": "6f0f4b52",
        "offset": {"page_number": 1, "page_limit": 100},
    }


def test_unpaid_invoice_has_no_rows(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, answer(200, fixture("payment_check_200_unpaid")))

    assert gateway.check(ref("i-1")) == CheckAnswer(rows=())


def test_bank_transfer_is_read_gross_and_without_a_time(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, answer(200, fixture("payment_check_200_p2p")))

    row = only(gateway.check(ref("i-1")))

    assert (row.payment_id, row.status, row.status_text) == ("100000000000001", RowStatus.PAID, "PAID")
    assert (row.amount, row.fee) == (Money("1500000.00", "MNT"), Money("15000.00", "MNT"))
    assert row.paid_at is None
    assert row.raw == json.loads(fixture("payment_check_200_p2p"))["rows"][0]


def test_card_payment_takes_its_time_from_the_card_transaction(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, answer(200, fixture("payment_check_200_card")))

    row = only(gateway.check(ref("i-1")))

    assert row.payment_id == "0b9d6f0e-6a55-4a4f-8a5b-2f5a3f1d9c77"
    assert row.paid_at == datetime(2026, 3, 11, 6, 23, 48, 586_000, tzinfo=UTC)
    assert (row.amount, row.fee) == (Money(100, "MNT"), Money(1, "MNT"))


def test_older_shape_with_numbers_and_a_date_is_read_as_well(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, answer(200, fixture("payment_check_200_older_shape")))

    row = only(gateway.check(ref("i-1")))

    assert row.paid_at == datetime(2026, 3, 11, 5, 57, 47, 336_000, tzinfo=UTC)
    assert (row.amount, row.fee) == (Money(100, "MNT"), Money(1, "MNT"))
    assert row.raw["payment_amount"] == 100


def test_pages_are_asked_for_until_the_count_is_had(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(
        CHECK,
        rows(*payments(1, 100), count=205),
        rows(*payments(101, 200), count=205),
        rows(*payments(201, 205), count=205),
    )

    found = gateway.check(ref("i-1"))

    assert ids(found) == [str(number) for number in range(1, 206)]
    assert [seen.json["offset"]["page_number"] for seen in qpay.checks] == [1, 2, 3]


def test_count_that_is_never_reached_ends_at_an_empty_page(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, rows(payment(1), count=9), rows(count=9))

    found = gateway.check(ref("i-1"))

    assert ids(found) == ["1"]
    assert found.rows[1:] == (NOT_TOLD,)


@pytest.mark.parametrize("told", [0, 1, 100])
def test_payments_that_are_counted_and_not_told_are_no_silence(
    qpay: ScriptedQPay, gateway: QPayGateway, told: int
) -> None:
    pages = (rows(*payments(1, told), count=told + 1), rows(count=told + 1))
    qpay.will(CHECK, *pages, *pages)

    found = gateway.check(ref("i-1"))

    assert len(ids(found)) == told
    assert [row for row in found.rows if isinstance(row, UnreadableRow)] == [NOT_TOLD]


@pytest.mark.parametrize("count", [None, "many", -1, True, 0, 1])
def test_count_that_says_too_little_does_not_hide_a_page(
    qpay: ScriptedQPay, gateway: QPayGateway, count: object
) -> None:
    qpay.will(
        CHECK,
        answer(200, {"count": count, "rows": payments(1, 100)}),
        answer(200, {"count": count, "rows": payments(101, 120)}),
    )

    assert len(gateway.check(ref("i-1")).rows) == 120
    assert len(qpay.checks) == 2


def test_pages_without_end_are_unreadable(qpay: ScriptedQPay, open_gateway: OpenGateway) -> None:
    qpay.will(CHECK, rows(payment(1), count=1_000_000))
    gateway = open_gateway(limits=Limits(pages_max=3))

    with pytest.raises(GatewayUnreadableError, match="no end after 3 pages"):
        gateway.check(ref("i-1"))

    assert len(qpay.checks) == 3


def test_page_with_more_rows_than_a_whole_check_may_have_is_unreadable(
    qpay: ScriptedQPay, open_gateway: OpenGateway
) -> None:
    qpay.will(CHECK, rows(*payments(1, 101)))
    gateway = open_gateway(limits=Limits(pages_max=1))

    with pytest.raises(GatewayUnreadableError, match="no end"):
        gateway.check(ref("i-1"))


def test_bytes_of_all_pages_are_counted_together(qpay: ScriptedQPay, open_gateway: OpenGateway) -> None:
    page = rows(*payments(1, 100), count=1_000)
    qpay.will(CHECK, page)
    gateway = open_gateway(limits=Limits(body_max_bytes=25_000))

    with pytest.raises(GatewayUnreadableError, match="too large"):
        gateway.check(ref("i-1"))

    assert len(qpay.checks) == 3


def test_strange_row_does_not_hide_its_neighbours(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, rows(payment(1), "what?", payment(2) | {"payment_amount": "1e999"}, payment(3)))

    found = gateway.check(ref("i-1"))

    assert ids(found) == ["1", "3"]
    assert found.rows[1] == UnreadableRow(reason="the row is not an object", raw="what?")
    assert isinstance(found.rows[2], UnreadableRow)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>hello</html>",
        b"[]",
        b"null",
        b"{}",
        b'{"count": 0}',
        b'{"rows": null}',
        b'{"rows": {}}',
        b'{"rows": "x"}',
        b'{"count": NaN, "rows": []}',
        b'{"count": 1, "rows": [{"payment_amount": Infinity}]}',
        b'{"rows": []} trailing',
        b'{"rows": ["\xff\xfe"]}',
        b'{"rows": ' + b"[" * 100_000,
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
def test_answer_of_another_shape_is_unreadable(qpay: ScriptedQPay, gateway: QPayGateway, body: bytes) -> None:
    qpay.will(CHECK, answer(200, body))

    with pytest.raises(GatewayUnreadableError):
        gateway.check(ref("i-1"))


def test_connection_is_kept_between_calls(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, rows())

    gateway.check(ref("i-1"))
    gateway.check(ref("i-2"))

    assert len({seen.peer for seen in qpay.seen}) == 1
