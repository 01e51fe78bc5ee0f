"""SocialPay on the wire: all its calls, and the refusal of every other, payment/cancel and settlement among them."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from simulator.socialpay import invoices
from simulator.socialpay.errors import Problem, refused
from simulator.socialpay.gate import SocialPayRoute
from simulator.world import world_of

unknown = APIRouter(prefix="/pos", route_class=SocialPayRoute)


@unknown.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def nothing_here(request: Request) -> JSONResponse:
    """Refuse every other path, and every other method."""
    return refused(Problem.NOT_FOUND, switches=world_of(request).switches, status_code=404)


ROUTERS = (invoices.router, unknown)
"""In this order: the last one takes what the others leave."""
