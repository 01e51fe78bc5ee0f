"""The one gate that every wire call goes through: it is counted here, and here refusals become answers."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from simulator.qpay.errors import QPayError
from simulator.qpay.requests import CheckPayment
from simulator.world import World, world_of

CHECK = "POST /v2/payment/check"
GET_INVOICE = "GET /v2/invoice/{invoice_id}"
CANCEL_INVOICE = "DELETE /v2/invoice/{invoice_id}"
GET_PAYMENT = "GET /v2/payment/{payment_id}"
REFUND_PAYMENT = "DELETE /v2/payment/refund/{payment_id}"
CANCEL_PAYMENT = "DELETE /v2/payment/cancel/{payment_id}"


class WireRoute(APIRoute):
    """A route of the wire. What is to happen to every call, before or after it is acted upon, belongs in here."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap what FastAPI made of the endpoint."""
        act = super().get_route_handler()

        async def pass_through(request: Request) -> Response:
            world = world_of(request)
            endpoint = f"{request.method} {self.path}"
            world.calls.count(endpoint, invoice_id=await _invoice_id(request, world, endpoint=endpoint))
            try:
                return await act(request)
            except QPayError as refusal:
                return refusal.answer()

        return pass_through


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
