"""A discrepancy: a question for a person. It moves no money; a person answers it with an action."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DiscrepancyKind(StrEnum):
    """Why a person should look."""

    UNMATCHED = "unmatched"
    """Money of no known invoice, or in another currency than its invoice's, lies in suspense."""
    CHANGED_AMOUNT = "changed_amount"
    """The gateway tells another amount or currency of a payment than it did."""
    CHANGED_REFERENCE = "changed_reference"
    """The gateway tells another approval code of a payment than it did: there may have been a second one."""
    CHANGED_INVOICE = "changed_invoice"
    """The gateway tells of a payment on another invoice than it did."""
    CHANGED_STATUS = "changed_status"
    """A payment that was PAID is called NEW, FAILED or PARTIAL, check after check."""
    MISSING_AT_GATEWAY = "missing_at_gateway"
    """A payment that was PAID is no longer shown, check after check."""
    UNKNOWN_STATUS = "unknown_status"
    """A payment has a status that we do not know, check after check."""
    UNREADABLE_ROW = "unreadable_row"
    """A row of an answer cannot be read, check after check."""
    NOT_AN_AMOUNT = "not_an_amount"
    """PAID with zero or less."""
    OTHER_CURRENCY = "other_currency"
    PAID_AFTER_VOID = "paid_after_void"
    """A void invoice holds money."""
    DUPLICATE_PAYMENT = "duplicate_payment"
    """Two QRs, or two gateways, were paid for the same due."""
    SAME_MONEY_BY_TWO_ROUTES = "same_money_by_two_routes"
    """A gateway tells of a payment, and a bank's statement brought that amount to the same invoice days apart."""
    CHANGED_LINE = "changed_line"
    """A bank's own reference stands for another line of a statement than it did, or a line for another reference."""
    REFUND_UNKNOWN = "refund_unknown"
    """A gateway was asked to give a payment back, and nobody knows whether it did."""
    CHANGED_DAY = "changed_day"
    """A day that had been compared and was clean is another one now: the gateway lists it otherwise, or it differs."""
    CREDENTIALS_USED_ELSEWHERE = "credentials_used_elsewhere"
    """The gateway refuses our sessions before their end: somebody else seems to log in with our credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """One question. (`kind`, `gateway`, `subject`, `fingerprint`) tells whether it was asked before.

    A question that was answered is not asked again unless its fingerprint changes.
    """

    kind: DiscrepancyKind
    gateway: str
    subject: str
    """What it is about: a payment id, an invoice id, an account, or a digest of where a row cannot be read and why."""
    fingerprint: str
    """What makes it another question about the same subject, such as the new amount."""
    detail: str
    """The question in words, for people."""
    invoice_id: str | None
    payment_id: str | None
    certain: bool = True
    """False for what may be a stale read, or one strange answer: it is only asked when the next check says the same."""


def credentials_used_elsewhere(*, gateway: str, account: str, noticed_at: datetime) -> Discrepancy:
    """Ask who else logs in as `account`, a name and no secret; `noticed_at` is UTC.

    Once may be the gateway's own forgetfulness, so it is asked when it is noticed twice on one day; on another day
    anew. QPay keeps one session alive for each account (observed in production): whoever logs in ends ours.
    """
    return Discrepancy(
        kind=DiscrepancyKind.CREDENTIALS_USED_ELSEWHERE,
        gateway=gateway,
        subject=account,
        fingerprint=noticed_at.date().isoformat(),
        detail=(
            f"{gateway} refused sessions of {account} before their end: another program seems to log in with the same"
            " credentials, and each login ends the one before. Payments are found later for it."
            " Give every program credentials of its own, or ask the gateway for a new password."
        ),
        invoice_id=None,
        payment_id=None,
        certain=False,
    )
