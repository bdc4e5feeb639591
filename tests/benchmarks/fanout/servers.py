"""The servers of the fan-out benchmark, each in a process of its own.

    python -m tests.benchmarks.fanout.servers NAME PORT CONTROL_PORT TOPICS CLIENTS

bond        the real application: log, tail, hub, tokens, resume positions, metrics; only the
            venues are missing: what comes in over the control port is appended to the log
litestar    as it is usually written: a queue and a task for each client, behind uvicorn
broadcast   `websockets.broadcast`, which shares nothing but one call; one topic

All run on uvloop. Each prints one line of JSON when it serves: `{"paths": [...]}`, a path for
each client to open. Records come as `TOPIC RECORD` lines over the control port.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvloop

Publish = Callable[[list[tuple[int, bytes]]], None]


class Control(asyncio.Protocol):
    """Hands over the records of whatever has come in by now."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Split what came into lines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        records = []
        for line in lines:
            topic, _, record = line.partition(b" ")
            records.append((int(topic), record))
        if records:
            self._publish(records)


async def serve_control(port: int, publish: Publish) -> None:
    """Take records on a port."""
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Control(publish), "127.0.0.1", port)


def ready(paths: list[str]) -> None:
    """Say that clients may come, and where each should."""
    print(json.dumps({"paths": paths}), flush=True)


async def bond(port: int, control: int, topics: int, clients: int) -> None:
    """Serve the real application."""
    from bond_core.log.offset import Offset
    from bond_core.settings import Secret
    from bond_server import engine, local
    from bond_server.cli.serve import serve_bond
    from bond_server.delivery.listening import listening_socket
    from bond_server.logs import LogStyle
    from bond_server.process import tune_for_serving
    from bond_server.settings import ServerSettings
    from tests.benchmarks.fanout.silent import SilentPipeline, a_catalog, a_spec

    engine.Pipeline = SilentPipeline  # type: ignore[assignment,misc]
    folder = tempfile.mkdtemp()
    settings = ServerSettings(
        secret=Secret("0123456789abcdef" * 4), port=port, data_dir=Path(folder)
    )
    arrived: asyncio.Queue[list[tuple[int, bytes]]] = asyncio.Queue()
    async with local.Bond(catalog=a_catalog(), max_streams=topics) as here:
        streams = [
            (await here.create(here.compile({"spec": a_spec(i)})))[0].stream_id
            for i in range(topics)
        ]

        async def write() -> None:
            position = Offset(0, 0)
            while True:
                for topic, record in await arrived.get():
                    ms = time.time_ns() // 1_000_000
                    n = position.n + 1 if ms <= position.ms else 0
                    position = Offset(max(ms, position.ms), n)
                    await here.log.append(streams[topic], [(position, record)])

        writing = asyncio.create_task(write())
        await serve_control(control, arrived.put_nowait)
        from bond_server.auth.tokens import Tokens

        tokens = Tokens(settings.secret, here.clock)

        def say() -> None:
            theirs = [streams[i % topics] for i in range(clients)]
            ready([f"/ws/{one}?token={tokens.issue(one).text}&after=0-0" for one in theirs])

        bound = listening_socket("127.0.0.1", port)
        tune_for_serving()
        await serve_bond(here, settings, bound, logs=LogStyle(level="error"), ready=say)
        writing.cancel()
        shutil.rmtree(folder)


async def litestar(port: int, control: int, topics: int, clients: int) -> None:
    """Serve as it is usually done: for each client a queue, and a task that waits for it."""
    import uvicorn
    from litestar import Litestar, WebSocket, websocket

    subscribers: list[set[asyncio.Queue[str]]] = [set() for _ in range(topics)]

    @websocket("/ws/{topic:int}")
    async def stream(socket: WebSocket[Any, Any, Any], topic: int) -> None:
        await socket.accept()
        queue: asyncio.Queue[str] = asyncio.Queue()
        subscribers[topic].add(queue)

        async def send() -> None:
            while True:
                await socket.send_text(await queue.get())

        sending = asyncio.create_task(send())
        try:
            while (await socket.receive())["type"] == "websocket.receive":
                pass
        finally:
            sending.cancel()
            subscribers[topic].discard(queue)

    def publish(records: list[tuple[int, bytes]]) -> None:
        for topic, record in records:
            text = record.decode()
            for queue in subscribers[topic]:
                queue.put_nowait(text)

    await serve_control(control, publish)
    app = Litestar([stream], openapi_config=None)
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=port, log_level="error", ws="websockets-sansio", lifespan="off",
            ws_per_message_deflate=False,
        )
    )  # fmt: skip
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0.02)
    ready([f"/ws/{i % topics}" for i in range(clients)])
    await serving


async def broadcast(port: int, control: int, topics: int, clients: int) -> None:
    """Serve with `websockets` alone, and its own way to send to many."""
    from websockets.asyncio.server import broadcast as send_to_all
    from websockets.asyncio.server import serve

    connections: set[Any] = set()

    async def handle(connection: Any) -> None:
        connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            connections.discard(connection)

    def publish(records: list[tuple[int, bytes]]) -> None:
        for _, record in records:
            send_to_all(connections, record.decode())

    await serve_control(control, publish)
    async with serve(handle, "127.0.0.1", port, compression=None, backlog=2048):
        ready(["/"] * clients)
        await asyncio.get_running_loop().create_future()


SERVERS = SimpleNamespace(bond=bond, litestar=litestar, broadcast=broadcast)


if __name__ == "__main__":
    serve_it = getattr(SERVERS, sys.argv[1])
    uvloop.run(serve_it(*(int(number) for number in sys.argv[2:])))
