"""What goes wrong at a venue, and what the connector makes of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from bond_core.errors import Fatal, Retryable


def test_an_error_frame_is_told_and_not_swallowed(kit):
    """
    The reader of ccxt would die of Coinbase's error frame without a word; here it ends the run.
    """

    async def go():
        async with kit.Venue() as there:
            connector = kit.connect("coinbase", there, [kit.market("BTC-USD", "BTC/USD")])
            ctx = kit.Context([kit.Want("trades", "BTC/USD")])
            async with kit.running(connector, ctx) as task:
                await there.until_heard(1)
                await there.say({"type": "error", "message": "rate limit exceeded"})
                with pytest.raises(Retryable, match=r"coinbase .*rate limit exceeded"):
                    await asyncio.wait_for(asyncio.shield(task), 5)

    asyncio.run(go())


def coinbase_trade(number, price="91.5"):
    """Return a frame with one trade."""
    trade = {"trade_id": str(number), "product_id": "BTC-USD", "price": price, "size": "2",
             "side": "BUY", "time": "2026-01-01T00:00:00.000000Z"}  # fmt: skip
    return {"channel": "market_trades", "timestamp": trade["time"], "sequence_num": number,
            "events": [{"type": "update", "trades": [trade]}]}  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [{"channel": "subscriptions", "events": [{}]}, coinbase_trade(0, "NaN"),
     coinbase_trade(0, "Infinity"), '{"channel": "market_tra'],
    ids=["nonsense", "NaN", "Infinity", "cut short"],
)  # fmt: skip
def test_a_frame_that_cannot_be_read_is_told_and_the_next_is_heard(kit, bad):
    """
    It is left out and told as a gap; ccxt's reader, which would go deaf, reads on.
    """

    async def go():
        async with kit.Venue() as there:
            connector = kit.connect("coinbase", there, [kit.market("BTC-USD", "BTC/USD")])
            ctx = kit.Context([kit.Want("trades", "BTC/USD")])
            async with kit.running(connector, ctx):
                await there.until_heard(1)
                await there.say(coinbase_trade(1), bad, coinbase_trade(2))
                await ctx.until(lambda: len(ctx.events("trades")) == 2)
            return ctx

    ctx = asyncio.run(go())
    assert [trade.id for trade in ctx.events("trades")] == ["1", "2"]
    [(channel, symbol, detail)] = ctx.gaps
    assert (channel, symbol) == ("trades", None)
    assert "a frame of coinbase can't be read" in detail


def test_a_venue_that_sends_nothing_readable_is_given_up_for_now(kit):
    """
    After many such frames in a row the run ends, to be tried again later.
    """

    async def go():
        async with kit.Venue() as there:
            connector = kit.connect("coinbase", there, [kit.market("BTC-USD", "BTC/USD")])
            ctx = kit.Context([kit.Want("trades", "BTC/USD")])
            async with kit.running(connector, ctx) as task:
                await there.until_heard(1)
                await there.say(*[coinbase_trade(0, "NaN")] * 20)
                with pytest.raises(Retryable, match="20 frames in a row"):
                    await asyncio.wait_for(asyncio.shield(task), 5)

    asyncio.run(go())


def test_a_dropped_connection_is_retryable_and_the_same_object_runs_again(kit):
    """
    A lost connection raises Retryable, and running again subscribes anew without REST calls.
    """

    async def go():
        async with kit.Venue() as there:
            connector = kit.connect("okx", there, [kit.market("BTC-USDT", "BTC/USDT")])
            ctx = kit.Context([kit.Want("trades", "BTC/USDT")])
            async with kit.running(connector, ctx) as task:
                await there.until_heard(1)
                there.sockets[0][1].abort()
                with pytest.raises(Retryable, match="okx can't be reached"):
                    await asyncio.wait_for(asyncio.shield(task), 5)
            async with kit.running(connector, ctx):
                assert await there.until_heard(2) == there.heard[0]

    asyncio.run(go())


def test_a_venue_that_hangs_does_not_hold_the_connector(kit):
    """
    Cancelling takes less than a second though the venue answers no closing frame.
    """

    async def go():
        async with kit.Venue(mute=True) as there:
            connector = kit.connect("okx", there, [kit.market("BTC-USDT", "BTC/USDT")])
            ctx = kit.Context([kit.Want("trades", "BTC/USDT"), kit.Want("quotes", "BTC/USDT")])
            async with kit.running(connector, ctx):
                await there.until_heard(1)

    asyncio.run(go())


@pytest.mark.parametrize("status", [403, 451])
def test_a_venue_that_refuses_the_place_is_fatal(kit, status):
    """
    A WebSocket refused with 403 or 451 is not tried again, and the error says what to do.
    """

    async def go():
        async with kit.Venue(refuse=status) as there:
            connector = kit.connect("okx", there, [kit.market("BTC-USDT", "BTC/USDT")])
            ctx = kit.Context([kit.Want("trades", "BTC/USDT")])
            async with kit.running(connector, ctx) as task:
                with pytest.raises(Fatal, match="okx refuses connections from here") as caught:
                    await asyncio.wait_for(asyncio.shield(task), 5)
            assert "kraken" in caught.value.fix

    asyncio.run(go())


def test_a_venue_that_is_down_is_retryable(kit):
    """
    A WebSocket refused with 503 is worth another try.
    """

    async def go():
        async with kit.Venue(refuse=503) as there:
            connector = kit.connect("okx", there, [kit.market("BTC-USDT", "BTC/USDT")])
            ctx = kit.Context([kit.Want("trades", "BTC/USDT")])
            async with kit.running(connector, ctx) as task:
                with pytest.raises(Retryable):
                    await asyncio.wait_for(asyncio.shield(task), 5)

    asyncio.run(go())


def test_a_venue_that_never_answers_the_dial(kit):
    """
    Cancelling takes less than a second though the WebSocket's handshake hangs.
    """

    async def go():
        reached = asyncio.Event()

        async def answer(reader, writer):
            reached.set()
            await reader.read()  # until the client goes
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            there = SimpleNamespace(port=server.sockets[0].getsockname()[1])
            connector = kit.connect("okx", there, [kit.market("BTC-USDT", "BTC/USDT")])
            ctx = kit.Context([kit.Want("trades", "BTC/USDT")])
            async with kit.running(connector, ctx):
                await asyncio.wait_for(reached.wait(), 10)

    asyncio.run(go())
