"""What a gateway cannot tell, or moves while it tells it, holds up nothing else, and is found all the same."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import pytest

from simulator.faults import Drawn, Fault, Rule
from simulator.world import Switches
from tests.waiting import wait_until
from tests.worker.conftest import Stack
from tests.worker.discovery.sales import LIST, LOOK_UP, calls, run, sold
from worker.discover import Discover, DiscoveryUnfinishedError, discover_once
from worker.sweep import STOPPED, UNREAD_MAX


def test_a_gateway_that_does_not_answer_fails_the_run_and_the_next_one_finds_all(
    stack: Stack, discover: Discover
) -> None:
    sold(stack, "order-1")
    stack.gateway.cut()

    with pytest.raises(DiscoveryUnfinishedError, match="qpay"):
        discover_once(discover)
    stack.gateway.mend()
    wait_until(lambda: run(discover).steps.rung + run(discover).steps.waiting > 0)


@pytest.mark.usefixtures("working")
def test_a_window_that_cannot_be_read_keeps_no_other_from_being_read(
    stack: Stack, discover: Discover, later: Callable[[timedelta], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sold(stack, "order-1")
    run(discover)  # now the zone is known
    later(timedelta(hours=1))
    faults, draw = stack.simulator.world.faults, stack.simulator.world.faults.draw
    asked = count()

    def cut_off_at_first(endpoint: str) -> Drawn | None:
        first = endpoint == LIST and next(asked) == 0
        return Drawn(kind=Fault.TRUNCATED, seconds=0, chance=Random(0)) if first else draw(endpoint)

    monkeypatch.setattr(faults, "draw", cut_off_at_first)

    found = run(discover)
    again = run(discover)

    assert (found.swept.unread, found.swept.left, found.swept.stopped) == (1, 0, False)
    assert found.failed is not None
    assert found.swept.questions > 3
    assert (again.swept.unread, again.failed) == (0, None)


@pytest.mark.usefixtures("working")
def test_a_list_that_cannot_be_read_at_all_ends_the_sweep_soon(
    stack: Stack, discover: Discover, later: Callable[[timedelta], None]
) -> None:
    sold(stack, "order-1")
    run(discover)
    later(timedelta(hours=1))
    stack.simulator.world.faults.set([Rule(endpoint=LIST, kind=Fault.TRUNCATED, probability=1)])
    before = calls(stack, LIST)

    found = run(discover)

    assert found.swept.stopped
    assert found.swept.left > 0
    assert calls(stack, LIST) - before == UNREAD_MAX


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("switches", [Switches(list_object_id="absent", list_without_qr_code=True)])
def test_a_payment_that_the_gateway_never_tells_of_holds_up_no_other_and_is_not_polled(
    stack: Stack, discover: Discover, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold(stack, "order-1", "order-2", "order-3")
    faults, draw = stack.simulator.world.faults, stack.simulator.world.faults.draw
    asked = count()

    def busy_at_first(endpoint: str) -> Drawn | None:
        return (
            Drawn(kind=Fault.BUSY, seconds=0, chance=Random(0))
            if endpoint == LOOK_UP and not next(asked)
            else draw(endpoint)
        )

    monkeypatch.setattr(faults, "draw", busy_at_first)

    first = run(discover)
    again = run(discover)

    assert (first.steps.not_told, first.steps.looked_up, first.steps.rung) == (1, 2, 2)
    assert first.failed == "1 payments could not be looked up: see the log"
    assert (again.steps.not_told, again.steps.looked_up, again.failed) == (0, 0, None)
    assert calls(stack, LOOK_UP) == 3


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("switches", [Switches(list_object_id="absent", list_without_qr_code=True)])
def test_who_is_told_to_stop_asks_no_more_and_the_next_one_goes_on(
    stack: Stack, discover: Discover, told_to_stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold(stack, "order-1", "order-2", "order-3")
    faults, draw = stack.simulator.world.faults, stack.simulator.world.faults.draw

    def stop_at_the_first(endpoint: str) -> Drawn | None:
        if endpoint == LOOK_UP:
            told_to_stop.set()
        return draw(endpoint)

    monkeypatch.setattr(faults, "draw", stop_at_the_first)

    stopped = run(discover)
    monkeypatch.undo()
    told_to_stop.clear()
    again = run(discover)

    assert (stopped.failed, stopped.steps.looked_up, stopped.steps.rung) == (STOPPED, 1, 1)
    assert (again.failed, again.steps.looked_up) == (None, 2)


@pytest.mark.slow
@pytest.mark.parametrize("switches", [Switches(list_newest_first=True)])
def test_fault_14_a_row_that_comes_while_the_list_is_paged_is_found(
    stack: Stack, discover: Discover, sql: Callable[..., list[Any]]
) -> None:
    stack.put("order-1", amount=10_000_000)
    stack.pay_link("order-1")
    for _ in range(150):
        stack.pay("order-1", amount=10, callback="drop")
    sold(stack, "late")
    hidden = stack.simulator.world
    pages = 0
    listing = hidden.calls.count

    def pay_between_pages(endpoint: str, *, invoice_id: str | None) -> None:
        nonlocal pages
        listing(endpoint, invoice_id=invoice_id)
        pages += endpoint == LIST
        if endpoint == LIST and pages == 5:  # the page of the zone, two probes, the first page, and now the second
            stack.simulator.world.book.add_payment(_another_of(stack))

    hidden.calls.count = pay_between_pages  # type: ignore[method-assign]  # at the simulator's own counter

    run(discover)
    run(discover)

    assert sql("SELECT count(*) FROM found_payment") == [(152,)]


def _another_of(stack: Stack) -> Any:
    book = stack.simulator.world.book
    last = book.payments()[-1]
    return replace(last, payment_id="999999999999999", paid_at=last.paid_at + timedelta(milliseconds=1))
