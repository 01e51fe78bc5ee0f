"""Ringing takes turns: however much is due at one gateway, the others are rung, and the longest overdue come first."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.gateway_invoices import GatewayInvoices
from adapters.postgres.invoices import Invoices
from adapters.redis.doorbell import Doorbell, DoorbellError, open_broker
from domain.payment_event import Source
from tests.adapters.postgres.samples import put, qr_store
from tests.proxy import proxied
from worker.ring import PAGE, WAITING_MAX, ring_due

DUE = """
    INSERT INTO gateway_invoice (id, invoice_id, gateway, generation, number, external_id, amount_minor, currency,
        state, qr_text, issued_at, expires_at, issue_deadline, requested, request_source, next_check_at)
    SELECT gen_random_uuid(), 'order-1', %(gateway)s, n, 'n-' || n, 'x-' || n, 100, 'MNT', 'settled', 'qr', now(),
        now(), now(), 1, 'callback', now() - interval '1 day' + n * interval '1 millisecond'
    FROM generate_series(%(first)s::integer, %(last)s) AS n
"""


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size=4) as pool:
        put(Invoices(pool))
        yield pool


@pytest.fixture
def requests(pool: Pool) -> CheckRequests:
    return CheckRequests(pool, spacing_s=2.0, retry_base_s=2.0, retry_max_s=60.0)


@pytest.fixture
def gateway_invoices(pool: Pool) -> GatewayInvoices:
    return qr_store(pool)


@pytest.fixture
def doorbell(redis_url: str) -> Doorbell:
    return Doorbell(open_broker(redis_url, timeout_s=5))


def due(pool: Pool, gateway: str, *, count: int) -> None:
    for first in range(1, count + 1, 20_000):  # a statement has ten seconds, on a machine that others use too
        with pool.connection() as connection:
            connection.execute(DUE, {"gateway": gateway, "first": first, "last": min(first + 19_999, count)})


def first_due(pool: Pool, gateway: str, *, count: int) -> list[UUID]:
    with pool.connection() as connection:
        rows = connection.execute(
            "SELECT id FROM gateway_invoice WHERE gateway = %s ORDER BY next_check_at LIMIT %s", [gateway, count]
        )
        return [row["id"] for row in rows]


@pytest.mark.slow
def test_a_gateway_with_a_hundred_thousand_due_does_not_starve_another(
    pool: Pool, requests: CheckRequests, gateway_invoices: GatewayInvoices, doorbell: Doorbell
) -> None:
    due(pool, "qpay", count=100_000)
    due(pool, "socialpay", count=3)

    rung = [ring_due(requests, gateway_invoices, doorbell) for _ in range(2)]
    due_later = (doorbell.waiting("qpay"), doorbell.waiting("socialpay"))
    with pool.connection() as connection:
        connection.execute("UPDATE gateway_invoice SET rung_at = NULL WHERE gateway = 'socialpay'")
    rung_again = ring_due(requests, gateway_invoices, doorbell)

    assert rung == [WAITING_MAX + 3, 0]
    assert due_later == (WAITING_MAX, 3)
    assert rung_again == 3


def test_the_longest_overdue_come_first(pool: Pool, requests: CheckRequests) -> None:
    due(pool, "qpay", count=1_000)
    oldest = first_due(pool, "qpay", count=2 * PAGE)

    pages = [requests.ring_due("qpay", page=PAGE) for _ in range(3)]

    assert [set(page) for page in pages] == [set(oldest[:PAGE]), set(oldest[PAGE:]), set()]


def test_what_another_scheduler_looks_at_is_left_to_it(pool: Pool, requests: CheckRequests) -> None:
    due(pool, "qpay", count=4)
    oldest, *others = first_due(pool, "qpay", count=4)

    with pool.connection() as other, other.transaction():
        other.execute("SELECT FROM gateway_invoice WHERE id = %s FOR UPDATE", [oldest])
        rung = requests.ring_due("qpay", page=10)

    assert set(rung) == set(others)


def test_nothing_is_taken_for_rung_while_the_bell_is_silent(
    pool: Pool, requests: CheckRequests, gateway_invoices: GatewayInvoices, redis_url: str
) -> None:
    due(pool, "qpay", count=4)
    with proxied("127.0.0.1", 1) as nowhere:
        silent = Doorbell(open_broker(f"redis://127.0.0.1:{nowhere.port}/0", timeout_s=1))
        with pytest.raises(DoorbellError):
            ring_due(requests, gateway_invoices, silent)

    assert ring_due(requests, gateway_invoices, Doorbell(open_broker(redis_url, timeout_s=5))) == 4


def test_fault_24_waits_that_a_clock_wrote_which_was_set_back_are_ended(pool: Pool, requests: CheckRequests) -> None:
    due(pool, "qpay", count=4)
    with pool.connection() as connection:
        connection.execute(
            """
            UPDATE gateway_invoice SET next_check_at = now() + interval '1 day', rung_at = now() + interval '1 day',
                attempts = CASE WHEN number = 'n-1' THEN 0 ELSE 5 END,
                checked_at = CASE number WHEN 'n-3' THEN now() ELSE now() + interval '1 day' END,
                lease_token = CASE number WHEN 'n-2' THEN gen_random_uuid() END,
                lease_until = CASE number WHEN 'n-2' THEN now() + interval '1 day' END
            """
        )
    never_failed, held, has_to_wait, failed = _by_number(pool)

    assert requests.mend_waits("qpay", page=10) == 3
    rung = requests.ring_due("qpay", page=10)

    assert set(rung) == {never_failed, held, failed}
    assert has_to_wait not in rung


def test_fault_24_a_check_in_the_future_puts_off_no_request(pool: Pool, requests: CheckRequests) -> None:
    due(pool, "qpay", count=1)
    with pool.connection() as connection:
        connection.execute("UPDATE gateway_invoice SET served = 1, checked_at = now() + interval '1 day'")
    (qr,) = first_due(pool, "qpay", count=1)

    requested = requests.request(qr, source=Source.CALLBACK)

    assert requested is not None
    assert (requested.rings, requested.wait_s) == (True, 0)


def _by_number(pool: Pool) -> list[UUID]:
    with pool.connection() as connection:
        return [row["id"] for row in connection.execute("SELECT id FROM gateway_invoice ORDER BY number")]
