"""Health: whether the process lives, and whether it can do its work."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from worker.web.parts import Parts

router = APIRouter(tags=["health"])


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Something it needs does not work; named with the reason."}})
def readyz(parts: Parts) -> JSONResponse:
    """Tell whether PostgreSQL, its schema and Redis can be worked with."""
    not_ready = parts.not_ready()
    if not_ready:
        return JSONResponse({"status": "not ready", "reasons": dict(not_ready)}, status_code=503)
    return JSONResponse({"status": "ok", "reasons": {}})
