"""Faults between the server and its clients, small and seeded, with one check behind each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time

import pytest
from websockets.exceptions import ConnectionClosed

from bond_core.log.event_log import Retention
from bond_server.delivery import hub, transport
from tests.server.journal import Got, Written, check, nothing_left_behind, open_files, until_true
from tests.server.peers import Proxy, a_peer, ws_path
from tests.server.running import serving


def on_a_server(monkeypatch, scenario, **options):
    """Create a stream on a server, and run `scenario(server, created, written)`."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, **options) as server:
            created = await server.create()
            written = Written(created["stream_id"])
            async with nothing_left_behind():
                await scenario(server, created, written)
                await server.metrics_when(created, lambda found: found["clients"] == 0)

    asyncio.run(run())


async def listen(server, created, written, got, until, **query):
    """Take live records until the last one."""
    async with server.socket(created, **query) as socket:
        while got.last != until:
            got.take(await socket.recv(), written)


async def resume(server, created, got, until):
    """Take what is missing still, at full speed."""
    async with server.socket(created, after=got.last or "0-0") as socket:
        while got.last != until:
            got.take(await socket.recv())


def now_ms():
    """Return the time in ms since 1970."""
    return time.time_ns() // 1_000_000


def test_slow_readers_hold_nobody_up(monkeypatch):
    """
    F10: ten that read a kilobyte now and then are cut off, and resume without a loss; for ten
    that read well nothing is late.
    """
    monkeypatch.setattr(hub, "STALLED_AFTER_S", 0.5)
    monkeypatch.setattr(transport, "CLOSE_WITHIN_S", 0.2)

    async def slow(server, created, got):
        async with a_peer(server.address, ws_path(created), receive_bytes=4096) as peer:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                data, cut = b"", time.monotonic() + 10
                while time.monotonic() < cut:
                    data += await peer.reader.readexactly(1024)
                    await asyncio.sleep(0.05)
                raise AssertionError("it was never cut off")
            while len(data) > 4 and len(data) >= 4 + int.from_bytes(data[2:4], "big"):
                size = int.from_bytes(data[2:4], "big")
                got.take(data[4 : 4 + size])
                data = data[4 + size :]

    async def scenario(server, created, written):
        start, count = now_ms(), 250
        until = f"{start + count - 1}-0"
        healthy, slows = [Got() for _ in range(10)], [Got() for _ in range(10)]
        async with asyncio.TaskGroup() as group:
            for got in healthy:
                group.create_task(listen(server, created, written, got, until))
            for got in slows:
                group.create_task(slow(server, created, got))
            await server.metrics_when(created, lambda found: found["clients"] == 20)
            group.create_task(
                written.keep_writing(server, count, every_s=0.005, start_ms=start, size=4000)
            )
        metrics = await server.metrics_when(created, lambda found: found["clients"] == 0)
        assert metrics["slow_disconnects"] == 10
        for got in slows:
            await resume(server, created, got, until)
        assert all(len(got.records) == count for got in healthy + slows)
        check(written, healthy, lag_s=0.2)
        check(written, slows)

    on_a_server(monkeypatch, scenario)


def test_stopped_readers_are_gone(monkeypatch):
    """
    F11: of forty that read nothing more not a socket or task is left on the server's side.
    """
    monkeypatch.setattr(hub, "STALLED_AFTER_S", 0.3)
    monkeypatch.setattr(transport, "CLOSE_WITHIN_S", 0.3)

    async def scenario(server, created, written):
        before = open_files()
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(40):
                peer = a_peer(server.address, ws_path(created), receive_bytes=4096)
                await stack.enter_async_context(peer)
            await written.keep_writing(server, 40, every_s=0.01, start_ms=now_ms(), size=60_000)
            await server.metrics_when(created, lambda found: found["clients"] == 0)
            await until_true(lambda: open_files() <= before + 40)  # their own ends are open

    on_a_server(monkeypatch, scenario)


def test_half_open_connections_are_found(monkeypatch):
    """
    F12: when nothing comes through any more, in either direction, pings find it out.
    """
    monkeypatch.setattr(transport, "PING_EVERY_S", 0.2)
    monkeypatch.setattr(transport, "PONG_WITHIN_S", 0.2)

    async def scenario(server, created, written):
        async with Proxy(server.address) as proxy, contextlib.AsyncExitStack() as stack:
            for _ in range(10):
                await stack.enter_async_context(a_peer(proxy.own, ws_path(created)))
            await server.metrics_when(created, lambda found: found["clients"] == 10)
            proxy.goes.clear()
            await written.write(server, now_ms())
            await server.metrics_when(created, lambda found: found["clients"] == 0)
            proxy.goes.set()

    on_a_server(monkeypatch, scenario)


def test_accepted_connections_are_bounded_by_the_kernel_too(monkeypatch):
    """
    F12: whatever protocol they speak, a peer that acknowledges nothing for 30 s is gone, and
    the kernel takes no more than a little for one that does not read.
    """
    seen = []

    class Seeing(transport.HttpProtocol):
        def connection_made(self, made):
            plug = made.get_extra_info("socket")
            seen.append((plug.getsockopt(6, 18), plug.getsockopt(6, 25)))
            super().connection_made(made)

    monkeypatch.setattr(transport, "HttpProtocol", Seeing)

    async def scenario(server, created, written):
        async with server.socket(created):
            pass

    on_a_server(monkeypatch, scenario)
    assert set(seen) == {(30_000, 16_384)}


@pytest.mark.usefixtures("delivery")
@pytest.mark.parametrize("by", ["id", "ts"])
def test_churn_loses_and_repeats_nothing(monkeypatch, by):
    """
    F13, F14: twenty clients that break off at random moments and resume by the id, or by the
    `ts` of the last record, get every record once.
    """
    chance = random.Random(13)

    async def churn(server, created, got, until):
        query = {"after": "0-0"}
        while got.last != until:
            if got.records:
                query = {"after": json.loads(got.records[-1][1])[by]}
            socket = await server.socket(created, **query)
            try:
                async with asyncio.timeout(chance.uniform(0.005, 0.2)):
                    while got.last != until:
                        got.take(await socket.recv())
            except TimeoutError:
                socket.transport.abort()
            else:
                await socket.close()

    async def scenario(server, created, written):
        start, count = now_ms(), 300
        clients = [Got() for _ in range(20)]
        async with asyncio.TaskGroup() as group:
            group.create_task(written.keep_writing(server, count, every_s=0.004, start_ms=start))
            for got in clients:
                group.create_task(churn(server, created, got, f"{start + count - 1}-0"))
        assert all(len(got.records) == count for got in clients)
        check(written, clients)

    on_a_server(monkeypatch, scenario)


@pytest.mark.usefixtures("delivery")
def test_older_than_the_ring_is_told_with_its_ends(monkeypatch):
    """
    F15: who resumes behind what is kept is told between which ids records are missing, and gets
    all that follow.
    """

    async def scenario(server, created, written):
        start = now_ms()
        got = Got()
        for i in range(3):
            await written.write(server, start + i)
        async with a_peer(
            server.address, ws_path(created, after="0-0"),
            headers="Sec-WebSocket-Protocol: bond.v1.json\r\n",
        ) as peer:  # fmt: skip
            assert (await peer.record())["t"] == "hello"
            for _ in range(3):
                got.take(json.dumps((await peer.record())["d"]))
        for i in range(3, 30):
            await written.write(server, start + i)
        headers = "Sec-WebSocket-Protocol: bond.v1.json\r\n"
        path = ws_path(created, after=got.last)
        async with a_peer(server.address, path, headers=headers) as peer:
            assert "bond-replay: truncated" in peer.head.lower()
            hello, gap = await peer.record(), await peer.record()
            assert (hello["t"], hello["recovered"]) == ("hello", False)
            oldest = f"{start + 25}-0"
            assert hello["oldest"] == oldest
            ends = {"from": got.last, "to": oldest, "reason": "trimmed", "n": None}
            assert gap == {"t": "gap"} | ends
            got.gaps.append((gap["from"], gap["to"]))
            for _ in range(5):
                got.take(json.dumps((await peer.record())["d"]))
        assert got.last == f"{start + 29}-0"
        check(written, [got])

    on_a_server(monkeypatch, scenario, retention=Retention(seconds=0, windows=5))


@pytest.mark.usefixtures("delivery")
def test_a_reconnect_storm_delays_nobody(monkeypatch):
    """
    F16: while a hundred come back at once and replay, those who stayed get theirs in time.
    """

    async def come_back(server, created, got, until, took_s):
        began = time.monotonic()
        try:
            async with server.socket(created, **{"from": "now-60s"}) as socket:
                got.take(await socket.recv())
                took_s.append(time.monotonic() - began)
                while got.last != until:
                    got.take(await socket.recv())
        except ConnectionClosed as closed:
            got.codes.append(closed.rcvd.code if closed.rcvd else 1006)

    async def scenario(server, created, written):
        start, count = now_ms(), 250
        until = f"{start + count - 1}-0"
        live, storm, took_s = [Got() for _ in range(5)], [Got() for _ in range(100)], []
        await written.keep_writing(server, 60, every_s=0, start_ms=start, size=250)
        async with asyncio.TaskGroup() as group:
            for got in live:
                group.create_task(listen(server, created, written, got, until))
            await server.metrics_when(created, lambda found: found["clients"] == 5)
            more = written.keep_writing(
                server, count - 60, every_s=0.01, start_ms=start + 60, size=250
            )
            group.create_task(more)
            for got in storm:
                group.create_task(come_back(server, created, got, until, took_s))
        assert [code for got in storm for code in got.codes] == []
        assert all(len(got.records) == count for got in storm)
        assert max(took_s) < 5.0
        check(written, storm)
        check(written, live, lag_s=0.5 + 1.0)  # the clients themselves share this loop

    on_a_server(monkeypatch, scenario)
