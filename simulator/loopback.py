"""What stays on this machine: where the simulator listens, and whom it calls, unless told otherwise."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself. Names are not looked up: only `localhost` is one."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
