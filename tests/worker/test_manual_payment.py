"""Payments by hand, through the API and the command line: one event for a key, and the usual commands afterwards."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from tests.adapters.postgres.samples import put
from tests.worker.conftest import Stack
from tests.worker.test_cli_corrections import tootsoo
from worker.clock import rfc3339

MNT_100: dict[str, object] = {"amount": 100, "currency": "MNT"}


def record(stack: Stack, *, key: str | None = "k1", invoice: str = "order-1", **body: object) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    asked = {"amount": MNT_100, "method": "cash", **body}
    return stack.api.post(f"/v2/invoices/{invoice}/manual-payment", json=asked, headers=headers)


def codes(answer: httpx.Response) -> list[str]:
    return [warning["code"] for warning in answer.json()["warnings"]]


def test_a_double_click_on_a_manual_payment_is_one_event(stack: Stack) -> None:
    stack.put(amount=100)

    with ThreadPoolExecutor(max_workers=8) as threads:
        answers = list(threads.map(lambda _: record(stack, reference="slip 17"), range(8)))
    other = record(stack, reference="slip 18")

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert (other.status_code, other.json()["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    (payment,) = stack.payments()
    assert (payment["id"], payment["source"], payment["occurredAtSource"]) == ("manual_bank:k1", "manual", "person")
    assert stack.invoice()["balance"]["status"] == "paid"


def test_a_reference_seen_before_only_warns_and_always_the_same(stack: Stack) -> None:
    stack.put(amount=100)
    stack.put("order-2", amount=100)

    first = record(stack, key="k1", reference="Slip 17")
    second = record(stack, key="k2", invoice="order-2", reference="slip 17")
    again = record(stack, key="k1", reference="Slip 17")

    assert (codes(first), codes(second)) == ([], ["REFERENCE_SEEN_BEFORE"])
    assert "manual_bank:k1" in second.json()["warnings"][0]["message"]
    assert again.json() == first.json()


def test_money_of_a_void_invoice_is_recorded_with_a_warning(stack: Stack) -> None:
    stack.put(amount=100)
    stack.api.post("/v2/invoices/order-1/void", json={"reason": "Cancelled"})

    answer = record(stack)

    assert (answer.status_code, codes(answer)) == (201, ["INVOICE_VOID"])
    assert stack.invoice()["balance"]["overpaid"]["amount"] == "100.00"


def test_what_cannot_be_recorded_is_refused_by_name_and_its_key_stays_free(stack: Stack) -> None:
    stack.put(amount=100)
    now = datetime.now(UTC)
    wrong: dict[str, dict[str, Any]] = {
        "amount.amount": {"amount": {"amount": "0", "currency": "MNT"}},
        "amount.currency": {"amount": {"amount": "1", "currency": "USD"}},
        "method": {"method": "barter"},
        "reference": {"reference": ""},
        "note": {"note": "x" * 801},
        "unit": {"unit": 1},
    }

    refused = {field: record(stack, **body) for field, body in wrong.items()}
    inexact = record(stack, amount={"amount": "0.001", "currency": "MNT"})
    old = record(stack, paidAt=rfc3339(now - timedelta(days=2_000)))
    early = record(stack, paidAt=rfc3339(now + timedelta(hours=1)))
    no_key = record(stack, key=None)
    unknown = record(stack, invoice="order-9")
    right = record(stack)

    assert {field: (answer.status_code, answer.json()["error"]["field"]) for field, answer in refused.items()} == {
        field: (422, field) for field in wrong
    }
    assert [answer.json()["error"]["field"] for answer in (inexact, no_key)] == ["amount.amount", "Idempotency-Key"]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in (old, early)] == [
        (409, "PAID_AT_IMPLAUSIBLE")
    ] * 2
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "INVOICE_NOT_FOUND")
    assert right.status_code == 201


def test_a_manual_payment_is_refunded_and_listed_like_any_other(stack: Stack) -> None:
    stack.put(amount=100)
    record(stack)

    back = stack.api.post(
        "/v2/invoices/order-1/refund",
        json={"payment": "manual_bank:k1", "reason": "Returned", "amount": {"amount": 40, "currency": "MNT"}},
        headers={"Idempotency-Key": "r1"},
    )
    listed = stack.api.get("/v2/payments", params={"gateway": "manual_bank"}).json()["payments"]

    assert back.status_code == 201
    assert [payment["kind"] for payment in listed] == ["received", "refunded"]
    assert stack.invoice()["balance"]["status"] == "partially_refunded"


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    """Two invoices of 100 that nothing was paid on."""
    with open_pool(database_url, size=2) as pool:
        for invoice_id in ("order-1", "order-2"):
            put(Invoices(pool), invoice_id)
        yield pool


def test_a_person_records_moves_and_explains_a_payment(tmp_path: Path, database_url: str, pool: Pool) -> None:
    asked = ["record-payment", "order-1", "100", "--method", "transfer", "--reference", "R-1", "--key", "k1"]
    first = tootsoo(tmp_path, database_url, *asked, "--paid-at", "2026-11-22 14:30", "--who", "Bat")
    again = tootsoo(tmp_path, database_url, *asked, "--paid-at", "2026-11-22T06:30:00Z", "--who", "Bat", "--json")
    same_slip = tootsoo(
        tmp_path, database_url, "record-payment", "order-2", "1", "--method", "other", "--reference", "r-1"
    )
    moved = tootsoo(tmp_path, database_url, "assign", "manual_bank:k1", "order-2", "--reason", "Wrong invoice")
    story = tootsoo(tmp_path, database_url, "explain", "order-2")

    assert first.stdout == "received 100.00 ₮ on order-1: manual_bank:k1\n"
    told = json.loads(again.stdout)
    assert (told["again"], told["paidAt"], told["warnings"]) == (True, "2026-11-22T06:30:00Z", [])
    assert same_slip.returncode == 0
    assert "the reference r-1 was recorded before, for manual_bank:k1" in same_slip.stderr
    assert moved.returncode == 0, moved.stderr
    assert "moved to invoice order-2 from invoice order-1" in " ".join(story.stdout.split())
    assert Ledger(pool).balances_unlike_events() == []


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize(
    "words",
    [
        ["order-1", "0", "--method", "cash"],
        ["order-1", "1e2", "--method", "cash"],
        ["order-1", "100", "--method", "cash", "--currency", "USD"],
        ["order-1", "100", "--method", "cash", "--paid-at", "2999-01-01"],
        ["order-1", "100", "--method", "cash", "--paid-at", "yesterday"],
        ["order-1", "100", "--method", "cash", "--paid-at", "2026-02-30 10:00"],
        ["order-1", "100", "--method", "cash", "--paid-at", "0001-01-01"],
        ["order-1", "100", "--method", "cash", "--reference", " "],
        ["order-1", "100", "--method", "cash", "--key", "gateway"],
        ["order 1", "100", "--method", "cash"],
    ],
)
def test_a_slip_of_the_pen_is_one_line_and_2(tmp_path: Path, database_url: str, words: list[str]) -> None:
    done = tootsoo(tmp_path, database_url, "record-payment", *words)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tootsoo: ")
    assert done.stderr.count("\n") == 1
