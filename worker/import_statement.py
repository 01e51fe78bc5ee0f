"""Import a statement: keep the lines that are new, and match them."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from operator import attrgetter
from typing import Protocol

import structlog

from adapters.postgres.connection import Pool
from adapters.postgres.discrepancies import Discrepancies
from adapters.postgres.statement_files import (
    KeptLine,
    NewLine,
    OtherUnderReference,
    Page,
    StagedLine,
    StatementFile,
    StatementImports,
    staging,
    the_one_import,
)
from adapters.postgres.statement_lines import StatementLines
from domain.discrepancy import Discrepancy
from domain.running_balance import RunningBalance
from domain.statement import Direction, Group, StatementFileError, StatementLine, UnreadableLine, key_of
from domain.statement_match import State, Taken, Why, match
from domain.statement_overlap import Seen, sort_out
from domain.statement_questions import changed_line, doubtful_line, unreadable_line
from domain.statement_reference import says_it_undoes
from worker.ahead import ahead
from worker.clock import Clock
from worker.match_lines import BATCH, Matched, MatchLines, Tell

log = structlog.get_logger()

TOLD_EVERY = 1_000
"""So many lines are read between two words of progress."""

UNREADABLE_TOLD = 100
"""More lines that cannot be read are only counted."""


class Readable(Protocol):
    """A statement's file: `adapters.bank.reader.Statement`."""

    @property
    def name(self) -> str:
        """The file's name, without folders."""
        ...

    @property
    def bank(self) -> str:
        """Whose statement it is."""
        ...

    @property
    def format(self) -> str:
        """How it is read."""
        ...

    @property
    def digest(self) -> bytes:
        """SHA-256 of the file."""
        ...

    def lines(self) -> Iterator[StatementLine | UnreadableLine]:
        """Yield the lines; raises StatementFileError where the file is broken."""
        ...


@dataclass(slots=True, kw_only=True)
class Imported:
    """What a file came to."""

    dry_run: bool
    before: bool = False
    """This very file was read to its end before."""
    lines: int = 0
    """Lines that could be read."""
    new: int = 0
    seen: int = 0
    """Lines that were there before, in this file or another one."""
    outgoing: int = 0
    changed: int = 0
    """Lines that contradict what the bank told under the same reference, or are told under another one."""
    unreadable: int = 0
    unreadable_lines: list[UnreadableLine] = field(default_factory=list)
    """The first of them."""
    balance_breaks: int = 0
    balance_break_lines: tuple[int, ...] = ()
    matched: Matched = field(default_factory=Matched)

    @property
    def all_well(self) -> bool:
        """Whether the file was read whole and agrees with itself and with others. What waits for a person is usual."""
        return self.unreadable + self.changed + self.balance_breaks == 0


class ImportStatement:
    """Reads files in. A file may be read in again and again, and so may one that was killed half-way."""

    def __init__(
        self,
        pool: Pool,
        *,
        imports: StatementImports,
        lines: StatementLines,
        discrepancies: Discrepancies,
        match_lines: MatchLines,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._imports = imports
        self._lines = lines
        self._discrepancies = discrepancies
        self._match_lines = match_lines
        self._clock = clock

    def __call__(self, statement: Readable, *, who: str, dry_run: bool, tell: Tell) -> Imported:
        """Keep the new lines of a file and match them, and whatever an import that was killed has left behind.

        The file is read whole before anything is kept. Lines are kept a page at a time, each page all or none; matching
        begins when all are. Memory does not grow with the file. A dry run writes nothing.

        Raises:
            StatementFileError: the file is broken, has no line, or most of its lines cannot be read.
            ImportRunsError: another import writes.
            psycopg.Error: PostgreSQL is away; safe to repeat.

        """
        imported = Imported(dry_run=dry_run)
        with nullcontext() if dry_run else the_one_import(self._pool), staging(self._pool) as file:
            self._stage(file, statement, imported, tell=tell)
            imported.before = self._imports.imported_before(statement.digest) is not None
            if dry_run:
                self._rehearse(file, imported)
                return imported
            import_id = self._imports.begin(
                file_name=statement.name,
                digest=statement.digest,
                bank=statement.bank,
                format_=statement.format,
                who=who,
                now=self._clock(),
            )
            self._discrepancies.ask_many(
                [
                    unreadable_line(one, file_name=statement.name, format_=statement.format)
                    for one in imported.unreadable_lines
                ],
                now=self._clock(),
            )
            for page in ahead(file.pages()):
                new, questions = self._sort(page, file.others(page), imported)
                self._discrepancies.ask_many(questions, now=self._clock())
                file.keep(page, new, import_id=import_id, now=self._clock())
                tell("kept", imported.new + imported.seen, imported.lines)
            imported.matched.counts.update(self._match_lines(tell=tell).counts)
            self._imports.finish(import_id, outcome=figures_of(imported), now=self._clock())
        log.info("statement.imported", file=statement.name, **figures_of(imported))
        return imported

    def _stage(self, file: StatementFile, statement: Readable, imported: Imported, *, tell: Tell) -> None:
        balance = RunningBalance()
        file.stage(self._readable(statement, imported, balance, tell=tell))
        if imported.unreadable > imported.lines:
            first = imported.unreadable_lines[0]
            raise StatementFileError(
                f"{imported.unreadable:,} of {imported.unreadable + imported.lines:,} lines cannot be read,"
                f" the first at {first.number}: {first.reason}. Is it this bank's, and are the columns right?"
            )
        if not imported.lines:
            raise StatementFileError("the file has no lines")
        imported.balance_breaks, imported.balance_break_lines = balance.breaks, balance.numbers

    @staticmethod
    def _readable(
        statement: Readable, imported: Imported, balance: RunningBalance, *, tell: Tell
    ) -> Iterator[StatementLine]:
        for line in statement.lines():
            if isinstance(line, StatementLine):
                balance.follow(line)
                imported.lines += 1
                if imported.lines % TOLD_EVERY == 0:
                    tell("read", imported.lines, 0)
                yield line
                continue
            balance.interrupt()
            imported.unreadable += 1
            if len(imported.unreadable_lines) < UNREADABLE_TOLD:
                imported.unreadable_lines.append(line)

    def _sort(
        self, page: Page, others: Mapping[int, OtherUnderReference], imported: Imported
    ) -> tuple[list[NewLine], list[Discrepancy]]:
        """Tell the new lines of a page from known ones, and count them; those that go to a person unmatched as well."""
        kept: dict[Group, list[KeptLine]] = {}
        for one in page.kept:
            kept.setdefault(one.group, []).append(one)
        new: list[NewLine] = []
        questions: list[Discrepancy] = []
        for group, of_group in groupby(page.lines, key=attrgetter("group")):
            lines, stored = list(of_group), kept.get(group, [])
            verdicts = sort_out([one.trait for one in lines], stored=[one.trait for one in stored])
            for staged, verdict in zip(lines, verdicts, strict=True):
                if verdict.seen is Seen.NEW:
                    other = others.get(staged.ordinal)
                    new.append(_new(staged, occurrence=verdict.occurrence or 1, other=other))
                    if other is not None:
                        questions.append(changed_line(staged.group, staged.trait, before=other.words))
                else:
                    imported.seen += 1
                    if verdict.seen is Seen.DOUBTFUL and verdict.stored is not None:
                        questions.append(doubtful_line(staged.group, staged.trait, line_id=stored[verdict.stored].id))
        imported.new += len(new)
        imported.outgoing += sum(one.state is State.OUTGOING for one in new)
        imported.matched.counts.update((one.state, one.why) for one in new if one.why is not None)
        imported.changed += len(questions)
        return new, questions

    def _rehearse(self, file: StatementFile, imported: Imported) -> None:
        taken = Taken()
        for page in ahead(file.pages()):
            new, _ = self._sort(page, file.others(page), imported)
            to_match = {one.ordinal: one.key for one in new if one.state is State.NEW}
            opened = file.open_lines(page) if to_match else {}
            lines = (replace(opened[ordinal], key=key) for ordinal, key in to_match.items())
            while batch := list(islice(lines, BATCH)):
                imported.matched.count(match(batch, self._lines.facts(batch), taken=taken))


def figures_of(imported: Imported) -> dict[str, object]:
    """Return what a file came to, in numbers."""
    return {
        "lines": imported.lines,
        "new": imported.new,
        "seen": imported.seen,
        "outgoing": imported.outgoing,
        "recorded": imported.matched.of(State.RECORDED),
        "linked": imported.matched.of(State.LINKED),
        "proposed": imported.matched.of(State.PROPOSED),
        "unmatched": imported.matched.of(State.UNMATCHED),
        "changed": imported.changed,
        "unreadable": imported.unreadable,
        "balance_breaks": imported.balance_breaks,
    }


def _new(staged: StagedLine, *, occurrence: int, other: OtherUnderReference | None) -> NewLine:
    is_credit = staged.group.direction is Direction.CREDIT
    state, why = State.NEW, None
    if other is not None:
        state, why = State.PROPOSED, Why.CHANGED_LINE
    elif staged.correction or (is_credit and says_it_undoes(staged.description)):
        state, why = State.PROPOSED, Why.CORRECTION
    elif not is_credit:
        state = State.OUTGOING
    key = key_of(staged.group, balance_minor=staged.trait.balance_minor, occurrence=occurrence)
    return NewLine(ordinal=staged.ordinal, key=key, occurrence=occurrence, state=state, why=why)
