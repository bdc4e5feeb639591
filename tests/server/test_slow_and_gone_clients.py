from __future__ import annotations

import asyncio
import contextlib

import pytest

from bond_core.clock import NS, ManualClock
from bond_core.log.event_log import Retention
from bond_core.log.offset import Offset
from bond_server.delivery import session, transport
from bond_server.routes import websocket
from tests.server.running import closing, receive, record, serving

NOW_S = 1_761_053_400
T = NOW_S * 1000


def on_a_server(monkeypatch, scenario, **options):
    """Create a stream on a server, and run `scenario(server, created)`."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, **options) as server:
            await scenario(server, await server.create())

    asyncio.run(run())


def test_a_client_may_talk(monkeypatch):
    """
    What a client sends is taken and dropped, so that pings and records still get through.
    """

    async def scenario(server, created):
        async with server.socket(created) as socket:
            await socket.send("hello")
            await socket.send(b"\x00\xff")
            await (await socket.ping())
            await server.publish(created["stream_id"], (T, 1))
            assert await receive(socket, 1) == [f"{T}-0"]

    on_a_server(monkeypatch, scenario)


@pytest.mark.parametrize(
    ("messages", "code"), [(["x"] * 25, 1008), (["x" * 5000], 1009)], ids=["too many", "too large"]
)
def test_a_client_that_talks_too_much_is_cut(monkeypatch, messages, code):
    """
    More than 20 messages in a second, or one of more than 4 KiB, ends the connection.
    """

    async def scenario(server, created):
        async with server.socket(created) as socket:
            for message in messages:
                await socket.send(message)
            assert (await closing(socket))[0] == code

    on_a_server(monkeypatch, scenario, clock=ManualClock(NOW_S * NS))


@contextlib.asynccontextmanager
async def a_reader_that_does_not_read(server, created, query=""):
    """Shake hands as a WebSocket client, and then read nothing until told to."""
    reader, writer = await asyncio.open_connection(*server.address.split(":"), limit=1024)
    path = f"/ws/{created['stream_id']}?token={created['access_token']}{query}"
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {server.address}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    try:
        assert b"101" in await reader.readline()
        yield reader
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("slow", ["", "&slow=conflate"])
def test_a_client_that_reads_nothing_is_given_up(monkeypatch, slow):
    """
    After the time allowed for one send it is cut, counted and gone; others notice nothing.
    """
    monkeypatch.setattr(session, "SEND_WITHIN_S", 0.3)
    monkeypatch.setattr(websocket, "_CLOSE_WITHIN_S", 0.0)

    async def scenario(server, created):
        async with (
            server.socket(created) as healthy,
            a_reader_that_does_not_read(server, created, slow) as reader,
        ):
            for end_ms in range(T, T + 64_000, 1000):  # 16 MiB: more than the sockets take
                entry = (Offset(end_ms, 0), record(end_ms, 0, size=256 * 1024))
                await server.bond.log.append(created["stream_id"], [entry])
                assert await receive(healthy, 1) == [f"{end_ms}-0"]
            metrics = await server.metrics_when(created, lambda m: m["slow_disconnects"] == 1)
            assert metrics["clients"] == 1
            with contextlib.suppress(ConnectionError):
                while await reader.read(65_536):
                    pass

    on_a_server(monkeypatch, scenario)


def test_a_peer_that_answers_no_ping_is_gone(monkeypatch):
    """
    Also with its buffers full, where an ordinary close would wait for ever.
    """
    monkeypatch.setattr(transport, "PING_EVERY_S", 0.2)
    monkeypatch.setattr(transport, "PONG_WITHIN_S", 0.2)

    async def scenario(server, created):
        async with a_reader_that_does_not_read(server, created) as reader:
            for end_ms in range(T, T + 6_400, 100):
                entry = (Offset(end_ms, 0), record(end_ms, 0, size=256 * 1024))
                await server.bond.log.append(created["stream_id"], [entry])
            await server.metrics_when(created, lambda metrics: metrics["clients"] == 1)
            metrics = await server.metrics_when(created, lambda found: found["clients"] == 0)
            assert metrics["slow_disconnects"] == 0
            with contextlib.suppress(ConnectionError):
                while await reader.read(65_536):
                    pass

    on_a_server(monkeypatch, scenario)


def test_a_client_that_falls_off_the_ring_is_4008(monkeypatch):
    """
    Whoever is so slow that records were dropped before it is told to resume.
    """

    async def scenario(server, created):
        await server.publish(created["stream_id"], (T, 1))
        async with server.socket(created, after="0-0") as socket:
            assert await receive(socket, 1) == [f"{T}-0"]
            windows = ((T + i * 1000, 1) for i in range(1, 20))
            await server.publish(created["stream_id"], *windows)  # without a turn for the sender
            assert await closing(socket) == (4008, "slow")

    on_a_server(monkeypatch, scenario, retention=Retention(seconds=0, windows=2))


def test_conflating_skips_to_the_newest_window(monkeypatch):
    """
    A client that asked for it gets the newest window, and what it did not get is counted.
    """

    async def scenario(server, created):
        await server.publish(created["stream_id"], (T, 1))
        async with server.socket(created, after="0-0", slow="conflate") as socket:
            assert await receive(socket, 1) == [f"{T}-0"]
            await server.publish(created["stream_id"], *((T + i * 1000, 2) for i in range(1, 6)))
            assert await receive(socket, 2) == [f"{T + 5000}-0", f"{T + 5000}-1"]
        url = f"/v1/streams/{created['stream_id']}/metrics"
        metrics = (await server.http.get(url)).json()
        assert (metrics["conflated"], metrics["dropped"]) == (8, 8)

    on_a_server(monkeypatch, scenario)


def test_a_client_that_leaves_is_not_served_on(monkeypatch):
    """
    After a client has gone, however it went, nothing of it is left.
    """

    async def scenario(server, created):
        async with server.socket(created):
            pass
        killed = await server.socket(created)
        killed.transport.abort()
        await server.metrics_when(created, lambda m: m["clients"] == 0)
        stream = server.bond.find(created["stream_id"])
        assert (stream.readers, stream.tail.readers) == (0, 0)

    on_a_server(monkeypatch, scenario)
