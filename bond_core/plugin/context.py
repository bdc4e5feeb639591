"""What a connector is handed while it runs: everything it may use of the outside world.

All of a connector's I/O, waiting and telling goes through here. That one seam gives
recorded tests, fault injection, virtual time and redaction without patching anything.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import attrs

from bond_core.clock import Clock
from bond_core.model.event import Event


@attrs.frozen(order=True)
class Subscription:
    """One thing somebody wants to hear: a channel of one symbol (empty: the channel has none)."""

    channel: str
    symbol: str


class Subscriptions(Protocol):
    """What is wanted of a connector right now; it changes while the connector runs."""

    def current(self) -> frozenset[Subscription]:
        """Return what is wanted now."""
        ...

    async def changed(self, known: frozenset[Subscription]) -> frozenset[Subscription]:
        """Wait until what is wanted differs from `known`; return it. At once if it does.

        Hand in what was returned before. What was dropped and is wanted again since is a new
        subscription, to be confirmed anew: it is returned without it first, then with it.
        """
        ...


@attrs.define
class Kept:
    """A page as it was when it was last fetched: with it `get_text` asks only what has changed.

    Attributes:
        body: What it was; None before the first time.
        etag: How the server calls that version of it.
        last_modified: When the server says it was changed last.
    """

    body: bytes | None = attrs.field(default=None, repr=False)
    etag: str | None = None
    last_modified: str | None = None


class WebSocket(Protocol):
    """An open WebSocket. `async for frame in ws` gives its messages; it ends by raising only.

    Everything here raises Retryable once the connection is over, whoever ended it and
    however politely: a source that closes is a source to connect to again.
    """

    async def send(self, message: str | bytes) -> None:
        """Send one message: text, or bytes as binary."""
        ...

    async def send_json(self, value: Any) -> None:
        """Send a value as JSON text."""
        ...

    async def recv(self) -> str | bytes:
        """Wait for the next message: text, or bytes if it is binary."""
        ...

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Give one message after the other."""
        ...


Note = Callable[[str | bytes], None]
"""Takes a message as it came, to be recorded."""


class Context(Protocol):
    """A connector's view of the runtime.

    `get_json` and `ws` take URLs as they come, whoever wrote them. Those of the hosts that
    the connector's own spec names (`ConnectorSpec.hosts`) are fetched over TLS and no further
    asked about; every other is taken for a user's and must pass the server's egress policy
    (`bond_core.plugin.egress`).
    """

    @property
    def clock(self) -> Clock:
        """The only clock; `clock.now_ns()`, `await clock.sleep(seconds)`."""
        ...

    @property
    def log(self) -> logging.Logger:
        """A logger that shows no secret of the connector's settings, however it got there."""
        ...

    @property
    def wanted(self) -> Subscriptions:
        """What to listen to."""
        ...

    @property
    def simulated_at(self) -> str | None:
        """Base URL of the simulator to use in place of the real system, or None.

        What comes from there is labelled by the runtime.
        """
        ...

    def emit(self, channel: str, events: Iterable[Event]) -> None:
        """Hand over events in the order they were heard. Never blocks and never raises.

        `recv_ts` is set to now where it is 0. Events that make no sense are counted as
        rejected and told, not raised.
        """
        ...

    def live(self, channel: str, symbol: str | None = None) -> None:
        """Say that the source has confirmed a subscription; None is all of the channel's."""
        ...

    def heartbeat(self, channel: str, ts: int | None = None) -> None:
        """Say that the source is alive though it sent no event.

        Only for something that proves the data flows (the source's own heartbeat of that
        channel, a successful poll), never for a transport's ping.

        Args:
            channel: The channel it proves.
            ts: Event time in ns that nothing older will come than; None is now.
        """
        ...

    def failed(self, channel: str, symbol: str, reason: str) -> None:
        """Say that one symbol can't be had (unlisted there); the others go on."""
        ...

    def reject(self, why: str, *, n: int = 1) -> None:
        """Count messages that could not be read, and tell everybody who listens.

        Args:
            why: The fault, without the values that had it: equal faults are told as one.
            n: How many.
        """
        ...

    def gap(
        self, channel: str, symbol: str | None, *, from_ns: int, to_ns: int, detail: str
    ) -> None:
        """Say that events between two times may be missing."""
        ...

    def tell(
        self, channel: str, symbol: str | None, *, code: str, detail: str,
        at_ns: int | None = None,
    ) -> None:  # fmt: skip
        """Show everybody who listens a notice that is no hole: trading in a stock is halted.

        Args:
            channel: Whose listeners are told.
            symbol: Which of its symbols; None is all of the channel's.
            code: For programs; `docs/records.md` lists those that there are.
            detail: A sentence for people.
            at_ns: When it happened, by the source.
        """
        ...

    def cursor(self, channel: str, symbol: str) -> str | None:
        """Return the id of the newest event heard there, to resume after; None at first."""
        ...

    async def get_json(
        self, url: str, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
    ) -> Any:  # fmt: skip
        """Fetch JSON over HTTP. Redirects are not followed.

        Raises:
            Retryable: No connection, a time-out, 408, 429 (with its Retry-After) or 5xx.
            Fatal: Any other status that isn't 2xx, a body that isn't JSON or is larger than
                16 MiB, or a URL that may not be reached.
        """
        ...

    async def get_text(
        self, url: str, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
        kept: Kept | None = None,
    ) -> str:  # fmt: skip
        """Fetch text (RSS, CSV) over HTTP, read as UTF-8. Raises as `get_json` does.

        With `kept` it is asked for on condition (RFC 9110, 13) and kept there: where the server
        says that it is the same (304), what is kept is returned.
        """
        ...

    async def post_json(
        self, url: str, value: Any, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
    ) -> Any:  # fmt: skip
        """Send a value as JSON by POST; return the answer's JSON, its text, or None if empty.

        Raises as `get_json` does. After a Retryable nobody knows whether it arrived.
        """
        ...

    def ws(
        self, url: str, *, headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (), max_size: int = 1 << 20,
    ) -> AbstractAsyncContextManager[WebSocket]:  # fmt: skip
        """Open a WebSocket: `async with ctx.ws(url) as ws`. Redirects are not followed.

        Args:
            url: `wss://...`; what a simulator gives may be `ws://`.
            headers: Added to the opening request.
            subprotocols: Offered, the preferred first.
            max_size: The largest message taken, in bytes; a larger one ends the connection.

        Raises:
            Retryable: No connection within 10 s, or an answer that may pass.
            Fatal: It was refused, or the URL may not be reached.
        """
        ...

    def noting(self, url: str) -> Note | None:
        """Return what to call with each message of a connection, where they are recorded.

        For a vendor's library that shows its messages: those of `ws` are noted as it is. None
        where nobody records. URLs and messages are kept without secrets.
        """
        ...

    def sdk(self, name: str) -> Any:
        """Return a vendor's library or what makes its client: `ctx.sdk("acme_sdk:Client")`.

        It is imported now, which may take long: in a coroutine write
        `await asyncio.to_thread(ctx.sdk, "acme_sdk:Client")`. A test, or a simulator, may have
        put another in its place, so a connector that wraps an SDK gets it from nowhere else.

        Args:
            name: `package.module:attribute`, or a module alone.

        Raises:
            PluginError: It isn't installed, or breaks while it is imported.
        """
        ...
