"""The API answers as api.md says, and tells whoever errs which field it was."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from structlog.testing import capture_logs

from tests.proxy import held
from tests.waiting import wait_until
from tests.worker.conftest import Stack

JSON = {"Content-Type": "application/json"}
RIGHT: dict[str, Any] = {"amount": {"amount": "1500000.00", "currency": "MNT"}, "description": "Түрээс 2026-11"}


def with_amount(amount: object, currency: object = "MNT") -> dict[str, Any]:
    return {**RIGHT, "amount": {"amount": amount, "currency": currency}}


def test_an_invoice_is_made_once_and_read_as_it_was_put(stack: Stack) -> None:
    body = {**RIGHT, "receiverCode": "flat-12", "dueAt": "2026-12-01T08:00:00+08:00"}

    first = stack.api.put("/v2/invoices/rent-2026-11", json=body)
    again = stack.api.put("/v2/invoices/rent-2026-11", json=body)
    read = stack.api.get("/v2/invoices/rent-2026-11")

    assert (first.status_code, again.status_code, read.status_code) == (201, 200, 200)
    assert first.json() == again.json() == read.json()
    nothing = {"amount": "0.00", "currency": "MNT"}
    due = {"amount": "1500000.00", "currency": "MNT"}
    assert read.json() == {
        "id": "rent-2026-11",
        "description": "Түрээс 2026-11",
        "receiverCode": "flat-12",
        "dueAt": "2026-12-01T00:00:00Z",
        "voidedAt": None,
        "balance": {
            "due": due,
            "received": nothing,
            "refunded": nothing,
            "outstanding": due,
            "overpaid": nothing,
            "status": "unpaid",
            "payments": 0,
            "firstPaidAt": None,
            "lastPaidAt": None,
        },
        "gatewayInvoices": [],
    }


def test_an_amount_may_be_a_string_or_an_integer_of_whole_tugrug(stack: Stack, subtests: pytest.Subtests) -> None:
    for number, amount in enumerate(["1500000.00", "1500000", 1500000, "1500000.0", 1500000.0]):
        with subtests.test(amount=amount):
            answer = stack.api.put(f"/v2/invoices/order-{number}", json=with_amount(amount))

            assert answer.status_code == 201
            assert answer.json()["balance"]["due"]["amount"] == "1500000.00"


BAD_FIELDS = [
    (with_amount(0), "amount.amount"),
    (with_amount(-5), "amount.amount"),
    (with_amount("0.00"), "amount.amount"),
    (with_amount("100.50"), "amount.amount"),
    (with_amount("100.005"), "amount.amount"),
    (with_amount(10**12 + 1), "amount.amount"),
    (with_amount("9" * 400), "amount.amount"),
    (with_amount(10**400), "amount.amount"),
    (with_amount(1500000.5), "amount.amount"),
    (with_amount(1e300), "amount.amount"),
    (with_amount(amount=True), "amount.amount"),
    (with_amount(None), "amount.amount"),
    (with_amount("NaN"), "amount.amount"),
    (with_amount("Infinity"), "amount.amount"),
    (with_amount("1e400"), "amount.amount"),
    (with_amount("1e99999999"), "amount.amount"),
    (with_amount("1e3"), "amount.amount"),
    (with_amount("1,000"), "amount.amount"),
    (with_amount("1_000"), "amount.amount"),
    (with_amount("+5"), "amount.amount"),
    (with_amount(" 12 "), "amount.amount"),
    (with_amount("١٢٣"), "amount.amount"),
    (with_amount("\uff19\uff19"), "amount.amount"),
    (with_amount("100", "ZZZ"), "amount.currency"),
    (with_amount("100", "USD"), "amount.currency"),
    (with_amount("100", "mnt"), "amount.currency"),
    (with_amount("100", "XXY"), "amount.currency"),
    ({"description": "x"}, "amount"),
    ({**RIGHT, "amount": 100}, "amount"),
    ({"amount": RIGHT["amount"]}, "description"),
    ({**RIGHT, "description": ""}, "description"),
    ({**RIGHT, "description": "x" * 256}, "description"),
    ({**RIGHT, "description": "a\u0000b"}, "description"),
    ({**RIGHT, "description": 7}, "description"),
    ({**RIGHT, "receiverCode": "x" * 46}, "receiverCode"),
    ({**RIGHT, "description": "\ud800"}, "description"),
    ({**RIGHT, "description": "a\nb"}, "description"),
    ({**RIGHT, "description": " \u3000\u200b"}, "description"),
    ({**RIGHT, "receiverCode": "\udfff"}, "receiverCode"),
    ({**RIGHT, "dueAt": "9999-12-31T23:59:59-14:00"}, "dueAt"),
    ({**RIGHT, "dueAt": "0001-01-01T00:00:00+14:00"}, "dueAt"),
    ({**RIGHT, "dueAt": 1700000000}, "dueAt"),
    ({**RIGHT, "dueAt": "1700000000"}, "dueAt"),
    ({**RIGHT, "dueAt": "tomorrow"}, "dueAt"),
    ({**RIGHT, "dueAt": "2026-12-01T08:00:00"}, "dueAt"),
    ({**RIGHT, "amonut": 1}, "amonut"),
    ({**RIGHT, "receiver_code": "x"}, "receiver_code"),
    ([], "body"),
    ("text", "body"),
    (None, "body"),
]


def test_a_bad_field_is_named(stack: Stack, subtests: pytest.Subtests) -> None:
    for body, field in BAD_FIELDS:
        with subtests.test(body=body):
            answer = stack.api.put("/v2/invoices/order-1", content=json.dumps(body), headers=JSON)

            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (422, "INVALID")
            assert error["field"] == field
            assert stack.api.get("/v2/invoices/order-1").status_code == 404


def test_a_body_that_is_not_json_is_refused(stack: Stack, subtests: pytest.Subtests) -> None:
    for content in [b"", b"{", b'{"amount":NaN}', b"\xff\xfe", b"[" * 10_000, b'{"a":1} trailing']:
        with subtests.test(content=content):
            answer = stack.api.put("/v2/invoices/order-1", content=content, headers=JSON)

            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID")
            assert answer.json()["error"]["field"]


def test_an_invoice_id_that_breaks_the_pattern_is_refused_everywhere(stack: Stack, subtests: pytest.Subtests) -> None:
    for invoice_id in ["-a", "a" * 41, "a_b", "a%20b", "order-g2", "%D1%82", "a%00", "a.b"]:
        with subtests.test(invoice_id=invoice_id):
            path = f"/v2/invoices/{invoice_id}"
            answers = [
                stack.api.put(path, json=RIGHT),
                stack.api.get(path),
                stack.api.post(f"{path}/pay-link", json={"gateway": "qpay"}),
            ]

            assert {answer.status_code for answer in answers} == {422}
            assert {answer.json()["error"]["field"] for answer in answers} == {"id"}


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_64_kb_is_refused(stack: Stack, *, announced: bool) -> None:
    huge = json.dumps({**RIGHT, "description": "x" * 70_000}).encode()

    answer = stack.api.put(
        "/v2/invoices/order-1",
        content=huge if announced else iter([huge[:40_000], huge[40_000:]]),
        headers=JSON,
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "BODY_TOO_LARGE")


def test_an_unknown_gateway_and_an_unknown_invoice_are_told_apart(stack: Stack) -> None:
    stack.put()

    gateway = stack.api.post("/v2/invoices/order-1/pay-link", json={"gateway": "paypal"})
    invoice = stack.api.post("/v2/invoices/order-2/pay-link", json={"gateway": "qpay"})

    assert (gateway.status_code, gateway.json()["error"]["code"]) == (404, "UNKNOWN_GATEWAY")
    assert (invoice.status_code, invoice.json()["error"]["code"]) == (404, "INVOICE_NOT_FOUND")
    assert stack.calls()["endpoints"] == {}


def test_nobody_calls_without_a_key(stack: Stack, subtests: pytest.Subtests) -> None:
    for header in [None, "", "Bearer", "Bearer x", "Basic eDp5", "Bearer tootsoo_000000000000_" + "A" * 43]:
        with subtests.test(header=header):
            with httpx.Client(base_url=stack.api.base_url, trust_env=False) as nobody:
                headers = {} if header is None else {"Authorization": header}
                answers = [
                    nobody.put("/v2/invoices/order-1", json=RIGHT, headers=headers),
                    nobody.get("/v2/invoices/order-1", headers=headers),
                    nobody.post("/v2/invoices/order-1/pay-link", json={"gateway": "qpay"}, headers=headers),
                    nobody.get("/v2/payments", headers=headers),
                ]

            assert {(answer.status_code, answer.json()["error"]["code"]) for answer in answers} == {
                (401, "UNAUTHORISED")
            }


BAD_QUESTIONS = [
    ({"cursor": "x"}, "cursor"),
    ({"cursor": "-1"}, "cursor"),
    ({"from": "yesterday"}, "from"),
    ({"to": "2026-11-22T00:00:00"}, "to"),
    ({"unmatched": "perhaps"}, "unmatched"),
    ({"gateway": "x" * 41}, "gateway"),
    ({"gateway": "\x00"}, "gateway"),
    ({"invoice": "\x00"}, "invoice"),
    ({"from": "0001-01-01T00:00:00+14:00"}, "from"),
]


def test_a_bad_question_about_payments_names_its_field(stack: Stack, subtests: pytest.Subtests) -> None:
    for query, field in BAD_QUESTIONS:
        with subtests.test(query=query):
            answer = stack.api.get("/v2/payments", params=query)

            assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_an_unknown_path_and_method_are_answered_in_the_one_envelope(stack: Stack) -> None:
    path = stack.api.get("/v2/nothing")
    method = stack.api.delete("/v2/invoices/order-1")

    assert (path.status_code, path.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert (method.status_code, method.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert "PUT" in method.headers["allow"]


TWICE = [
    '{"amount":{"amount":1000,"amount":9000,"currency":"MNT"},"description":"x"}',
    '{"amount":{"amount":1000,"currency":"MNT"},"description":"x","description":"y"}',
    '{"amount":{"amount":1000,"currency":"MNT"},"description":"x","\\u0061mount":{"amount":1,"currency":"MNT"}}',
]


def test_a_body_that_says_something_twice_is_not_guessed_at(stack: Stack, subtests: pytest.Subtests) -> None:
    for body in TWICE:
        with subtests.test(body=body):
            answer = stack.api.put("/v2/invoices/order-1", content=body, headers=JSON)

            wrong = {"code": "INVALID", "message": "the body has two values for one name", "field": "body"}
            assert (answer.status_code, answer.json()["error"]) == (422, wrong)
            assert stack.api.get("/v2/invoices/order-1").status_code == 404


SAID_IN_WORDS = [
    ("text/plain", RIGHT, "must be a JSON object; a body is sent with Content-Type: application/json"),
    ("application/json", with_amount(1.5), 'must be a string such as "1500000.00", or an integer of whole tögrög'),
    ("application/json", {**RIGHT, "description": "x" * 256}, "must have at most 255 characters"),
    ("application/json", {"description": "x"}, "is missing"),
    ("application/json", {**RIGHT, "dueAt": "2026-12-01T08:00:00"}, "must say its time zone, such as Z or +08:00"),
]


def test_what_is_wrong_is_said_in_the_words_of_whoever_sent_it(stack: Stack, subtests: pytest.Subtests) -> None:
    for content_type, body, says in SAID_IN_WORDS:
        with subtests.test(says=says):
            answer = stack.api.put(
                "/v2/invoices/order-1", content=json.dumps(body), headers={"Content-Type": content_type}
            )

            assert answer.json()["error"]["message"] == says


def test_a_path_with_a_slash_too_many_leads_nowhere(stack: Stack) -> None:
    stack.put()

    answers = [
        stack.api.get(f"{path}/", headers={"Host": "evil.example"}) for path in ("/v2/invoices/order-1", "/pay/x")
    ]

    assert [(one.status_code, one.headers.get("Location")) for one in answers] == [(404, None)] * 2


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_what_watches_a_site_may_ask_for_the_head_alone(stack: Stack, path: str) -> None:
    answer = stack.api.head(path)

    assert (answer.status_code, answer.content) == (200, b"")


def test_what_the_database_cannot_do_is_503_and_heals(stack: Stack) -> None:
    stack.put()
    stack.postgres.cut()

    down = stack.api.get("/v2/invoices/order-1")
    alive = stack.api.get("/healthz")
    stack.postgres.mend()

    assert (down.status_code, down.json()["error"]["code"]) == (503, "DATABASE_DOWN")
    assert alive.status_code == 200
    assert _heals(stack)


def test_what_nobody_expected_is_told_without_a_trace_and_hangs_up_on_nobody(stack: Stack, database_url: str) -> None:
    stack.put()
    page = stack.pay_link().json()["payUrl"]
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("ALTER TABLE tootsoo.invoice RENAME TO elsewhere")

    with capture_logs() as logged:
        broken = [stack.api.get("/v2/invoices/order-1") for _ in range(2)]
        customers = stack.api.get(page)

    error = {"code": "INTERNAL", "message": "something went wrong here; it was logged"}
    assert [(one.status_code, one.json()) for one in broken] == [(500, {"error": error})] * 2
    assert all(one.headers["X-Content-Type-Options"] == "nosniff" for one in (*broken, customers))
    assert (customers.status_code, customers.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert "Traceback" not in customers.text
    told = [(one["event"], one.get("route")) for one in logged if one["log_level"] == "error"]
    assert told == [*[("web.broken", "/v2/invoices/{id}")] * 2, ("pay_page.broken", None)]


def test_callbacks_are_taken_while_every_pay_link_waits_for_the_gateway(stack: Stack) -> None:
    stack.put()
    path = stack.callback_path(stack.pay_link().json()["gatewayInvoiceId"])
    for number in range(60):
        stack.put(f"slow-{number}")
    with ThreadPoolExecutor(max_workers=60) as threads, held(stack.gateway):
        waiting = [threads.submit(stack.pay_link, f"slow-{number}") for number in range(60)]
        wait_until(lambda: _issuing(stack) >= 30)

        taken = stack.api.get(path)
        assert not any(one.done() for one in waiting)

    assert taken.text == "SUCCESS"


def _issuing(stack: Stack) -> int:
    with stack.parts.ledger._pool.connection() as connection:  # noqa: SLF001 - a look behind the API
        row = connection.execute("SELECT count(*) AS n FROM gateway_invoice WHERE state = 'issuing'").fetchone()
    return int(row["n"]) if row else 0


def _heals(stack: Stack) -> bool:
    return any(stack.api.get("/v2/invoices/order-1").status_code == 200 for _ in range(20))


def test_a_fraction_that_a_float_would_lose_is_no_integer(stack: Stack, subtests: pytest.Subtests) -> None:
    for text in ["1499999.99999999999999999999", "1500000.00000000000000000001", "1e999999999", "NaN"]:
        with subtests.test(text=text):
            body = '{"amount": {"amount": ' + text + ', "currency": "MNT"}, "description": "An order"}'

            answer = stack.api.put("/v2/invoices/order-1", content=body, headers=JSON)

            assert (answer.status_code, answer.json()["error"]["field"]) == (422, "amount.amount")
