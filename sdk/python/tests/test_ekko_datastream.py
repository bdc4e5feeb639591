from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import sys

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekko import DataStream, LocalModeError, StreamError, StreamMessage
from ekko.datastream.asking import INTERVALS, MOST_SYMBOLS, Asked, asked_for
from ekko.datastream.candles import Forming
from ekko.datastream.reading import MOST_NOTICES, Reader
from ekko.datastream.symbols import unified
from ekko.event import gap_before

CCXT = {
    "name": "ccxt", "aliases": [], "venues": ["binance", "kraken"], "default_symbol": "market",
    "venue_aliases": {"binance.com": "binance"}, "kinds": ["trade", "quote", "book", "candle"],
}  # fmt: skip
SAMPLES = {**CCXT, "name": "samples", "venues": [], "venue_aliases": {}, "kinds": ["quote"]}
BARS = {**SAMPLES, "name": "bars", "kinds": ["candle"]}
FORCED = {**CCXT, "name": "forced", "venues": ["binance"], "kinds": ["liquidation"]}
SOURCES = [FORCED, CCXT, SAMPLES, BARS]
LIVE = {"binance": {"status": "live"}}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("BTCUSDT", "BTC/USDT"), ("btcusdt", "BTC/USDT"), ("BTC-USD", "BTC/USD"),
        ("BTC/USDT:USDT", "BTC/USDT:USDT"), ("ETHBTC", "ETH/BTC"), ("BTCFDUSD", "BTC/FDUSD"),
        ("1000PEPEUSDT", "1000PEPE/USDT"), ("OPUSDT", "OP/USDT"), ("BTCUSD", "BTC/USD"),
        ("AAPL", "AAPL"), ("GOOGL", "GOOGL"), ("BRK.B", "BRK.B"), ("BRK-B", "BRK-B"),
        ("USDT", "USDT"), (" tsla ", "TSLA"),
        ("BNBUSD", "BNB/USD"), ("DOTUSD", "DOT/USD"), ("USDTUSD", "USDT/USD"),
        ("SHIBUSD", "SHIB/USD"), ("APTUSD", "APT/USD"), ("BTC-BUSD", "BTC/BUSD"),
        ("BTC_TUSD", "BTC/TUSD"),
    ],
)  # fmt: skip
def test_symbols_are_read_as_they_are_written(written, meant):
    """Markets joined, with a dash or a slash; shares as they are; nothing substituted."""
    assert unified(written) == meant


@given(st.sampled_from(["BTC", "ETH", "DOGE", "1INCH"]), st.sampled_from(["USDT", "USDC", "EUR"]))
def test_every_way_to_write_a_market_is_the_same_market(base, quote):
    """Joined, with a dash, an underscore or a slash; in small letters, too."""
    ways = {f"{base}{between}{quote}" for between in ("", "-", "_", "/")}

    assert {unified(way) for way in ways | {way.lower() for way in ways}} == {f"{base}/{quote}"}


def test_one_stream_serves_a_source_s_symbols():
    """Crypto and shares are two; more than a spec may have are split; a repeat is one."""
    symbols = [f"T{n}USDT" for n in range(MOST_SYMBOLS + 1)]

    asked = asked_for([*symbols, "AAPL", "T0-USDT"], "ticker", None, None, SOURCES)

    assert [len(one.symbols) for one in asked] == [MOST_SYMBOLS, 1, 1]
    assert asked[0].symbols["T0/USDT"] == ("T0USDT", "T0-USDT")
    assert asked[2].spec["sources"] == [{"type": "equities"}]


def test_a_provider_is_a_venue_or_a_source():
    """By their names and their other names."""
    for name, source in {
        "Kraken": {"type": "ccxt", "exchanges": ["kraken"]},
        "binance.com": {"type": "ccxt", "exchanges": ["binance"]},
        "samples": {"type": "samples"},
    }.items():
        (asked,) = asked_for(["BTCUSDT"], "ticker", None, name, SOURCES)
        assert asked.spec["sources"] == [source]


def test_a_source_without_the_feed_is_refused():
    """With what it has."""
    with pytest.raises(ValueError, match="samples has no trade; it has ticker"):
        asked_for(["BTCUSDT"], "trade", None, "samples", SOURCES)
    with pytest.raises(ValueError, match="samples has no kline"):
        asked_for(["BTCUSDT"], "kline", "5m", "samples", SOURCES)


# Reading


def a_reader(stream_type="ticker", provider=None, interval=None, symbols=("BTCUSDT",)):
    """A reader of what was asked for."""
    (asked,) = asked_for(list(symbols), stream_type, interval, provider, SOURCES)
    return Reader(asked)


def an_item(kind="trade", **fields):
    """An item of a raw stream."""
    common = {
        "id": "1-0", "stream_id": "s", "kind": kind, "symbol": "BTC/USDT", "source": "binance",
        "venue": "binance", "ts": "2026-11-21T10:30:30.785123456Z", "event_id": "7",
        "received": "2026-11-21T10:30:31Z",
    }  # fmt: skip
    own = {
        "trade": {"price": 2.0, "size": 3.0, "side": "sell"},
        "quote": {"bid": 1.0, "ask": 3.0, "bid_size": 1.0, "ask_size": 1.0, "last": 2.5},
        "candle": {
            "length_sec": 60, "start": "2026-11-21T10:30:00Z", "open": 1.0, "high": 4.0,
            "low": 0.5, "close": 2.0, "volume": 9.0, "is_closed": True,
        },
        "book": {"bids": [[1.0, 2.0]], "asks": [], "is_snapshot": True, "sequence": None},
    }  # fmt: skip
    return {**common, **own[kind], **fields}


def a_status(sources, at_s=0, notices=()):
    """A status item."""
    ts = (dt.datetime(2026, 11, 21, tzinfo=dt.UTC) + dt.timedelta(seconds=at_s)).isoformat()
    return {
        "id": "1-0", "stream_id": "s", "kind": "status", "symbol": None, "ts": ts,
        "sources": sources, "notices": list(notices),
    }  # fmt: skip


def a_window(start_s, length_s, prices, *, volume=1.0, partial=False, sources=None):
    """A record of a window: open, high, low, close."""
    start = dt.datetime(2026, 11, 21, tzinfo=dt.UTC) + dt.timedelta(seconds=start_s)
    keys = ("price_open", "price_high", "price_low", "price_close")
    until = start + dt.timedelta(seconds=length_s)
    end = until.isoformat()
    return {
        "id": f"{round(until.timestamp() * 1000)}-0", "stream_id": "s", "symbol": "BTC/USDT",
        "rev": 0, "partial": partial, "ts": end, "window_start": start.isoformat(),
        "window_end": end,
        **dict(zip(keys, prices or [None] * 4, strict=True)), "volume_sum": volume,
        "sources": sources or LIVE, "notices": [], "raw_data": {"sources": ["binance"]},
    }  # fmt: skip


def test_a_ticker_is_a_trade_with_the_quote_before_it():
    """The quote alone is no message, and a trade that has no price is none."""
    reader = a_reader()

    quoted = list(reader.read(an_item("quote", source="binance.quotes")))
    odd_lot = list(reader.read(an_item(price=None)))
    (tick,) = reader.read(an_item())

    assert quoted == odd_lot == []
    assert (tick.price, tick.volume, tick.bid, tick.ask) == (2.0, 3.0, 1.0, 3.0)
    assert (tick.symbol, tick.provider, tick.trade_id) == ("BTCUSDT", "binance", "7")
    assert tick.timestamp == dt.datetime(2026, 11, 21, 10, 30, 30, 785123, tzinfo=dt.UTC)
    assert not tick.simulated


@pytest.mark.parametrize(
    "between",
    [
        a_status({"binance": LIVE["binance"], "binance.quotes": {"status": "reconnecting"}}),
        a_status({"binance": LIVE["binance"], "okx.quotes": {"status": "live"}}),
        gap_before(an_item(), after="0-0", reason="slow"),
    ],
    ids=["down", "gone", "gap"],
)
def test_a_quote_of_before_is_forgotten(between):
    """When its source is down or another's stands in, and after a gap."""
    reader = a_reader()
    list(reader.read(an_item("quote", source="binance.quotes")))

    list(reader.read(between))
    (tick,) = reader.read(an_item())

    assert (tick.price, tick.bid, tick.ask) == (2.0, None, None)


@pytest.mark.parametrize(
    "open_",
    [{"symbols": {"BTC/USDT": "live"}}, {"symbols": {"X/USDT": "live"}, "other_symbols": 3}],
)
def test_one_symbol_s_trouble_is_not_the_others(open_):
    """A quote stays whose symbol is live, or may be: a source's own status is its worst."""
    reader = a_reader()
    list(reader.read(an_item("quote", source="binance.quotes")))
    stale = {"status": "stale", "reason": "nothing new"}

    list(reader.read(a_status({**LIVE, "binance.quotes": {**stale, **open_}})))
    (tick,) = reader.read(an_item())
    list(
        reader.read(
            a_status(
                {**LIVE, "binance.quotes": {"status": "live", "symbols": {"BTC/USDT": "stale"}}}
            )
        )
    )
    (after,) = reader.read(an_item())

    assert (tick.bid, after.bid) == (1.0, None)


def test_a_quote_of_another_venue_is_none_of_the_trade_s():
    """While one of a venue's two feeds is stood in for."""
    reader = a_reader()
    list(reader.read(an_item("quote", source="okx.quotes")))

    (tick,) = reader.read(an_item())

    assert tick.bid is None


def test_a_source_of_samples_has_a_ticker_of_last_prices():
    """Where there are no trades; no size is known then."""
    (tick,) = a_reader(provider="samples").read(an_item("quote"))

    assert (tick.price, tick.volume, tick.bid) == (2.5, None, 1.0)


def test_a_trade_stream_has_all_trades():
    """Those without a price, and those that came late or were fetched, marked."""
    reader = a_reader("trade")

    found = [
        *reader.read(an_item(price=None)),
        *reader.read(an_item(late=True)),
        *reader.read(an_item(repaired=True, simulated=True)),
    ]

    assert [message.price for message in found] == [None, 2.0, 2.0]
    assert [message.late for message in found] == [False, True, True]
    assert [message.simulated for message in found] == [False, False, True]


def test_a_book_that_is_not_known_is_empty():
    """Its best price is None."""
    (book,) = a_reader("depth").read(an_item("book"))

    assert (book.bids, book.asks, book.bid, book.ask) == ([[1.0, 2.0]], [], 1.0, None)


def test_a_venue_s_candle_must_have_the_length_that_was_asked_for():
    """Another's length is an error, not a candle under a wrong name."""
    (candle,) = a_reader("kline").read(an_item("candle"))

    assert (candle.made_by, candle.interval, candle.price) == ("venue", "1m", 2.0)
    with pytest.raises(StreamError, match="sends candles of 1 s, and 5m were asked"):
        list(a_reader("kline", "bars", "5m").read(an_item("candle", length_sec=1)))


def test_what_happened_is_told_with_the_symbol_s_next_message(caplog):
    """To each symbol that it is about, once, and in the log; of too many the newest."""
    caplog.set_level(logging.WARNING, "ekko")
    reader = a_reader(symbols=("BTCUSDT", "ETHUSDT"))
    about_one = {"code": "gap", "source": "binance", "detail": "one", "symbol": "ETH/USDT"}
    about_all = [{"code": "failover", "detail": f"all {n}"} for n in range(MOST_NOTICES)]

    list(reader.read(a_status(LIVE, notices=[about_one, *about_all])))
    (btc,), (eth,) = reader.read(an_item()), reader.read(an_item(symbol="ETH/USDT"))
    (again,) = reader.read(an_item())

    assert [notice["code"] for notice in btc.notices] == ["failover"] * MOST_NOTICES
    assert eth.notices == btc.notices
    assert again.notices == ()
    assert "gap: binance: one" in caplog.text


def test_a_source_that_does_badly_is_told_in_the_log_once(caplog):
    """And when it is well again."""
    caplog.set_level(logging.INFO, "ekko")
    reader = a_reader()

    for status in (
        {"status": "live"}, {"status": "reconnecting", "reason": "it broke"},
        {"status": "reconnecting", "reason": "it broke"}, {"status": "live"},
    ):  # fmt: skip
        list(reader.read(a_status({"binance": status})))

    assert [r.getMessage() for r in caplog.records] == [
        "binance: reconnecting, it broke",
        "binance: live",
    ]


def test_a_stream_ends_when_all_of_its_sources_have_failed():
    """Not at once: another may be about to stand in; and not while one symbol is heard."""
    failed = {"status": "failed", "reason": "nobody lists it"}
    but = {**failed, "symbols": {"ETH/USDT": "live"}}
    reader = a_reader(symbols=("BTCUSDT", "ETHUSDT"))

    for at_s, sources in enumerate(
        [{"a": failed}, {"a": failed, "b": {"status": "starting"}}, {"a": but}, {"a": but}]
    ):
        list(reader.read(a_status(sources, 5 * at_s)))
    list(reader.read(a_status({"a": failed, "b": failed}, 30)))
    with pytest.raises(StreamError, match="stream s: nobody lists it"):
        list(reader.read(a_status({"a": failed, "b": failed}, 32)))


def test_candles_of_ours_end_too_when_their_sources_have_failed():
    """Once that is so for every symbol."""
    failed = {"binance": {"status": "failed", "reason": "nobody lists it"}}
    reader = a_reader("kline", interval="5m", symbols=("BTCUSDT", "ETHUSDT"))

    for at_s in range(5):
        list(reader.read(a_window(at_s, 1, None, sources=failed)))
    record = {**a_window(1, 1, None, sources=failed), "symbol": "ETH/USDT"}
    list(reader.read(record))
    with pytest.raises(StreamError, match="nobody lists it"):
        list(reader.read({**a_window(6, 1, None, sources=failed), "symbol": "ETH/USDT"}))


# Candles of ours

PRICE = st.floats(0.01, 1e6)
STEPS = st.lists(st.lists(PRICE, min_size=1, max_size=5) | st.none(), min_size=60, max_size=60)


@given(STEPS)
def test_an_open_candle_is_the_sum_of_its_steps(steps):
    """Open, high, low, close and volume of all trades so far, whichever seconds had any."""
    forming, so_far = Forming(60), []

    for second, prices in enumerate(steps):
        so_far += prices or []
        bounds = prices and (prices[0], max(prices), min(prices), prices[-1])
        bar = forming.saw(a_window(second, 1, bounds, volume=float(len(prices or []))))
        if prices is None:
            assert bar is None
            continue
        assert (bar.open, bar.close) == (so_far[0], so_far[-1])
        assert (bar.high, bar.low) == (max(so_far), min(so_far))
        assert bar.volume == len(so_far)
        assert not bar.is_closed
        assert not bar.is_partial


def test_the_closed_candle_is_the_window_s_own():
    """Whatever the steps said; a step of it that comes after is passed over."""
    forming = Forming(60)
    forming.saw(a_window(58, 1, (5.0, 5.0, 5.0, 5.0)))

    closed = forming.saw(a_window(0, 60, (1.0, 9.0, 0.5, 5.0), volume=7.0))

    assert closed.is_closed
    assert (closed.open, closed.high, closed.volume) == (1.0, 9.0, 7.0)
    assert forming.saw(a_window(59, 1, (5.0, 5.0, 5.0, 5.0))) is None
    after = forming.saw(a_window(60, 1, (6.0, 6.0, 6.0, 6.0)))
    assert (after.open, after.is_closed, after.is_partial) == (6.0, False, False)


@pytest.mark.parametrize("lost", [{"coverage": 0.5}, {"coverage": 1.0, "gaps": 1}])
def test_a_candle_whose_source_was_down_for_a_while_says_so(lost):
    """The closed one by its own record; an open one from the step on in which that was."""
    forming = Forming(60)
    price, sources = (5.0, 5.0, 5.0, 5.0), {"binance": {"status": "live", **lost}}
    down = {"binance": {"status": "reconnecting", "coverage": 0.0}}
    seen = [
        forming.saw(a_window(0, 1, price)),
        forming.saw(a_window(1, 1, price, sources=sources)),
        forming.saw(a_window(2, 1, price)),
        forming.saw(a_window(0, 60, price, sources=sources)),
        forming.saw(a_window(60, 1, None, volume=None, sources=down)),
        forming.saw(a_window(61, 1, price)),
        forming.saw(a_window(120, 1, price)),
        forming.saw(a_window(60, 60, price)),
    ]

    assert seen[4] is None
    partial = [bar.is_partial for bar in seen if bar is not None]
    assert partial == [False, True, True, True, True, False, False]
    assert seen[2].volume == 3.0


def test_a_candle_that_was_heard_in_part_says_so():
    """Where the stream began within it, and after records were lost."""
    forming = Forming(60)
    began_within = forming.saw(a_window(10, 1, (5.0, 5.0, 5.0, 5.0)))
    whole = forming.saw(a_window(60, 1, (5.0, 5.0, 5.0, 5.0)))
    lost_until = dt.datetime(2026, 11, 21, 0, 1, 30, tzinfo=dt.UTC)
    forming.missed(until=lost_until)
    after_a_gap = forming.saw(a_window(90, 1, (5.0, 5.0, 5.0, 5.0)))

    assert [bar.is_partial for bar in (began_within, whole, after_a_gap)] == [True, False, True]


def test_a_gap_is_told_with_the_next_candle():
    """It has no prices of its own."""
    reader = a_reader("kline", interval="5m")
    (before,) = reader.read(a_window(0, 1, (5.0, 5.0, 5.0, 5.0)))
    record = a_window(9, 1, (5.0, 5.0, 5.0, 5.0))

    assert list(reader.read(gap_before(record, after="0-0", reason="slow"))) == []
    (candle,) = reader.read(record)

    assert not before.is_partial

    assert [notice["code"] for notice in candle.notices] == ["gap"]
    assert candle.is_partial


# The object


def test_a_message_is_a_dict_that_json_takes():
    """All but what it was read from."""
    (tick,) = a_reader().read(an_item())

    told = json.loads(json.dumps(tick.to_dict()))

    assert told["timestamp"] == "2026-11-21T10:30:30.785123Z"
    assert told["price"] == 2.0
    assert told.keys() == {f.name for f in attrs.fields(StreamMessage)} - {"raw"}


@pytest.mark.parametrize("interval", INTERVALS)
def test_the_window_that_closes_a_candle_is_as_long_as_was_asked_for(interval):
    """Binance sends its own of a minute; all others are windows of ours, of that length."""
    (asked,) = asked_for(["BTCUSDT"], "kline", interval, None, SOURCES)

    assert (asked.interval, asked.interval_s) == (interval, INTERVALS[interval])
    assert asked.is_built is (interval != "1m")
    assert asked.spec.get("timeframes") == (["1s", interval] if asked.is_built else None)


def test_every_interval_divides_a_day():
    """So that candles begin at midnight UTC, whichever."""
    assert len(INTERVALS) == 12
    assert all(86400 % seconds == 0 for seconds in INTERVALS.values())
    assert Asked(spec={}, symbols={}, stream_type="kline", interval="4h").interval_s == 14400


def test_without_bond_s_server_package_it_says_how_to_get_it(monkeypatch):
    """As `listen` does in local mode."""
    monkeypatch.setitem(sys.modules, "bond_server.embedded", None)

    async def main():
        async with DataStream() as streams:
            await anext(streams.stream("BTCUSDT"))

    with pytest.raises(LocalModeError, match="pip install"):
        asyncio.run(main())


def test_a_callback_must_be_one():
    """Something else is refused when it is handed over."""

    async def main():
        async with DataStream() as streams:
            with pytest.raises(TypeError, match="a callback is called"):
                streams.subscribe("BTCUSDT", "print")

    asyncio.run(main())
