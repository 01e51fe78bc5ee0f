"""A check that was asked for is made: once for many, again for whoever asks meanwhile, by one holder at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.postgres.check_requests import CheckRequests, ClaimedCheck
from adapters.postgres.connection import Pool, Row
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.recorded import About
from domain.check_request import DOUBT_S, LEASE_S, RECHECK_AFTER_S
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.payment_event import Source
from domain.reconciler import Decision
from tests.adapters.postgres.samples import NOON, finish, open_qr, put, qr_store


@pytest.fixture
def qr(pool: Pool, invoices: Invoices) -> UUID:
    put(invoices)
    return open_qr(pool)


@pytest.fixture
def requests(pool: Pool) -> CheckRequests:
    return CheckRequests(pool, spacing_s=2.0, retry_base_s=2.0, retry_max_s=60.0)


@pytest.fixture
def unspaced(pool: Pool) -> CheckRequests:
    return CheckRequests(pool, spacing_s=0.0, retry_base_s=2.0, retry_max_s=60.0)


@pytest.fixture
def column(pool: Pool, qr: UUID) -> Callable[[str], object]:
    """Read one column of the QR's row; times as seconds from now."""

    def read(name: str) -> object:
        with pool.connection() as connection:
            row: Row | None = connection.execute(
                """
                SELECT *, extract(epoch FROM next_check_at - now())::float8 AS wait_s
                FROM gateway_invoice WHERE id = %s
                """,
                [qr],
            ).fetchone()
        assert row is not None
        return row[name]

    return read


def ask(requests: CheckRequests, qr: UUID, *, payment: str | None = None) -> bool:
    requested = requests.request(qr, source=Source.CALLBACK, awaited_payment_id=payment)
    assert requested is not None
    return requested.rings


def claim(requests: CheckRequests, qr: UUID) -> ClaimedCheck:
    check = requests.claim(qr, lease_token=uuid4())
    assert check is not None
    return check


def test_a_request_is_claimed_by_one_of_many(requests: CheckRequests, qr: UUID) -> None:
    ask(requests, qr)

    with ThreadPoolExecutor(max_workers=12) as threads:
        claims = list(threads.map(lambda _: requests.claim(qr, lease_token=uuid4()), range(50)))

    assert len([check for check in claims if check is not None]) == 1


def test_a_burst_of_requests_rings_once_and_is_served_by_one_check(
    pool: Pool, unspaced: CheckRequests, qr: UUID
) -> None:
    rang = [ask(unspaced, qr) for _ in range(100)]

    check = claim(unspaced, qr)
    again = finish(pool, unspaced, check)

    assert rang == [True, *[False] * 99]
    assert check.claimed == 100
    assert again is None
    assert unspaced.claim(qr, lease_token=uuid4()) is None


def test_a_request_that_arrives_during_a_check_is_served_by_one_more(
    pool: Pool, unspaced: CheckRequests, qr: UUID
) -> None:
    ask(unspaced, qr)
    first = claim(unspaced, qr)

    assert [ask(unspaced, qr) for _ in range(5)] == [False] * 5
    wakes_in_s = finish(pool, unspaced, first)
    second = claim(unspaced, qr)

    assert wakes_in_s == 0
    assert finish(pool, unspaced, second) is None
    assert unspaced.claim(qr, lease_token=uuid4()) is None


def test_checks_of_one_qr_start_some_time_apart(
    pool: Pool, requests: CheckRequests, qr: UUID, column: Callable[[str], float]
) -> None:
    ask(requests, qr)
    finish(pool, requests, claim(requests, qr))

    requested = requests.request(qr, source=Source.CALLBACK)

    assert requested is not None
    assert requested.rings
    assert 1.0 < requested.wait_s <= 2.0
    assert 1.0 < column("wait_s") <= 2.0
    assert requests.claim(qr, lease_token=uuid4()) is None


def test_a_late_holder_changes_nothing(
    pool: Pool, unspaced: CheckRequests, qr: UUID, column: Callable[[str], object]
) -> None:
    ask(unspaced, qr)
    late = claim(unspaced, qr)
    _let_the_lease_run_out(pool)
    current = claim(unspaced, qr)

    finish(pool, unspaced, late)
    unspaced.fail(late, delay_s=60, error="late")

    assert column("served") == 0
    assert column("lease_token") == current.lease_token
    assert column("last_error") is None
    assert current.attempts == 2


def test_a_failed_check_waits_and_new_requests_do_not_shorten_that(
    unspaced: CheckRequests, qr: UUID, column: Callable[[str], float]
) -> None:
    ask(unspaced, qr)
    unspaced.fail(claim(unspaced, qr), delay_s=60, error="GatewayBusyError: down")

    rang = ask(unspaced, qr)

    assert not rang
    assert 55 < column("wait_s") <= 60
    assert unspaced.claim(qr, lease_token=uuid4()) is None


def test_a_payment_that_is_announced_and_not_shown_is_looked_for_three_times_more(
    pool: Pool, unspaced: CheckRequests, qr: UUID, column: Callable[[str], Any]
) -> None:
    ask(unspaced, qr, payment="42")
    waits = []
    for passed_s in (0, *RECHECK_AFTER_S):
        _let_pass(pool, since_s=passed_s)
        finish(pool, unspaced, claim(unspaced, qr), "another payment")
        waits.append(column("wait_s"))

    assert waits == [pytest.approx(wait_s, abs=2) for wait_s in (5, 25, 270)] + [None]
    assert unspaced.claim(qr, lease_token=uuid4()) is None
    assert column("awaited_payment_ids") == []


def test_repeated_callbacks_do_not_use_up_the_looks_at_a_payment_that_is_late(
    pool: Pool, unspaced: CheckRequests, qr: UUID, column: Callable[[str], Any]
) -> None:
    for _ in range(10):
        ask(unspaced, qr, payment="42")
        finish(pool, unspaced, claim(unspaced, qr))

    assert column("awaited_payment_ids") == ["42"]
    assert column("wait_s") == pytest.approx(5, abs=2)


def _let_pass(pool: Pool, *, since_s: float) -> None:
    """Let so much time have passed since the payment was named, and the next check be due."""
    with pool.connection() as connection:
        connection.execute(
            "UPDATE gateway_invoice SET next_check_at = now(), awaited_since = now() - %s * interval '1 second'",
            [since_s],
        )


def test_a_second_payment_that_is_announced_does_not_make_the_first_forgotten(
    pool: Pool, unspaced: CheckRequests, qr: UUID, column: Callable[[str], object]
) -> None:
    for number in range(12):
        ask(unspaced, qr, payment=str(number))

    finish(pool, unspaced, claim(unspaced, qr), "11", "5")

    assert sorted(str(column("awaited_payment_ids"))) == sorted(str(["2", "3", "4", "6", "7", "8", "9", "10"]))
    assert column("requested") == 13


def test_a_payment_that_is_announced_and_shown_is_not_looked_for_again(
    pool: Pool, unspaced: CheckRequests, qr: UUID, column: Callable[[str], object]
) -> None:
    ask(unspaced, qr, payment="42")

    finish(pool, unspaced, claim(unspaced, qr), "42")

    assert column("requested") == column("served")
    assert column("awaited_payment_ids") == []


def test_a_callback_before_the_qr_is_saved_is_claimed_once_it_is(
    pool: Pool, invoices: Invoices, unspaced: CheckRequests
) -> None:
    put(invoices)
    store, early = qr_store(pool), uuid4()
    store.next_step("order-1", gateway="qpay", goes_by_number=False, whole_units=True, new_id=early, now=NOON)

    assert not ask(unspaced, early)
    assert unspaced.claim(early, lease_token=uuid4()) is None
    with pool.connection() as connection:
        connection.execute("UPDATE gateway_invoice SET state = 'open', external_id = 'x', qr_text = 'y'")

    assert claim(unspaced, early).claimed == 1


def test_an_unknown_gateway_invoice_takes_no_request(requests: CheckRequests) -> None:
    assert requests.request(uuid4(), source=Source.CALLBACK) is None


def test_the_scheduler_rings_for_what_nobody_was_woken_for(pool: Pool, unspaced: CheckRequests, qr: UUID) -> None:
    ask(unspaced, qr)
    assert unspaced.ring_due("qpay", page=10) == []

    with pool.connection() as connection:
        connection.execute("UPDATE gateway_invoice SET rung_at = now() - interval '1 minute'")

    assert unspaced.ring_due("qpay", page=10) == [qr]
    assert unspaced.ring_due("qpay", page=10) == []


def test_the_scheduler_rings_page_by_page_longest_overdue_first(
    pool: Pool, invoices: Invoices, unspaced: CheckRequests
) -> None:
    qrs = []
    for number in range(5):
        put(invoices, f"order-{number}")
        qrs.append(open_qr(pool, f"order-{number}"))
        ask(unspaced, qrs[-1])
    with pool.connection() as connection:
        connection.execute("UPDATE gateway_invoice SET rung_at = NULL")

    pages = [unspaced.ring_due("qpay", page=2) for _ in range(4)]

    assert [set(page) for page in pages] == [set(qrs[:2]), set(qrs[2:4]), set(qrs[4:]), set()]


def test_a_check_whose_holder_died_is_rung_again_when_its_lease_is_over(
    pool: Pool, unspaced: CheckRequests, qr: UUID
) -> None:
    ask(unspaced, qr)
    claim(unspaced, qr)
    with pool.connection() as connection:
        connection.execute("UPDATE gateway_invoice SET rung_at = now() - interval '1 minute'")
        assert unspaced.ring_due("qpay", page=10) == []
    _let_the_lease_run_out(pool)
    assert unspaced.ring_due("qpay", page=10) == [qr]


def test_a_check_that_breaks_its_holders_waits_longer_each_time(
    pool: Pool, unspaced: CheckRequests, qr: UUID, column: Callable[[str], Any]
) -> None:
    ask(unspaced, qr)
    waits = []
    for _ in range(8):
        claim(unspaced, qr)
        waits.append(column("wait_s") - LEASE_S)
        _let_the_lease_run_out(pool)

    assert waits == [pytest.approx(wait_s, abs=1) for wait_s in (0, 4, 8, 16, 32, 60, 60, 60)]


def _let_the_lease_run_out(pool: Pool) -> None:
    with pool.connection() as connection:
        connection.execute(
            "UPDATE gateway_invoice SET lease_until = now() - interval '1 second', next_check_at = now()"
        )


def test_what_is_only_suspected_is_looked_at_again_until_it_is_a_question_or_nothing(
    pool: Pool, unspaced: CheckRequests, qr: UUID, column: Callable[[str], Any]
) -> None:
    doubt = Discrepancy(
        kind=DiscrepancyKind.MISSING_AT_GATEWAY,
        gateway="qpay",
        subject="1",
        fingerprint="",
        detail="gone",
        invoice_id=None,
        payment_id="1",
        certain=False,
    )
    waits = []
    ask(unspaced, qr)
    for _ in range(2):
        check = claim(unspaced, qr)
        Ledger(pool).append(
            About(),
            lambda _: Decision(discrepancies=(doubt,)),
            recorded_at=NOON,
            finished=unspaced.finished(check, seen_payment_ids=[]),
        )
        waits.append(column("wait_s"))
        with pool.connection() as connection:
            connection.execute("UPDATE gateway_invoice SET next_check_at = now()")

    assert waits == [pytest.approx(DOUBT_S, abs=1), None]
    assert unspaced.claim(qr, lease_token=uuid4()) is None
