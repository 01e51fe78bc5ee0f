"""A day as a gateway lists it: each payment once, in a few hundred bytes, however its rows came."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from adapters.postgres.ties import TiedQr
from domain.days import Day
from domain.money import from_minor_units, minor_units
from domain.payment_row import FoundPayment, RowStatus, UnreadableRow
from domain.reconciliation import ListedPayment, digest_of, merge

UNREADABLE_MAX = 1_000
"""Rows without an id that are kept apart: a gateway whose rows all are so has changed its language."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A row without its raw text; amounts in minor units."""

    status: RowStatus
    status_text: str
    amount_minor: int
    currency: str
    fee_minor: int | None
    paid_at: datetime | None
    two_amounts: bool


class ListedDay:
    """The payments of one day, and the times of those listed right before and behind it.

    Rows may come in any order and any number of times: pages move while they are read. Of each payment one remains.
    """

    def __init__(self, day: Day) -> None:
        self._day = day
        self._kept: dict[str, _Kept] = {}
        self._unreadable: dict[str, UnreadableRow] = {}
        self.tied: dict[str, tuple[TiedQr, ...]] = {}
        """The QRs of ours that a payment which is not recorded should be on."""
        self.telling: set[str] = set()
        """Those of them whose rows tell the text of a QR: if it is none of ours, they are not ours."""
        self.nearby: dict[str, datetime] = {}
        """When payments of the days beside it were paid."""
        self.rows = 0

    def __contains__(self, payment_id: str) -> bool:
        """Tell whether a payment is listed on this day."""
        return payment_id in self._kept or payment_id in self._unreadable

    def covers(self, found: FoundPayment | UnreadableRow) -> bool:
        """Tell whether a row is of this day; one that tells no time may be."""
        return isinstance(found, UnreadableRow) or found.row.paid_at is None or found.row.paid_at in self._day

    def add(self, found: FoundPayment | UnreadableRow) -> None:
        """Take in a row."""
        self.rows += 1
        if isinstance(found, UnreadableRow):
            self._add_unreadable(found)
            return
        row = found.row
        if row.paid_at is not None and not self.covers(found):
            self.nearby[row.payment_id] = row.paid_at
            return
        listed = ListedPayment(
            payment_id=row.payment_id,
            status=row.status,
            status_text=row.status_text,
            amount=row.amount,
            fee=row.fee,
            paid_at=row.paid_at,
        )
        before = self._kept.get(row.payment_id)
        self._kept[row.payment_id] = _keep(listed if before is None else merge(_tell(row.payment_id, before), listed))
        self._unreadable.pop(row.payment_id, None)

    def note_unknown(self, found: FoundPayment, *, tied: tuple[TiedQr, ...]) -> None:
        """Note what the row of a payment that is not recorded leads to."""
        self.tied[found.row.payment_id] = tied
        if found.qr_text is not None:
            self.telling.add(found.row.payment_id)

    def batches(self, size: int) -> Iterator[Sequence[ListedPayment | UnreadableRow]]:
        """Tell all payments, so many at a time."""
        kept = iter(self._kept.items())
        while batch := [_tell(payment_id, one) for payment_id, one in islice(kept, size)]:
            yield batch
        unreadable = iter(self._unreadable.values())
        while rows := list(islice(unreadable, size)):
            yield rows

    def _add_unreadable(self, row: UnreadableRow) -> None:
        name = row.payment_id or digest_of(row)
        if name not in self._kept and (row.payment_id or len(self._unreadable) < UNREADABLE_MAX):
            self._unreadable[name] = UnreadableRow(reason=row.reason, raw=digest_of(row), payment_id=row.payment_id)


def _keep(listed: ListedPayment) -> _Kept:
    return _Kept(
        status=listed.status,
        status_text=sys.intern(listed.status_text),
        amount_minor=minor_units(listed.amount),
        currency=sys.intern(listed.amount.currency.code),
        fee_minor=None if listed.fee is None else minor_units(listed.fee),
        paid_at=listed.paid_at,
        two_amounts=listed.two_amounts,
    )


def _tell(payment_id: str, kept: _Kept) -> ListedPayment:
    return ListedPayment(
        payment_id=payment_id,
        status=kept.status,
        status_text=kept.status_text,
        amount=from_minor_units(kept.amount_minor, currency=kept.currency),
        fee=None if kept.fee_minor is None else from_minor_units(kept.fee_minor, currency=kept.currency),
        paid_at=kept.paid_at,
        two_amounts=kept.two_amounts,
    )
