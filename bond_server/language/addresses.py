"""Say whether a stream may be pointed at an address, as far as its text tells.

Names are not resolved here: whoever opens the connection checks the address it leads to.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_SCHEMES = ("wss", "https")
_LOCAL_NAMES = ("localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp")


def why_forbidden(url: str) -> str | None:
    """Return why a stream may not open this address; None if nothing speaks against it."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port
    except ValueError:
        return "this is not an address"
    if parts.scheme.lower() not in _SCHEMES:
        return "only wss:// and https:// addresses may be opened"
    if parts.username is not None or parts.password is not None:
        return "an address may not carry a user name or password"
    if not host:
        return "this address names no host"
    literal = _ip(host)
    if literal is not None:
        public = literal.is_global and not literal.is_multicast
        return None if public else f"{host} is not a public address"
    if "." not in host or host.rsplit(".", 1)[1].lower() in _LOCAL_NAMES:
        return f"{host} is not a public address"
    return None


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a host spells out, in the short and odd forms too."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return _odd_ipv4(host)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _odd_ipv4(host: str) -> ipaddress.IPv4Address | None:
    """Read `2130706433`, `0x7f.1` and `0177.0.0.1` as inet_aton does."""
    parts = host.lower().split(".")
    if not 1 <= len(parts) <= 4:
        return None
    try:
        numbers = [_c_integer(part) for part in parts]
    except ValueError:
        return None
    *leading, last = numbers
    if any(n > 255 for n in leading) or last >= 256 ** (4 - len(leading)):
        return ipaddress.IPv4Address(0)  # looks like an address and is none: not public
    value = last + sum(n << (24 - 8 * i) for i, n in enumerate(leading))
    return ipaddress.IPv4Address(value)


def _c_integer(text: str) -> int:
    if text.startswith("0x"):
        return int(text, 16)
    return int(text, 8) if len(text) > 1 and text.startswith("0") else int(text)
