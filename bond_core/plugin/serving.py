"""What a plugin adds to the server: routes as plain data, without a web framework.

    class Weather:
        def __init__(self, host):
            self.routes = (Route("GET", "/acme/{city}", self.show, summary="The weather"),)

        async def show(self, asked: Asked) -> Answer:
            return Answer({"city": asked.path["city"], "raining": None})

The server asks for keys, keeps to its limits, frames Server-Sent Events and sees clients leave.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol, TypeAlias

import attrs

from bond_core.clock import Clock
from bond_core.model.event import Event
from bond_core.model.record import Status

Method = Literal["GET", "POST", "DELETE"]


@attrs.frozen(kw_only=True)
class Asked:
    """A request, after its caller was found to be allowed.

    Attributes:
        path: What stands in place of the path's `{names}`, as text.
        query: What stands behind `?`; of a name that stands there twice, the last. What opened
            the route (`token`, `ticket`) is left out where `by_token` is set.
    """

    path: Mapping[str, str] = attrs.field(factory=dict)
    query: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Answer:
    """An answer that is there at once, as JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)


class Messages(Protocol):
    """What is there to be sent; an asynchronous generator is one."""

    async def __anext__(self) -> Sequence[bytes]:
        """Return the next messages, one or more. StopAsyncIteration: these were all."""
        ...

    async def aclose(self) -> None:
        """Let go of what they come from, even where none was ever asked for."""
        ...


@attrs.frozen(kw_only=True)
class EventFlow:
    """Server-Sent Events, each unnamed, with a text as its data.

    Attributes:
        messages: What is to be sent, encoded and without line breaks. They are closed when the
            client leaves, and not asked for more while it doesn't read: so whatever they come
            from has to be bounded.
        bye: Says in a last message why the server ends it before its own end: a word such as
            `restart`, and a sentence. None says nothing.
        headers: Added to the answer's.
    """

    messages: Messages
    bye: Callable[[str, str], bytes] | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)


Handler: TypeAlias = Callable[[Asked], Awaitable[Answer | EventFlow]]


@attrs.frozen
class Route:
    """One address, and what is done there.

    What the handler raises as `AnsweredError` is answered as it says, any other BondError as
    everywhere, and anything else as a fault of the server's, which its log shows.

    Attributes:
        path: Below the part's prefix: `/acme/{city}`.
        scope: What an API key must be allowed, where keys are asked for.
        by_token: Whether `?token=`, of `POST {prefix}/token`, opens it as well.
        gives: Whether it answers with an `Answer`, or an `EventFlow`.
        parameters: What may stand behind `?`, with a line on each: for the schema.
    """

    method: Method
    path: str
    handler: Handler = attrs.field(repr=False)
    summary: str = attrs.field(kw_only=True)
    scope: str = attrs.field(default="streams:read", kw_only=True)
    by_token: bool = attrs.field(default=False, kw_only=True)
    gives: Literal["json", "events"] = attrs.field(default="json", kw_only=True)
    parameters: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)


class ServerPart(Protocol):
    """What a `ServerSpec`'s factory makes, once for a server."""

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        ...

    def about(self) -> Mapping[str, Any]:
        """Return what `GET /` says of it."""
        ...

    def health(self) -> Mapping[str, Any]:
        """Return what `GET /health` says of it, to anybody. Neither waits nor raises."""
        ...


class Ear(Protocol):
    """Hears a channel of a source. Called in order, by the event loop; neither waits nor raises."""

    def on_events(self, events: Sequence[Event]) -> None:
        """Take what was heard."""
        ...

    def on_status(self, status: Status, reason: str | None) -> None:
        """Take how the source is; called once at the start."""
        ...

    def on_notice(self, code: str, detail: str) -> None:
        """Take what else there is to say: `gap`, `rejected`, and what the connector tells."""
        ...


class Heard(Protocol):
    """A subscription that is open."""

    @property
    def failures(self) -> int:
        """How many attempts to connect have failed in a row."""
        ...


class Host(Protocol):
    """What a plugin may use of the server, or of the command, that it is in."""

    @property
    def clock(self) -> Clock:
        """The only clock."""
        ...

    @property
    def log(self) -> logging.Logger:
        """Where to log."""
        ...

    @property
    def config(self) -> Any:
        """The settings of the `ServerSpec` or `CommandSpec`."""
        ...

    @property
    def is_simulated(self) -> bool:
        """Whether what is heard is made up; whoever is told it must be told that, too."""
        ...

    def hearing(
        self, source: str, channel: str, symbol: str, ear: Ear
    ) -> AbstractAsyncContextManager[Heard]:
        """Hear a channel of an installed source while the context lasts.

        Who wants the same, streams included, shares one subscription upstream.

        Raises:
            SetupError: The source isn't installed, or its settings are wrong.
        """
        ...
