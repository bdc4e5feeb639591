"""Case 30: who wants other windows asks for another stream, and the one that runs goes on."""

from __future__ import annotations

from bond_core.clock import settle
from bond_core.model.event import Trade
from bond_core.spec.canonical import stream_id
from tests.core.runtime.puppets import bound, play

BTC = "BTC/USDT"


def a_spec(seconds):
    """A stream of one venue with windows of one length."""
    return {
        "sources": [{"type": "puppet", "exchanges": ["alpha"]}],
        "symbols": [BTC],
        "interval_sec": seconds,
        "fields": ["trades"],
    }


def test_case_30_another_timeframe_is_another_stream_and_both_have_whole_windows():
    """
    A spec never changes under a running stream: another timeframe has another id. The new one's
    windows are on the same grid, the one it begins in is partial; the old one finishes its own,
    whole, for as long as it is kept, and what is open when it ends is sent as partial.
    """
    ids = [stream_id("local", bound(a_spec(seconds)).spec) for seconds in (2, 5)]
    assert ids[0] != ids[1]

    async def story(world):
        async def trade(seconds):
            for _ in range(round(seconds * 2)):
                await world.clock.advance(0.5)
                trade = Trade(symbol=BTC, ts=world.clock.now_ns() - 1, price=1.0, size=1.0)
                world.emit("alpha", "trades", trade)
                await settle()

        async with world.stream(a_spec(2), "old") as old:
            await trade(7)
            async with world.stream(a_spec(5), "new"):
                await trade(4)
                old_ones = await world.records("old")
                await trade(8)
            before = len(await world.records("old"))
        await old.flush()

        assert [r["partial"] for r in old_ones] == [False] * len(old_ones)
        assert [r["trades"] for r in old_ones] == [4] * len(old_ones)
        *whole, last = await world.records("old")
        assert len(whole) == before
        assert {(r["trades"], r["partial"]) for r in whole} == {(4, False)}
        assert last["partial"]
        new_ones = await world.records("new")
        assert [(r["trades"], r["partial"]) for r in new_ones] == [(6, True), (10, False)]
        assert new_ones[1]["window_start"] == new_ones[0]["window_end"]
        assert all(r["window_start"].endswith((":05Z", ":10Z")) for r in new_ones)

    play(story, at_s=0)
