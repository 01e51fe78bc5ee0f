"""When a gateway is asked about one of its invoices: spacing, leases, re-checks and back-off."""

CHECK_TIMEOUT_S = 8.0
"""Bounds one whole check, over all pages and a login."""

LEASE_S = 12.0
"""How long a claimed check belongs to its holder: the check, and half as much again to write it down."""

RECHECK_AFTER_S = (5.0, 30.0, 300.0)
"""A payment that a callback named and the gateway does not show yet is looked for so long after it was first named."""

RING_AGAIN_S = 10.0
"""A request that was rung and not claimed is rung again after this long, so a lost message costs seconds."""


def retry_delay_s(
    attempts: int, *, base_s: float, max_s: float, chance: float, retry_after_s: float | None = None
) -> float:
    """Return how long to wait after the `attempts`-th failure in a row (1, 2, …).

    Doubles from `base_s` up to `max_s`, less a random part of up to a half so that failures do not march in step;
    `chance` is in [0, 1). Never shorter than what the gateway asked for in `retry_after_s`.
    """
    longest_s = min(max_s, base_s * 2.0 ** min(attempts - 1, 60))
    return max(longest_s * (1 - chance / 2), retry_after_s or 0.0)


def held_back_delay_s(*, base_s: float, chance: float, retry_after_s: float | None) -> float:
    """Return when to ask for a check again that was not made because nobody was let through to the gateway.

    `retry_after_s` is when somebody may be let through; up to `base_s` more, by `chance` in [0, 1), so that not all
    come at that moment.
    """
    return (base_s if retry_after_s is None else retry_after_s) + base_s * chance
