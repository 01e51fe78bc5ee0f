"""Polling: when a QR is looked at, at a gateway that may be asked and does not tell by itself."""

from datetime import timedelta

from domain.gateway import PaymentGateway

POLLS_MAX = 24
"""In a QR's life, the one when it expires among them."""

FIRST = timedelta(seconds=30)
"""Who pays at once is found by the first."""

GAP_MIN = timedelta(seconds=15)
"""No two polls are closer, however short a QR lives."""


def is_polled(gateway: PaymentGateway) -> bool:
    """Tell whether payments at a gateway are found by looking at its QRs again and again."""
    return gateway.capabilities.may_be_polled and not gateway.capabilities.lists


def next_poll(age: timedelta, *, lifetime: timedelta) -> timedelta | None:
    """Return the age at which a QR of this age is looked at next; None when it never is.

    Each rung of the ladder is as many times the one before: dense while customers stand at the till, then ever rarer,
    the last one when the QR expires. What was missed meanwhile is one look, so there are never more than `POLLS_MAX`.
    """
    return next((rung for rung in ladder(lifetime) if rung > age), None)


def ladder(lifetime: timedelta) -> tuple[timedelta, ...]:
    """Return the ages at which a QR is looked at, in order; the last is its lifetime."""
    if lifetime <= FIRST + GAP_MIN:
        return (lifetime,)
    growth = (lifetime / FIRST) ** (1 / (POLLS_MAX - 1))
    rungs: list[timedelta] = []
    for step in range(POLLS_MAX - 1):
        rung = FIRST * growth**step
        if (not rungs or rung - rungs[-1] >= GAP_MIN) and lifetime - rung >= GAP_MIN:
            rungs.append(rung)
    return (*rungs, lifetime)
