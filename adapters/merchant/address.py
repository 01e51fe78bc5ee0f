"""Where a notification may go: every address of a name is looked at before any is connected to.

A merchant's settings, or whoever answers for its name, must not make us speak to a cloud's metadata service, to a
database beside us, or to anything else that trusts its own network.
"""

from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IPAddress = IPv4Address | IPv6Address


class Reach(Enum):
    """What kind of address one is."""

    PUBLIC = "public"
    """Anywhere in the internet."""
    PRIVATE = "private"
    """On this machine, or in a network of its owner."""
    NEVER = "never"
    """Nothing that is told anything: metadata services, groups, documentation, what is reserved."""


class UnreachableAddressError(Exception):
    """An address that is not allowed. The message names it; no connection was made."""


_PRIVATE = tuple(
    IPv4Network(one) for one in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)
_NEVER = tuple(
    IPv4Network(one)
    for one in (
        "0.0.0.0/8",  # this network, which Linux takes for this machine
        "169.254.0.0/16",  # link-local: the metadata services of clouds
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays, retired
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_PRIVATE_6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
_PUBLIC_6 = IPv6Network("2000::/3")
_NEVER_6 = tuple(
    IPv6Network(one)
    for one in (
        "2001::/23",  # IETF protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: leads to an IPv4 address that nobody looked at
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that is reached."""


def reach_of(address: IPAddress) -> Reach:
    """Say what kind of address one is, by the IANA registries of special-purpose addresses (as of 2026).

    An IPv4 address inside of an IPv6 one, mapped or translated, counts as what it is. Of IPv6 only 2000::/3 is public:
    nothing else is given out.
    """
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return reach_of(address.ipv4_mapped)
        if address in _NAT64:
            return reach_of(IPv4Address(int(address) & 0xFFFF_FFFF))
        if any(address in network for network in _PRIVATE_6):
            return Reach.PRIVATE
        public = address in _PUBLIC_6 and not any(address in network for network in _NEVER_6)
        return Reach.PUBLIC if public else Reach.NEVER
    if any(address in network for network in _NEVER):
        return Reach.NEVER
    return Reach.PRIVATE if any(address in network for network in _PRIVATE) else Reach.PUBLIC


def require_allowed(addresses: Iterable[str], *, allow_private: bool, encrypted: bool) -> tuple[str, ...]:
    """Return the addresses of a name if we may connect to each of them.

    To all of them, not to one: a name that also leads elsewhere leads elsewhere at its owner's choice. Without TLS only
    private ones are allowed, and those only if private ones are.

    Raises:
        UnreachableAddressError: one is not allowed, or there is none.

    """
    allowed = []
    for text in addresses:
        match reach_of(ip_address(text)):
            case Reach.PUBLIC if encrypted:
                allowed.append(text)
            case Reach.PUBLIC:
                raise UnreachableAddressError(f"{text} is a public address: it takes https")
            case Reach.PRIVATE if allow_private:
                allowed.append(text)
            case Reach.PRIVATE:
                raise UnreachableAddressError(f"{text} is no public address; NOTIFY_ALLOW_PRIVATE allows private ones")
            case Reach.NEVER:
                raise UnreachableAddressError(f"{text} is no address that may be called")
    if not allowed:
        raise UnreachableAddressError("the name has no address")
    return tuple(allowed)
