"""QPay's login on the wire, and the token that every other call carries."""

from base64 import b64decode
from hmac import compare_digest
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from simulator.facts import Merchant
from simulator.qpay import answers
from simulator.qpay.credentials import credentials, no_credentials
from simulator.qpay.errors import QPayError
from simulator.qpay.gate import QPayRoute
from simulator.world import World, world_of

router = APIRouter(prefix="/v2", route_class=QPayRoute)
log = structlog.get_logger()


@router.post("/auth/token")
async def log_in(request: Request) -> JSONResponse:
    """Start a session for a username and password; the merchant's earlier session ends."""
    world = world_of(request)
    merchant = _by_password(world, credentials(request, "basic"))
    if merchant is None:
        log.info("simulator.login_refused")
        raise QPayError.refused(401, "AUTHENTICATION_FAILED", "Нэвтрэх нэр, нууц үг буруу")  # noqa: RUF001 - Mongolian
    return _new_session(world, merchant.username, event="simulator.logged_in")


@router.post("/auth/refresh")
async def refresh(request: Request) -> JSONResponse:
    """Start a session for a refresh token that has not run out."""
    world = world_of(request)
    username = world.sessions.refreshing(credentials(request, "bearer"), now=world.clock())
    if username is None:
        raise no_credentials(world)
    return _new_session(world, username, event="simulator.refreshed")


async def logged_in(request: Request) -> Merchant:
    """Find the merchant whose live access token came with the call. Raises QPayError 401."""
    world = world_of(request)
    username = world.sessions.merchant_of(credentials(request, "bearer"), now=world.clock())
    if username is None:
        raise no_credentials(world)
    return world.merchants[username]


LoggedIn = Annotated[Merchant, Depends(logged_in)]


def _by_password(world: World, given: str) -> Merchant | None:
    try:
        username, _, password = b64decode(given, validate=True).decode().partition(":")
    except ValueError:
        return None
    merchant = world.merchants.get(username)
    if merchant is None or not compare_digest(merchant.password.encode(), password.encode()):
        return None
    return merchant


def _new_session(world: World, username: str, *, event: str) -> JSONResponse:
    session = world.sessions.start(username, merchant_id=world.merchants[username].merchant_id, now=world.clock())
    log.info(event, merchant=username)
    return JSONResponse(answers.token_body(session, as_duration=world.switches.expires_in_is_duration))
