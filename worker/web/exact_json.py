"""JSON as it was sent: a number with a point is read as the decimal it says, not as the float nearest to it."""

import json
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class _ExactRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_exact"):
            self._exact = json.loads(await self.body(), parse_float=Decimal)
        return self._exact


class ExactRoute(APIRoute):
    """A route whose body is read so: 1500000.0 is the integer that it is, and 1499999.99999999999 is not one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Hand the route's own handler a request that reads JSON exactly."""
        handle = super().get_route_handler()
        if self.methods == {"GET"}:
            return handle

        async def exactly(request: Request) -> Response:
            return await handle(_ExactRequest(request.scope, request.receive))

        return exactly
