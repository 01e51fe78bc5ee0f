"""SocialPay's checksum: HMAC-SHA256 over fields put one behind the other, made for requests and tried on answers."""

import hmac
from collections.abc import Iterable
from decimal import Decimal
from hashlib import sha256


def checksum(secret: str, *fields: str) -> str:
    """Sign the fields in this order, exactly as they are sent: lowercase hex.

    For an invoice terminal, number and amount, and the phone where there is one (in-store API). Nothing separates
    them, so different fields may have the same checksum: who trusts one compares the fields as well.
    """
    return hmac.new(secret.encode(), _bytes("".join(fields)), sha256).hexdigest()


def is_signed(given: str, secret: str, *, terminal: str, number: str, amounts: Iterable[str]) -> bool:
    """Tell whether a checksum is that of terminal, number and one of these ways to write the amount.

    Takes the same time for each wrong one.
    """
    guess = _bytes(given)
    tried = [hmac.compare_digest(guess, checksum(secret, terminal, number, each).encode()) for each in amounts]
    return any(tried)


def ways_to_write(told: object, amount: Decimal) -> list[str]:
    """Return how an amount may stand in the text that was signed: as it was told, whole, and with two decimals.

    An answer may tell a number, or a string with decimals, and sign the other (both have been seen in amounts): all of
    these say the same value, so a checksum over any of them vouches for it.
    """
    whole = [f"{amount:.0f}"] if amount == amount.to_integral_value() else []
    exact = [f"{amount:.2f}"] if amount == amount.quantize(Decimal("0.01")) else []
    return list(dict.fromkeys([str(told), *whole, *exact]))


def _bytes(text: str) -> bytes:
    """Encode whatever JSON can say, halves of surrogate pairs too: what cannot be signed must be refused, not break."""
    return text.encode(errors="surrogatepass")
