"""From a status and QPay's error envelope to the port's errors: who has to do what about it."""

from collections.abc import Mapping

from adapters.calls.answers import Answer, error_of_status
from adapters.calls.json_body import read_json
from domain.gateway import GatewayError

VALIDATION = "VALIDATION"
"""Our code for QPay's validation errors, whose own `error` is an object of fields instead of a code."""

FINAL_CODES = frozenset({"INVOICE_NOTFOUND"})
"""QPay does not know what was asked about. Other refusals may be about the account, or something on the way."""

_FIELDS_MAX = 20


def error_from(answer: Answer) -> GatewayError:
    """Translate an answer outside 2xx; an unknown code is treated by its status class, as in `error_of_status`.

    Both envelopes are read (QPay v2 workbook, 2026-03): strings, and objects of fields for validation errors.
    """
    code, words = _read_envelope(answer.body)
    return error_of_status(answer, title="QPay", code=code, words=words, final=code in FINAL_CODES)


def _read_envelope(body: bytes) -> tuple[str, str]:
    """Return (code, words), each empty where the envelope does not tell."""
    try:
        envelope = read_json(body)
    except ValueError:
        return "", ""
    if not isinstance(envelope, Mapping):
        return "", ""
    match envelope.get("error"), envelope.get("message"):
        case Mapping() as fields, _:
            return VALIDATION, _name_fields(fields)
        case code, Mapping() as fields:
            return (code.strip() if isinstance(code, str) else VALIDATION), _name_fields(fields)
        case code, words:
            return (code.strip() if isinstance(code, str) else ""), (words if isinstance(words, str) else "")


def _name_fields(fields: Mapping[str, object]) -> str:
    return "; ".join(f"{field}: {_fault(fault)}" for field, fault in list(fields.items())[:_FIELDS_MAX])


def _fault(fault: object) -> str:
    match fault:
        case str():
            return fault
        case {"message": str(words)}:
            return words
        case {"type": str(kind)}:
            return kind
        case _:
            return "refused"
