"""What the payments of a day come to on both sides: how many of each verdict, and figures by currency."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from moneyed import Money

from domain.payment_row import RowStatus
from domain.reconciliation import Comparison, ListedPayment, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What payments of one currency come to."""

    count: int
    gross: Money
    """What customers paid, before fees; what went back later is in it."""
    refunded: Money
    """What the gateway gave back of it."""
    fee: Money
    fees_unknown: int
    """Payments of which no fee was told."""

    @property
    def net(self) -> Money:
        """What is the merchant's of it."""
        return self.gross - self.refunded - self.fee

    def plus(self, other: "Figures") -> "Figures":
        """Add figures of the same currency."""
        return Figures(
            count=self.count + other.count,
            gross=self.gross + other.gross,
            refunded=self.refunded + other.refunded,
            fee=self.fee + other.fee,
            fees_unknown=self.fees_unknown + other.fees_unknown,
        )


Sums = Mapping[str, Figures]
"""Figures by currency."""


@dataclass(slots=True)
class Tally:
    """What the payments of one day come to, in any order: how many of each verdict, and figures by currency."""

    counts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    there: dict[str, Figures] = field(default_factory=dict)
    here: dict[str, Figures] = field(default_factory=dict)
    open: int = 0
    """What is neither agreed nor answered by a person."""
    _open_digest: int = 0

    def add(self, comparison: Comparison, *, answered: bool = False) -> None:
        """Count one payment; `answered` where a person has answered all that there is to ask about it."""
        self.counts[comparison.verdict] += 1
        _add(self.there, figures_there(comparison))
        _add(self.here, figures_here(comparison))
        if not comparison.agrees and not answered:
            self.open += 1
            self._open_digest = (self._open_digest + _number_of(comparison)) % 2**64

    @property
    def state(self) -> str:
        """Name what the gateway shows of the day and what is open of it; another state has another name.

        What went back is not in it as long as both sides agree: refunds are no change of a day.
        """
        there = ";".join(f"{one.count} {one.gross}" for _, one in sorted(self.there.items()))
        return sha256(f"{there}|{self.open} {self._open_digest}".encode()).hexdigest()[:16]


def figures_there(comparison: Comparison) -> Figures | None:
    """Return what the gateway's side of it comes to; None where that is no money."""
    listed = comparison.listed
    if not isinstance(listed, ListedPayment) or not listed.is_money:
        return None
    nothing = listed.amount - listed.amount
    return _figures(
        gross=listed.amount,
        refunded=listed.amount if listed.status is RowStatus.REFUNDED else nothing,
        fee=listed.fee,
    )


def figures_here(comparison: Comparison) -> Figures | None:
    """Return what our side of it comes to, as far as it concerns the gateway; None where that is no money.

    A refund by another way than the gateway is the merchant's own: it does not touch what the gateway owes.
    """
    known, listed = comparison.on_record, comparison.listed
    if known is None or comparison.verdict is Verdict.NOT_MONEY:
        return None
    is_given_back = isinstance(listed, ListedPayment) and listed.status is RowStatus.REFUNDED
    return _figures(
        gross=known.received, refunded=known.refunded if is_given_back else known.refunded_by_gateway, fee=known.fee
    )


def _number_of(comparison: Comparison) -> int:
    """Draw a number from what is open about a payment: their sum names a set of them, in whatever order."""
    listed = comparison.listed
    told = f"{listed.status_text} {listed.amount}" if isinstance(listed, ListedPayment) else ""
    known = f"{comparison.on_record.received}" if comparison.on_record else ""
    aspects = ",".join(sorted(comparison.aspects))
    text = f"{comparison.subject}|{comparison.verdict}|{aspects}|{told}|{known}"
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big")


def _figures(*, gross: Money, refunded: Money, fee: Money | None) -> Figures:
    return Figures(
        count=1,
        gross=gross,
        refunded=refunded,
        fee=gross - gross if fee is None else fee,
        fees_unknown=int(fee is None),
    )


def _add(sums: dict[str, Figures], figures: Figures | None) -> None:
    if figures is not None:
        currency = figures.gross.currency.code
        sums[currency] = sums[currency].plus(figures) if currency in sums else figures
