"""What is done for somebody who wants to pay: never two QRs, never one for the wrong amount."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.balance import Balance
from domain.money import money
from domain.pay_link import (
    AfterPaid,
    AwaitIssue,
    Close,
    GatewayInvoiceState,
    GiveAgain,
    GiveUp,
    Issue,
    LiveGatewayInvoice,
    PaidGatewayInvoice,
    PayLinkPlan,
    Refusal,
    Refuse,
    plan_after_paid,
    plan_pay_link,
)
from tests.domain.samples import NOON

ID = UUID(int=7)


def a_balance(*, due: str = "100", received: str = "0", voided: bool = False) -> Balance:
    return Balance(
        due=money(due, currency="MNT"),
        received=money(received, currency="MNT"),
        refunded=money(0, currency="MNT"),
        voided=voided,
        payments=int(received != "0"),
        first_paid_at=None,
        last_paid_at=None,
    )


def live(
    state: GatewayInvoiceState,
    *,
    amount: str = "100",
    left: str | None = None,
    hours: int = 1,
    given_up: bool = False,
) -> LiveGatewayInvoice:
    return LiveGatewayInvoice(
        id=ID,
        state=state,
        amount=money(amount, currency="MNT"),
        left=money(left or amount, currency="MNT"),
        kept_open=left is not None,
        expires_at=NOON + timedelta(hours=hours),
        given_up=given_up,
    )


OPEN, ISSUING, CLOSING = GatewayInvoiceState.OPEN, GatewayInvoiceState.ISSUING, GatewayInvoiceState.CLOSING


@pytest.mark.parametrize(
    ("balance", "existing", "plan"),
    [
        (a_balance(voided=True), None, Refuse(Refusal.INVOICE_VOID)),
        (a_balance(received="100"), None, Refuse(Refusal.NOTHING_OUTSTANDING)),
        (a_balance(received="100"), live(OPEN), Refuse(Refusal.NOTHING_OUTSTANDING)),
        (a_balance(), None, Issue(money("100", currency="MNT"))),
        (a_balance(received="40"), None, Issue(money("60", currency="MNT"))),
        (a_balance(), live(OPEN), GiveAgain(ID)),
        (a_balance(received="40"), live(OPEN), Close(ID)),
        (a_balance(received="40"), live(OPEN, amount="60"), GiveAgain(ID)),
        (a_balance(received="40"), live(OPEN, left="60"), GiveAgain(ID)),
        (a_balance(received="50"), live(OPEN, left="60"), Close(ID)),
        (a_balance(received="40"), live(OPEN, left="60", hours=0), Close(ID)),
        (a_balance(), live(OPEN, hours=0), Close(ID)),
        (a_balance(), live(OPEN, hours=-1), Close(ID)),
        (a_balance(), live(CLOSING), Close(ID)),
        (a_balance(), live(ISSUING), AwaitIssue(ID)),
        (a_balance(), live(ISSUING, given_up=True), GiveUp(ID)),
    ],
)
def test_the_next_step_follows_from_what_is_outstanding_and_what_is_live(
    balance: Balance, existing: LiveGatewayInvoice | None, plan: PayLinkPlan
) -> None:
    assert plan_pay_link(balance, existing, whole_units=True, now=NOON) == plan


FRACTION = Refuse(Refusal.FRACTION_OUTSTANDING)


@pytest.mark.parametrize(
    ("existing", "plan"),
    [
        (None, FRACTION),
        (live(GatewayInvoiceState.FAILED), FRACTION),
        (live(OPEN), Close(ID)),
        (live(CLOSING), Close(ID)),
        (live(ISSUING), AwaitIssue(ID)),
        (live(OPEN, left="59.50"), GiveAgain(ID)),
    ],
)
def test_nothing_is_issued_for_a_fraction_where_the_gateway_takes_whole_units_alone(
    existing: LiveGatewayInvoice | None, plan: PayLinkPlan
) -> None:
    balance = a_balance(received="40.50")

    assert plan_pay_link(balance, existing, whole_units=True, now=NOON) == plan


def test_a_fraction_is_issued_where_the_gateway_takes_it() -> None:
    assert plan_pay_link(a_balance(received="40.50"), None, whole_units=False, now=NOON) == Issue(
        money("59.50", currency="MNT")
    )


@pytest.mark.parametrize(
    ("amount", "paid", "outstanding", "hours", "then"),
    [
        ("100", "100", "0", 1, AfterPaid.SETTLED),
        ("100", "30", "70", 1, AfterPaid.KEPT),
        ("100", "30", "70", -1, AfterPaid.SETTLED),
        ("100", "30", "50", 1, AfterPaid.STUCK),
        ("100", "30", "50", -1, AfterPaid.SETTLED),
        ("100", "30", "0", 1, AfterPaid.SETTLED),
        ("100", "0", "100", 1, AfterPaid.UNCLEAR),
        ("100", "130", "0", 1, AfterPaid.SETTLED),
    ],
)
def test_a_qr_that_cannot_be_cancelled_is_settled_unless_it_still_collects_just_what_is_missing(
    amount: str, paid: str, outstanding: str, hours: int, then: AfterPaid
) -> None:
    qr = PaidGatewayInvoice(
        amount=money(amount, currency="MNT"),
        paid=money(paid, currency="MNT"),
        outstanding=money(outstanding, currency="MNT"),
        expires_at=NOON + timedelta(hours=hours),
    )

    assert plan_after_paid(qr, now=NOON) is then
