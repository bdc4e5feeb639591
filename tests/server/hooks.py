"""An endpoint on loopback that takes webhooks, and answers as it is told."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager


class Hooks:
    """What came: `(headers, body, status)` of each message, and what is answered next.

    Attributes:
        answers: While it isn't set, messages are taken and not answered.
    """

    def __init__(self):
        self.url = ""
        self.got, self.statuses = [], []
        self.answers = asyncio.Event()
        self.answers.set()

    async def __call__(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[1:-1]
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        status = self.statuses.pop(0) if self.statuses else 204
        self.got.append((headers, body.decode(), status))
        await self.answers.wait()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def taking_hooks():
    """Run an endpoint."""
    hooks = Hooks()
    async with await asyncio.start_server(hooks, "127.0.0.1", 0) as server:
        hooks.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
        try:
            yield hooks
        finally:
            hooks.answers.set()
