"""One signed call of SocialPay and what came of it: a response, or an error that the caller may know better."""

from collections.abc import Mapping
from dataclasses import dataclass

from moneyed import Money

from adapters.calls.answers import is_success
from adapters.calls.http import Request
from adapters.calls.line import Calls
from adapters.socialpay.checksum import checksum
from adapters.socialpay.config import NUMBER_MAX_CHARS, SocialPayConfig
from adapters.socialpay.errors import Meaning, error_from, meaning_of
from adapters.socialpay.wire import OK, Envelope, read_envelope, try_envelope
from domain.gateway import GatewayError
from domain.money import MNT, is_whole_units


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The invoice that a call is about, as it stands on the wire."""

    number: str
    amount: str
    """Whole tögrög."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of a call. Of `response` and `error` one is empty."""

    response: Mapping[str, object]
    error: GatewayError | None = None
    meaning: Meaning = Meaning.UNKNOWN
    """What the error says."""
    by_words: bool = False
    """The error came under HTTP 200: its words alone tell what it is."""

    def require(self) -> Mapping[str, object]:
        """Return the response.

        Raises:
            GatewayError: the error, where there is none.

        """
        if self.error is not None:
            raise self.error
        return self.response


def about(number: str, amount: Money) -> About:
    """Say which invoice is meant.

    Raises:
        ValueError: the number is none that SocialPay takes, or the amount is not in whole tögrög.

    """
    if not 1 <= len(number) <= NUMBER_MAX_CHARS or not number.replace("-", "").isascii() or not number.strip(".-"):
        raise ValueError(f"no invoice id of SocialPay's: a number has 1 to {NUMBER_MAX_CHARS} letters and digits")
    if amount.currency.code != MNT or not is_whole_units(amount):
        raise ValueError(f"SocialPay takes whole tögrög, not {amount}")
    return About(number=number, amount=str(int(amount.amount)))


def signed_request(
    endpoint: str, path: str, invoice: About, *, config: SocialPayConfig, phone: str | None = None
) -> Request:
    """Say what every call about an invoice says, and sign exactly that."""
    secret = config.secret.get_secret_value()
    signature = checksum(secret, config.terminal, invoice.number, invoice.amount, *([] if phone is None else [phone]))
    body: dict[str, object] = {
        "amount": invoice.amount,
        "checksum": signature,
        "invoice": invoice.number,
        "terminal": config.terminal,
    }
    if phone is not None:
        body["phone"] = phone
    return Request(endpoint=f"POST {endpoint}", method="POST", path=path, body=body, secrets=(secret, signature))


async def ask(calls: Calls, request: Request) -> Reply:
    """Send the request and open its answer.

    Raises:
        GatewayUnreadableError: a success by HTTP whose envelope cannot be read.
        GatewayError: as `Http.exchange`.

    """
    answer = await calls.exchange(request)
    envelope: Envelope | None
    if is_success(answer.status):
        envelope = read_envelope(answer.body)
        if envelope.code == OK:
            return Reply(response=envelope.response)
    else:
        envelope = try_envelope(answer.body)
    return Reply(
        response={},
        error=error_from(answer, envelope),
        meaning=Meaning.UNKNOWN if envelope is None else meaning_of(envelope),
        by_words=is_success(answer.status),
    )
