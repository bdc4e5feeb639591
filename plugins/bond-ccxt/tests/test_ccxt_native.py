"""Trades and quotes read from text, beside what ccxt's parsing makes of the same frames."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_ccxt import native as native_module
from bond_ccxt.native import READERS
from bond_ccxt.tap import Tap
from bond_ccxt.venues import VENUES
from bond_core.plugin import Subscription

NOW_NS = 1_800_000_000 * 10**9
URLS = {
    ("binance", "spot"): "wss://stream.binance.com:9443/stream/ws/0",
    ("binance", "contract"): "wss://fstream.binance.com/public/ws/0",
    ("bybit", "spot"): "wss://stream.bybit.com/v5/public/spot",
    ("bybit", "contract"): "wss://stream.bybit.com/v5/public/linear",
}


@pytest.fixture(scope="module", name="exchanges")
def _exchanges():
    """One exchange object of each venue: they take long to make."""
    import ccxt.pro

    return {id: getattr(ccxt.pro, id)({"enableRateLimit": False}) for id in VENUES}


class Client:
    """A connection of ccxt's, without a socket."""

    def __init__(self, exchange, url):
        self.exchange, self.url = exchange, url
        self.subscriptions, self.futures = {}, {}

    def handle_text_or_binary_message(self, data):
        self.exchange.handle_message(self, json.loads(data))

    def resolve(self, result, _):
        return result

    reject = resolve


def counting(taken):
    """Return the readers, noting each frame that one of them has read."""

    def noted(read):
        def reads(text, reading):
            found = read(text, reading)
            taken.append(text)
            return found

        return reads

    return {
        venue: tuple((begins, channel, noted(read)) for begins, channel, read in readers)
        for venue, readers in READERS.items()
    }


@pytest.fixture(name="both")
def _both(exchanges, monkeypatch):
    """Return what reads frames either way: with and without the native reading."""

    def heard(venue, markets, frames, *, native):
        exchange = exchanges[venue]
        exchange.trades, exchange.tickers, exchange.bidsasks, exchange.orderbooks = {}, {}, {}, {}
        exchange.handle_message = type(exchange).handle_message.__get__(exchange)
        exchange.client = lambda url: Client(exchange, url)
        exchange.set_markets(markets)
        told, gaps = {"trades": [], "quotes": []}, []
        ctx = SimpleNamespace(
            clock=SimpleNamespace(now_ns=lambda: NOW_NS),
            emit=lambda channel, events: told[channel].append(list(events)),
            live=lambda *_: None, gap=lambda *_, **__: gaps.append(1),
            log=SimpleNamespace(warning=lambda *_, **__: None),
        )  # fmt: skip
        broken = SimpleNamespace(add_done_callback=lambda _: None, done=lambda: True)
        wanted = {Subscription(c, m["symbol"]) for c in told for m in markets}
        Tap(ctx, exchange, VENUES[venue], wanted=wanted, broken=broken)
        taken = []
        monkeypatch.setattr(native_module, "READERS", counting(taken) if native else {venue: ()})
        kind = "contract" if markets[0]["contract"] else "spot"
        client = exchange.client(URLS.get((venue, kind), "wss://example.test/ws"))
        for frame in frames:
            text = frame if isinstance(frame, str) else json.dumps(frame, separators=(",", ":"))
            client.handle_text_or_binary_message(text)
        monkeypatch.undo()
        return told, len(taken), len(gaps)

    return heard


def same(both, venue, markets, frames, *, all_native=True):
    """Assert that both ways make the same events; return them."""
    ours, taken, gaps = both(venue, markets, frames, native=True)
    theirs, none, their_gaps = both(venue, markets, frames, native=False)
    assert none == 0
    assert gaps == their_gaps
    if all_native:
        assert taken == len(frames)
    assert repr(ours) == repr(theirs)  # in which a NaN is what it is
    return ours, taken


# Frames with any numbers, in each venue's format


price = st.decimals("0.00000001", "99999999", places=8).map(lambda d: f"{d:f}")
size = st.decimals("0", "999999", places=8).map(lambda d: f"{d:f}")
ms = st.integers(1_500_000_000_000, 1_799_999_999_999)
iso = st.integers(0, 999_999).map(lambda us: f"2026-08-12T19:27:47.{us:06d}Z")
number = st.integers(1, 10**12)


def _binance(p, q, p2, q2, t, n, buys):
    trade = {"e": "trade", "E": t + 1, "s": "BTCUSDT", "t": n, "p": p, "q": q, "T": t, "m": buys,
             "M": True}  # fmt: skip
    quote = {"u": n, "s": "BTCUSDT", "b": p, "B": q, "a": p2, "A": q2}
    return [trade, quote]


def _binance_futures(p, q, p2, q2, t, n, buys):
    trade, quote = _binance(p, q, p2, q2, t, n, buys)
    del trade["M"]
    return [{**trade, "X": "MARKET"}, {"e": "bookTicker", **quote, "T": t, "E": t + 3}]


def _okx(p, q, p2, q2, t, n, buys):
    row = {"instId": "BTC-USDT-SWAP", "ts": str(t)}
    trade = {**row, "tradeId": str(n), "px": p, "sz": q, "side": "buy" if buys else "sell",
             "count": "1"}  # fmt: skip
    quote = {"instType": "SWAP", **row, "last": p, "lastSz": q, "askPx": p2, "askSz": q2,
             "bidPx": p, "bidSz": q, "open24h": p, "high24h": p, "low24h": p, "sodUtc0": p,
             "sodUtc8": p, "volCcy24h": q, "vol24h": q}  # fmt: skip
    return [
        {"arg": {"channel": c, "instId": "BTC-USDT-SWAP"}, "data": [r]}
        for c, r in (("trades", trade), ("tickers", quote))
    ]


def _bybit(p, q, p2, q2, t, n, buys):
    trade = {"T": t, "s": "BTCUSDT", "S": "Buy" if buys else "Sell", "v": q, "p": p,
             "L": "PlusTick", "i": f"2290000000{n}", "BT": False}  # fmt: skip
    top = {"s": "BTCUSDT", "b": [[p, "1.5"]], "a": [[p2, "0.25"]], "u": n, "seq": n}
    return [
        {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": t, "data": [trade]},
        {"topic": "orderbook.1.BTCUSDT", "ts": t, "type": "snapshot", "data": top, "cts": t - 2},
    ]


def _coinbase(p, q, p2, q2, t, n, buys):
    time = f"2026-08-12T19:27:48.{n % 10**9:09d}Z"
    trades = [
        {"product_id": "BTC-USD", "trade_id": str(n + k), "price": p, "size": q, "time": time,
         "side": "BUY" if buys else "SELL"} for k in (1, 0)
    ]  # fmt: skip
    ticker = {"type": "ticker", "product_id": "BTC-USD", "price": p, "volume_24_h": q,
              "low_24_h": p, "high_24_h": p, "price_percent_chg_24_h": "1", "best_bid": p,
              "best_bid_quantity": q, "best_ask": p2, "best_ask_quantity": q2}  # fmt: skip
    return [
        {"channel": c, "client_id": "", "timestamp": time, "sequence_num": 0,
         "events": [{"type": "update", key: rows}]}
        for c, key, rows in (("market_trades", "trades", trades), ("ticker", "tickers", [ticker]))
    ]  # fmt: skip


def _exchange(p, q, p2, q2, t, n, buys):
    time = f"2021-04-17T16:43:37.{n % 10**6:06d}Z"
    side = "buy" if buys else "sell"
    return [
        {"type": "match", "trade_id": n, "maker_order_id": "a", "taker_order_id": "b",
         "side": side, "size": q, "price": p, "product_id": "BTC-USD", "sequence": n,
         "time": time},
        {"type": "ticker", "sequence": n, "product_id": "BTC-USD", "price": p, "open_24h": p,
         "volume_24h": q, "low_24h": p, "high_24h": p, "volume_30d": q, "best_bid": p,
         "best_bid_size": q, "best_ask": p2, "best_ask_size": q2, "side": side, "time": time,
         "trade_id": n, "last_size": q},
    ]  # fmt: skip


def _kraken(p, q, p2, q2, t, n, buys):
    p, q, p2, q2 = map(float, (p, q, p2, q2))
    time = f"2026-08-12T19:27:47.{n % 10**6:06d}Z"
    trade = {"symbol": "BTC/USD", "side": "buy" if buys else "sell", "price": p, "qty": q,
             "ord_type": "market", "trade_id": n, "timestamp": time}  # fmt: skip
    ticker = {"symbol": "BTC/USD", "bid": p, "bid_qty": q, "ask": p2, "ask_qty": q2, "last": p,
              "volume": q, "vwap": p, "low": p, "high": p, "change": 0.1, "change_pct": 0.1,
              "timestamp": time}  # fmt: skip
    return [
        {"channel": c, "type": "update", "data": [r]} for c, r in (("trade", trade),
                                                                   ("ticker", ticker))
    ]  # fmt: skip


CASES = {
    "binance spot": (_binance, ("BTCUSDT", "BTC/USDT", {})),
    "binance futures": (_binance_futures, ("BTCUSDT", "BTC/USDT:USDT", {"contractSize": 1})),
    "okx linear": (_okx, ("BTC-USDT-SWAP", "BTC/USDT:USDT", {"contractSize": 0.01})),
    "okx inverse": (_okx, ("BTC-USDT-SWAP", "BTC/USD:BTC", {"contractSize": 100})),
    "bybit spot": (_bybit, ("BTCUSDT", "BTC/USDT", {})),
    "bybit linear": (_bybit, ("BTCUSDT", "BTC/USDT:USDT", {"contractSize": 1})),
    "coinbase": (_coinbase, ("BTC-USD", "BTC/USD", {})),
    "coinbaseexchange": (_exchange, ("BTC-USD", "BTC/USD", {})),
    "kraken": (_kraken, ("XXBTZUSD", "BTC/USD", {})),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_to_the_last_digit(both, kit, case):
    """
    Whatever the numbers are, a frame gives the same event either way, and none goes ccxt's way.
    """
    make, (id, symbol, more) = CASES[case]
    market = kit.market(id, symbol, **more)

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.tuples(price, size, price, size, ms, number, st.booleans()), min_size=1,
                    max_size=4))  # fmt: skip
    def any_numbers(rows):
        frames = [frame for row in rows for frame in make(*row)]
        events, _ = same(both, case.partition(" ")[0], [market], frames)
        assert sum(map(len, events["trades"])) >= len(rows)
        assert sum(map(len, events["quotes"])) == len(rows)

    any_numbers()


ODD = {
    "a price that is no number": lambda f: f.replace('"p":"1.5"', '"p":"NaN"'),
    "an infinite price": lambda f: f.replace('"p":"1.5"', '"p":"Infinity"'),
    "a size left out": lambda f: f.replace('"q":"2.0",', ""),
    "cut short": lambda f: f[: len(f) // 2],
    "keys in another order": lambda f: '{"M":true,' + f[1:].replace(',"M":true', ""),
    "of a market that nobody asked for": lambda f: f.replace("BTCUSDT", "ETHUSDT"),
}


@pytest.mark.parametrize("how", ODD)
def test_what_is_odd_goes_the_long_way(both, kit, how):
    """
    A frame that begins or reads otherwise is handed to ccxt, and so ends as it did before.
    """
    market = kit.market("BTCUSDT", "BTC/USDT")
    frame = json.dumps(_binance("1.5", "2.0", "1.6", "2.0", 1_700_000_000_000, 7, True)[0],
                       separators=(",", ":"))  # fmt: skip

    events, taken = same(both, "binance", [market], [ODD[how](frame), frame], all_native=False)

    assert taken == (2 if "nobody" in how else 1)
    assert events["trades"][-1][0].id == "7"


def test_bybit_s_best_bid_and_ask_by_differences(both, kit):
    """
    A message of one level changes one side; prices that leave have size 0.
    """
    market = kit.market("BTCUSDT", "BTC/USDT")

    def frame(n, kind, bids, asks):
        data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": n, "seq": n}
        return {"topic": "orderbook.1.BTCUSDT", "ts": 1_700_000_000_000 + n, "type": kind,
                "data": data, "cts": 1_700_000_000_000 + n}  # fmt: skip

    frames = [
        frame(1, "snapshot", [["10.0", "1"]], [["11.0", "2"]]),
        frame(2, "delta", [["10.0", "3"]], []),
        frame(3, "delta", [["10.0", "0"], ["10.5", "4"]], []),
        frame(4, "delta", [], [["11.0", "0"], ["10.9", "5"]]),
    ]

    events, _ = same(both, "bybit", [market], frames)

    assert [(q.bid, q.bid_size, q.ask, q.ask_size) for (q,) in events["quotes"]] == [
        (10.0, 1.0, 11.0, 2.0), (10.0, 3.0, 11.0, 2.0), (10.5, 4.0, 11.0, 2.0),
        (10.5, 4.0, 10.9, 5.0),
    ]  # fmt: skip


def test_recorded_frames(both, kit, recorded):
    """
    Every trade and quote of the recorded OKX and Coinbase sessions, and of today's formats.
    """
    for file, venue in (("OKX.ws.1.0", "okx"), ("COINBASE.ws.28.0", "coinbaseexchange")):
        texts = []
        ids = set()
        for line in (recorded / "cryptofeed" / file).read_text(encoding="utf-8").splitlines():
            head, found, text = line.partition(": ")
            if not found or not head.replace(".", "").isdigit():
                continue
            frame = json.loads(text)
            arg = frame.get("arg", {})
            if "data" in frame and arg.get("channel") in ("trades", "tickers"):
                ids.add(arg["instId"])
                texts.append(text)
            elif frame.get("type") in ("match", "ticker"):
                ids.add(frame["product_id"])
                texts.append(text)
        markets = []
        for id in sorted(ids):
            base, quote, *more = id.split("-")
            end = f":{base}-{more[0]}" if more and more[0] != "SWAP" else f":{base}" if more else ""
            contract = {"contractSize": 10, "inverse": True, "linear": False} if more else {}
            markets.append(kit.market(id, f"{base}/{quote}{end}", **contract))

        events, taken = same(both, venue, markets, texts, all_native=False)

        assert taken > 90
        assert len(events["trades"]) + len(events["quotes"]) == len(texts)
        # The first tickers of a quiet product lack what today's have, and go the long way.
        assert taken / len(texts) > 0.9
