"""QPay v2 on the wire: all its calls, and the refusal of every other."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from simulator.qpay import auth, invoices, listing, payments
from simulator.qpay.errors import QPayError
from simulator.qpay.gate import QPayRoute

unknown = APIRouter(prefix="/v2", route_class=QPayRoute)


@unknown.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def nothing_here(request: Request) -> JSONResponse:
    """Refuse every other path, and every other method."""
    raise QPayError.refused(404, "NOT_FOUND", f"Cannot {request.method} {request.url.path}")


ROUTERS = (auth.router, invoices.router, listing.router, payments.router, unknown)
"""In this order: the last one takes what the others leave."""
