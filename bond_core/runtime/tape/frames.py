"""Keep what venues say, as it came and when: a way out that notes what passes through it.

    {"opened": [3, 1700000000000000000, "alpaca", "wss://stream.example.com/v2", "alpaca"]}
                                                    connection 3, of which connector and origin
    {"frame": [3, 1700000000100000000, "{…}"]}      a text message of it, and when it was received
    {"bytes": [3, 1700000000100000000, "…"]}        a binary one, in base64
    {"closed": [3, 1700000000900000000]}
    {"answer": [1700000000100000000, "news", "GET https://example.com/feed", …]}    over HTTP

What is sent is not kept, nor are headers: they may log in. What is called like a token in a URL
is blotted out, and so is every secret of the settings, in whatever a venue says. What a vendor's
own library hears is here if its connector hands it on (`ctx.noting`), as that of ccxt does for
WebSockets; such a connection is never said to be closed.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from bond_core.clock import Clock
from bond_core.plugin.context import Note, WebSocket
from bond_core.plugin.egress import Egress
from bond_core.plugin.specs import ConnectorSpec
from bond_core.runtime.outside import Outside, WayOut

_TOKEN = re.compile(
    r"(?i)([?&;](?:[a-z_-]*key|[a-z_-]*token|auth|secret|sig|signature|pass|password)=)[^&\s#]+"
)
_USER = re.compile(r"(?i)^([a-z][a-z0-9+.-]*://)[^/@\s]+@")
_encode = msgspec.json.Encoder(enc_hook=str).encode


class Frames:
    """Notes what all connectors of a process hear, until somebody takes it away.

    Args:
        clock: The only clock.
        egress: Guards what connectors reach by URL.

    Attributes:
        hide: Takes secrets out of a text; set once they are known, and before anything is heard.
        count: How many messages and answers were noted.
    """

    def __init__(self, clock: Clock, egress: Egress | None = None) -> None:
        self.hide: Callable[[str], str] = str
        self.count = 0
        self._clock = clock
        self._egress = egress or Egress()
        self._noted: list[dict[str, list[Any]]] = []
        self._connections = 0

    def way_out(
        self, spec: ConnectorSpec, *, simulated_at: str | None, clock: Clock,
        sdks: Mapping[str, Any], name: str,
    ) -> WayOut:  # fmt: skip
        """See WaysOut."""
        out = Outside(
            self._egress, own=spec.hosts, simulated_at=simulated_at, clock=clock, sdks=sdks,
            requests_per_min=spec.capabilities.requests_per_min,
        )  # fmt: skip
        return _Noting(out, self, spec.name, name)

    @property
    def waiting(self) -> int:
        """How much is noted and not taken yet."""
        return len(self._noted)

    def lines(self) -> bytes:
        """Take what was noted; return it as JSON lines, without secrets."""
        noted, self._noted = self._noted, []
        # The text of a frame stands in a line escaped; what is hidden is known in that form, too.
        return b"".join(self.hide(_encoded(line)).encode() + b"\n" for line in noted)

    def opened(self, connector: str, url: str, origin: str) -> int:
        """Note a connection; return its number."""
        self._connections += 1
        number, now_ns = self._connections, self._clock.now_ns()
        self._noted.append({"opened": [number, now_ns, connector, without_tokens(url), origin]})
        return number

    def closed(self, connection: int) -> None:
        """Note that a connection is over."""
        self._noted.append({"closed": [connection, self._clock.now_ns()]})

    def frame(self, connection: int, frame: str | bytes) -> None:
        """Note a message."""
        self.count += 1
        now_ns = self._clock.now_ns()
        if isinstance(frame, str):
            self._noted.append({"frame": [connection, now_ns, frame]})
        else:
            shown = self.hide(frame.decode("latin-1")).encode("latin-1", "replace")
            text = base64.b64encode(shown).decode()
            self._noted.append({"bytes": [connection, now_ns, text]})

    def answer(self, connector: str, asked: str, answer: Any) -> None:
        """Note what a request was answered with."""
        self.count += 1
        now_ns = self._clock.now_ns()
        self._noted.append({"answer": [now_ns, connector, without_tokens(asked), answer]})


def _encoded(line: Mapping[str, list[Any]]) -> str:
    try:
        return _encode(line).decode()
    except UnicodeEncodeError:  # an answer may hold half a character
        return json.dumps(line, default=str)


def without_tokens(url: str) -> str:
    """Return a URL, or what begins with a method and one, without what logs in by it."""
    method, _, rest = url.rpartition(" ")
    blotted = _USER.sub(r"\1***@", _TOKEN.sub(r"\1***", rest))
    return f"{method} {blotted}" if method else blotted


class _Noting:
    """One connector's way out. See WayOut."""

    def __init__(self, out: WayOut, frames: Frames, connector: str, origin: str) -> None:
        self._out = out
        self._frames = frames
        self._connector = connector
        self._origin = origin
        self.sdk = out.sdk

    def noting(self, url: str) -> Note:
        """See Context."""
        return partial(self._frames.frame, self._opened(url))

    def _opened(self, url: str) -> int:
        return self._frames.opened(self._connector, url, self._origin)

    async def get_json(self, url: str, **asked: Any) -> Any:
        """See Context."""
        answer = await self._out.get_json(url, **asked)
        self._frames.answer(self._connector, f"GET {url}", answer)
        return answer

    async def get_text(self, url: str, **asked: Any) -> str:
        """See Context."""
        answer = await self._out.get_text(url, **asked)
        self._frames.answer(self._connector, f"GET {url}", answer)
        return answer

    async def post_json(self, url: str, value: Any, **asked: Any) -> Any:
        """See Context."""
        answer = await self._out.post_json(url, value, **asked)
        self._frames.answer(self._connector, f"POST {url}", answer)
        return answer

    @asynccontextmanager
    async def ws(self, url: str, **asked: Any) -> AsyncIterator[WebSocket]:
        """See Context."""
        async with self._out.ws(url, **asked) as socket:
            connection = self._opened(url)
            try:
                yield _Heard(socket, self._frames, connection)
            finally:
                self._frames.closed(connection)


class _Heard:
    """A WebSocket whose messages are noted."""

    def __init__(self, socket: WebSocket, frames: Frames, connection: int) -> None:
        self._socket = socket
        self._frames = frames
        self._connection = connection
        self.send, self.send_json = socket.send, socket.send_json

    async def recv(self) -> str | bytes:
        """See WebSocket."""
        frame = await self._socket.recv()
        self._frames.frame(self._connection, frame)
        return frame

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self

    async def __anext__(self) -> str | bytes:
        return await self.recv()
