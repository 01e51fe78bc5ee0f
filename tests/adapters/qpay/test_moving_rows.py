"""A payment that comes while the pages of a check are read is found all the same, and so are those that it moves."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.qpay.config import PAGE_ROWS
from adapters.qpay.gateway import NOT_TOLD, QPayGateway
from adapters.qpay.paging import Paging, name_of
from adapters.qpay.wire import PageBody
from domain.gateway import GatewayUnreadableError
from domain.payment_row import PaymentRow
from tests.adapters.qpay.scripted import Exchange, ScriptedQPay, rows
from tests.adapters.refs import ref

CHECK = "POST /v2/payment/check"


def payment(number: int, status: str = "PAID") -> dict[str, object]:
    return {
        "payment_id": str(number),
        "payment_status": status,
        "payment_amount": "100.00",
        "payment_currency": "MNT",
    }


class Growing:
    """payment/check, newest first or oldest first, into which a payment comes after each of the first pages."""

    def __init__(self, *, had: int, comes: int, newest_first: bool) -> None:
        self.payments = [payment(number) for number in range(had)]
        self._comes = comes
        self._newest_first = newest_first

    def __call__(self, exchange: Exchange) -> None:
        shown = self.payments[::-1] if self._newest_first else self.payments
        first = (exchange.qpay.seen[-1].json["offset"]["page_number"] - 1) * PAGE_ROWS
        rows(*shown[first : first + PAGE_ROWS], count=len(shown))(exchange)
        if self._comes:
            self._comes -= 1
            self.payments.append(payment(len(self.payments)))


def ids(gateway: QPayGateway) -> set[str]:
    return {row.payment_id for row in gateway.check(ref("i-1")).rows if isinstance(row, PaymentRow)}


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("had", [100, 101, 150, 199, 200, 250])
def test_row_inserted_on_the_first_page_while_paging_is_found(
    qpay: ScriptedQPay, gateway: QPayGateway, had: int, *, newest_first: bool
) -> None:
    growing = Growing(had=had, comes=1 if had > 100 else 0, newest_first=newest_first)
    qpay.will(CHECK, growing)

    assert ids(gateway) == {str(number) for number in range(len(growing.payments))}


def test_row_that_left_while_paging_hides_no_other(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    """Row 0 goes after the first page was read, so row 100 moves onto it."""
    before = [payment(number) for number in range(150)]
    after = before[1:]
    qpay.will(
        CHECK,
        rows(*before[:100], count=150),
        rows(*after[100:], count=149),
        rows(*after[:100], count=149),
        rows(*after[100:], count=149),
    )

    assert {str(number) for number in range(1, 150)} <= ids(gateway)


def test_row_is_told_as_the_last_round_has_it(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    first = [payment(number, "NEW" if number == 7 else "PAID") for number in range(100)]
    again = [payment(200), *(payment(number) for number in range(99))]
    qpay.will(
        CHECK,
        rows(*first, count=101),
        rows(payment(99), payment(100), count=102),
        rows(*again, count=102),
        rows(payment(99), payment(100), count=102),
    )

    found = [row for row in gateway.check(ref("i-1")).rows if isinstance(row, PaymentRow)]

    assert len({row.payment_id for row in found}) == 102
    assert [row.status for row in found if row.payment_id == "7"] == ["PAID"]


def test_row_that_only_the_first_round_has_seen_is_kept(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    numbers = list(map(payment, range(151)))
    qpay.will(
        CHECK,
        rows(*numbers[:100], count=151),
        rows(*numbers[100:150], count=152),
        rows(numbers[150], *numbers[1:100], count=150),
        rows(*numbers[100:150], count=150),
    )

    assert ids(gateway) == {str(number) for number in range(151)}


def test_count_that_was_wrong_costs_one_round_more(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(
        CHECK,
        rows(*map(payment, range(100)), count=110),
        rows(payment(100), count=110),
        rows(count=110),
        rows(*map(payment, range(100)), count=110),
        rows(payment(100), count=110),
        rows(count=110),
    )

    found = gateway.check(ref("i-1")).rows

    assert (len(found), found[-1]) == (102, NOT_TOLD)
    assert len(qpay.checks) == 6


def test_single_page_is_asked_for_once_whatever_its_count_says(qpay: ScriptedQPay, gateway: QPayGateway) -> None:
    qpay.will(CHECK, rows(payment(1), payment(1), count=2))

    assert len(gateway.check(ref("i-1")).rows) == 2
    assert len(qpay.checks) == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 130), st.none() | st.integers(0, 400)),
        min_size=1,
        max_size=30,
    )
)
def test_paging_ends_within_its_bound_whatever_is_counted(pages: list[tuple[int, int | None]]) -> None:
    paging = Paging(called="payment/check", pages_max=20)

    taken = 0
    with suppress(GatewayUnreadableError):
        while paging:
            size, count = pages[taken % len(pages)]
            paging.take(PageBody(count=count, rows=[{}] * size))
            taken += 1

    assert taken <= 20


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_rows_without_an_id_have_a_name_too(row: object) -> None:
    assert name_of(row)
    assert name_of({"payment_id": row}) == name_of({"payment_id": row})
