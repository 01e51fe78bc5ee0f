"""Rates: how many requests a minute one key may send to this process, and one address that shows no key of ours."""

import ipaddress
import math
import threading
import time
from dataclasses import dataclass

from cachetools import TTLCache
from fastapi import Request

from worker.web.errors import ApiError

WINDOW_S = 60.0

COUNTED_AT_ONCE = 100_000
"""Keys, addresses and pages; with more the counts that end soonest are forgotten, so that memory has a bound."""

PAGE_LOOKS_A_MINUTE = 300
"""Ten phones and browsers that show the same page."""

_IPV6_NETWORK_BITS = 64
"""What one customer of a provider gets: whoever has one address of it has all."""

_UNKNOWN = "unknown"


@dataclass(slots=True)
class _Window:
    """What came since its first request."""

    began_s: float
    count: int = 0


class Rates:
    """Counts in this process alone: with two web processes each lets so much through. Waits for nothing.

    Callbacks are not counted: a forged one costs no look-up, and a gateway's own must never be turned away.
    """

    def __init__(self, *, per_key_a_minute: int, per_address_a_minute: int) -> None:
        self._per_key = per_key_a_minute
        self._per_address = per_address_a_minute
        self._windows: TTLCache[tuple[str, str], _Window] = TTLCache(COUNTED_AT_ONCE, ttl=WINDOW_S)
        self._lock = threading.Lock()

    def count_stranger(self, request: Request) -> None:
        """Count a request of which nobody knows yet whose it is, by its address.

        Raises:
            ApiError: 429, too many came from there.

        """
        self._count("address", network_of(request.client.host if request.client else _UNKNOWN), limit=self._per_address)

    def count_call(self, key_id: str) -> None:
        """Count a call by a key.

        Raises:
            ApiError: 429, it has called too often.

        """
        self._count("key", key_id, limit=self._per_key)

    def count_customer(self, invoice_id: str) -> None:
        """Count a look at an invoice's pay page; each page that is open looks every two seconds.

        Raises:
            ApiError: 429, it is looked at too often.

        """
        self._count("page", invoice_id, limit=PAGE_LOOKS_A_MINUTE)

    def _count(self, kind: str, of: str, *, limit: int) -> None:
        now_s = time.monotonic()
        with self._lock:
            window = self._windows.get((kind, of))
            if window is None:
                window = self._windows[kind, of] = _Window(began_s=now_s)
            window.count += 1
            count = window.count
        if count > limit:
            wait_s = max(1, math.ceil(window.began_s + WINDOW_S - now_s))
            raise ApiError(
                429,
                "TOO_MANY_REQUESTS",
                f"more than {limit} requests a minute: try again in {wait_s} s",
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
