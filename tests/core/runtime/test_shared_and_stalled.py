"""Streams that share feeds, and a process that doesn't get to run."""

from __future__ import annotations

import asyncio

import pytest

from bond_core.clock import NS, settle
from bond_core.model.event import Trade
from tests.core.runtime.puppets import Puppet, play

BTC = "BTC/USDT"
SPEC = {
    "sources": [{"type": "puppet", "exchanges": ["alpha"]}],
    "symbols": [BTC],
    "interval_sec": 5,
    "fields": ["price_close", "trades"],
}


def _trade(ts_ns, n=0):
    return Trade(symbol=BTC, ts=ts_ns, price=100.0, size=1.0, id=f"{ts_ns}-{n}")


def test_a_stream_has_heard_nothing_before_it_began():
    """
    The feed was live before, for another stream; this one's first window is heard in part.
    """

    async def story(world):
        async with world.stream(SPEC, "first"):
            await world.clock.advance(13.0)
            async with world.stream(SPEC, "second"):
                await world.clock.advance(14.0)
                first, second = (await world.records("second"))[:2]
        assert first["partial"]
        assert first["sources"]["alpha"]["coverage"] == 0.4
        assert second["sources"]["alpha"]["coverage"] == 1.0

    play(story)


def test_a_fallback_that_another_stream_hears_covers_only_what_it_served():
    """
    Beta is live all the time; in this stream it is heard from when it steps in.
    """

    async def story(world):
        other = {**SPEC, "sources": [{"type": "puppet", "exchanges": ["beta"]}]}
        fallback = {"type": "puppet", "exchanges": ["alpha"], "fallback": ["beta"]}
        async with world.stream(other, "other"), world.stream({**SPEC, "sources": [fallback]}):
            await world.clock.advance(11.0)
            Puppet.contexts["alpha"].failed("trades", BTC, "no")
            await settle()
            await world.clock.advance(8.0)
            last = (await world.records())[-1]
        assert last["sources"]["beta"]["coverage"] == 0.8
        assert last["sources"]["alpha"]["coverage"] == 0.2

    play(story)


def test_nobody_waits_for_the_sources_of_a_stream_that_broke(monkeypatch):
    """
    Who waits until all are heard is let go when a bug has ended the stream.
    """

    async def story(world):
        async with world.stream(SPEC) as stream:
            waits = SPEC["symbols"][0]
            stream.ears["alpha"].status[waits] = ("starting", None)
            settled = asyncio.create_task(stream.settled())
            await settle()
            assert not settled.done()
            monkeypatch.setattr(stream.engine, "on_events", lambda *_: 1 // 0)
            world.emit("alpha", "trades", _trade(world.clock.now_ns()))
            await settle()
            assert settled.done()
            settled.cancel()

    play(story)


@pytest.mark.parametrize("call", ["on_events", "on_heartbeat", "on_status", "on_gap"])
def test_a_bug_in_one_streams_windows_ends_that_stream_only(call, monkeypatch):
    """
    The connector, and the other stream that hears the same feed, never notice.
    """

    async def story(world):
        async with world.stream(SPEC, "broken") as broken, world.stream(SPEC, "sound") as sound:

            def breaks(*_):
                raise ZeroDivisionError("a bug")

            monkeypatch.setattr(broken.engine, call, breaks)
            ctx = Puppet.contexts["alpha"]
            now_ns = world.clock.now_ns()
            world.emit("alpha", "trades", _trade(now_ns))
            ctx.heartbeat("trades")
            ctx.gap("trades", BTC, from_ns=now_ns, to_ns=now_ns, detail="a hole")
            ctx.failed("trades", BTC, "no")
            await world.clock.advance(10.0)
            assert "ZeroDivisionError" in broken.failure
            assert sound.failure is None
            (first,) = [r for r in await world.records("sound") if r["trades"]]
            assert first["sources"]["alpha"]["gaps"] == 1

    play(story)


def test_case_15_what_waited_while_the_process_stood_still_is_not_late():
    """
    The process stands still for 4 s: what its sockets kept meanwhile is in its windows.
    """

    async def story(world):
        spec = {**SPEC, "interval_sec": 1}
        async with world.stream(spec) as stream:
            await world.clock.advance(2.0)
            waiting = [_trade(world.clock.now_ns() + n * NS // 10, n) for n in range(1, 40)]
            await world.clock.jump(4.0)  # who slept too long wakes before a socket is read
            for trade in waiting:
                world.emit("alpha", "trades", trade)
            await world.clock.advance(3.0)
            records = await world.records()
            assert stream.engine.totals["alpha"].late == 0
        assert sum(r["trades"] for r in records) == 39
        assert len(records) == 7

    play(story)


def test_after_standing_still_silence_counts_again():
    """
    Nothing waited: the windows close half a second later than otherwise, and none is missing.
    """

    async def story(world):
        async with world.stream({**SPEC, "interval_sec": 1}):
            for _ in range(5):
                await world.clock.jump(4.0)
                await world.clock.advance(0.6)
            records = await world.records()
        assert [r["trades"] for r in records] == [0] * 21

    play(story)
