"""Everything that one simulator holds, and how a request finds it."""

from collections.abc import Iterable

from fastapi import Request

from simulator.book import Book
from simulator.callbacks import Announcement, Callbacks, Outgoing
from simulator.calls import Calls
from simulator.clock import Clock, MovableClock
from simulator.facts import Merchant, Terminal
from simulator.faults import Faults
from simulator.qpay import callback as qpay_callback
from simulator.qpay import endpoints as qpay
from simulator.qpay.sessions import Sessions
from simulator.socialpay import endpoints as socialpay
from simulator.socialpay.push import push
from simulator.switches import Switches

__all__ = ["Switches", "World", "world_of"]


class World:
    """The simulated gateways: who may log in or sign, what happened, what was asked, and how it misbehaves.

    `switches` may be replaced while the simulator runs. `clock` tells the time in UTC; what the world shows can be
    moved from it. Faults are drawn from `seed`.
    """

    def __init__(
        self,
        merchants: Iterable[Merchant],
        *,
        clock: Clock,
        switches: Switches,
        call_anywhere: bool,
        seed: int,
        terminals: Iterable[Terminal] = (),
    ) -> None:
        self.merchants = {merchant.username: merchant for merchant in merchants}
        self.terminals = {terminal.terminal: terminal for terminal in terminals}
        self.clock = MovableClock(clock)
        self.switches = switches
        self.book = Book(refunded_stays_paid=lambda: self.switches.refunded_stays_paid)
        self.calls = Calls()
        self.faults = Faults(seed, possible=qpay.POSSIBLE | socialpay.POSSIBLE)
        self.sessions = Sessions()
        self.callbacks = Callbacks(
            self.book,
            clock=self.clock,
            call_anywhere=call_anywhere,
            says={"qpay": self._call_back, "socialpay": self._push},
            switches=lambda: self.switches,
        )

    def _call_back(self, announcement: Announcement) -> Outgoing:
        return qpay_callback.say(announcement, by_post=self.switches.callback_by_post)

    def _push(self, announcement: Announcement) -> Outgoing:
        return push(announcement, terminals=self.terminals, switches=self.switches)

    async def reset(self) -> None:
        """Forget invoices, payments, calls, callbacks and tokens; end faults, and give up callbacks under way.

        The clock tells the real time again. Switches, merchants and terminals stay as they are.
        """
        await self.callbacks.give_up()
        self.book.clear()
        self.calls.clear()
        self.sessions.clear()
        self.faults.set(())
        self.clock.reset()


def world_of(request: Request) -> World:
    """Find the simulator that a request came to."""
    world = request.app.state.world
    if not isinstance(world, World):
        raise TypeError("this application was not made by simulator.app.create_app")
    return world
