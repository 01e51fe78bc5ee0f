"""Refusals in the control API's shape: a code for programs, and words for people."""

from fastapi.responses import JSONResponse
from pydantic import ValidationError


def problem(status_code: int, code: str, message: str) -> JSONResponse:
    """Refuse in the control API's shape."""
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status_code)


def invalid(problems: ValidationError) -> JSONResponse:
    """Refuse a body that does not have the form that is asked for: 422 INVALID with the first fault."""
    first = problems.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    return problem(422, "INVALID", ": ".join(part for part in (where, first["msg"]) if part))
