"""Who calls the API: the owner of the key in the Authorization header, if the key may do what is asked."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from adapters.postgres.api_keys import Scope
from worker.web.errors import ApiError
from worker.web.parts import Parts

_bearer = HTTPBearer(auto_error=False, description="A key made with `tootsoo keys create`.")

_Given = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def _with(scope: Scope) -> Callable[[Request, Parts, _Given], Awaitable[str]]:
    async def caller(request: Request, parts: Parts, given: _Given) -> str:
        owner = parts.callers.known(given.credentials) if given else None
        if owner is None:
            parts.rates.count_stranger(request)
            owner = await to_thread.run_sync(parts.callers.find, given.credentials) if given else None
        if owner is None:
            raise ApiError(
                401,
                "UNAUTHORISED",
                "send Authorization: Bearer and a key made with tootsoo keys create",
                headers={"WWW-Authenticate": "Bearer"},
            )
        parts.rates.count_call(owner.key_id)
        if scope not in owner.scopes:
            raise ApiError(403, "FORBIDDEN", f"the key {owner.key_id} has no scope {scope}: make one that has")
        return owner.name

    return caller


Reader = Annotated[str, Depends(_with(Scope.READ))]
"""The name of a key's owner who may read."""

Writer = Annotated[str, Depends(_with(Scope.WRITE))]
"""The name of a key's owner who may change something, or have a gateway asked."""
