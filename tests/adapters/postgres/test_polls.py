"""A QR at a gateway without a list is looked at when its time has come, once, by whoever is first."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.connection import Pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.polls import Polls
from domain.payment_event import Source
from domain.polling import POLLS_MAX, ladder
from tests.adapters.postgres.samples import finish, open_qr, put, qr_store
from worker.poll import poll_due


@pytest.fixture
def polls(pool: Pool) -> Polls:
    return Polls(pool)


@pytest.fixture
def requests(pool: Pool) -> CheckRequests:
    return CheckRequests(pool, spacing_s=0.0, retry_base_s=2.0, retry_max_s=60.0)


@pytest.fixture
def qr(pool: Pool, invoices: Invoices) -> UUID:
    put(invoices)
    qr = open_qr(pool)
    with pool.connection() as connection:
        connection.execute(
            "UPDATE gateway_invoice SET next_poll_at = now(), expires_at = opened_at + interval '7 days'"
        )
    return qr


def age(pool: Pool, by: timedelta) -> None:
    """Let the QR be older, and its next look nearer."""
    with pool.connection() as connection:
        connection.execute(
            """
            UPDATE gateway_invoice SET
                opened_at = opened_at - %(by)s, expires_at = expires_at - %(by)s, next_poll_at = next_poll_at - %(by)s
            """,
            {"by": by},
        )


def tick(pool: Pool, polls: Polls, requests: CheckRequests) -> int:
    return poll_due(polls, qr_store(pool), requests, lambda *_: None)


def serve(pool: Pool, requests: CheckRequests, qr: UUID) -> None:
    check = requests.claim(qr, lease_token=UUID(int=1))
    if check is not None:
        finish(pool, requests, check)


def test_in_all_its_life_a_qr_is_looked_at_as_often_as_the_ladder_says(
    pool: Pool, polls: Polls, requests: CheckRequests, qr: UUID
) -> None:
    asked, now = 0, timedelta(0)
    for rung in ladder(timedelta(days=7)):
        age(pool, rung - now)
        now = rung
        asked += tick(pool, polls, requests)
        asked += tick(pool, polls, requests)
        serve(pool, requests, qr)
    age(pool, timedelta(days=1))

    assert tick(pool, polls, requests) == 0
    assert asked <= POLLS_MAX
    assert asked >= POLLS_MAX - 1


def test_what_was_missed_is_one_look(pool: Pool, polls: Polls, requests: CheckRequests, qr: UUID) -> None:
    age(pool, timedelta(days=2))

    assert tick(pool, polls, requests) == 1
    serve(pool, requests, qr)
    assert tick(pool, polls, requests) == 0


def test_of_many_who_poll_one_does(pool: Pool, polls: Polls, requests: CheckRequests, qr: UUID) -> None:
    with ThreadPoolExecutor(8) as threads:
        asked = list(threads.map(lambda _: tick(pool, polls, requests), range(8)))

    assert qr
    assert sum(asked) == 1


def test_a_qr_whose_check_is_due_anyway_is_not_asked_for_again(
    pool: Pool, polls: Polls, requests: CheckRequests, qr: UUID
) -> None:
    requests.request(qr, source=Source.CALLBACK)

    assert tick(pool, polls, requests) == 0

    check = requests.claim(qr, lease_token=UUID(int=1))
    assert check is not None
    assert check.source is Source.CALLBACK


@pytest.mark.parametrize("state", ["settled", "closing", "expired"])
def test_a_qr_that_is_not_open_is_not_looked_at(
    pool: Pool, polls: Polls, requests: CheckRequests, qr: UUID, state: str
) -> None:
    assert qr
    with pool.connection() as connection:
        connection.execute("UPDATE gateway_invoice SET state = %s", [state])

    assert tick(pool, polls, requests) == 0


def test_a_qr_of_a_gateway_that_is_not_polled_is_never_due(
    pool: Pool, polls: Polls, requests: CheckRequests, invoices: Invoices
) -> None:
    put(invoices)
    open_qr(pool)

    assert tick(pool, polls, requests) == 0
