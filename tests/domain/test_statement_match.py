"""A line is recorded when everything is certain, and otherwise it is a question."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.money import money
from domain.statement_match import Facts, InvoiceNamed, KnownPayment, OpenLine, State, Why, match
from domain.statement_reference import folded
from tests.domain.samples import NOON

MNT_100 = money("100", currency="MNT")

LINE = OpenLine(
    id=1,
    key="k1",
    amount=MNT_100,
    posted_at=NOON,
    timed=True,
    description="Төлбөр order-1001",
    counterparty_account="499011223",
    counterparty_name="Бат",
    reference=None,
)
INVOICE = InvoiceNamed(id="order-1001", outstanding=MNT_100, voided=False)
QPAY = KnownPayment(
    key=("qpay", "100000000000001"),
    invoice_ids=frozenset({"order-1001"}),
    amount=MNT_100,
    fee=None,
    occurred_at=NOON,
    reference=None,
    linked=False,
)


def known(*invoices: InvoiceNamed, payments: tuple[KnownPayment, ...] = ()) -> Facts:
    named: dict[str, tuple[InvoiceNamed, ...]] = {}
    for invoice in invoices:
        named[folded(invoice.id)] = (*named.get(folded(invoice.id), ()), invoice)
    on = {one.id: tuple(paid for paid in payments if one.id in paid.invoice_ids) for one in invoices}
    near = {
        amount: tuple(paid for paid in payments if amount in paid.arrives_as)
        for paid in payments
        for amount in paid.arrives_as
    }
    return Facts(
        named=named,
        on_invoices=on,
        near={amount: tuple(p for p in paid if not p.linked) for amount, paid in near.items()},
    )


def outcome(facts: Facts, line: OpenLine = LINE) -> tuple[State, Why]:
    (verdict,) = match([line], facts)
    return verdict.state, verdict.why


def test_an_exact_reference_with_the_exact_outstanding_amount_is_recorded() -> None:
    assert outcome(known(INVOICE)) == (State.RECORDED, Why.REFERENCE_AND_AMOUNT)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (known(replace(INVOICE, outstanding=money("99.99", currency="MNT"))), Why.OTHER_AMOUNT),
        (known(replace(INVOICE, outstanding=money("100", currency="USD"))), Why.OTHER_CURRENCY),
        (known(replace(INVOICE, voided=True)), Why.INVOICE_VOID),
        (known(INVOICE, replace(INVOICE, id="order1001")), Why.SEVERAL_REFERENCES),
        (known(INVOICE, replace(INVOICE, id="1001")), Why.SEVERAL_REFERENCES),
        (known(INVOICE, payments=(replace(QPAY, linked=True),)), Why.SAME_MONEY),
        (known(INVOICE, payments=(QPAY,)), Why.SAME_MONEY),
        (known(INVOICE, payments=(replace(QPAY, invoice_ids=frozenset({"order-9"})),)), Why.SAME_MONEY),
        (
            known(
                INVOICE, payments=(replace(QPAY, amount=money("101", currency="MNT"), fee=money("1", currency="MNT")),)
            ),
            Why.SAME_MONEY,
        ),
    ],
)
def test_whatever_is_not_certain_is_proposed(facts: Facts, why: Why) -> None:
    assert outcome(facts) == (State.PROPOSED, why)


@pytest.mark.parametrize("invoice_id", ["1001", "order", "A1"])
def test_a_weak_reference_is_never_enough(invoice_id: str) -> None:
    line = replace(LINE, description=f"Төлбөр {invoice_id}")

    assert outcome(known(replace(INVOICE, id=invoice_id)), line) == (State.PROPOSED, Why.WEAK_REFERENCE)
    assert outcome(known(replace(INVOICE, id=invoice_id, outstanding=MNT_100 * 2)), line) == (
        State.UNMATCHED,
        Why.NOTHING_KNOWN,
    )


def test_digits_that_name_an_invoice_with_another_amount_raise_no_doubt() -> None:
    other = replace(INVOICE, id="1001", outstanding=money("99", currency="MNT"))

    assert outcome(known(INVOICE, other)) == (State.RECORDED, Why.REFERENCE_AND_AMOUNT)


@pytest.mark.parametrize("left", ["0", "50"])
def test_a_transfer_is_not_taken_for_cash_that_was_paid_before(left: str) -> None:
    paid = replace(INVOICE, outstanding=money(left, currency="MNT"))
    by_hand = replace(QPAY, key=("manual_bank", "till-1"), reference="slip 17")

    assert outcome(known(paid, payments=(by_hand,))) == (State.LINKED, Why.SETTLEMENT)
    cash = replace(by_hand, in_cash=True)
    assert outcome(known(paid, payments=(cash,))) == (State.PROPOSED, Why.SAME_MONEY)
    named = replace(LINE, reference="Slip 17")
    assert outcome(known(paid, payments=(cash,)), named) == (State.LINKED, Why.SETTLEMENT), "a person called it so"


def test_a_payment_longer_ago_than_three_days_is_another_payment() -> None:
    elsewhere = replace(QPAY, invoice_ids=frozenset({"order-9"}))

    assert (
        outcome(known(INVOICE, payments=(replace(elsewhere, occurred_at=NOON - timedelta(days=3, seconds=1)),)))[0]
        is State.RECORDED
    )
    assert (
        outcome(known(INVOICE, payments=(replace(elsewhere, occurred_at=NOON - timedelta(days=3)),)))[0]
        is State.PROPOSED
    )


@pytest.mark.parametrize(
    ("line", "payment"),
    [
        (LINE, QPAY),
        (replace(LINE, description="qpay 100000000000001"), QPAY),
        (replace(LINE, description="QPAY"), QPAY),
        (replace(LINE, description="x", reference="r-17"), replace(QPAY, key=("manual_bank", "k"), reference="R-17")),
        (replace(LINE, amount=money("99", currency="MNT")), replace(QPAY, fee=money("1", currency="MNT"))),
    ],
)
def test_a_line_that_names_a_known_payment_is_linked_with_it(line: OpenLine, payment: KnownPayment) -> None:
    paid = replace(INVOICE, outstanding=money("0", currency="MNT"))

    assert outcome(known(paid, payments=(payment,)), line) == (State.LINKED, Why.SETTLEMENT)


def test_each_payment_is_linked_with_one_line_and_each_invoice_takes_one() -> None:
    lines = [replace(LINE, id=number, key=f"k{number}", description="QPAY") for number in (1, 2)]
    twice = [replace(LINE, id=number, key=f"k{number}") for number in (1, 2)]

    linked = match(lines, known(payments=(QPAY,)))
    recorded = match(twice, known(INVOICE))

    assert [one.state for one in linked] == [State.LINKED, State.UNMATCHED]
    assert [(one.state, one.why) for one in recorded] == [
        (State.RECORDED, Why.REFERENCE_AND_AMOUNT),
        (State.PROPOSED, Why.OTHER_AMOUNT),
    ]


def test_a_line_that_only_has_a_known_payments_amount_is_proposed_as_the_same_money() -> None:
    (verdict,) = match([replace(LINE, description="x")], known(payments=(QPAY,)))

    assert (verdict.state, verdict.why, verdict.payment) == (State.PROPOSED, Why.SAME_MONEY, QPAY.key)


def test_a_line_whose_event_is_there_is_recorded_where_it_is() -> None:
    (verdict,) = match([LINE], Facts(recorded={"k1": "order-7"}))

    assert (verdict.state, verdict.invoice_id) == (State.RECORDED, "order-7")


INVOICES = ("order-1001", "order-1002", "1003")
AMOUNTS = st.sampled_from([MNT_100] * 4 + [money("99", currency="MNT")])

invoices = st.lists(
    st.builds(
        InvoiceNamed, id=st.sampled_from(INVOICES), outstanding=AMOUNTS, voided=st.sampled_from([False] * 4 + [True])
    ),
    min_size=1,
    unique_by=lambda one: one.id,
)
payments = st.lists(
    st.builds(
        KnownPayment,
        key=st.tuples(st.sampled_from(["qpay", "socialpay", "manual_bank"]), st.sampled_from(["100000000001", "slip"])),
        invoice_ids=st.frozensets(st.sampled_from(INVOICES), max_size=2),
        amount=st.just(MNT_100),
        fee=st.sampled_from([None, money("1", currency="MNT")]),
        occurred_at=st.sampled_from([NOON, NOON - timedelta(days=2), NOON - timedelta(days=9)]),
        reference=st.sampled_from([None, "slip"]),
        linked=st.booleans(),
        in_cash=st.booleans(),
    ),
    max_size=3,
    unique_by=lambda one: one.key,
)
lines = st.lists(
    st.builds(
        replace,
        st.just(LINE),
        amount=AMOUNTS,
        description=st.lists(
            st.sampled_from([*INVOICES, "order-1001", "QPAY", "100000000001", "Бат"]), min_size=1, max_size=2
        ).map(", ".join),
        reference=st.sampled_from([None, "slip"]),
        timed=st.booleans(),
    ),
    max_size=4,
).map(lambda drawn: [replace(line, id=place, key=f"k{place}") for place, line in enumerate(drawn)])


@settings(max_examples=150, deadline=None)
@given(invoices, payments, lines)
def test_whatever_comes_no_money_is_counted_twice(
    owed: list[InvoiceNamed], paid: list[KnownPayment], came: list[OpenLine]
) -> None:
    verdicts = match(came, known(*owed, payments=tuple(paid)))

    recorded = [one for one in verdicts if one.state is State.RECORDED]
    linked = [one.payment for one in verdicts if one.state is State.LINKED]
    assert [one.line for one in verdicts] == came
    assert len(linked) == len(set(linked)), "a payment is settled once"
    assert not {one.key for one in paid if one.linked} & set(linked)
    assert len({one.invoice_id for one in recorded}) == len(recorded), "an invoice is paid once"
    for one in recorded:
        (invoice,) = (each for each in owed if each.id == one.invoice_id)
        assert (invoice.outstanding, invoice.voided) == (one.line.amount, False)
        assert invoice.id in one.line.description
        for other in paid:
            assert not (one.line.amount in other.arrives_as and invoice.id in other.invoice_ids)
            is_free = not other.linked and other.key not in linked
            near = abs(other.occurred_at - one.line.posted_at) <= timedelta(days=3)
            assert not (one.line.amount in other.arrives_as and is_free and near)
