"""The processes of a round: a venue, what stands between, and a client that notes delays."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from ipaddress import ip_network
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs
import httpx
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bond_core.aggregators import plugin as builtin
from bond_core.model.event import Trade
from bond_core.plugin import Channel, ConnectorSpec, setting
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, register
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_core.plugin.websocket import WebSocketConnector
from bond_core.settings import Secret
from bond_core.wire.frames import text_frame
from bond_core.wire.times import parse_iso
from bond_server.cli.serve import serve_bond
from bond_server.delivery.listening import listening_socket
from bond_server.delivery.transport import loop_factory
from bond_server.local import Bond
from bond_server.process import tune_for_serving
from bond_server.settings import ServerSettings
from ekko import EkkoClient

FOR_S = 4.0
_WARM_S = 1.0
_PATIENCE_S = 60.0
_PACE_S = 0.001


def through(way: str, per_s: int) -> tuple[list[float], float]:
    """Return the delays, in s, of what came within FOR_S through the relay or Bond.

    And the CPU time, in s, that each trade cost the process in between.
    """
    context = multiprocessing.get_context("spawn")
    processes = []

    def started(target: Any, *arguments: Any) -> Any:
        here, there = context.Pipe()
        process = context.Process(target=target, args=(there, *arguments), daemon=True)
        process.start()
        processes.append(process)
        if not here.poll(_PATIENCE_S):
            raise RuntimeError(f"{target.__name__} did not start")
        return here.recv()

    try:
        venue = started(venue_process, per_s)
        between = started(relay_process if way == "relay" else bond_process, venue)
        before_s = _cpu_s(processes[-1].pid)
        count, delays = started(client_process, way, between)
        return delays, (_cpu_s(processes[-2].pid) - before_s) / count
    finally:
        for process in reversed(processes):
            process.terminate()
            process.join(20)


def _cpu_s(pid: int | None) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def venue_process(there: Connection, per_s: int) -> None:
    """Send trades to whoever connects."""

    async def send(socket: ServerConnection) -> None:
        began, sent = time.perf_counter(), 0
        while True:
            due = int((time.perf_counter() - began) * per_s)
            now_ns = time.time_ns()
            frames = [
                text_frame(b'{"t":%d,"i":"%d","p":100.25,"q":0.5,"S":"buy"}' % (now_ns, n))
                for n in range(sent, due)
            ]
            sent = due
            try:
                socket.transport.write(b"".join(frames))  # the venue must cost as little as it can
            except RuntimeError:  # whoever listened has left
                return
            await asyncio.sleep(_PACE_S)

    async def main() -> None:
        async with serve(send, "127.0.0.1", 0, compression=None) as server:
            there.send(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
            await server.serve_forever()

    asyncio.run(main())


def relay_process(there: Connection, venue: str) -> None:
    """Hand on each frame, to the one client there is."""

    async def relay(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):  # whoever listened has left
            async with connect(venue, compression=None, proxy=None) as upstream:
                async for message in upstream:
                    await socket.send(message)

    async def main() -> None:
        async with serve(relay, "127.0.0.1", 0, compression=None) as server:
            there.send(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
            await server.serve_forever()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main())


@attrs.frozen
class VenueConfig:
    """Where the venue is."""

    url: str = setting(doc="Its address")


class Acme(WebSocketConnector):
    """Reads what the venue sends."""

    channel = "trades"

    def url(self, ctx: Any) -> str:
        """See WebSocketConnector."""
        return str(self.config.url)

    async def subscribe(self, ws: Any, ctx: Any, added: Any) -> None:
        """See WebSocketConnector."""

    def parse(self, frame: str | bytes, ctx: Any) -> Iterable[Trade]:
        """See WebSocketConnector."""
        m = json.loads(frame)
        yield Trade("BTC/USDT", m["t"], m["p"], m["q"], m["S"], m["i"], int(m["i"]))


ACME = ConnectorSpec(
    name="acme", factory=f"{__name__}:Acme", config=VenueConfig, summary="trades",
    channels=(Channel(name="trades", kind="trade", fields=("trades",)),), hosts=("127.0.0.1",),
)  # fmt: skip


def bond_process(there: Connection, venue: str) -> None:
    """Serve a raw stream of the venue, as `bond serve` would."""
    # When it ends the venue goes on for a moment, and it would tell of trades that nobody wants.
    logging.getLogger("bond.connector").setLevel(logging.ERROR)

    async def main() -> None:
        rows = [
            PluginRow(name=name, distribution=name, version="1", module=name, state="loaded",
                      specs=specs)
            for name, specs in (("builtin", register(builtin, name="builtin")), ("acme", (ACME,)))
        ]  # fmt: skip
        bound = listening_socket("127.0.0.1", 0)
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        ready = asyncio.Event()
        with tempfile.TemporaryDirectory() as folder:
            settings = ServerSettings(secret=Secret("0123456789abcdef" * 4), data_dir=Path(folder))
            here = EgressPolicy(private=(ip_network("127.0.0.0/8"),), frames_per_s=1e6)
            egress = Egress(here)
            async with (
                Bond(catalog=Catalog(rows), egress=egress) as bond,
                asyncio.TaskGroup() as tasks,
            ):
                tune_for_serving()
                tasks.create_task(serve_bond(bond, settings, bound, ready=ready.set))
                await ready.wait()
                spec = {"sources": [{"type": "acme", "url": venue}], "symbols": ["BTC/USDT"],
                        "mode": "raw"}  # fmt: skip
                async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
                    answer = await http.post(f"{url}/v1/streams", json={"spec": spec})
                if answer.status_code != httpx.codes.CREATED:
                    raise RuntimeError(answer.text)
                there.send((url, answer.json()))

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main())


def client_process(there: Connection, way: str, between: Any) -> None:
    """Note when each trade came, and send the delays of those that came in time."""

    async def main() -> tuple[int, list[tuple[int, Any]]]:
        got: list[tuple[int, Any]] = []
        count = 0
        began = time.perf_counter()
        async with aclosing((_relayed if way == "relay" else _streamed)(between)) as coming:
            async for sent in coming:
                count += 1
                now = time.perf_counter()
                if now - began > _WARM_S + FOR_S:
                    break
                if now - began > _WARM_S:
                    got.append((time.time_ns(), sent))
        return count, got

    count, got = asyncio.run(main())
    read = (lambda sent: sent) if way == "relay" else parse_iso
    there.send((count, [(at_ns - read(sent)) / 1e9 for at_ns, sent in got]))


async def _relayed(url: str) -> AsyncGenerator[int, None]:
    async with connect(url, compression=None, proxy=None) as socket:
        async for message in socket:
            yield json.loads(message)["t"]


async def _streamed(where: Any) -> AsyncGenerator[str, None]:
    url, created = where
    async with EkkoClient(url) as ekko:
        events = ekko.subscribe(created["stream_id"], created["access_token"])
        try:
            async for event in events:
                if event["kind"] == "trade":
                    yield event["ts"]
        finally:
            await events.aclose()
