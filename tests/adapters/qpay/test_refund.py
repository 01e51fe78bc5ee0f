"""A refund was made, now or before, or was refused for a reason, or nobody knows."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import redis

from adapters.qpay.config import QPayConfig
from adapters.qpay.gateway import QPayGateway
from domain.gateway import (
    GatewayBusyError,
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
    GatewayUnreadableError,
    InvoiceToIssue,
)
from domain.payment_row import PaymentRow, RowStatus
from simulator.facts import PAID, Merchant, PaymentType
from simulator.paying import pay
from simulator.server import Running, serving
from tests.adapters.qpay.conftest import OpenGateway, elsewhere
from tests.adapters.qpay.scripted import Reply, ScriptedQPay, answer, fixture, half_an_answer, only_with, reset
from tests.adapters.qpay.token_in_redis import half_a_minute_later
from tests.adapters.refs import ref

REFUND = "DELETE /v2/payment/refund/p-1"
ALREADY = {"error": "PAYMENT_ALREADY_CANCELED", "message": "PAYMENT_ALREADY_CANCELED"}


@pytest.mark.parametrize("body", [b"{}", b"", b'{"payment_id": "p-1"}'])
def test_refund_asks_for_the_payment_with_its_note(qpay: ScriptedQPay, gateway: QPayGateway, body: bytes) -> None:
    qpay.will(REFUND, answer(200, body))

    gateway.refund("p-1", note="Бараа буцаав")

    (seen,) = qpay.calls(REFUND)
    assert seen.json == {"note": "Бараа буцаав"}


@pytest.mark.parametrize("status", [400, 409, 422])
def test_refund_of_what_was_given_back_before_is_done_whatever_the_status(
    qpay: ScriptedQPay, gateway: QPayGateway, status: int
) -> None:
    qpay.will(REFUND, answer(status, ALREADY))

    gateway.refund("p-1", note="returned")

    assert len(qpay.calls(REFUND)) == 1


def test_bank_transfer_is_refused_as_settled(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(REFUND, answer(400, fixture("payment_settled_400")))

    with pytest.raises(GatewayRefusedError) as refused:
        gateway.refund("p-1", note="returned")

    assert refused.value.code == "PAYMENT_SETTLED"


@pytest.mark.parametrize(
    ("status", "code"), [(422, "PAYMENT_NOTFOUND"), (400, "PAYMENT_NOT_PAID"), (403, "PERMISSION_DENIED")]
)
def test_other_refusals_keep_their_code(qpay: ScriptedQPay, gateway: QPayGateway, status: int, code: str) -> None:
    qpay.will(REFUND, answer(status, {"error": code, "message": code}))

    with pytest.raises(GatewayRefusedError) as refused:
        gateway.refund("p-1", note="returned")

    assert refused.value.code == code


@pytest.mark.parametrize(
    "reply", [reset, half_an_answer, answer(502, b"<html>"), answer(500, ALREADY)], ids=["reset", "half", "502", "500"]
)
def test_lost_answer_leaves_the_outcome_unknown_and_is_not_asked_for_again(
    qpay: ScriptedQPay, gateway: QPayGateway, reply: Reply
) -> None:
    qpay.will(REFUND, reply)

    with pytest.raises(GatewayOutcomeUnknownError):
        gateway.refund("p-1", note="returned")

    assert len(qpay.calls(REFUND)) == 1


@pytest.mark.parametrize("body", [b"<html>ok</html>", b'{"error": "SYSTEM_BUSY"}', b"[]"])
def test_success_that_says_something_else_proves_no_refund(
    qpay: ScriptedQPay, gateway: QPayGateway, body: bytes
) -> None:
    qpay.will(REFUND, answer(200, body))

    with pytest.raises(GatewayUnreadableError):
        gateway.refund("p-1", note="returned")


def test_refund_that_is_turned_away_by_a_limit_was_not_made(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(REFUND, answer(429, b"", headers={"Retry-After": "7"}))

    with pytest.raises(GatewayBusyError) as busy:
        gateway.refund("p-1", note="returned")

    assert busy.value.retry_after_s == 7


def test_refund_with_a_dead_token_is_made_with_a_new_one(
    qpay: ScriptedQPay, logged_in: QPayGateway, shared: "redis.Redis"
) -> None:
    half_a_minute_later(shared)
    qpay.will(REFUND, only_with("access-2", answer(200, b"{}")))

    logged_in.refund("p-1", note="returned")

    assert [seen.json for seen in qpay.calls(REFUND)] == [{"note": "returned"}] * 2


def test_payment_id_is_quoted_into_the_path(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    endpoint = "DELETE /v2/payment/refund/..%2Finvoice%2F1%3Fx%3D%D1%82"
    qpay.will(endpoint, answer(200, b"{}"))

    gateway.refund("../invoice/1?x=т", note="returned")

    assert len(qpay.calls(endpoint)) == 1


@pytest.mark.parametrize("payment_id", ["", ".", ".."])
def test_payment_id_that_cannot_be_part_of_a_path_is_refused_before_any_call(
    qpay: ScriptedQPay, gateway: QPayGateway, payment_id: str
) -> None:
    with pytest.raises(ValueError, match="payment_id"):
        gateway.refund(payment_id, note="returned")

    assert qpay.seen == []


@pytest.mark.parametrize(
    ("note", "sent"),
    [
        ("  two\r\nlines\tand a tab ", "two lines and a tab"),
        ("bell\x07 nul\x00 escape\x1b[31m half\ud800", "bell nul escape[31m half"),
        ("ө" * 255, "ө" * 255),
        ("ө" * 256, "ө" * 255),
        ("x" * 100_000, "x" * 255),
        ("", ""),
    ],
)
def test_note_is_one_line_that_fits(qpay: ScriptedQPay, gateway: QPayGateway, note: str, sent: str) -> None:
    qpay.will(REFUND, answer(200, b"{}"))

    gateway.refund("p-1", note=note)

    assert json.loads(qpay.calls(REFUND)[0].body) == {"note": sent}


@pytest.fixture
def simulator(config: QPayConfig) -> Iterator[Running]:
    shop = Merchant(
        username=config.username, password=config.password.get_secret_value(), invoice_code=config.invoice_code
    )
    with serving(merchants=[shop], clock=lambda: datetime.now(UTC)) as running:
        yield running


@pytest.mark.parametrize("payment_type", PaymentType)
def test_the_simulator_gives_back_what_was_paid_by_card_alone(
    simulator: Running, open_gateway: OpenGateway, config: QPayConfig, rent: InvoiceToIssue, payment_type: PaymentType
) -> None:
    gateway = open_gateway(config=elsewhere(config, simulator.url))
    issued = gateway.issue(rent)
    book = simulator.world.book
    invoice = book.invoice(issued.external_id)
    assert invoice is not None
    paid = pay(
        book, invoice, amount=None, payment_type=payment_type, status=PAID, force=True, now=simulator.world.clock()
    )

    by_card = payment_type is PaymentType.CARD
    if by_card:
        gateway.refund(paid.payment_id, note="returned")
        gateway.refund(paid.payment_id, note="returned")
    else:
        with pytest.raises(GatewayRefusedError, match="PAYMENT_SETTLED"):
            gateway.refund(paid.payment_id, note="returned")

    (row,) = gateway.check(ref(issued.external_id)).rows
    assert isinstance(row, PaymentRow)
    assert row.status is (RowStatus.REFUNDED if by_card else RowStatus.PAID)
