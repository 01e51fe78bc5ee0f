"""A refund at the gateway is money leaving: planned first, asked for once, and what is not known is not guessed."""

import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from adapters.postgres.discrepancies import Discrepancies, State
from domain.command import Command, KeyUsedError
from domain.gateway_refund import NotWholeError, RefundState, RefundUnderwayError, UnknownGatewayError
from domain.payment_event import Source
from domain.refund import UnknownPaymentError
from tests.waiting import wait_until
from tests.worker.conftest import Stack
from tests.worker.test_cli_corrections import tootsoo
from worker.accounts import Accounts
from worker.compose.processes import compose_refund_at_gateway
from worker.refund_at_gateway import NotWrittenDownError, RefundAtGateway
from worker.settle import Settled


@pytest.fixture
def at_gateway(stack: Stack) -> Iterator[RefundAtGateway]:
    with composed(stack) as at_gateway:
        yield at_gateway


def composed(stack: Stack, *, qpay_base_url: str | None = None) -> AbstractContextManager[RefundAtGateway]:
    groups = stack.groups
    qpay = groups.qpay.model_copy(update={"qpay_base_url": qpay_base_url or groups.qpay.qpay_base_url})
    return compose_refund_at_gateway(
        database=groups.database, redis=groups.redis, checks=groups.checks, accounts=Accounts(qpay=qpay)
    )


@pytest.fixture
def paid(stack: Stack, at_gateway: RefundAtGateway) -> tuple[str, str]:
    """An invoice of 1,000, paid by card."""
    return pay(stack, at_gateway)


def pay(stack: Stack, at_gateway: RefundAtGateway, *, by: str = "CARD") -> tuple[str, str]:
    stack.put(amount=1_000)
    stack.pay_link()
    payment = stack.pay(type=by, callback="drop")
    qr = UUID(stack.invoice()["gatewayInvoices"][0]["id"])
    stack.parts.check_requests.request(qr, source=Source.COMMAND)
    wait_until(lambda: at_gateway._settle(qr) is Settled.CHECKED)  # noqa: SLF001 - in place of a worker
    assert stack.invoice()["balance"]["status"] == "paid"
    return "qpay", payment["paymentId"]


def by(key: str = "k1", *, reason: str = "Returned") -> Command:
    return Command(key=key, who="Bat", reason=reason)


def by_hand(stack: Stack, payment: tuple[str, str], *, key: str = "hand", **body: object) -> httpx.Response:
    asked = {"payment": ":".join(payment), "reason": "Cash", **body}
    return stack.api.post("/v2/invoices/order-1/refund", json=asked, headers={"Idempotency-Key": key})


def asked(stack: Stack) -> int:
    endpoints = stack.calls()["endpoints"]
    return sum(count for name, count in endpoints.items() if name.startswith("DELETE /v2/payment/refund"))


def status_at_gateway(stack: Stack, payment: tuple[str, str]) -> str:
    (told,) = [one for one in stack.simulator.world.book.payments() if one.payment_id == payment[1]]
    return str(told.status)


def is_check_due(stack: Stack) -> bool:
    with stack.parts.ledger._pool.connection() as connection:  # noqa: SLF001 - a look behind the API
        row = connection.execute("SELECT requested > served AS due FROM gateway_invoice").fetchone()
    return bool(row and row["due"])


def a_minute_passes(stack: Stack) -> None:
    with stack.parts.ledger._pool.connection() as connection:  # noqa: SLF001 - moves the clock
        connection.execute("UPDATE gateway_refund SET asked_at = asked_at - interval '61 s'")


def questions(stack: Stack, state: State = State.OPEN) -> list[str]:
    found = Discrepancies(stack.parts.ledger._pool).list(state=state, after=0, page=100)  # noqa: SLF001 - likewise
    return [one.kind for one in found]


def test_a_card_is_given_back_recorded_with_who_and_looked_at(
    stack: Stack, at_gateway: RefundAtGateway, paid: tuple[str, str]
) -> None:
    known = at_gateway(by(), paid, invoice_id="order-1")

    assert known.state is RefundState.GIVEN
    assert status_at_gateway(stack, paid) == "REFUNDED"
    assert [one["kind"] for one in stack.payments()] == ["received", "refunded"]
    assert stack.invoice()["balance"]["status"] == "refunded"
    assert is_check_due(stack)


def test_the_same_command_again_asks_for_nothing(
    stack: Stack, at_gateway: RefundAtGateway, paid: tuple[str, str]
) -> None:
    with ThreadPoolExecutor(max_workers=5) as threads:
        states = list(threads.map(lambda _: at_gateway(by(), paid, invoice_id="order-1").state, range(5)))
    again = at_gateway(by(), paid, invoice_id="order-1")

    assert RefundState.GIVEN in states
    assert again.state is RefundState.GIVEN
    assert asked(stack) == 1
    assert [one["kind"] for one in stack.payments()] == ["received", "refunded"]
    with pytest.raises(KeyUsedError):
        at_gateway(by(reason="Another"), paid, invoice_id="order-1")


def test_with_a_wrong_or_forgotten_invoice_no_money_moves(
    stack: Stack, at_gateway: RefundAtGateway, paid: tuple[str, str]
) -> None:
    stack.put("order-2")

    for number, invoice_id in enumerate(["order-2", None]):
        with pytest.raises(UnknownPaymentError):
            at_gateway(by(f"k{number}"), paid, invoice_id=invoice_id)
    with pytest.raises(UnknownGatewayError):
        at_gateway(by(), ("foo", "1"), invoice_id="order-1")

    assert (asked(stack), status_at_gateway(stack, paid)) == (0, "PAID")


@pytest.mark.parametrize("amount", ["300", "1000"])
def test_what_was_given_back_by_hand_is_not_given_back_again(
    stack: Stack, at_gateway: RefundAtGateway, paid: tuple[str, str], amount: str
) -> None:
    assert by_hand(stack, paid, amount={"amount": amount, "currency": "MNT"}).status_code == 201

    with pytest.raises(NotWholeError):
        at_gateway(by(), paid, invoice_id="order-1")

    assert (asked(stack), status_at_gateway(stack, paid)) == (0, "PAID")


def test_a_lost_answer_is_looked_up_at_once(stack: Stack, at_gateway: RefundAtGateway, paid: tuple[str, str]) -> None:
    stack.gateway.lose(answers=1)

    known = at_gateway(by(), paid, invoice_id="order-1")

    assert known.state is RefundState.GIVEN
    assert asked(stack) == 1
    assert [one["kind"] for one in stack.payments()] == ["received", "refunded"]
    assert questions(stack) == []


def test_an_unknown_outcome_stays_unknown_and_nothing_is_given_back_by_hand(
    stack: Stack, at_gateway: RefundAtGateway, paid: tuple[str, str]
) -> None:
    stack.gateway.lose(answers=100)
    known = at_gateway(by(), paid, invoice_id="order-1")
    by_hand_meanwhile = by_hand(stack, paid)
    with pytest.raises(RefundUnderwayError, match="k1"):
        stack.parts.correct.assign(by("k2"), paid, from_invoice=None, to_invoice=_other(stack), amount=None)
    with pytest.raises(RefundUnderwayError, match="k1"):
        at_gateway(by("k3"), paid, invoice_id="order-1")

    assert known.state is RefundState.ASKED
    assert (by_hand_meanwhile.status_code, by_hand_meanwhile.json()["error"]["code"]) == (409, "REFUND_UNDERWAY")
    assert questions(stack) == ["refund_unknown"]
    assert is_check_due(stack)

    stack.gateway.lose()
    wait_until(lambda: at_gateway(by(), paid, invoice_id="order-1").state is RefundState.GIVEN)

    assert asked(stack) == 1
    assert stack.invoice()["balance"]["refunded"]["amount"] == "1000.00"
    assert (questions(stack), questions(stack, State.WITHDRAWN)) == ([], ["refund_unknown"])


def test_a_lost_request_is_unknown_until_a_check_long_after_shows_it_paid(
    stack: Stack, at_gateway: RefundAtGateway, paid: tuple[str, str]
) -> None:
    stack.gateway.lose(requests=1)
    first = at_gateway(by(), paid, invoice_id="order-1")
    soon = at_gateway(by(), paid, invoice_id="order-1")
    a_minute_passes(stack)

    later = at_gateway(by(), paid, invoice_id="order-1")

    assert (first.state, soon.state, later.state) == (RefundState.ASKED, RefundState.ASKED, RefundState.NOT_GIVEN)
    assert asked(stack) == 0
    assert at_gateway(by("k2"), paid, invoice_id="order-1").state is RefundState.GIVEN
    assert asked(stack) == 1


def test_a_payment_that_the_gateway_no_longer_shows_proves_nothing(
    stack: Stack, at_gateway: RefundAtGateway, paid: tuple[str, str]
) -> None:
    stack.gateway.lose(requests=1)
    at_gateway(by(), paid, invoice_id="order-1")
    url = f"{stack.simulator.url}/simulator/payments/{paid[1]}"
    assert httpx.post(url, json={"hidden": True}, trust_env=False).status_code == 200
    a_minute_passes(stack)

    assert at_gateway(by(), paid, invoice_id="order-1").state is RefundState.ASKED


def test_who_died_after_the_intent_is_resumed_without_asking(
    stack: Stack, at_gateway: RefundAtGateway, paid: tuple[str, str]
) -> None:
    stack.gateway.lose(requests=1)
    at_gateway(by(), paid, invoice_id="order-1")  # what is left is what a death in the middle of the call leaves

    resumed = at_gateway(by(), paid, invoice_id="order-1")

    assert resumed.state is RefundState.ASKED
    assert (asked(stack), status_at_gateway(stack, paid)) == (0, "PAID")
    assert by_hand(stack, paid).status_code == 409


def test_a_bank_transfer_is_refused_looked_at_and_free_for_a_refund_by_hand(
    stack: Stack, at_gateway: RefundAtGateway
) -> None:
    payment = pay(stack, at_gateway, by="P2P")

    known = at_gateway(by(), payment, invoice_id="order-1")

    assert known.state is RefundState.REFUSED
    assert "PAYMENT_SETTLED" in (known.answer or "")
    assert is_check_due(stack)
    assert [one["kind"] for one in stack.payments()] == ["received"]
    assert by_hand(stack, payment).status_code == 201
    assert at_gateway(by(), payment, invoice_id="order-1").state is RefundState.REFUSED


def test_a_gateway_that_cannot_be_reached_did_nothing_and_is_asked_again(
    stack: Stack, at_gateway: RefundAtGateway, paid: tuple[str, str]
) -> None:
    with composed(stack, qpay_base_url="http://127.0.0.1:1") as without_a_network:
        down = without_a_network(by(), paid, invoice_id="order-1")

    again = at_gateway(by(), paid, invoice_id="order-1")

    assert (down.state, again.state, asked(stack)) == (RefundState.NOT_ACTED, RefundState.GIVEN, 1)


def test_a_yes_that_cannot_be_written_down_is_told_and_found_again(
    stack: Stack, at_gateway: RefundAtGateway, paid: tuple[str, str]
) -> None:
    with stack.parts.ledger._pool.connection() as connection:  # noqa: SLF001 - somebody holds the balance
        connection.execute("BEGIN")
        connection.execute("SELECT FROM invoice_balance FOR UPDATE")
        with pytest.raises(NotWrittenDownError, match="said that it gave the payment back"):
            at_gateway(by(), paid, invoice_id="order-1")
        connection.execute("ROLLBACK")

    assert by_hand(stack, paid).status_code == 409
    wait_until(lambda: at_gateway(by(), paid, invoice_id="order-1").state is RefundState.GIVEN)
    assert asked(stack) == 1
    assert [one["kind"] for one in stack.payments()] == ["received", "refunded"]


def _other(stack: Stack) -> str:
    stack.put("order-2")
    return "order-2"


def test_staff_read_what_is_known_and_what_to_do(stack: Stack, paid: tuple[str, str], tmp_path: Path) -> None:
    words = ["refund", ":".join(paid), "--invoice", "order-1", "--at-gateway", "--reason", "It's broken"]
    groups = stack.groups
    env = {
        "REDIS_URL": groups.redis.redis_url,
        "QPAY_BASE_URL": groups.qpay.qpay_base_url,
        "QPAY_USERNAME": groups.qpay.qpay_username,
        "QPAY_PASSWORD": groups.qpay.qpay_password.get_secret_value(),
        "QPAY_INVOICE_CODE": groups.qpay.qpay_invoice_code,
    }
    stack.gateway.lose(answers=100)
    unknown = tootsoo(tmp_path, groups.database.database_url, *words, env=env)
    stack.gateway.lose()

    told = unknown.stderr.splitlines()[-1]
    again = shlex.split(told.partition("no second refund: tootsoo ")[2])
    found = tootsoo(tmp_path, groups.database.database_url, *again, env=env)

    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert told.startswith("tootsoo: NOBODY KNOWS whether qpay gave ")
    assert "Give nothing back by another way" in told
    assert again[:-1] == [*words, "--key"]
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("refunded 1000 on order-1: qpay gave it back")
    assert asked(stack) == 1
