"""After a cancel the invoice is unpayable, or paid, or nobody knows; where words do not tell, a check does."""

import pytest

from adapters.socialpay.gateway import SocialPayGateway
from domain.gateway import (
    CancelOutcome,
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
    GatewayUnreadableError,
)
from tests.adapters.qpay.scripted import ScriptedQPay, answer
from tests.adapters.socialpay.conftest import CANCEL, CHECK, RENT, fixture, paid, refused

DONE = answer(200, {"header": {"code": 200}, "body": {"response": {"status": "SUCCESS", "desc": "ok"}}})


def test_cancel_names_number_and_amount(socialpay: ScriptedQPay, gateway: SocialPayGateway) -> None:
    socialpay.will(CANCEL, DONE)

    assert gateway.cancel(RENT) is CancelOutcome.CANCELLED
    assert socialpay.calls(CANCEL)[0].json == fixture("invoice_qr_request")["body"]


@pytest.mark.parametrize(
    ("kind", "words", "outcome"),
    [
        ("INVOICE_CANCELED", "", CancelOutcome.CANCELLED),
        ("ERROR", "Нэхэмжлэл цуцлагдсан байна", CancelOutcome.CANCELLED),
        ("INVOICE_NOT_FOUND", "", CancelOutcome.CANCELLED),
        ("INVOICE_PAID", "", CancelOutcome.PAID),
        ("ERROR", "Нэхэмжлэл төлөгдсөн байна", CancelOutcome.PAID),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_words_tell_what_has_become_of_it(
    socialpay: ScriptedQPay, gateway: SocialPayGateway, kind: str, words: str, outcome: CancelOutcome, status: int
) -> None:
    socialpay.will(CANCEL, refused(kind, words, status=status))

    assert gateway.cancel(RENT) is outcome
    assert socialpay.calls(CHECK) == []


def test_where_words_do_not_tell_a_check_does(socialpay: ScriptedQPay, gateway: SocialPayGateway) -> None:
    socialpay.will(CANCEL, refused("E1", "???"))
    socialpay.will(CHECK, paid(), answer(200, fixture("check_200_unpaid_assumed")))

    assert gateway.cancel(RENT) is CancelOutcome.PAID
    with pytest.raises(GatewayRefusedError, match="E1"):
        gateway.cancel(RENT)


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("SYSTEM_BUSY", 200, GatewayOutcomeUnknownError),
        ("INVOICE_PAID", 500, GatewayOutcomeUnknownError),
        ("INVALID_CHECKSUM", 200, GatewayUnauthorisedError),
    ],
)
def test_what_proves_nothing_cancels_nothing(
    socialpay: ScriptedQPay, gateway: SocialPayGateway, kind: str, status: int, error: type[Exception]
) -> None:
    socialpay.will(CANCEL, refused(kind, status=status))

    with pytest.raises(error):
        gateway.cancel(RENT)


def test_success_that_says_something_else_cancels_nothing(socialpay: ScriptedQPay, gateway: SocialPayGateway) -> None:
    socialpay.will(CANCEL, answer(200, {"header": {"code": 200}, "body": {"response": {"status": "PENDING"}}}))

    with pytest.raises(GatewayUnreadableError):
        gateway.cancel(RENT)
