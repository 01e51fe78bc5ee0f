"""What the control API tells, and what holds for every answer."""

import httpx
import pytest

from simulator.app import create_app
from tests.simulator.shop import SHOP, Bearer, Clock, Shop


def test_calls_are_counted_by_endpoint_and_by_invoice(shop: Shop) -> None:
    bearer = shop.bearer()
    one, other = (bearer.issue(number)["invoice_id"] for number in ("a", "b"))
    for invoice_id in (one, one, other):
        bearer.check(invoice_id)
    bearer.call("GET", f"/v2/invoice/{one}")
    bearer.call("DELETE", f"/v2/invoice/{other}")
    payment_id = shop.paid(invoiceId=one, callback="drop")["paymentId"]
    bearer.call("GET", f"/v2/payment/{payment_id}")
    bearer.call("DELETE", f"/v2/payment/refund/{payment_id}", json={"note": "returned"})
    bearer.call("DELETE", "/v2/payment/cancel/nothing", json={"note": "returned"})

    assert shop.look("calls") == {
        "endpoints": {
            "POST /v2/auth/token": 1,
            "POST /v2/invoice": 2,
            "POST /v2/payment/check": 3,
            "GET /v2/invoice/{invoice_id}": 1,
            "DELETE /v2/invoice/{invoice_id}": 1,
            "GET /v2/payment/{payment_id}": 1,
            "DELETE /v2/payment/refund/{payment_id}": 1,
            "DELETE /v2/payment/cancel/{payment_id}": 1,
        },
        "logins": 1,
        "checks": {one: 2, other: 1},
        "gets": {one: 1},
        "cancels": {other: 1},
        "paymentGets": {one: 1},
        "refunds": {one: 1},
        "paymentCancels": {},
    }


def test_refused_calls_are_counted_too(shop: Shop) -> None:
    Bearer(shop.http, "dead").check("some-invoice")
    shop.http.post("/v2/payment/check", content=b"{")
    shop.http.post("/v2/auth/token")
    shop.http.get("/v2/nothing")

    calls = shop.look("calls")
    assert calls["endpoints"] == {
        "POST /v2/payment/check": 2,
        "POST /v2/auth/token": 1,
        "GET /v2/{path:path}": 1,
    }
    assert (calls["checks"], calls["logins"]) == ({"some-invoice": 1}, 1)


def test_the_control_api_is_not_counted(shop: Shop) -> None:
    shop.look("facts")

    assert shop.look("calls")["endpoints"] == {}


def test_a_reset_forgets_everything(shop: Shop, bearer: Bearer) -> None:
    invoice_id = bearer.issue()["invoice_id"]
    shop.paid(invoiceId=invoice_id)
    shop.callbacks(1)

    answer = shop.http.post("/simulator/reset")

    assert (answer.status_code, answer.json()) == (200, {})
    assert shop.look("facts") == {"invoices": [], "payments": []}
    assert shop.look("calls")["endpoints"] == {}
    assert shop.look("callbacks") == {"callbacks": [], "pending": 0}
    assert bearer.check(invoice_id).status_code == 401
    assert shop.pay(number="rent-2026-03").status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/v2/nothing", "/v2/payment/list/x", "/v2/", "/v2/auth/token/"])
def test_unknown_wire_paths_are_a_json_404(shop: Shop, method: str, path: str) -> None:
    answer = shop.http.request(method, path)

    assert answer.status_code == 404
    assert answer.json() == {"error": "NOT_FOUND", "message": f"Cannot {method} {path}"}


def test_a_wrong_method_on_the_wire_is_a_json_404(shop: Shop) -> None:
    assert shop.http.get("/v2/auth/token").json()["error"] == "NOT_FOUND"


def test_unknown_paths_elsewhere_are_a_json_404(shop: Shop) -> None:
    for path in ("/nothing", "/simulator/nothing", "/docs", "/openapi.json"):
        answer = shop.http.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


def test_a_wrong_method_on_the_control_api_tells_the_right_one(shop: Shop) -> None:
    answer = shop.http.get("/simulator/pay")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_every_answer_says_that_it_is_a_simulator(shop: Shop, bearer: Bearer) -> None:
    answers = [
        shop.http.get("/"),
        shop.http.get("/simulator/facts"),
        shop.http.get("/nothing"),
        shop.http.post("/v2/auth/token"),
        shop.http.post("/simulator/pay"),
        bearer.create(),
        bearer.create(amount=0),
        bearer.call("GET", "/v2/nothing"),
        shop.http.get("/s/nothing"),
        shop.http.get("/logo/khanbank.svg"),
    ]

    assert [answer.headers.get_list("X-Simulator") for answer in answers] == [["tootsoo"]] * len(answers)


@pytest.mark.anyio
async def test_a_mistake_of_the_simulator_is_a_500_that_says_so() -> None:
    app = create_app(merchants=[SHOP], clock=Clock())
    app.state.world = "broken"
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as http:
        answer = await http.get("/simulator/facts")

    assert (answer.status_code, answer.headers["X-Simulator"]) == (500, "tootsoo")
    assert answer.json()["error"]["code"] == "SIMULATOR_BROKEN"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
