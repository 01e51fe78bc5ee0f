"""Seals in PostgreSQL: the one who seals, and pages of events and seals to audit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from adapters.postgres.connection import Connection, Pool
from adapters.postgres.queries import load_queries
from domain.seal import START, EventSeal, Link, SealKey, StoredEvent, seal_events

_queries = load_queries("seals")

_SEALER_LOCK = 0x7365616C73
"""Any number that nobody else locks: "seals" in ASCII."""

_FIRST = -(2**63)
"""The lowest bigint: whoever forges a position may take any."""

PAGE = 2_000
"""Rows read at once by an audit: a few MB, and milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest seal: its event's position, how many events are sealed, and the seal itself."""

    position: int
    count: int
    seal: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What one transaction of the sealer came to: the new seals, and the newest of all if it was the one to seal."""

    seals: Sequence[EventSeal]
    head: Head | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """Events that have no seal although they were recorded before some time."""

    count: int
    position: int
    since: str


class LostHeadError(Exception):
    """A head that was there is gone, or another seal in its place. Trying again does not help: a person must look."""

    def __init__(self, known: Head) -> None:
        super().__init__(f"the seal at position {known.position} is gone or another")
        self.known = known


class Seals:
    """The seals of payment events. Each method is one transaction, the iterators one for each page."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def seal_up_to(self, position: int, *, key: SealKey, sealed_at: datetime, page: int, known: Head | None) -> Sealed:
        """Seal the next events, at most `page`, up to a position below which nothing is still to be committed.

        One transaction, under a lock that nobody waits for: of several sealers one seals and the others do nothing.
        `known` is the newest head that the caller has seen; nothing is sealed unless it still stands.

        Returns the new seals; none when all is sealed, or when somebody else is at it.

        Raises:
            LostHeadError: `known` does not stand; nothing was sealed.
            psycopg.Error: the transaction failed, or nobody knows whether it was committed; safe to repeat.

        """
        with self._pool.connection() as connection, connection.transaction():
            if not _queries.try_lock(connection, lock=_SEALER_LOCK):
                return Sealed(seals=(), head=None)
            head = _read_head(connection)
            if known and _queries.seal_at(connection, position=known.position) != known.seal:
                raise LostHeadError(known)
            if head and head.position >= position:
                return Sealed(seals=(), head=head)
            rows = _queries.events_between(
                connection, first=head.position + 1 if head else _FIRST, last=position, page=page
            )
            events = [StoredEvent(**row) for row in rows]
            after = Link(head.count, head.seal) if head else START
            seals = seal_events(events, after=after, key=key, sealed_at=sealed_at)
            _queries.insert_seals(
                connection,
                numbers=[seal.number for seal in seals],
                positions=[seal.position for seal in seals],
                seals=[seal.seal for seal in seals],
                sealed_at=sealed_at,
                key_id=key.id,
            )
        return Sealed(seals=seals, head=_head_of(seals[-1]) if seals else head)

    def passed_over(self) -> int | None:
        """Read the position of an event right below the head that has no seal and will get none, if one is."""
        with self._pool.connection() as connection:
            position: int | None = _queries.passed_over(connection)
        return position

    def head(self) -> Head | None:
        """Read the newest seal; None before there is one."""
        with self._pool.connection() as connection:
            return _read_head(connection)

    def seal_at(self, position: int) -> bytes | None:
        """Read the seal of one event; None where there is none."""
        with self._pool.connection() as connection:
            seal: bytes | None = _queries.seal_at(connection, position=position)
        return seal

    def has_seal_of(self, keys: list[SealKey]) -> bool:
        """Tell whether any seal says that it was made with one of these keys."""
        with self._pool.connection() as connection:
            return bool(_queries.has_seal_of(connection, key_ids=[key.id for key in keys]))

    def newest_key_id(self) -> str | None:
        """Read which key the newest seal says that it was made with."""
        with self._pool.connection() as connection:
            key_id: str | None = _queries.newest_key_id(connection)
        return key_id

    def count_unsealed(self, head: Head | None) -> int:
        """Count the events behind a head; without one, all."""
        with self._pool.connection() as connection:
            return int(_queries.count_events_from(connection, first=head.position + 1 if head else _FIRST))

    def unsealed_since(self, head: Head | None, *, before: datetime) -> Unsealed | None:
        """Read which events behind a head were recorded before a time; None when there are none."""
        first = head.position + 1 if head else _FIRST
        with self._pool.connection() as connection:
            row = _queries.unsealed_since(connection, first=first, before=before)
        return Unsealed(**row) if row["count"] else None

    def events(self, *, up_to: int, page: int = PAGE) -> Iterator[StoredEvent]:
        """Read all events up to a position, in order, a page at a time.

        Pages need no snapshot in common: what is sealed was committed before, and does not change.
        """

        def read(first: int) -> list[StoredEvent]:
            with self._pool.connection() as connection:
                rows = _queries.events_between(connection, first=first, last=up_to, page=page)
                return [StoredEvent(**row) for row in rows]

        return _pages(read, page=page)

    def seals(self, *, up_to: int, page: int = PAGE) -> Iterator[EventSeal]:
        """Read all seals up to a position, in order, a page at a time."""

        def read(first: int) -> list[EventSeal]:
            with self._pool.connection() as connection:
                rows = _queries.seals_between(connection, first=first, last=up_to, page=page)
                return [EventSeal(**row) for row in rows]

        return _pages(read, page=page)


_Row = TypeVar("_Row", StoredEvent, EventSeal)


def _pages(read: Callable[[int], list[_Row]], *, page: int) -> Iterator[_Row]:
    """Read page behind page, each from the last position of the one before.

    That position is left to the next page: who drops the primary key can put a second row at it, and hide it there.
    """
    first = _FIRST
    while len(rows := read(first)) == page:
        whole = [row for row in rows if row.position < rows[-1].position] or rows
        yield from whole
        first = whole[-1].position + 1
    yield from rows


def _read_head(connection: Connection) -> Head | None:
    row = _queries.head(connection)
    return None if row is None else Head(position=row["position"], count=row["number"], seal=row["seal"])


def _head_of(seal: EventSeal) -> Head:
    return Head(position=seal.position, count=seal.number, seal=seal.seal)
