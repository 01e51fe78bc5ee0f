"""The audit of seals: walks events and their seals together and names every place where they do not fit."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from domain.seal import START, EventSeal, Link, SealKey, StoredEvent, canonical_text, seal_of
from domain.seal_lateness import Lateness, LateSeals


class SealProblemKind(StrEnum):
    """What is wrong at a position."""

    CHANGED = "changed"
    """The event is not what was sealed, or its seal's time or key is not what it was sealed with."""
    REMOVED = "removed"
    """An event that was sealed is gone, with its seal or without."""
    INSERTED = "inserted"
    """An event stands below the sealed head and was never sealed."""
    SEAL_CHANGED = "seal_changed"
    """The event is what was sealed; the row of its seal was written over."""
    SEAL_REMOVED = "seal_removed"
    """An event without a seal, where a seal is missing: the seal was removed, or the event put in its place."""
    UNKNOWN_KEY = "unknown_key"
    """Sealed with a secret that is not given: nothing can be said about the event."""
    SEALED_LATE = "sealed_late"
    """Sealed long after it was recorded: nobody sealed then, or seals were removed and the event sealed anew."""
    UNSEALED = "unsealed"
    """Recorded long ago and not sealed: nobody seals, or the seals were removed."""
    TAIL_CUT = "tail_cut"
    """There is no seal where the published head was: the newest events and seals were removed."""
    REWRITTEN = "rewritten"
    """The seal at the published head is another: what is up to there was sealed anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealProblem:
    """One thing that is wrong, where, with which payment (`gateway:id`) if that is known, and a sentence about it."""

    position: int
    kind: SealProblemKind
    payment: str | None
    detail: str


def audit(
    events: Iterable[StoredEvent],
    seals: Iterable[EventSeal],
    *,
    keys: Sequence[SealKey],
    late_after: timedelta,
    vouched_up_to: int | None,
) -> Iterator[SealProblem]:
    """Name what is wrong with these seals or with the events up to the last of them.

    Both come in the order of their positions, from the very first; events behind the last seal are to be left out. It
    holds one of each at a time, however many there are, and goes on behind a problem: the next seal is tried on
    whatever the one before it says and should say.

    A seal made more than `late_after` behind the record of its event is a problem too, unless a published head that
    stands, at `vouched_up_to`, has seen it: since then it was not made anew.
    """
    walk = _Walk(keys, Lateness(late_after, vouched_up_to=vouched_up_to))
    for event, seal, next_seal in _in_step(iter(events), iter(seals)):
        if seal is not None:
            yield from walk.take(seal, event)
        elif event is not None:
            yield walk.take_unsealed(event, next_seal)
    yield from walk.finish()


def any_made_with(events: Iterable[StoredEvent], seals: Iterable[EventSeal], *, keys: Sequence[SealKey]) -> bool:
    """Tell whether any of these seals was made with one of these keys, whatever key its row names.

    Takes both as `audit` does, and no more of them than it needs.
    """
    walk = _Walk(keys, None)
    for event, seal, _ in _in_step(iter(events), iter(seals)):
        if seal is not None:
            for _problem_found in walk.take(seal, event):
                pass
        if walk.fitted:
            return True
    return False


def _in_step(
    events: Iterator[StoredEvent], seals: Iterator[EventSeal]
) -> Iterator[tuple[StoredEvent | None, EventSeal | None, EventSeal | None]]:
    """Yield event and seal of each position, whichever there is, and the seal that comes next if there is none."""
    event, seal = next(events, None), next(seals, None)
    while event is not None or seal is not None:
        if seal is None or (event is not None and event.position < seal.position):
            yield event, None, seal
            event = next(events, None)
        elif event is None or seal.position < event.position:
            yield None, seal, None
            seal = next(seals, None)
        else:
            yield event, seal, None
            event, seal = next(events, None), next(seals, None)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What the next seal may be chained to, and what the last problem was if that is so."""

    link: Link
    means: SealProblemKind


class _Walk:
    """The audit's state between two positions."""

    def __init__(self, keys: Sequence[SealKey], lateness: Lateness | None) -> None:
        self.fitted = False
        self._keys = {key.id: key for key in keys}
        self._lateness = lateness
        self._verified = START
        self._candidates = [_Candidate(START, SealProblemKind.CHANGED)]
        self._number = 0
        self._position: int | None = None
        self._unsealed = 0
        self._doubtful: SealProblem | None = None
        self._unknown: _UnknownKeys | None = None

    def take_unsealed(self, event: StoredEvent, next_seal: EventSeal | None) -> SealProblem:
        """Judge an event without a seal."""
        missing = next_seal.number - self._number - 1 - self._unsealed if next_seal else 0
        if missing > 0:
            self._unsealed += 1
            return _problem(event, SealProblemKind.SEAL_REMOVED, "has no seal, and a seal is missing here")
        return _problem(event, SealProblemKind.INSERTED, "stands below the sealed head and was never sealed")

    def take(self, seal: EventSeal, event: StoredEvent | None) -> Iterator[SealProblem]:
        """Judge a seal, and the event of its position."""
        found = self._fitting(seal, event) if event else None
        if event is not None and found is not None:
            yield from self._fits(seal, event, found)
        else:
            yield from self._does_not_fit(seal, event)
        self._number, self._position, self._unsealed = seal.number, seal.position, 0

    def finish(self) -> Iterator[SealProblem]:
        """Tell what was left open."""
        yield from self._settle_unknown()
        if self._doubtful:
            yield self._doubtful
        if self._lateness:
            yield from map(_late, self._lateness.settle())

    def _fitting(self, seal: EventSeal, event: StoredEvent) -> tuple[_Candidate, SealKey] | None:
        """Find the candidate and the key from which this seal follows. Nearly always the first of each does."""
        text = canonical_text(event)
        named = self._keys.get(seal.key_id)
        keys = [*([named] if named else []), *(key for key in self._keys.values() if key is not named)]
        for candidate in self._candidates:
            for key in keys:
                if seal_of(text, after=candidate.link, key=key, sealed_at=seal.sealed_at) == seal.seal:
                    return candidate, key
        return None

    def _fits(self, seal: EventSeal, event: StoredEvent, found: tuple[_Candidate, SealKey]) -> Iterator[SealProblem]:
        candidate, key = found
        self.fitted = True
        yield from self._settle_unknown()
        if self._doubtful:
            yield _judged(self._doubtful, candidate.means)
            self._doubtful = None
        number = candidate.link.number + 1
        if number != seal.number or key.id != seal.key_id:
            yield _problem(event, SealProblemKind.SEAL_CHANGED, "its seal was given another number or key")
        if self._lateness:
            yield from map(_late, self._lateness.take(seal, event))
        self._verified = Link(number, seal.seal)
        self._candidates = [_Candidate(self._verified, SealProblemKind.CHANGED)]

    def _does_not_fit(self, seal: EventSeal, event: StoredEvent | None) -> Iterator[SealProblem]:
        if self._doubtful:
            yield self._doubtful
            self._doubtful = None
        missing = seal.number - self._number - 1 - self._unsealed
        unknown = event is not None and seal.key_id not in self._keys
        if not unknown or (self._unknown and self._unknown.key_id != seal.key_id):
            yield from self._settle_unknown()
        if missing > 0:
            yield self._gap(seal, missing)
        stored = Link(seal.number, seal.seal)
        candidates = [_Candidate(stored, SealProblemKind.CHANGED)]
        if event is None:
            detail = "its seal is there, the event is not"
            yield SealProblem(position=seal.position, kind=SealProblemKind.REMOVED, payment=None, detail=detail)
        elif unknown:
            self._note_unknown(seal)
        elif seal.number != self._number + 1 and (missing > 0 or self._unsealed):
            pass  # what it is chained to is gone, so it proves nothing; the next one is chained to it
        else:
            self._doubtful = _problem(event, SealProblemKind.CHANGED, "is not what was sealed")
            candidates += self._alternatives(seal, event)
        self._candidates = [*candidates, _Candidate(self._verified, SealProblemKind.INSERTED)]

    def _alternatives(self, seal: EventSeal, event: StoredEvent) -> Iterator[_Candidate]:
        """What the next seal is chained to if not to this row as it stands: the row was written over."""
        before = self._candidates[0].link
        yield _Candidate(Link(before.number + 1, seal.seal), SealProblemKind.CHANGED)
        ought = seal_of(canonical_text(event), after=before, key=self._keys[seal.key_id], sealed_at=seal.sealed_at)
        yield _Candidate(Link(before.number + 1, ought), SealProblemKind.SEAL_CHANGED)

    def _gap(self, seal: EventSeal, missing: int) -> SealProblem:
        since = f"position {self._position}" if self._position is not None else "the start"
        detail = f"sealed events that are gone with their seals, after {since}: {missing}"
        return SealProblem(position=seal.position, kind=SealProblemKind.REMOVED, payment=None, detail=detail)

    def _note_unknown(self, seal: EventSeal) -> None:
        if self._unknown is None:
            self._unknown = _UnknownKeys(key_id=seal.key_id, first=seal.position)
        self._unknown.last = seal.position
        self._unknown.count += 1

    def _settle_unknown(self) -> Iterator[SealProblem]:
        if self._unknown:
            yield self._unknown.as_problem()
            self._unknown = None


@dataclass(slots=True, kw_only=True)
class _UnknownKeys:
    """Seals in a row that were made with a secret that is not given: one problem, not a million."""

    key_id: str
    first: int
    last: int = 0
    count: int = 0

    def as_problem(self) -> SealProblem:
        detail = f"seals to position {self.last} that say they were made with key {self.key_id}: {self.count}"
        return SealProblem(position=self.first, kind=SealProblemKind.UNKNOWN_KEY, payment=None, detail=detail)


_JUDGED = {
    SealProblemKind.CHANGED: "is not what was sealed",
    SealProblemKind.SEAL_CHANGED: "is what was sealed; its seal was written over",
    SealProblemKind.INSERTED: "was put between two sealed events, with a seal that nobody with the secret made",
}


def _judged(problem: SealProblem, kind: SealProblemKind) -> SealProblem:
    return SealProblem(position=problem.position, kind=kind, payment=problem.payment, detail=_JUDGED[kind])


def _late(seals: LateSeals) -> SealProblem:
    detail = (
        f"events to position {seals.last} that were recorded long before they were sealed: {seals.count}, recorded "
        f"since {seals.since}, sealed from {seals.sealed_at} on. If somebody was sealing then, they were sealed anew"
    )
    return SealProblem(position=seals.first, kind=SealProblemKind.SEALED_LATE, payment=None, detail=detail)


def _problem(event: StoredEvent, kind: SealProblemKind, detail: str) -> SealProblem:
    payment = f"{event.gateway}:{event.payment_id}"
    return SealProblem(position=event.position, kind=kind, payment=payment, detail=detail)
