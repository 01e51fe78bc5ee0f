"""A plain route gives its handler what it takes, unvalidated, and is not made where that would not be right."""

import asyncio
from collections.abc import Callable
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Path, Request, Response

from worker.web.plain_route import PlainRoute


async def host_of(request: Request) -> str:
    return request.headers["host"]


async def nested(host: Annotated[str, Depends(host_of)]) -> str:
    return host


def in_a_thread(request: Request) -> str:
    return request.headers["host"]


def test_a_handler_gets_the_path_the_request_and_what_it_depends_on() -> None:
    router = APIRouter(route_class=PlainRoute)

    @router.get("/{a}/of/{b}")
    def read(a: str, b: str, request: Request, host: Annotated[str, Depends(host_of)]) -> Response:
        return Response(f"{a} {b} {host} {request.query_params['q']}")

    app = FastAPI()
    app.include_router(router)

    answer = asyncio.run(get(app, "/x%20y/of/%D1%82?q=1"))

    assert answer.text == "x y т tests 1"


async def get(app: FastAPI, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tests") as client:
        return await client.get(path)


def with_query(q: str) -> None:
    pass


def with_header(h: Annotated[str, Header()]) -> None:
    pass


def with_body(body: dict[str, str]) -> None:
    pass


def with_number(a: int) -> None:
    pass


def with_bounded_text(a: Annotated[str, Path(max_length=3)]) -> None:
    pass


def with_nested(host: Annotated[str, Depends(nested)]) -> None:
    pass


def with_thread(host: Annotated[str, Depends(in_a_thread)]) -> None:
    pass


@pytest.mark.parametrize(
    "handler", [with_query, with_header, with_body, with_number, with_bounded_text, with_nested, with_thread]
)
def test_a_handler_that_takes_more_is_refused_when_it_is_made(handler: Callable[..., None]) -> None:
    router = APIRouter(route_class=PlainRoute)

    with pytest.raises(TypeError, match="takes what a plain route does not give"):
        router.post("/{a}")(handler)
