"""Other people's clients speak to the simulated QPay as they do to the real one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from qpay_client.v2 import QPayClient, QPaySettings
from qpay_client.v2.enums import InvoiceStatus, ObjectType, PaymentStatus, TransactionType
from qpay_client.v2.error import QPayError
from qpay_client.v2.schemas import (
    InvoiceCreateSimpleRequest,
    Offset,
    PaymentCancelRequest,
    PaymentCheckRequest,
    PaymentListRequest,
)

from simulator.server import Running
from tests.simulator.shop import NOWHERE, SHOP, Shop

FIRST_PAGE = Offset(page_number=1, page_limit=100)


@pytest.fixture
def client(shop: Shop, running: Running) -> Iterator[QPayClient]:
    # This client reads its own clock to see whether its token lives: the simulator's has to be right.
    shop.clock.now = datetime.now(UTC)
    settings = QPaySettings(
        username=SHOP.username,
        password=SHOP.password,
        invoice_code=SHOP.invoice_code,
        base_url=f"{running.url}/v2",
        client_retries=0,
        payment_check_retries=0,
    )
    with QPayClient(settings) as client:
        yield client


def issue(client: QPayClient) -> str:
    request = InvoiceCreateSimpleRequest(
        sender_invoice_no="rent-1",
        invoice_receiver_code="terminal",
        invoice_description="Түрээс",
        amount=Decimal(1_500_000),
        callback_url=NOWHERE,
    )
    return str(client.invoice_create(request).invoice_id)


def check(invoice_id: str) -> PaymentCheckRequest:
    return PaymentCheckRequest(object_type=ObjectType.invoice, object_id=invoice_id, offset=FIRST_PAGE)


def test_qpay_client_logs_in_creates_and_reads_an_invoice(client: QPayClient) -> None:
    invoice = client.invoice_get(issue(client))

    assert client.is_authenticated
    assert (invoice.invoice_status, invoice.total_amount) == (InvoiceStatus.open, Decimal(1_500_000))


def test_qpay_client_sees_a_payment_by_check_by_id_and_in_the_list(shop: Shop, client: QPayClient) -> None:
    invoice_id = issue(client)
    assert client.payment_check(check(invoice_id)).count == 0
    payment_id = shop.paid(invoiceId=invoice_id, callback="drop")["paymentId"]

    (checked,) = client.payment_check(check(invoice_id)).rows
    got = client.payment_get(payment_id)
    now = datetime.now(UTC)
    (listed,) = client.payment_list(
        PaymentListRequest(
            object_type=ObjectType.invoice,
            object_id=SHOP.invoice_code,
            start_date=now - timedelta(days=1),
            end_date=now + timedelta(days=1),
            offset=FIRST_PAGE,
        )
    ).rows

    assert {one.payment_id for one in (checked, got, listed)} == {payment_id}
    assert {one.payment_amount for one in (checked, got, listed)} == {1_500_000}
    assert {one.payment_status for one in (checked, got, listed)} == {PaymentStatus.paid}
    assert (got.object_id, listed.object_id) == (invoice_id, invoice_id)
    assert checked.payment_type is TransactionType.p2p


def test_qpay_client_cancels_an_invoice_and_is_refused_the_second_time(client: QPayClient) -> None:
    invoice_id = issue(client)

    assert client.invoice_cancel(invoice_id) == 200
    with pytest.raises(QPayError, match="INVOICE_ALREADY_CANCELED"):
        client.invoice_cancel(invoice_id)


def test_qpay_client_cancels_a_card_payment_and_no_bank_transfer(shop: Shop, client: QPayClient) -> None:
    card = shop.paid(invoiceId=issue(client), type="CARD", callback="drop")["paymentId"]
    transfer = shop.paid(invoiceId=issue(client), callback="drop")["paymentId"]

    assert client.payment_cancel(card, PaymentCancelRequest(note="returned")) == 200
    with pytest.raises(QPayError, match="PAYMENT_SETTLED"):
        client.payment_cancel(transfer, PaymentCancelRequest(note="returned"))


def test_qpay_client_goes_on_when_its_token_was_killed(shop: Shop, client: QPayClient) -> None:
    invoice_id = issue(client)
    shop.log_in()

    assert client.invoice_get(invoice_id).invoice_id == invoice_id
