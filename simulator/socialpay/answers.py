"""What SocialPay answers: an envelope around a few strings, made from the facts."""

from decimal import Decimal

from fastapi.responses import JSONResponse

from simulator.facts import PaymentType, Terminal
from simulator.socialpay.checksum import checksum
from simulator.switches import Switches
from simulator.telling import ToldPayment

Body = dict[str, object]

PAID = "00"
NOT_PAID = "01"


def done(response: Body, *, switches: Switches) -> JSONResponse:
    """Answer what was done."""
    return JSONResponse(enveloped(response, switches=switches))


def enveloped(response: Body, *, switches: Switches) -> Body:
    """Put a response into its envelope."""
    body: Body = {"response": response} if switches.socialpay_no_error else {"response": response, "error": {}}
    return {"header": {"status": "SUCCESS", "code": 200}, "body": body}


def created(desc: str) -> Body:
    """Describe an invoice that was made: nothing but what a customer needs."""
    return {"desc": desc, "status": "SUCCESS"}


def payment(told: ToldPayment, *, number: str, terminal: Terminal, switches: Switches) -> Body:
    """Describe a payment as a check and a push do. Neither says when it was."""
    amount = _amount(told.amount, switches=switches)
    body: Body = {
        "approval_code": told.approval_code,
        "amount": amount,
        "card_number": "4321********1234" if told.type is PaymentType.CARD else "",
        "resp_desc": "Амжилттай",
        "resp_code": PAID,
        "terminal": terminal.terminal,
        "invoice": number,
        "checksum": checksum(terminal.secret, terminal.terminal, number, str(amount)),
    }
    return {key: value for key, value in body.items() if key != "amount" or not told.garbled}


def unpaid(number: str, amount: int, *, terminal: Terminal) -> Body:
    """Describe an unpaid invoice in the fields of a paid one."""
    return {
        "approval_code": "",
        "amount": str(amount),
        "card_number": "",
        "resp_desc": "Төлбөр төлөгдөөгүй",
        "resp_code": NOT_PAID,
        "terminal": terminal.terminal,
        "invoice": number,
        "checksum": checksum(terminal.secret, terminal.terminal, number, str(amount)),
    }


def _amount(amount: Decimal, *, switches: Switches) -> str | int | float:
    whole = amount == int(amount)
    match switches.socialpay_amount:
        case "text":
            return f"{amount:.0f}" if whole else f"{amount:.2f}"
        case "decimals":
            return f"{amount:.2f}"
        case "number":
            return int(amount) if whole else float(amount)
