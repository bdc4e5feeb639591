"""What the web server below would do wrong by itself, each with the case that shows it."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress

import httpx

from bond_server.delivery import hub, transport
from bond_server.delivery.drain import Drain
from bond_server.delivery.endings import RESTART
from tests.server.journal import nothing_left_behind
from tests.server.peers import PING, TEXT, a_peer, connected, ws_path
from tests.server.running import closing, receive, serving

T = 1_761_053_400_000


def on_a_server(monkeypatch, scenario, **options):
    """Create a stream on a server, and run `scenario(server, created)`."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, **options) as server:
            await scenario(server, await server.create())

    asyncio.run(run())


def test_a_client_that_sent_something_still_gets_its_pongs_heard(monkeypatch):
    """
    Reading pauses behind each message until it is taken: pongs behind it must be seen in time.
    """
    monkeypatch.setattr(transport, "PING_EVERY_S", 0.1)
    monkeypatch.setattr(transport, "PONG_WITHIN_S", 0.2)

    async def scenario(server, created):
        async with server.socket(created) as socket:
            for _ in range(6):
                await socket.send("hello")
                await asyncio.sleep(0.1)
            await server.publish(created["stream_id"], (T, 1))
            assert await receive(socket, 1) == [f"{T}-0"]

    on_a_server(monkeypatch, scenario)


def test_a_handler_ends_when_its_client_has_left(monkeypatch):
    """
    Also where nothing is ever sent: no task waits on for a peer that is gone.
    """

    async def scenario(server, created):
        async with nothing_left_behind():
            for _ in range(5):
                async with server.socket(created):
                    pass
                killed = await server.socket(created)
                killed.transport.abort()

    on_a_server(monkeypatch, scenario)


def test_nothing_is_compressed_for_each_client(monkeypatch):
    """
    A client that offers permessage-deflate is not taken up on it.
    """

    async def scenario(server, created):
        headers = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        async with a_peer(server.address, ws_path(created), headers=headers) as peer:
            assert "extensions" not in peer.head.lower()

    on_a_server(monkeypatch, scenario)


def test_one_client_is_no_task_more_than_its_handler(monkeypatch):
    """
    A thousand clients are a thousand tasks, not thousands; and one more looks after all.
    """

    async def scenario(server, created):
        before = len(asyncio.all_tasks())
        peers = []
        for _ in range(20):
            peers.append(a_peer(server.address, ws_path(created)))
            await peers[-1].__aenter__()
        await server.metrics_when(created, lambda found: found["clients"] == 20)
        assert len(asyncio.all_tasks()) <= before + 20 + 1
        for peer in peers:
            await peer.__aexit__(None, None, None)

    on_a_server(monkeypatch, scenario)


def test_a_stalled_response_is_cut(monkeypatch):
    """
    Server-Sent Events have no pings and no goodbye: one that is not read is aborted.
    """
    monkeypatch.setattr(hub, "STALLED_AFTER_S", 0.3)

    async def scenario(server, created):
        reader, writer = await connected(server.address, 4096)
        path = f"/v1/streams/{created['stream_id']}/events?token={created['access_token']}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b"200" in await reader.readline()
        for i in range(20):
            await server.publish(created["stream_id"], (T + i, 1000))
            await asyncio.sleep(0)
        metrics = await server.metrics_when(created, lambda found: found["clients"] == 0)
        assert metrics["slow_disconnects"] == 1
        rest = b""
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                rest = data
        assert not rest.endswith(b"\r\n0\r\n\r\n")  # nothing says that this was all
        writer.close()

    on_a_server(monkeypatch, scenario)


def test_a_client_that_says_goodbye_and_reads_nothing_is_cut(monkeypatch):
    """
    The answer to its goodbye waits behind a full buffer, for ever if nobody ends it.
    """
    monkeypatch.setattr(transport, "CLOSE_WITHIN_S", 0.3)

    async def scenario(server, created):
        async with a_peer(server.address, ws_path(created), receive_bytes=4096) as peer:
            for i in range(20):
                await server.publish(created["stream_id"], (T + i, 1000))
                await asyncio.sleep(0)
            peer.send(8, b"\x03\xe8")
            await server.metrics_when(created, lambda found: found["clients"] == 0)
            await asyncio.sleep(0.5)
            assert (await peer.texts_to_the_end())[1] == 1006

    on_a_server(monkeypatch, scenario)


def test_leaving_says_so_before_it_stops(monkeypatch):
    """
    When it is told to end, readiness is 503 before the first client hears 1012; and they hear it
    one after the other.
    """

    async def scenario(server, created):
        sockets = [await server.socket(created) for _ in range(30)]
        reader, writer = await connected(server.address)
        server.task.cancel()
        heard = asyncio.get_running_loop().create_task(closing(sockets[0]))
        await asyncio.sleep(0.12)
        writer.write(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"503" in await reader.readline()
        endings = [await heard, *[await closing(one) for one in sockets[1:]]]
        assert endings == [(1012, "restart")] * 30
        writer.close()

    on_a_server(monkeypatch, scenario)


def test_goodbyes_are_spread():
    """
    A hundred a second, or as fast as it takes within the time that is set; in no fixed order.
    """

    async def run(clients, spread_s):
        drain = Drain(spread_s=spread_s, chance=random.Random(1))
        loop, told = asyncio.get_running_loop(), []

        async def one(i):
            over = asyncio.Event()

            def end(ending):
                told.append((loop.time(), i, ending))
                over.set()

            with drain.session(end):
                await over.wait()

        sessions = [asyncio.create_task(one(i)) for i in range(clients)]
        await asyncio.sleep(0)
        began = loop.time()
        await drain.run(5)
        await asyncio.gather(*sessions)
        assert {ending for _, _, ending in told} == {RESTART}
        assert [i for _, i, _ in told] != list(range(clients))
        return [at - began for at, _, _ in told]

    slow = asyncio.run(run(50, 10.0))
    assert 0.3 < slow[-1] < 1.5
    fast = asyncio.run(run(500, 0.2))
    assert 0.1 < fast[-1] < 1.0
    assert Drain(spread_s=60).spread_s == 10.0


def test_who_comes_while_it_leaves_is_sent_away():
    """
    A session that begins during the goodbyes ends at once.
    """

    async def run():
        drain, told = Drain(), []
        await drain.run(1)
        with drain.session(told.append):
            assert told == [RESTART]

    asyncio.run(run())


def test_leaving_is_bounded(monkeypatch):
    """
    A client that never answers the goodbye does not keep the server from ending.
    """
    monkeypatch.setattr(transport, "_SESSIONS_END_WITHIN_S", 0.3)
    monkeypatch.setattr(transport, "CLOSE_WITHIN_S", 0.5)

    async def scenario(server, created):
        async with a_peer(server.address, ws_path(created), receive_bytes=4096) as peer:
            await server.publish(created["stream_id"], *((T + i, 1000) for i in range(20)))
            await server.metrics_when(created, lambda found: found["clients"] == 1)
            server.task.cancel()
            await asyncio.wait([server.task], timeout=12)
            assert server.task.done()
            peer.writer.transport.abort()

    on_a_server(monkeypatch, scenario, drain_s=0.1)


def test_a_message_after_another_is_no_flood(monkeypatch):
    """
    Twenty messages a second are allowed, and pings are no messages.
    """

    async def scenario(server, created):
        async with a_peer(server.address, ws_path(created)) as peer:
            for _ in range(15):
                peer.send(TEXT, b"x")
                peer.send(PING, b"y")
            await server.publish(created["stream_id"], (T, 1))
            assert (await peer.record())["id"] == f"{T}-0"

    on_a_server(monkeypatch, scenario)


def test_a_pipelined_request_waits_for_its_turn(monkeypatch):
    """
    Behind an endless response nothing is mixed into it.
    """

    async def scenario(server, created):
        reader, writer = await connected(server.address)
        path = f"/v1/streams/{created['stream_id']}/events?token={created['access_token']}"
        for one in (path, "/health/live"):
            writer.write(f"GET {one} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" in head
        assert b"retry" in await reader.readuntil(b"\n\n\r\n")
        await server.publish(created["stream_id"], (T, 1))
        size = int(await reader.readline(), 16)
        event = await reader.readexactly(size)
        assert event.startswith(b"id: ")
        assert json.loads(event.split(b"data: ")[1])["id"] == f"{T}-0"
        await server.http.delete(f"/v1/streams/{created['stream_id']}")
        rest = await reader.readuntil(b'"ok"}')
        assert b"stream_deleted" in rest.split(b"0\r\n\r\n")[0]
        writer.close()

    on_a_server(monkeypatch, scenario)


def test_http_1_0_gets_its_events_too(monkeypatch):
    """
    Whatever the version, what is written directly is framed as the head has announced it.
    """

    async def scenario(server, created):
        async with httpx.AsyncClient(trust_env=False):
            reader, writer = await connected(server.address)
            path = f"/v1/streams/{created['stream_id']}/events?token={created['access_token']}"
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"chunked" in head
            assert int(await reader.readline(), 16) > 0
            writer.close()

    on_a_server(monkeypatch, scenario)
