"""Issuing, reading and cancelling invoices at the simulated QPay."""

from base64 import b64decode
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from simulator.world import Switches
from tests.simulator.shapes import recorded, shape
from tests.simulator.shop import OTHER, Bearer, Shop


def test_create_answers_as_recorded(bearer: Bearer) -> None:
    invoice = bearer.issue()

    assert shape(invoice) == shape(recorded("invoice_create_200"))
    assert str(UUID(invoice["invoice_id"])) == invoice["invoice_id"]


def test_the_image_is_a_bare_base64_png(bearer: Bearer) -> None:
    assert b64decode(bearer.issue()["qr_image"], validate=True).startswith(b"\x89PNG\r\n\x1a\n")


def test_the_image_can_be_switched_off(shop: Shop, bearer: Bearer) -> None:
    shop.world.switches = Switches(qr_image_is_empty=True)

    assert bearer.issue()["qr_image"] == ""


def test_every_qr_text_is_different_and_laid_out_as_emvco_says(bearer: Bearer) -> None:
    texts = {bearer.issue(amount=100)["qr_text"] for _ in range(20)}

    assert len(texts) == 20
    for text in texts:
        fields = emvco(text)
        assert (fields["53"], fields["54"], fields["58"]) == ("496", "100", "MN")
        assert list(fields)[-1] == "63"


def emvco(text: str) -> dict[str, str]:
    fields = {}
    while text:
        tag, length = text[:2], int(text[2:4])
        fields[tag], text = text[4 : 4 + length], text[4 + length :]
    return fields


def test_every_bank_link_opens_the_qr_in_its_application(bearer: Bearer) -> None:
    invoice = bearer.issue()

    assert len(invoice["urls"]) > 5
    for url in invoice["urls"]:
        assert url["link"].partition("://")[2] == f"q?qPay_QRcode={invoice['qr_text']}"
    assert "Хаан банк" in {url["description"] for url in invoice["urls"]}


def test_logos_and_the_short_link_are_the_simulators_own(shop: Shop, bearer: Bearer) -> None:
    invoice = bearer.issue()

    assert invoice["qPay_shortUrl"] == f"{str(shop.http.base_url).rstrip('/')}/s/{invoice['invoice_id']}"
    for url in [invoice["qPay_shortUrl"], *(bank["logo"] for bank in invoice["urls"])]:
        assert shop.http.get(url).status_code == 200


def test_a_repeated_number_makes_a_second_invoice(bearer: Bearer) -> None:
    first, second = bearer.issue("rent-1"), bearer.issue("rent-1")

    assert first["invoice_id"] != second["invoice_id"]
    assert first["qr_text"] != second["qr_text"]


def read(bearer: Bearer, invoice_id: str) -> dict[str, Any]:
    body: dict[str, Any] = bearer.call("GET", f"/v2/invoice/{invoice_id}").json()
    return body


def test_get_answers_as_recorded(bearer: Bearer) -> None:
    invoice = read(bearer, bearer.issue()["invoice_id"])

    assert shape(invoice) == shape(recorded("invoice_get_200_open"))
    told = ("invoice_status", "total_amount", "gross_amount", "sender_invoice_no", "invoice_description", "lines")
    assert [invoice[key] for key in told] == [recorded("invoice_get_200_open")[key] for key in told]


def test_without_an_expiry_its_date_is_the_time_of_creation(bearer: Bearer) -> None:
    invoice = read(bearer, bearer.issue()["invoice_id"])

    assert (invoice["enable_expiry"], invoice["expiry_date"]) == (False, "2026-03-11T05:57:47.336Z")


@pytest.mark.parametrize(
    "written", ["2026-03-18T05:57:47.336Z", "2026-03-18T13:57:47.336+08:00", "2026-03-18 05:57:47.336"]
)
def test_an_expiry_is_kept(bearer: Bearer, written: str) -> None:
    invoice = read(bearer, bearer.issue(enable_expiry=True, expiry_date=written)["invoice_id"])

    assert (invoice["enable_expiry"], invoice["expiry_date"]) == (True, "2026-03-18T05:57:47.336Z")


def test_an_expiry_needs_a_date(bearer: Bearer) -> None:
    answer = bearer.create(enable_expiry=True)

    assert answer.json()["error"] == {"expiry_date": {"type": "REQUIRED", "message": "Required!"}}


def test_an_invoice_expires_at_its_date_and_not_before(shop: Shop, bearer: Bearer) -> None:
    bearer.issue(enable_expiry=True, expiry_date=(shop.clock.now + timedelta(days=7)).isoformat())

    shop.clock.advance(days=7, seconds=-1)
    assert shop.look("facts")["invoices"][0]["state"] == "open"

    shop.clock.advance(seconds=1)
    assert shop.look("facts")["invoices"][0]["state"] == "expired"


def test_lines_and_options_are_told_again(bearer: Bearer) -> None:
    line = {"line_description": "Өрөө 4", "line_quantity": "2", "line_unit_price": 750_000, "note": "n"}
    options: dict[str, Any] = {
        "allow_partial": True,
        "minimum_amount": 10,
        "allow_exceed": True,
        "maximum_amount": 20,
        "note": "x",
    }

    invoice = read(bearer, bearer.issue(lines=[line], **options)["invoice_id"])

    assert {key: invoice[key] for key in options} == options
    assert invoice["lines"][0]["line_unit_price"] == "750000.00"
    assert invoice["lines"][0]["line_quantity"] == "2.00"


def test_paid_is_closed_and_cancelled_has_one_l(shop: Shop, bearer: Bearer) -> None:
    paid, cancelled = bearer.issue("a")["invoice_id"], bearer.issue("b")["invoice_id"]

    shop.paid(invoiceId=paid, callback="drop")
    bearer.call("DELETE", f"/v2/invoice/{cancelled}")

    assert [read(bearer, one)["invoice_status"] for one in (paid, cancelled)] == ["CLOSED", "CANCELED"]


def test_cancelling_answers_an_empty_object_and_then_refuses(bearer: Bearer) -> None:
    path = f"/v2/invoice/{bearer.issue()['invoice_id']}"

    first, second = bearer.call("DELETE", path), bearer.call("DELETE", path)

    assert (first.status_code, first.json()) == (200, {})
    assert (second.status_code, second.json()) == (400, recorded("invoice_already_canceled_400"))


@pytest.mark.parametrize(
    ("amount", "partly_paid_stays_open", "refused"),
    [(1_500_000, False, True), (1_500_000, True, True), (100, False, False), (100, True, True)],
)
def test_a_paid_invoice_is_not_cancelled_and_a_partly_paid_one_as_the_switch_says(
    shop: Shop, bearer: Bearer, amount: int, partly_paid_stays_open: bool, refused: bool
) -> None:
    shop.world.switches = Switches(partly_paid_stays_open=partly_paid_stays_open)
    invoice_id = bearer.issue(allow_partial=True)["invoice_id"]
    shop.paid(invoiceId=invoice_id, amount=amount, callback="drop")

    answer = bearer.call("DELETE", f"/v2/invoice/{invoice_id}")

    assert (answer.status_code, answer.json().get("error")) == ((400, "INVOICE_PAID") if refused else (200, None))


def test_a_failed_payment_does_not_stop_a_cancel(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue()["invoice_id"]
    shop.paid(invoiceId=invoice_id, status="FAILED", callback="drop")

    assert bearer.call("DELETE", f"/v2/invoice/{invoice_id}").status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_unknown_invoices_and_those_of_others_are_not_found(shop: Shop, bearer: Bearer, method: str) -> None:
    theirs = shop.bearer(OTHER).issue(invoice_code=OTHER.invoice_code)["invoice_id"]

    for invoice_id in (str(uuid4()), "nonsense", theirs):
        answer = bearer.call(method, f"/v2/invoice/{invoice_id}")
        assert (answer.status_code, answer.json()["error"]) == (422, "INVOICE_NOTFOUND")
