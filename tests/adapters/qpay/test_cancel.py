"""After a cancel the QR is unpayable, or money has arrived on it, or nobody knows; and what a callback may hint."""

import pytest

from adapters.qpay.gateway import QPayGateway
from domain.gateway import (
    CancelOutcome,
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
    GatewayUnreadableError,
)
from tests.adapters.qpay.scripted import ScriptedQPay, answer, fixture
from tests.adapters.refs import ref

CANCEL = "DELETE /v2/invoice/i-1"


@pytest.mark.parametrize("body", [b"{}", b"", b'{"invoice_id": "i-1"}'])
def test_cancel_makes_it_unpayable(qpay: ScriptedQPay, gateway: QPayGateway, body: bytes) -> None:
    qpay.will(CANCEL, answer(200, body))

    assert gateway.cancel(ref("i-1")) is CancelOutcome.CANCELLED
    assert qpay.calls(CANCEL)[0].body == b""


def test_cancel_of_what_was_cancelled_before_is_the_same(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CANCEL, answer(400, fixture("invoice_already_canceled_400")))

    assert gateway.cancel(ref("i-1")) is CancelOutcome.CANCELLED


@pytest.mark.parametrize("status", [400, 409, 422])
def test_cancel_of_a_paid_one_says_so_whatever_the_status(
    qpay: ScriptedQPay, gateway: QPayGateway, status: int
) -> None:
    qpay.will(CANCEL, answer(status, {"error": "INVOICE_PAID", "message": "INVOICE_PAID"}))

    assert gateway.cancel(ref("i-1")) is CancelOutcome.PAID


def test_other_refusals_of_a_cancel_are_refusals(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CANCEL, answer(422, {"error": "INVOICE_NOTFOUND", "message": "Олдсонгүй"}))

    with pytest.raises(GatewayRefusedError) as refused:
        gateway.cancel(ref("i-1"))

    assert (refused.value.code, refused.value.final) == ("INVOICE_NOTFOUND", True)


def test_paid_in_a_server_error_proves_nothing(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CANCEL, answer(500, {"error": "INVOICE_PAID", "message": "INVOICE_PAID"}))

    with pytest.raises(GatewayOutcomeUnknownError):
        gateway.cancel(ref("i-1"))


@pytest.mark.parametrize("body", [b"<html>ok</html>", b'{"error": "SYSTEM_BUSY"}', b"[]"])
def test_success_that_says_something_else_cancels_nothing(
    qpay: ScriptedQPay, gateway: QPayGateway, body: bytes
) -> None:
    qpay.will(CANCEL, answer(200, body))

    with pytest.raises(GatewayUnreadableError):
        gateway.cancel(ref("i-1"))


def test_id_is_quoted_into_the_path(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will("DELETE /v2/invoice/..%2Fpayment%2F1%3Fx%3D%D1%82", answer(200, b"{}"))

    assert gateway.cancel(ref("../payment/1?x=т")) is CancelOutcome.CANCELLED


@pytest.mark.parametrize("external_id", ["", ".", ".."])
def test_id_that_cannot_be_part_of_a_path_is_refused_before_any_call(
    qpay: ScriptedQPay, gateway: QPayGateway, external_id: str
) -> None:
    with pytest.raises(ValueError, match="external_id"):
        gateway.cancel(ref(external_id))

    assert qpay.seen == []


@pytest.mark.parametrize(
    ("query", "payment_id"),
    [
        ({"qpay_payment_id": "100000000000001"}, "100000000000001"),
        ({"qpay_payment_id": "0b9d6f0e-6a55-4a4f-8a5b-2f5a3f1d9c77", "x": "y"}, "0b9d6f0e-6a55-4a4f-8a5b-2f5a3f1d9c77"),
        ({"qpay_payment_id": "x" * 100}, "x" * 100),
        ({"qpay_payment_id": "x" * 101}, None),
        ({"qpay_payment_id": ""}, None),
        ({"qpay_payment_id": "1 or 1"}, None),
        ({"qpay_payment_id": "1\n"}, None),
        ({"qpay_payment_id": "төлбөр"}, None),
        ({"payment_id": "1"}, None),
        ({}, None),
    ],
)
def test_callback_hints_at_a_payment_only_with_a_sane_id(
    gateway: QPayGateway, query: dict[str, str], payment_id: str | None
) -> None:
    assert gateway.read_callback(query) == payment_id
