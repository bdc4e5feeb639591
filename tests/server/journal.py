"""What was written and what each client got, and the one check that all faults end with."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import statistics
import time
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from bond_core.log.cursor import Cursor
from bond_core.log.offset import Offset, parse_offset
from bond_core.wire.times import iso
from bond_server.delivery.client import Client
from bond_server.delivery.line import AsgiLine, DirectLine

_FOR_CLIENTS = (AsgiLine, Client, Cursor, DirectLine)


@attrs.define
class Written:
    """All that the log was given, by id, and when."""

    stream_id: str
    data: dict[str, bytes] = attrs.field(factory=dict)
    at_s: dict[str, float] = attrs.field(factory=dict)

    async def write(self, server, end_ms, count=1, size=0):
        """Append a window."""
        items = []
        for n in range(count):
            body = {"id": f"{end_ms}-{n}", "ts": iso(end_ms * 1_000_000), "pad": "x" * size}
            items.append((Offset(end_ms, n), json.dumps(body).encode()))
        await server.bond.log.append(self.stream_id, items)
        for offset, data in items:
            self.data[str(offset)] = data
            self.at_s[str(offset)] = time.monotonic()

    async def keep_writing(self, server, count, *, every_s, start_ms, size=0, records=1):
        """Append windows at a steady pace."""
        for i in range(count):
            await self.write(server, start_ms + i, records, size)
            await asyncio.sleep(every_s)


@attrs.define
class Got:
    """What one client got, across all its connections.

    Attributes:
        records: Ids and bytes, as they came.
        gaps: Told gaps: after this id, before that.
        lags_s: From written to read; live clients only.
        codes: How its connections ended.
    """

    records: list[tuple[str, bytes]] = attrs.field(factory=list)
    gaps: list[tuple[str, str]] = attrs.field(factory=list)
    lags_s: list[float] = attrs.field(factory=list)
    codes: list[int] = attrs.field(factory=list)

    @property
    def last(self):
        """The last id."""
        return self.records[-1][0] if self.records else None

    def take(self, payload, written=None):
        """Note a plain record."""
        data = payload.encode() if isinstance(payload, str) else payload
        name = json.loads(data)["id"]
        self.records.append((name, data))
        if written is not None:
            self.lags_s.append(time.monotonic() - written.at_s[name])


def check(written, clients, *, lag_s=None):
    """
    Ids rise, so nothing comes twice; what is missing is inside told gaps; same id, same bytes;
    and 95 in 100 live records come within `lag_s`.
    """
    order = [parse_offset(name) for name in written.data]
    assert order == sorted(set(order))
    for client in clients:
        ids = [parse_offset(name) for name, _ in client.records]
        assert all(a < b for a, b in itertools.pairwise(ids)), "ids rise"
        for name, data in client.records:
            assert written.data[name] == data, "same id, same bytes"
        if ids:
            told = [(parse_offset(a), parse_offset(b)) for a, b in client.gaps]
            expected = {one for one in order if ids[0] <= one <= ids[-1]}
            missing = expected - set(ids)
            untold = [one for one in missing if not any(a < one < b for a, b in told)]
            assert untold == [], f"{len(untold)} are missing and nobody said so"
        if lag_s is not None and len(client.lags_s) > 20:
            assert statistics.quantiles(client.lags_s, n=20)[-1] < lag_s


def open_files():
    """Return how many file descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def until_true(holds, within_s=10.0):
    """Return once it holds; a state of the outside world has no event to wait for."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def kept_for_clients():
    """Return how many objects there are that clients need; their memory hangs on these."""
    gc.collect()
    return sum(isinstance(one, _FOR_CLIENTS) for one in gc.get_objects())


@asynccontextmanager
async def nothing_left_behind():
    """Run a fault; tasks, files and what is kept for clients must be what they were before."""
    tasks, files, kept = len(asyncio.all_tasks()), open_files(), kept_for_clients()
    yield
    await until_true(lambda: len(asyncio.all_tasks()) <= tasks and open_files() <= files)
    await until_true(lambda: kept_for_clients() <= kept)
