"""JSON as it was sent: a number with a point is read as the decimal it says, and no name may stand twice."""

import json
from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute


class _ExactRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_exact"):
            self._exact = json.loads(await self.body(), parse_float=Decimal, object_pairs_hook=_object)
        return self._exact


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; of two values for one name, maybe an amount, nobody knows which was meant (RFC 8259, 4)."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise HTTPException(422, "the body has two values for one name")
    return made


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
