"""Few at once: do the same to many things in a few threads, taking the next one only when a thread is free."""

import threading
from collections.abc import Callable, Iterable
from itertools import takewhile
from queue import Queue
from typing import TypeVar

T = TypeVar("T")


def few_at_once(work: Callable[[T], object], items: Iterable[T], *, threads: int) -> None:
    """Call `work` with each item, `threads` at once at most, and wait until all are done.

    Items are taken as they can be worked on, so that memory holds a few of them however many there are. After an error,
    of `work` or of taking the next one, no more are begun; it is raised here once what was begun is done. The threads
    do not keep a process from ending.
    """
    waiting: Queue[tuple[T] | None] = Queue(maxsize=1)
    errors: list[Exception] = []

    def run() -> None:
        while (taken := waiting.get()) is not None:
            try:
                if not errors:
                    work(*taken)
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                errors.append(error)

    crew = [threading.Thread(target=run, name=f"few-{number}", daemon=True) for number in range(threads)]
    for one in crew:
        one.start()
    try:
        for item in takewhile(lambda _: not errors, items):
            waiting.put((item,))
    finally:
        for _ in crew:
            waiting.put(None)
        for one in crew:
            one.join()
    if errors:
        raise errors[0]
