"""What to do when somebody wants to pay an invoice through a gateway: give the QR there is, or make the next."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from moneyed import Money

from domain.balance import Balance
from domain.money import is_whole_units


class GatewayInvoiceState(StrEnum):
    """A gateway invoice's life: issuing → open | failed; open → settled | closing; closing → the rest."""

    ISSUING = "issuing"
    """Meant to be created; the gateway has not answered yet, or nobody knows what it did."""
    FAILED = "failed"
    """Not created, or given up: nobody has seen its QR."""
    OPEN = "open"
    SETTLED = "settled"
    """Its own amount has been paid on it."""
    CLOSING = "closing"
    """To be made unpayable; lasts until the gateway has answered."""
    SUPERSEDED = "superseded"
    """Unpayable, and replaced or to be replaced by a next generation."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """It ran out, and nothing took its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveGatewayInvoice:
    """The one gateway invoice of an invoice at a gateway that is issuing, open or closing."""

    id: UUID
    state: GatewayInvoiceState
    amount: Money
    left: Money
    """The amount, less what has been received on it."""
    kept_open: bool
    """The gateway does not cancel it, because a part of it was paid."""
    expires_at: datetime
    given_up: bool
    """Issuing for longer than a create may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidGatewayInvoice:
    """A gateway invoice that its gateway does not cancel, because money has arrived on it."""

    amount: Money
    paid: Money
    """What has been recorded as received on it."""
    outstanding: Money
    """What its invoice lacks, over all its QRs."""
    expires_at: datetime


class Refusal(StrEnum):
    """Why no QR is given."""

    NOTHING_OUTSTANDING = "NOTHING_OUTSTANDING"
    INVOICE_VOID = "INVOICE_VOID"
    FRACTION_OUTSTANDING = "FRACTION_OUTSTANDING"
    """What is left is no amount that the gateway takes: it goes by whole units."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Give no QR."""

    why: Refusal


@dataclass(frozen=True, slots=True)
class GiveAgain:
    """Answer with this open QR."""

    id: UUID


@dataclass(frozen=True, slots=True)
class AwaitIssue:
    """Somebody else is creating this one right now: wait for the outcome."""

    id: UUID


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nobody knows what became of this create and its time is over: mark it failed, then plan again."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Close:
    """Make this QR unpayable at the gateway first, then plan again."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Issue:
    """Create a QR for this amount."""

    amount: Money


PayLinkPlan = Refuse | GiveAgain | AwaitIssue | GiveUp | Close | Issue


def plan_pay_link(  # noqa: PLR0911 - one line for each plan
    balance: Balance, live: LiveGatewayInvoice | None, *, whole_units: bool, now: datetime
) -> PayLinkPlan:
    """Decide the next step towards a QR for what is outstanding. `now` is UTC.

    With `whole_units` the gateway takes no fractions: none is issued for one, nor is it rounded.

    An open QR of the right amount is given again; one of another amount, or one that has expired, is closed first. Of
    one that its gateway keeps open what is left on it is what counts.
    No two QRs of an invoice are payable at one gateway at once.
    """
    if balance.voided:
        return Refuse(Refusal.INVOICE_VOID)
    outstanding = balance.outstanding
    if outstanding.amount <= 0:
        return Refuse(Refusal.NOTHING_OUTSTANDING)
    if live is None:
        return _issue(outstanding, whole_units=whole_units)
    match live.state:
        case GatewayInvoiceState.ISSUING:
            return GiveUp(live.id) if live.given_up else AwaitIssue(live.id)
        case GatewayInvoiceState.CLOSING:
            return Close(live.id)
        case GatewayInvoiceState.OPEN:
            collects = live.left if live.kept_open else live.amount
            still_right = collects == outstanding and live.expires_at > now
            return GiveAgain(live.id) if still_right else Close(live.id)
        case (
            GatewayInvoiceState.FAILED
            | GatewayInvoiceState.SETTLED
            | GatewayInvoiceState.SUPERSEDED
            | GatewayInvoiceState.CANCELLED
            | GatewayInvoiceState.EXPIRED
        ):
            return _issue(outstanding, whole_units=whole_units)
        case _:
            assert_never(live.state)


def _issue(outstanding: Money, *, whole_units: bool) -> Issue | Refuse:
    if whole_units and not is_whole_units(outstanding):
        return Refuse(Refusal.FRACTION_OUTSTANDING)
    return Issue(outstanding)


class AfterPaid(StrEnum):
    """What becomes of a closing QR that its gateway calls paid, once what was paid on it has been recorded."""

    SETTLED = "settled"
    KEPT = "kept"
    """It still collects exactly what is outstanding: give it again, for a second one beside it could be paid too."""
    STUCK = "stuck"
    """It still collects another amount than what is outstanding: no second one may stand beside it."""
    UNCLEAR = "unclear"
    """The gateway calls it paid and shows no payment: nothing is done before it does."""


def plan_after_paid(qr: PaidGatewayInvoice, *, now: datetime) -> AfterPaid:
    """Decide what becomes of a QR that could not be cancelled. `now` is UTC.

    Whether QPay cancels a partly paid invoice is unknown; where it does not, the rest can still be paid on it.
    """
    if qr.paid.amount <= 0:
        return AfterPaid.UNCLEAR
    left = qr.amount - qr.paid
    if left.amount <= 0 or qr.expires_at <= now or qr.outstanding.amount <= 0:
        return AfterPaid.SETTLED
    return AfterPaid.KEPT if left == qr.outstanding else AfterPaid.STUCK
