"""A real server on loopback over a real Bond, whose streams say what the test appends.

Only the pipeline is missing: no venue is listened to, and records come from `publish`. Log,
tail, cursors, language, binding, limits, HTTP and WebSocket are the real ones.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import attrs
import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bond_core.clock import Clock, SystemClock
from bond_core.log.event_log import Retention
from bond_core.log.offset import Offset
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, load_plugins
from bond_core.plugin.specs import Channel, ConnectorSpec
from bond_core.runtime.screening import Screen
from bond_core.runtime.stages import Stages
from bond_core.settings import Secret
from bond_server import engine, local
from bond_server.cli.serve import serve_bond
from bond_server.delivery.listening import listening_socket
from bond_server.settings import ServerSettings
from bond_server.telemetry.tracing import NO_TRACING, Tracing

SECRET = "0123456789abcdef" * 4
SPEC = {
    "sources": [{"type": "ccxt", "exchanges": ["binance"], "symbols": ["BTC/USDT"]}],
    "interval_sec": 1,
    "symbols": ["BTC/USDT"],
}


@attrs.frozen
class MarketsConfig:
    """What binding sets of a market."""

    venue: str = "binance"


MARKETS = ConnectorSpec(
    name="ccxt",
    factory="tests.server.running:nothing",
    config=MarketsConfig,
    summary="Venues that are never connected to",
    venues=("binance", "okx", "bybit"),
    channels=(
        Channel(
            name="trades",
            kind="trade",
            fields=(
                "price_avg", "price_open", "price_high", "price_low", "price_close", "vwap",
                "volume_sum", "trades",
            ),
            words={"price": "price", "prices": "price", "volume": "volume", "trades": "trades"},
        ),
    ),
)  # fmt: skip


class SilentPipeline:
    """Stands where the pipeline stands, and listens to nothing."""

    def __init__(self, bound: Any, *, clock: Clock, **others: Any) -> None:
        self.clock = clock
        self.started_ns = clock.now_ns()
        self.ears: dict[str, Any] = {}
        self.failure: str | None = None
        self.bound = bound
        self.events_in = 0
        self.screen = Screen(bound.spec)
        self.windows_closed = 0
        self.stages = Stages()
        self.engine = SimpleNamespace(totals={}, field_errors={"broken": 2})
        self.publisher = SimpleNamespace(published=0)

    async def start(self) -> None:
        pass

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def flush(self) -> None:
        pass


@attrs.define
class Server:
    """A server that runs, and ways to talk to it."""

    bond: local.Bond
    settings: ServerSettings
    address: str
    http: httpx.AsyncClient
    task: asyncio.Task[None]

    async def create(self, **changes: Any) -> dict[str, Any]:
        """Create a stream of SPEC with some of its keys changed; return the answer."""
        answer = await self.http.post("/v1/streams", json={"spec": SPEC | changes})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def publish(self, stream_id: str, *windows: tuple[int, int]) -> list[str]:
        """Append windows `(end in ms, number of records)`; return the records' ids."""
        ids = []
        for end_ms, count in windows:
            items = [(Offset(end_ms, n), record(end_ms, n)) for n in range(count)]
            await self.bond.log.append(stream_id, items)
            ids += [str(offset) for offset, _ in items]
        return ids

    async def metrics_when(
        self, created: dict[str, Any], is_there: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """Ask for a stream's metrics until they are as wanted, and return them."""
        async with asyncio.timeout(20):
            while True:
                answer = await self.http.get(f"/v1/streams/{created['stream_id']}/metrics")
                if is_there(answer.json()):
                    return answer.json()
                await asyncio.sleep(0.02)

    def socket(self, created: dict[str, Any], **query: str) -> connect:
        """Return a connection to a created stream, to be entered or awaited."""
        url = f"ws://{self.address}/ws/{created['stream_id']}"
        query = {"token": created["access_token"]} | query
        return connect(str(httpx.URL(url, params=query)), proxy=None)


def record(end_ms: int, n: int, size: int = 0) -> bytes:
    """Return a record as the log keeps it."""
    body = {"id": f"{end_ms}-{n}", "price_avg": 68_000.5, "pad": "x" * size}
    return json.dumps(body).encode()


def a_catalog() -> Catalog:
    """Return a catalogue of what is built in, and markets nobody connects to."""
    markets = PluginRow(
        name="markets", distribution="tests", version="1", module="tests", state="loaded",
        specs=(MARKETS,),
    )  # fmt: skip
    return Catalog([*load_plugins(only=frozenset()), markets])


def some_settings(**changes: Any) -> ServerSettings:
    """Return settings with a good secret."""
    return ServerSettings(**({"secret": Secret(SECRET)} | changes))


@asynccontextmanager
async def serving(
    monkeypatch: Any,
    *,
    clock: Clock | None = None,
    retention: Retention | None = None,
    max_streams: int = 5,
    tracing: Tracing = NO_TRACING,
    **changes: Any,
) -> AsyncIterator[Server]:
    """Run a server for as long as the context lasts."""
    monkeypatch.setattr(engine, "Pipeline", SilentPipeline)
    folder = tempfile.TemporaryDirectory()  # never that of whoever runs the tests
    settings = some_settings(max_streams=max_streams, **({"data_dir": Path(folder.name)} | changes))
    bond = local.Bond(
        clock=clock or SystemClock(), catalog=a_catalog(), max_streams=max_streams,
        retention=retention, tracing=tracing,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        stack.enter_context(folder)
        await stack.enter_async_context(bond)
        bound = listening_socket("127.0.0.1", 0)
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        is_up = asyncio.Event()
        task = asyncio.create_task(serve_bond(bond, settings, bound, ready=is_up.set))
        try:
            waiting = asyncio.create_task(is_up.wait())
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
            assert is_up.is_set(), task
            async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as http:
                yield Server(bond, settings, address, http, task)
        finally:
            task.cancel()
            await asyncio.wait([task])
            waiting.cancel()


@contextmanager
def serving_in_a_thread() -> Iterator[str]:
    """Run one server for many tests that only talk HTTP to it; gives its address."""
    found: SimpleQueue[Server] = SimpleQueue()
    with pytest.MonkeyPatch.context() as monkeypatch, ThreadPoolExecutor(1) as pool:

        async def run() -> None:
            async with serving(monkeypatch, max_streams=1_000) as server:
                found.put(server)
                await asyncio.wait([server.task])

        over = pool.submit(asyncio.run, run())
        server = found.get(timeout=20)
        try:
            yield server.address
        finally:
            server.task.get_loop().call_soon_threadsafe(server.task.cancel)
            over.result(timeout=20)


async def closing(socket: ClientConnection) -> tuple[int, str]:
    """Read a socket to its end, and return the close code and reason."""
    try:
        async with asyncio.timeout(20):
            while True:
                await socket.recv()
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


async def receive(socket: ClientConnection, count: int) -> list[str]:
    """Return the ids of the next records."""
    async with asyncio.timeout(20):
        return [json.loads(await socket.recv())["id"] for _ in range(count)]


def in_order(ids: Iterable[str]) -> list[tuple[int, ...]]:
    """Return ids as numbers that compare as the log is ordered."""
    return [tuple(int(part) for part in one.split("-")) for one in ids]
