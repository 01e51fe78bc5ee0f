"""Sweep: read the windows of a gateway's list that are due, and write down which of its payments are to be followed."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import structlog

from adapters.postgres.discoveries import Discoveries
from adapters.postgres.discrepancies import Discrepancies
from domain.discovery import WINDOW, Reading, Window, due_windows, put_together
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.gateway import GatewayError, GatewayOutcomeUnknownError, PaymentGateway
from domain.payment_row import FoundPage, FoundPayment, RowStatus, UnreadableRow
from worker.clock import Clock

log = structlog.get_logger()

Tell = Callable[[int, int], object]

QUESTIONS_MAX = 300
"""Of one sweep: after a long time without any, the newest come first and the others with the next ones."""

ROUNDS_MAX = 2
"""A window whose rows moved while it was read is read once more at once; after that it is left to the next sweep."""


STOPPED = "it was told to stop"

UNREAD_MAX = 3
"""So many windows in a row that cannot be read: then it is the gateway, and the others are left to the next sweep."""


@dataclass(slots=True, kw_only=True)
class Swept:
    """What a sweep of one gateway came to."""

    gateway: str
    questions: int = 0
    unchanged: int = 0
    """Questions that cost one call, because nothing had come."""
    pages: int = 0
    new: int = 0
    """Payments that the list showed and that were neither recorded nor known to be followed."""
    unreadable: int = 0
    left: int = 0
    """Questions that were due and are left to the next sweep."""
    failed: str | None = None
    """Why the gateway was asked no further, or what was the matter with the last window that could not be read."""
    stopped: bool = False
    """Whether the gateway is not to be asked further."""
    unread: int = 0
    """Windows that were asked for and could not be read; they are asked for again by the next sweep."""


class Sweep:
    """Reads gateways' lists. Killed anywhere, what is not written down as read is read by the next sweep."""

    def __init__(
        self,
        *,
        discoveries: Discoveries,
        discrepancies: Discrepancies,
        clock: Clock,
        told_to_stop: threading.Event,
    ) -> None:
        self._discoveries = discoveries
        self._discrepancies = discrepancies
        self._clock = clock
        self._told_to_stop = told_to_stop

    def __call__(self, gateway: PaymentGateway, *, tell: Tell = lambda *_: None) -> Swept:
        """Ask for every window that is due, newest first. An error of the gateway is told, not raised.

        A gateway that is away ends it; a window that cannot be read is left to the next sweep, and keeps none of the
        others from being read.

        `tell` hears of how many questions were asked, of how many.

        Raises:
            PoolTimeout, psycopg.Error: PostgreSQL is away; the next sweep goes on.

        """
        swept = Swept(gateway=gateway.name)
        first = self._discoveries.first_issued(gateway.name)
        if first is None:
            return swept
        now = self._clock()
        asked = self._discoveries.windows(gateway.name, since=first - WINDOW)
        due = due_windows(asked, first=first, now=now)
        self._ask_all(gateway, due, first=first, swept=swept, tell=tell)
        return swept

    def _ask_all(
        self, gateway: PaymentGateway, due: Sequence[Window], *, first: datetime, swept: Swept, tell: Tell
    ) -> None:
        waiting = list(due)
        wide, unread_in_a_row = False, 0
        while waiting:
            swept.left = len(waiting)
            if self._told_to_stop.is_set():
                swept.failed, swept.stopped = STOPPED, True
                return
            if swept.questions >= QUESTIONS_MAX:
                return
            must_be_exact = not wide and len(waiting) > 1
            try:
                read = self._ask(gateway, waiting[0], first=first, swept=swept, must_be_exact=must_be_exact)
            except GatewayError as error:
                swept.failed, read = f"{type(error).__name__}: {error.message}", True
                log.warning(
                    "sweep.failed", gateway=gateway.name, window=waiting[0].begins_at.isoformat(), reason=swept.failed
                )
                unread_in_a_row += 1
                swept.stopped = not isinstance(error, GatewayOutcomeUnknownError) or unread_in_a_row >= UNREAD_MAX
                if swept.stopped:
                    return
                swept.unread += 1
            else:
                unread_in_a_row = 0
            if not read:
                waiting, wide = put_together(waiting), True
                continue
            waiting.pop(0)
            tell(swept.questions, swept.questions + len(waiting))
        swept.left = 0

    def _ask(
        self, gateway: PaymentGateway, window: Window, *, first: datetime, swept: Swept, must_be_exact: bool
    ) -> bool:
        """Read a window to its end, or see that nothing has come; False where it is to be asked in one with others."""
        asked_at = self._clock()
        swept.questions += 1
        for _ in range(ROUNDS_MAX):
            reading = Reading()
            for page in gateway.discover(since=window.begins_at, until=window.until):
                swept.pages += 1
                if reading.pages == 0 and must_be_exact and not page.exact:
                    return False
                reading.take(page)
                if reading.pages == 1 and reading.is_as(window.before):
                    swept.unchanged += 1
                    break
                self._note(gateway.name, page, first=first, swept=swept)
            if not reading.moved or reading.is_as(window.before):
                break
        single = len(window.windows) == 1
        self._discoveries.note_asked(
            gateway.name,
            window.windows,
            asked_at=asked_at,
            question=reading.question if single else None,
            total=reading.first_total if reading.is_as(window.before) else reading.total if single else None,
        )
        return True

    def _note(self, gateway: str, page: FoundPage, *, first: datetime, swept: Swept) -> None:
        """Commit what is to be followed of a page: what may be money, and is not older than all QRs of ours.

        A row that cannot be read may be money: its payment is looked up by its id, or else somebody is asked about it.
        """
        now = self._clock()
        payments = [found for found in page.found if _is_to_be_followed(found, first=first)]
        if payments:
            swept.new += self._discoveries.note_found(gateway, payments, now=now)
        for row in page.found:
            if isinstance(row, UnreadableRow):
                swept.unreadable += 1
                if row.payment_id is None:
                    self._discrepancies.ask(_about(row, gateway=gateway), now=now)


def _is_to_be_followed(found: FoundPayment | UnreadableRow, *, first: datetime) -> bool:
    if isinstance(found, UnreadableRow):
        return found.payment_id is not None
    may_be_money = found.row.status in {RowStatus.PAID, RowStatus.REFUNDED, RowStatus.UNKNOWN}
    return may_be_money and (found.row.paid_at is None or found.row.paid_at >= first - WINDOW)


def _about(row: UnreadableRow, *, gateway: str) -> Discrepancy:
    """Ask about a row of the list that does not even tell its payment, when it cannot be read twice."""
    return Discrepancy(
        kind=DiscrepancyKind.UNREADABLE_ROW,
        gateway=gateway,
        subject=sha256(f"list {row.raw!r}".encode()).hexdigest()[:32],
        fingerprint="",
        detail=f"a row of the gateway's list cannot be read: {row.reason}",
        invoice_id=None,
        payment_id=None,
        certain=False,
    )
