"""Unmodified ccxt.pro talks to every simulated venue."""

import asyncio

import pytest

from bond_core.clock import ManualClock
from bond_sim.simulator import Simulator
from bond_sim.subscriptions import Subscription

VENUES = [
    ("binance", "BTC/USDT", "BTCUSDT"),
    ("okx", "BTC/USDT", "BTC-USDT"),
    ("coinbaseexchange", "BTC/USD", "BTC-USD"),
]
each_venue = pytest.mark.parametrize(("venue", "symbol", "id"), VENUES)


def on(venue, open_ccxt, act):
    """Run `act(exchange, simulator)` against one venue, at 25 times the speed of time."""

    async def tick(clock):
        while True:
            await clock.advance(0.05)
            await asyncio.sleep(0.002)

    async def main():
        clock = ManualClock()
        async with (
            Simulator(clock=clock, seed=3) as simulator,
            open_ccxt(venue, simulator.url) as exchange,
            asyncio.timeout(20),
        ):
            ticking = asyncio.create_task(tick(clock))
            try:
                await act(exchange, simulator)
            finally:
                ticking.cancel()

    asyncio.run(main())


@each_venue
def test_markets_load(open_ccxt, venue, symbol, id):
    """load_markets finds the venue's own name for a symbol and a dozen USDT markets."""

    async def act(exchange, simulator):
        markets = await exchange.load_markets()
        assert markets[symbol]["id"] == id
        assert sum(s.endswith("/USDT") for s in markets) >= 12
        assert "ETH/BTC" in markets

    on(venue, open_ccxt, act)


def test_okx_contracts_have_their_sizes(open_ccxt):
    """The linear swap is 0.01 BTC, the inverse one 100 USD, as on OKX."""

    async def act(exchange, simulator):
        await exchange.load_markets()
        linear, inverse = exchange.market("BTC/USDT:USDT"), exchange.market("BTC/USD:BTC")
        assert (linear["contractSize"], linear["linear"]) == (0.01, True)
        assert (inverse["contractSize"], inverse["inverse"]) == (100, True)
        for swap in (linear, inverse):
            trades = await exchange.watch_trades(swap["symbol"])
            assert 50_000 < trades[-1]["price"] < 150_000

    on("okx", open_ccxt, act)


@each_venue
def test_trades_are_watched(open_ccxt, venue, symbol, id):
    """watch_trades gives trades with growing ids and times, both sides among them."""

    async def act(exchange, simulator):
        seen = []
        while len(seen) < 12 or {t["side"] for t in seen} != {"buy", "sell"}:
            seen += await exchange.watch_trades(symbol)
        ids = [int(t["id"]) for t in seen]
        assert ids == sorted(set(ids))
        assert [t["timestamp"] for t in seen] == sorted(t["timestamp"] for t in seen)
        assert all(t["amount"] > 0 for t in seen)
        assert simulator.subscriptions.opened == {Subscription(venue, "trades", id): 1}

    on(venue, open_ccxt, act)


@pytest.mark.parametrize("venue", ["binance", "okx"])
def test_trades_of_several_symbols_are_watched(open_ccxt, venue):
    """watch_trades_for_symbols gives trades of each symbol over one connection."""

    async def act(exchange, simulator):
        symbols, seen = ["BTC/USDT", "ETH/USDT"], set()
        while seen != set(symbols):
            seen |= {t["symbol"] for t in await exchange.watch_trades_for_symbols(symbols)}
        assert simulator.connections == 1

    on(venue, open_ccxt, act)


@pytest.mark.parametrize(
    ("venue", "symbol", "call"),
    [
        ("binance", "BTC/USDT", "watch_bids_asks"),
        ("okx", "BTC/USDT", "watch_bids_asks"),
        ("okx", "BTC/USDT", "watch_tickers"),
        ("coinbaseexchange", "BTC/USD", "watch_tickers"),
    ],
)
def test_quotes_are_watched(open_ccxt, venue, symbol, call):
    """The call that carries the best bid and ask gives them with sizes, bid below ask."""

    async def act(exchange, simulator):
        quote = (await getattr(exchange, call)([symbol]))[symbol]
        assert 0 < quote["bid"] < quote["ask"] < quote["bid"] * 1.001
        assert quote["bidVolume"] > 0
        assert quote["askVolume"] > 0

    on(venue, open_ccxt, act)


@pytest.mark.parametrize("venue", ["binance", "okx"])
def test_unwatching_ends_the_subscription(open_ccxt, venue):
    """un_watch_trades ends the one subscription that watch_trades opened."""

    async def act(exchange, simulator):
        await exchange.watch_trades("BTC/USDT")
        assert simulator.subscriptions.open.total() == 1
        await exchange.un_watch_trades("BTC/USDT")
        assert simulator.subscriptions.open.total() == 0

    on(venue, open_ccxt, act)


@each_venue
def test_rest_answers(open_ccxt, venue, symbol, id):
    """fetch_ticker, fetch_trades, fetch_order_book and fetch_time tell of one market."""

    async def act(exchange, simulator):
        ticker = await exchange.fetch_ticker(symbol)
        trades = await exchange.fetch_trades(symbol, limit=20)
        book = await exchange.fetch_order_book(symbol, 5)
        now_ms = await exchange.fetch_time()
        assert len(trades) == 20
        assert 0 < ticker["bid"] < ticker["ask"]
        assert book["bids"][0][0] < book["asks"][0][0]
        for price in (ticker["last"], book["bids"][0][0]):
            assert price == pytest.approx(trades[-1]["price"], rel=0.01)
        assert 0 <= now_ms - trades[-1]["timestamp"] < 60_000

    on(venue, open_ccxt, act)


@each_venue
def test_rest_and_stream_tell_of_the_same_trades(open_ccxt, venue, symbol, id):
    """A trade that was watched is found by fetch_trades, equal in id, price, size and side."""

    async def act(exchange, simulator):
        watched = (await exchange.watch_trades(symbol))[-1]
        fetched = {t["id"]: t for t in await exchange.fetch_trades(symbol, limit=100)}
        same = fetched[watched["id"]]
        for field in ("timestamp", "price", "amount", "side", "symbol"):
            assert same[field] == watched[field]

    on(venue, open_ccxt, act)


@each_venue
def test_an_unknown_market_is_refused(open_ccxt, venue, symbol, id):
    """A subscription to a market that is not there is an error, not silence."""
    import ccxt

    async def act(exchange, simulator):
        await exchange.load_markets()
        exchange.markets["XXX/USDT"] = exchange.markets[symbol] | {
            "id": id.replace("BTC", "XXX"),
            "lowercaseId": id.replace("BTC", "XXX").lower(),
            "symbol": "XXX/USDT",
        }
        with pytest.raises(ccxt.ExchangeError):
            await exchange.watch_trades("XXX/USDT")
        assert not simulator.subscriptions.opened

    on(venue, open_ccxt, act)


def test_two_watchers_share_a_subscription(open_ccxt):
    """Two tasks that watch one symbol through one exchange subscribe once."""

    async def act(exchange, simulator):
        await asyncio.gather(*(exchange.watch_trades("BTC/USDT") for _ in range(2)))
        assert simulator.subscriptions.opened.total() == 1
        assert simulator.connections == 1

    on("okx", open_ccxt, act)
