"""Everything that one simulator holds, and how a request finds it."""

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import Request

from simulator.book import Book
from simulator.callbacks import Callbacks
from simulator.calls import Calls
from simulator.clock import Clock
from simulator.facts import Merchant
from simulator.qpay.sessions import Sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Ways of QPay that differ between places and times. The defaults are what is seen today."""

    expires_in_is_duration: bool = False
    """Tokens tell how many seconds they live instead of the UNIX time at which they end."""
    qr_image_is_empty: bool = False
    """Invoices come without a QR image."""
    check_rows_are_older: bool = False
    """payment/check answers in its older shape: numbers for amounts, and a payment_date."""
    partly_paid_stays_open: bool = False
    """An invoice that is partly paid is not cancelled but answers INVOICE_PAID. Nobody has seen which it is."""


class World:
    """One simulated gateway: who may log in, what happened, and what was asked.

    `switches` may be replaced while the simulator runs. `clock` tells the time in UTC.
    """

    def __init__(
        self,
        merchants: Iterable[Merchant],
        *,
        clock: Clock,
        switches: Switches,
        call_anywhere: bool,
    ) -> None:
        self.merchants = {merchant.username: merchant for merchant in merchants}
        self.clock = clock
        self.switches = switches
        self.book = Book()
        self.calls = Calls()
        self.sessions = Sessions()
        self.callbacks = Callbacks(self.book, clock=clock, call_anywhere=call_anywhere)

    async def reset(self) -> None:
        """Forget invoices, payments, calls, callbacks and tokens; callbacks under way are given up."""
        await self.callbacks.give_up()
        self.book.clear()
        self.calls.clear()
        self.sessions.clear()


def world_of(request: Request) -> World:
    """Find the simulator that a request came to."""
    world = request.app.state.world
    if not isinstance(world, World):
        raise TypeError("this application was not made by simulator.app.create_app")
    return world
