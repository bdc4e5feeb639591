"""The subprotocol `bond.v1.json`: hello, ev, gap, hb, bye."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from bond_core.clock import NS, ManualClock
from bond_core.log.event_log import Retention
from bond_core.log.offset import Offset
from bond_server.error_catalogue.catalogue import CATALOGUE
from tests.server.journal import Got, Written, check
from tests.server.peers import a_peer, ws_path
from tests.server.running import record, serving

NOW_S = 1_761_053_400
T = NOW_S * 1000
HEADERS = "Sec-WebSocket-Protocol: nonsense, bond.v1.json\r\n"

pytestmark = pytest.mark.usefixtures("delivery")


def on_a_server(monkeypatch, scenario, **options):
    """Create a stream on a server, and run `scenario(server, created)`."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, **options) as server:
            await scenario(server, await server.create())

    asyncio.run(run())


def listening(server, created, **query):
    """Return a connection that asks for envelopes."""
    wanted = server.socket(created, **query)
    return connect(wanted.uri, proxy=None, subprotocols=["bond.v1.json"])


async def said(socket):
    """Return the next envelope."""
    async with asyncio.timeout(20):
        return json.loads(await socket.recv())


def test_records_come_in_envelopes_behind_a_hello(monkeypatch):
    """
    The subprotocol is chosen among those offered; the hello says where the log stands.
    """

    async def scenario(server, created):
        old = await server.publish(created["stream_id"], (T, 2))
        async with listening(server, created, after=old[0]) as socket:
            assert socket.subprotocol == "bond.v1.json"
            hello = await said(socket)
            assert hello.pop("epoch") == socket.response.headers["Bond-Epoch"]
            assert hello == {
                "t": "hello", "stream": created["stream_id"], "oldest": old[0], "top": old[1],
                "recovered": True,
            }  # fmt: skip
            assert await said(socket) == {
                "t": "ev", "id": old[1], "d": json.loads(record(T, 1))
            }  # fmt: skip
            await server.publish(created["stream_id"], (T + 1000, 1))
            assert (await said(socket))["id"] == f"{T + 1000}-0"

    on_a_server(monkeypatch, scenario)


def test_before_the_first_record_there_is_no_oldest(monkeypatch):
    """
    An empty log has no oldest id, and its top is the start.
    """

    async def scenario(server, created):
        async with listening(server, created) as socket:
            hello = await said(socket)
            assert (hello["oldest"], hello["top"], hello["recovered"]) == (None, "0-0", True)

    on_a_server(monkeypatch, scenario)


def test_a_log_that_began_anew_is_told(monkeypatch):
    """
    Who resumes from another life of the log gets a gap with reason `epoch`, and no id again.
    """

    async def scenario(server, created):
        ids = await server.publish(created["stream_id"], *((T + i * 1000, 1) for i in range(4)))
        async with listening(server, created, after=ids[1], epoch="another") as socket:
            assert socket.response.headers["Bond-Replay"] == "truncated"
            assert (await said(socket))["recovered"] is False
            assert await said(socket) == {
                "t": "gap", "from": ids[1], "to": ids[2], "reason": "epoch", "n": None
            }  # fmt: skip
            assert [(await said(socket))["id"] for _ in range(2)] == ids[2:]
            epoch = socket.response.headers["Bond-Epoch"]
        async with listening(server, created, after=ids[3], epoch=epoch) as socket:
            assert (await said(socket))["recovered"] is True

    on_a_server(monkeypatch, scenario)


def test_a_heartbeat_every_15_seconds(monkeypatch):
    """
    A quiet stream shows that it lives, and where it stands.
    """
    clock = ManualClock(NOW_S * NS)

    async def scenario(server, created):
        await server.publish(created["stream_id"], (T, 1))
        async with listening(server, created) as socket:
            assert (await said(socket))["t"] == "hello"
            for beat in (1, 2):
                await clock.advance(15)
                assert await said(socket) == {
                    "t": "hb", "top": f"{T}-0", "now": T + beat * 15_000
                }  # fmt: skip

    on_a_server(monkeypatch, scenario, clock=clock)


@pytest.mark.parametrize(
    ("what", "code", "retry_ms"),
    [
        ("delete", 4404, None),
        ("end", 1000, None),
        ("expire", 1008, None),
        ("leave", 1012, [0, 5000]),
    ],
)
def test_a_bye_stands_before_the_close(monkeypatch, what, code, retry_ms):
    """
    It says the code, and when to come back.
    """
    clock = ManualClock(NOW_S * NS)

    async def scenario(server, created):
        async with listening(server, created) as socket:
            assert (await said(socket))["t"] == "hello"
            if what == "delete":
                await server.http.delete(f"/v1/streams/{created['stream_id']}")
            elif what == "end":
                await server.bond.complete(server.bond.find(created["stream_id"]))
            elif what == "expire":
                await clock.advance(91)
            else:
                server.task.cancel()
            envelope = await said(socket)
            while envelope["t"] == "hb":
                envelope = await said(socket)
            reason = envelope["reason"]
            assert envelope == {
                "t": "bye", "code": code, "reason": reason, "retry_ms": retry_ms,
                "docs": f"/v1/errors/{reason}",
            }  # fmt: skip
            assert CATALOGUE[reason].close == code
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd.code == code

    on_a_server(monkeypatch, scenario, clock=clock, token_ttl_s=60)


def test_what_a_conflating_client_misses_is_told(monkeypatch):
    """
    Every hole that skipping makes stands in a gap with reason `slow`, and nothing else is missing.
    """

    async def scenario(server, created):
        written, got = Written(created["stream_id"]), Got()
        path = ws_path(created, slow="conflate")
        async with a_peer(server.address, path, receive_bytes=4096, headers=HEADERS) as peer:
            for i in range(100):
                await written.write(server, T + i, 2, 100_000)
                await asyncio.sleep(0)
            while got.last != f"{T + 99}-1":
                text = await peer.text()
                envelope = json.loads(text)
                if envelope["t"] == "gap":
                    assert envelope["reason"] == "slow"
                    got.gaps.append((envelope["from"], envelope["to"]))
                elif envelope["t"] == "ev":
                    got.take(text.partition(b'"d":')[2][:-1])
        assert got.gaps
        assert len(got.records) < 200
        check(written, [got])

    on_a_server(monkeypatch, scenario, retention=Retention(seconds=60))


def test_without_the_subprotocol_there_are_only_records(monkeypatch):
    """
    No subprotocol, or one we don't know: plain frames, and none chosen.
    """

    async def scenario(server, created):
        path = ws_path(created)
        async with a_peer(
            server.address, path, headers="Sec-WebSocket-Protocol: nonsense\r\n"
        ) as peer:
            assert "sec-websocket-protocol" not in peer.head.lower()
            await server.bond.log.append(created["stream_id"], [(Offset(T, 0), record(T, 0))])
            assert await peer.text() == record(T, 0)

    on_a_server(monkeypatch, scenario)
