"""Today's recorded frames, through ccxt.pro's own handlers, against the values in the file."""

from __future__ import annotations

import asyncio

import pytest

QUOTES = [
    ("binance", "watchBidsAsks spot", "BTCUSDT", "BTC/USDT",
     lambda m: (m["b"], m["a"], m["B"], m["A"])),
    ("okx", "watchTicker spot", "BTC-USDT", "BTC/USDT",
     lambda m: tuple(m["data"][0][k] for k in ("bidPx", "askPx", "bidSz", "askSz"))),
    ("bybit", "watchBidsAsks spot", "BTCUSDT", "BTC/USDT",
     lambda m: (m["data"]["b"][0][0], m["data"]["a"][0][0], m["data"]["b"][0][1],
                m["data"]["a"][0][1])),
    ("kraken", "watchTicker spot (v2)", "XXBTZUSD", "BTC/USD",
     lambda m: tuple(m["data"][0][k] for k in ("bid", "ask", "bid_qty", "ask_qty"))),
    ("coinbase", "watchTicker spot (Advanced Trade)", "BTC-USD", "BTC/USD",
     lambda m: tuple(m["events"][0]["tickers"][0][k] for k in
                     ("best_bid", "best_ask", "best_bid_quantity", "best_ask_quantity"))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("venue", "case", "id", "symbol", "values"), QUOTES, ids=[case[0] for case in QUOTES]
)
def test_todays_quotes(kit, frames_2026, venue, case, id, symbol, values):
    """
    Each recorded quote becomes an event with exactly the recorded bid, ask and sizes.
    """
    messages = frames_2026[venue, case]["messages"]
    expected = []
    for message in messages:
        try:
            expected.append(tuple(float(value) for value in values(message)))
        except (KeyError, IndexError, TypeError):
            continue  # a confirmation, a status, a heartbeat
    assert expected

    async def go():
        async with kit.Venue() as there:
            connector = kit.connect(venue, there, [kit.market(id, symbol)])
            ctx = kit.Context([kit.Want("quotes", symbol)])
            async with kit.running(connector, ctx):
                await there.until_heard(1)
                await there.say(*messages)
                await ctx.until(lambda: len(ctx.events("quotes")) >= len(expected))
            return ctx

    ctx = asyncio.run(go())
    quotes = ctx.events("quotes")
    assert [(q.bid, q.ask, q.bid_size, q.ask_size) for q in quotes] == expected
    assert ctx.lives == [("quotes", symbol)]
    assert all(quote.ts > 1_700_000_000_000_000_000 for quote in quotes)


@pytest.mark.parametrize(
    ("venue", "case", "id", "symbol", "rows"),
    [
        ("okx", "watchTrades spot", "BTC-USDT", "BTC/USDT",
         lambda m: [(t["tradeId"], t["px"], t["sz"]) for t in m.get("data", ())]),
        ("coinbase", "watchTrades spot (Advanced Trade)", "BTC-USD", "BTC/USD",
         lambda m: [(t["trade_id"], t["price"], t["size"])
                    for e in m["events"] for t in reversed(e.get("trades", ()))]),
    ],
    ids=["okx", "coinbase"],
)  # fmt: skip
def test_todays_trades(kit, frames_2026, venue, case, id, symbol, rows):
    """
    Each recorded trade becomes an event with exactly the recorded id, price and size.
    """
    messages = frames_2026[venue, case]["messages"]
    expected = [(i, float(p), float(s)) for m in messages for i, p, s in rows(m)]
    assert expected

    async def go():
        async with kit.Venue() as there:
            connector = kit.connect(venue, there, [kit.market(id, symbol)])
            ctx = kit.Context([kit.Want("trades", symbol)])
            async with kit.running(connector, ctx):
                await there.until_heard(1)
                await there.say(*messages)
                await ctx.until(lambda: len(ctx.events("trades")) >= len(expected))
            return ctx

    ctx = asyncio.run(go())
    assert [(t.id, t.price, t.size) for t in ctx.events("trades")] == expected
