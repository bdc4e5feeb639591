"""Servers on this machine, and a library, that the sources of new plugins can listen to."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import asynccontextmanager

from websockets.asyncio.server import serve

from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_server.local import stream

VENDOR = """
import time

class Client:
    def __init__(self, key):
        assert key == "a-real-key"

    def subscribe(self, symbols):
        self.symbol, = symbols

    def read(self):
        time.sleep(0.02)
        return {"symbol": self.symbol, "time_ms": int(time.time() * 1000), "bid": 1.0, "ask": 3.0}

    def close(self):
        pass
"""


def path_of(site):
    """Return an environment in which what is in the folder is installed too."""
    return {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}


async def first_record(spec, field, **options):
    """Return the first record that knows a field."""
    egress = Egress(EgressPolicy(private=PRIVATE))
    async with asyncio.timeout(20), stream(spec, bond={"egress": egress}, **options) as records:
        async for record in records:
            if record[field] is not None:
                return record
    raise AssertionError("it ended")


def now_ms():
    """Return the time, as a venue would say it."""
    return int(time.time() * 1000)


@asynccontextmanager
async def answering():
    """Serve what the polling scaffold asks for; gives the URL."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        quote = {"symbol": "BTC/USDT", "time_ms": now_ms(), "bid": 1.0, "ask": 3.0}
        body = json.dumps({"quotes": [quote]})
        writer.write(f"HTTP/1.1 200 X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/quotes"


@asynccontextmanager
async def pushing():
    """Serve what the WebSocket scaffold listens to; gives the URL."""

    async def source(connection):
        wanted = json.loads(await connection.recv())
        assert wanted == {"subscribe": {"BTC/USDT": None}}
        for n in range(1_000):
            trade = {"type": "trade", "symbol": "BTC/USDT", "time_ms": now_ms(), "price": 7.0,
                     "size": 1.0, "id": str(n)}  # fmt: skip
            await connection.send(json.dumps(trade))
            await asyncio.sleep(0.02)

    async with serve(source, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
