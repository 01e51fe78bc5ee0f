"""A gateway that is down, or an account that others use, delays payments and loses none; no invoice is to blame."""

from collections.abc import Callable, Iterator
from uuid import UUID

import httpx
import pytest
import redis

from adapters.postgres.connection import Row
from adapters.postgres.discrepancies import Discrepancies, State, StoredDiscrepancy
from domain.payment_event import Source
from tests.waiting import wait_until
from tests.worker.conftest import MERCHANT, Stack
from worker.settle import Settle, Settled

Ring = Callable[[], int]
ORDERS = [f"order-{number}" for number in range(12)]


@pytest.fixture
def shared(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def settle(stack: Stack) -> Settle:
    """The web process's own settle, which it uses when it closes a QR."""
    return stack.parts.issue._close._settle  # noqa: SLF001 - it has no other way in


def paid_unannounced(stack: Stack, orders: list[str]) -> list[UUID]:
    qrs = []
    for order in orders:
        stack.put(order, amount=10_000)
        qrs.append(UUID(stack.pay_link(order).json()["gatewayInvoiceId"]))
        stack.pay(order, callback="drop")
    return qrs


def request_at(stack: Stack, qr: UUID) -> Row:
    with stack.parts.ledger._pool.connection() as connection:  # noqa: SLF001 - a look behind the API
        row = connection.execute(
            """
            SELECT attempts, requested > served AS due, lease_token, last_error,
                extract(epoch FROM next_check_at - now())::float8 AS wait_s
            FROM gateway_invoice WHERE id = %s
            """,
            [qr],
        ).fetchone()
    assert row is not None
    return row


def test_check_that_was_held_back_is_no_attempt_and_due_when_somebody_may_ask_again(stack: Stack) -> None:
    qrs = paid_unannounced(stack, ORDERS)
    stack.gateway.cut()
    for qr in qrs:
        stack.parts.check_requests.request(qr, source=Source.CALLBACK)

    assert {settle(stack)(qr) for qr in qrs} == {Settled.FAILED}

    after = [request_at(stack, qr) for qr in qrs]
    assert [row["attempts"] for row in after] == [1] * 5 + [0] * 7
    assert all(row["due"] and row["lease_token"] is None for row in after)
    assert "left alone" in after[-1]["last_error"]
    assert all(0 < row["wait_s"] <= 5.2 for row in after[5:])  # the pause, and up to RETRY_BASE_S by chance


@pytest.mark.slow
@pytest.mark.usefixtures("working")
def test_everything_due_catches_up_when_the_gateway_is_back(stack: Stack, working: Ring) -> None:
    qrs = paid_unannounced(stack, ORDERS)
    stack.gateway.cut()
    for qr in qrs:
        stack.parts.check_requests.request(qr, source=Source.CALLBACK)
        stack.parts.ring("qpay", qr, 0.0)
    wait_until(lambda: working() >= 0 and sum(_was_held_back(stack, qr) for qr in qrs) >= 6, within_s=30)

    stack.gateway.mend()

    wait_until(lambda: working() >= 0 and all(len(stack.payments(order)) == 1 for order in ORDERS), within_s=60)


def test_credentials_that_another_program_uses_are_a_question_for_a_person(stack: Stack, shared: "redis.Redis") -> None:
    (qr,) = paid_unannounced(stack, ORDERS[:1])
    questions = Discrepancies(stack.parts.ledger._pool)  # noqa: SLF001 - the same database

    def another_program_logs_in() -> None:
        answer = httpx.post(
            f"{stack.simulator.url}/v2/auth/token", auth=(MERCHANT.username, MERCHANT.password), trust_env=False
        )
        assert answer.status_code == 200
        shared.delete(*shared.keys("tootsoo:qpay:login:*"))  # half a minute later

    def asked(state: State) -> list[StoredDiscrepancy]:
        return [
            each for each in questions.list(state=state, after=0, page=9) if each.kind == "credentials_used_elsewhere"
        ]

    def check() -> None:
        stack.parts.check_requests.request(qr, source=Source.COMMAND)
        wait_until(lambda: settle(stack)(qr) is Settled.CHECKED)

    another_program_logs_in()
    check()
    assert (len(asked(State.SUSPECTED)), len(asked(State.OPEN))) == (1, 0)
    another_program_logs_in()
    check()

    (question,) = asked(State.OPEN)
    assert (question.gateway, question.subject, question.seen) == ("qpay", MERCHANT.username, 2)
    assert "another program" in question.detail
    assert MERCHANT.password not in str(question)
    assert len(stack.payments(ORDERS[0])) == 1


def test_credentials_that_are_refused_are_no_attempt_at_any_invoice(stack: Stack, shared: "redis.Redis") -> None:
    (qr,) = paid_unannounced(stack, ORDERS[:1])
    shared.flushdb()
    merchants = stack.simulator.world.merchants
    merchant = merchants.pop(MERCHANT.username)
    stack.parts.check_requests.request(qr, source=Source.COMMAND)

    assert settle(stack)(qr) is Settled.FAILED
    assert (request_at(stack, qr)["attempts"], request_at(stack, qr)["due"]) == (0, True)

    merchants[MERCHANT.username] = merchant
    shared.flushdb()
    wait_until(lambda: settle(stack)(qr) is Settled.CHECKED)
    assert len(stack.payments(ORDERS[0])) == 1


def _was_held_back(stack: Stack, qr: UUID) -> bool:
    return "left alone" in (request_at(stack, qr)["last_error"] or "")
