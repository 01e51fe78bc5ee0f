"""Reconciliation: what a gateway lists of a day beside what is recorded of it, payment by payment."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import assert_never
from uuid import UUID

from moneyed import Money

from domain.discrepancy import DiscrepancyKind
from domain.payment_event import OccurredAtSource
from domain.payment_row import RowStatus, UnreadableRow
from domain.reconciler import furthest_along


class Verdict(StrEnum):
    """What came of a payment in the comparison; each has exactly one."""

    MATCHED = "matched"
    OTHER_FEE = "other_fee"
    """It agrees but for the gateway's fee, which moves no invoice: told, and nothing that a person has to answer."""
    NOT_MONEY = "not_money"
    """Neither side has money in it: it was never paid, or is gone there and was wholly given back here."""
    IN_SUSPENSE = "in_suspense"
    """It agrees, and what is left of it lies on no invoice."""
    ONLY_THERE = "only_there"
    ONLY_HERE = "only_here"
    DIFFERENT = "different"
    """Both have it, with another amount or another status."""
    UNCLEAR = "unclear"
    """The gateway's row cannot be read, has no amount, or a status that we do not know."""


AGREED = frozenset({Verdict.MATCHED, Verdict.OTHER_FEE, Verdict.NOT_MONEY})
"""What leaves nothing open."""


class Aspect(StrEnum):
    """In what a payment differs."""

    AMOUNT = "amount"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPayment:
    """One payment as a gateway lists it."""

    payment_id: str
    status: RowStatus
    status_text: str
    amount: Money
    fee: Money | None
    paid_at: datetime | None
    """UTC; None when the list tells no time that can be read."""
    two_amounts: bool = False
    """Rows of it came with different amounts."""

    @property
    def is_money(self) -> bool:
        """Whether money came by it, even if it went back."""
        return self.status in {RowStatus.PAID, RowStatus.REFUNDED} and self.amount.amount > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OnRecord:
    """One payment as its events make it. Its amounts are of one currency."""

    payment_id: str
    received: Money
    refunded: Money
    """Given back, by whatever way."""
    refunded_by_gateway: Money
    """What of it the gateway's own answers have proved."""
    in_suspense: Money
    """What of it lies on no invoice and was not given back."""
    fee: Money | None
    invoice_id: str | None
    """Where it was received, or last assigned to; None is suspense."""
    gateway_invoice_id: UUID | None
    """The QR that it was seen on."""
    issued_at: datetime | None
    """Since when that QR could be paid, UTC."""
    occurred_at: datetime
    occurred_at_source: OccurredAtSource
    paid_at: datetime
    """What tells its day: the gateway's own time where a list has told one of another day, else `occurred_at`."""

    @property
    def left(self) -> Money:
        """What was not given back."""
        return self.received - self.refunded


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One payment on both sides. `listed` or `on_record` is None where that side does not have it."""

    verdict: Verdict
    aspects: frozenset[Aspect] = frozenset()
    listed: ListedPayment | UnreadableRow | None
    on_record: OnRecord | None

    @property
    def payment_id(self) -> str | None:
        """The gateway's id of it; None where its row does not even tell that."""
        known = self.on_record or self.listed
        return None if known is None else known.payment_id

    @property
    def subject(self) -> str:
        """What tells it apart in questions: its id, or a digest of a row that tells none."""
        if self.payment_id is not None or not isinstance(self.listed, UnreadableRow):
            return self.payment_id or ""
        return digest_of(self.listed)

    @property
    def agrees(self) -> bool:
        """Whether there is nothing about it that somebody should look at."""
        return self.verdict in AGREED

    @property
    def questions(self) -> frozenset[tuple[DiscrepancyKind, str]]:
        """Return kind and fingerprint of what would have to be answered by a person so that it is open no more."""
        return frozenset(_questions(self))


def compare(listed: ListedPayment | UnreadableRow | None, on_record: OnRecord | None) -> Comparison:
    """Say what came of one payment; at least one side has it."""
    verdict, aspects = _judge(listed, on_record)
    return Comparison(verdict=verdict, aspects=aspects, listed=listed, on_record=on_record)


def merge(one: ListedPayment, other: ListedPayment) -> ListedPayment:
    """Return one row of two of the same payment: what is furthest along, and of two amounts the smaller.

    In whatever order rows are merged the same comes out: rows move between pages while these are read.
    """
    first = min(one, other, key=lambda row: (*furthest_along(row), _rest(row)))
    differ = one.amount != other.amount or one.two_amounts or other.two_amounts
    return replace(first, two_amounts=differ)


def digest_of(row: UnreadableRow) -> str:
    """Name a row that cannot be read: the same row has the same name."""
    return sha256(repr(row.raw).encode()).hexdigest()[:32]


def _judge(
    listed: ListedPayment | UnreadableRow | None, on_record: OnRecord | None
) -> tuple[Verdict, frozenset[Aspect]]:
    nothing_left = on_record is None or on_record.left.amount == 0
    if isinstance(listed, UnreadableRow):
        return Verdict.UNCLEAR, frozenset()
    if listed is None:
        return Verdict.NOT_MONEY if nothing_left else Verdict.ONLY_HERE, frozenset()
    match listed.status:
        case RowStatus.NEW | RowStatus.FAILED | RowStatus.PARTIAL if nothing_left:
            return Verdict.NOT_MONEY, frozenset()
        case RowStatus.NEW | RowStatus.FAILED | RowStatus.PARTIAL:
            return Verdict.DIFFERENT, frozenset({Aspect.STATUS})
        case RowStatus.PAID | RowStatus.REFUNDED:
            return _judge_money(listed, on_record)
        case RowStatus.UNKNOWN:
            return Verdict.UNCLEAR, frozenset()
        case _:
            assert_never(listed.status)


def _judge_money(listed: ListedPayment, on_record: OnRecord | None) -> tuple[Verdict, frozenset[Aspect]]:
    if not listed.is_money:
        return Verdict.UNCLEAR, frozenset()
    if on_record is None:
        return Verdict.ONLY_THERE, frozenset()
    if aspects := _aspects(listed, on_record):
        return Verdict.DIFFERENT, aspects
    if on_record.in_suspense.amount > 0:
        return Verdict.IN_SUSPENSE, frozenset()
    if listed.fee is not None and on_record.fee is not None and listed.fee != on_record.fee:
        return Verdict.OTHER_FEE, frozenset()
    return Verdict.MATCHED, frozenset()


def _aspects(listed: ListedPayment, on_record: OnRecord) -> frozenset[Aspect]:
    aspects = set()
    if listed.two_amounts or listed.amount != on_record.received:
        aspects.add(Aspect.AMOUNT)
    if listed.status is RowStatus.REFUNDED and on_record.left.amount > 0:
        aspects.add(Aspect.STATUS)
    if listed.status is RowStatus.PAID and on_record.refunded_by_gateway.amount > 0:
        aspects.add(Aspect.STATUS)
    return frozenset(aspects)


def _questions(comparison: Comparison) -> set[tuple[DiscrepancyKind, str]]:
    """As the reconciler asks them after a check, so that an answer to its question is one to the difference."""
    listed, on_record = comparison.listed, comparison.on_record
    match comparison.verdict:
        case Verdict.ONLY_HERE:
            return {(DiscrepancyKind.MISSING_AT_GATEWAY, "")}
        case Verdict.IN_SUSPENSE if on_record and on_record.gateway_invoice_id:
            return {(DiscrepancyKind.OTHER_CURRENCY, str(on_record.received))}
        case Verdict.IN_SUSPENSE:
            return {(DiscrepancyKind.UNMATCHED, "")}
        case Verdict.UNCLEAR | Verdict.DIFFERENT:
            return _questions_about(listed, aspects=comparison.aspects)
        case _:
            return set()


def _questions_about(
    listed: ListedPayment | UnreadableRow | None, *, aspects: frozenset[Aspect]
) -> set[tuple[DiscrepancyKind, str]]:
    if not isinstance(listed, ListedPayment):
        return {(DiscrepancyKind.UNREADABLE_ROW, listed.reason if listed is not None and listed.payment_id else "")}
    if listed.status is RowStatus.UNKNOWN:
        return {(DiscrepancyKind.UNKNOWN_STATUS, listed.status_text)}
    if not aspects:
        return {(DiscrepancyKind.NOT_AN_AMOUNT, str(listed.amount))}
    is_told = listed.status in {RowStatus.PAID, RowStatus.REFUNDED}
    asked = {
        Aspect.AMOUNT: (DiscrepancyKind.CHANGED_AMOUNT, str(listed.amount)),
        Aspect.STATUS: (DiscrepancyKind.CHANGED_STATUS, listed.status.value if is_told else ""),
    }
    return {asked[aspect] for aspect in aspects}


def _rest(row: ListedPayment) -> tuple[str, str, str]:
    """Order rows that are equally far along, so that any two merge to the same whichever came first."""
    return (row.status_text, str(row.paid_at), str(row.fee))
