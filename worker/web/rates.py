"""Rates: how many requests a minute one key may send to this process, and one address that shows no key of ours."""

import ipaddress
import math
import time

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from worker.web.errors import ApiError

_IPV6_NETWORK_BITS = 64
"""What one customer of a provider gets: whoever has one address of it has all."""

_UNKNOWN = "unknown"

_OF_PAGE = RateLimitItemPerMinute(300)
"""Ten phones and browsers that show the same page."""


class Rates:
    """Counts in this process alone: with two web processes each lets so much through. Waits for nothing.

    Callbacks are not counted: a forged one costs no look-up, and a gateway's own must never be turned away.
    """

    def __init__(self, *, per_key_a_minute: int, per_address_a_minute: int) -> None:
        self._of_key = RateLimitItemPerMinute(per_key_a_minute)
        self._of_address = RateLimitItemPerMinute(per_address_a_minute)
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count_stranger(self, request: Request) -> None:
        """Count a request of which nobody knows yet whose it is, by its address.

        Raises:
            ApiError: 429, too many came from there.

        """
        self._count(self._of_address, "address", network_of(request.client.host if request.client else _UNKNOWN))

    def count_call(self, key_id: str) -> None:
        """Count a call by a key.

        Raises:
            ApiError: 429, it has called too often.

        """
        self._count(self._of_key, "key", key_id)

    def count_customer(self, invoice_id: str) -> None:
        """Count a look at an invoice's pay page; each page that is open looks every two seconds.

        Raises:
            ApiError: 429, it is looked at too often.

        """
        self._count(_OF_PAGE, "page", invoice_id)

    def _count(self, limit: RateLimitItemPerMinute, *of: str) -> None:
        if self._counter.hit(limit, *of):
            return
        wait_s = max(1, math.ceil(self._counter.get_window_stats(limit, *of).reset_time - time.time()))
        raise ApiError(
            429,
            "TOO_MANY_REQUESTS",
            f"more than {limit.amount} requests a minute: try again in {wait_s} s",
            headers={"Retry-After": str(wait_s)},
        )


def network_of(address: str) -> str:
    """Return what is counted as one: an IPv4 address, or the network of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return _UNKNOWN
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(parsed), _IPV6_NETWORK_BITS), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
