"""One invoice and one payment by their ids, in every mixture of types that QPay answers with."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from moneyed import Money

from adapters.qpay.details import InvoiceStatus
from adapters.qpay.gateway import QPayGateway
from domain.gateway import GatewayOutcomeUnknownError, GatewayRefusedError, GatewayUnreadableError
from domain.payment_row import FoundPayment, RowStatus, UnreadableRow
from tests.adapters.qpay.scripted import ScriptedQPay, answer, fixture

PAYMENT = "GET /v2/payment/100000000000001"
INVOICE = "GET /v2/invoice/6f0f4b52"
CANCEL = "DELETE /v2/payment/cancel/p-1"


def test_payment_is_looked_up_with_its_invoice(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(PAYMENT, answer(200, fixture("payment_get_200")))

    one = gateway.look_up("100000000000001")

    assert isinstance(one, FoundPayment)
    assert (one.row.payment_id, one.row.status) == ("100000000000001", RowStatus.PAID)
    assert (one.row.amount, one.row.fee) == (Money(1_500_000, "MNT"), Money(15_000, "MNT"))
    assert one.row.paid_at == datetime(2026, 3, 11, 5, 57, 47, 336_000, tzinfo=UTC)
    assert (one.external_id, one.qr_text) == ("6f0f4b52-3f0e-4d0b-9d5e-0a8f5f2b7c11", None)
    assert len(qpay.calls(PAYMENT)) == 1


def test_payment_that_qpay_does_not_know_is_none(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(PAYMENT, answer(422, {"error": "PAYMENT_NOTFOUND", "message": "x"}))

    assert gateway.look_up("100000000000001") is None


def test_payment_that_may_not_be_looked_up_is_refused(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(PAYMENT, answer(403, {"error": "PERMISSION_DENIED", "message": "x"}))

    with pytest.raises(GatewayRefusedError, match="PERMISSION_DENIED"):
        gateway.look_up("100000000000001")


@pytest.mark.parametrize("body", [b"[]", b"{}", b"null", b'{"payment_id": "1"}'])
def test_payment_of_another_shape_is_an_unreadable_row(qpay: ScriptedQPay, gateway: QPayGateway, body: bytes) -> None:
    qpay.will(PAYMENT, answer(200, body))

    assert isinstance(gateway.look_up("100000000000001"), UnreadableRow)


def test_payment_that_is_no_json_is_unreadable(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(PAYMENT, answer(200, b"<html>"))

    with pytest.raises(GatewayUnreadableError):
        gateway.look_up("100000000000001")


def test_recorded_invoice_is_read(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(INVOICE, answer(200, fixture("invoice_get_200_open")))

    invoice = gateway.read_invoice("6f0f4b52")

    assert (invoice.status, invoice.status_text, invoice.number) == (InvoiceStatus.OPEN, "OPEN", "rent-2026-03")
    assert invoice.total == Money(1_500_000, "MNT")
    assert invoice.raw == json.loads(fixture("invoice_get_200_open"))


def test_expiry_of_an_invoice_without_one_is_nowhere_to_be_mistaken_for_an_expiry(
    qpay: ScriptedQPay, gateway: QPayGateway
) -> None:
    qpay.will(INVOICE, answer(200, fixture("invoice_get_200_open")))

    invoice = gateway.read_invoice("6f0f4b52")

    assert not hasattr(invoice, "expires_at")
    assert not hasattr(invoice, "expiry_date")


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("OPEN", InvoiceStatus.OPEN),
        ("CLOSED", InvoiceStatus.CLOSED),
        ("CANCELED", InvoiceStatus.CANCELED),
        ("CANCELLED", InvoiceStatus.UNKNOWN),
        ("open", InvoiceStatus.UNKNOWN),
        ("UNKNOWN", InvoiceStatus.UNKNOWN),
        ("", InvoiceStatus.UNKNOWN),
    ],
)
def test_status_of_an_invoice_is_qpays_own_word_or_unknown(
    qpay: ScriptedQPay, gateway: QPayGateway, word: str, status: InvoiceStatus
) -> None:
    qpay.will(INVOICE, answer(200, {"invoice_id": "i", "invoice_status": word}))

    assert gateway.read_invoice("6f0f4b52").status is status


@pytest.mark.parametrize(
    ("fields", "total"),
    [
        ({"total_amount": "100.00"}, Money(100, "MNT")),
        ({"total_amount": 100}, Money(100, "MNT")),
        ({"total_amount": None, "gross_amount": 100}, Money(100, "MNT")),
        ({"total_amount": "what?"}, None),
        ({"total_amount": "100.005"}, None),
        ({}, None),
    ],
)
def test_amount_of_an_invoice_is_exact_or_unknown(
    qpay: ScriptedQPay, gateway: QPayGateway, fields: dict[str, object], total: Money | None
) -> None:
    qpay.will(INVOICE, answer(200, {"invoice_id": "i", "invoice_status": "OPEN", **fields}))

    assert gateway.read_invoice("6f0f4b52").total == total


@pytest.mark.parametrize("body", [b"[]", b"{}", b"<html>", b'{"invoice_id": "i", "invoice_status": null}'])
def test_invoice_of_another_shape_is_unreadable(qpay: ScriptedQPay, gateway: QPayGateway, body: bytes) -> None:
    qpay.will(INVOICE, answer(200, body))

    with pytest.raises(GatewayUnreadableError):
        gateway.read_invoice("6f0f4b52")


@pytest.mark.parametrize("each_id", ["", ".", ".."])
@pytest.mark.parametrize("ask", [QPayGateway.look_up, QPayGateway.read_invoice])
def test_id_that_cannot_be_part_of_a_path_is_refused_before_any_call(
    qpay: ScriptedQPay, gateway: QPayGateway, ask: Callable[[QPayGateway, str], object], each_id: str
) -> None:
    with pytest.raises(ValueError, match="_id"):
        ask(gateway, each_id)

    assert qpay.seen == []


def test_payment_is_cancelled_with_a_note(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CANCEL, answer(200, {}))

    gateway.cancel_payment("p-1", note="Буцаав")

    assert qpay.calls(CANCEL)[0].json == {"note": "Буцаав"}


@pytest.mark.parametrize("status", [400, 409])
def test_payment_that_was_cancelled_before_is_cancelled(qpay: ScriptedQPay, gateway: QPayGateway, status: int) -> None:
    qpay.will(CANCEL, answer(status, {"error": "PAYMENT_ALREADY_CANCELED", "message": "x"}))

    gateway.cancel_payment("p-1", note="")

    assert len(qpay.calls(CANCEL)) == 1


def test_bank_transfer_is_not_cancelled(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CANCEL, answer(400, fixture("payment_settled_400")))

    with pytest.raises(GatewayRefusedError) as refused:
        gateway.cancel_payment("p-1", note="")

    assert refused.value.code == "PAYMENT_SETTLED"


def test_cancel_of_a_payment_without_an_answer_is_not_repeated(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CANCEL, answer(502, b"<html>"), answer(200))

    with pytest.raises(GatewayOutcomeUnknownError):
        gateway.cancel_payment("p-1", note="")

    assert len(qpay.calls(CANCEL)) == 1
