"""Ways of the gateways that differ between places and times, or that nobody has seen: a client lives with either."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

RETRIES_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """How these gateways behave. The defaults are what is seen today, or where nobody looked, the likelier answer."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    expires_in_is_duration: bool = False
    """Tokens tell how many seconds they live instead of the UNIX time at which they end."""
    no_credentials_misspelt: bool = False
    """A dead token is refused as NO_CREDENDIALS."""
    validation_in_words: bool = False
    """What is not valid is refused with two strings instead of two objects."""
    text_amounts_are_refused: bool = False
    """Amounts of an invoice must be JSON numbers. A client that is in use sends strings of digits."""
    qr_image_is_empty: bool = False
    """Invoices come without a QR image."""
    default_expiry_h: Annotated[int, Field(ge=1, le=8_760)] | None = None
    """Invoices without an expiry of their own run out after so many hours, as QPay sets it for some merchants."""
    expired_status: Literal["OPEN", "EXPIRED", "CLOSED", "CANCELED"] = "OPEN"
    """What GET invoice calls an invoice that has run out. Nobody has seen another word than OPEN."""
    partly_paid_stays_open: bool = False
    """An invoice that is partly paid is not cancelled but answers INVOICE_PAID. Nobody has seen which it is."""
    invoice_paid_status: Literal[400, 409, 422] = 400
    """The HTTP status of INVOICE_PAID. Nobody has seen it."""
    refunded_stays_paid: bool = False
    """An invoice whose payment went back cannot be paid again. Nobody has seen which it is."""
    check_rows_are_older: bool = False
    """payment/check answers in its older shape: numbers for amounts, and a payment_date."""
    check_newest_first: bool = False
    """payment/check begins with the newest row, so that a new one moves all others; the order is not documented."""
    list_object_id: Literal["invoice_id", "invoice_code", "absent"] = "invoice_id"
    """What a row of payment/list has as its object_id. It should be the invoice's id; nobody has seen one."""
    list_without_qr_code: bool = False
    """Rows of payment/list have no qr_code."""
    list_window_is_local: bool = False
    """payment/list reads its window as Ulaanbaatar's time instead of UTC; the zone is not documented."""
    list_newest_first: bool = False
    """payment/list begins with the newest row, so that a new one moves all others; the order is not documented."""
    list_count_is_of_page: bool = False
    """The count of payment/list is that of the page, not of all pages; nobody has seen a list of several."""
    callback_by_post: bool = False
    """Callbacks are POST instead of GET."""
    callback_retries: Annotated[int, Field(ge=0, le=RETRIES_MAX)] = 0
    """A callback that is not answered 200 SUCCESS is sent again, so often; whether QPay does is not documented."""
    refund_is_called_back: bool = False
    """The callback_url of a refund is called. Nobody has seen with what; here it is the payment's id."""
    socialpay_unpaid: Literal["error", "code", "status", "silence"] = "error"
    """How an unpaid invoice answers a check: with an error under HTTP 200, with a resp_code that is not 00, with the
    error under HTTP 500, or with a header that is not 200 and nothing else. The first is assumed, no body is known."""
    socialpay_errors_alike: bool = False
    """All errors have the errorType ERROR, and only their Mongolian words differ: no type has been published."""
    socialpay_errors_by_status: bool = False
    """Errors come under an HTTP status of 400 instead of 200. An unpaid invoice has a switch of its own."""
    socialpay_no_error: bool = False
    """Where there is no error body.error is absent instead of empty."""
    socialpay_amount: Literal["text", "decimals", "number"] = "text"
    """How a check writes an amount: "18000", "18000.00" or 18000. All three have been seen."""
    socialpay_check_unsigned: bool = False
    """A check of a paid invoice comes without its checksum."""
    socialpay_cancelled_is_forgotten: bool = False
    """A cancelled invoice is not found any more, instead of being called cancelled. Nobody has seen which it is."""
    socialpay_number_again: Literal["refused", "again"] = "refused"
    """What a create with a number that was used before comes to: an error, or the same QR. Nobody has seen which."""
    socialpay_push_in_envelope: bool = False
    """A push has header and body like an answer, instead of being flat. The flat one is assumed."""


_FORM = TypeAdapter(Switches)
_NAMES = {to_camel(name): name for name in asdict(Switches())}


def as_json(switches: Switches) -> dict[str, object]:
    """Write every switch with its value, in camelCase."""
    return {to_camel(name): value for name, value in asdict(switches).items()}


def changed(switches: Switches, changes: dict[str, object]) -> Switches:
    """Set some switches, by their camelCase or own names, and keep the others. Raises pydantic's ValidationError."""
    named = {_NAMES.get(name, name): value for name, value in changes.items()}
    return _FORM.validate_python({**asdict(switches), **named})


def switched(named: Mapping[str, str]) -> Switches:
    """Set switches from words, as on a command line. Raises ValueError with the one that is wrong."""
    try:
        return changed(Switches(), dict(named))
    except ValidationError as problems:
        first = problems.errors(include_url=False, include_context=False)[0]
        name = ".".join(str(step) for step in first["loc"][:1])
        if first["type"] == "unexpected_keyword_argument":
            raise ValueError(f"no such switch: {name}. There are {', '.join(_NAMES)}") from None
        raise ValueError(f"the switch {to_camel(name)}: {first['msg']}") from None
