"""What a sink is: the class behind a SinkSpec's factory, and what it is handed.

The runtime owns one task for each sink of each stream, and does what the author does not write:
it keeps the place, gathers batches, repeats them after a growing, jittered pause, and shows how
the sink does:

    write returns      the batch is safe: it never comes again, not after a restart either
    Retryable, OSError, TimeoutError   the same batch again, after a pause
    Fatal              never again; the reason is shown
    anything else      a bug in the sink: stopped, with a traceback in the log
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs

from bond_core.clock import Clock


@attrs.frozen(kw_only=True)
class Reply:
    """What an HTTP server answered.

    Attributes:
        status: Its status code.
        body: The beginning of its body.
        retry_after_s: The pause that it asks for, in seconds; None where it asks for none.
    """

    status: int
    body: bytes = b""
    retry_after_s: float | None = None


class SinkContext(Protocol):
    """A sink's view of the runtime."""

    @property
    def clock(self) -> Clock:
        """The only clock; `clock.now_ns()`, `await clock.sleep(seconds)`."""
        ...

    @property
    def log(self) -> logging.Logger:
        """A logger that shows no secret of the sink's settings, however it got there."""
        ...

    @property
    def stream_id(self) -> str:
        """Whose records they are: 16 hex digits."""
        ...

    @property
    def sink_name(self) -> str:
        """What the stream calls this sink; unique in it, and fit for a file's name."""
        ...

    def path(self, text: str) -> Path:
        """Return where a path out of a spec leads, for a sink that keeps files.

        Raises:
            Fatal: The server doesn't let its users write there.
        """
        ...

    async def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None,
        timeout_s: float = 15.0,
    ) -> Reply:  # fmt: skip
        """Send bytes by POST and return the answer, whatever its status. Follows no redirect.

        Raises:
            Retryable: No connection, or no answer in time: nobody knows whether it arrived.
            Fatal: The URL may not be reached.
        """
        ...

    async def post_json(
        self, url: str, value: Any, *, params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 10.0,
    ) -> Any:  # fmt: skip
        """Send a value as JSON by POST; return the answer's JSON, its text, or None if empty.

        Raises:
            Retryable: As `post`, or the answer is 408, 429 (with its Retry-After) or 5xx.
            Fatal: Any other status that isn't 2xx, or a URL that may not be reached.
        """
        ...

    async def reach(self, host: str, port: int, *, tls: bool) -> Sequence[str]:
        """Return the addresses of a server for a vendor's library to connect to, checked.

        The library must connect to one of them, show the host's name in TLS, and dial nothing
        else that it is told.

        Raises:
            Retryable: The host has no address, or one that may not be reached.
            Fatal: It may not be reached: its port, or without TLS.
        """
        ...

    def sdk(self, name: str) -> Any:
        """Import a vendor's library, `package.module:attribute`; see `Context.sdk`.

        Raises:
            PluginError: It isn't installed, or breaks while it is imported.
        """
        ...


class Sink(Protocol):
    """Carries a stream's records somewhere.

    The runtime calls `open` once, then `write` with one batch at a time, then `close`. A sink
    may also have `report() -> Mapping`: what users should see of it beside its counts, as JSON.
    """

    async def open(self, ctx: SinkContext) -> None:
        """Get ready; called again, after a pause, where it raised."""
        ...

    async def write(self, batch: Sequence[Mapping[str, Any]], ctx: SinkContext) -> None:
        """Carry records, as clients see them, in their order.

        Among them may be gap records, `{"id", "stream_id", "gap": {"after", "until",
        "reason"}}`: what lay between these ids can't be had any more. A batch that is repeated
        is the same batch; after a restart its records may come in other batches.
        """
        ...

    async def close(self) -> None:
        """Let go of everything. May be called twice, and before `open`."""
        ...
