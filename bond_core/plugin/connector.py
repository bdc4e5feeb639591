"""What a connector is: the class behind a ConnectorSpec's factory.

The supervisor owns the one task that runs it, and starts it anew after a pause when it ends
with an error that pausing may help:

    returns            the source is at its end: done
    Retryable, OSError, TimeoutError   again, after a growing, jittered pause
    Fatal              never again; the reason is shown in every record
    anything else      a bug in the connector: stopped, with a traceback in the log
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import attrs

from bond_core.clock import NS
from bond_core.errors import PluginError, Retryable
from bond_core.model.event import Event
from bond_core.plugin.context import Context
from bond_core.plugin.unreadable import MAX_UNREADABLE, UNREADABLE


class Connector(Protocol):
    """Listens to one outside system, for everybody in this process who wants to hear it."""

    async def run(self, ctx: Context) -> None:
        """Listen to what `ctx.wanted` says, following its changes, until cancelled.

        Called again after a failure, on the same object: start afresh each time. On
        cancellation clean up and let CancelledError pass, within a second.
        """
        ...


@attrs.frozen
class Message:
    """A message of a recording.

    Attributes:
        connection: The number of its connection there.
        url: As it was given to `ctx.noting`, without what logs in.
        data: The message as it came.
    """

    connection: int
    url: str
    data: str | bytes


class Rereads(Protocol):
    """A connector whose messages are recorded by `ctx.noting`, and can be read from there again.

    One that listens by `ctx.ws` needs nothing for that: its `run` is given the messages.
    """

    async def reread(self, ctx: Context, messages: AsyncIterator[Message]) -> None:
        """Read recorded messages in place of listening, and emit what they hold.

        Called once, on a fresh object, without keys and network. What can't be read again
        (it was asked for over HTTP) is told by `ctx.failed`: it is played as it was recorded.
        Each message is read before the next is asked for.
        """
        ...


class PollingConnector(ABC):
    """A connector that asks, again and again: an author writes `poll` and nothing else.

    A successful poll counts as a heartbeat of every channel it was asked about. An answer that
    can't be read is counted as rejected, and asked for again when the next poll is due.
    """

    every_s: float = 5.0
    """Seconds between the starts of two polls; a setting of this name says otherwise."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.every_s = getattr(config, "every_s", self.every_s)

    @abstractmethod
    async def poll(self, ctx: Context, channel: str, symbols: Sequence[str]) -> Sequence[Event]:
        """Return what is new on one channel for these symbols. Raise Retryable or Fatal.

        ValueError, TypeError, KeyError and the like say that the answer can't be read.
        """

    async def run(self, ctx: Context) -> None:
        """Poll every channel that is wanted, each `every_s` seconds."""
        unreadable = 0
        while True:
            started_ns = ctx.clock.monotonic_ns()
            wanted = ctx.wanted.current()
            for channel in sorted({w.channel for w in wanted}):
                symbols = sorted(w.symbol for w in wanted if w.channel == channel)
                try:
                    events = await self.poll(ctx, channel, symbols)
                except UNREADABLE as error:
                    unreadable += 1
                    _tell_unreadable(ctx, error, unreadable)
                    continue
                unreadable = 0
                ctx.live(channel)
                ctx.emit(channel, events)
                ctx.heartbeat(channel)
            if not wanted:
                await ctx.wanted.changed(wanted)
                continue
            # Not until a time of day: the machine's clock may be set while we wait.
            passed_s = (ctx.clock.monotonic_ns() - started_ns) / NS
            await ctx.clock.sleep(self.every_s - passed_s)


def _tell_unreadable(ctx: Context, error: Exception, n: int) -> None:
    """Tell of an answer that can't be read, the `n`th in a row; Retryable if they are too many."""
    what = type(error).__name__
    if n == 1:
        ctx.log.warning("an answer could not be read", exc_info=error)
    ctx.reject(f"an answer could not be read ({what})")
    if n == MAX_UNREADABLE:
        last = error.detail if isinstance(error, PluginError) else what
        raise Retryable(f"{n} answers in a row could not be read, last: {last}") from error
