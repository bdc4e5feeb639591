"""The server's environment, read once into one checked object.

What stands in the process's environment wins over a `.env` in the working directory.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from bond_core.errors import Problem, SetupError
from bond_core.plugin.egress import EgressPolicy
from bond_core.runtime.binding import Defaults
from bond_core.runtime.feed import Future
from bond_core.runtime.sink_policy import SinkPolicy
from bond_core.settings import Secret, SettingsError
from bond_core.wire.times import parse_iso
from bond_server.auth.keys import ApiKey, key_file, parse_keys
from bond_server.auth.limits import ON_LOOPBACK, PUBLIC, Limits, Rate, parse_rate
from bond_server.auth.origins import Origins, host_of, parse_origins
from bond_server.auth.secret import is_weak, keep_secret
from bond_server.egress_settings import egress_policy
from bond_server.environment import default_data_dir, wrong
from bond_server.proposals.settings import ModelSettings, model_settings
from bond_server.roles import NAMES
from bond_server.sink_settings import sink_policy

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


class UnsafeBindError(SetupError):
    """The server would be open to others as it is set up; it does not start."""

    default_code = "unsafe_bind"


@attrs.frozen(kw_only=True)
class ServerSettings:
    """What the environment says to the server (contract §6).

    Attributes:
        host: Address it binds to.
        port: Port it binds to; 0 takes a free one.
        secret: Signs stream tokens.
        secret_previous: Signed them before; still accepted.
        secret_previous_until_s: Until then, in Unix seconds; None for as long as it is set.
        token_ttl_s: How long a token is good for, in seconds.
        max_streams: Streams a project may have at once.
        ring_seconds: How much of a stream is kept for replay, in seconds.
        drain_s: Over how long its clients are told to leave when it ends, in seconds; a few
            are told sooner.
        public_ws_base: What stands before `/{stream_id}` in the URLs given out, such as
            `wss://streams.example.com/ws`.
        ws_host: Host and port of the WebSocket server in the URLs given out.
        data_dir: Where it keeps what must outlive it.
        snapshot_s: How often running streams are written down there, in seconds; 0 is never.
        future: What happens to events whose time lies in the future.
        role: What this process does, of `bond_server.roles.NAMES`.
        lease_s: How long a worker's lease lasts without renewal, in seconds.
        is_standby: Whether this worker runs along with others' streams, to lose no window.
        hand_over_s: How long this worker hands its streams over when it ends, in seconds.
        redis_url: Where records are kept; None keeps them in this process. It may hold a password.
        default_exchanges: Venues of a sentence that names none; empty leaves Bond's own.
        simulate: Whether every source may be simulated, and labelled so.
        api_keys: Keys of the environment, beside those of the data directory.
        allowed_origins: Sites whose pages may use the server, beside its own.
        allowed_hosts: Names under which the server may be reached.
        limits: How many requests and listeners a caller may have.
        egress: What a URL may reach that stands in somebody's spec.
        sinks: What the settings of a sink in somebody's spec may name.
        model: Which language model may be asked for proposals.
        warnings: What whoever starts the server should know, a sentence each.
    """

    secret: Secret
    host: str = "127.0.0.1"
    port: int = 8000
    secret_previous: Secret | None = None
    secret_previous_until_s: int | None = None
    token_ttl_s: int = 3600
    max_streams: int = 5
    ring_seconds: float = 60.0
    drain_s: float = 10.0
    public_ws_base: str | None = None
    ws_host: str | None = None
    data_dir: Path = attrs.field(factory=lambda: default_data_dir(os.environ))
    snapshot_s: float = 5.0
    future: Future = "reject"
    role: str = "all"
    lease_s: float = 10.0
    is_standby: bool = False
    hand_over_s: float = 1.4
    redis_url: Secret | None = None
    default_exchanges: tuple[str, ...] = ()
    simulate: bool = False
    api_keys: tuple[ApiKey, ...] = ()
    allowed_origins: frozenset[str] = frozenset()
    allowed_hosts: frozenset[str] = frozenset()
    limits: Limits = ON_LOOPBACK
    egress: EgressPolicy = attrs.field(factory=EgressPolicy)
    sinks: SinkPolicy = attrs.field(factory=SinkPolicy)
    model: ModelSettings = attrs.field(factory=ModelSettings)
    warnings: tuple[str, ...] = ()

    def defaults(self, *, simulate: bool = False) -> Defaults:
        """Return what is assumed where a request leaves it open."""
        plain = Defaults(simulate=simulate or self.simulate, sinks=self.sinks, egress=self.egress)
        if not self.default_exchanges:
            return plain
        behind = tuple(v for v in plain.fallback if v not in self.default_exchanges)
        return attrs.evolve(plain, exchanges=self.default_exchanges, fallback=behind)

    def origins(self) -> Origins:
        """Return which pages may come, and under which names; the given URLs are such names."""
        origins, hosts = set(self.allowed_origins), set(self.allowed_hosts)
        if self.public_ws_base:
            base = self.public_ws_base.partition("://")[2].partition("/")[0].lower()
            is_secure = self.public_ws_base.startswith("wss")
            origins.add(f"{'https' if is_secure else 'http'}://{base}")
        known = [*self.allowed_origins, self.public_ws_base, self.ws_host]
        hosts.update(filter(None, (host_of(one) for one in known if one)))
        return Origins(
            allowed=frozenset(origins), hosts=frozenset(hosts),
            is_loopback=is_loopback(self.host),
        )  # fmt: skip


def read_settings(
    environ: Mapping[str, str], *, host: str = "127.0.0.1", port: int = 8000
) -> ServerSettings:
    """Return the settings of a server that binds to `host` and `port`.

    On loopback a missing or weak `BOND_SECRET` is replaced by a random one, kept in the data
    directory for the next start.

    Raises:
        SettingsError: Variables make no sense; `problems` names each.
        UnsafeBindError: The address is open to others, and there is no good secret, or
            nobody would be asked for a key.
    """
    read = _Reader(environ)
    data_dir = Path(read.text("BOND_DATA_DIR") or default_data_dir(environ))
    values: dict[str, Any] = {
        "token_ttl_s": read.whole("BOND_TOKEN_TTL", 3600, at_least=1, at_most=10 * 365 * 86_400),
        "max_streams": read.whole("BOND_MAX_STREAMS", 5, at_least=1, at_most=1_000_000),
        "ring_seconds": read.number("BOND_RING_SECONDS", 60.0, at_least=0, at_most=86_400),
        "drain_s": read.number("BOND_DRAIN_SECONDS", 10.0, at_least=0, at_most=10),
        "future": read.matching("BOND_FUTURE_EVENTS", "reject|clamp", "reject or clamp")
        or "reject",
        # Less often, and what is lost by a crash would be older than what a restart makes good.
        "snapshot_s": read.number("BOND_SNAPSHOT_SECONDS", 5.0, at_least=0, at_most=30),
        "public_ws_base": read.matching(
            "PUBLIC_WS_BASE", r"wss?://[^\s?#]+", "ws:// or wss:// and a host, such as "
            "wss://streams.example.com/ws"
        ),
        "ws_host": read.matching(
            "WS_HOST", r"[A-Za-z0-9._\-\[\]:]+", "a host and port, such as localhost:8080"
        ),
        "default_exchanges": read.words("BOND_DEFAULT_EXCHANGES"),
        "simulate": read.flag("BOND_SIMULATE"),
        "role": read.one_of("BOND_ROLE", NAMES, "all"),
        "lease_s": read.number("BOND_LEASE_SEC", 10.0, at_least=0.5, at_most=300),
        "is_standby": read.flag("BOND_STANDBY"),
        "hand_over_s": read.number("BOND_HAND_OVER_SECONDS", 1.4, at_least=0.5, at_most=60),
        "secret_previous_until_s": read.moment("BOND_SECRET_PREVIOUS_VALID_UNTIL"),
        "api_keys": read.keys("BOND_API_KEYS"),
        "allowed_origins": read.origins("BOND_ALLOWED_ORIGINS"),
        "allowed_hosts": frozenset(read.words("BOND_ALLOWED_HOSTS")),
        "limits": _limits(read, ON_LOOPBACK if is_loopback(host) else PUBLIC),
    }  # fmt: skip
    values["egress"], odd = egress_policy(environ, is_loopback=is_loopback(host))
    read.add(odd)
    values["sinks"], odd = sink_policy(environ, is_loopback=is_loopback(host))
    read.add(odd)
    values["model"], odd = model_settings(environ)
    read.add(odd)
    is_open_on_purpose = read.flag("BOND_OPEN")
    previous = read.text("BOND_SECRET_PREVIOUS")
    redis_url = read.redis_url("REDIS_URL")
    if values["role"] != "all" and redis_url is None:
        alone = f"is {values['role']}: a part of a server shares its streams over Redis"
        read.add([Problem(pointer="BOND_ROLE", detail=f"{alone}. Set REDIS_URL, or leave it out")])
    read.finish()
    if not is_loopback(host):
        has_key = bool(values["api_keys"] or key_file(data_dir).read().keys)
        _refuse_unsafe(environ, host, is_asking_or_open=has_key or is_open_on_purpose)
    secret, warnings = _secret(environ.get("BOND_SECRET"), data_dir)
    if previous and values["secret_previous_until_s"] is None:
        warnings.append(
            "BOND_SECRET_PREVIOUS counts for as long as it is set: "
            "BOND_SECRET_PREVIOUS_VALID_UNTIL gives it an end"
        )
    return ServerSettings(
        host=host,
        port=port,
        secret=secret,
        secret_previous=Secret(previous) if previous else None,
        data_dir=data_dir,
        redis_url=Secret(redis_url) if redis_url else None,
        warnings=tuple(warnings),
        **values,
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach what binds to `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _refuse_unsafe(environ: Mapping[str, str], host: str, *, is_asking_or_open: bool) -> None:
    wrong = []
    if is_weak(environ.get("BOND_SECRET")):
        wrong.append(
            Problem(
                pointer="BOND_SECRET",
                detail="is missing, short or the published default: anybody could sign tokens. "
                "`bond secret new` prints a good one",
            )
        )
    previous = environ.get("BOND_SECRET_PREVIOUS")
    if previous and is_weak(previous):
        wrong.append(
            Problem(
                pointer="BOND_SECRET_PREVIOUS",
                detail="is short or the published default: anybody could sign tokens with it",
            )
        )
    if not is_asking_or_open:
        wrong.append(
            Problem(
                pointer="BOND_OPEN",
                detail="nobody is asked for an API key. `bond keys new` makes one; or set "
                "BOND_OPEN=1 if something in front decides who gets in",
            )
        )
    if wrong:
        raise UnsafeBindError(
            f"Bond does not start on {host}: others can reach it there",
            problems=wrong,
            fix="bond serve --host 127.0.0.1",
        )


def _limits(read: _Reader, usual: Limits) -> Limits:
    most = {"at_least": 1, "at_most": 1_000_000}
    return Limits(
        reads=read.rate("BOND_RATE_READS", usual.reads),
        writes=read.rate("BOND_RATE_WRITES", usual.writes),
        connects=read.rate("BOND_RATE_CONNECTS", usual.connects),
        bad_tokens=read.rate("BOND_RATE_BAD_TOKENS", usual.bad_tokens),
        connections=read.whole("BOND_MAX_CONNECTIONS", usual.connections, **most),
        per_address=read.whole("BOND_MAX_CONNECTIONS_PER_ADDRESS", usual.per_address, **most),
        per_token=read.whole("BOND_MAX_CONNECTIONS_PER_TOKEN", usual.per_token, **most),
        replays=read.whole("BOND_MAX_REPLAYS", usual.replays, **most),
        tokens=read.whole("BOND_MAX_TOKENS", usual.tokens, **most),
    )


def _secret(given: str | None, data_dir: Path) -> tuple[Secret, list[str]]:
    if not is_weak(given):
        return Secret(str(given)), []
    path = data_dir / "secret"
    why = "BOND_SECRET is too weak to be used" if given else "BOND_SECRET is not set"
    return keep_secret(path), [f"{why}: using the one in {path}, good for this machine only"]


class _Reader:
    """Takes variables out of the environment and remembers which were wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[Problem] = []

    def add(self, problems: Iterable[Problem]) -> None:
        self._problems += problems

    def finish(self) -> None:
        if self._problems:
            first, more = self._problems[0], len(self._problems) - 1
            raise SettingsError(
                f"{first.pointer} {first.detail}" + (f" (and {more} more)" if more else ""),
                problems=self._problems,
            )

    def text(self, name: str) -> str | None:
        return self._environ.get(name, "").strip() or None

    def words(self, name: str) -> tuple[str, ...]:
        listed = (self.text(name) or "").lower().split(",")
        return tuple(dict.fromkeys(word.strip() for word in listed if word.strip()))

    def whole(self, name: str, default: int, *, at_least: int, at_most: int) -> int:
        text = self.text(name)
        if text is None:
            return default
        if re.fullmatch(r"[0-9]{1,12}", text) and at_least <= int(text) <= at_most:
            return int(text)
        self._wrong(name, f"a whole number from {at_least} to {at_most}", text)
        return default

    def one_of(self, name: str, known: Sequence[str], default: str) -> str:
        text = (self.text(name) or default).lower()
        if text not in known:
            self._wrong(name, f"one of {', '.join(known)}", text)
        return text

    def number(self, name: str, default: float, *, at_least: float, at_most: float) -> float:
        text = self.text(name)
        if text is None:
            return default
        if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text) and at_least <= float(text) <= at_most:
            return float(text)
        self._wrong(name, f"a number from {at_least:g} to {at_most:g}", text)
        return default

    def flag(self, name: str) -> bool:
        text = (self.text(name) or "").lower()
        if text not in (*_YES, *_NO):
            self._wrong(name, "1 or 0", text)
        return text in _YES

    def moment(self, name: str) -> int | None:
        """Unix seconds, or ISO 8601."""
        text = self.text(name)
        if text is None or re.fullmatch(r"[0-9]{10}", text):
            return int(text) if text else None
        ns = parse_iso(text)
        if ns is None:
            self._wrong(name, "a time such as 2026-01-31T00:00:00Z, or Unix seconds", text)
        return None if ns is None else ns // 1_000_000_000

    def rate(self, name: str, default: Rate | None) -> Rate | None:
        text = self.text(name)
        if text is None:
            return default
        try:
            return parse_rate(text)
        except ValueError:
            self._wrong(name, "a rate such as 20/s, 5/s:100 or 60/m, or off", text)
            return default

    def origins(self, name: str) -> frozenset[str]:
        try:
            return parse_origins(self.words(name))
        except ValueError as error:
            must = "origins such as https://app.example.com, with commas between, or *"
            self._wrong(name, must, str(error))
            return frozenset()

    def keys(self, name: str) -> tuple[ApiKey, ...]:
        """Take keys; what is wrong with one is said without showing it."""
        try:
            return parse_keys(self.text(name) or "")
        except SettingsError as error:
            self._problems += error.problems
            return ()

    def matching(self, name: str, pattern: str, what: str) -> str | None:
        text = self.text(name)
        if text is not None and not re.fullmatch(pattern, text):
            self._wrong(name, what, text)
        return text

    def redis_url(self, name: str) -> str | None:
        """Return an address of a Redis. It may hold a password, so it isn't repeated."""
        text = self.text(name)
        if text is not None and not re.fullmatch(r"(rediss?|unix)://\S+", text):
            detail = "must be redis://, rediss:// or unix:// and where, as redis://localhost:6379/0"
            self._problems.append(Problem(detail=detail, pointer=name))
        return text

    def _wrong(self, name: str, must: str, text: str) -> None:
        self._problems.append(wrong(name, text, must))
