"""Who calls the API: the owner of the key in the Authorization header, if the key may do what is asked."""

from typing import Annotated

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from adapters.postgres.api_keys import Scope
from worker.web.errors import ApiError
from worker.web.parts import WebParts


class _KeyWith(HTTPBearer):
    """Lets in who shows a key with a scope. One dependency instead of three: FastAPI pays for each at each request."""

    def __init__(self, scope: Scope) -> None:
        description = "A key made with `tootsoo keys create`."
        super().__init__(scheme_name="Key", description=description, auto_error=False)
        self._scope = scope

    async def __call__(self, request: Request) -> str:  # type: ignore[override]  # the caller's name, not the credentials
        parts: WebParts = request.app.state.parts
        given = await super().__call__(request)
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
        if self._scope not in owner.scopes:
            raise ApiError(403, "FORBIDDEN", f"the key {owner.key_id} has no scope {self._scope}: make one that has")
        return owner.name


Reader = Annotated[str, Depends(_KeyWith(Scope.READ))]
"""The name of a key's owner who may read."""

Writer = Annotated[str, Depends(_KeyWith(Scope.WRITE))]
"""The name of a key's owner who may change something, or have a gateway asked."""
