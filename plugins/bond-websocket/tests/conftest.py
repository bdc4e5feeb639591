"""What the tests of custom sources share: a source on loopback, and a mapping for it."""

from __future__ import annotations

import asyncio
import functools
import json
from contextlib import asynccontextmanager

import attrs
import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from bond_core.log.offset import START
from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import Plugins
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_server.local import Bond


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


@functools.cache
def installed():
    """Return what is installed, looked at once."""
    return Catalog.loaded(Plugins())


def home():
    """Return a guard that lets loopback pass, as a home lab's does."""
    return Egress(EgressPolicy(private=PRIVATE))


class Listening:
    """A Bond that listens to one source, and its records so far."""

    def __init__(self, bond, stream):
        self.bond = bond
        self.stream = stream
        self.records = []
        self._cursor = bond.cursor(stream.stream_id, START)

    def status(self, name="127.0.0.1"):
        """Return how the source stands, and why."""
        found = self.stream.health()[name]
        return found["status"], found.get("reason")

    async def until(self, done, within_s=20.0):
        """Read on until a record fits; return it."""
        async with asyncio.timeout(within_s):
            while True:
                for entry in (await self._cursor.next(1)).entries:
                    self.records.append(json.loads(entry.data))
                    if done(self.records[-1]):
                        return self.records[-1]

    async def until_status(self, status, name="127.0.0.1", within_s=20.0):
        """Wait until the source stands so; return why."""
        async with asyncio.timeout(within_s):
            while self.status(name)[0] != status:  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(0.01)
        return self.status(name)[1]

    def notices(self):
        """Return what records told so far, in their order."""
        return [notice["detail"] for record in self.records for notice in record["notices"]]

    def count(self, what, name="127.0.0.1"):
        """Return a count of the source, summed over the records so far."""
        return sum(r["sources"].get(name, {}).get(what) or 0 for r in self.records)


def spec_of(url, mapping, symbols=("BTC/USDT",), interval="200ms", **keys):
    """Return the spec of a stream that listens to one custom source."""
    return {
        "sources": [{"type": "custom", "url": url, "mapping": mapping, **keys}],
        "symbols": list(symbols),
        "interval_sec": interval,
    }


@asynccontextmanager
async def listening(spec, egress=None):
    """Run a spec."""
    async with Bond(seed=7, egress=egress or home(), catalog=installed()) as bond:
        stream, _ = await bond.create(bond.compile({"spec": spec}))
        yield Listening(bond, stream)


@pytest.fixture
def loopback():
    """Return what the tests are written with."""
    return Tools


class Tools:
    """What the tests are written with."""

    a_source = staticmethod(a_source)
    listening = staticmethod(listening)
    spec_of = staticmethod(spec_of)
    home = staticmethod(home)
    installed = staticmethod(installed)
