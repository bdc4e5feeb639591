"""Answer HTTP on 127.0.0.1, for simulators and tests: no more than a source of one's own needs.

async with LoopbackHttp(lambda asked: Reply(body=b"...")) as server:
...  # server.url
"""  # fmt: skip

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import attrs

_MAX_HEAD = 64 * 1024
_MAX_BODY = 1 << 20


@attrs.frozen
class Asked:
    """A request.

    Attributes:
        headers: Their names in lower case.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@attrs.frozen
class Reply:
    """An answer.

    Attributes:
        cut_after: After how many bytes of the body the connection breaks; None is not at all. 0
            breaks it before any answer.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    cut_after: int | None = None


def unless_had(asked: Asked, body: bytes, content_type: str) -> Reply:
    """Return a body with its ETag, or 304 for who has it already."""
    etag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
    headers = {"Content-Type": content_type, "ETag": etag}
    if asked.headers.get("if-none-match", "").removeprefix("W/") == etag:
        return Reply(304, b"", headers)
    return Reply(200, body, headers)


Answering = Callable[[Asked], Reply | Awaitable[Reply]]


class LoopbackHttp:
    """A server on a free port. Each connection is for one request.

    Attributes:
        url: The base address; empty until it serves.
        asked: Every request so far.
    """

    def __init__(self, answer: Answering) -> None:
        self._answer = answer
        self.url = ""
        self.asked: list[Asked] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Serve."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=_MAX_HEAD)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving, and let go of every connection."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.url = ""

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                asked = await _read(reader)
                self.asked.append(asked)
                reply = self._answer(asked)
                if isinstance(reply, Awaitable):
                    reply = await reply
                writer.write(_written(reply))
                await writer.drain()
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
    }
    length = min(int(headers.get("content-length", 0)), _MAX_BODY)
    url = urlsplit(target)
    body = await reader.readexactly(length)
    return Asked(method, url.path, dict(parse_qsl(url.query)), headers, body)


def _written(reply: Reply) -> bytes:
    if reply.cut_after == 0:
        return b""
    headers = {"Content-Length": str(len(reply.body)), "Connection": "close", **reply.headers}
    head = [f"HTTP/1.1 {reply.status} .", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join((*head, "", "")).encode("latin-1") + reply.body[: reply.cut_after]
