"""What faults do to calls and answers, whosever wire it is."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from simulator.faults import Drawn, Fault
from simulator.wire import Dripping, NoAnswer

HTTP_OK = 200
OVERSIZED_BYTES = 50_000_000
CHUNK_BYTES = 65_536
BAD_GATEWAY_PAGE = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
UNKNOWN_STATUS = "QUARANTINED"
STATUS_FIELDS = frozenset({"payment_status", "invoice_status", "resp_code"})
"""Where gateways say what became of something."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """How one gateway says no, in its own shape."""

    busy: Callable[[], Response]
    too_many: Callable[[], Response]
    unauthorized: Callable[[], Response]


async def instead(drawn: Drawn, *, log_out: Callable[[], None], refusals: Refusals) -> Response | None:
    """Do what a fault does before the call is acted upon; return the answer if it is not to be acted upon at all."""
    answer: Response | None = None
    drawn.done = True
    match drawn.kind:
        case Fault.BUSY:
            answer = refusals.busy()
        case Fault.BAD_GATEWAY:
            answer = HTMLResponse(BAD_GATEWAY_PAGE, status_code=502)
        case Fault.TOO_MANY:
            answer = refusals.too_many()
            answer.headers["Retry-After"] = str(max(1, round(drawn.seconds)))
        case Fault.UNAUTHORIZED:
            answer = refusals.unauthorized()
        case Fault.HANG | Fault.RESET:
            answer = NoAnswer(seconds=drawn.seconds)
        case Fault.LATENCY:
            await asyncio.sleep(drawn.seconds)
        case Fault.LOGGED_OUT:
            log_out()
        case _:
            drawn.done = False  # it meets the answer, if there is one to meet
    return answer


def rearranged(request: Request, rows: list[Row]) -> list[Row]:
    """Do what a fault does to the rows of an answer, which are oldest first, before they are cut into pages."""
    drawn: Drawn | None = getattr(request.state, "fault", None)
    if drawn is None or not rows:
        return rows
    chosen = drawn.chance.randrange(len(rows))
    match drawn.kind:
        case Fault.DUPLICATED_ROWS:
            told = [*rows[: chosen + 1], *rows[chosen:]]
        case Fault.MOVING_ROWS if len(rows) > 1:
            moved = 1 + chosen % (len(rows) - 1)
            told = [*rows[moved:], *rows[:moved]]
        case Fault.STALE:
            told = rows[:-1]
        case _:
            return rows
    drawn.done = True
    return told


def tampered(answer: Response, drawn: Drawn) -> Response:
    """Do what a fault does to an answer after the call was acted upon. What refuses a call is left as it is."""
    match drawn.kind:
        case Fault.HANG_AFTER | Fault.RESET_AFTER:
            changed: Response | None = NoAnswer(seconds=drawn.seconds)
        case Fault.DRIP:
            changed = Dripping(answer, every_s=drawn.seconds)
        case _ if answer.status_code != HTTP_OK:
            changed = None
        case Fault.TRUNCATED:
            body = bytes(answer.body)
            changed = _json(body[: drawn.chance.randrange(1, len(body))])
        case Fault.OVERSIZED:
            changed = StreamingResponse(_padded(bytes(answer.body)), media_type="application/json")
        case Fault.WRONG_TYPES | Fault.NAN | Fault.UNKNOWN_STATUS | Fault.UNKNOWN_FIELDS:
            changed = _with_another_value(bytes(answer.body), drawn)
        case _:
            changed = None
    if changed is None:
        return answer
    drawn.done = True
    return changed


def _with_another_value(body: bytes, drawn: Drawn) -> Response | None:
    """Change one place of the JSON, drawn from those that the fault can meet; None if there is none."""
    value = json.loads(body)
    if drawn.kind is Fault.UNKNOWN_FIELDS:
        for holder in _objects(value):
            holder["field_of_the_future"] = {"version": 3, "tags": ["шинэ", None]}
        return _json(json.dumps(value).encode())
    places = [
        (holder, key) for holder in _objects(value) for key, found in holder.items() if _meets(drawn.kind, key, found)
    ]
    if not places:
        return None
    holder, key = drawn.chance.choice(places)
    if drawn.kind is Fault.NAN:
        holder[key] = float("nan")
    elif drawn.kind is Fault.UNKNOWN_STATUS:
        holder[key] = UNKNOWN_STATUS
    else:
        holder[key] = _of_another_type(holder[key])
    return _json(json.dumps(value).encode())


def _meets(kind: Fault, key: str, found: object) -> bool:
    if kind is Fault.UNKNOWN_STATUS:
        return key in STATUS_FIELDS
    if kind is Fault.NAN:
        return _is_number(found)
    return found is not None


def _objects(value: Any) -> list[dict[str, Any]]:
    """List every object of a JSON value, the outermost first."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    below = [found for one in inner for found in _objects(one)]
    return [value, *below] if isinstance(value, dict) else below


def _is_number(found: object) -> bool:
    """Tell a number, also one that is written as a string."""
    if isinstance(found, str):
        return found.replace(".", "", 1).isdigit()
    return isinstance(found, (int, float)) and not isinstance(found, bool)


def _of_another_type(found: object) -> object:
    """Make something of another type that cannot be taken for another value of the same."""
    match found:
        case str():
            return {"value": [found]}
        case bool():
            return "perhaps"
        case int() | float():
            return [found]
        case list():
            return {"rows": "many"}
        case _:
            return True


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


async def _padded(body: bytes) -> AsyncIterator[bytes]:
    """Give the JSON object with a field before all others that is far too long."""
    yield b'{"padding":"'
    for _ in range(OVERSIZED_BYTES // CHUNK_BYTES):
        yield b"x" * CHUNK_BYTES
    rest = body.lstrip()[1:]
    yield b'"' + (b"," if rest.strip() != b"}" else b"") + rest
