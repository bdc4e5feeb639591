from __future__ import annotations

import asyncio
import time

import pytest

import ekko.websocket
from ekko.drops import Dropped
from ekko.websocket import dial


def test_a_ping_is_a_sign_of_life(bond):
    """A connection on which only pings arrive has been heard from just now."""

    async def run():
        async with bond.running():
            await bond.client().create_stream("BTC price")
            token = next(iter(bond.tokens))
            url = f"{bond.url.replace('http', 'ws')}/ws/{bond.stream_id}?token={token}"
            async with dial(url) as connection:
                await asyncio.sleep(0.2)
                quiet_s = connection.quiet_s()
                await bond.sockets[0].ping()
                for _ in range(400):
                    if connection.quiet_s() < quiet_s:
                        break
                    await asyncio.sleep(0.005)
                return quiet_s, connection.quiet_s()

    before_s, after_s = asyncio.run(run())

    assert before_s >= 0.2
    assert after_s < before_s


def test_a_busy_connection_is_left_at_once(bond, kit, monkeypatch):
    """Frames that nobody takes any more don't hold the goodbye up."""
    monkeypatch.setattr(ekko.websocket, "_CLOSE_TIMEOUT_S", 60.0)
    bond.records = [kit.a_record(1000 * n) for n in range(1, 1001)]

    async def run():
        async with bond.running():
            events = bond.client().subscribe(bond.stream_id, from_="now-60s")
            await anext(events)
            await asyncio.sleep(0.05)  # more arrives than the client keeps in store
            started = time.monotonic()
            await events.aclose()
            return time.monotonic() - started

    assert asyncio.run(run()) < 20


def test_a_record_larger_than_any_is_refused_for_good(bond, kit, monkeypatch):
    """A frame beyond the limit ends the subscription instead of coming again and again."""
    monkeypatch.setattr(ekko.websocket, "_LARGEST_RECORD", 2000)
    bond.records = [kit.a_record(1000), kit.a_record(2000, text="x" * 3000)]

    async def run():
        async with bond.running():
            async for _ in bond.client().subscribe(bond.stream_id, from_="now-60s"):
                pass

    with pytest.raises(ekko.StreamRefusedError, match="1009") as caught:
        asyncio.run(run())

    assert caught.value.last_id == "1000-0"
    assert len(bond.connections) == 1


def test_a_refused_handshake_tells_its_status(bond, unused_port):
    """HTTP's answer to a WebSocket, or the network's, comes out as a drop without the token."""

    async def run():
        async with bond.running():
            nowhere = f"{bond.url.replace('http', 'ws')}/nowhere?token=17.secret"
            await dial(nowhere).__aenter__()

    with pytest.raises(Dropped) as caught:
        asyncio.run(run())
    assert caught.value.status == 404

    async def run_without_a_server():
        async with dial(f"ws://127.0.0.1:{unused_port}/ws/s?token=17.secret"):
            pass

    with pytest.raises(Dropped) as caught:
        asyncio.run(run_without_a_server())
    assert (caught.value.status, caught.value.code) == (None, None)
    assert "secret" not in str(caught.value)
