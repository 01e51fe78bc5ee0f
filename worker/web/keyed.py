"""Requests with an Idempotency-Key: the same again is answered the same, another content is refused."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Header, Response
from pydantic import AfterValidator, BaseModel

from domain.command import KEY_PATTERN, digest_of, require_key
from worker.web.parts import WebParts

_KEY_HEADER = Header(
    alias="Idempotency-Key",
    pattern=KEY_PATTERN,
    description="The caller's own, for this request alone; sent again with the same request it has one effect.",
    examples=["refund-order-1-a"],
)

IdempotencyKey = Annotated[str, _KEY_HEADER, AfterValidator(require_key)]
OptionalKey = Annotated[str | None, _KEY_HEADER, AfterValidator(lambda key: None if key is None else require_key(key))]

_JSON = "application/json"


def answered_once(
    parts: WebParts, key: str | None, do: Callable[[], BaseModel], *, verb: str, **content: str
) -> Response:
    """Answer with what `do` returns, or with what was answered to this key before.

    `do` must be safe to repeat: of two requests at once both do it, and both are answered what was kept first; and an
    answer is forgotten after some days. What raises is not kept: the same request may be sent again.

    Raises:
        KeyUsedError: the key stands for another request.

    """
    if key is None:
        return Response(_json(do()), media_type=_JSON)
    parts.keys.take(key, digest=digest_of(verb, **content), now=parts.clock())
    body = parts.keys.answer(key)
    if body is None:
        body = parts.keys.keep_answer(key, _json(do()), now=parts.clock())
    return Response(body, media_type=_JSON)


def _json(shape: BaseModel) -> str:
    return shape.model_dump_json(by_alias=True)
