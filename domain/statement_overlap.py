"""Which lines of a statement are new, and which were seen before, in the same file or an overlapping one."""

import operator
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """What tells lines of a group apart."""

    format: str
    posted_at: datetime | None
    """UTC; None where the line tells no time of day."""
    balance_minor: int | None
    reference: str | None


class Seen(StrEnum):
    """Whether a line of a file was there before."""

    NEW = "new"
    STORED = "stored"
    """It is a line that is kept."""
    IN_FILE = "in_file"
    """It is another line of the same file, told twice."""
    DOUBTFUL = "doubtful"
    """It is a line that is kept by all that makes a key, and the bank calls it by another reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """What one line of a file is. `stored` is the index of the line that it is; `occurrence` is a new one's."""

    seen: Seen
    stored: int | None = None
    occurrence: int | None = None


def sort_out(lines: Sequence[Trait], *, stored: Sequence[Trait]) -> list[Sorted]:
    """Tell new lines from known ones. All are of one group.

    Equal ones are counted: of three in a file, with two kept, one is new. So a file that overlaps brings only what is
    new, if it tells whole days; one that begins in the middle of a day is told apart by what only one line can have:

    - two balances: different lines;
    - in one format, two times: different lines; so are two references where no balance speaks for either;
    - in one file, the same reference, or the same balance at the same time: one line, told twice.

    Each kept line is met by one line of the file at most: first by one that is surely it, then by one that may be.
    """
    found: dict[int, Sorted] = {}
    for index in _told_twice(lines):
        found[index] = Sorted(seen=Seen.IN_FILE)
    free: dict[int | None, list[int]] = {}
    for place, trait in enumerate(stored):
        free.setdefault(trait.balance_minor, []).append(place)
    for agrees in (operator.eq, _is_surely, _is_likely, _may_be):
        for index, line in enumerate(lines):
            if index in found:
                continue
            for bucket in _comparable(line, free):
                kept = next((kept for kept in bucket if agrees(line, stored[kept])), None)
                if kept is not None:
                    bucket.remove(kept)
                    doubtful = _references_differ(line, stored[kept])
                    found[index] = Sorted(seen=Seen.DOUBTFUL if doubtful else Seen.STORED, stored=kept)
                    break
    counts = Counter(trait.balance_minor for trait in stored)
    for index, line in enumerate(lines):
        if index not in found:
            counts[line.balance_minor] += 1
            found[index] = Sorted(seen=Seen.NEW, occurrence=counts[line.balance_minor])
    return [found[index] for index in range(len(lines))]


def _told_twice(lines: Sequence[Trait]) -> Iterator[int]:
    """Yield the lines that an earlier one of the file is."""
    firsts: dict[object, list[Trait]] = {}
    for index, line in enumerate(lines):
        marks = [mark for mark in ((line.format, line.reference), (line.balance_minor, line.posted_at)) if mark[1]]
        if any(_is_told_twice(line, first) for mark in marks for first in firsts.get(mark, ())):
            yield index
        else:
            for mark in marks:
                firsts.setdefault(mark, []).append(line)


def _comparable(line: Trait, free: Mapping[int | None, list[int]]) -> Iterator[list[int]]:
    """Yield the kept lines that may be this one by their balance: the same first, then those that tell none."""
    if line.balance_minor is None:
        yield from free.values()
    else:
        yield from (free[balance] for balance in (line.balance_minor, None) if balance in free)


def _is_told_twice(line: Trait, other: Trait) -> bool:
    if _is_other(line, other):
        return False
    if line.reference is not None and line.reference == other.reference:
        return True
    return (
        not _references_differ(line, other)
        and line.balance_minor is not None
        and line.balance_minor == other.balance_minor
        and line.posted_at is not None
        and line.posted_at == other.posted_at
        and line.posted_at.second != 0  # a time without seconds says too little
    )


def _is_other(line: Trait, other: Trait) -> bool:
    """Tell whether they are certainly two lines."""
    has_balances = None not in {line.balance_minor, other.balance_minor}
    if has_balances and line.balance_minor != other.balance_minor:
        return True
    if line.format != other.format:
        return False
    if None not in {line.posted_at, other.posted_at} and line.posted_at != other.posted_at:
        return True
    return not has_balances and _references_differ(line, other)


def _references_differ(line: Trait, other: Trait) -> bool:
    return (
        line.format == other.format
        and None not in {line.reference, other.reference}
        and line.reference != other.reference
    )


def _is_surely(line: Trait, other: Trait) -> bool:
    return (
        not _is_other(line, other)
        and line.format == other.format
        and line.reference is not None
        and line.reference == other.reference
    )


def _is_likely(line: Trait, other: Trait) -> bool:
    return (
        not _is_other(line, other) and not _references_differ(line, other) and line.balance_minor == other.balance_minor
    )


def _may_be(line: Trait, other: Trait) -> bool:
    return not _is_other(line, other)
