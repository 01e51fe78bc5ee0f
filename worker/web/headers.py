"""Headers that every answer has: nothing here is a page of somebody else's, nor to be kept by a cache."""

from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)

_UNLESS_SAID = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)

HSTS = (b"strict-transport-security", b"max-age=31536000")


class SecurityHeaders:
    """Adds them to every answer, also of what is refused early. A route may set its own policy and its own caching."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        """With `https` browsers are told to come by TLS alone from now on (RFC 6797)."""
        self._app = app
        self._always = (*_ALWAYS, HSTS) if https else _ALWAYS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, and add to the answer's headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _added(message.get("headers", ()), self._always)
            await send(message)

        await self._app(scope, receive, with_headers)


def _added(headers: Sequence[tuple[bytes, bytes]], always: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    said = {name.lower() for name, _ in headers}
    return [
        *headers,
        *(one for one in always if one[0] not in said),
        *(one for one in _UNLESS_SAID if one[0] not in said),
    ]
