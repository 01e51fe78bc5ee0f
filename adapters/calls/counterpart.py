"""Whom calls go to."""

from dataclasses import dataclass

import httpx


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterpart:
    """One merchant's account at one gateway."""

    name: str
    """The gateway's name in logs and in Redis: `qpay`."""
    title: str
    """Its name in messages for people: `QPay`."""
    api_url: str
    """What the paths of its calls are appended to, without a slash at its end."""
    account: str
    """The merchant's name there, no secret: with the address it tells installations apart that share a Redis."""


def require_base_url(base_url: str) -> None:
    """Accept a plain http(s) address.

    Raises:
        ValueError: it is none, or has a user, a query or a fragment. It is not repeated in the message: what was
            pasted may hold a password.

    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.query or url.fragment:
        raise ValueError("base_url must be an http(s) address without user, query and fragment")
