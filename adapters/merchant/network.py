"""Connections that go to an address that was looked at, and to no other: the name is not asked for a second time."""

import socket
from collections.abc import Awaitable, Callable, Iterable

import anyio
import httpcore

from adapters.merchant.address import UnreachableAddressError, require_allowed

Resolve = Callable[[str, int], Awaitable[Iterable[str]]]
"""Returns the IP addresses of a name, for a port."""

ADDRESSES_MAX = 4
"""Tried in turn; one that swallows everything must not use up the time of all."""

CONNECT_TIMEOUT_S = 3.0


async def resolve(host: str, port: int) -> Iterable[str]:
    """Ask the system for the addresses of a name, the best first, each once.

    Raises:
        OSError: it has none, or nobody knows.

    """
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return dict.fromkeys(address[0] for *_, address in found)


class LookedAtNetwork(httpcore.AsyncNetworkBackend):
    """Connects for httpcore, which keeps the name: for the certificate that is expected, and for the Host header."""

    def __init__(self, *, allow_private: bool, encrypted: bool, resolve: Resolve = resolve) -> None:
        self._allow_private = allow_private
        self._encrypted = encrypted
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's name; the whole delivery has a deadline
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of the name that answers, if all of them are allowed.

        Raises:
            UnreachableAddressError: one is not; no connection was made.
            httpcore.ConnectError, httpcore.ConnectTimeout: nobody answers.

        """
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name cannot be resolved ({type(error).__name__})") from None
        addresses = require_allowed(found, allow_private=self._allow_private, encrypted=self._encrypted)
        failure: Exception = UnreachableAddressError("the name has no address")
        for address in addresses[:ADDRESSES_MAX]:
            try:
                return await self._inner.connect_tcp(
                    address,
                    port,
                    timeout=CONNECT_TIMEOUT_S,
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 - httpcore's
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: an application is called over the network."""
        raise UnreachableAddressError(f"{path} is no address that may be called")

    async def sleep(self, seconds: float) -> None:
        """Sleep, as httpcore asks for between its tries; it makes none here."""
        await self._inner.sleep(seconds)
