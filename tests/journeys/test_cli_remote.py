"""The command line's own client of a server goes on where a dropped connection left it."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager

import pytest

from bond_server.cli.remote import Server, ServerError
from tests.journeys.command_line import serving

SPEC = {
    "sources": [{"type": "ccxt", "exchanges": ["binance"]}],
    "symbols": ["BTC/USDT"],
    "interval_sec": 0.1,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return the address of a simulating server."""
    with serving(tmp_path_factory.mktemp("server")) as address:
        yield address


class Line:
    """A TCP line to a server that can be cut, as networks do."""

    def __init__(self, to: str) -> None:
        self._to = to
        self._open: set[asyncio.StreamWriter] = set()
        self.opened = 0

    def cut(self) -> None:
        """Drop every connection without a word."""
        for writer in self._open:
            writer.transport.abort()

    async def take(self, reader, writer):
        """Carry one connection's bytes both ways until one end has had enough."""
        host, port = self._to.removeprefix("http://").split(":")
        there, onward = await asyncio.open_connection(host, int(port))
        self.opened += 1
        self._open |= {writer, onward}
        await asyncio.gather(carry(reader, onward), carry(there, writer), return_exceptions=True)
        self._open -= {writer, onward}


async def carry(reader, writer):
    """Copy what comes until nothing more does."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def a_line(to):
    """Open a line to a server; gives it and its own address."""
    line = Line(to)
    listening = await asyncio.start_server(line.take, "127.0.0.1", 0)
    try:
        yield line, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        line.cut()


def test_a_cut_line_loses_and_doubles_nothing(server):
    """
    Cut six times, it still gives every window of 100 ms once, in order.
    """

    async def main():
        ends, cuts, opened_before, next_cut = [], 0, 0, 6
        async with (
            asyncio.timeout(60),
            a_line(server) as (line, address),
            Server(address) as client,
        ):
            stream = await client.create({"spec": SPEC, "ephemeral": True})
            async with aclosing(client.records(stream)) as records:
                async for data in records:
                    ends.append(int(json.loads(data)["id"].partition("-")[0]))
                    # Records that had arrived before a cut come after it, too.
                    if len(ends) >= next_cut and line.opened > opened_before:
                        line.cut()
                        cuts, opened_before, next_cut = cuts + 1, line.opened, len(ends) + 6
                    if cuts == 6:
                        break
        return ends, line.opened

    ends, opened = asyncio.run(main())

    assert ends == list(range(ends[0], ends[0] + 100 * len(ends), 100))
    assert opened >= 6  # a WebSocket each, the requests beside them


def test_a_deleted_stream_is_said_and_not_asked_for_again(server):
    """
    Where the stream is deleted meanwhile, the reader gets an error that says so.
    """

    async def main():
        async with asyncio.timeout(30), Server(server) as client:
            stream = await client.create({"spec": {**SPEC, "interval_sec": 0.2}})
            async with aclosing(client.records(stream)) as records:
                await anext(records)
                await client._http.delete(f"{server}/v1/streams/{stream.stream_id}")
                async for _ in records:
                    pass

    with pytest.raises(ServerError, match="deleted") as raised:
        asyncio.run(main())

    assert raised.value.code == "stream_deleted"


def test_no_address_of_a_server_shows_its_token(server):
    """
    A stream's description, as it may stand in a log, has no token in it.
    """

    async def main():
        async with Server(server) as client:
            return await client.create({"spec": {**SPEC, "interval_sec": 0.5}, "ephemeral": True})

    stream = asyncio.run(main())

    assert "token=" in stream.ws_url
    assert "token" not in repr(stream)
