"""A payment in a gateway's list finds the QR of ours that it is on, by whatever the list tells of it."""

from uuid import UUID, uuid4

import pytest

from adapters.postgres.connection import Pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger
from adapters.postgres.ties import TiedBy, Ties
from domain.gateway import IssuedInvoice
from domain.payment_row import FoundPayment
from tests.adapters.postgres.samples import NOON, append, put, qr_store
from tests.domain.samples import a_row, an_event


@pytest.fixture
def ties(pool: Pool) -> Ties:
    return Ties(pool)


def issue(pool: Pool, invoice_id: str, *, external_id: str, qr_text: str, gateway: str = "qpay") -> UUID:
    put(Invoices(pool), invoice_id)
    store = qr_store(pool)
    new_id = uuid4()
    store.next_step(invoice_id, gateway=gateway, goes_by_number=False, whole_units=True, new_id=new_id, now=NOON)
    issued = IssuedInvoice(external_id=external_id, qr_text=qr_text, qr_image=None, short_url=None, links=())
    assert store.mark_open(new_id, issued=issued)
    return new_id


def found(external_id: str | None = None, qr_text: str | None = None) -> FoundPayment:
    return FoundPayment(row=a_row(), external_id=external_id, qr_text=qr_text)


def test_each_payment_is_tied_by_its_external_id_else_by_its_qr_text(pool: Pool, ties: Ties) -> None:
    first = issue(pool, "order-1", external_id="ext-1", qr_text="qr-1" * 1_000)
    second = issue(pool, "order-2", external_id="ext-2", qr_text="qr-2")

    tied = ties.find(
        "qpay",
        [
            found("ext-2", None),
            found(None, "qr-1" * 1_000),
            found("SHOP_INVOICE", "qr-2"),
            found("ext-1", "qr-1" * 1_000),
            found("ext-9", "qr-9"),
            found(),
        ],
    )

    assert [[(one.gateway_invoice_id, one.invoice_id, one.tied_by) for one in each] for each in tied] == [
        [(second, "order-2", TiedBy.EXTERNAL_ID)],
        [(first, "order-1", TiedBy.QR_TEXT)],
        [(second, "order-2", TiedBy.QR_TEXT)],
        [(first, "order-1", TiedBy.EXTERNAL_ID)],
        [],
        [],
    ]


def test_two_qrs_that_a_row_points_to_are_both_told_that_of_the_external_id_first(pool: Pool, ties: Ties) -> None:
    first = issue(pool, "order-1", external_id="ext-1", qr_text="qr-1")
    second = issue(pool, "order-2", external_id="ext-2", qr_text="qr-2")

    (tied,) = ties.find("qpay", [found("ext-2", "qr-1")])

    assert [one.gateway_invoice_id for one in tied] == [second, first]


def test_text_of_two_qrs_and_ids_of_another_gateway_lead_nowhere(pool: Pool, ties: Ties) -> None:
    issue(pool, "order-1", external_id="ext-1", qr_text="static")
    issue(pool, "order-2", external_id="ext-2", qr_text="static")
    issue(pool, "order-3", external_id="ext-3", qr_text="other", gateway="elsewhere")

    assert ties.find("qpay", [found(None, "static"), found("ext-3", "other")]) == [(), ()]


def test_recorded_payments_are_told_of_their_gateway_alone(pool: Pool, ties: Ties, ledger: Ledger) -> None:
    put(Invoices(pool))
    append(ledger, [an_event("p-1")])

    assert ties.recorded("qpay", ["p-1", "p-2"]) == {"p-1"}
    assert ties.recorded("elsewhere", ["p-1"]) == set()
    assert ties.recorded("qpay", []) == set()
