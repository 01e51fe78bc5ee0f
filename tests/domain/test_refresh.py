"""Which QRs are renewed: in time, not for ever, and never so that two can be paid."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.gateway import Capabilities
from domain.money import money
from domain.refresh import (
    RAN_OUT_AFTER,
    End,
    ExpiringQr,
    Leave,
    Reason,
    RefreshTerms,
    has_run_out,
    latest_expiry,
    plan_refresh,
)
from tests.domain.samples import NOON

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TERMS = RefreshTerms(horizon=DAY, reissue_for=30 * DAY)
QPAY = Capabilities(
    lists=True, may_be_polled=False, cancels=True, refunds=True, whole_units=True, takes_expiry=True,
    goes_by_number=False,
)  # fmt: skip

durations = st.timedeltas(min_value=timedelta(), max_value=400 * DAY)
lifetimes = st.timedeltas(min_value=timedelta(minutes=5), max_value=365 * DAY)
capabilities = st.builds(
    Capabilities,
    lists=st.booleans(),
    may_be_polled=st.booleans(),
    cancels=st.booleans(),
    refunds=st.booleans(),
    whole_units=st.booleans(),
    takes_expiry=st.booleans(),
    goes_by_number=st.booleans(),
)
terms = st.builds(
    RefreshTerms, horizon=st.timedeltas(min_value=timedelta(minutes=5), max_value=30 * DAY), reissue_for=durations
)


def a_qr(
    *,
    expires_in: timedelta = HOUR,
    lifetime: timedelta = 7 * DAY,
    owing_for: timedelta = 6 * DAY,
    outstanding: str = "100",
    kept_open: bool = False,
) -> ExpiringQr:
    return ExpiringQr(
        id=UUID(int=7),
        invoice_id="order-1",
        gateway="qpay",
        issued_at=NOON + expires_in - lifetime,
        expires_at=NOON + expires_in,
        kept_open=kept_open,
        outstanding=money(outstanding, currency="MNT"),
        owing_since=NOON - owing_for,
    )


qrs = st.builds(
    a_qr,
    expires_in=st.timedeltas(min_value=-40 * DAY, max_value=40 * DAY),
    lifetime=lifetimes,
    owing_for=st.timedeltas(min_value=-400 * DAY, max_value=400 * DAY),
    outstanding=st.sampled_from(["0", "100", "100.50"]),
    kept_open=st.booleans(),
)


@pytest.mark.parametrize(
    ("qr", "plan"),
    [
        (a_qr(expires_in=23 * HOUR), End(replaced=True)),
        (a_qr(expires_in=-HOUR), End(replaced=True)),
        (a_qr(expires_in=25 * HOUR), Leave(Reason.NOT_YET)),
        (a_qr(outstanding="0"), End(replaced=False)),
        (a_qr(owing_for=31 * DAY), Leave(Reason.LAST_ONE)),
        (a_qr(owing_for=31 * DAY, expires_in=-HOUR), End(replaced=False)),
        (a_qr(owing_for=29 * DAY), End(replaced=True)),
        (a_qr(owing_for=-90 * DAY), End(replaced=True)),
        (a_qr(outstanding="100.50"), Leave(Reason.LAST_ONE)),
        (a_qr(kept_open=True), Leave(Reason.NOT_YET)),
        (a_qr(kept_open=True, expires_in=-HOUR), End(replaced=True)),
    ],
)
def test_what_becomes_of_a_qr(qr: ExpiringQr, plan: End | Leave) -> None:
    assert plan_refresh(qr, terms=TERMS, capabilities=QPAY, now=NOON) == plan


@pytest.mark.parametrize(
    ("cancels", "takes_expiry", "expires_in", "plan"),
    [
        (True, False, HOUR, End(replaced=True)),
        (True, False, -HOUR, End(replaced=True)),
        (False, True, HOUR, Leave(Reason.NOT_YET)),
        (False, True, -RAN_OUT_AFTER / 2, Leave(Reason.NOT_YET)),
        (False, True, -RAN_OUT_AFTER, End(replaced=True)),
        (False, False, HOUR, Leave(Reason.NOT_YET)),
        (False, False, -90 * DAY, Leave(Reason.NOT_YET)),
    ],
)
def test_what_a_gateway_offers_decides_when_a_qr_can_be_replaced(
    cancels: bool, takes_expiry: bool, expires_in: timedelta, plan: End | Leave
) -> None:
    gateway = replace(QPAY, cancels=cancels, takes_expiry=takes_expiry)
    qr = a_qr(expires_in=expires_in)

    assert plan_refresh(qr, terms=TERMS, capabilities=gateway, now=NOON) == plan


@given(qr=qrs, terms=terms, capabilities=capabilities)
def test_no_qr_is_replaced_that_nobody_can_make_unpayable(
    qr: ExpiringQr, terms: RefreshTerms, capabilities: Capabilities
) -> None:
    plan = plan_refresh(qr, terms=terms, capabilities=capabilities, now=NOON)

    if isinstance(plan, End):
        assert capabilities.cancels or has_run_out(qr.expires_at, capabilities=capabilities, now=NOON)


@given(qr=qrs, terms=terms, capabilities=capabilities)
def test_the_query_leaves_out_nothing_that_would_be_ended(
    qr: ExpiringQr, terms: RefreshTerms, capabilities: Capabilities
) -> None:
    latest = latest_expiry(terms=terms, capabilities=capabilities, now=NOON)

    if isinstance(plan_refresh(qr, terms=terms, capabilities=capabilities, now=NOON), End):
        assert latest is not None
        assert qr.expires_at <= latest


@given(
    terms=terms, capabilities=capabilities, lifetime=st.timedeltas(min_value=timedelta(minutes=5), max_value=365 * DAY)
)
def test_what_was_just_issued_is_not_renewed_at_once(
    terms: RefreshTerms, capabilities: Capabilities, lifetime: timedelta
) -> None:
    fresh = a_qr(lifetime=lifetime, expires_in=lifetime)

    assert plan_refresh(fresh, terms=terms, capabilities=capabilities, now=NOON) == Leave(Reason.NOT_YET)


@given(qr=qrs, terms=terms)
def test_a_qr_that_qpay_can_cancel_is_left_open_past_its_end_by_no_night(qr: ExpiringQr, terms: RefreshTerms) -> None:
    ended = replace(qr, expires_at=NOON - RAN_OUT_AFTER, issued_at=NOON - DAY)

    assert isinstance(plan_refresh(ended, terms=terms, capabilities=QPAY, now=NOON), End)


@given(qr=qrs, terms=terms, capabilities=capabilities)
def test_nothing_is_replaced_without_money_outstanding_or_too_late(
    qr: ExpiringQr, terms: RefreshTerms, capabilities: Capabilities
) -> None:
    if plan_refresh(qr, terms=terms, capabilities=capabilities, now=NOON) == End(replaced=True):
        assert qr.outstanding.amount > 0
        assert qr.owing_since + terms.reissue_for > NOON
