"""The control API's settings: faults, switches, the clock, merchants and terminals; and what was called lately."""

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from simulator.clock import rfc3339
from simulator.facts import Merchant, Terminal
from simulator.faults import EVERY, Rule
from simulator.problems import invalid, problem
from simulator.switches import as_json, changed
from simulator.world import World, world_of

SEED_MAX = 2**53
YEAR_S = 86_400 * 366

router = APIRouter(prefix="/simulator")
log = structlog.get_logger()
_CHANGES = TypeAdapter(dict[str, object])


class _Order(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid")


class RuleOrder(_Order):
    """How likely a fault is to meet a call. `*` stands for every endpoint, and for all kinds in equal shares."""

    endpoint: str = EVERY
    kind: str = EVERY
    probability: float = Field(ge=0, le=1)
    seconds: float | None = Field(default=None, gt=0, le=600)
    """How long, where a fault takes time: until the answer, until a retry, between two bytes."""


class FaultsOrder(_Order):
    """All rules, in place of those before; none is no faults. Drawing begins anew."""

    seed: int | None = Field(default=None, ge=0, le=SEED_MAX)
    rules: tuple[RuleOrder, ...] = Field(default=(), max_length=1_000)


class ClockOrder(_Order):
    """What time it is. Both left out: the real time again."""

    now: AwareDatetime | None = None
    advance_s: float | None = Field(default=None, ge=-YEAR_S, le=YEAR_S)


class MerchantOrder(_Order):
    """One more merchant, or another password for one."""

    username: str = Field(min_length=1, max_length=45, pattern=r"^[^:]+$")
    password: str = Field(min_length=1, max_length=255)
    invoice_code: str = Field(min_length=1, max_length=45)


class TerminalOrder(_Order):
    """One more terminal at SocialPay, or another secret or address for one."""

    terminal: str = Field(pattern=r"^[A-Za-z0-9]{8}$")
    secret: str = Field(min_length=1, max_length=255)
    push_url: str = Field(default="", max_length=255)


@router.get("/faults")
async def faults(request: Request) -> JSONResponse:
    """Tell the seed, the rules, and how often each fault has happened at each endpoint."""
    return JSONResponse(_faults(world_of(request)))


@router.put("/faults")
async def set_faults(request: Request) -> JSONResponse:
    """Set the faults. The body is a FaultsOrder. 200 as GET answers; 422 INVALID."""
    world = world_of(request)
    try:
        order = FaultsOrder.model_validate_json(await request.body())
        rules = [Rule(**rule.model_dump()) for rule in order.rules]
        world.faults.set(rules, seed=order.seed)
    except ValidationError as problems:
        return invalid(problems)
    except ValueError as refusal:
        return problem(422, "INVALID", str(refusal))
    log.info("simulator.faults", seed=world.faults.seed, rules=len(rules))
    return JSONResponse(_faults(world))


@router.get("/switches")
async def switches(request: Request) -> JSONResponse:
    """Tell every switch with its value."""
    return JSONResponse(as_json(world_of(request).switches))


@router.patch("/switches")
async def set_switches(request: Request) -> JSONResponse:
    """Set the switches that the body names, and keep the others. 200 with all of them; 422 INVALID."""
    world = world_of(request)
    try:
        world.switches = changed(world.switches, _CHANGES.validate_json(await request.body()))
    except ValidationError as problems:
        return invalid(problems)
    return JSONResponse(as_json(world.switches))


@router.get("/clock")
async def clock(request: Request) -> JSONResponse:
    """Tell the simulator's time."""
    return JSONResponse(_time(world_of(request)))


@router.put("/clock")
async def set_clock(request: Request) -> JSONResponse:
    """Set the clock, which runs on from there. The body is a ClockOrder. 200 with the time; 422 INVALID."""
    world = world_of(request)
    try:
        order = ClockOrder.model_validate_json(await request.body())
    except ValidationError as problems:
        return invalid(problems)
    world.clock.set(order.now, advance_s=order.advance_s)
    return JSONResponse(_time(world))


@router.get("/merchants")
async def merchants(request: Request) -> JSONResponse:
    """Tell who may log in, without their passwords."""
    return JSONResponse({"merchants": [_merchant(one) for one in world_of(request).merchants.values()]})


@router.post("/merchants")
async def add_merchant(request: Request) -> JSONResponse:
    """Let one more merchant log in, or one with another password. The body is a MerchantOrder. 201; 422 INVALID."""
    world = world_of(request)
    try:
        order = MerchantOrder.model_validate_json(await request.body())
    except ValidationError as problems:
        return invalid(problems)
    merchant = Merchant(username=order.username, password=order.password, invoice_code=order.invoice_code)
    world.merchants[merchant.username] = merchant
    return JSONResponse(_merchant(merchant), status_code=201)


@router.post("/merchants/{username}/log-in-elsewhere")
async def log_in_elsewhere(request: Request, username: str) -> JSONResponse:
    """Log the merchant in as another program would: the token that lives is dead. 200; 404 MERCHANT_NOT_FOUND."""
    world = world_of(request)
    if username not in world.merchants:
        return problem(404, "MERCHANT_NOT_FOUND", "no such merchant may log in here")
    return JSONResponse({"ended": world.sessions.end(username)})


@router.get("/terminals")
async def terminals(request: Request) -> JSONResponse:
    """Tell which terminals there are, without their secrets and the addresses that they push to."""
    return JSONResponse({"terminals": [{"terminal": one} for one in world_of(request).terminals]})


@router.post("/terminals")
async def add_terminal(request: Request) -> JSONResponse:
    """Give one more terminal out, or another secret or address. The body is a TerminalOrder. 201; 422 INVALID."""
    world = world_of(request)
    try:
        order = TerminalOrder.model_validate_json(await request.body())
    except ValidationError as problems:
        return invalid(problems)
    world.terminals[order.terminal] = Terminal(terminal=order.terminal, secret=order.secret, push_url=order.push_url)
    return JSONResponse({"terminal": order.terminal}, status_code=201)


@router.get("/log")
async def latest_calls(request: Request) -> JSONResponse:
    """Tell the latest calls of the wire and what was answered, newest first; no bodies, for they hold secrets."""
    told = [
        {
            "at": rfc3339(call.at),
            "endpoint": call.endpoint,
            "invoiceId": call.invoice_id,
            "statusCode": call.status_code,
            "code": call.code,
            "fault": call.fault,
        }
        for call in world_of(request).calls.latest()
    ]
    return JSONResponse({"calls": told})


def _faults(world: World) -> dict[str, object]:
    rules = [RuleOrder.model_validate(rule, from_attributes=True) for rule in world.faults.rules]
    return {
        "seed": world.faults.seed,
        "rules": [rule.model_dump(by_alias=True) for rule in rules],
        "injected": world.faults.injected(),
    }


def _time(world: World) -> dict[str, object]:
    return {"now": rfc3339(world.clock()), "aheadS": world.clock.ahead_s}


def _merchant(merchant: Merchant) -> dict[str, object]:
    return {
        "username": merchant.username,
        "invoiceCode": merchant.invoice_code,
        "merchantId": merchant.merchant_id,
    }
