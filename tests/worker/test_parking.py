"""What always fails is parked alone; the rest flows, and a person lets it go with one command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import redis

from domain.payment_event import Source
from tests.waiting import wait_until
from tests.worker.conftest import Stack
from tests.worker.test_cli import run
from tests.worker.test_settle import settle
from worker import settle as settling
from worker.close import CloseDue

Ring = Callable[[], int]

ALWAYS_FAILS = """
    CREATE FUNCTION tootsoo.refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.invoice_id = 'order-1' THEN RAISE EXCEPTION 'this one always fails'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse_one BEFORE INSERT ON tootsoo.payment_event
        FOR EACH ROW EXECUTE FUNCTION tootsoo.refuse_one();
"""


def parked(database_url: str, folder: Path) -> list[dict[str, Any]]:
    return json.loads(run(folder, "parked list --json", DATABASE_URL=database_url).stdout)["parked"]  # type: ignore[no-any-return]  # JSON


def is_parked(database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM tootsoo.gateway_invoice WHERE parked_at IS NOT NULL").fetchone()
    return row == (1,)


@pytest.mark.parametrize("retry_limit", [10])
def test_fault_30_an_event_that_always_fails_parks_its_qr_and_nothing_else(
    stack: Stack, working: Ring, database_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute(ALWAYS_FAILS)
    for invoice_id in ("order-1", "order-2"):
        stack.put(invoice_id)
        stack.pay_link(invoice_id)
        stack.pay(invoice_id)
    wait_until(lambda: stack.invoice("order-2")["balance"]["status"] == "paid")
    wait_until(lambda: working() >= 0 and is_parked(database_url), within_s=30)
    checks = stack.checks()

    (one,) = parked(database_url, tmp_path)
    assert (one["number"], one["kind"], one["failures"], one["code"]) == ("order-1", "check", 10, None)
    stack.put("order-3")
    stack.pay_link("order-3")
    stack.pay("order-3")
    wait_until(lambda: stack.invoice("order-3")["balance"]["status"] == "paid")
    assert stack.checks() == checks + 1

    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("DROP TRIGGER refuse_one ON tootsoo.payment_event")
    retried = [run(tmp_path, "parked retry order-1 --json", DATABASE_URL=database_url) for _ in range(2)]
    wait_until(lambda: working() >= 0 and stack.invoice()["balance"]["status"] == "paid")

    assert json.loads(retried[0].stdout) == {"retried": 1}
    assert [done.returncode for done in retried] == [0, 0]
    assert len(stack.payments()) == 1
    assert stack.parts.ledger.balances_unlike_events() == []


@pytest.mark.slow
def test_what_the_gateway_does_not_know_is_parked_after_fewer_tries_with_its_code(
    stack: Stack, working: Ring, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.check_request.FINAL_TRIES", 4)
    stack.put()
    qr = UUID(stack.pay_link().json()["gatewayInvoiceId"])
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("UPDATE tootsoo.gateway_invoice SET external_id = 'of another merchant'")

    stack.parts.check_requests.request(qr, source=Source.COMMAND)
    wait_until(lambda: working() >= 0 and is_parked(database_url))

    (one,) = parked(database_url, tmp_path)
    assert (one["code"], one["failures"]) == ("INVOICE_NOTFOUND", 4)
    assert stack.checks() == 4


def test_a_database_that_is_away_while_a_check_is_written_down_counts_as_a_failure_and_not_as_a_death(
    stack: Stack, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.put()
    qr = UUID(stack.pay_link().json()["gatewayInvoiceId"])
    stack.pay(callback="drop")
    stack.parts.check_requests.request(qr, source=Source.COMMAND)

    def away(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("the server closed the connection unexpectedly")

    with monkeypatch.context() as broken:
        broken.setattr(settling, "reconcile", away)
        with pytest.raises(psycopg.OperationalError):
            settle(stack)(qr)

    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT lease_token, attempts, last_error FROM tootsoo.gateway_invoice").fetchone()
    assert row == (None, 1, "OperationalError: see the log")


def test_a_qr_that_cannot_be_closed_is_parked_and_a_pay_link_still_tries(
    stack: Stack, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.close.CLOSE_TRIES", 2)
    stack.put(amount=90_000)
    qr = UUID(stack.pay_link().json()["gatewayInvoiceId"])
    stack.put(amount=80_000)
    issue = stack.parts.issue
    close_due = CloseDue(close=issue._close, gateway_invoices=issue._gateway_invoices)  # noqa: SLF001 - as the worker does
    stack.gateway.cut()
    for _ in range(2):
        with pytest.raises(Exception, match="QPay"):
            close_due(qr)
    close_due(qr)

    (one,) = parked(database_url, tmp_path)
    assert (one["kind"], one["failures"]) == ("close", 2)
    stack.gateway.mend()
    wait_until(lambda: stack.pay_link().status_code == 200)
    assert parked(database_url, tmp_path) == []


def test_fault_30_messages_that_mean_nothing_do_no_harm(stack: Stack, redis_url: str, working: Ring) -> None:
    stack.put()
    stack.pay_link()
    message = {"actor_name": "settle", "args": [], "kwargs": {}, "options": {}, "message_timestamp": 0}
    with redis.Redis.from_url(redis_url) as client:
        for number, body in enumerate(
            [
                b"\xff\x00 no JSON",
                b"{}",
                json.dumps(message | {"queue_name": "settle-qpay", "message_id": "1"}).encode(),
                json.dumps(message | {"queue_name": "settle-qpay", "message_id": "2", "args": ["no uuid"]}).encode(),
                json.dumps(message | {"queue_name": "settle-qpay", "message_id": "3", "actor_name": "nobody"}).encode(),
                json.dumps(
                    message | {"queue_name": "settle-qpay", "message_id": "4", "args": [str(UUID(int=7))]}
                ).encode(),
            ]
        ):
            client.hset("tootsoo:settle-qpay.msgs", str(number), body)
            client.rpush("tootsoo:settle-qpay", str(number))

    stack.pay()

    def is_paid_after_a_tick() -> bool:
        working()
        return bool(stack.invoice()["balance"]["status"] == "paid")

    # Each that cannot be decoded costs its consumer a restart, and its neighbours another ring, after RING_AGAIN_S.
    wait_until(is_paid_after_a_tick, within_s=40)


def test_the_commands_say_what_is_parked(tmp_path: Path, stack: Stack, database_url: str) -> None:
    def tootsoo(command: str) -> tuple[int, str]:
        done = run(tmp_path, f"parked {command}", DATABASE_URL=database_url)
        return done.returncode, done.stdout + done.stderr

    stack.put()
    qr = stack.pay_link().json()["gatewayInvoiceId"]
    nothing = tootsoo("list")
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute(
            """
            UPDATE tootsoo.gateway_invoice SET requested = 1, attempts = 12, parked_at = now(),
                parked_code = 'INVOICE_NOTFOUND', parked_reason = 'no such invoice'
            """
        )

    assert nothing == (0, "Nothing is parked\n")
    assert tootsoo("list")[0] == 1
    assert "INVOICE_NOTFOUND" in tootsoo("list")[1]
    code, shown = tootsoo(f"show {qr}")
    assert (code, "no such invoice" in shown, qr in shown) == (0, True, True)
    assert (tootsoo("show order-9")[0], tootsoo("retry order-9")[0]) == (1, 1)
    assert [tootsoo(command)[0] for command in ("retry", "retry order-1 --all", "retry order-1 --code X", "show")] == [
        2, 2, 2, 2,
    ]  # fmt: skip
    assert tootsoo("retry --all --code OTHER") == (0, "Nothing of that is parked\n")
    assert tootsoo("retry --all") == (0, "To be tried again: 1\n")
    assert tootsoo("show order-1")[0] == 1
