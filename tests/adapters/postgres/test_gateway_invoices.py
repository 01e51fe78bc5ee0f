"""Steps towards a QR are decided and written down under the invoice's lock: one create, whoever asks."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from adapters.postgres.connection import Pool
from adapters.postgres.gateway_invoices import Intent, UnknownInvoiceError
from adapters.postgres.invoices import AmountLockedError, InvoiceRecord, Invoices, Put
from adapters.postgres.ledger import Ledger
from domain.pay_link import AwaitIssue, Close, GatewayInvoiceState, GiveAgain, Refuse
from tests.adapters.postgres.samples import NOON, an_answer, append, open_qr, put, qr_store
from tests.domain.samples import an_event


def test_many_requests_at_once_intend_one_qr(pool: Pool, invoices: Invoices) -> None:
    put(invoices)
    store = qr_store(pool)

    with ThreadPoolExecutor(max_workers=12) as threads:
        steps = list(
            threads.map(
                lambda _: store.next_step(
                    "order-1", gateway="qpay", goes_by_number=False, whole_units=True, new_id=uuid4(), now=NOON
                ),
                range(30),
            )
        )

    (intent,) = [step for step in steps if isinstance(step, Intent)]
    assert [step for step in steps if step != intent] == [AwaitIssue(intent.id)] * 29


def test_an_open_qr_is_given_again(pool: Pool, invoices: Invoices) -> None:
    put(invoices)
    qr = open_qr(pool)

    assert qr_store(pool).next_step(
        "order-1", gateway="qpay", goes_by_number=False, whole_units=True, new_id=uuid4(), now=NOON
    ) == GiveAgain(qr)


def test_a_create_that_got_no_answer_is_given_up_after_its_deadline_and_the_next_generation_begins(
    pool: Pool, invoices: Invoices
) -> None:
    put(invoices)
    first = qr_store(pool, issue_deadline_s=0.0).next_step(
        "order-1", gateway="qpay", goes_by_number=False, whole_units=True, new_id=uuid4(), now=NOON
    )
    assert isinstance(first, Intent)

    second = qr_store(pool).next_step(
        "order-1", gateway="qpay", goes_by_number=False, whole_units=True, new_id=uuid4(), now=NOON
    )

    assert isinstance(second, Intent)
    assert (second.generation, second.number) == (2, "order-1-g2")
    assert not qr_store(pool).mark_open(first.id, issued=an_answer())
    states = {summary.generation: summary.state for summary in _read(invoices).gateway_invoices}
    assert states == {1: "failed", 2: "issuing"}


def test_a_part_payment_asks_for_the_old_qr_to_be_closed_and_the_next_is_for_the_rest(
    pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    put(invoices, amount="100")
    qr, store = open_qr(pool), qr_store(pool)
    append(ledger, [an_event(amount="30", gateway_invoice_id=qr)])

    closing = store.next_step(
        "order-1", gateway="qpay", goes_by_number=False, whole_units=True, new_id=uuid4(), now=NOON
    )
    store.mark_closed(qr, state=GatewayInvoiceState.SUPERSEDED)
    following = store.next_step(
        "order-1", gateway="qpay", goes_by_number=False, whole_units=True, new_id=uuid4(), now=NOON
    )

    assert closing == Close(qr)
    assert isinstance(following, Intent)
    assert following.amount.amount == 70


def test_nothing_is_issued_for_a_paid_invoice(pool: Pool, invoices: Invoices, ledger: Ledger) -> None:
    put(invoices, amount="100")
    append(ledger, [an_event(amount="100")])

    assert isinstance(
        qr_store(pool).next_step(
            "order-1", gateway="qpay", goes_by_number=False, whole_units=True, new_id=uuid4(), now=NOON
        ),
        Refuse,
    )


def test_an_unknown_invoice_has_no_next_step(pool: Pool) -> None:
    with pytest.raises(UnknownInvoiceError):
        qr_store(pool).next_step(
            "order-9", gateway="qpay", goes_by_number=False, whole_units=True, new_id=uuid4(), now=NOON
        )


def test_putting_an_invoice_again_changes_it_until_it_is_paid_on(
    pool: Pool, invoices: Invoices, ledger: Ledger
) -> None:
    assert put(invoices, amount="100") is Put.CREATED
    open_qr(pool)
    assert put(invoices, amount="100") is Put.CHANGED
    assert [summary.state for summary in _read(invoices).gateway_invoices] == ["open"]

    assert put(invoices, amount="80") is Put.CHANGED
    assert _read(invoices).due_minor == 8_000
    assert [summary.state for summary in _read(invoices).gateway_invoices] == ["closing"]

    append(ledger, [an_event(amount="10")])
    assert put(invoices, amount="80") is Put.CHANGED
    with pytest.raises(AmountLockedError):
        put(invoices, amount="90")
    assert ledger.balances_unlike_events() == []


def test_many_puts_of_one_invoice_at_once_create_it_once(invoices: Invoices) -> None:
    with ThreadPoolExecutor(max_workers=12) as threads:
        outcomes = list(threads.map(lambda _: put(invoices), range(30)))

    assert sorted(outcomes) == [*[Put.CHANGED] * 29, Put.CREATED]


def _read(invoices: Invoices) -> InvoiceRecord:
    record = invoices.read("order-1")
    assert record is not None
    return record
