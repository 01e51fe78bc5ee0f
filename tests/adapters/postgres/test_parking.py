"""What failed too often is parked: not due, not rung, not forgotten, and let go once."""

from uuid import UUID, uuid4

import pytest

from adapters.postgres.check_requests import CheckRequests, ClaimedCheck, Requested
from adapters.postgres.connection import Pool
from adapters.postgres.gateway_invoices import GatewayInvoices
from adapters.postgres.invoices import Invoices
from adapters.postgres.parked import Parked, ParkedQrs
from domain.check_request import DEATHS_MAX, PARKED_LOOK_S
from domain.pay_link import GatewayInvoiceState
from domain.payment_event import Source
from tests.adapters.postgres.samples import finish, open_qr, put, qr_store


@pytest.fixture
def qr(pool: Pool, invoices: Invoices) -> UUID:
    put(invoices)
    return open_qr(pool)


@pytest.fixture
def requests(pool: Pool) -> CheckRequests:
    return CheckRequests(pool, spacing_s=0.0, retry_base_s=2.0, retry_max_s=60.0)


@pytest.fixture
def parked(pool: Pool) -> ParkedQrs:
    return ParkedQrs(pool)


def execute(pool: Pool, statement: str, *parameters: object) -> None:
    with pool.connection() as connection:
        connection.execute(statement.encode(), parameters)


def ask(requests: CheckRequests, qr: UUID) -> Requested:
    requested = requests.request(qr, source=Source.CALLBACK)
    assert requested is not None
    return requested


def claim(requests: CheckRequests, qr: UUID) -> ClaimedCheck:
    check = requests.claim(qr, lease_token=uuid4())
    assert check is not None
    return check


def park(requests: CheckRequests, qr: UUID, *, code: str | None = "INVOICE_NOTFOUND") -> None:
    ask(requests, qr)
    assert requests.park(claim(requests, qr), code=code, reason="GatewayRefusedError: unknown")


def one(parked: ParkedQrs) -> Parked:
    (found,) = parked.list(page=10)
    return found


def test_fault_30_a_parked_check_is_neither_due_nor_rung_and_says_why(
    pool: Pool, requests: CheckRequests, parked: ParkedQrs, qr: UUID
) -> None:
    park(requests, qr)
    execute(pool, "UPDATE gateway_invoice SET next_check_at = now() - interval '1 day', rung_at = NULL")

    assert requests.ring_due("qpay", page=10) == []
    assert requests.claim(qr, lease_token=uuid4()) is None
    found = one(parked)
    assert (found.kind, found.id, found.number, found.code) == ("check", qr, "order-1", "INVOICE_NOTFOUND")
    assert (found.reason, found.failures) == ("GatewayRefusedError: unknown", 1)


def test_only_who_holds_the_lease_parks(pool: Pool, requests: CheckRequests, parked: ParkedQrs, qr: UUID) -> None:
    ask(requests, qr)
    late = claim(requests, qr)
    execute(pool, "UPDATE gateway_invoice SET lease_until = now(), next_check_at = now()")
    claim(requests, qr)

    assert not requests.park(late, code=None, reason="late")
    assert parked.list(page=10) == []


def test_fault_30_a_parked_check_that_is_retried_twice_is_retried_once(
    requests: CheckRequests, parked: ParkedQrs, qr: UUID
) -> None:
    park(requests, qr)

    assert (parked.retry(qr), parked.retry(qr)) == (1, 0)
    assert requests.ring_due("qpay", page=10) == [qr]
    assert claim(requests, qr).attempts == 1
    assert parked.retry(qr) == 0


def test_all_that_one_refusal_parked_is_let_go_at_once(
    pool: Pool, invoices: Invoices, requests: CheckRequests, parked: ParkedQrs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.postgres.parked.RETRY_PAGE", 2)
    for number in range(6):
        put(invoices, f"order-{number}")
        park(requests, open_qr(pool, f"order-{number}"), code="DENIED" if number else "INVOICE_NOTFOUND")

    assert (parked.retry_all(code="DENIED"), parked.retry_all(code="DENIED")) == (5, 0)
    assert (parked.retry_all(), parked.retry_all()) == (1, 0)


def test_callbacks_for_a_parked_one_are_kept_and_earn_one_look_an_hour(
    pool: Pool, requests: CheckRequests, parked: ParkedQrs, qr: UUID
) -> None:
    park(requests, qr)

    soon = [ask(requests, qr) for _ in range(5)]
    assert [request.rings for request in soon] == [False] * 5
    assert requests.claim(qr, lease_token=uuid4()) is None
    execute(pool, "UPDATE gateway_invoice SET parked_at = now() - %s * interval '1 second'", PARKED_LOOK_S)
    later = ask(requests, qr)
    look = claim(requests, qr)
    requests.park(look, code="INVOICE_NOTFOUND", reason="again")

    assert (later.rings, later.wait_s) == (True, 0)
    assert (look.attempts, look.claimed) == (2, 7)
    assert ask(requests, qr).rings is False
    assert one(parked).reason == "again"


def test_a_look_that_succeeds_ends_the_parking(
    pool: Pool, requests: CheckRequests, parked: ParkedQrs, qr: UUID
) -> None:
    park(requests, qr)
    execute(pool, "UPDATE gateway_invoice SET parked_at = now() - %s * interval '1 second'", PARKED_LOOK_S)
    ask(requests, qr)

    finish(pool, requests, claim(requests, qr))

    assert parked.list(page=10) == []
    assert ask(requests, qr).rings


def test_fault_30_a_check_over_which_workers_die_again_and_again_is_parked(
    pool: Pool, requests: CheckRequests, parked: ParkedQrs, qr: UUID
) -> None:
    ask(requests, qr)
    for _ in range(DEATHS_MAX):
        claim(requests, qr)
        execute(pool, "UPDATE gateway_invoice SET lease_until = now(), next_check_at = now()")

    assert requests.claim(qr, lease_token=uuid4()) is None
    assert one(parked).reason == f"{DEATHS_MAX} workers in a row began this check and did not come back"
    assert requests.ring_due("qpay", page=10) == []
    parked.retry(qr)
    assert claim(requests, qr).attempts == 1


@pytest.mark.parametrize("comes_back", ["fails", "finishes"])
def test_deaths_are_counted_in_a_row(
    pool: Pool, requests: CheckRequests, parked: ParkedQrs, qr: UUID, comes_back: str
) -> None:
    for _ in range(3):
        ask(requests, qr)
        for _ in range(DEATHS_MAX - 1):
            claim(requests, qr)
            execute(pool, "UPDATE gateway_invoice SET lease_until = now(), next_check_at = now()")
        check = claim(requests, qr)
        if comes_back == "fails":
            requests.fail(check, delay_s=0, error="GatewayBusyError: down")
        else:
            finish(pool, requests, check)

    assert parked.list(page=10) == []


@pytest.fixture
def closing(pool: Pool, qr: UUID) -> GatewayInvoices:
    execute(pool, "UPDATE gateway_invoice SET state = 'closing' WHERE id = %s", qr)
    return qr_store(pool)


def note(closing: GatewayInvoices, qr: UUID) -> bool:
    return closing.note_close_failure(qr, code="INVOICE_PAID", reason="GatewayRefusedError: paid", tries=2)


def test_a_closing_that_failed_too_often_is_parked_and_let_go_once(
    closing: GatewayInvoices, parked: ParkedQrs, qr: UUID
) -> None:
    assert [note(closing, qr), closing.is_closing(qr)] == [False, True]
    assert closing.take_closing("qpay", page=10) == [qr]
    assert [note(closing, qr), closing.is_closing(qr)] == [True, False]
    found = one(parked)
    assert (found.kind, found.code, found.failures) == ("close", "INVOICE_PAID", 2)

    assert (parked.retry(qr), parked.retry(qr)) == (1, 0)
    assert closing.take_closing("qpay", page=10) == [qr]


def test_a_parked_closing_is_not_taken_and_ends_like_any_other(
    closing: GatewayInvoices, parked: ParkedQrs, qr: UUID
) -> None:
    for _ in range(2):
        note(closing, qr)
    assert closing.take_closing("qpay", page=10) == []

    closing.mark_closed(qr, state=GatewayInvoiceState.SUPERSEDED)

    assert parked.list(page=10) == []


def test_a_qr_is_found_by_its_id_and_by_its_number(parked: ParkedQrs, qr: UUID) -> None:
    assert (parked.find(str(qr)), parked.find("order-1"), parked.find("order-9")) == (qr, qr, None)
