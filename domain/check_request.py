"""When a gateway is asked about one of its invoices: spacing, leases, re-checks, back-off and parking."""

CHECK_TIMEOUT_S = 8.0
"""Bounds one whole check, over all pages and a login."""

LEASE_S = 12.0
"""How long a claimed check belongs to its holder: the check, and half as much again to write it down."""

RECHECK_AFTER_S = (5.0, 30.0, 300.0)
"""A payment that a callback named and the gateway does not show yet is looked for so long after it was first named."""

DOUBT_S = 30.0
"""What may be a stale read is looked at again after this long: then it is a question, or was nothing."""
UNFAILED_WAIT_MAX_S = 600.0
"""What has not failed waits less than this: twice the longest re-check."""

RING_AGAIN_S = 10.0
"""A request that was rung and not claimed is rung again after this long, so a lost message costs seconds."""

FINAL_TRIES = 12
"""What the gateway refuses for good is parked after so many tries, half an hour with the defaults: not at once, as a
gateway may not know for a moment what it has just made."""

DEATHS_MAX = 10
"""So many workers in a row died over a check, twenty minutes of them with the defaults: it is parked. One that was
unlucky when workers were killed has had its turn by then."""

PARKED_LOOK_S = 3_600.0
"""What is asked for again while it is parked earns one look, no sooner than so long after it was parked."""


def retry_delay_or_park(
    attempts: int,
    *,
    final: bool,
    limit: int,
    base_s: float,
    max_s: float,
    chance: float,
    retry_after_s: float | None = None,
) -> float | None:
    """Return how long to wait after the `attempts`-th failure in a row, or None when it is to be parked.

    That is after `limit` failures, or after `FINAL_TRIES` of which the last is one that the gateway will not change.
    """
    if attempts >= (min(limit, FINAL_TRIES) if final else limit):
        return None
    return retry_delay_s(attempts, base_s=base_s, max_s=max_s, chance=chance, retry_after_s=retry_after_s)


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
