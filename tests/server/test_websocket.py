from __future__ import annotations

import asyncio
import json
import random

import httpx
import pytest
from websockets.asyncio.client import connect

from bond_core.clock import NS, ManualClock
from bond_core.errors import LogUnavailableError
from bond_core.log.event_log import Retention
from bond_core.log.offset import START
from tests.server.running import closing, in_order, receive, serving

NOW_S = 1_761_053_400
T = NOW_S * 1000

pytestmark = pytest.mark.usefixtures("delivery")


def on_a_server(monkeypatch, scenario, **options):
    """Create a stream on a server, and run `scenario(server, created)`."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, **options) as server:
            await scenario(server, await server.create())

    asyncio.run(run())


def test_records_arrive_as_they_were_logged(monkeypatch):
    """
    A plain client gets each record as one text frame, byte for byte, and nothing else.
    """

    async def scenario(server, created):
        async with server.socket(created) as socket:
            await server.publish(created["stream_id"], (T, 2), (T + 1000, 1))
            frames = [await socket.recv() for _ in range(3)]
        page = await server.bond.log.read(created["stream_id"], START)
        assert frames == [entry.data.decode() for entry in page.entries]

    on_a_server(monkeypatch, scenario)


def test_killed_clients_resume_without_loss_or_repetition(monkeypatch):
    """
    A client that is killed at random and resumes 50 times gets every id once, in order.
    """
    chance = random.Random(7)

    async def scenario(server, created):
        wanted = await server.publish(created["stream_id"], (T, 1))
        got: list[str] = []

        async def write():
            for i in range(1, 401):
                window = (T + i * 100, chance.randint(1, 3))
                wanted.extend(await server.publish(created["stream_id"], window))
                await asyncio.sleep(0.001)

        writing = asyncio.create_task(write())
        for _ in range(50):
            query = {"after": got[-1]} if got else {"from": str(T)}
            socket = await server.socket(created, **query)
            got += await receive(socket, chance.randint(1, 6))
            socket.transport.abort()
        await writing
        async with server.socket(created, after=got[-1]) as socket:
            got += await receive(socket, len(wanted) - len(got))

        assert got == wanted
        assert in_order(got) == sorted(set(in_order(got)))

    on_a_server(monkeypatch, scenario)


def test_replay_flows_into_live(monkeypatch):
    """
    What was there comes first, then what is new, without a seam; and the headers say so.
    """

    async def scenario(server, created):
        old = await server.publish(created["stream_id"], (T, 2), (T + 1000, 2))
        async with server.socket(created, **{"from": "now-60s"}) as socket:
            new = await server.publish(created["stream_id"], (T + 2000, 2))
            assert await receive(socket, 6) == old + new
            headers = socket.response.headers
            assert headers["Bond-Replay"] == "full"
            assert (headers["Bond-Oldest-Id"], headers["Bond-Top-Id"]) == (old[0], old[-1])
            assert headers["Bond-Epoch"]

    on_a_server(monkeypatch, scenario, clock=ManualClock((NOW_S + 5) * NS))


def test_a_replay_that_was_trimmed_says_so(monkeypatch):
    """
    Asked for more than is kept, it starts with the oldest record and the header tells.
    """

    async def scenario(server, created):
        ids = await server.publish(created["stream_id"], *((T + i * 1000, 1) for i in range(5)))
        async with server.socket(created, after=ids[0]) as socket:
            assert socket.response.headers["Bond-Replay"] == "truncated"
            assert await receive(socket, 2) == ids[3:]
        async with server.socket(created) as socket:
            assert socket.response.headers["Bond-Replay"] == "none"

    on_a_server(monkeypatch, scenario, retention=Retention(seconds=0, windows=2))


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("1761053465.f1189e3ca7ce6df8", "token_invalid"),
        ("", "token_invalid"),
        ("x" * 3000, "token_invalid"),
        ("١٧٦١٠٥٣٤٦٥.f1189e3ca7ce6df8", "token_invalid"),
        ("\0\n", "token_invalid"),
    ],
    ids=["forged", "empty", "long", "digits of another script", "control characters"],
)
def test_a_bad_token_is_closed_with_1008_once_accepted(monkeypatch, token, reason):
    """
    The handshake succeeds, and the close code says what was wrong.
    """

    async def scenario(server, created):
        async with server.socket(created, token=token) as socket:
            assert socket.response.status_code == 101
            assert await closing(socket) == (1008, reason)

    on_a_server(monkeypatch, scenario)


def test_without_any_token_it_is_1008(monkeypatch):
    """
    A stream's address alone opens nothing, and an unknown stream looks the same.
    """

    async def scenario(server, created):
        for stream_id in (created["stream_id"], "0" * 16, "nonsense"):
            async with connect(f"ws://{server.address}/ws/{stream_id}", proxy=None) as socket:
                assert await closing(socket) == (1008, "token_invalid")

    on_a_server(monkeypatch, scenario)


def test_an_expired_token_is_1008(monkeypatch):
    """
    A token ends connections that it opened, and opens no more; a fresh one does.
    """
    clock = ManualClock(NOW_S * NS)

    async def scenario(server, created):
        async with server.socket(created) as socket:
            await clock.advance(60 + 30)
            await server.publish(created["stream_id"], (T, 1))
            assert await receive(socket, 1) == [f"{T}-0"]
            await clock.advance(1.1)
            assert await closing(socket) == (1008, "token_expired")
        async with server.socket(created) as socket:
            assert await closing(socket) == (1008, "token_expired")
        fresh = await server.create()
        async with server.socket(fresh, after="0-0") as socket:
            assert await receive(socket, 1) == [f"{T}-0"]

    on_a_server(monkeypatch, scenario, clock=clock, token_ttl_s=60)


def test_a_token_may_come_in_a_header(monkeypatch):
    """
    `Authorization: Bearer` keeps it out of the address.
    """

    async def scenario(server, created):
        url = f"ws://{server.address}/ws/{created['stream_id']}"
        headers = {"Authorization": f"Bearer {created['access_token']}"}
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            await server.publish(created["stream_id"], (T, 1))
            assert await receive(socket, 1) == [f"{T}-0"]

    on_a_server(monkeypatch, scenario)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"from": "yesterday"}, "bad_from"),
        ({"after": "1-2-3"}, "bad_from"),
        ({"after": "\0"}, "bad_from"),
        ({"slow": "maybe"}, "bad_slow"),
        ({"afer": "1-2"}, "bad_query"),
    ],
)
def test_a_start_that_is_none_is_1008(monkeypatch, query, reason):
    """
    What can't be read as a position is said, and not taken for live.
    """

    async def scenario(server, created):
        async with server.socket(created, **query) as socket:
            assert await closing(socket) == (1008, reason)

    on_a_server(monkeypatch, scenario)


def test_a_deleted_stream_is_4404(monkeypatch):
    """
    Its clients are told when it goes, and whoever comes later with a good token is, too.
    """

    async def scenario(server, created):
        async with server.socket(created) as one, server.socket(created) as other:
            await server.http.delete(f"/v1/streams/{created['stream_id']}")
            assert await closing(one) == (4404, "stream_deleted")
            assert await closing(other) == (4404, "stream_deleted")
        async with server.socket(created) as late:
            assert await closing(late) == (4404, "stream_deleted")

    on_a_server(monkeypatch, scenario)


def test_a_complete_stream_is_1000(monkeypatch):
    """
    At a stream's own end its clients get the rest, and a normal close.
    """

    async def scenario(server, created):
        await server.publish(created["stream_id"], (T, 2))
        async with server.socket(created, after="0-0") as socket:
            await server.bond.complete(server.bond.find(created["stream_id"]))
            assert await receive(socket, 2) == [f"{T}-0", f"{T}-1"]
            assert await closing(socket) == (1000, "complete")

    on_a_server(monkeypatch, scenario)


def test_a_restart_is_1012(monkeypatch):
    """
    A server that ends tells its clients to come back, and is gone soon.
    """

    async def scenario(server, created):
        async with server.socket(created) as socket:
            server.task.cancel()
            assert await closing(socket) == (1012, "restart")
        await asyncio.wait([server.task], timeout=5)
        assert server.task.done()

    on_a_server(monkeypatch, scenario)


def test_a_fault_of_ours_is_1011(monkeypatch, caplog):
    """
    What nobody foresaw closes with 1011, and the log says what it was.
    """

    async def scenario(server, created):
        def fail(*_):
            raise ValueError("nobody foresaw it")

        monkeypatch.setattr(server.bond, "cursor", fail)
        async with server.socket(created) as socket:
            assert await closing(socket) == (1011, "internal")
        assert "nobody foresaw it" in caplog.text
        assert created["access_token"] not in caplog.text

    on_a_server(monkeypatch, scenario)


def test_a_log_that_does_not_answer_is_1013(monkeypatch, caplog):
    """
    Nothing is wrong with the client or its token, nor with the server: it is to come back later.
    """

    async def scenario(server, created):
        async def read(*_):
            raise LogUnavailableError("the log does not answer")

        monkeypatch.setattr(server.bond.log, "read", read)
        async with server.socket(created, after="0-0") as socket:
            assert await closing(socket) == (1013, "unavailable")
        assert "Traceback" not in caplog.text

    on_a_server(monkeypatch, scenario)


def test_the_ws_address_given_out_works_as_it_is(monkeypatch):
    """
    What the create call returns can be pasted into any WebSocket client.
    """

    async def scenario(server, created):
        async with connect(created["ws_url"], proxy=None) as socket:
            await server.publish(created["stream_id"], (T, 1))
            assert json.loads(await socket.recv())["id"] == f"{T}-0"
        assert httpx.URL(created["ws_url"]).params["token"] == created["access_token"]

    on_a_server(monkeypatch, scenario)
