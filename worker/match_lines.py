"""Match lines: say of each kept line of a statement what it is, and record what is certain."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import structlog

from adapters.postgres.ledger import Ledger, LedgerBusyError
from adapters.postgres.recorded import About
from adapters.postgres.statement_lines import Decided, StatementLines
from domain.statement_match import OpenLine, State, Verdict, Why, match
from domain.statement_record import LineToRecord, plan_lines
from worker.ahead import ahead
from worker.clock import Clock

log = structlog.get_logger()

BATCH = 1_000
"""Lines looked at in one go: their events are one append. Who decides about a line meanwhile waits for one batch."""

ROUNDS = 3
"""How often what others overtook is looked at anew, before a person is asked."""

OPEN_STATES = (State.NEW,)
LOOKED_AT_STATES = (State.NEW, State.UNMATCHED, State.PROPOSED)

Tell = Callable[[str, int, int], object]
"""Hears what is done, how much of it is, and how much there is."""


@dataclass(frozen=True, slots=True)
class Matched:
    """What lines were taken for."""

    counts: Counter[tuple[State, Why]] = field(default_factory=Counter)

    def count(self, verdicts: Iterable[Decided | Verdict]) -> None:
        """Count in what more lines were taken for."""
        self.counts.update((one.state, one.why) for one in verdicts)

    def of(self, state: State) -> int:
        """Return how many lines came to a state."""
        return sum(count for (came_to, _), count in self.counts.items() if came_to is state)


class MatchLines:
    """Works off kept lines. Killed anywhere, it may be run again: a line is looked at until its outcome is written."""

    def __init__(self, *, lines: StatementLines, ledger: Ledger, clock: Clock) -> None:
        self._lines = lines
        self._ledger = ledger
        self._clock = clock

    def __call__(self, *, states: Sequence[State] = OPEN_STATES, tell: Tell) -> Matched:
        """Look at all lines in some states, in the order in which they were kept.

        What is recorded is appended first and written down as such afterwards; who comes in between finds the event.

        Raises:
            LinesBusyError: a person's decision does not come to an end; safe to repeat.
            psycopg.Error: PostgreSQL is away; safe to repeat.

        """
        matched = Matched()
        total, done = self._lines.count_open(states=states), 0
        for batch in ahead(self._batches(states)):
            self._work_off(batch, states=states, matched=matched)
            done += len(batch)
            tell("matched", done, max(total, done))
        return matched

    def _batches(self, states: Sequence[State]) -> Iterator[list[OpenLine]]:
        after = 0
        while batch := self._lines.open(states=states, after=after, page=BATCH):
            yield batch
            after = batch[-1].id

    def _work_off(self, batch: Sequence[OpenLine], *, states: Sequence[State], matched: Matched) -> None:
        """Look at lines that nobody has decided about meanwhile, while nobody else decides about any."""
        with self._lines.deciding_alone():
            still_open = self._lines.still_open(batch, states=states)
            if still_open:
                decided = self._decide(still_open, rounds=ROUNDS)
                self._lines.decide(decided, states=states, now=self._clock())
                matched.count(decided)

    def _decide(self, batch: Sequence[OpenLine], *, rounds: int) -> list[Decided]:
        facts = self._lines.facts(batch)
        verdicts = match(batch, facts)
        wanted = [one for one in verdicts if one.state is State.RECORDED and one.line.key not in facts.recorded]
        recorded = self._record(wanted) if wanted else frozenset()
        overtaken = [one.line for one in wanted if one.line.key not in recorded]
        left = {line.id for line in overtaken}
        decided = [_decided(one) for one in verdicts if one.line.id not in left]
        if overtaken and rounds:
            return decided + self._decide(overtaken, rounds=rounds - 1)
        return decided + [Decided(line_id=line.id, state=State.PROPOSED, why=Why.BUSY) for line in overtaken]

    def _record(self, wanted: Sequence[Verdict]) -> frozenset[str]:
        """Append what is certain; return the keys of the lines that were recorded, others were overtaken."""
        lines = [
            LineToRecord(
                key=one.line.key,
                invoice_id=one.invoice_id or "",
                amount=one.line.amount,
                posted_at=one.line.posted_at,
                raw=one.line.raw,
            )
            for one in wanted
        ]
        return self._append(lines)

    def _append(self, lines: Sequence[LineToRecord]) -> frozenset[str]:
        about = About(
            invoices=frozenset(line.invoice_id for line in lines), payments=frozenset(line.payment for line in lines)
        )
        try:
            appended = self._ledger.append(
                about, lambda recorded: plan_lines(recorded, lines), recorded_at=self._clock()
            )
        except LedgerBusyError:
            if len(lines) == 1:
                return frozenset()
            half = len(lines) // 2
            return self._append(lines[:half]) | self._append(lines[half:])
        for opened in appended.opened:
            one = opened.discrepancy
            log.warning("discrepancy.opened", id=opened.id, kind=one.kind, invoice=one.invoice_id, detail=one.detail)
        log.info("statement.recorded", lines=len(appended.events))
        return frozenset(event.payment_id for event in appended.events)


def _decided(verdict: Verdict) -> Decided:
    return Decided(
        line_id=verdict.line.id,
        state=verdict.state,
        why=verdict.why,
        invoice_id=verdict.invoice_id,
        payment=verdict.payment,
        candidates=verdict.candidates,
    )
