"""Every kind of source, from the spec to the record's JSON."""

from __future__ import annotations

import pytest

from bond_core.clock import NS
from bond_core.errors import RequestError, Retryable
from bond_core.model.event import Chain, Post, Quote, Trade
from tests.core.runtime.puppets import Puppet, SampledPuppet, bound, play

BTC, ETH = "BTC/USDT", "ETH/USDT"


def _spec(*sources, symbols=(BTC,), **more):
    return {
        "sources": [{"type": s} if isinstance(s, str) else s for s in sources],
        "symbols": list(symbols),
        "interval_sec": 1,
        **more,
    }


def _market(*exchanges, **more):
    return {"type": "puppet", "exchanges": list(exchanges), **more}


def _trade(world, symbol=BTC, price=100.0, **more):
    return Trade(symbol=symbol, ts=world.clock.now_ns(), price=price, size=1.0, **more)


def test_posts_count_for_every_market_of_their_asset_when_they_are_heard():
    """
    A post of an hour ago counts now, in each record of its asset, and holds nothing back.
    """

    async def story(world):
        spec = _spec(_market("alpha"), "posts", symbols=(BTC, "BTC/USD", ETH))
        async with world.stream(spec):
            old = world.clock.now_ns() - 3600 * NS
            world.emit("posts", "posts", Post(symbol="BTC", ts=old, text="up", id="1"))
            world.emit("posts", "posts", Post(symbol="BTC", ts=old, text="up", id="1"))
            await world.clock.advance(1.2)
            world.emit("alpha", "trades", _trade(world), _trade(world, "BTC/USD"),
                       _trade(world, ETH))  # fmt: skip
            await world.clock.advance(3)
            first = [r for r in await world.records() if r["window_end"].endswith(":01Z")]
        assert {r["symbol"]: r["tweets"] for r in first} == {BTC: 1, "BTC/USD": 1, ETH: 0}
        btc = first[0]["sources"]["posts"]
        assert (btc["count"], btc["duplicates"], btc["late"], btc["coverage"]) == (1, 1, 0, 1.0)
        assert first[0]["raw_data"]["sources"] == []

    play(story)


def test_a_source_without_symbols_is_repeated_and_its_gap_counted_once():
    """
    Its values and its report are the same in each symbol's record, with `scope`.
    """

    async def story(world):
        async with world.stream(_spec(_market("alpha"), "chain", symbols=(BTC, ETH))) as stream:
            event = Chain(symbol="", ts=world.clock.now_ns(), chain="solana", type="tx")
            world.emit("chain", "blocks", event)
            now_ns = world.clock.now_ns()
            Puppet.contexts["chain"].gap(
                "blocks", None, from_ns=now_ns, to_ns=now_ns, detail="a hole"
            )
            await world.clock.advance(5)
            first = (await world.records())[:2]
            assert stream.engine.totals["chain"].gaps == 1
        assert [r["symbol"] for r in first] == [BTC, ETH]
        for record in first:
            assert record["onchain_count"] == 1
            report = record["sources"]["chain"]
            assert (report["scope"], report["count"], report["gaps"]) == ("stream", 1, 1)
            assert [n["code"] for n in record["notices"]] == ["gap"]

    play(story)


def test_a_polled_source_samples_prices_and_is_waited_for():
    """
    Windows close with each poll; what it can't know is null; after three missed polls it is stale.
    """

    async def story(world):
        SampledPuppet.answer = lambda ctx: [
            Quote(symbol=BTC, ts=ctx.clock.now_ns(), bid=99.0, ask=101.0)
        ]
        async with world.stream(_spec({"type": "sampled", "interval_sec": 2})):
            await world.clock.advance(1.9)
            assert await world.records() == []
            await world.clock.advance(0.2)
            first, second = await world.records()
            assert (first["price_close"], first["bid_avg"]) == (100.0, 99.0)
            assert (first["trades"], first["volume_sum"]) == (None, None)
            assert (second["price_close"], second["sources"]["sampled"]["count"]) == (None, 0)

            def away(_):
                raise Retryable("away")

            SampledPuppet.answer = away
            await world.clock.advance(30)
            last = (await world.records())[-1]
            assert last["sources"]["sampled"]["status"] in ("stale", "reconnecting")
            assert last["sources"]["sampled"]["count"] is None
            ends = [r["ts"] for r in await world.records()]
            assert len(ends) == len(set(ends)) >= 28

    play(story)


def test_prices_of_each_symbol_come_from_what_it_has():
    """
    One symbol has trades, another only samples: neither makes the other's prices unknown.
    """

    async def story(world):
        SampledPuppet.answer = lambda ctx: [
            Quote(symbol=ETH, ts=ctx.clock.now_ns(), bid=9.0, ask=11.0)
        ]
        spec = _spec(
            _market("alpha", symbols=[BTC]), {"type": "sampled", "symbols": [ETH]},
            symbols=(BTC, ETH),
        )  # fmt: skip
        async with world.stream(spec):
            world.emit("alpha", "trades", _trade(world))
            await world.clock.advance(7)
            btc, eth = (await world.records())[:2]
        assert (btc["price_close"], btc["trades"]) == (100.0, 1)
        assert (eth["price_close"], eth["trades"]) == (10.0, None)

    play(story)


def test_a_source_that_no_symbol_is_for_is_refused():
    """
    It would be listened to by nobody and say nothing: that is told, not left out.
    """
    with pytest.raises(RequestError) as caught:
        bound(_spec(_market("alpha"), "posts", symbols=("AAPL",)))

    (problem,) = caught.value.problems
    assert problem.pointer == "/spec/sources/0/symbols"
    assert "puppet" in problem.detail


def test_one_of_two_venues_down_makes_only_its_own_count_unknown():
    """
    The sum is what the other brought; null is for when nobody was heard.
    """

    async def story(world):
        async with world.stream(_spec(_market("alpha", "beta"))):
            await world.clock.advance(1)
            world.emit("beta", "trades", _trade(world, id="b"))
            Puppet.contexts["alpha"].failed("trades", BTC, "no")
            await world.clock.advance(8)
            records = [r for r in await world.records() if r["sources"]["alpha"]["coverage"] == 0]
        assert records[0]["trades"] == 1
        assert records[0]["sources"]["alpha"]["count"] is None
        assert records[0]["sources"]["beta"]["count"] == 1
        assert records[0]["bid_avg"] is None
        assert records[0]["sources"]["alpha.quotes"]["count"] == 0

    play(story)


def test_a_stalled_venue_is_told_once_in_each_symbols_record():
    """
    With many symbols, a record doesn't repeat the same notice for all the others.
    """

    async def story(world):
        symbols = [f"A{n}/USDT" for n in range(40)]
        async with world.stream(
            _spec(_market("alpha", stale_sec=5), symbols=symbols, fields=["trades"])
        ):
            world.emit("alpha", "trades", *(_trade(world, s) for s in symbols))
            await world.clock.advance(9)
            told = [r["notices"] for r in await world.records() if r["notices"]]
        assert len(told) == 40
        assert all([n["code"] for n in notices] == ["stale"] for notices in told)

    play(story)


def test_what_was_rejected_is_told_to_its_symbol():
    """
    The records of another symbol say nothing of it.
    """

    async def story(world):
        async with world.stream(_spec(_market("alpha"), symbols=(BTC, ETH))):
            world.emit("alpha", "trades", _trade(world, price=-1.0))
            await world.clock.advance(5)
            btc, eth = (await world.records())[:2]
        assert [n["code"] for n in btc["notices"]] == ["rejected"]
        assert btc["sources"]["alpha"]["rejected"] == 1
        assert eth["notices"] == []

    play(story)


def test_a_symbol_that_a_venue_does_not_list_fails_there_alone():
    """
    The venue's other symbols are served; the reason stands in the records of that one.
    """

    async def story(world):
        Puppet.unlisted.add(("alpha", ETH))
        async with world.stream(_spec(_market("alpha"), symbols=(BTC, ETH))):
            await world.clock.advance(5)
            btc, eth = (await world.records())[-2:]
        assert btc["sources"]["alpha"]["status"] == "live"
        assert eth["sources"]["alpha"]["status"] == "failed"
        assert eth["sources"]["alpha"]["reason"] == "unlisted"
        assert (btc["trades"], eth["trades"]) == (0, None)

    play(story)
