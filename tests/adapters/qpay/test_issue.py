"""An invoice is asked for in QPay's words, and what comes back is an invoice or an error, never half of one."""

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from moneyed import Money

from adapters.qpay.config import QPayConfig
from adapters.qpay.gateway import QPayGateway
from domain.gateway import BankLink, GatewayUnreadableError, InvoiceToIssue, PaymentGateway
from tests.adapters.qpay.conftest import OpenGateway
from tests.adapters.qpay.scripted import ScriptedQPay, answer, fixture

CREATE = "POST /v2/invoice"


def test_qpay_is_a_payment_gateway(gateway: QPayGateway) -> None:
    port: PaymentGateway = gateway  # held by mypy

    assert port.name == "qpay"


def test_create_says_what_the_workbook_asks(qpay: ScriptedQPay, gateway: QPayGateway, rent: InvoiceToIssue) -> None:
    qpay.will(CREATE, answer(200, fixture("invoice_create_200")))

    gateway.issue(rent)

    (seen,) = qpay.calls(CREATE)
    assert seen.headers["authorization"] == "Bearer access-1"
    assert seen.json == {
        "invoice_code": "TEST_INVOICE",
        "sender_invoice_no": "rent-2026-03-g2",
        "invoice_receiver_code": "terminal",
        "invoice_description": "Түрээс",
        "amount": 1500000,
        "callback_url": "https://pay.example.mn/v1/webhooks/qpay/c4llback-t0ken",
        "allow_partial": False,
        "enable_expiry": True,
        "expiry_date": "2026-03-18T05:00:00.250Z",
    }
    assert b'"amount":1500000,' in seen.body.replace(b" ", b"")


def test_settings_reach_the_wire(
    qpay: ScriptedQPay, open_gateway: OpenGateway, config: QPayConfig, rent: InvoiceToIssue
) -> None:
    qpay.will(CREATE, answer(200, fixture("invoice_create_200")))
    settings = replace(config, allow_partial=True, enable_expiry=False, sender_branch_code="SALBAR1")

    open_gateway(config=settings).issue(rent)

    body = qpay.calls(CREATE)[0].json
    assert (body["allow_partial"], body["enable_expiry"], body["sender_branch_code"]) == (True, False, "SALBAR1")
    assert "expiry_date" not in body


def test_expiry_in_another_zone_is_sent_in_utc(qpay: ScriptedQPay, gateway: QPayGateway, rent: InvoiceToIssue) -> None:
    qpay.will(CREATE, answer(200, fixture("invoice_create_200")))
    noon = datetime(2026, 3, 18, 12, tzinfo=timezone(timedelta(hours=8)))

    gateway.issue(replace(rent, expires_at=noon))

    assert qpay.calls(CREATE)[0].json["expiry_date"] == "2026-03-18T04:00:00.000Z"


def test_invoice_comes_back_with_its_qr_and_links(
    qpay: ScriptedQPay, gateway: QPayGateway, rent: InvoiceToIssue
) -> None:
    qpay.will(CREATE, answer(200, fixture("invoice_create_200")))

    issued = gateway.issue(rent)

    assert issued.external_id == "6f0f4b52-3f0e-4d0b-9d5e-0a8f5f2b7c11"
    assert issued.qr_text.startswith("0002010102121531279404962794049600")
    assert issued.qr_image == "iVBORw0KGgo="
    assert issued.short_url == "https://s.example.mn/x1"
    assert issued.links[0] == BankLink(
        name="Khan bank",
        description="Хаан банк",
        logo="https://qpay.example.mn/q/logo/khanbank.png",
        link="khanbank://q?qPay_QRcode=0002010102121531",
    )
    assert len(issued.links) == 2


@pytest.mark.parametrize("urls", [None, [], "none", [{"name": "no link"}, {"link": ""}, {"link": None}, 7]])
def test_invoice_without_extras_is_an_invoice(
    qpay: ScriptedQPay, gateway: QPayGateway, rent: InvoiceToIssue, urls: object
) -> None:
    qpay.will(CREATE, answer(200, {"invoice_id": "i-1", "qr_text": "0002", "qr_image": "", "urls": urls}))

    issued = gateway.issue(rent)

    assert (issued.external_id, issued.qr_image, issued.short_url, issued.links) == ("i-1", None, None, ())


def test_what_is_only_shown_is_kept_within_bounds(
    qpay: ScriptedQPay, gateway: QPayGateway, rent: InvoiceToIssue
) -> None:
    links = [
        {"name": "n" * 10_000, "link": "l" * 10_000},
        *({"name": "Bank", "link": f"bank://{n}"} for n in range(200)),
    ]
    body = {"invoice_id": "i-1", "qr_text": "0002", "qr_image": "A" * 1_000_000, "qPay_shortUrl": "u" * 10_000}
    qpay.will(CREATE, answer(200, body | {"urls": links}))

    issued = gateway.issue(rent)

    assert (issued.qr_image, issued.short_url) == (None, None)
    assert [link.link for link in issued.links] == [f"bank://{n}" for n in range(100)]


@pytest.mark.parametrize("spoilt", ["invoice_id", "qr_text"])
@pytest.mark.parametrize("value", [None, "", " ", 1.5, "nul\x00", "half \ud800", ["x"]])
def test_answer_without_id_or_qr_is_unreadable(
    qpay: ScriptedQPay, gateway: QPayGateway, rent: InvoiceToIssue, spoilt: str, value: object
) -> None:
    qpay.will(CREATE, answer(200, json.loads(fixture("invoice_create_200")) | {spoilt: value}))

    with pytest.raises(GatewayUnreadableError, match=spoilt):
        gateway.issue(rent)


@pytest.mark.parametrize("amount", [Money("100.50", "MNT"), Money(100, "USD")], ids=str)
def test_amount_that_qpay_cannot_take_is_refused_before_any_call(
    qpay: ScriptedQPay, gateway: QPayGateway, rent: InvoiceToIssue, amount: Money
) -> None:
    with pytest.raises(ValueError, match="whole tögrög"):
        gateway.issue(replace(rent, amount=amount))

    assert qpay.seen == []


def test_naive_expiry_is_refused_before_any_call(
    qpay: ScriptedQPay, gateway: QPayGateway, rent: InvoiceToIssue
) -> None:
    with pytest.raises(ValueError, match="time zone"):
        gateway.issue(replace(rent, expires_at=rent.expires_at.replace(tzinfo=None)))

    assert qpay.seen == []
