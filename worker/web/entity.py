"""An entity as an answer: its JSON, with the tag by which a client learns that nothing has changed."""

from hashlib import sha256

from fastapi import Request, Response
from pydantic import BaseModel

_JSON = "application/json"


def entity(shape: BaseModel, request: Request, *, status: int = 200) -> Response:
    """Answer with a shape and its ETag, or with 304 to a GET whose If-None-Match has that tag (RFC 9110, 13.1.2)."""
    body = shape.model_dump_json(by_alias=True).encode()
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag}
    if request.method == "GET" and _matches(request.headers.get("If-None-Match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, status_code=status, media_type=_JSON, headers=headers)


def _matches(given: str | None, tag: str) -> bool:
    """Compare weakly, as If-None-Match is to be: a proxy that compresses makes tags weak."""
    if given is None:
        return False
    return given.strip() == "*" or any(one.strip().removeprefix("W/") == tag for one in given.split(","))
