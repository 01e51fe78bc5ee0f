"""One item is fetched ahead, and no more; what goes wrong comes where it is asked for."""

import threading
from collections.abc import Iterator

import pytest

from worker.ahead import ahead


def test_items_come_in_order_and_the_next_one_is_fetched_meanwhile() -> None:
    fetched = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(fetched):
            event.set()
            yield number

    for number in (given := ahead(items())):
        if number == 0:
            assert fetched[1].wait(timeout=60)
            assert not fetched[2].is_set(), "one ahead, and no more"
            break

    assert list(given) == [1, 2, 3]
    assert list(ahead(range(5))) == [0, 1, 2, 3, 4]


def test_an_error_of_fetching_comes_after_what_was_fetched_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the server is away")

    given = ahead(items())

    assert next(given) == 1
    with pytest.raises(ValueError, match="the server is away"):
        next(given)


def test_who_stops_early_leaves_no_thread_behind() -> None:
    given = ahead(range(5))
    assert next(given) == 0

    given.close()

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]
