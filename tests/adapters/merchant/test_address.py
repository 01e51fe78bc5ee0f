"""Which addresses may be called: a name that leads anywhere else is not called at all."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.merchant.address import Reach, UnreachableAddressError, reach_of, require_allowed

PUBLIC = (
    "1.1.1.1",
    "103.229.120.10",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "2606:4700::1111",
)
PRIVATE = ("127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd00::1")
NEVER = (
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "64:ff9b:1::1",
    "::7f00:1",
    "4000::1",
)
"""Among them: link-local, metadata services, groups, Teredo, 6to4, documentation, and what nobody was given."""


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        *((one, Reach.PUBLIC) for one in PUBLIC),
        *((one, Reach.PRIVATE) for one in PRIVATE),
        *((one, Reach.NEVER) for one in NEVER),
    ],
)
def test_an_address_is_known_for_what_it_is(address: str, reach: Reach) -> None:
    assert reach_of(ip_address(address)) is reach


@given(number=st.integers(0, 2**32 - 1))
def test_an_address_inside_of_another_counts_as_what_it_is(number: int) -> None:
    inner = IPv4Address(number)

    assert reach_of(IPv6Address(f"::ffff:{inner}")) is reach_of(inner)
    assert reach_of(IPv6Address(f"64:ff9b::{inner}")) is reach_of(inner)


@given(number=st.integers(0, 2**32 - 1))
def test_what_pythons_own_tables_call_not_global_is_never_public(number: int) -> None:
    address = IPv4Address(number)

    assert reach_of(address) is not Reach.PUBLIC or address.is_global


@pytest.mark.parametrize("private", [*PRIVATE, "::ffff:127.0.0.1", "64:ff9b::10.0.0.1"])
def test_one_private_address_among_public_ones_spoils_the_name(private: str) -> None:
    with pytest.raises(UnreachableAddressError, match="NOTIFY_ALLOW_PRIVATE"):
        require_allowed(["1.1.1.1", private], allow_private=False, encrypted=True)


@pytest.mark.parametrize("address", [*NEVER, "::ffff:169.254.169.254"])
def test_what_is_never_called_is_not_called_by_any_setting(address: str) -> None:
    with pytest.raises(UnreachableAddressError):
        require_allowed([address], allow_private=True, encrypted=True)


def test_without_tls_only_private_addresses_are_called_and_only_if_allowed() -> None:
    assert require_allowed(["127.0.0.1", "::1"], allow_private=True, encrypted=False) == ("127.0.0.1", "::1")
    with pytest.raises(UnreachableAddressError, match="https"):
        require_allowed(["127.0.0.1", "1.1.1.1"], allow_private=True, encrypted=False)
    with pytest.raises(UnreachableAddressError):
        require_allowed(["127.0.0.1"], allow_private=False, encrypted=False)


def test_a_name_without_any_address_is_not_called() -> None:
    with pytest.raises(UnreachableAddressError, match="no address"):
        require_allowed([], allow_private=True, encrypted=True)
