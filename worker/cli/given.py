"""What people type, checked before anything is done with it; and others' words, made fit for a terminal."""

import getpass
import re
from datetime import UTC, datetime, tzinfo
from typing import Annotated
from uuid import uuid4

import typer
from moneyed import Money

from domain.command import Command, require_key
from domain.invoice import InvalidInvoiceError, require_invoice_id
from domain.money import MNT, money
from domain.recorded import PaymentKey
from worker.cli.refusals import RefusedError

PaymentArgument = Annotated[str, typer.Argument(help="The payment, such as qpay:100000000000001.")]
Amount = Annotated[str | None, typer.Option(help="How much; without it all that is left there.")]
Currency = Annotated[str, typer.Option(help="The currency of --amount.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever reads it later.")]
Key = Annotated[
    str, typer.Option(help="Your key of this command: the same key again is done once.", show_default="new")
]
Who = Annotated[str, typer.Option(help="Who says so.", show_default="the user of this machine")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]

NO_BREAK_SPACE = "\u00a0"
"""It stands in amounts, and Python does not call it printable."""

REASON_MAX, WHO_MAX = 1_000, 100
"""The columns' own limits, in characters."""

_PAYMENT = re.compile(r"([a-z_]{1,40}):([!-~]{1,100})")
_LOCAL_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?", re.ASCII
)
_AMOUNT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)


def read_payment(text: str) -> PaymentKey:
    """Return the payment that was named.

    Raises:
        RefusedError: wrong usage. So do the others here.

    """
    named = _PAYMENT.fullmatch(text)
    if named is None:
        raise _wrong("PAYMENT", "is written gateway:id, such as qpay:100000000000001")
    return named[1], named[2]


def read_invoice_id(text: str | None, *, called: str) -> str | None:
    """Return the invoice's id; None where none was named."""
    if text is None:
        return None
    try:
        return require_invoice_id(text)
    except InvalidInvoiceError as error:
        raise _wrong(called, error.message) from None


def read_amount(text: str | None, *, currency: str = MNT) -> Money | None:
    """Return the amount, more than 0; None where none was given."""
    return None if text is None else read_positive(text, currency=currency, called="--amount")


def read_positive(text: str, *, currency: str, called: str) -> Money:
    """Return an amount that must be given, more than 0."""
    if not _AMOUNT.fullmatch(text):
        raise _wrong(called, "should be digits, such as 50000 or 50000.50")
    try:
        amount = money(text, currency=currency)
    except ValueError as error:
        raise _wrong("--currency" if "currency" in str(error) else called, str(error)) from None
    if amount.amount <= 0:
        raise _wrong(called, "must be more than 0")
    return amount


def read_local_time(text: str, *, zone: tzinfo, called: str) -> datetime:
    """Return a time in UTC; without an offset it is local in `zone`, and a day alone begins at midnight."""
    if _LOCAL_TIME.fullmatch(text) is None:
        raise _wrong(called, "should be a time such as 2026-11-22 14:30")
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _wrong(called, "should be a time such as 2026-11-22 14:30") from None


def read_reason(text: str) -> str:
    """Return a reason: a line of text."""
    return read_line(text, called="--reason", longest=REASON_MAX)


def read_who(text: str) -> str:
    """Return who says so; where nobody is named, the user of this machine."""
    return read_line(text or getpass.getuser(), called="--who", longest=WHO_MAX)


def read_command(key: str, *, who: str, reason: str) -> Command:
    """Return the command; without a key, under a new one."""
    return Command(key=read_key(key), who=read_who(who), reason=read_reason(reason))


def read_key(text: str) -> str:
    """Return the caller's key; where none was given, a new one."""
    try:
        return require_key(text) if text else f"cli-{uuid4().hex}"
    except ValueError as error:
        raise _wrong("--key", str(error)) from None


def shown(text: str) -> str:
    """Return another's words without what would move the cursor or colour the terminal."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text.replace(NO_BREAK_SPACE, " "))


def read_line(text: str, *, called: str, longest: int) -> str:
    """Return a line of text that says something."""
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise _wrong(called, f"should be one line of 1 to {longest:,} printable characters")
    return text


def _wrong(called: str, message: str) -> RefusedError:
    return RefusedError("INVALID", f"{called} {message}", exit_code=2)
