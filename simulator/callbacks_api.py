"""The control API's callbacks: what became of each, and letting go of those that are held."""

from random import Random
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, ValidationError

from simulator.callbacks import Announcement
from simulator.clock import rfc3339
from simulator.problems import invalid
from simulator.world import world_of

router = APIRouter(prefix="/simulator")


class ReleaseOrder(BaseModel):
    """In which order held callbacks go out, one after the other."""

    model_config = ConfigDict(extra="forbid")

    order: Literal["kept", "reversed", "shuffled"] = "kept"
    """Shuffled by the simulator's seed."""


@router.get("/callbacks")
async def callbacks(request: Request) -> JSONResponse:
    """Tell what became of each callback, and how many are still under way or wait for their time."""
    world = world_of(request)
    sent = [
        {
            "paymentId": one.payment_id,
            "invoiceId": one.invoice_id,
            "attempt": one.attempt,
            "url": one.masked_url,
            "sentAt": rfc3339(one.sent_at),
            "statusCode": one.status_code,
            "body": one.body,
            "error": one.error,
            "taken": one.taken,
        }
        for one in world.book.callbacks()
    ]
    return JSONResponse({"callbacks": sent, "pending": world.callbacks.pending})


@router.get("/callbacks/held")
async def held(request: Request) -> JSONResponse:
    """Tell which callbacks are held, oldest first."""
    waiting = world_of(request).callbacks.held
    return JSONResponse(
        {"held": [{"paymentId": one.payment.payment_id, "invoiceId": one.invoice.invoice_id} for one in waiting]}
    )


@router.post("/callbacks/release")
async def release(request: Request) -> JSONResponse:
    """Send the held callbacks. The body is a ReleaseOrder, or nothing. 202 with how many; 422 INVALID."""
    world = world_of(request)
    try:
        wanted = ReleaseOrder.model_validate_json(await request.body() or b"{}")
    except ValidationError as problems:
        return invalid(problems)

    def arranged(waiting: list[Announcement]) -> list[Announcement]:
        match wanted.order:
            case "kept":
                return waiting
            case "reversed":
                return waiting[::-1]
            case "shuffled":
                return Random(world.faults.seed).sample(waiting, len(waiting))  # noqa: S311 - no secret

    return JSONResponse({"released": world.callbacks.release(arranged=arranged)}, status_code=202)
