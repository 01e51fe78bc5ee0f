"""Reconcile: compare what a gateway lists of a day with what is recorded of it, and have looked at what differs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

import structlog

from adapters.postgres.reconciliations import CleanRun, Reconciliations, Run
from adapters.postgres.ties import Ties
from domain.days import Day
from domain.discrepancy import Discrepancy, DiscrepancyKind
from domain.gateway import PaymentGateway
from domain.payment_event import OccurredAtSource, Source
from domain.payment_row import FoundPayment, UnreadableRow
from domain.reconciliation import AGREED, Comparison, ListedPayment, OnRecord, Verdict, compare
from domain.tally import Sums, Tally
from worker.batches import batches_of
from worker.clock import Clock
from worker.follow_up import Difference, Following, FollowUp
from worker.listed_day import ListedDay
from worker.read_list import Rows, read_list
from worker.tie import tie
from worker.words import money_text, plural

log = structlog.get_logger()

BATCH = 500
"""Payments that are looked up in PostgreSQL by one statement."""

EDGE = timedelta(hours=2)
"""So much of the days beside it is read as well: a payment that was paid at 23:59 is recorded at 00:01, and by a sweep
half an hour later."""

WALK_BACK_DAYS = 3
"""What is recorded on a day and was paid before its edge is looked for so far back: nobody swept for so long."""

YOUNG = timedelta(minutes=2)
"""What was recorded right before the list was read need not be in it yet."""

OVER_FOR = timedelta(hours=1)
"""A day that has been over for so long is kept as compared; one that goes on is only told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayReport:
    """What comparing one day at one gateway came to."""

    gateway: str
    day: date
    tally: Tally | None
    """None where the gateway has no list: it cannot be compared."""
    here: Sums
    """What is recorded, also where there is nothing to compare it with."""
    list_calls: int = 0
    """Pages of the list that were read."""
    listed_rows: int = 0
    queued: int = 0
    """QRs of which a check was asked for."""
    asked: int = 0
    """Questions that opened."""

    @property
    def open(self) -> int:
        """Payments that somebody should look at."""
        return 0 if self.tally is None else self.tally.open


class Reconcile:
    """Compares one day at one gateway. Reads the gateway's list and writes no event: what differs is checked.

    Memory holds a few hundred bytes for each payment of the day. No transaction is open while the gateway is asked.
    """

    def __init__(
        self,
        *,
        gateways: Mapping[str, PaymentGateway],
        reconciliations: Reconciliations,
        ties: Ties,
        follow_up: FollowUp,
        clock: Clock,
        zone: tzinfo,
        hand_over: Callable[[str, Rows], None] = lambda *_: None,
    ) -> None:
        """`hand_over` takes what is listed of a day and not recorded, to be followed until it is."""
        self._gateways = gateways
        self._reconciliations = reconciliations
        self._ties = ties
        self._follow_up = follow_up
        self._clock = clock
        self._zone = zone
        self._hand_over = hand_over

    def gateways(self, *, first: date, last: date) -> list[str]:
        """Return the gateways that there are, and those that have payments of the days from `first` to `last`."""
        since, until = Day.of(first, zone=self._zone).since, Day.of(last, zone=self._zone).until
        recorded = self._reconciliations.gateways_with_payments(since=since, until=until)
        return sorted({*self._gateways, *recorded})

    def __call__(
        self,
        gateway: str,
        day: date,
        *,
        source: Source,
        night: date | None = None,
        show: Callable[[Difference], None] = lambda _: None,
        after_page: Callable[[int], None] = lambda _: None,
    ) -> DayReport:
        """Compare a day, hand each difference to `show`, and have it looked at.

        A day that is over is kept as compared; one that was clean before and is another one now becomes a question.
        `after_page` hears how many rows each page of the list had: it may wait. Killed anywhere, or done twice,
        nothing is written twice that counts.

        Raises:
            GatewayError: the gateway did not tell its list, or a page of it; nothing is kept.
            PoolTimeout, psycopg.Error: PostgreSQL is away.

        """
        bounds = Day.of(day, zone=self._zone)
        known = self._gateways.get(gateway)
        if known is None or not known.capabilities.lists:
            here = self._reconciliations.figures_on_day(gateway, since=bounds.since, until=bounds.until)
            return DayReport(gateway=gateway, day=day, tally=None, here=here)
        began_at = self._clock()
        listed = ListedDay(bounds)
        calls = read_list(
            known,
            since=bounds.since - EDGE,
            until=bounds.until + EDGE,
            take=lambda rows: self._take_in(listed, rows, gateway=known),
            after_page=after_page,
        )
        following = Following(self._follow_up, known, day=day, source=source, show=show, listed=listed)
        tally = Tally()
        for comparisons in self._compared(listed, bounds, gateway=known, began_at=began_at, after_page=after_page):
            answered = following(comparisons)
            for comparison in comparisons:
                tally.add(comparison, answered=comparison.subject in answered)
        asked = following.asked
        if bounds.until + OVER_FOR <= began_at:
            run = Run(
                gateway=gateway,
                day=day,
                night=night,
                began_at=began_at,
                ended_at=self._clock(),
                list_calls=calls,
                listed_rows=listed.rows,
                tally=tally,
            )
            asked += self._reconciliations.save(run, ask=lambda clean: _changed_day(run, clean))
        log.info("reconcile.day", gateway=gateway, day=day.isoformat(), rows=listed.rows, open=tally.open)
        return DayReport(
            gateway=gateway,
            day=day,
            tally=tally,
            here=tally.here,
            list_calls=calls,
            listed_rows=listed.rows,
            queued=following.queued,
            asked=asked,
        )

    def _take_in(self, listed: ListedDay, batch: Rows, *, gateway: PaymentGateway) -> None:
        """Add rows to the day, and find the QRs of those that are not recorded while their rows are at hand."""
        named = {one.payment_id: one for one in batch if one.payment_id}
        recorded = self._ties.recorded(gateway.name, named)
        new = [one for key, one in named.items() if key not in recorded and listed.covers(one)]
        unknown = [one for one in new if isinstance(one, FoundPayment)]
        for found, tied in zip(unknown, tie(unknown, gateway=gateway, ties=self._ties), strict=True):
            listed.note_unknown(found, tied=tied)
        if new:
            self._hand_over(gateway.name, new)
        for one in batch:
            listed.add(one)

    def _compared(
        self,
        listed: ListedDay,
        bounds: Day,
        *,
        gateway: PaymentGateway,
        began_at: datetime,
        after_page: Callable[[int], None],
    ) -> Iterator[list[Comparison]]:
        """Compare what is listed, then what is recorded on the day and not listed."""
        for batch in listed.batches(BATCH):
            yield self._compare_listed(batch, bounds, gateway=gateway.name)
        doubtful: list[str] = []
        for ids in batches_of(BATCH, self._unlisted(listed, bounds, gateway=gateway.name, began_at=began_at)):
            known = self._reconciliations.on_record(gateway.name, ids)
            maybe_earlier = self._maybe_earlier(known, bounds, gateway=gateway.name)
            doubtful += sorted(maybe_earlier)
            yield [compare(None, one) for payment_id, one in sorted(known.items()) if payment_id not in maybe_earlier]
        earlier = self._find_earlier(set(doubtful), bounds, gateway=gateway, after_page=after_page)
        for ids in batches_of(BATCH, (one for one in doubtful if one not in earlier)):
            known = self._reconciliations.on_record(gateway.name, ids)
            yield [compare(None, one) for _, one in sorted(known.items())]

    def _compare_listed(
        self, batch: Sequence[ListedPayment | UnreadableRow], bounds: Day, *, gateway: str
    ) -> list[Comparison]:
        known = self._reconciliations.on_record(gateway, {one.payment_id for one in batch if one.payment_id})
        comparisons, learnt = [], {}
        for one in batch:
            on_record = known.get(one.payment_id or "")
            paid_at = one.paid_at if isinstance(one, ListedPayment) else None
            if on_record is not None and on_record.paid_at not in bounds:
                if paid_at is None:  # a row without a time is of the day that its record says
                    continue
                learnt[on_record.payment_id] = paid_at
            comparisons.append(compare(one, on_record))
        if learnt:
            self._reconciliations.learn_days(gateway, learnt)
        return comparisons

    def _unlisted(self, listed: ListedDay, bounds: Day, *, gateway: str, began_at: datetime) -> Iterator[str]:
        """Tell what is recorded on the day and not listed on it; what is listed just beside it is learnt instead."""
        after = ""
        while ids := self._reconciliations.ids_on_day(
            gateway, since=bounds.since, until=bounds.until, recorded_before=began_at - YOUNG, after=after
        ):
            after = ids[-1]
            missing = [payment_id for payment_id in ids if payment_id not in listed]
            beside = {payment_id: listed.nearby[payment_id] for payment_id in missing if payment_id in listed.nearby}
            if beside:
                self._reconciliations.learn_days(gateway, beside)
            yield from (payment_id for payment_id in missing if payment_id not in beside)

    def _maybe_earlier(self, known: Mapping[str, OnRecord], bounds: Day, *, gateway: str) -> set[str]:
        """Return what may have been paid before the day that it was seen on, and about which nobody was asked yet."""
        maybe = {
            payment_id
            for payment_id, one in known.items()
            if one.occurred_at_source is OccurredAtSource.OBSERVED
            and one.paid_at == one.occurred_at
            and (one.issued_at is None or one.issued_at < bounds.since)
        }
        asked = self._reconciliations.questions_about(gateway, maybe, kinds=[DiscrepancyKind.MISSING_AT_GATEWAY])
        return maybe - {question.subject for question in asked}

    def _find_earlier(
        self, wanted: set[str], bounds: Day, *, gateway: PaymentGateway, after_page: Callable[[int], None]
    ) -> set[str]:
        """Look for payments in the lists of the days before, the nearest first, and learn their days."""
        found: set[str] = set()
        until = bounds.since - EDGE
        for _ in range(WALK_BACK_DAYS):
            if found == wanted:
                break
            since = until - timedelta(days=1)
            read_list(
                gateway,
                since=since,
                until=until,
                take=lambda rows: found.update(self._learn(rows, wanted, gateway=gateway.name)),
                after_page=after_page,
            )
            until = since
        return found

    def _learn(self, rows: Rows, wanted: set[str], *, gateway: str) -> set[str]:
        learnt = {
            one.row.payment_id: one.row.paid_at
            for one in rows
            if isinstance(one, FoundPayment) and one.row.payment_id in wanted and one.row.paid_at is not None
        }
        if learnt:
            self._reconciliations.learn_days(gateway, learnt)
        return set(learnt)


def _changed_day(run: Run, clean: CleanRun | None) -> list[Discrepancy]:
    """Ask about a day that was clean and is another one now: once for each change since it was last clean."""
    if clean is None or clean.state == run.tally.state:
        return []
    counts = run.tally.counts
    open_ones = ", ".join(f"{counts[one]} {one.replace('_', ' ')}" for one in Verdict if counts[one] and one in _OPEN)
    lists = ", ".join(
        f"{plural(one.count, 'payment')} of {money_text(one.gross)}" for _, one in sorted(run.tally.there.items())
    )
    return [
        Discrepancy(
            kind=DiscrepancyKind.CHANGED_DAY,
            gateway=run.gateway,
            subject=run.day.isoformat(),
            fingerprint=f"{clean.id} {run.tally.state}",
            detail=(
                f"{run.day} was compared with {run.gateway} before and agreed; now {run.gateway} lists"
                f" {lists or 'nothing'}, and {run.tally.open} are open ({open_ones or 'all agree'})."
                f" tootsoo reconcile --from {run.day} shows them"
            ),
            invoice_id=None,
            payment_id=None,
        )
    ]


_OPEN = frozenset(Verdict) - AGREED
