"""Following: what is done next about a payment that a gateway's list has shown and that is not recorded."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never
from uuid import UUID

GRACE = timedelta(minutes=10)
"""A payment of no QR of ours is filed when it was found so long ago: it may be on one whose create, a minute at most,
is not answered yet."""

CHECKS_OF_EACH = 3
"""A QR is checked so often for the sake of one payment: answers may be stale, or hold a row that nobody understands."""


class Unmatched(StrEnum):
    """What becomes of payments that are on no QR of ours."""

    SUSPENSE = "suspense"
    IGNORE = "ignore"
    """Other software uses the same account at the gateway: they are its own."""


class Check(StrEnum):
    """What became of the check that was last asked for because of a payment."""

    NONE = "none"
    """None was asked for yet."""
    DUE = "due"
    ANSWERED = "answered"
    """It was made, and did not show the payment."""
    FORGOTTEN = "forgotten"
    """It was noted and never asked for: whoever did so died in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A found payment that is not recorded on an invoice."""

    first_found_at: datetime
    ties: tuple[UUID, ...]
    """The QRs that it should be on, the likeliest first."""
    rung: tuple[UUID, ...]
    """Those that were checked for its sake, in that order; one that was checked again is there again."""
    check: Check
    tells_qr: bool
    """Whether the text of its QR is known: if no QR of ours has it, it is not ours, or its QR is not saved yet."""
    looked_up: bool
    may_be_money: bool = False
    """Whether a look that was just made says so: it is PAID or REFUNDED there, or what it says is not understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RingQr:
    """Have this QR checked."""

    gateway_invoice_id: UUID


class Step(StrEnum):
    """What else may be done."""

    WAIT = "wait"
    LOOK_UP = "look_up"
    """Ask the gateway for the payment by its id: its answer may tie it, or is what it is filed by."""
    FILE = "file"
    """Record it without an invoice, by the gateway's answer to a look-up."""
    IGNORE = "ignore"


def next_step(payment: Followed, *, unmatched: Unmatched, now: datetime) -> RingQr | Step:
    """Decide what to do next. One check each: the QR that the list tells, then another one that it may be on.

    What the list ties to no QR of ours is looked up once: at once where it tells no QR's text, else when the grace is
    over, as a QR may just be being made. What leads nowhere then is not ours to assign. A QR of ours whose check did
    not show the payment is checked again after each look that says it may be money, up to `CHECKS_OF_EACH` times.
    """
    match payment.check:
        case Check.DUE:
            return Step.WAIT
        case Check.FORGOTTEN:
            return RingQr(gateway_invoice_id=payment.rung[-1])
        case Check.NONE | Check.ANSWERED:
            fresh = next((qr for qr in payment.ties if qr not in payment.rung), None)
            again = _worth_another_check(payment) if payment.may_be_money else None
            if qr := fresh or again:
                return RingQr(gateway_invoice_id=qr)
            return _where_no_qr_is_left(payment, unmatched=unmatched, now=now)
        case _:
            assert_never(payment.check)


def _worth_another_check(payment: Followed) -> UUID | None:
    """Name the QR that was checked least often for its sake, of two the likelier."""
    qr = min(payment.ties, key=payment.rung.count, default=None)
    return qr if qr is not None and payment.rung.count(qr) < CHECKS_OF_EACH else None


def _where_no_qr_is_left(payment: Followed, *, unmatched: Unmatched, now: datetime) -> Step:
    is_ours = bool(payment.rung)
    if not payment.looked_up and (is_ours or not payment.tells_qr):
        return Step.LOOK_UP
    if now - payment.first_found_at < GRACE:
        return Step.WAIT
    if unmatched is Unmatched.IGNORE and not is_ours:
        return Step.IGNORE
    return Step.FILE if payment.looked_up else Step.LOOK_UP
