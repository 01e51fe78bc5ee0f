"""Batches: so many of something at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_Item = TypeVar("_Item")


def batches_of(size: int, items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Give the items in lists of `size`, the last one shorter. itertools has this from Python 3.12 on."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
