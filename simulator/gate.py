"""The one gate that every wire call goes through: counted, met by a fault or not, answered, and written down."""

from abc import abstractmethod
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from simulator.calls import AnsweredCall
from simulator.faults import Drawn
from simulator.tampering import Refusals, instead, tampered
from simulator.wire import NoAnswer
from simulator.world import World, world_of

Act = Callable[[Request], Coroutine[Any, Any, Response]]


class WireRoute(APIRoute):
    """A route of a gateway's wire. What is to happen to every call, before or after it is acted upon, belongs here."""

    @abstractmethod
    def refusal(self, error: Exception, *, world: World) -> Response | None:
        """Put an error of this wire on it; None for any other, which is a mistake of the simulator."""

    @abstractmethod
    def refusals(self, world: World) -> Refusals:
        """Say how this gateway refuses what a fault lets it refuse."""

    @abstractmethod
    async def invoice_id(self, request: Request, *, endpoint: str, world: World) -> str | None:
        """Tell which invoice a call is about; None when it is about none, or about something that is not there."""

    def log_out(self, request: Request, *, world: World) -> None:
        """End the session that the call came with, where this gateway has any."""

    def code_of(self, answer: Response) -> str:
        """Tell the answer in a word."""
        return HTTPStatus(answer.status_code).phrase

    def get_route_handler(self) -> Act:
        """Wrap what FastAPI made of the endpoint."""
        handle = super().get_route_handler()

        async def act(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                refusal = self.refusal(error, world=world_of(request))
                if refusal is None:
                    raise
                return refusal

        async def pass_through(request: Request) -> Response:
            world = world_of(request)
            endpoint = f"{request.method} {self.path}"
            await request.body()  # so that no fault meets half a request
            invoice_id = await self.invoice_id(request, endpoint=endpoint, world=world)
            world.calls.count(endpoint, invoice_id=invoice_id)
            drawn = world.faults.draw(endpoint)
            answer = await act(request) if drawn is None else await self._met_by(drawn, request, act)
            if drawn is not None and drawn.done:
                world.faults.note(endpoint, drawn.kind)
            fault = drawn.kind.value if drawn is not None and drawn.done else None
            world.calls.keep(self._answered(answer, endpoint=endpoint, invoice_id=invoice_id, fault=fault, world=world))
            return answer

        return pass_through

    async def _met_by(self, drawn: Drawn, request: Request, act: Act) -> Response:
        world = world_of(request)
        request.state.fault = drawn
        spoiled = await instead(
            drawn, log_out=lambda: self.log_out(request, world=world), refusals=self.refusals(world)
        )
        return tampered(await act(request), drawn) if spoiled is None else spoiled

    def _answered(
        self, answer: Response, *, endpoint: str, invoice_id: str | None, fault: str | None, world: World
    ) -> AnsweredCall:
        unanswered = isinstance(answer, NoAnswer)
        return AnsweredCall(
            at=world.clock(),
            endpoint=endpoint,
            invoice_id=invoice_id,
            status_code=None if unanswered else answer.status_code,
            code=None if unanswered else self.code_of(answer),
            fault=fault,
        )
