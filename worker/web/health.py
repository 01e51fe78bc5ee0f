"""Health: whether the process lives, and whether it can do its work."""

from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from worker.sight import REQUIRED
from worker.web.metrics import LOOKING
from worker.web.parts import Parts

router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)  # what watches a site often asks so
@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Tell that the process answers."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz", responses={503: {"description": "Something it cannot work without is missing; with the reason."}}
)
async def readyz(parts: Parts) -> JSONResponse:
    """Tell whether requests can be served. What only makes them slower to take effect is told, and does not count."""
    sight = await to_thread.run_sync(parts.see, limiter=LOOKING)
    reasons = {need: reason for need, reason in sight.missing.items() if need in REQUIRED}
    degraded = {need: reason for need, reason in sight.missing.items() if need not in REQUIRED}
    status = "not ready" if reasons else "degraded" if degraded else "ok"
    return JSONResponse(
        {"status": status, "reasons": reasons, "degraded": degraded}, status_code=200 if sight.is_ready else 503
    )
