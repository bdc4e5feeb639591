"""Clients that behave badly: raw sockets that read slowly, or not, or send what they should not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from contextlib import asynccontextmanager

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Peer:
    """A WebSocket client that frames by hand, and reads only what it is told to."""

    def __init__(self, reader, writer, head):
        self.reader = reader
        self.writer = writer
        self.head = head

    async def frame(self):
        """Return the next frame's opcode and payload."""
        first, second = await self.reader.readexactly(2)
        assert first & 0x80, "the server does not fragment"
        assert not second & 0x80, "the server does not mask"
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        return first & 0x0F, await self.reader.readexactly(size)

    async def text(self):
        """Return the next text frame, over pings."""
        while True:
            opcode, payload = await self.frame()
            if opcode == TEXT:
                return payload
            if opcode == CLOSE:
                raise Closed(int.from_bytes(payload[:2], "big"), payload[2:].decode())

    async def record(self):
        """Return the next record."""
        return json.loads(await self.text())

    async def texts_to_the_end(self):
        """Return the texts that still come, and the close code; 1006 where there was none."""
        got = []
        try:
            while True:
                got.append(await self.text())
        except Closed as closed:
            return got, closed.code
        except (asyncio.IncompleteReadError, ConnectionError):
            return got, 1006

    async def records_to_the_end(self):
        """Return the records that still come, and the close code."""
        texts, code = await self.texts_to_the_end()
        return [json.loads(text) for text in texts], code

    def send(self, opcode, payload=b"", **how):
        """Send a frame, a wrong one too."""
        self.writer.write(framed(opcode, payload, **how))


def framed(opcode, payload=b"", *, fin=True, rsv=0, masked=True):
    """Return a frame as a client sends it, or as it should not."""
    mask = os.urandom(4) if masked else b""
    size, bit = len(payload), 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    if size < 126:
        head += bytes([bit | size])
    elif size < 65_536:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    if masked:
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    return head + mask + payload


class Closed(Exception):  # noqa: N818 -- an end, no mishap
    """The server said goodbye."""

    def __init__(self, code, reason):
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


async def connected(address, receive_bytes=None):
    """Return reader and writer of a connection; with a small receive buffer where asked."""
    host, _, port = address.rpartition(":")
    plug = socket.socket()
    plug.setblocking(False)
    if receive_bytes is not None:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await asyncio.get_running_loop().sock_connect(plug, (host, int(port)))
    return await asyncio.open_connection(sock=plug, limit=1024)


@asynccontextmanager
async def a_peer(address, path, *, receive_bytes=None, headers=""):
    """Shake hands as a WebSocket client; the rest is up to the test."""
    reader, writer = await connected(address, receive_bytes)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{headers}\r\n".encode()
    )
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert " 101 " in head, head
        yield Peer(reader, writer, head)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class Proxy:
    """Forwards a connection until it is told to be silent: then it is half-open for both ends."""

    def __init__(self, address):
        self.address = address
        self.goes = asyncio.Event()
        self.goes.set()
        self._tasks = []
        self._writers = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.own = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _accept(self, reader, writer):
        there, back = await asyncio.open_connection(*self.address.split(":"))
        self._writers += [writer, back]
        for a, b in ((reader, back), (there, writer)):
            self._tasks.append(asyncio.create_task(self._forward(a, b)))

    async def _forward(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self.goes.wait()
                writer.write(data)
        await self.goes.wait()
        writer.close()


def ws_path(created, **query):
    """Return the path of a created stream's WebSocket."""
    given = "&".join(f"{key}={value}" for key, value in query.items())
    return f"/ws/{created['stream_id']}?token={created['access_token']}&{given}"
