"""Errors as the API tells them: one envelope, a code, a sentence, and the field where one is to blame."""

from collections.abc import Mapping

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from adapters.postgres.gateway_invoices import UnknownInvoiceError
from adapters.postgres.invoices import AmountLockedError, InvoiceVoidError
from adapters.postgres.ledger import LedgerBusyError
from domain.command import KeyUsedError
from domain.gateway import (
    GatewayBusyError,
    GatewayOutcomeUnknownError,
    GatewayRefusedError,
    GatewayUnauthorisedError,
)
from domain.gateway_refund import RefundUnderwayError
from domain.invoice import InvalidInvoiceError
from domain.manual import NotRecordableError
from domain.pay_link import Refusal
from domain.refund import MoreThanHeldError, UnknownPaymentError, WrongCurrencyError
from worker.issue import PayLinkRefusedError

BAD_REQUEST = 400
"""What FastAPI raises for a body that its JSON reader gives up on: not UTF-8, or nested too deep."""

NOT_ALLOWED = 405

UNPROCESSABLE = 422
"""What our own JSON reader raises for a body that can be read in two ways."""

log = structlog.get_logger()


class ErrorBody(BaseModel):
    """What is wrong."""

    code: str
    message: str
    field: str | None = None


class ErrorEnvelope(BaseModel):
    """Every answer that is not a success."""

    error: ErrorBody


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = ErrorBody(code=code, message=message, field=field)
        self.headers = headers


def errors(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Describe which errors a route that asks for a key answers with, besides those that all of them do.

    With 413, of a body that is too large, comes 408, of one that is too slow.
    """
    all_of_them = {*statuses, *_EVERYWHERE, *((408,) if 413 in statuses else ())}  # noqa: PLR2004 - see above
    return {status: {"model": ErrorEnvelope, "description": _MEANINGS[status]} for status in sorted(all_of_them)}


def plain_errors(**said: str) -> dict[int | str, dict[str, object]]:
    """Describe the errors of a route that else answers in plain text; `said` is by `s404` what 404 means there."""
    envelope = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}}}
    return {int(status.removeprefix("s")): {"description": text, "content": envelope} for status, text in said.items()}


_EVERYWHERE = (401, 403, 422, 429, 500, 503)

_MEANINGS = {
    401: "No key, or none of ours.",
    403: "The key's scopes do not allow it.",
    404: "There is no such thing.",
    408: "The body did not come in time.",
    409: "It does not go with what is there; the code says why.",
    413: "The body is too large.",
    422: "Something in the request is wrong; the field is named.",
    429: "Too many requests; Retry-After says when to come again.",
    500: "Something went wrong here, and was logged.",
    502: "The gateway refused.",
    503: "The database or the gateway cannot be reached: nothing was done, try again.",
    504: "Nobody knows whether the gateway acted: ask again in a minute.",
}


def answer(error: ApiError) -> JSONResponse:
    """Make the response of an error."""
    envelope = ErrorEnvelope(error=error.body)
    return JSONResponse(envelope.model_dump(exclude_none=True), status_code=error.status, headers=error.headers)


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error that we know in the one envelope; the others are `Broken`'s."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    for kind in (InvalidInvoiceError, NotRecordableError, PayLinkRefusedError, *_KNOWN):
        app.add_exception_handler(kind, _known_error)
    for down in (PoolTimeout, psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction):
        app.add_exception_handler(down, _database_error)


_KNOWN: dict[type[Exception], tuple[int, str, str, str | None]] = {
    UnknownInvoiceError: (404, "INVOICE_NOT_FOUND", "there is no invoice of that id", None),
    AmountLockedError: (409, "AMOUNT_LOCKED", "the invoice has been paid on; its amount can no longer change", None),
    InvoiceVoidError: (409, "INVOICE_VOID", "the invoice is void", None),
    UnknownPaymentError: (404, "PAYMENT_NOT_FOUND", "no such payment is recorded on this invoice", "payment"),
    WrongCurrencyError: (422, "INVALID", "{error}", "amount.currency"),
    MoreThanHeldError: (409, "MORE_THAN_RECEIVED", "the invoice does not hold that much: {error}", "amount"),
    KeyUsedError: (409, "IDEMPOTENCY_CONFLICT", "the key was used for something else", "Idempotency-Key"),
    RefundUnderwayError: (409, "REFUND_UNDERWAY", "{error}, and nobody knows yet whether it did", "payment"),
    LedgerBusyError: (503, "DATABASE_DOWN", "others are changing the same payments: try again", None),
    GatewayRefusedError: (502, "GATEWAY_REFUSED", "the gateway refused: {code}: {error}", None),
    GatewayUnauthorisedError: (502, "GATEWAY_REFUSED", "the gateway does not take our credentials: {error}", None),
    GatewayBusyError: (503, "GATEWAY_DOWN", "the gateway cannot be asked now: {error}", None),
    GatewayOutcomeUnknownError: (504, "OUTCOME_UNKNOWN", "nobody knows whether the gateway acted: {error}", None),
}
"""Status, code, sentence and field of what the use cases raise; a subclass is answered as its class is."""


_REFUSALS: dict[Refusal, str] = {
    Refusal.INVOICE_VOID: _KNOWN[InvoiceVoidError][2],
    Refusal.NOTHING_OUTSTANDING: "nothing is left to be paid on this invoice",
    Refusal.FRACTION_OUTSTANDING: "a fraction is left, which the gateway does not take: have it paid another way",
}


def _translate(error: Exception) -> ApiError:
    match error:
        case InvalidInvoiceError():
            return ApiError(422, "INVALID", error.message, field=error.field)
        case NotRecordableError(field="paidAt"):
            # By the clock, so no description of the request could say it: not 422.
            return ApiError(409, "PAID_AT_IMPLAUSIBLE", str(error), field=error.field)
        case NotRecordableError():
            return ApiError(422, "INVALID", str(error), field=error.field)
        case PayLinkRefusedError():
            return ApiError(409, error.why.value, _REFUSALS[error.why])
    for kind, (status, code, sentence, field) in _KNOWN.items():
        if isinstance(error, kind):
            message = sentence.format(error=error, code=getattr(error, "code", ""))
            return ApiError(status, code, message, field=field)
    raise error


async def _api_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return answer(error)


async def _known_error(_: Request, error: Exception) -> Response:
    return answer(_translate(error))


async def _invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    path = [str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"}]
    sentence = _SENTENCES.get(first["type"])
    if first["type"] == "json_invalid":
        path, sentence = [], "the body is not JSON"
    if sentence is None:
        message = str(first["msg"]).removeprefix("Value error, ").replace("Input should", "must", 1)
    else:
        message = sentence.format(**first.get("ctx", {}))
    return answer(ApiError(422, "INVALID", message, field=".".join(path) or "body"))


_SENTENCES = {
    "extra_forbidden": "is no field of this request",
    "missing": "is missing",
    "model_attributes_type": "must be a JSON object; a body is sent with Content-Type: application/json",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_type": "must be a string",
    "timezone_aware": "must say its time zone, such as Z or +08:00",
    "too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} characters",
}
"""By pydantic's type of error, where its own words are those of a Python program."""


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == BAD_REQUEST:
        return answer(ApiError(422, "INVALID", "the body is not JSON that can be read", field="body"))
    codes = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
    code = codes.get(error.status_code, "INVALID")
    headers = {"Allow": _allowed(request)} if error.status_code == NOT_ALLOWED else error.headers
    field = "body" if error.status_code == UNPROCESSABLE else None
    return answer(ApiError(error.status_code, code, str(error.detail).lower(), field=field, headers=headers))


def _allowed(request: Request) -> str:
    """Return the methods that all routes of a path take together; Starlette tells those of the first alone."""
    asked = [{**request.scope, "method": method} for method in _METHODS]
    return ", ".join(
        scope["method"] for scope in asked if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
    )


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


async def _database_error(_: Request, error: Exception) -> Response:
    log.error("database.unavailable", error=type(error).__name__)
    return answer(
        ApiError(503, "DATABASE_DOWN", "the database cannot be reached: try again", headers={"Retry-After": "2"})
    )
