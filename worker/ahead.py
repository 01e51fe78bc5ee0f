"""Ahead: the next item is fetched while one is worked on."""

from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def ahead(items: Iterable[_T]) -> Generator[_T, None, None]:
    """Yield items; a thread fetches the one after it meanwhile, and no more than that one.

    What goes wrong with fetching an item comes when that item is asked for. An end before the last item waits until the
    one that is being fetched is there.
    """
    left = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as fetcher:
        fetched = fetcher.submit(next, left, None)
        while (item := fetched.result()) is not None:
            fetched = fetcher.submit(next, left, None)
            yield item
