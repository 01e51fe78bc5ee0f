"""SocialPay beside QPay: pushes that are signed and not believed, creates that are cancelled by number, two ways."""

import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.bank.fields import ULAANBAATAR
from adapters.bank.reader import open_statement
from adapters.postgres.connection import open_pool
from adapters.postgres.discrepancies import State
from domain.statement_match import State as Became
from simulator.faults import Rule
from simulator.socialpay import endpoints
from simulator.world import Switches
from tests.faults.flood import flood, posted
from tests.statements import khan_json, running
from tests.waiting import wait_until
from tests.worker.conftest import SOCIALPAY_SECRET, TERMINAL, Stack
from worker.compose.database import open_discrepancies
from worker.compose.statements import import_on
from worker.import_statement import Imported

WEBHOOK = "/v2/socialpay/webhook"
Sql = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def sql(database_url: str) -> Iterator[Sql]:
    with psycopg.connect(database_url, autocommit=True) as superuser:

        def run(query: str) -> list[tuple[Any, ...]]:
            cursor = superuser.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

        superuser.execute("SET search_path TO tootsoo")
        yield run


def signed(number: str, amount: str = "1500000", *, but: dict[str, object] | None = None) -> bytes:
    checksum = hmac.new(SOCIALPAY_SECRET.encode(), f"{TERMINAL}{number}{amount}".encode(), sha256).hexdigest()
    body = {"terminal": TERMINAL, "invoice": number, "amount": amount, "resp_code": "00", "checksum": checksum}
    return json.dumps(body | (but or {})).encode()


def link(stack: Stack, invoice: str = "order-1") -> dict[str, Any]:
    answer = stack.pay_link(invoice, gateway="socialpay")
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]  # JSON


def number_of(shown: dict[str, Any]) -> str:
    return UUID(shown["gatewayInvoiceId"]).hex


def status(stack: Stack, invoice: str = "order-1") -> str:
    return str(stack.invoice(invoice)["balance"]["status"])


def checks(stack: Stack) -> int:
    return int(stack.calls()["endpoints"].get(endpoints.CHECK, 0))


def questions(stack: Stack) -> list[str]:
    with open_discrepancies(stack.groups.database) as store:
        return [each.kind for each in store.list(state=State.OPEN, after=0, page=9)]


def test_pay_link_shows_a_qr_that_is_a_link_as_well(stack: Stack) -> None:
    stack.put()

    shown = link(stack)

    assert shown["qrText"].startswith("socialpay-payment://")
    assert [one["link"] for one in shown["links"]] == [shown["qrText"]]
    assert shown["qrImage"] != ""
    assert "/pay/" in shown["payUrl"]
    assert stack.simulator.world.book.invoices()[-1].number == number_of(shown)


@pytest.mark.usefixtures("working")
def test_payment_that_is_pushed_is_checked_and_recorded_once(stack: Stack) -> None:
    stack.put()
    shown = link(stack)

    stack.pay(None, qrText=shown["qrText"], repeat=5)
    wait_until(lambda: status(stack) == "paid")

    (payment,) = stack.payments()
    assert payment["paymentId"] == f"{TERMINAL}:{number_of(shown)}"
    assert (payment["occurredAtSource"], payment["source"], payment["fee"]) == ("observed", "callback", None)
    assert checks(stack) <= 2


@pytest.mark.usefixtures("working")
def test_half_by_each_gateway_is_paid(stack: Stack) -> None:
    stack.put(amount=90_000)
    qpay = stack.pay_link().json()
    stack.pay(None, qrText=qpay["qrText"], amount=45_000)
    wait_until(lambda: status(stack) == "partially_paid")

    rest = link(stack)
    stack.pay(None, qrText=rest["qrText"])
    wait_until(lambda: status(stack) == "paid")

    assert rest["amount"]["amount"] == "45000.00"
    assert {one["gateway"] for one in stack.payments()} == {"qpay", "socialpay"}
    assert questions(stack) == []


@pytest.mark.usefixtures("working")
def test_all_by_both_gateways_is_overpaid_and_a_question(stack: Stack) -> None:
    stack.put()
    shown = [stack.pay_link().json(), link(stack)]

    for each in shown:
        stack.pay(None, qrText=each["qrText"])
    wait_until(lambda: status(stack) == "overpaid")

    assert stack.invoice()["balance"]["overpaid"]["amount"] == "1500000.00"
    wait_until(lambda: questions(stack) == ["duplicate_payment"])


UNSIGNED = (
    b"",
    b"[]",
    b"{}",
    b"\xff\xfe",
    b'{"checksum": "\\ud800"}',
    signed("0" * 32, but={"checksum": "0" * 64}),
    signed("0" * 32, but={"checksum": None}),
    signed("0" * 32, but={"checksum": "\ud800"}),
    signed("0" * 32, but={"amount": 1_500_001}),
    signed("0" * 32, but={"amount": "NaN"}),
    signed("0" * 32, but={"amount": [1]}),
    signed("0" * 32, but={"invoice": "1" * 32}),
    signed("0" * 32, but={"terminal": "95000060"}),
)


def test_push_that_is_not_signed_is_refused_before_the_database(stack: Stack) -> None:
    stack.postgres.cut()

    answers = [stack.api.post(WEBHOOK, content=body) for body in UNSIGNED]

    assert {(one.status_code, one.json()["error"]["code"]) for one in answers} == {(401, "BAD_CHECKSUM")}
    assert stack.calls()["endpoints"] == {}


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_no_bytes_break_the_reading_of_a_push(stack: Stack, body: bytes) -> None:
    assert stack.parts.pushes["socialpay"](body) is None


def test_push_that_cannot_be_written_down_is_never_acknowledged(stack: Stack) -> None:
    stack.put()
    body = signed(number_of(link(stack)))
    stack.postgres.cut()

    lost = stack.api.post(WEBHOOK, content=body)
    stack.postgres.mend()
    taken = [stack.api.post(WEBHOOK, content=body) for _ in range(5)]

    assert lost.status_code == 503
    assert taken[-1].status_code == 200


def test_push_beyond_the_limit_is_not_read(stack: Stack) -> None:
    answer = stack.api.post(WEBHOOK, content=b" " * 70_000)

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "BODY_TOO_LARGE")


def test_push_about_no_qr_of_ours_is_answered_and_nothing_happens(stack: Stack) -> None:
    answer = stack.api.post(WEBHOOK, content=signed("f" * 32))

    assert answer.status_code == 200
    assert checks(stack) == 0


@pytest.mark.usefixtures("working")
def test_nothing_that_a_push_says_is_believed(stack: Stack, sql: Sql) -> None:
    stack.put()
    number = number_of(link(stack))

    stack.api.post(
        WEBHOOK, content=signed(number, but={"approval_code": "666666", "card_number": "666"})
    ).raise_for_status()
    wait_until(lambda: checks(stack) >= 1)
    assert status(stack) == "unpaid"
    stack.pay(number, callback="drop")
    stack.api.post(WEBHOOK, content=signed(number, "15", but={"approval_code": "666666"})).raise_for_status()
    wait_until(lambda: status(stack) == "paid")

    ((raw,),) = sql("SELECT raw::text FROM payment_event")
    assert "666" not in raw
    assert json.loads(raw)["amount"] == "1500000"


def lose_creates(stack: Stack, kind: str) -> None:
    stack.simulator.world.faults.set([Rule(endpoint=endpoints.CREATE_QR, kind=kind, probability=1)])


@pytest.mark.parametrize(
    ("kind", "by"),
    [
        ("resetAfter", "scheduler"),
        ("reset", "customer"),
        pytest.param("resetAfter", "customer", marks=pytest.mark.slow),
        pytest.param("reset", "scheduler", marks=pytest.mark.slow),
    ],
)
def test_create_without_an_answer_is_cancelled_by_its_number(
    stack: Stack, working_unscheduled: Callable[[], int], sql: Sql, kind: str, by: str
) -> None:
    stack.put()
    lose_creates(stack, kind)
    assert stack.pay_link(gateway="socialpay").status_code == 504
    stack.simulator.world.faults.set(())
    sql("UPDATE gateway_invoice SET issue_deadline = now() - interval '1 second'")

    if by == "customer":
        shown = link(stack)
    else:
        working_unscheduled()
        wait_until(lambda: sql("SELECT state FROM gateway_invoice") == [("failed",)])
        shown = link(stack)

    made = [one.canceled_at is not None for one in stack.simulator.world.book.invoices()]
    assert made == ([True, False] if kind == "resetAfter" else [False])
    assert sql("SELECT generation, state FROM gateway_invoice ORDER BY generation") == [(1, "failed"), (2, "open")]
    assert stack.calls()["endpoints"][endpoints.CANCEL] == 1
    assert number_of(shown) == stack.simulator.world.book.invoices()[-1].number


def test_create_without_an_answer_that_was_paid_all_the_same_is_counted(
    stack: Stack, working: Callable[[], int], sql: Sql
) -> None:
    stack.put()
    lose_creates(stack, "resetAfter")
    stack.pay_link(gateway="socialpay")
    stack.simulator.world.faults.set(())

    stack.pay(stack.simulator.world.book.invoices()[0].number)
    wait_until(lambda: status(stack) == "paid")
    sql("UPDATE gateway_invoice SET issue_deadline = now() - interval '1 second'")
    working()

    wait_until(lambda: sql("SELECT state FROM gateway_invoice") == [("settled",)])
    assert len(stack.payments()) == 1


@pytest.mark.usefixtures("working")
def test_another_approval_code_is_a_question_and_no_second_payment(stack: Stack) -> None:
    stack.put()
    number = number_of(link(stack))
    stack.pay(number)
    wait_until(lambda: status(stack) == "paid")

    stack.pay(number, force=True)

    wait_until(lambda: questions(stack) == ["changed_reference"])
    assert (len(stack.payments()), status(stack)) == (1, "paid")


@pytest.mark.usefixtures("working")
def test_another_amount_is_a_question_and_no_second_payment(stack: Stack) -> None:
    stack.put()
    number = number_of(link(stack))
    stack.pay(number)
    wait_until(lambda: status(stack) == "paid")

    stack.pay(number, force=True, amount=7)

    wait_until(lambda: questions(stack) == ["changed_amount"])
    assert (len(stack.payments()), status(stack)) == (1, "paid")


@pytest.mark.parametrize(("amount", "expected"), [(500_000, "partially_paid"), (2_000_000, "overpaid")])
@pytest.mark.usefixtures("working")
def test_part_and_too_much_are_what_was_paid(stack: Stack, amount: int, expected: str) -> None:
    stack.put()

    stack.pay(number_of(link(stack)), amount=amount, force=True)

    wait_until(lambda: status(stack) == expected)


@pytest.mark.parametrize(
    "switches",
    [
        Switches(socialpay_cancelled_is_forgotten=True),
        Switches(socialpay_errors_alike=True, socialpay_errors_by_status=True),
        Switches(socialpay_unpaid="status"),
        Switches(socialpay_unpaid="code", socialpay_no_error=True),
        Switches(socialpay_unpaid="silence", socialpay_push_in_envelope=True, socialpay_amount="number"),
    ],
    ids=["forgotten", "words alone", "status", "code", "silence"],
)
@pytest.mark.slow
@pytest.mark.usefixtures("working")
def test_qr_is_replaced_and_the_next_is_paid_however_socialpay_says_it(stack: Stack) -> None:
    stack.put()
    first = link(stack)
    stack.put(amount=90_000)

    second = link(stack)
    stack.pay(None, qrText=second["qrText"])
    wait_until(lambda: status(stack) == "paid")

    assert number_of(first) != number_of(second)
    assert [one["state"] for one in stack.invoice()["gatewayInvoices"]] == ["superseded", "settled"]


@pytest.mark.usefixtures("working")
def test_neither_settlement_nor_a_payments_cancel_is_ever_called(stack: Stack) -> None:
    stack.put()
    stack.pay(number_of(link(stack)))
    wait_until(lambda: status(stack) == "paid")

    assert set(stack.calls()["endpoints"]) == {endpoints.CREATE_QR, endpoints.CHECK}


def test_merchant_without_socialpay_has_no_webhook_for_it(stack: Stack) -> None:
    stack.parts.pushes.clear()  # type: ignore[attr-defined]  # as where there is no account

    answer = stack.api.post(WEBHOOK, content=signed("0" * 32))

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "UNKNOWN_GATEWAY")


def test_webhook_takes_posts_alone(stack: Stack) -> None:
    assert httpx.get(f"{stack.api.base_url}{WEBHOOK}", trust_env=False).status_code == 405


FORGED = 2_000


@pytest.mark.slow
@pytest.mark.usefixtures("working")
def test_fault_22_a_flood_of_forged_pushes_reaches_neither_database_nor_gateway(stack: Stack, sql: Sql) -> None:
    numbers = []
    for place in range(5):
        stack.put(f"order-{place}")
        numbers.append(number_of(link(stack, f"order-{place}")))
    forged = [
        signed(numbers[place % 5], but={"checksum": f"{place:064x}"} if place % 3 else {"amount": f"{place}5"})
        if place % 4
        else b"[" * (place + 1)
        for place in range(FORGED)
    ]
    ran = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    before, address = sql(ran)[0][0], (stack.api.base_url.host, stack.api.base_url.port or 0)

    flooded = flood(address, [posted(WEBHOOK, body) for body in forged], per_s=1_000)
    stack.pay(numbers[0])
    wait_until(lambda: status(stack, "order-0") == "paid", within_s=30)

    assert set(flooded.statuses) == {401}
    assert checks(stack) <= 2, "of the payment that there is"
    assert sql(ran)[0][0] - before < FORGED / 2, "the worker and the watcher need some, no forged push does"
    assert sql("SELECT count(*) FROM payment_event") == [(1,)]


@pytest.mark.usefixtures("working")
def test_fault_27_a_late_payment_of_a_replaced_qr_is_credited_beside_that_of_the_next(stack: Stack) -> None:
    stack.put()
    first = number_of(link(stack))
    stack.put(amount=90_000)
    second = number_of(link(stack))
    stack.pay(second)
    wait_until(lambda: status(stack) == "paid")

    stack.pay(first, force=True)

    wait_until(lambda: status(stack) == "overpaid")
    assert stack.invoice()["balance"]["received"]["amount"] == "1590000.00"
    wait_until(lambda: questions(stack) == ["duplicate_payment"])


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("first", ["socialpay", "bank"])
def test_fault_27_the_same_money_by_socialpay_and_in_the_statement_is_never_taken_twice_in_silence(
    tmp_path: Path, stack: Stack, first: str
) -> None:
    stack.put()
    number = number_of(link(stack))
    at = datetime.now(ULAANBAATAR).replace(tzinfo=None)
    said = replace(running((1_500_000, "order-1"))[0], at=at)
    statement = open_statement(khan_json(tmp_path / "a.json", [said]), bank="khan")

    def import_it() -> Imported:
        with open_pool(stack.groups.database.database_url, size=4) as pool:
            return import_on(pool)(statement, who="Bat", dry_run=False, tell=lambda *_: None)

    if first == "socialpay":
        stack.pay(number)
        wait_until(lambda: status(stack) == "paid")
        imported = import_it()

        assert (imported.matched.of(Became.RECORDED), imported.matched.of(Became.LINKED)) == (0, 1)
        assert (status(stack), questions(stack)) == ("paid", [])
    else:
        assert import_it().matched.of(Became.RECORDED) == 1
        stack.pay(number, force=True)
        wait_until(lambda: status(stack) == "overpaid")

        wait_until(lambda: questions(stack) == ["same_money_by_two_routes"])


SPOILT = ("truncated", "badGateway", "wrongTypes", "nan", "oversized", "unauthorized", "stale", "unknownStatus")


@pytest.mark.slow
def test_answer_that_is_spoilt_makes_no_event_and_the_next_one_makes_it(
    stack: Stack, working: Callable[[], int], sql: Sql
) -> None:
    for number, kind in enumerate(SPOILT):
        stack.put(kind, amount=1_000)
        shown = link(stack, kind)
        stack.simulator.world.faults.set([Rule(endpoint=endpoints.CHECK, kind=kind, probability=1)], seed=number)
        stack.pay(None, qrText=shown["qrText"])
        wait_until(lambda: stack.simulator.world.faults.injected() != {})
        assert sql("SELECT count(*) FROM payment_event") == [(number,)]

        stack.simulator.world.faults.set(())
        stack.api.post(WEBHOOK, content=signed(number_of(shown), "1000")).raise_for_status()
        wait_until(lambda kind=kind: working() >= 0 and status(stack, kind) == "paid", within_s=30)  # type: ignore[misc]

    assert [len(stack.payments(kind)) for kind in SPOILT] == [1] * len(SPOILT)
    assert sql("SELECT count(*), sum(amount_minor) FROM payment_event") == [(len(SPOILT), 100_000 * len(SPOILT))]
