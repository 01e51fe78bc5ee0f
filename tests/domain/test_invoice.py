"""An invoice's id and amount are such that every gateway takes them."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.invoice import GENERATIONS_MAX, InvalidInvoiceError, number_at_gateway, require_invoice_id, require_payable
from domain.money import money

alphabet = string.ascii_letters + string.digits + "-"
ids = st.builds(str.__add__, st.sampled_from(alphabet[:-1]), st.text(alphabet, max_size=39))


@given(ids, st.integers(1, GENERATIONS_MAX))
def test_a_number_at_the_gateway_fits_and_names_one_generation_of_one_invoice(invoice_id: str, generation: int) -> None:
    try:
        require_invoice_id(invoice_id)
    except InvalidInvoiceError:
        assert "-g" in invoice_id
        return
    number = number_at_gateway(invoice_id, generation=generation)

    assert len(number) <= 45
    base, mark, suffix = number.rpartition("-g")
    assert number == invoice_id if generation == 1 else (base, mark, suffix) == (invoice_id, "-g", str(generation))


@pytest.mark.parametrize(
    "invoice_id",
    [
        "",
        "-a",
        "a" * 41,
        "a b",
        "a_b",
        "a/b",
        "a.b",
        "түрээс",
        "a-g2",
        "order-g10",
        "a\n",
        "order-1\u200b",
        "a" * 10_000,
    ],
)
def test_an_id_that_breaks_the_pattern_is_refused_by_name(invoice_id: str) -> None:
    with pytest.raises(InvalidInvoiceError) as refused:
        require_invoice_id(invoice_id)

    assert refused.value.field == "id"


@pytest.mark.parametrize("invoice_id", ["a", "1", "rent-2026-11", "a-g", "a-gx", "g2", "A" * 40, "a-g2b"])
def test_an_id_of_the_pattern_is_taken(invoice_id: str) -> None:
    assert require_invoice_id(invoice_id) == invoice_id


@pytest.mark.parametrize(
    ("amount", "currency", "field"),
    [
        ("0", "MNT", "amount.amount"),
        ("-1", "MNT", "amount.amount"),
        ("100.50", "MNT", "amount.amount"),
        ("100", "USD", "amount.currency"),
    ],
)
def test_an_amount_that_no_invoice_may_ask_for_is_refused_by_name(amount: str, currency: str, field: str) -> None:
    with pytest.raises(InvalidInvoiceError) as refused:
        require_payable(money(amount, currency=currency))

    assert refused.value.field == field
