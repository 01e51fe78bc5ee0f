"""QPay's refusals: a code and a message, or one object per field when a request is not valid."""

import json
from typing import Self

from fastapi.responses import JSONResponse
from pydantic import ValidationError

TYPES = {
    "string_too_long": "MAX_LENGTH",
    "greater_than_equal": "MIN",
    "greater_than": "MIN",
    "less_than_equal": "MAX",
}
"""pydantic's words in QPay's manner. Only REQUIRED has been seen on the wire; these are made in its likeness."""

Words = str | dict[str, dict[str, str]]


class QPayError(Exception):
    """An answer of another status than 200, in QPay's shape."""

    def __init__(self, status_code: int, *, error: Words, message: Words) -> None:
        super().__init__(str(error))
        self.status_code = status_code
        self.error = error
        self.message = message

    @classmethod
    def refused(cls, status_code: int, code: str, message: str | None = None) -> Self:
        """Refuse with a code; QPay repeats the code where it has no message."""
        return cls(status_code, error=code, message=message or code)

    @classmethod
    def not_valid(cls, problems: ValidationError) -> Self:
        """Refuse a request that does not have the form that is asked for: 400, the same objects twice."""
        fields: dict[str, dict[str, str]] = {}
        for problem in problems.errors(include_url=False, include_context=False):
            name = ".".join(str(step) for step in problem["loc"]) or "body"
            if problem["type"] == "missing" or problem["input"] is None or problem["input"] == "":
                fields[name] = {"type": "REQUIRED", "message": "Required!"}
            else:
                fields[name] = {"type": TYPES.get(problem["type"], "INVALID"), "message": problem["msg"]}
        return cls(400, error=fields, message=fields)

    def answer(self, *, in_words: bool = False) -> "Refusal":
        """Put the refusal on the wire; `in_words` writes strings where there are objects."""
        error, message = self.error, self.message
        if in_words and isinstance(error, dict):
            name, problem = next(iter(error.items()))
            error, message = f"{name.upper().replace('.', '_')}_{problem['type']}", f"{name}: {problem['message']}"
        return Refusal({"error": error, "message": message}, status_code=self.status_code)


class Refusal(JSONResponse):
    """A refusal on the wire that still knows its code."""

    @property
    def qpay_code(self) -> str:
        """QPay's code; the first field that is not valid when there are only objects."""
        error = json.loads(bytes(self.body))["error"]
        return str(error) if isinstance(error, str) else f"not valid: {', '.join(error)}"
