"""Routes that are asked all the time: their handlers take nothing that would have to be validated, so nothing is."""

from collections.abc import Callable, Coroutine
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from anyio import to_thread
from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute


class PlainRoute(APIRoute):
    """A route whose handler gets segments of the path as they came, the request, and what coroutines make of that.

    FastAPI describes it like any other, and would look for what it might take at each request: as much work as reading
    an invoice. The handler is called in a thread and returns a Response.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request.

        Raises:
            TypeError: the handler, or what it depends on, takes anything else.

        """
        wanted, call = self.dependant, self.endpoint
        if not _is_plain(wanted):
            raise TypeError(f"{call.__name__} takes what a plain route does not give")
        segments = [field.name for field in wanted.path_params]
        made = [(one.name or "", one.call) for one in wanted.dependencies]

        async def handle(request: Request) -> Response:
            values: dict[str, object] = {name: request.path_params[name] for name in segments}
            for name, make in made:
                values[name] = await make(request)  # type: ignore[misc]  # there is one, or it would not be plain
            if wanted.request_param_name is not None:
                values[wanted.request_param_name] = request
            response: Response = await to_thread.run_sync(partial(call, **values))
            return response

        return handle


def _is_plain(wanted: Dependant) -> bool:
    return (
        all(field.field_info.annotation is str and not field.field_info.metadata for field in wanted.path_params)
        and all(_is_of_request_alone(one) for one in wanted.dependencies)
        and not (wanted.query_params or wanted.header_params or wanted.cookie_params or wanted.body_params)
        and wanted.response_param_name is None
        and wanted.background_tasks_param_name is None
    )


def _is_of_request_alone(wanted: Dependant) -> bool:
    call = wanted.call
    return (
        (iscoroutinefunction(call) or iscoroutinefunction(type(call).__call__))
        and wanted.request_param_name is not None
        and wanted.dependencies == []
        and _is_plain(wanted)
        and wanted.path_params == []
    )
