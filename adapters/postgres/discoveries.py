"""Discoveries: what a gateway's list was asked for, and the payments that it showed and that are on no invoice yet."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from adapters.postgres.connection import Pool, Row
from adapters.postgres.queries import load_queries
from domain.discovery import Asked
from domain.following import Check
from domain.payment_event import Source
from domain.payment_row import FoundPayment, UnreadableRow

_queries = load_queries("discoveries")

FORGOTTEN_AFTER_S = 30.0
"""Between noting that a check is to be asked for and asking lie milliseconds."""

KEEP_ENDED_DAYS = 14
"""So long since it ended and was last shown: the look back reads a day again each night, or every few nights, and what
was forgotten before would be looked up anew each time."""

KEEP_WINDOWS_DAYS = 40
"""Longer than discovery looks back."""

FORGET_PAGE = 5_000

UNREADABLE = "(unreadable)"
"""What stands for the status of a payment whose row cannot be read."""

LOOK_AGAIN_S, LOOK_AGAIN_MAX_S = 600.0, 6 * 3_600.0
"""What a gateway gave no answer about is asked for again after this, then twice as long each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedPayment:
    """A found payment that is on no invoice yet. Times are UTC."""

    payment_id: str
    first_found_at: datetime
    external_id: str | None
    qr_text: str | None
    rung: tuple[UUID, ...]
    check: Check
    looked_up: bool
    may_be_looked_up: bool
    """Whether the gateway may be asked for it now: it did not fail to answer that a short while ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundOfDay:
    """How many of a gateway's payments became known by one source on one day."""

    gateway: str
    day: date
    source: Source
    payments: int


class Discoveries:
    """What was found in gateways' lists. Each method is one statement, committed when it returns."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def first_issued(self, gateway: str) -> datetime | None:
        """Return when the first QR of a gateway was meant, UTC; None when there is none."""
        with self._pool.connection() as connection:
            first: datetime | None = _queries.first_issued(connection, gateway=gateway)
        return first.astimezone(UTC) if first else None

    def windows(self, gateway: str, *, since: datetime) -> dict[datetime, Asked]:
        """Return what was asked for, by the beginnings of the windows, from `since` on; all UTC."""
        with self._pool.connection() as connection:
            rows = _queries.read_windows(connection, gateway=gateway, since=since)
            return {
                row["begins_at"].astimezone(UTC): Asked(
                    asked_at=row["asked_at"].astimezone(UTC), question=row["question"], total=row["total"]
                )
                for row in rows
            }

    def note_asked(
        self, gateway: str, windows: Sequence[datetime], *, asked_at: datetime, question: str | None, total: int | None
    ) -> None:
        """Write that windows were read to their end. Only when all that they showed is committed."""
        with self._pool.connection() as connection:
            _queries.note_asked(
                connection, gateway=gateway, windows=list(windows), asked_at=asked_at, question=question, total=total
            )

    def note_found(self, gateway: str, found: Sequence[FoundPayment | UnreadableRow], *, now: datetime) -> int:
        """Write down which of these are to be followed, and return how many were not before. Twice is once.

        Those are followed that are recorded nowhere, and those in suspense that lead to a QR of ours. Of a row that
        cannot be read its payment is, where it tells that.
        """
        told = [_told(one) for one in found if isinstance(one, FoundPayment) or one.payment_id is not None]
        with self._pool.connection() as connection:
            return int(_queries.note_found(connection, gateway=gateway, found=json.dumps(told), now=now))

    def forget_settled(self, gateway: str) -> int:
        """Follow those no more that have come to an invoice; return how many."""
        with self._pool.connection() as connection:
            return int(_queries.forget_settled(connection, gateway=gateway))

    def followed(self, gateway: str, *, after: str, page: int) -> list[FollowedPayment]:
        """Return up to `page` payments that are followed, with ids behind `after`, in the order of ids."""
        with self._pool.connection() as connection:
            rows = _queries.read_followed(
                connection, gateway=gateway, after=after, page=page, forgotten_after_s=FORGOTTEN_AFTER_S
            )
            return [_followed(row) for row in rows]

    def note_rung(self, gateway: str, payment: FollowedPayment, gateway_invoice_id: UUID) -> bool | None:
        """Write that a check of a QR is about to be asked for; None when that is not needed any more.

        Somebody else has done so meanwhile, or a check has recorded the payment. True: one is due already, and will do.
        """
        with self._pool.connection() as connection:
            due: bool | None = _queries.note_rung(
                connection,
                gateway=gateway,
                payment_id=payment.payment_id,
                gateway_invoice_id=gateway_invoice_id,
                before=list(payment.rung),
            )
        return due

    def note_looked_up(self, gateway: str, payment_id: str, *, told: FoundPayment | None) -> None:
        """Write that a payment was looked up, and what was `told` of where it is."""
        with self._pool.connection() as connection:
            _queries.note_looked_up(
                connection,
                gateway=gateway,
                payment_id=payment_id,
                external_id=told.external_id if told else None,
                qr_text=told.qr_text if told else None,
            )

    def note_not_told(self, gateway: str, payment_id: str) -> None:
        """Write that the gateway gave no answer about a payment: it may be looked up again later and later."""
        with self._pool.connection() as connection:
            _queries.note_not_told(
                connection,
                gateway=gateway,
                payment_id=payment_id,
                wait_s=LOOK_AGAIN_S,
                wait_max_s=LOOK_AGAIN_MAX_S,
            )

    def note_ended(self, gateway: str, payment_id: str, *, outcome: str) -> None:
        """Write that a payment is followed no more: `suspense`, `ignored` or `no_money`."""
        with self._pool.connection() as connection:
            _queries.note_ended(connection, gateway=gateway, payment_id=payment_id, outcome=outcome)

    def ignored(self, gateway: str, payment_ids: Collection[str]) -> set[str]:
        """Return those of these payments that were followed and are on no QR of ours: other software's."""
        with self._pool.connection() as connection:
            rows = _queries.find_ignored(connection, gateway=gateway, payment_ids=sorted(payment_ids))
            return {row["payment_id"] for row in rows}

    def forget(self) -> int:
        """Remove what nobody needs any more; return how many payments that were."""
        forgotten: int = 0
        while True:
            with self._pool.connection() as connection:
                row: Row = _queries.forget_found(
                    connection, keep_days=KEEP_ENDED_DAYS, keep_windows_days=KEEP_WINDOWS_DAYS, page=FORGET_PAGE
                )
            forgotten += row["payments"]
            if max(row["payments"], row["windows"]) < FORGET_PAGE:
                return forgotten

    def found_by_day(self, *, since: datetime, until: datetime, zone: str) -> list[FoundOfDay]:
        """Count by day in `zone`, gateway and source what became known in [`since`, `until`), oldest first."""
        with self._pool.connection() as connection:
            rows = _queries.found_by_day(connection, since=since, until=until, zone=zone)
            return [
                FoundOfDay(
                    gateway=row["gateway"], day=row["day"], source=Source(row["source"]), payments=row["payments"]
                )
                for row in rows
            ]


def _told(found: FoundPayment | UnreadableRow) -> dict[str, str | None]:
    if isinstance(found, UnreadableRow):
        return {"payment_id": found.payment_id, "status": UNREADABLE, "external_id": None, "qr_text": None}
    return {
        "payment_id": found.row.payment_id,
        "status": found.row.status_text,
        "external_id": found.external_id,
        "qr_text": found.qr_text,
    }


def _followed(row: Row) -> FollowedPayment:
    return FollowedPayment(
        payment_id=row["payment_id"],
        first_found_at=row["first_found_at"].astimezone(UTC),
        external_id=row["external_id"],
        qr_text=row["qr_text"],
        rung=tuple(row["rung"]),
        check=Check(row["check_state"]),
        looked_up=row["looked_up"],
        may_be_looked_up=row["may_be_looked_up"],
    )
