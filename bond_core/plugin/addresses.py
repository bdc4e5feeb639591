"""Say which internet addresses are anybody's to reach, and which are somebody's inside.

The tables follow the IANA special-purpose address registries (RFC 6890 and its updates).
`ipaddress.is_global` is no substitute: on CPython 3.11 it holds for multicast, for 6to4 and
NAT64 forms of private addresses, and for 192.0.0.192.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


_NEVER = _networks(
    "0.0.0.0/8",  # this host: many systems take it for loopback
    "100.100.100.200/32",  # metadata at Alibaba
    "168.63.129.16/32",  # metadata at Azure, in a range that looks public
    "169.254.0.0/16",  # link-local, and metadata at most others
    "192.0.0.0/24",  # IETF protocol assignments, and metadata at Oracle
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and limited broadcast
    "::/128",
    "fd00:ec2::254/128",  # metadata at Amazon
    "fd20:ce::254/128",  # metadata at Google
    "fe80::/10",  # link-local
    "fec0::/10",  # site-local, deprecated
    "ff00::/8",  # multicast
)
"""What nobody means who names a server of his own. No setting opens it."""

_INSIDE = _networks(
    "10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
    "100.64.0.0/10",  # between a provider and its customers
    "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays, deprecated
    "198.18.0.0/15",  # benchmarks
    "2001::/23",  # IETF protocol assignments, Teredo among them
    "2001:db8::/32", "3fff::/20",  # documentation
)  # fmt: skip

PRIVATE = _networks(
    "10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
    "::1/128", "fc00::/7",
)  # fmt: skip
"""What people have at home: loopback, private networks, and those of overlays."""

_UNICAST = IPv6Network("2000::/3")  # all that is handed out of IPv6; the rest is something else
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_LOW_32 = 0xFFFF_FFFF
_ISATAP, _ISATAP_GLOBAL = 0x0000_5EFE, 0x0200_5EFE  # RFC 5214, 6.1: before the last 32 bits


def is_public(address: Address) -> bool:
    """Whether it is a unicast address of the public internet, whatever it is wrapped in."""
    inner = _inside_of(address)
    if not all(is_public(each) for each in inner):
        return False
    if isinstance(address, IPv6Address):
        # Translated, not routed: what counts is the IPv4 address in it.
        if address.ipv4_mapped or address in _NAT64:
            return True
        if address not in _UNICAST or address.scope_id:
            return False
    return not _is_in(address, _NEVER) and not _is_in(address, _INSIDE)


def is_within(address: Address, networks: Iterable[Network]) -> bool:
    """Whether it lies in networks that an operator has opened. What is never open is not."""
    if isinstance(address, IPv6Address):
        if address.scope_id:
            return False
        address = address.ipv4_mapped or address
    return not _is_in(address, _NEVER) and _is_in(address, networks)


def _inside_of(address: Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses at which a packet to it may end."""
    if isinstance(address, IPv4Address):
        return ()
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address.sixtofour:
        return (address.sixtofour,)
    whole = int(address)
    if address in _NAT64 or (whole >> 32) & _LOW_32 in (_ISATAP, _ISATAP_GLOBAL):
        return (IPv4Address(whole & _LOW_32),)
    return ()


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
