"""What a process holds: the leases of the checks and runs at hand, to be let go when it must stop before they end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import structlog

log = structlog.get_logger()


class Held:
    """The leases that the threads of one process hold at the moment."""

    def __init__(self) -> None:
        self.told_to_stop = threading.Event()
        """Set once the process is to end: what takes long begins nothing more."""
        self._lock = threading.Lock()
        self._releases: dict[object, Callable[[], object]] = {}

    @contextmanager
    def holding(self, release: Callable[[], object]) -> Iterator[None]:
        """Know of a lease for as long as the context lasts; `release` frees it, and too late does no harm."""
        lease = object()
        with self._lock:
            self._releases[lease] = release
        try:
            yield
        finally:
            with self._lock:
                self._releases.pop(lease, None)

    def release_all(self) -> int:
        """Free every lease that is still held, as well as PostgreSQL lets us, and return how many that was.

        Others begin anew at once instead of when the leases run out. A thread that goes on nevertheless writes what it
        appends once, like anybody who comes late.
        """
        with self._lock:
            releases = list(self._releases.values())
        for release in releases:
            try:
                release()
            except psycopg.Error as error:
                log.warning("lease.kept", error=type(error).__name__, consequence="it runs out by itself")
        return len(releases)
