"""Public address: whether the internet can reach what customers and gateways are told to call."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from worker.doctor.finding import About, Finding

ADDRESS = About("public-address")

TUNNELS = (
    "ngrok.io", "ngrok.app", "ngrok.dev", "ngrok-free.app", "ngrok-free.dev", "trycloudflare.com", "loca.lt",
    "localtunnel.me", "localhost.run", "lhr.life", "serveo.net", "serveousercontent.com", "pagekite.me", "bore.pub",
    "devtunnels.ms", "pinggy.link", "pinggy.io", "zrok.io", "tunnelmole.net", "app.github.dev", "gitpod.io",
)  # fmt: skip
"""Names under which a developer's machine is reached for as long as a program runs there."""

_NOWHERE = (
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "test",
    "invalid",
    "arpa",
)
"""Last parts of names that lead nowhere in the internet (RFC 2606, RFC 6761, RFC 6762, ICANN's .internal)."""


def judge_address(setting: str, url: str, *, resolved: Sequence[str] | None, live: bool) -> Iterator[Finding]:
    """Judge one address by its text, and by the IP addresses of its name as this machine resolves it.

    `resolved` is None where the name could not be resolved.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    found = [*_by_text(setting, host, https=parts.scheme == "https", live=live)]
    if not found:
        found = [*_by_number(setting, host, resolved, live=live)]
    yield from found
    if not found:
        yield ADDRESS.ok(f"{setting}: https, and {host} is a public name")


def _by_text(setting: str, host: str, *, https: bool, live: bool) -> Iterator[Finding]:
    if not https:
        yield ADDRESS.fault(
            f"{setting} begins with http://: whoever stands in between reads and changes what customers see",
            f"Put something that speaks TLS in front of tootsoo web, and write https:// into {setting}.",
            live=live,
        )
    number = _number(host)
    if host.endswith(tuple(f".{one}" for one in TUNNELS)) or host in TUNNELS:
        yield ADDRESS.fault(
            f"{setting} is a tunnel to a developer's machine: it ends when that program does",
            f"Give {setting} a name of your own.",
            live=live,
        )
    elif number is not None and number.is_global:
        yield ADDRESS.warning(
            f"{setting} is a number, not a name: it cannot move, and certificates for numbers are rare",
            f"Give {setting} a name.",
        )
    elif (number is not None) or "." not in host or host.rpartition(".")[2] in _NOWHERE:
        yield ADDRESS.fault(
            f"{setting} leads nowhere in the internet, so no gateway can call it",
            f"Write the public https:// address of tootsoo web into {setting}.",
            live=live,
        )


def _by_number(setting: str, host: str, resolved: Sequence[str] | None, *, live: bool) -> Iterator[Finding]:
    if not resolved:
        yield ADDRESS.fault(
            f"{setting}: {host} cannot be resolved", "Make the name's DNS record, or wait until it is known.", live=live
        )
        return
    numbers = [number for text in resolved if (number := _number(text)) is not None]
    if any(number.is_loopback for number in numbers):
        yield ADDRESS.fault(
            f"{setting}: {host} leads to this machine itself, as this machine resolves it",
            "See what /etc/hosts and the name's DNS record say.",
            live=live,
        )
    elif not all(number.is_global for number in numbers):
        yield ADDRESS.warning(
            f"{setting}: {host} leads to a private address, as this machine resolves it",
            "Ask from outside of your network whether it leads to a public one there.",
        )


def _number(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
