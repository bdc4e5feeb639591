"""From which web pages a browser may reach the server, and under which names.

A browser tells the page's origin (RFC 6454) and sends the name it dialled. Other clients send
no Origin, and are not asked: they prove themselves by key or token.

* Origin: the server's own, those of BOND_ALLOWED_ORIGINS, and on loopback every `localhost`.
* Host: where nobody is asked for a key, or only this machine gets in, a page could point its
  own domain here (DNS rebinding) and be "the same origin". So the name must then be one
  that no stranger can own: an address, `localhost`, a name without a dot, or one that was told.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import attrs

ANY = "*"
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


@attrs.frozen(kw_only=True)
class Origins:
    """Who may come, by origin and by the name they dialled.

    Attributes:
        allowed: Origins of other sites, as browsers write them; `*` is every site.
        hosts: Names under which the server may be reached, without port.
        is_loopback: Whether it is bound to loopback.
    """

    allowed: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    is_loopback: bool = True

    def accepts_origin(self, origin: str | None, host: str | None) -> bool:
        """Return whether a page of this origin may use the server under this name."""
        if origin is None or ANY in self.allowed or origin.lower() in self.allowed:
            return True
        parts = _split_origin(origin)
        if parts is None:
            return False
        scheme, name, port = parts
        if self.is_loopback and _is_this_machine(name):
            return True
        dialled = _split_host(host or "")
        return dialled is not None and (name, port) == (dialled[0], dialled[1] or _PORTS[scheme])

    def accepts_host(self, hosts: Sequence[str], *, is_open: bool) -> bool:
        """Return whether the server may be reached under the names that a request carries.

        Args:
            hosts: The request's Host headers; one without any is an old client, no browser.
            is_open: Whether nobody is asked for a key.
        """
        if not (self.is_loopback or is_open or self.hosts):
            return True
        return all(self._accepts_host(host) for host in hosts)

    def _accepts_host(self, host: str) -> bool:
        dialled = _split_host(host)
        if dialled is None:
            return False
        name = dialled[0]
        return name in self.hosts or "." not in name.strip(".") or _is_harmless(name)


def parse_origins(words: Iterable[str]) -> frozenset[str]:
    """Return the origins that a setting lists.

    Raises:
        ValueError: One is none; it is the error's argument.
    """
    found = set()
    for word in words:
        plain = word.lower().rstrip("/")
        if plain != ANY and not _ORIGIN.fullmatch(plain):
            raise ValueError(word)
        found.add(plain)
    return frozenset(found)


def host_of(url_or_host: str) -> str | None:
    """Return the name in a URL or a `host:port`, in small letters; None where there is none."""
    text = urlsplit(url_or_host).netloc if "//" in url_or_host else url_or_host
    parts = _split_host(text)
    return parts[0] if parts else None


def _split_host(host: str) -> tuple[str, int | None] | None:
    found = _HOST.fullmatch(host)
    if found is None:
        return None
    return found[1].lower(), int(found[2]) if found[2] else None


def _split_origin(origin: str) -> tuple[str, str, int] | None:
    if not _ORIGIN.fullmatch(origin.lower()):
        return None
    scheme, _, host = origin.lower().partition("://")
    parts = _split_host(host)
    return None if parts is None else (scheme, parts[0], parts[1] or _PORTS[scheme])


def _is_harmless(name: str) -> bool:
    """Return whether no stranger can make this name lead here."""
    if name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_this_machine(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
