"""What a list showed is followed once by however many, until it is where it belongs, and is forgotten in the end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from adapters.postgres.check_requests import CheckRequests
from adapters.postgres.connection import Pool
from adapters.postgres.discoveries import KEEP_ENDED_DAYS, Discoveries
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from domain.discovery import Asked
from domain.following import Check
from domain.payment_event import Source
from domain.payment_row import FoundPayment, RowStatus
from tests.adapters.postgres.samples import NOON, append, finish, open_qr, put
from tests.domain.samples import a_row, an_event

HOUR = timedelta(hours=1)


@pytest.fixture
def discoveries(pool: Pool) -> Discoveries:
    return Discoveries(pool)


@pytest.fixture
def requests(pool: Pool) -> CheckRequests:
    return CheckRequests(pool, spacing_s=0.0, retry_base_s=2.0, retry_max_s=60.0)


@pytest.fixture
def qr(pool: Pool, invoices: Invoices) -> UUID:
    put(invoices)
    return open_qr(pool)


def found(payment_id: str, *, status: RowStatus = RowStatus.PAID, qr_text: str | None = None) -> FoundPayment:
    return FoundPayment(row=a_row(payment_id, status=status), external_id=None, qr_text=qr_text)


def followed(discoveries: Discoveries) -> list[str]:
    return [one.payment_id for one in discoveries.followed("qpay", after="", page=100)]


def test_windows_are_remembered_as_they_were_asked_for_last(discoveries: Discoveries) -> None:
    discoveries.note_asked("qpay", [NOON, NOON + HOUR], asked_at=NOON, question=None, total=None)
    discoveries.note_asked("qpay", [NOON], asked_at=NOON + HOUR, question="a to b", total=5)

    assert discoveries.windows("qpay", since=NOON) == {
        NOON: Asked(asked_at=NOON + HOUR, question="a to b", total=5),
        NOON + HOUR: Asked(asked_at=NOON, question=None, total=None),
    }
    assert discoveries.windows("qpay", since=NOON + HOUR).keys() == {NOON + HOUR}
    assert discoveries.windows("elsewhere", since=NOON) == {}


def test_a_payment_is_followed_once_and_not_when_it_is_recorded_on_an_invoice(
    discoveries: Discoveries, ledger: Ledger, qr: UUID
) -> None:
    append(ledger, [an_event("p-1", gateway_invoice_id=qr)])

    assert discoveries.note_found("qpay", [found("p-1"), found("p-2"), found("p-2")], now=NOON) == 1
    assert discoveries.note_found("qpay", [found("p-2"), found("p-3")], now=NOON) == 1

    assert followed(discoveries) == ["p-2", "p-3"]


def test_one_that_comes_to_its_invoice_is_followed_no_more(discoveries: Discoveries, ledger: Ledger, qr: UUID) -> None:
    discoveries.note_found("qpay", [found("p-1"), found("p-2")], now=NOON)
    append(ledger, [an_event("p-1", gateway_invoice_id=qr)])

    assert discoveries.forget_settled("qpay") == 1
    assert followed(discoveries) == ["p-2"]


def test_one_in_suspense_is_followed_again_only_where_it_leads_to_a_qr(
    discoveries: Discoveries, ledger: Ledger, qr: UUID
) -> None:
    append(ledger, [an_event("p-1", invoice_id=None), an_event("p-2", invoice_id=None)])

    discoveries.note_found("qpay", [found("p-1", qr_text="0002010102"), found("p-2", qr_text="unknown")], now=NOON)

    assert qr
    assert followed(discoveries) == ["p-1"]


def test_what_was_no_money_is_followed_anew_when_it_is_called_something_else(discoveries: Discoveries) -> None:
    unknown, paid = found("p-1", status=RowStatus.UNKNOWN), found("p-1")
    discoveries.note_found("qpay", [unknown], now=NOON)
    discoveries.note_ended("qpay", "p-1", outcome="no_money")
    discoveries.note_found("qpay", [unknown], now=NOON)
    assert followed(discoveries) == []

    discoveries.note_found("qpay", [paid], now=NOON)
    assert followed(discoveries) == ["p-1"]


def test_of_many_who_ring_a_qr_for_a_payment_one_does(discoveries: Discoveries, qr: UUID) -> None:
    discoveries.note_found("qpay", [found("p-1")], now=NOON)
    (payment,) = discoveries.followed("qpay", after="", page=1)

    with ThreadPoolExecutor(8) as threads:
        noted = list(threads.map(lambda _: discoveries.note_rung("qpay", payment, qr), range(8)))

    assert sorted(noted, key=str) == [False, *[None] * 7]


def test_a_payment_that_was_recorded_meanwhile_is_neither_followed_nor_rung_for(
    discoveries: Discoveries, ledger: Ledger, qr: UUID
) -> None:
    discoveries.note_found("qpay", [found("p-1")], now=NOON)
    (payment,) = discoveries.followed("qpay", after="", page=1)

    append(ledger, [an_event("p-1", gateway_invoice_id=qr)])

    assert discoveries.note_rung("qpay", payment, qr) is None
    assert followed(discoveries) == []


def test_what_became_of_the_check_is_told_with_the_payment(
    pool: Pool, discoveries: Discoveries, requests: CheckRequests, qr: UUID
) -> None:
    def check() -> Check:
        (payment,) = discoveries.followed("qpay", after="", page=1)
        return payment.check

    discoveries.note_found("qpay", [found("p-1")], now=NOON)
    assert check() is Check.NONE
    (payment,) = discoveries.followed("qpay", after="", page=1)
    discoveries.note_rung("qpay", payment, qr)
    assert check() is Check.DUE  # whoever noted it is about to ask
    with pool.connection() as connection:
        connection.execute("UPDATE found_payment SET rung_at = now() - interval '1 minute'")
    assert check() is Check.FORGOTTEN
    requests.request(qr, source=Source.SWEEP)
    assert check() is Check.DUE
    claimed = requests.claim(qr, lease_token=UUID(int=1))
    assert claimed is not None
    finish(pool, requests, claimed)
    assert check() is Check.ANSWERED


def test_what_nobody_needs_any_more_is_forgotten(pool: Pool, discoveries: Discoveries) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=KEEP_ENDED_DAYS + 1)
    discoveries.note_found("qpay", [found("old"), found("shown"), found("ended"), found("followed")], now=long_ago)
    discoveries.note_found("qpay", [found("shown")], now=datetime.now(UTC))
    for payment_id in ("old", "shown", "ended"):
        discoveries.note_ended("qpay", payment_id, outcome="ignored")
    discoveries.note_asked("qpay", [NOON - 365 * 24 * HOUR], asked_at=NOON, question=None, total=None)
    with pool.connection() as connection:
        connection.execute("UPDATE found_payment SET ended_at = %s WHERE payment_id IN ('old', 'shown')", (long_ago,))

    assert discoveries.forget() == 1

    with pool.connection() as connection:
        rows = connection.execute("SELECT payment_id FROM found_payment ORDER BY 1").fetchall()
    assert [row["payment_id"] for row in rows] == ["ended", "followed", "shown"]
    assert discoveries.windows("qpay", since=NOON - 400 * 24 * HOUR) == {}
