"""Decide where this process may connect to when somebody else wrote the URL.

Settings of a source come out of a stream's spec, so whoever may create a stream may have
written any URL in them, and a server that dials what it is told is a way into its operator's
network. So every URL is taken for a user's, unless its host is one that the connector's own
spec names (`ConnectorSpec.hosts`): forgetting to say so costs a connector nothing but reach.

A user's URL must be TLS on a usual port of a host that the policy lets users name. The name
is resolved once, every address it has must be public, and the connection goes to an address
that was checked, under the name: what the name says a moment later no longer matters.
Checked again at each connection. No redirect is followed and no proxy of the environment
is used.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, ip_address

import attrs

from bond_core.errors import Fatal, Retryable
from bond_core.plugin.addresses import Address, Network, is_public, is_within

Resolver = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the addresses of a host name, as texts; raises OSError where it has none."""

RESOLVE_S = 5.0
"""How long looking up one name may take."""

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_TLS = ("https", "wss")
_MAX_URL = 2048
_MAX_ADDRESSES = 64

# Not urllib's: it drops tabs and newlines, allows userinfo, and each library that reads the
# same text after it has its own idea of where the host ends. Here it ends where it must.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z]+)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][!$-;=?-\[\]_a-z{|}~]*)?"
)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_HOST_PATTERN = re.compile(r"(?:\*\.(?=[^.]+\.))?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


@attrs.frozen(kw_only=True)
class EgressPolicy:
    """What a URL that a user gave may reach.

    Attributes:
        hosts: The hosts it may name: `api.acme.example`, `*.acme.example` for everything
            below it, `*` for any.
        ports: The ports it may name.
        private: Networks that may be reached although they are not public, for home labs and
            tests. In them any port will do, and plain `ws` and `http` too.
        frames_per_s: How many WebSocket messages are read in a second, at most.
    """

    hosts: tuple[str, ...] = ("*",)
    ports: frozenset[int] = frozenset({443, 8443, 9443})
    private: tuple[Network, ...] = ()
    frames_per_s: float = 200.0

    def check_public_way(self, route: Route) -> None:
        """Raise Fatal unless a URL is TLS on one of the ports."""
        if not route.is_tls:
            raise forbidden(
                f"{route.host} may be reached over TLS only: "
                f"write {'wss' if route.scheme == 'ws' else 'https'}://"
            )
        if route.port not in self.ports:
            ports = ", ".join(map(str, sorted(self.ports)))
            raise forbidden(f"port {route.port} of {route.host} may not be reached, only {ports}")


@attrs.frozen(kw_only=True)
class Route:
    """Where a checked URL leads.

    Attributes:
        host: As it goes into SNI and the Host header: ASCII, lower case, an IPv6 address
            without brackets.
        target: Path and query, `/` at least.
        addresses: What to connect to, in this order; empty: whatever the host resolves to.
        is_guarded: Whether a user may have written the URL. Then nothing that an error says
            may tell how far a connection came.
    """

    scheme: str
    host: str
    port: int
    target: str = "/"
    addresses: tuple[str, ...] = ()
    is_guarded: bool = True

    @property
    def is_tls(self) -> bool:
        """Whether it is encrypted."""
        return self.scheme in _TLS

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL, put together from what was checked."""
        return f"{self.scheme}://{self.authority}{self.target}"


class SystemResolver:
    """Asks the machine's own resolver, a few names at once.

    In threads of its own: a name whose server never answers holds up other such names only.
    """

    def __init__(self, at_once: int = 4) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="resolve")

    async def __call__(self, host: str) -> Sequence[str]:
        """See Resolver."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
        return [str(address[0]) for *_, address in found]


class Egress:
    """The guard: turns a URL into a route, or says why not.

    Args:
        policy: What a user's URL may reach.
        resolve: Looks names up; called once for each connection.
        tls: What certificates are checked with; None is each library's own default.
    """

    def __init__(
        self, policy: EgressPolicy | None = None, *, resolve: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self.policy = policy or EgressPolicy()
        self.tls = tls
        self._resolve = resolve or SystemResolver()

    async def route(
        self, url: str, *, own: Iterable[str] = (), simulated_at: str | None = None
    ) -> Route:
        """Return where a URL leads, checked for a connection that is opened now.

        Args:
            url: As its giver wrote it.
            own: Hosts, in the form of `EgressPolicy.hosts`, that the asking plugin itself
                talks to. Over TLS they are reached unguarded.
            simulated_at: Base URL of the simulator that stands in, reached as it is.

        Raises:
            Fatal: It may not be reached; `code` is `forbidden_url`.
            Retryable: Its host has no address, or one that isn't public: which of the two
                is not told, since names inside are nobody's business.
        """
        route = parse_url(url)
        if simulated_at is not None and _is_same_place(route, parse_url(simulated_at)):
            return attrs.evolve(route, is_guarded=False)
        if route.is_tls and matches(route.host, own):
            return attrs.evolve(route, is_guarded=False)
        policy = self.policy
        if not matches(route.host, policy.hosts):
            raise forbidden(f"{route.host} is not among the hosts that may be named here")
        if not policy.private:  # else it depends on the address
            policy.check_public_way(route)
        found = await self._addresses(route.host)
        if not all(is_within(each, policy.private) for each in found):
            policy.check_public_way(route)
        return attrs.evolve(route, addresses=tuple(str(each) for each in found))

    async def _addresses(self, host: str) -> list[Address]:
        """Return all addresses of a host, each of which may be reached."""
        literal = _literal(host)
        if literal is not None:
            if not self._may_reach(literal):
                raise forbidden(f"{host} is not a public address")
            return [literal]
        try:
            async with asyncio.timeout(RESOLVE_S):
                texts = await self._resolve(host)
            found = [ip_address(text) for text in dict.fromkeys(texts)][:_MAX_ADDRESSES]
        except (OSError, ValueError, TimeoutError):
            found = []
        if not found or not all(self._may_reach(each) for each in found):
            raise Retryable(f"{host} does not lead to a public address")
        return found

    def _may_reach(self, address: Address) -> bool:
        return is_public(address) or is_within(address, self.policy.private)


def check_url(url: str, policy: EgressPolicy, *, own: Iterable[str] = ()) -> None:
    """Refuse a user's URL that may not be reached, as far as its text tells: no name is looked up.

    What passes is looked at again at each connection, by its addresses.

    Raises:
        Fatal: It may not be reached; `code` is `forbidden_url`.
    """
    route = parse_url(url)
    if route.is_tls and matches(route.host, own):
        return
    if not matches(route.host, policy.hosts):
        raise forbidden(f"{route.host} is not among the hosts that may be named here")
    literal = _literal(route.host)
    if literal is not None and is_within(literal, policy.private):
        return
    if literal is not None and not is_public(literal):
        raise forbidden(f"{route.host} is not a public address")
    if literal is not None or not policy.private:  # else it depends on the name's addresses
        policy.check_public_way(route)


def parse_url(url: str) -> Route:
    """Return the parts of an absolute URL; no address in it yet.

    Raises:
        Fatal: It has userinfo, a fragment, another scheme, a character that doesn't belong
            there, or a host written in a way that is read differently by different readers.
    """
    # What was given is never repeated: it may hold a password.
    match = _URL.fullmatch(url) if isinstance(url, str) and len(url) <= _MAX_URL else None
    if match is None or (scheme := match["scheme"].lower()) not in _PORTS:
        raise forbidden(
            "that is no URL to connect to: write https://host/path or wss://host/path, in "
            "ASCII, without user name, fragment or spaces"
        )
    port = int(match["port"] or _PORTS[scheme])
    if not 0 < port < 65_536:
        raise forbidden(f"there is no port {port}")
    target = match["path"] or "/"
    return Route(
        scheme=scheme,
        host=_host(match["host"].lower()),
        port=port,
        target=target if target.startswith("/") else f"/{target}",
    )


def matches(host: str, patterns: Iterable[str]) -> bool:
    """Whether a host is one of those named: itself, below `*.domain`, or any by `*`."""
    return any(
        pattern in (host, "*") or (pattern.startswith("*.") and host.endswith(pattern[1:]))
        for pattern in patterns
    )


def is_host_pattern(text: str) -> bool:
    """Whether it names one host, or all below a domain that is not a top-level one."""
    return _HOST_PATTERN.fullmatch(text) is not None


def forbidden(detail: str) -> Fatal:
    """Return the error of a URL that may not be reached."""
    return Fatal(detail, code="forbidden_url")


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return str(ip_address(text[1:-1]))
        except ValueError:
            raise forbidden("the URL's host is no IPv6 address") from None
    text = text.removesuffix(".")
    labels = text.split(".")
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise forbidden("the URL's host is no host name")
    if _NUMBER.fullmatch(labels[-1]):  # an address, then, and not 127.1, 0177.0.0.1, 0x7f.1
        try:
            return str(IPv4Address(text))
        except ValueError:
            raise forbidden(
                "the URL's host is no IPv4 address: write four decimal numbers"
            ) from None
    return text


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_same_place(one: Route, other: Route) -> bool:
    return (one.host, one.port) == (other.host, other.port)
