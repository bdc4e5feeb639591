"""Bond inside somebody's program: streams that come and go, with keys that the program holds.

For the SDK's `DataStream`. One `Bond` serves them all, so that what several listen to is heard
once; a stream ends with its last reader.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import os
from collections import ChainMap
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from bond_core.errors import RequestError
from bond_core.log.cursor import Cursor, Hole
from bond_core.log.event_log import Retention
from bond_core.log.offset import START
from bond_core.plugin.catalog import Catalog, describe
from bond_core.plugin.specs import ConnectorSpec
from bond_server.assumed import defaults_of, egress_of
from bond_server.environment import read_dotenv
from bond_server.local import Bond, records_of
from bond_server.plugin_choice import plugins_of
from bond_server.streams import Stream

MAX_STREAMS = 10_000
"""Nobody but the program itself can ask for more than it wants."""

KEPT = Retention(seconds=30.0, max_bytes=16 * 1024 * 1024)
"""How far a reader may fall behind before it is told of a hole."""

_KEYS_NOBODY_NEEDS = ("key", "secret", "passphrase")


@attrs.frozen
class Told:
    """What a reader gets.

    Attributes:
        record: A record, or in raw mode an item.
        hole: What is missing before it.
    """

    record: dict[str, Any]
    hole: Hole | None = None


@attrs.define(eq=False)
class Reading:
    """A place in a stream: `async for` what comes, until the stream ends."""

    stream: Stream
    cursor: Cursor

    async def __aiter__(self) -> AsyncIterator[Told]:
        hole: Hole | None = None
        async for each in records_of(self.cursor):
            if isinstance(each, Hole):
                hole = each
            else:
                yield Told(each, hole)
                hole = None

    @property
    def failure(self) -> str | None:
        """Why the stream broke, or None."""
        return self.stream.failure


class Embedded:
    """Streams in this process. Made by `embedded`."""

    def __init__(self, bond: Bond) -> None:
        self._bond = bond
        self._sources = [describe(spec) for spec in bond.catalog.connectors]
        self._changing = asyncio.Lock()  # who leaves last must not end what another begins
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_over = False

    def sources(self) -> list[dict[str, Any]]:
        """Return what is installed, as `/v1/sources` does."""
        return self._sources

    @asynccontextmanager
    async def reading(self, spec: Mapping[str, Any]) -> AsyncIterator[Reading]:
        """Stand in the stream of a spec: at its beginning, or where it is by now.

        Raises:
            BondError: It makes no sense, or can't be had here.
        """
        bond = self._bond
        async with self._changing:
            stream, is_new = await bond.create(bond.compile({"spec": spec}))
            cursor = bond.cursor(stream.stream_id, START if is_new else None)
        try:
            yield Reading(stream, cursor)
        finally:
            cursor.close()
            # By a task that a reader who is cancelled twice doesn't cancel: never half an end.
            leaving = asyncio.create_task(self._left(stream), name=f"leave {stream.stream_id}")
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            await asyncio.shield(leaving)

    async def _left(self, stream: Stream) -> None:
        """End a stream that nobody reads any more."""
        async with self._changing:
            is_there = self._bond.find(stream.stream_id) is stream and not self._is_over
            if is_there and stream.readers == 0:
                await self._bond.delete(stream.stream_id)

    async def left(self) -> None:
        """Return when nobody is about to leave."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    def end(self) -> None:
        """Have all readers see that nothing more will come."""
        self._is_over = True
        for stream in self._bond.running.values():
            stream.tail.end()


@asynccontextmanager
async def embedded(credentials: Mapping[str, object]) -> AsyncIterator[Embedded]:
    """Run Bond as long as the context lasts, set up by the environment, `.env`, `credentials`.

    Args:
        credentials: Settings of sources by `<source>_<setting>`, such as `alpaca_key`. They win
            over the environment, which isn't changed.

    Raises:
        RequestError: A credential belongs to nothing that is installed.
        SetupError: The environment makes no sense.
    """
    surroundings = ChainMap(os.environ, read_dotenv(Path.cwd() / ".env"))
    plugins = plugins_of(surroundings)
    catalog = await asyncio.to_thread(Catalog.loaded, plugins)
    given = variables_of(credentials, catalog)
    defaults = attrs.evolve(
        defaults_of(surroundings, simulate=False), environ=ChainMap(given, surroundings)
    )
    bond = Bond(
        max_streams=MAX_STREAMS, catalog=catalog, plugins=plugins, defaults=defaults,
        egress=egress_of(surroundings), retention=KEPT,
    )  # fmt: skip
    async with bond:
        here = Embedded(bond)
        try:
            yield here
        finally:
            here.end()
            await here.left()


def variables_of(credentials: Mapping[str, object], catalog: Catalog) -> dict[str, str]:
    """Return the environment variables that credentials stand for; no value is ever shown.

    Raises:
        RequestError: `invalid_settings`: one belongs to nothing that is installed.
    """
    known: dict[str, str] = {}
    spare: set[str] = set()
    for connector in catalog.connectors:
        known |= _settings_of(connector)
        venues = (*connector.venues, *connector.venue_aliases)
        spare.update(f"{venue}_{key}" for venue in venues for key in _KEYS_NOBODY_NEEDS)
    found: dict[str, str] = {}
    for name, value in credentials.items():
        if name in known:
            found[known[name]] = str(value)
        elif name in spare:
            venue = name.rpartition("_")[0]
            logging.getLogger("bond.local").warning(
                "%s isn't used: the market data of %s need no key", name, venue
            )
        else:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
            raise RequestError(
                f"no installed source has the setting {name!r}; {hint}", code="invalid_settings"
            )
    return found


def _settings_of(connector: ConnectorSpec) -> dict[str, str]:
    """Return by `<source>_<setting>` the variable that fills it; `ibkr_port` is `ibkr_ports`."""
    found: dict[str, str] = {}
    for source in (connector.name, *connector.aliases):
        for field in attrs.fields(connector.config):
            variable = field.metadata.get("env")
            if variable:
                name = f"{source}_{field.name}".replace(".", "_").replace("-", "_")
                found |= {name: variable, name.removesuffix("s"): variable}
    return found
