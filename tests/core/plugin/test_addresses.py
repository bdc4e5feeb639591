"""Which addresses are public, in every way of writing one inside another."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

import pytest

from bond_core.plugin.addresses import PRIVATE, is_public, is_within

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "192.0.1.1", "172.15.0.1", "223.255.255.254"]
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.9.9.9",  # noqa: S104
    "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255",
    "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
    "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255",
]  # fmt: skip
NOT_PUBLIC_6 = [
    "::", "::1", "::2", "::7f00:1", "64:ff9b:1::808:808", "100::1", "2001:2::1", "2001:10::1",
    "2001:20::1", "2001:db8::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254",
    "fe80::1", "fe80::1%1", "2606:4700::1%1", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip


def wrapped(v4):
    """Return the IPv6 addresses at which a packet for an IPv4 address may be accepted."""
    low = int(ip_address(v4))
    return {
        "mapped": IPv6Address(0xFFFF << 32 | low),
        "nat64": IPv6Address(int(ip_address("64:ff9b::")) | low),
        "6to4": IPv6Address(0x2002 << 112 | low << 80 | 1),
        "isatap": IPv6Address(0x2606_4700 << 96 | 0x5EFE << 32 | low),
        "isatap global": IPv6Address(0x2606_4700 << 96 | 0x0200_5EFE << 32 | low),
    }


def teredo(server, client):
    """Return the Teredo address (RFC 4380, 4) of a client behind a server."""
    low = int(ip_address(client)) ^ 0xFFFF_FFFF
    return IPv6Address(0x2001_0000 << 96 | int(ip_address(server)) << 64 | low)


@pytest.mark.parametrize("text", [*PUBLIC, "2606:4700:4700::1111", "2a00:1450::1"])
def test_what_the_internet_routes_is_public(text):
    """An address that anybody may have a server at."""
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", [*NOT_PUBLIC, *NOT_PUBLIC_6])
def test_what_is_set_aside_is_not_public(text):
    """Loopback, private, link-local, metadata, multicast, documentation, reserved."""
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_wrapping_makes_nothing_public(text):
    """An address inside another counts as what it is."""
    assert [how for how, address in wrapped(text).items() if is_public(address)] == []
    assert not is_public(teredo("8.8.8.8", text))
    assert not is_public(teredo(text, "8.8.8.8"))


def test_a_public_address_stays_public_when_translated():
    """Behind a resolver that makes IPv6 of IPv4, all the internet looks like that."""
    assert [how for how, address in wrapped("8.8.8.8").items() if not is_public(address)] == []


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "100.64.0.1", "::1", "fd12::1",
             "::ffff:192.168.1.1"]
)  # fmt: skip
def test_a_home_can_be_opened(text):
    """Networks that an operator names are within reach."""
    assert is_within(ip_address(text), PRIVATE)
    assert not is_within(ip_address(text), ())


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0", "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1",  # noqa: S104
     "255.255.255.255", "::", "fd00:ec2::254", "fd20:ce::254", "fe80::1%1", "ff02::1",
     "::ffff:169.254.169.254"],
)  # fmt: skip
def test_metadata_can_not_be_opened(text):
    """Not even where everything is opened."""
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))

    assert not is_within(ip_address(text), everything)
