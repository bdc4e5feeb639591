"""A TCP proxy that breaks on demand, between a process and its Redis."""

from __future__ import annotations

import asyncio
import contextlib


class BreakableProxy:
    """Forwards connections, as well as it is told to.

    Attributes:
        port: Where it listens.
        target: The port it forwards to; another one is for connections made from then on.
        delay_s: What each piece of data waits.
        swallows: Which directions are silent: "up", to the server, and "down".
        refuses: Whether new connections are closed at once.
    """

    def __init__(self, target):
        self.target = target
        self.delay_s = 0.0
        self.swallows = set()
        self.refuses = False
        self._tasks = set()
        self._writers = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc):
        self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self):
        """What a process connects to."""
        return f"redis://127.0.0.1:{self.port}/0"

    def cut(self):
        """Break all connections."""
        for writer in tuple(self._writers):
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader, writer):
        if self.refuses:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        for way, a, b in (("up", reader, back), ("down", there, writer)):
            task = asyncio.create_task(self._forward(way, a, b))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, way, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if way not in self.swallows:
                    writer.write(data)
        writer.transport.abort()
        self._writers.discard(writer)
