"""Who calls the API: the owner of the key in the Authorization header."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from worker.web.errors import ApiError
from worker.web.parts import Parts

_bearer = HTTPBearer(auto_error=False, description="A key made with `tootsoo keys create`.")


def _caller(parts: Parts, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    owner = parts.api_keys.owner_of(given.credentials) if given else None
    if owner is None:
        raise ApiError(401, "UNAUTHORISED", "send Authorization: Bearer and a key made with tootsoo keys create")
    return owner


Caller = Annotated[str, Depends(_caller)]
"""The name of the key's owner."""
