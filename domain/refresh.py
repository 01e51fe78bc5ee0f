"""Which QRs are renewed before they expire, which are only closed, and which are left alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from moneyed import Money

from domain.gateway import Capabilities
from domain.money import is_whole_units

RAN_OUT_AFTER = timedelta(minutes=10)
"""So long after its end nothing more is paid on a QR whose gateway knows when it ends: clocks differ, and a customer
may be in the middle of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTerms:
    """What the merchant says about renewing."""

    horizon: timedelta
    """A QR that expires within this is renewed."""
    reissue_for: timedelta
    """No QR is made so long after an invoice was due, or was made where it has no due date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiringQr:
    """An open QR and its invoice, as far as renewing asks. Times are UTC."""

    id: UUID
    invoice_id: str
    gateway: str
    issued_at: datetime
    expires_at: datetime
    kept_open: bool
    """The gateway does not cancel it, because a part of it was paid."""
    outstanding: Money
    """What its invoice lacks; nothing where that is void."""
    owing_since: datetime
    """When the invoice is due, or was made where it has no due date."""


class Reason(StrEnum):
    """Why a QR is left alone."""

    NOT_YET = "not_yet"
    """It does not expire soon, or it can only end by itself."""
    LAST_ONE = "last_one"
    """No other will follow, so this one can be paid as long as it lasts."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave the QR as it is."""

    why: Reason


@dataclass(frozen=True, slots=True)
class End:
    """Close the QR, look at it once, and make the next one where it is to be replaced."""

    replaced: bool


RefreshPlan = Leave | End


def plan_refresh(qr: ExpiringQr, *, terms: RefreshTerms, capabilities: Capabilities, now: datetime) -> RefreshPlan:
    """Decide what becomes of an open QR. `now` is UTC.

    No rule lets two QRs of an invoice be payable at one gateway: a QR that its gateway cannot cancel is replaced when
    it has run out, and never where it does not run out either.
    """
    may_end_at = _may_end_at(qr, terms=terms, capabilities=capabilities)
    if may_end_at is None or now < may_end_at:
        return Leave(Reason.NOT_YET)
    if qr.outstanding.amount <= 0:
        return End(replaced=False)
    if may_follow(qr.outstanding, owing_since=qr.owing_since, terms=terms, capabilities=capabilities, now=now):
        return End(replaced=True)
    return End(replaced=False) if qr.expires_at <= now else Leave(Reason.LAST_ONE)


def may_follow(
    outstanding: Money, *, owing_since: datetime, terms: RefreshTerms, capabilities: Capabilities, now: datetime
) -> bool:
    """Tell whether another QR may be made for what is outstanding: not too late, and of a kind the gateway takes."""
    in_time = now < owing_since + terms.reissue_for
    return in_time and (is_whole_units(outstanding) or not capabilities.whole_units)


def _may_end_at(qr: ExpiringQr, *, terms: RefreshTerms, capabilities: Capabilities) -> datetime | None:
    """Return from when on a QR may be closed, None for never.

    Half of its life must be over: where QRs live shorter than the horizon they would be renewed again at once.
    """
    if not capabilities.cancels:
        return qr.expires_at + RAN_OUT_AFTER if capabilities.takes_expiry else None
    if qr.kept_open:
        return qr.expires_at
    return qr.expires_at - min(terms.horizon, (qr.expires_at - qr.issued_at) / 2)


def has_run_out(expires_at: datetime, *, capabilities: Capabilities, now: datetime) -> bool:
    """Tell whether the gateway lets nobody pay a QR any more, without being asked."""
    return capabilities.takes_expiry and expires_at + RAN_OUT_AFTER <= now


def latest_expiry(*, terms: RefreshTerms, capabilities: Capabilities, now: datetime) -> datetime | None:
    """Return up to when a QR must expire for `plan_refresh` to end it, None where it ends none of the gateway's."""
    if capabilities.cancels:
        return now + terms.horizon
    return now - RAN_OUT_AFTER if capabilities.takes_expiry else None
