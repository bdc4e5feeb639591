from __future__ import annotations

import asyncio
import gc

import pytest
from litestar._parsers import parse_query_string
from websockets.exceptions import ConnectionClosed

from bond_core.clock import NS, ManualClock
from bond_core.log.event_log import Retention
from bond_core.log.offset import Offset
from bond_server.delivery import hub, transport
from bond_server.routes import websocket
from tests.server.peers import a_peer, ws_path
from tests.server.running import closing, in_order, receive, record, serving

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


async def publish_large(server, created, ends, size=256 * 1024):
    """Append windows of one large record each."""
    for end_ms in ends:
        entry = (Offset(end_ms, 0), record(end_ms, 0, size=size))
        await server.bond.log.append(created["stream_id"], [entry])
        await asyncio.sleep(0)


@pytest.mark.usefixtures("delivery")
@pytest.mark.parametrize("slow", ["disconnect", "conflate"])
def test_a_client_that_reads_nothing_is_given_up(monkeypatch, slow):
    """
    After the time allowed it is cut, counted and gone; others notice nothing.
    """
    monkeypatch.setattr(hub, "STALLED_AFTER_S", 0.3)
    monkeypatch.setattr(transport, "CLOSE_WITHIN_S", 0.3)
    monkeypatch.setattr(websocket, "_CLOSE_WITHIN_S", 0.0)

    async def scenario(server, created):
        path = ws_path(created, slow=slow)
        async with (
            server.socket(created) as healthy,
            a_peer(server.address, path, receive_bytes=4096) as peer,
        ):
            for end_ms in range(T, T + 8_000, 1000):
                await publish_large(server, created, [end_ms])
                assert await receive(healthy, 1) == [f"{end_ms}-0"]
            await server.metrics_when(created, lambda m: m["slow_disconnects"] == 1)
            await server.metrics_when(created, lambda m: m["clients"] == 1)
            _, code = await peer.records_to_the_end()
            assert code in (4008, 1006)

    on_a_server(monkeypatch, scenario)


def test_a_slow_client_reads_why_behind_what_it_had(monkeypatch):
    """
    The goodbye stands behind the records that were on their way: whoever reads on gets both.
    """
    monkeypatch.setattr(hub, "STALLED_AFTER_S", 0.3)

    async def scenario(server, created):
        path = ws_path(created)
        async with a_peer(server.address, path, receive_bytes=4096) as peer:
            await publish_large(server, created, range(T, T + 8_000, 1000), size=20_000)
            await server.metrics_when(created, lambda m: m["slow_disconnects"] == 1)
            got, code = await peer.records_to_the_end()
            assert code == 4008
            assert [one["id"] for one in got] == [f"{T + i * 1000}-0" for i in range(len(got))]
            assert 0 < len(got) < 8

    on_a_server(monkeypatch, scenario)


def test_a_peer_that_answers_no_ping_is_gone(monkeypatch):
    """
    Also with its buffers full, where an ordinary close would wait for ever.
    """
    monkeypatch.setattr(transport, "PING_EVERY_S", 0.2)
    monkeypatch.setattr(transport, "PONG_WITHIN_S", 0.2)

    async def scenario(server, created):
        async with a_peer(server.address, ws_path(created)) as peer:
            await publish_large(server, created, range(T, T + 6_400, 100))
            metrics = await server.metrics_when(
                created, lambda found: found["delivered"] > 0 and found["clients"] == 0
            )
            assert metrics["slow_disconnects"] == 0
            await peer.records_to_the_end()

    on_a_server(monkeypatch, scenario)


@pytest.mark.usefixtures("delivery")
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


@pytest.mark.usefixtures("delivery")
def test_conflating_skips_to_the_newest_window(monkeypatch):
    """
    A slow client that asked for it gets the newest window whole, and what it missed is counted.
    """

    async def scenario(server, created):
        path = ws_path(created, slow="conflate")
        async with a_peer(server.address, path, receive_bytes=4096) as peer:
            wanted = []
            for i in range(100):
                window = [(Offset(T + i, n), record(T + i, n, size=100_000)) for n in range(2)]
                await server.bond.log.append(created["stream_id"], window)
                wanted += [f"{T + i}-{n}" for n in range(2)]
                await asyncio.sleep(0)
            got = []
            while wanted[-1] not in got:
                got.append((await peer.record())["id"])
        url = f"/v1/streams/{created['stream_id']}/metrics"
        metrics = (await server.http.get(url)).json()
        assert in_order(got) == sorted(set(in_order(got)))
        assert got[-2:] == wanted[-2:]
        assert metrics["conflated"] == metrics["dropped"] == len(wanted) - len(got) > 0

    on_a_server(monkeypatch, scenario)


@pytest.mark.usefixtures("delivery")
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


EACH_HAS_ONE = {
    "WebSocketProtocol",
    "ServerProtocol",
    "HttpProtocol",
    "DirectLine",
    "Client",
    "ScopeState",  # and the framework's own: by it hangs all that a connection brought
}


def kept_by_connections():
    """Return how many objects there are of which each connection has one."""
    return sum(type(each).__name__ in EACH_HAS_ONE for each in gc.get_objects())


@pytest.mark.parametrize("way", ["websocket", "refused", "sse", "rest"])
def test_a_connection_that_is_over_leaves_nothing_to_be_looked_for(monkeypatch, way):
    """
    What it had is let go at once: a server looks for garbage too seldom to wait for that.
    """

    async def come_and_go(server, created):
        if way == "websocket":
            async with server.socket(created, after="0-0") as socket:
                await socket.recv()
        elif way == "refused":
            async with server.socket(created | {"access_token": "none"}) as socket:
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
        elif way == "rest":
            assert (await server.http.get("/v1/streams")).status_code == 200
            assert (await server.http.get("/v1/streams/none")).status_code == 404
        else:
            query = {"token": created["access_token"], "after": "0-0"}
            path = f"/v1/streams/{created['stream_id']}/events"
            async with server.http.stream("GET", path, params=query) as answer:
                async for _ in answer.aiter_lines():
                    break

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch) as server:
            created = await server.create()
            await server.publish(created["stream_id"], (1_761_053_400_000, 1))
            await come_and_go(server, created)
            gc.collect()
            gc.disable()
            try:
                before = kept_by_connections()
                for _ in range(10):
                    await come_and_go(server, created)
                # Nobody tells that the last ones have been ended.
                while kept_by_connections() > before + 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            finally:
                gc.enable()

    asyncio.run(run())


def test_no_query_is_remembered(monkeypatch):
    """
    Tokens are in queries, and anybody may send any: the framework's cache of them stays empty.
    """

    async def scenario(server, created):
        remembered = parse_query_string.cache_info().currsize
        for n in range(3):
            async with server.socket(created, after=f"{n}-0"):
                pass
            async with server.socket(created | {"access_token": f"bad{n}"}) as socket:
                await closing(socket)
            for path in ("", f"/{created['stream_id']}/events", "/none"):
                query = {"token": f"none{n}", "from": str(n)}
                await server.http.get(f"/v1/streams{path}", params=query)
        assert parse_query_string.cache_info().currsize == remembered

    on_a_server(monkeypatch, scenario)
