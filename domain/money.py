"""Exact conversion between Money and integer minor units; what is not exact is refused, never rounded."""

from decimal import Context, Decimal, Inexact, InvalidOperation

from moneyed import CurrencyDoesNotExist, Money, get_currency

MNT = "MNT"

MAX_AMOUNT = Decimal(10**12)
"""The largest single amount that is taken, in units of the currency: far above any bank transfer, far below bigint."""

_EXACT_TYPES = (Decimal, int, str)

_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])
"""Refuses to round: the default context drops what is behind the 28th digit without a word."""


class InexactAmountError(ValueError):
    """The amount cannot be expressed exactly in the currency's minor units."""


def money(amount: Decimal | int | str, *, currency: str) -> Money:
    """Make a Money that its currency can hold exactly.

    `amount` counts units (tögrög, not möngö). A float is no amount: it has been rounded already.

    Raises:
        InexactAmountError: finer than the currency's minor unit (MNT: two decimals, ISO 4217).
        ValueError: not a finite number within ±`MAX_AMOUNT`, or no ISO 4217 currency.

    """
    if isinstance(amount, bool) or not isinstance(amount, _EXACT_TYPES):
        raise ValueError(f"an amount is a Decimal, an int or a str, not {type(amount).__name__}")
    try:
        units, known = Decimal(amount), get_currency(currency)
    except InvalidOperation:
        raise ValueError("not a number") from None
    except CurrencyDoesNotExist:
        raise ValueError("not an ISO 4217 currency") from None
    if not units.is_finite() or not -MAX_AMOUNT <= units <= MAX_AMOUNT:
        raise ValueError(f"not a number within ±{MAX_AMOUNT:,}")
    made = Money(units, known)
    minor_units(made)
    return made


def minor_units(amount: Money) -> int:
    """Count the amount in its currency's minor units (MNT: möngö).

    Raises:
        InexactAmountError: finer than the minor unit.

    """
    try:
        minor = _EXACT.multiply(amount.amount, amount.currency.sub_unit)
    except Inexact:
        minor = Decimal("NaN")
    if minor != minor.to_integral_value():
        raise InexactAmountError(f"the amount is finer than the minor unit of {amount.currency.code}")
    return int(minor)


def from_minor_units(amount_minor: int, *, currency: str) -> Money:
    """Make the Money that `amount_minor` minor units are; exact for every integer."""
    known = get_currency(currency)
    return Money(Decimal(amount_minor) / known.sub_unit, known)


def is_whole_units(amount: Money) -> bool:
    """Tell whether the amount has no fraction of a unit, as QPay and SocialPay ask of a new invoice."""
    return bool(amount.amount == amount.amount.to_integral_value())
