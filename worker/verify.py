"""Verify: read what is recorded again and say whether it can be believed."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, count
from typing import Self, TypeVar

from adapters.postgres.seals import Head, Seals
from domain.seal import SealKey
from domain.seal_audit import SealProblem, SealProblemKind, any_made_with, audit

PROBLEMS_SHOWN_MAX = 1_000
"""More are only counted: a report of a million lines helps nobody and does not fit into memory."""

TELL_EVERY = 100_000
"""Seals between two words about the progress: a few seconds."""


_HEAD = re.compile(r"(-?\d{1,19}):([0-9a-fA-F]{64})")


class WrongSealSecretError(Exception):
    """No seal was made with a secret that was given, so nothing can be said about the events. The message says more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedHead:
    """A head that was written down where nobody who may change the database can change it."""

    position: int
    seal: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `position:seal` as `tootsoo verify --head` prints it.

        Raises:
            ValueError: it is not.

        """
        parts = _HEAD.fullmatch(text.strip())
        if parts is None:
            raise ValueError("should be what tootsoo verify --head printed: a position, a colon, 64 hexadecimal digits")
        return cls(position=int(parts[1]), seal=bytes.fromhex(parts[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class SealReport:
    """What the audit of the seals came to."""

    events: int
    sealed: int
    unsealed: int
    """Events behind the newest seal: they were recorded moments ago, or nobody seals."""
    problems: tuple[SealProblem, ...]
    """The first `PROBLEMS_SHOWN_MAX`."""
    problems_found: int
    head: Head | None

    @property
    def ok(self) -> bool:
        """Whether all that was sealed is as it was."""
        return self.problems_found == 0


def verify_seals(
    seals: Seals,
    *,
    keys: list[SealKey],
    published: PublishedHead | None,
    now: datetime,
    late_after: timedelta,
    tell: Callable[[int, int], None],
) -> SealReport:
    """Read every sealed event and its seal, and the published head if there is one; change nothing.

    Holds a page of each in memory. May run while events are recorded and sealed: it stops at the head that it begins
    with. `tell` hears, every `TELL_EVERY` seals, how many were read and how many there are. An event that is
    sealed more than `late_after` behind its record, or not at all, is a problem too: it may have been sealed anew.

    Raises:
        WrongSealSecretError: there are seals, and none of them by any of `keys`.
        PoolTimeout, psycopg.Error: PostgreSQL is away, or became so.

    """
    head = seals.head()
    against_published = list(_against_published(seals, published)) if published else []
    audited: Iterable[SealProblem] = ()
    events_read, seals_read = count(), count()
    if head:
        _require_a_known_key(seals, head, keys, tell=tell)
        audited = audit(
            _counted(seals.events(up_to=head.position), events_read),
            _telling(_counted(seals.seals(up_to=head.position), seals_read), total=head.count, tell=tell),
            keys=keys,
            late_after=late_after,
            vouched_up_to=published.position if published and not against_published else None,
        )
    problems: list[SealProblem] = []
    found = 0
    for problem in chain(against_published, audited, _unsealed(seals, head, before=now - late_after)):
        found += 1
        if len(problems) < PROBLEMS_SHOWN_MAX:
            problems.append(problem)
    unsealed = seals.count_unsealed(head)
    return SealReport(
        events=next(events_read) + unsealed,
        sealed=next(seals_read),
        unsealed=unsealed,
        problems=tuple(problems),
        problems_found=found,
        head=head,
    )


def _require_a_known_key(seals: Seals, head: Head, keys: list[SealKey], *, tell: Callable[[int, int], None]) -> None:
    """Believe what the seals say; if they deny it, try each: writing over all key ids makes no secret wrong."""
    if seals.has_seal_of(keys):
        return
    read = _telling(seals.seals(up_to=head.position), total=head.count, tell=tell)
    if any_made_with(seals.events(up_to=head.position), read, keys=keys):
        return
    ours = ", ".join(key.id for key in keys)
    raise WrongSealSecretError(
        f"no seal was made with it: they say that they were made with key {seals.newest_key_id()}, and it has {ours}. "
        "Nothing was verified"
    )


def _unsealed(seals: Seals, head: Head | None, *, before: datetime) -> Iterator[SealProblem]:
    late = seals.unsealed_since(head, before=before)
    if late:
        detail = f"events from here on that were recorded long ago, since {late.since}, and have no seal: {late.count}"
        yield SealProblem(position=late.position, kind=SealProblemKind.UNSEALED, payment=None, detail=detail)


def _against_published(seals: Seals, published: PublishedHead) -> Iterator[SealProblem]:
    seal = seals.seal_at(published.position)
    if seal is None:
        kind, detail = SealProblemKind.TAIL_CUT, "there is no seal where the published head was"
    elif seal != published.seal:
        kind, detail = SealProblemKind.REWRITTEN, "the seal here is another than the published head"
    else:
        return
    yield SealProblem(position=published.position, kind=kind, payment=None, detail=detail)


_Item = TypeVar("_Item")


def _counted(items: Iterable[_Item], counter: Iterator[int]) -> Iterator[_Item]:
    for item in items:
        next(counter)
        yield item


def _telling(items: Iterable[_Item], *, total: int, tell: Callable[[int, int], None]) -> Iterator[_Item]:
    for number, item in enumerate(items, start=1):
        if number % TELL_EVERY == 0:
            tell(number, total)
        yield item
