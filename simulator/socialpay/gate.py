"""SocialPay's way through the gate: its refusals, and which invoice a call is about."""

from functools import partial

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError

from simulator.gate import WireRoute
from simulator.socialpay.errors import Problem, Refusal, SocialPayError, refused
from simulator.tampering import Refusals
from simulator.world import World


class _Number(BaseModel):
    invoice: str


class SocialPayRoute(WireRoute):
    """A route of SocialPay's wire."""

    def refusal(self, error: Exception, *, world: World) -> Response | None:
        """Put a SocialPayError on the wire."""
        return refused(error.problem, switches=world.switches) if isinstance(error, SocialPayError) else None

    def refusals(self, world: World) -> Refusals:
        """Refuse as SocialPay might. Unauthorised is a checksum that it does not take, though it is right."""
        switches = world.switches
        busy = partial(refused, Problem.SYSTEM_BUSY, switches=switches, status_code=500)
        too_many = partial(refused, Problem.TOO_MANY_REQUESTS, switches=switches, status_code=429)
        return Refusals(
            busy=busy,
            too_many=too_many,
            unauthorized=partial(refused, Problem.INVALID_CHECKSUM, switches=switches),
        )

    def code_of(self, answer: Response) -> str:
        """Tell the type of a refusal, whatever the wire calls it; else HTTP's phrase."""
        return answer.problem.name if isinstance(answer, Refusal) else super().code_of(answer)

    async def invoice_id(self, request: Request, *, endpoint: str, world: World) -> str | None:  # noqa: ARG002 - the same for all
        """Find it by the number in the body."""
        try:
            number = _Number.model_validate_json(await request.body()).invoice
        except ValidationError:
            return None  # the handler refuses it
        invoice = world.book.newest(number, now=world.clock())
        return None if invoice is None or invoice.gateway != "socialpay" else invoice.invoice_id
