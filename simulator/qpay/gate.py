"""QPay's way through the gate: its refusals, its sessions, and which invoice a call is about."""

from fastapi import Request, Response
from pydantic import ValidationError

from simulator.gate import WireRoute
from simulator.qpay.credentials import credentials, no_credentials
from simulator.qpay.endpoints import CANCEL_PAYMENT, CHECK, GET_PAYMENT, REFUND_PAYMENT
from simulator.qpay.errors import QPayError, Refusal
from simulator.qpay.requests import CheckPayment
from simulator.tampering import Refusals
from simulator.world import World


class QPayRoute(WireRoute):
    """A route of QPay's wire."""

    def refusal(self, error: Exception, *, world: World) -> Response | None:
        """Put a QPayError on the wire."""
        if not isinstance(error, QPayError):
            return None
        return error.answer(in_words=world.switches.validation_in_words)

    def refusals(self, world: World) -> Refusals:
        """Refuse as QPay does."""
        return Refusals(
            busy=QPayError.refused(500, "SYSTEM_BUSY").answer,
            too_many=QPayError.refused(429, "TOO_MANY_REQUESTS").answer,
            unauthorized=no_credentials(world).answer,
        )

    def log_out(self, request: Request, *, world: World) -> None:
        """End the session of the token that came with the call."""
        world.sessions.end_of(credentials(request, "bearer"))

    def code_of(self, answer: Response) -> str:
        """Tell QPay's code for a refusal, else HTTP's."""
        return answer.qpay_code if isinstance(answer, Refusal) else super().code_of(answer)

    async def invoice_id(self, request: Request, *, endpoint: str, world: World) -> str | None:
        """Find it in the path, in the body of a check, or by the payment that is named."""
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
