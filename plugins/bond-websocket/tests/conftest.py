"""What the tests of custom sources share: a source on loopback, and a mapping for it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import attrs
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.egress import Egress, EgressPolicy


@attrs.define
class Source:
    """A source that says what a test has it say.

    Attributes:
        url: Its address.
        heard: What it was sent, over all connections.
        connections: Those that are open.
        opened: How many there have been.
        on_message: What it answers to a message, if anything.
    """

    url: str = ""
    heard: list = attrs.field(factory=list)
    connections: list = attrs.field(factory=list)
    opened: int = 0
    on_message: object = None

    async def say(self, *frames):
        """Say things on every connection: text and bytes as they are, all else as JSON."""
        for connection in list(self.connections):
            for frame in frames:
                plain = isinstance(frame, (str, bytes))
                await connection.send(frame if plain else json.dumps(frame))

    async def until(self, done, within_s=20.0):
        """Wait until it is so."""
        async with asyncio.timeout(within_s):
            while not done():  # noqa: ASYNC110 -- of what it asks about nothing tells
                await asyncio.sleep(0.01)

    async def serve(self, connection):
        """Serve one connection."""
        self.connections.append(connection)
        self.opened += 1
        try:
            async for message in connection:
                self.heard.append(message)
                for answer in self.on_message(message) if self.on_message else ():
                    plain = isinstance(answer, (str, bytes))
                    await connection.send(answer if plain else json.dumps(answer))
        except ConnectionClosed:
            pass
        finally:
            self.connections.remove(connection)


@asynccontextmanager
async def a_source(on_message=None):
    """Serve on a free port of loopback."""
    source = Source(on_message=on_message)
    async with serve(source.serve, "127.0.0.1", 0, compression=None) as server:
        source.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield source


def home():
    """Return a guard that lets loopback pass, as a home lab's does."""
    return Egress(EgressPolicy(private=PRIVATE))
