"""A check brings one payment that is proven, or none yet, or says that it cannot tell; never a wrong one."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moneyed import Money

from adapters.socialpay.asking import about
from adapters.socialpay.checking import read_payment
from adapters.socialpay.checksum import checksum
from adapters.socialpay.config import SocialPayConfig
from adapters.socialpay.gateway import SocialPayGateway
from domain.gateway import (
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
    GatewayUnreadableError,
)
from domain.money import minor_units
from domain.payment_row import PaymentRow, RowStatus, UnreadableRow
from tests.adapters.qpay.scripted import ScriptedQPay, answer
from tests.adapters.socialpay.conftest import CHECK, RENT, SECRET, fixture, paid, refused


def test_check_says_number_and_own_amount_and_signs_them(socialpay: ScriptedQPay, gateway: SocialPayGateway) -> None:
    socialpay.will(CHECK, answer(200, fixture("check_200_unpaid_assumed")))

    gateway.check(RENT)

    assert socialpay.calls(CHECK)[0].json == fixture("invoice_qr_request")["body"]


def test_recorded_payment_is_read(socialpay: ScriptedQPay, gateway: SocialPayGateway) -> None:
    socialpay.will(CHECK, paid())

    (row,) = gateway.check(RENT).rows

    assert isinstance(row, PaymentRow)
    assert (row.payment_id, row.status) == ("95000059:rent-2026-03-1", RowStatus.PAID)
    assert (row.amount, row.fee, row.paid_at) == (Money(1_500_000, "MNT"), None, None)
    assert (row.reference, row.raw) == ("255544", fixture("check_200_paid")["body"]["response"])


@pytest.mark.parametrize("amount", ["1500000", "1500000.00", 1_500_000, "0001500000"])
def test_amount_is_compared_by_value(socialpay: ScriptedQPay, gateway: SocialPayGateway, amount: object) -> None:
    socialpay.will(CHECK, paid(amount=amount))

    (row,) = gateway.check(RENT).rows

    assert isinstance(row, PaymentRow)
    assert row.amount == Money(1_500_000, "MNT")


def test_signed_amount_that_is_another_is_what_was_paid(socialpay: ScriptedQPay, gateway: SocialPayGateway) -> None:
    socialpay.will(CHECK, paid(amount="500", checksum=checksum(SECRET, "95000059", RENT.number, "500")))

    (row,) = gateway.check(RENT).rows

    assert isinstance(row, PaymentRow)
    assert row.amount == Money(500, "MNT")


@pytest.mark.parametrize(
    "changed",
    [
        {"checksum": "0" * 64},
        {"checksum": ""},
        {"amount": "1500001"},
        {"terminal": "95000060", "checksum": checksum(SECRET, "95000060", RENT.number, "1500000")},
        {"invoice": "another-1", "checksum": checksum(SECRET, "95000059", "another-1", "1500000")},
        # The same text is signed, cut elsewhere: a checksum does not say where number and amount meet.
        {"invoice": "rent-2026-03-", "amount": "11500000"},
        {"invoice": "rent-2026-03-11500", "amount": "000"},
    ],
)
def test_payment_that_is_not_proven_is_none(
    socialpay: ScriptedQPay, gateway: SocialPayGateway, changed: dict[str, object]
) -> None:
    socialpay.will(CHECK, paid(**changed))

    with pytest.raises(GatewayUnreadableError):
        gateway.check(RENT)


def test_payment_without_a_checksum_is_compared_field_by_field(
    socialpay: ScriptedQPay, gateway: SocialPayGateway
) -> None:
    socialpay.will(CHECK, paid(checksum=None), paid(checksum=None, invoice="another-1"))

    assert len(gateway.check(RENT).rows) == 1
    with pytest.raises(GatewayUnreadableError, match="another invoice"):
        gateway.check(RENT)


@pytest.mark.parametrize("amount", [None, "", "1,500,000", "1e6", "NaN", [1], {}, True, "1500000.001", "9" * 15])
def test_amount_that_cannot_be_read_is_a_row_that_says_so(
    socialpay: ScriptedQPay, gateway: SocialPayGateway, amount: object
) -> None:
    socialpay.will(CHECK, paid(amount=amount))

    (row,) = gateway.check(RENT).rows

    assert isinstance(row, UnreadableRow)
    assert "amount" in row.reason


UNPAID = {
    "as assumed": answer(200, fixture("check_200_unpaid_assumed")),
    "resp_code": paid(resp_code="01"),
    "no resp_code": paid(resp_code=None),
    "a number": paid(resp_code=0),
    "under 500": refused("NOT_PAID", status=500),
    "under 404": refused("", "Төлбөр төлөгдөөгүй", status=404),
    "no error": answer(200, {"header": {"code": 500}, "body": {"response": {}}}),
    "no response": answer(200, {"header": {"code": "404"}, "body": {"error": None}}),
    "words that nobody knows": refused("E1234", "???"),
    "cancelled": refused("INVOICE_CANCELED"),
}


@pytest.mark.parametrize("reply", UNPAID.values(), ids=UNPAID)
def test_unpaid_is_not_yet_and_never_failed(socialpay: ScriptedQPay, gateway: SocialPayGateway, reply: object) -> None:
    socialpay.will(CHECK, reply)  # type: ignore[arg-type]  # a Reply

    assert gateway.check(RENT).rows == ()


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("INVALID_CHECKSUM", 200, GatewayUnauthorisedError),
        ("TERMINAL_NOT_FOUND", 200, GatewayUnauthorisedError),
        ("INVALID_CHECKSUM", 400, GatewayUnauthorisedError),
        ("", 401, GatewayUnauthorisedError),
        ("INVOICE_NOT_FOUND", 200, GatewayRefusedError),
        ("INVOICE_NOT_FOUND", 404, GatewayRefusedError),
        ("SYSTEM_BUSY", 200, GatewayOutcomeUnknownError),
        ("", 502, GatewayOutcomeUnknownError),
    ],
)
def test_what_an_error_says_plainly_is_that_error(
    socialpay: ScriptedQPay, gateway: SocialPayGateway, kind: str, status: int, error: type[Exception]
) -> None:
    socialpay.will(CHECK, refused(kind, status=status))

    with pytest.raises(error):
        gateway.check(RENT)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"header": {}}', b'{"header": {"code": 200}, "body": []}', b'{"a": NaN}']
)
def test_answer_of_another_shape_is_unreadable(socialpay: ScriptedQPay, gateway: SocialPayGateway, body: bytes) -> None:
    socialpay.will(CHECK, answer(200, body))

    with pytest.raises(GatewayUnreadableError):
        gateway.check(RENT)


def test_body_beyond_the_limit_is_not_read(socialpay: ScriptedQPay, gateway: SocialPayGateway) -> None:
    socialpay.will(CHECK, answer(200, b" " * 300_000))

    with pytest.raises(GatewayUnreadableError, match="too large"):
        gateway.check(RENT)


VALUE = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from(["00", "1500000", [], {}])


@given(st.dictionaries(st.sampled_from(list(fixture("check_200_paid")["body"]["response"])), VALUE, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_changed_money_is_exact_and_ours_or_none(
    config: SocialPayConfig, changed: dict[str, object]
) -> None:
    response = fixture("check_200_paid")["body"]["response"] | changed

    try:
        rows = read_payment(response, about(RENT.number, RENT.amount), config=config)
    except GatewayUnreadableError:
        return

    for row in rows:
        if isinstance(row, PaymentRow):
            minor_units(row.amount)
            assert row.payment_id == "95000059:rent-2026-03-1"
            assert response["checksum"] is None or row.amount == RENT.amount
