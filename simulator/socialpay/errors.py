"""SocialPay's refusals. Its types and words are not published: these are made up, and that is why they are switches."""
# ruff: noqa: RUF001 - Mongolian is written in Cyrillic

from enum import Enum

from fastapi.responses import JSONResponse

from simulator.switches import Switches

ONE_TYPE = "ERROR"


class Problem(Enum):
    """What can be wrong: the code in the header, the type, and the words."""

    NOT_PAID = (500, "NOT_PAID", "Төлбөр төлөгдөөгүй")
    INVOICE_NOT_FOUND = (404, "INVOICE_NOT_FOUND", "Нэхэмжлэл олдсонгүй")
    INVOICE_PAID = (409, "INVOICE_PAID", "Нэхэмжлэл төлөгдсөн байна")
    INVOICE_CANCELED = (409, "INVOICE_CANCELED", "Нэхэмжлэл цуцлагдсан байна")
    INVOICE_DUPLICATED = (409, "INVOICE_DUPLICATED", "Нэхэмжлэлийн дугаар давхардсан байна")
    INVALID_CHECKSUM = (401, "INVALID_CHECKSUM", "Checksum буруу байна")
    TERMINAL_NOT_FOUND = (401, "TERMINAL_NOT_FOUND", "Терминал бүртгэлгүй байна")
    INVALID_REQUEST = (400, "INVALID_REQUEST", "Хүсэлт буруу байна")
    SYSTEM_BUSY = (500, "SYSTEM_BUSY", "Систем завгүй байна")
    TOO_MANY_REQUESTS = (429, "TOO_MANY_REQUESTS", "Хэт олон хүсэлт")
    NOT_FOUND = (404, "NOT_FOUND", "Ийм үйлдэл байхгүй")


class SocialPayError(Exception):
    """A call that is not done."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.name)
        self.problem = problem


class Refusal(JSONResponse):
    """A refusal on the wire that still knows what is wrong."""

    def __init__(self, problem: Problem, *, switches: Switches, status_code: int) -> None:
        code, kind, words = problem.value
        error = {"errorDesc": words, "errorType": ONE_TYPE if switches.socialpay_errors_alike else kind}
        super().__init__(
            {"header": {"status": "ERROR", "code": code}, "body": {"response": {}, "error": error}},
            status_code=status_code,
        )
        self.problem = problem


def refused(problem: Problem, *, switches: Switches, status_code: int | None = None) -> Refusal:
    """Put a refusal on the wire: under HTTP 200, unless a switch or `status_code` says otherwise."""
    usual = 400 if switches.socialpay_errors_by_status else 200
    return Refusal(problem, switches=switches, status_code=usual if status_code is None else status_code)
