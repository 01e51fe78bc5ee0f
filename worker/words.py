"""Words that stories are made of: amounts, spans of time, names, and text of others that is safe to print."""

from datetime import timedelta

from moneyed import Money

from domain.dossier import DiscrepancyFacts
from domain.money import MNT

_GATEWAYS = {"qpay": "QPay", "socialpay": "SocialPay", "manual_bank": "a person", "bank": "the bank"}
_SIGNS = {MNT: "₮"}
_TEXT_MAX_CHARS = 500


def money_text(amount: Money) -> str:
    """Write an amount with all its decimals: `1,500.00 ₮`."""
    currency = amount.currency
    decimals = len(str(currency.sub_unit)) - 1
    return f"{amount.amount:,.{decimals}f} {_SIGNS.get(currency.code, currency.code)}"


def span_text(span: timedelta) -> str:
    """Write a short span of time: `31 ms`, `1.2 s`."""
    ms = round(span.total_seconds() * 1_000)
    return f"{ms} ms" if ms < 1_000 else f"{ms / 1_000:.1f} s"  # noqa: PLR2004 - a second


def plural(count: int, noun: str) -> str:
    """Count something: `1 payment`, `2 payments`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def by(who: str | None, *, why: str | None = None) -> str:
    """Say who did something, and why in their own words; empty when nobody in particular did."""
    if not who:
        return ""
    return f", by {plain(who)}" + (f": {plain(why)}" if why else "")


def sentence(text: str) -> str:
    """End a text with a full stop, if it does not end by itself."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def plain(text: str) -> str:
    """Make a text of others printable in one line: nothing in it moves the cursor, colours or hides anything."""
    shown = "".join(character if character.isprintable() else " " for character in text[: _TEXT_MAX_CHARS + 1])
    return shown if len(shown) <= _TEXT_MAX_CHARS else f"{shown[:_TEXT_MAX_CHARS]}…"


def gateway_name(gateway: str) -> str:
    """Name a gateway as people do."""
    return _GATEWAYS.get(gateway, plain(gateway))


def state_of(question: DiscrepancyFacts) -> str:
    """Say where a question stands."""
    match question.state:
        case "open":
            return "It is open."
        case "suspected":
            return "Perhaps it was a stale answer: it is open once the next check says the same."
        case "withdrawn":
            return "A later check showed that there is no question."
        case _:
            return ""
