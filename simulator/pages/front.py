"""The front page: which invoices are open, and what was called and answered."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from simulator.facts import InvoiceState
from simulator.pages.rendering import page
from simulator.world import world_of

LISTED = 100
"""So many invoices are listed, newest first."""
CALLS = 30

router = APIRouter()


@router.get("/")
async def front(request: Request) -> HTMLResponse:
    """List the open invoices, or with `?show=all` every one."""
    world = world_of(request)
    now = world.clock()
    show_all = request.query_params.get("show") == "all"
    with world.book.lock:
        listed = [(one, world.book.state(one, now=now)) for one in reversed(world.book.invoices())]
    if not show_all:
        listed = [(invoice, state) for invoice, state in listed if state is InvoiceState.OPEN]
    return page(
        request,
        "front.html",
        count=len(listed),
        invoices=listed[:LISTED],
        show_all=show_all,
        several_merchants=len(world.merchants) > 1,
        calls=world.calls.latest()[:CALLS],
        now=now,
        faults=world.faults,
    )
