"""A callback is verified before anything is read, written down before it is answered, and never believed."""

import base64
import secrets
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.redis.doorbell import Doorbell, open_broker
from tests.worker.conftest import WEBHOOK_SECRET, Stack
from worker.webhook_token import WebhookTokens

TOKENS = WebhookTokens([WEBHOOK_SECRET])
FOREIGN = WebhookTokens(["the secret of another installation"])


@given(st.uuids())
def test_a_token_names_its_gateway_invoice(gateway_invoice_id: object) -> None:
    token = TOKENS.make(gateway_invoice_id)  # type: ignore[arg-type]  # hypothesis' uuids

    assert len(token) == 64
    assert TOKENS.read(token) == gateway_invoice_id
    assert FOREIGN.read(token) is None


@given(st.uuids(), st.integers(0, 383))
def test_a_token_with_any_bit_changed_is_refused(gateway_invoice_id: object, bit: int) -> None:
    given_bytes = bytearray(base64.urlsafe_b64decode(TOKENS.make(gateway_invoice_id)))  # type: ignore[arg-type]  # hypothesis' uuids
    given_bytes[bit // 8] ^= 1 << (bit % 8)

    assert TOKENS.read(base64.urlsafe_b64encode(given_bytes).decode()) is None


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading_of_a_token(text: str) -> None:
    assert TOKENS.read(text) is None


def test_secrets_are_rotated_without_losing_a_callback() -> None:
    old, both = WebhookTokens(["a" * 32]), WebhookTokens(["b" * 32, "a" * 32])
    gateway_invoice_id = uuid4()

    assert both.read(old.make(gateway_invoice_id)) == gateway_invoice_id
    assert old.read(both.make(gateway_invoice_id)) is None


def bad_tokens() -> dict[str, str]:
    genuine = TOKENS.make(uuid4())
    return {
        "one character": "x",
        "truncated": genuine[:-1],
        "too long": genuine + "A",
        "changed at its end": genuine[:-4] + ("AAAA" if not genuine.endswith("AAAA") else "BBBB"),
        "foreign": FOREIGN.make(uuid4()),
        "random": base64.urlsafe_b64encode(secrets.token_bytes(48)).decode(),
        "very long": "A" * 4_000,
        "zero bytes": "%00" * 10,
    }


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_forged_token_never_reaches_the_database(stack: Stack, subtests: pytest.Subtests, method: str) -> None:
    stack.postgres.cut()
    for kind, token in bad_tokens().items():
        with subtests.test(kind):
            answer = stack.api.request(method, f"/v2/qpay/webhook/{token}", params={"qpay_payment_id": "1"})

            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "INVALID_TOKEN")
            assert stack.calls()["endpoints"] == {}


def test_a_genuine_token_of_another_database_is_refused(stack: Stack) -> None:
    answer = stack.api.get(f"/v2/qpay/webhook/{TOKENS.make(uuid4())}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "INVALID_TOKEN")


def test_a_callback_that_cannot_be_written_down_is_never_acknowledged(stack: Stack) -> None:
    stack.put()
    path = stack.callback_path(stack.pay_link().json()["gatewayInvoiceId"])
    stack.postgres.cut()

    lost = stack.api.get(path)
    stack.postgres.mend()
    taken = [stack.api.get(path) for _ in range(5)]

    assert (lost.status_code, "SUCCESS" in lost.text) == (503, False)
    assert (taken[-1].status_code, taken[-1].text) == (200, "SUCCESS")


@pytest.mark.parametrize(
    "query",
    ["", "qpay_payment_id=", "qpay_payment_id=" + "9" * 5_000, "qpay_payment_id=%00%ff", "a=b&a=c&qpay_payment_id=1"],
)
def test_a_callback_is_taken_whatever_it_says(stack: Stack, query: str) -> None:
    stack.put()
    path = stack.callback_path(stack.pay_link().json()["gatewayInvoiceId"])

    answer = stack.api.post(f"{path}?{query}", content=b"\x00" * 60_000)

    assert (answer.status_code, answer.text) == (200, "SUCCESS")


def test_a_callback_wakes_a_worker_itself(stack: Stack, redis_url: str) -> None:
    stack.put()
    path = stack.callback_path(stack.pay_link().json()["gatewayInvoiceId"])
    doorbell = Doorbell(open_broker(redis_url, timeout_s=5.0))
    before = doorbell.waiting("qpay")

    stack.api.get(path, params={"qpay_payment_id": "1"})

    assert (before, doorbell.waiting("qpay")) == (0, 1)
