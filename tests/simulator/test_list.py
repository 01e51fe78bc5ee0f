"""payment/list of the simulated QPay: what happened in a window of time."""

import json
from base64 import urlsafe_b64decode
from datetime import timedelta
from typing import Any

import pytest

from tests.simulator.shapes import recorded
from tests.simulator.shop import OTHER, SHOP, Bearer, Shop


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["payment_id"] for row in answer.json()["rows"]]


def three(shop: Shop, bearer: Bearer) -> list[str]:
    """Three payments of three invoices, an hour apart; the first two hours ago."""
    paid = []
    for hours in (2, 1, 0):
        bearer.issue(f"rent-{hours}")
        when = (shop.clock.now - timedelta(hours=hours)).isoformat()
        paid.append(str(shop.paid(number=f"rent-{hours}", paidAt=when, callback="drop")["paymentId"]))
    return paid


def test_a_row_is_told_as_recorded(shop: Shop, bearer: Bearer) -> None:
    invoice = bearer.issue("2026-03", invoice_description="Түрээс")
    payment_id = shop.paid(number="2026-03", callback="drop")["paymentId"]

    expected = recorded("payment_list_200")
    told = {"payment_id": payment_id, "qr_code": invoice["qr_text"], "object_id": invoice["invoice_id"]}
    expected["rows"][0] |= {**told, "payment_description": "Түрээс 2026-03"}
    assert bearer.list().json() == expected


def test_nothing_paid_is_an_empty_list(bearer: Bearer) -> None:
    assert bearer.list().json() == {"count": 0, "rows": []}


def test_only_the_window_is_told_with_both_its_ends(shop: Shop, bearer: Bearer) -> None:
    first, second, _ = three(shop, bearer)

    # 05:57:47.336, an hour and two hours before it
    answer = bearer.list(start_date="2026-03-11 03:57:47", end_date="2026-03-11 04:57:48")

    assert ids(answer) == [first, second]


def test_the_window_may_be_the_local_time(shop: Shop, bearer: Bearer) -> None:
    paid = three(shop, bearer)
    window: dict[str, Any] = {"start_date": "2026-03-11 13:30:00", "end_date": "2026-03-11 14:00:00"}

    assert ids(bearer.list(**window)) == []
    shop.switch(listWindowIsLocal=True)
    assert ids(bearer.list(**window)) == paid[2:]


def test_a_window_with_a_zone_means_what_it_says(shop: Shop, bearer: Bearer) -> None:
    paid = three(shop, bearer)

    answer = bearer.list(start_date="2026-03-11T13:30:00+08:00", end_date="2026-03-11T06:00:00Z")

    assert ids(answer) == paid[2:]


def test_pages_are_oldest_first_or_newest_first_as_it_is_switched(shop: Shop, bearer: Bearer) -> None:
    paid = three(shop, bearer)

    def pages() -> list[str]:
        told = [bearer.list(offset={"page_number": page, "page_limit": 2}) for page in (1, 2, 3)]
        assert {one.json()["count"] for one in told} == {3}
        return [payment_id for one in told for payment_id in ids(one)]

    assert pages() == paid
    shop.switch(listNewestFirst=True)
    assert pages() == paid[::-1]


def test_the_count_may_be_that_of_the_page(shop: Shop, bearer: Bearer) -> None:
    three(shop, bearer)
    shop.switch(listCountIsOfPage=True)

    told = [bearer.list(offset={"page_number": page, "page_limit": 2}).json() for page in (1, 2, 3)]

    assert [one["count"] for one in told] == [2, 1, 0]


def test_the_merchant_is_named_as_in_the_token(shop: Shop) -> None:
    bearer = shop.bearer()
    claims = json.loads(urlsafe_b64decode(bearer.access_token.split(".")[1] + "=="))
    bearer.issue("rent-1")
    paid = shop.paid(number="rent-1", callback="drop")["paymentId"]

    assert ids(bearer.list(object_id=claims["merchant_id"])) == [paid]


@pytest.mark.parametrize(
    ("whose", "refusal"),
    [
        ({"object_type": "MERCHANT", "object_id": OTHER.merchant_id}, (403, "PERMISSION_DENIED")),
        ({"object_type": "INVOICE", "object_id": OTHER.invoice_code}, (400, "INVOICE_CODE_INVALID")),
        ({"object_type": "CARD", "object_id": "x"}, (400, "INVALID_OBJECT_TYPE")),
    ],
)
def test_what_is_not_the_merchants_own_is_refused(
    bearer: Bearer, whose: dict[str, Any], refusal: tuple[int, str]
) -> None:
    answer = bearer.list(**whose)

    assert (answer.status_code, answer.json()["error"]) == refusal


def test_invoice_means_the_invoice_code_and_qr_one_qr(shop: Shop, bearer: Bearer) -> None:
    paid = three(shop, bearer)
    qr_text = bearer.list().json()["rows"][1]["qr_code"]

    assert ids(bearer.list(object_type="INVOICE", object_id=SHOP.invoice_code)) == paid
    assert ids(bearer.list(object_type="QR", object_id=qr_text)) == [paid[1]]


def test_others_payments_are_not_told(shop: Shop) -> None:
    theirs = shop.bearer(OTHER)
    theirs.issue("rent-1", invoice_code=OTHER.invoice_code)
    shop.paid(number="rent-1", callback="drop")

    assert ids(theirs.list(merchant=OTHER)) != []
    assert ids(shop.bearer().list()) == []


@pytest.mark.parametrize(("limit", "status"), [(0, 400), (1, 200), (100, 200), (694, 200), (695, 500)])
def test_pages_that_are_too_long_break_it(bearer: Bearer, limit: int, status: int) -> None:
    assert bearer.list(offset={"page_number": 1, "page_limit": limit}).status_code == status


@pytest.mark.parametrize(
    ("switched", "told"),
    [
        ({"listObjectId": "invoice_code"}, {"object_id": SHOP.invoice_code}),
        ({"listObjectId": "absent"}, {"object_id": None}),
        ({"listWithoutQrCode": True}, {"qr_code": None}),
    ],
)
def test_rows_may_name_their_invoice_otherwise(
    shop: Shop, bearer: Bearer, switched: dict[str, Any], told: dict[str, Any]
) -> None:
    three(shop, bearer)
    shop.switch(**switched)

    rows = bearer.list().json()["rows"]

    assert [{key: row.get(key) for key in told} for row in rows] == [told] * 3


def test_what_is_told_of_a_payment_is_told_here_too(shop: Shop, bearer: Bearer) -> None:
    hidden, changed, twice = three(shop, bearer)
    shop.tell(hidden, hidden=True)
    shop.tell(changed, status="REFUNDED", amount="10.5")
    shop.tell(twice, duplicated=2)

    answer = bearer.list()

    assert ids(answer) == [changed, twice, twice]
    assert (answer.json()["rows"][0]["payment_status"], answer.json()["rows"][0]["payment_amount"]) == (
        "REFUNDED",
        "10.50",
    )
