"""Each of the six venues' formats, through ccxt.pro's own handlers, over a real socket."""

from __future__ import annotations

import asyncio

import pytest

T0 = 1_786_538_760_218  # ms


def _binance_trade(n):
    return {
        "e": "trade", "E": T0 + n + 1, "s": "BTCUSDT", "t": 9_000_000_000 + n,
        "p": "64040.20000000",
        "q": "0.00240000", "T": T0 + n, "m": n % 2 == 0, "M": True,
    }  # fmt: skip


def _okx_trade(n):
    data = {
        "instId": "BTC-USDT-SWAP", "tradeId": str(1_040_968_613 + n), "px": "64040.2", "sz": "3",
        "side": "buy", "ts": str(T0 + n), "count": "2", "source": "0",
    }  # fmt: skip
    return {"arg": {"channel": "trades", "instId": "BTC-USDT-SWAP"}, "data": [data]}


def _bybit_trades(ns):
    data = [
        {"i": f"20f43950-d8dd-5b31-9112-{n:012d}", "T": T0 + n, "p": "16578.50", "v": "0.001",
         "S": "Sell", "s": "BTCUSDT", "L": "PlusTick", "BT": False} for n in ns
    ]  # fmt: skip
    return {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": T0, "data": data}


def _coinbase_trades(ns):
    trades = [
        {"product_id": "BTC-USD", "trade_id": str(1_069_726_000 + n), "price": "63310.25",
         "size": "0.00000043", "time": f"2026-08-12T19:27:{n // 1000:02d}.{n % 1000:03d}655Z",
         "side": "BUY"} for n in reversed(ns)
    ]  # fmt: skip
    return {
        "channel": "market_trades", "timestamp": "2026-08-12T19:27:48.098821666Z",
        "sequence_num": 0, "events": [{"type": "update", "trades": trades}],
    }  # fmt: skip


def _exchange_trade(n):
    return {
        "type": "match", "trade_id": 82_047_307 + n, "maker_order_id": "0f35-1",
        "taker_order_id": "252b-2", "side": "sell", "size": "0.00513192", "price": "9314.78",
        "product_id": "BTC-USD", "sequence": 12_038_915_443 + n,
        "time": f"2020-01-31T20:03:{n // 1000:02d}.{n % 1000:03d}814Z",
    }  # fmt: skip


def _kraken_trades(ns, symbol="BTC/USD"):
    data = [
        {"symbol": symbol, "side": "sell", "price": 63297.7, "qty": 0.00159, "ord_type": "market",
         "trade_id": 4_665_906 + n,
         "timestamp": f"2026-08-12T19:29:{n // 1000:02d}.{n % 1000:03d}706Z"}
        for n in ns
    ]  # fmt: skip
    return {"channel": "trade", "type": "update", "data": data}


def _whole(ns):
    """Return 2,500 trades as the venue frames them: more than ccxt keeps."""
    return [ns(range(start, start + 50)) for start in range(0, 2500, 50)]


def _single(one):
    return [one(n) for n in range(2500)]


# venue, its id of the market, symbol, frames, how a trade is subscribed, and the first event
TRADES = [
    pytest.param(
        "binance", "BTCUSDT", "BTC/USDT", _single(_binance_trade), {},
        {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1},
        {"id": "9000000000", "seq": 9_000_000_000, "ts": T0 * 10**6, "price": 64040.2,
         "size": 0.0024, "side": "sell", "size_unit": None},
        id="binance",
    ),
    pytest.param(
        "okx", "BTC-USDT-SWAP", "BTC/USDT:USDT", _single(_okx_trade), {"contractSize": 0.1},
        {"op": "subscribe", "args": [{"channel": "trades", "instId": "BTC-USDT-SWAP"}]},
        {"id": "1040968613", "seq": 1_040_968_613, "ts": T0 * 10**6, "price": 64040.2,
         "size": 0.3, "side": "buy", "size_unit": None},
        id="okx-linear-swap",
    ),
    pytest.param(
        "bybit", "BTCUSDT", "BTC/USDT:USDT", _whole(_bybit_trades), {"contractSize": 1},
        {"op": "subscribe", "req_id": 1, "args": ["publicTrade.BTCUSDT"]},
        {"id": "20f43950-d8dd-5b31-9112-000000000000", "seq": 0, "ts": T0 * 10**6,
         "price": 16578.5, "size": 0.001, "side": "sell", "size_unit": None},
        id="bybit-linear-swap",
    ),
    pytest.param(
        "bybit", "BTCUSDT", "BTC/USD:BTC", _whole(_bybit_trades), {"contractSize": 1},
        {"op": "subscribe", "req_id": 1, "args": ["publicTrade.BTCUSDT"]},
        {"price": 16578.5, "size": 0.001, "size_unit": "1 USD contracts"},
        id="bybit-inverse-swap",
    ),
    pytest.param(
        "coinbase", "BTC-USD", "BTC/USD", _whole(_coinbase_trades), {},
        {"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "market_trades"},
        {"id": "1069726000", "seq": 1_069_726_000, "ts": 1_786_562_820_000_655_000,
         "price": 63310.25, "size": 0.00000043, "side": "sell", "size_unit": None},
        id="coinbase",
    ),
    pytest.param(
        "coinbaseexchange", "BTC-USD", "BTC/USD", _single(_exchange_trade), {},
        {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches"]},
        {"id": "82047307", "seq": 82_047_307, "ts": 1_580_500_980_000_814_000,
         "price": 9314.78, "size": 0.00513192, "side": "buy", "size_unit": None},
        id="coinbaseexchange",
    ),
    pytest.param(
        "kraken", "XXBTZUSD", "BTC/USD", _whole(_kraken_trades), {},
        {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}, "req_id": 1},
        {"id": "4665906", "seq": 4_665_906, "ts": 1_786_562_940_000_706_000,
         "price": 63297.7, "size": 0.00159, "side": "sell", "size_unit": None},
        id="kraken",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("venue", "id", "symbol", "frames", "more", "request_", "first"), TRADES)
def test_every_trade_is_taken_where_it_is_parsed(
    kit, venue, id, symbol, frames, more, request_, first
):
    """
    2,500 trades sent back to back all arrive, once and in order, with the venue's own values.
    """

    async def go():
        async with kit.Venue() as there:
            connector = kit.connect(venue, there, [kit.market(id, symbol, **more)])
            ctx = kit.Context([kit.Want("trades", symbol)])
            async with kit.running(connector, ctx):
                assert await there.until_heard(1) == request_
                await there.say(*frames)
                await ctx.until(lambda: len(ctx.events("trades")) >= 2500)
            return ctx

    ctx = asyncio.run(go())
    trades = ctx.events("trades")
    assert len(trades) == len({trade.id for trade in trades}) == 2500
    assert [trade.ts for trade in trades] == sorted(trade.ts for trade in trades)
    assert {trade.symbol for trade in trades} == {symbol}
    assert {trade.venue for trade in trades} == {venue}
    assert {trade.recv_ts for trade in trades} == {0}
    assert {name: getattr(trades[0], name) for name in first} == first
    assert len(ctx.frames["trades"]) == len(frames)  # one list for each frame


CONFIRMATIONS = [
    ("binance", "BTCUSDT", "BTC/USDT", {"result": None, "id": 1}),
    ("okx", "BTC-USDT", "BTC/USDT",
     {"event": "subscribe", "arg": {"channel": "trades", "instId": "BTC-USDT"}, "connId": "5"}),
    ("bybit", "BTCUSDT", "BTC/USDT",
     {"success": True, "ret_msg": "subscribe", "conn_id": "d", "req_id": "1", "op": "subscribe"}),
    ("coinbase", "BTC-USD", "BTC/USD",
     {"channel": "subscriptions", "timestamp": "2026-08-12T19:27:48.09Z", "sequence_num": 1,
      "events": [{"subscriptions": {"market_trades": ["BTC-USD"]}}]}),
    ("coinbaseexchange", "BTC-USD", "BTC/USD",
     {"type": "subscriptions", "channels": [{"name": "matches", "product_ids": ["BTC-USD"]}]}),
    ("kraken", "XXBTZUSD", "BTC/USD",
     {"method": "subscribe", "req_id": 1, "success": True,
      "result": {"channel": "trade", "snapshot": False, "symbol": "BTC/USD"}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("venue", "id", "symbol", "frame"), CONFIRMATIONS, ids=[c[0] for c in CONFIRMATIONS]
)
def test_a_quiet_market_is_live_when_the_venue_confirms(kit, venue, id, symbol, frame):
    """
    A subscription is live by the venue's confirmation, before anything was traded.
    """

    async def go():
        async with kit.Venue() as there:
            connector = kit.connect(venue, there, [kit.market(id, symbol)])
            ctx = kit.Context([kit.Want("trades", symbol)])
            async with kit.running(connector, ctx):
                await there.until_heard(1)
                await there.say(frame, frame)
                await ctx.until(lambda: ctx.lives)
            return ctx

    ctx = asyncio.run(go())
    assert ctx.lives == [("trades", symbol)]
    assert ctx.events("trades") == []


LEAVING = [
    ("binance", ("BTCUSDT", "ETHUSDT"), "USDT",
     lambda n: {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": n}),
    ("okx", ("BTC-USDT", "ETH-USDT"), "USDT",
     lambda _: {"op": "unsubscribe", "args": [{"channel": "trades", "instId": "BTC-USDT"}]}),
    ("bybit", ("BTCUSDT", "ETHUSDT"), "USDT",
     lambda n: {"op": "unsubscribe", "req_id": str(n), "args": ["publicTrade.BTCUSDT"]}),
    ("coinbase", ("BTC-USD", "ETH-USD"), "USD",
     lambda _: {"type": "unsubscribe", "channel": "market_trades", "product_ids": ["BTC-USD"]}),
    ("coinbaseexchange", ("BTC-USD", "ETH-USD"), "USD",
     lambda _: {"type": "unsubscribe", "channels": ["matches"], "product_ids": ["BTC-USD"]}),
    ("kraken", ("XXBTZUSD", "XETHZUSD"), "USD",
     lambda n: {"method": "unsubscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]},
                "req_id": n}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("venue", "ids", "quote", "leaving"), LEAVING, ids=[case[0] for case in LEAVING]
)
def test_a_symbol_goes_and_comes_back(kit, venue, ids, quote, leaving):
    """
    What is no longer wanted is unsubscribed by itself, and can be subscribed again.
    """
    btc, eth = (
        kit.market(id, f"{base}/{quote}") for id, base in zip(ids, ("BTC", "ETH"), strict=True)
    )

    def named(request):
        text = str(request).upper()
        names = {"BTC": (ids[0], "BTC/USD"), "ETH": (ids[1], "ETH/USD")}
        return {base for base, either in names.items() if any(name in text for name in either)}

    async def go():
        async with kit.Venue() as there:
            connector = kit.connect(venue, there, [btc, eth])
            both = [kit.Want("trades", m["symbol"]) for m in (btc, eth)]
            ctx = kit.Context(both)
            async with kit.running(connector, ctx):
                first = await there.until_heard(1)
                ctx.wanted.set(both[1:])
                gone = await there.until_heard(2)
                ctx.wanted.set(both)
                again = await there.until_heard(3)
                assert len(there.sockets) == 1
            return first, gone, again

    first, gone, again = asyncio.run(go())
    assert named(first) == {"BTC", "ETH"}  # in one request
    assert gone == leaving(1_000_001)
    assert named(again) == {"BTC"}
    assert "unsub" not in str(again).lower()


def test_requests_keep_the_venue_s_pace(kit):
    """
    With ccxt's rate limit on, subscriptions and unsubscriptions wait for their turn, in order,
    and a cancelled connector leaves none of them waiting.
    """
    markets = [kit.market(f"{base}-USD", f"{base}/USD") for base in ("ADA", "BTC", "ETH")]

    async def go():
        async with kit.Venue() as there:
            connector = kit.connect("coinbase", there, markets, paced=True)
            ctx = kit.Context([kit.Want("quotes", m["symbol"]) for m in markets])
            async with kit.running(connector, ctx):
                await there.until_heard(3)
                ctx.wanted.set([kit.Want("quotes", "BTC/USD")])
                await there.until_heard(4)
                ctx.wanted.set([kit.Want("trades", m["symbol"]) for m in markets])
            return there.heard

    heard = asyncio.run(go())
    assert [said["type"] for said in heard[:4]] == ["subscribe"] * 3 + ["unsubscribe"]
    assert [said["product_ids"] for said in heard[:3]] == [["ADA-USD"], ["BTC-USD"], ["ETH-USD"]]
    assert heard[3]["product_ids"] == ["ADA-USD", "ETH-USD"]


def test_a_late_answer_to_an_unsubscription(kit):
    """
    OKX's answer to an unsubscription that arrives after a new subscription undoes nothing.
    """
    arg = {"channel": "trades", "instId": "BTC-USDT"}

    async def go():
        async with kit.Venue() as there:
            connector = kit.connect("okx", there, [kit.market("BTC-USDT", "BTC/USDT")])
            want = kit.Want("trades", "BTC/USDT")
            ctx = kit.Context([want])
            async with kit.running(connector, ctx):
                await there.until_heard(1)
                await there.say({"event": "subscribe", "arg": arg})
                await ctx.until(lambda: ctx.lives)
                ctx.wanted.set([])
                await there.until_heard(2)
                ctx.wanted.set([want])
                await there.until_heard(3)
                await there.say({"event": "unsubscribe", "arg": arg})
                await there.until_heard(4)  # once more, as ccxt took it for ended
            return there.heard

    heard = asyncio.run(go())
    assert [said["op"] for said in heard] == ["subscribe", "unsubscribe", "subscribe", "subscribe"]


def test_one_frame_of_several_kraken_symbols(kit):
    """
    Trades of one Kraken frame keep each its own symbol, though ccxt gives all the first's.
    """

    async def go():
        async with kit.Venue() as there:
            markets = [kit.market("XXBTZUSD", "BTC/USD"), kit.market("XETHZUSD", "ETH/USD")]
            connector = kit.connect("kraken", there, markets)
            ctx = kit.Context([kit.Want("trades", m["symbol"]) for m in markets])
            async with kit.running(connector, ctx):
                await there.until_heard(1)
                mixed = _kraken_trades([1])
                mixed["data"] += _kraken_trades([2], "ETH/USD")["data"]
                await there.say(mixed)
                await ctx.until(lambda: ctx.events("trades"))
            return ctx

    ctx = asyncio.run(go())
    assert [trade.symbol for trade in ctx.events("trades")] == ["BTC/USD", "ETH/USD"]


def test_kraken_heartbeats_and_refusals(kit):
    """
    Kraken's own heartbeat of a feed is passed on, and a symbol that it refuses is failed.
    """

    async def go():
        async with kit.Venue() as there:
            markets = [kit.market("XXBTZUSD", "BTC/USD"), kit.market("XETHZUSD", "ETH/USD")]
            connector = kit.connect("kraken", there, markets)
            ctx = kit.Context([kit.Want("trades", m["symbol"]) for m in markets])
            async with kit.running(connector, ctx):
                await there.until_heard(1)
                await there.say(
                    {"channel": "heartbeat"},  # nothing stands yet: it proves nothing
                    {"method": "subscribe", "req_id": 1, "success": True,
                     "result": {"channel": "trade", "symbol": "BTC/USD"}},
                    {"method": "subscribe", "req_id": 1, "success": False,
                     "error": "Currency pair not supported ETH/USD", "symbol": "ETH/USD"},
                    {"channel": "heartbeat"},
                )  # fmt: skip
                await ctx.until(lambda: ctx.heartbeats)
                now_ns = ctx.clock.now_ns()
            return ctx, now_ns

    ctx, now_ns = asyncio.run(go())
    ((channel, ts),) = ctx.heartbeats
    assert channel == "trades"
    assert 0.9e9 < now_ns - ts < 3e9  # a trade under way may be older than the heartbeat
    assert ctx.failures == [
        ("trades", "ETH/USD", "kraken refused it: Currency pair not supported ETH/USD")
    ]


def test_a_venue_no_test_covers(kit):
    """
    A venue that is not in the table runs by what ccxt says of it, one call after the other.
    """

    async def go():
        async with kit.Venue() as there:
            market = kit.market("btcusd", "BTC/USD")
            connector = kit.connect("bitstamp", there, [market])
            ctx = kit.Context([kit.Want("trades", "BTC/USD")])
            async with kit.running(connector, ctx):
                asked = await there.until_heard(1)
                assert asked["data"] == {"channel": "live_trades_btcusd"}
                for n in range(3):
                    await there.say(
                        {"event": "trade", "channel": "live_trades_btcusd",
                         "data": {"id": 250 + n, "amount": 0.1, "amount_str": "0.1",
                                  "price": 63000, "price_str": "63000", "type": 0,
                                  "timestamp": "1786538760", "buy_order_id": 1,
                                  "sell_order_id": 2,
                                  "microtimestamp": f"178653876021800{n}"}}
                    )  # fmt: skip
                await ctx.until(lambda: len(ctx.events("trades")) == 3)
            return ctx

    ctx = asyncio.run(go())
    assert [trade.id for trade in ctx.events("trades")] == ["250", "251", "252"]
    assert ctx.lives == [("trades", "BTC/USD")]
