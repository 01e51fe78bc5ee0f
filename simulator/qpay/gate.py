"""The one gate that every wire call goes through: counted, met by a fault or not, answered, and written down."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from simulator.calls import AnsweredCall
from simulator.faults import Drawn
from simulator.qpay.credentials import credentials, no_credentials
from simulator.qpay.endpoints import CANCEL_PAYMENT, CHECK, GET_PAYMENT, REFUND_PAYMENT
from simulator.qpay.errors import QPayError
from simulator.qpay.requests import CheckPayment
from simulator.qpay.tampering import instead, tampered
from simulator.wire import NoAnswer
from simulator.world import World, world_of

Act = Callable[[Request], Coroutine[Any, Any, Response]]


class WireRoute(APIRoute):
    """A route of the wire. What is to happen to every call, before or after it is acted upon, belongs in here."""

    def get_route_handler(self) -> Act:
        """Wrap what FastAPI made of the endpoint."""
        handle = super().get_route_handler()

        async def act(request: Request) -> Response:
            try:
                return await handle(request)
            except QPayError as refusal:
                return refusal.answer(in_words=world_of(request).switches.validation_in_words)

        async def pass_through(request: Request) -> Response:
            world = world_of(request)
            endpoint = f"{request.method} {self.path}"
            await request.body()  # so that no fault meets half a request
            invoice_id = await _invoice_id(request, world, endpoint=endpoint)
            world.calls.count(endpoint, invoice_id=invoice_id)
            drawn = world.faults.draw(endpoint)
            answer = await act(request) if drawn is None else await _met_by(drawn, request, act)
            if drawn is not None and drawn.done:
                world.faults.note(endpoint, drawn.kind)
            fault = drawn.kind.value if drawn is not None and drawn.done else None
            world.calls.keep(_answered(answer, endpoint=endpoint, invoice_id=invoice_id, fault=fault, world=world))
            return answer

        return pass_through


async def _met_by(drawn: Drawn, request: Request, act: Act) -> Response:
    world = world_of(request)
    request.state.fault = drawn
    spoiled = await instead(
        drawn, log_out=lambda: world.sessions.end_of(credentials(request, "bearer")), unauthorized=no_credentials(world)
    )
    return tampered(await act(request), drawn) if spoiled is None else spoiled


def _answered(
    answer: Response, *, endpoint: str, invoice_id: str | None, fault: str | None, world: World
) -> AnsweredCall:
    unanswered = isinstance(answer, NoAnswer)
    return AnsweredCall(
        at=world.clock(),
        endpoint=endpoint,
        invoice_id=invoice_id,
        status_code=None if unanswered else answer.status_code,
        code=None if unanswered else _code(answer),
        fault=fault,
    )


def _code(answer: Response) -> str:
    """Tell the answer in a word: QPay's code for a refusal, else HTTP's."""
    code = getattr(answer, "qpay_code", None)
    return code if isinstance(code, str) else HTTPStatus(answer.status_code).phrase


async def _invoice_id(request: Request, world: World, *, endpoint: str) -> str | None:
    """Tell which invoice a call is about; None when it is about none, or about something that is not there."""
    if endpoint == CHECK:
        try:
            return CheckPayment.model_validate_json(await request.body()).object_id
        except ValidationError:
            return None  # the handler refuses it, in words
    if endpoint in {GET_PAYMENT, REFUND_PAYMENT, CANCEL_PAYMENT}:
        payment = world.book.payment(request.path_params["payment_id"])
        return None if payment is None else payment.invoice_id
    invoice_id: str | None = request.path_params.get("invoice_id")
    return invoice_id
