"""Every built-in field over any stream, against the same sum done plainly and all at once."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.model.event import Quote, Trade
from tests.core.aggregators.builtin_fields import fields_of
from tests.core.windows.streams import BTC, SECOND, Stream, a_source, ns

END_S = 24
VENUES = ("binance", "okx")
TRADES, QUOTES = fields_of("trade"), fields_of("quote")

a_time = st.integers(0, END_S * 1000 - 1)
a_price = st.integers(400, 4000).map(lambda n: n / 4)
a_size = st.integers(0, 80).map(lambda n: n / 8)
a_side = st.sampled_from(["buy", "sell", None])


@st.composite
def trades(draw):
    """Trades of two venues, in order of time."""
    times = sorted(draw(st.lists(a_time, max_size=40)))
    return [
        (draw(st.sampled_from(VENUES)),
         Trade(BTC, ns(ms / 1000), draw(a_price), draw(a_size), draw(a_side), seq=number))
        for number, ms in enumerate(times)
    ]  # fmt: skip


@st.composite
def quotes(draw):
    """Quotes of two venues, in order of time, some with one side or without sizes."""
    times = sorted(draw(st.lists(a_time, max_size=30, unique=True)))
    found = []
    for number, ms in enumerate(times):
        bid = draw(a_price)
        ask = bid + draw(st.integers(0, 8)) / 4
        sides = draw(st.sampled_from(["both", "both", "bid", "ask"]))
        size = st.one_of(st.none(), a_size)
        quote = Quote(
            BTC, ns(ms / 1000), bid if sides != "ask" else None, ask if sides != "bid" else None,
            draw(size), draw(size), seq=number,
        )  # fmt: skip
        found.append((draw(st.sampled_from(VENUES)), quote))
    return found


def played(heard, fields, seconds):
    """The records of a stream of two live venues, by timeframe in seconds and start."""
    kind = next(iter(fields.values()))[0]
    sources = [a_source(venue, kind, idle_ns=1 << 60) for venue in VENUES]
    stream = Stream(*sources, seconds=seconds, fields=fields)
    for venue, event in heard:
        event.recv_ts = event.ts
        stream.hear(event, source=venue)
    stream.finish(END_S)
    return {(r.timeframe_ns // SECOND, r.window_start_ns): r.values for r in stream.seen}


def within(heard, start_ns, end_ns):
    """The events of a window, in their order."""
    return [event for _, event in heard if start_ns <= event.ts < end_ns]


def of_trades(heard, start_ns, end_ns):
    """The values of a window's trade fields, but for those of several windows."""
    found = within(heard, start_ns, end_ns)
    prices = [trade.price for trade in found]
    steps = [math.log(b) - math.log(a) for a, b in pairwise(prices)]
    sizes = {v: math.fsum(t.size for w, t in heard if w == v and t in found) for v in VENUES}
    total = sum(sizes.values())
    by_side = {
        f"{side or 'unknown'}_volume": math.fsum(t.size for t in found if t.side == side)
        for side in ("buy", "sell", None)
    }
    last = [
        [t.price for w, t in heard if w == v and start_ns <= t.ts < end_ns][-1:] for v in VENUES
    ]
    both = [price for prices_ in last for price in prices_]
    cuts = statistics.quantiles(prices, n=100, method="inclusive") if len(prices) > 1 else []
    value = sum(t.price * t.size for t in found)
    return by_side | {
        "price_avg": statistics.fmean(prices) if prices else None,
        "price_open": prices[0] if prices else None,
        "price_close": prices[-1] if prices else None,
        "price_high": max(prices, default=None),
        "price_low": min(prices, default=None),
        "vwap": value / total if total else None,
        "volume_sum": total,
        "trades": len(found),
        "volatility": math.hypot(*steps) if steps else None,
        "price_median": statistics.median(prices) if prices else None,
        **{
            f"price_p{n}": cuts[n - 1] if cuts else (prices[0] if prices else None)
            for n in (5, 50, 95)
        },
        "volume_share": {v: size / total for v, size in sizes.items()} if total else None,
        "venue_spread": abs(both[0] - both[1]) if len(both) == 2 else None,
    }


def over_windows(windows, at):
    """The values of those fields at one of some windows that follow each other."""
    now, closes = windows[at], [w["price_close"] for w in windows]
    known = [c for c in closes[:at] if c is not None]
    change = closes[at] is not None and known

    def last(n, field):
        return [w[field] for w in windows[at - n + 1 : at + 1] if w[field] is not None]

    def rolled(n, field, how):
        return how(last(n, field)) if at + 1 >= n and last(n, field) else None

    return now | {
        "return_simple": (closes[at] - known[-1]) / known[-1] if change else None,
        "return_log": math.log(closes[at]) - math.log(known[-1]) if change else None,
        "price_mean_2": rolled(2, "price_close", statistics.fmean),
        "price_mean_3": rolled(3, "price_close", statistics.fmean),
        "price_min_3": rolled(3, "price_low", min),
        "price_max_3": rolled(3, "price_high", max),
        "volume_mean_3": rolled(3, "volume_sum", statistics.fmean),
        "volume_sum_2": rolled(2, "volume_sum", sum),
    }


def of_quotes(heard, start_ns, end_ns):
    """The values of a window's own quote fields, but for prices and what is made of them."""
    found = within(heard, start_ns, end_ns)
    both = [q for q in found if q.bid is not None and q.ask is not None]
    sized = [q for q in found if None not in (q.bid_size, q.ask_size)]
    sized = [q for q in sized if q.bid_size + q.ask_size > 0]
    return {
        "bid_avg": _mean([q.bid for q in found if q.bid is not None]),
        "ask_avg": _mean([q.ask for q in found if q.ask is not None]),
        "mid": _mean([(q.bid + q.ask) / 2 for q in both]),
        "spread": _mean([q.ask - q.bid for q in both]),
        "spread_bps": _mean([1e4 * (q.ask - q.bid) / ((q.ask + q.bid) / 2) for q in both]),
        "imbalance": _mean(
            [(q.bid_size - q.ask_size) / (q.bid_size + q.ask_size) for q in sized]
        ),
    }  # fmt: skip


def standing(heard, start_ns, end_ns):
    """What a window's fields of standing quotes are, from all that was quoted before its end."""
    values = {}
    for name, of in (
        ("bid", lambda q: q.bid),
        ("ask", lambda q: q.ask),
        ("mid", lambda q: None if None in (q.bid, q.ask) else (q.bid + q.ask) / 2),
        ("spread", lambda q: None if None in (q.bid, q.ask) else q.ask - q.bid),
    ):
        areas, spans, last = [], [], {}
        for venue in VENUES:
            steps = [(q.ts, of(q)) for v, q in heard if v == venue and of(q) is not None]
            steps = [step for step in steps if step[0] < end_ns]
            if not steps:
                continue
            last[venue] = steps[-1][1]
            times = [ts for ts, _ in steps]
            cuts = sorted({max(start_ns, times[0]), *(t for t in times if t > start_ns), end_ns})
            for since, until in pairwise(cuts):
                areas.append((until - since) * steps[bisect_left(times, since + 1) - 1][1])
                spans.append(until - since)
        values[f"{name}_twa"] = math.fsum(areas) / sum(spans) if spans else None
        values[name] = last
    bids, asks, mids = values.pop("bid"), values.pop("ask"), values.pop("mid")
    del values["spread"]
    highest, lowest = max(bids.values(), default=None), min(asks.values(), default=None)
    return values | {
        "best_bid": highest,
        "best_bid_venue": next((v for v in VENUES if bids and bids.get(v) == highest), None),
        "best_ask": lowest,
        "best_ask_venue": next((v for v in VENUES if asks and asks.get(v) == lowest), None),
        "venue_spread": max(mids.values()) - min(mids.values()) if len(mids) > 1 else None,
    }


def _mean(values):
    return statistics.fmean(values) if values else None


def assert_close(found, expected):
    """Fail unless the values are the expected ones, but for the last bits of floats."""
    assert found.keys() >= expected.keys()
    for name, value in expected.items():
        is_exact = value is None or isinstance(value, str)
        near = value if is_exact else pytest.approx(value, rel=1e-7, abs=1e-7)
        assert found[name] == near, name


@settings(max_examples=60, deadline=None)
@given(trades(), st.sampled_from([(1,), (2, 6), (1, 3, 12)]))
def test_trade_fields_are_what_all_trades_at_once_give(heard, seconds):
    """In every window of every timeframe, empty ones too."""
    records = played(heard, TRADES, seconds)

    for length in seconds:
        starts = range(0, END_S, length)
        plain = [of_trades(heard, ns(s), ns(s + length)) for s in starts]
        for at, start in enumerate(starts):
            expected = over_windows(plain, at)
            assert expected.keys() == TRADES.keys()
            assert_close(records[length, ns(start)], expected)


@settings(max_examples=60, deadline=None)
@given(quotes(), st.sampled_from([(1,), (2, 6), (1, 3, 12)]))
def test_quote_fields_are_what_all_quotes_at_once_give(heard, seconds):
    """Quotes that stand over the start of a window count from there."""
    records = played(heard, QUOTES, seconds)

    for length in seconds:
        for start in range(0, END_S, length):
            values = records[length, ns(start)]
            assert_close(values, of_quotes(heard, ns(start), ns(start + length)))
            assert_close(values, standing(heard, ns(start), ns(start + length)))


@settings(max_examples=40, deadline=None)
@given(trades(), quotes(), st.sampled_from([2, 3, 4]))
def test_p5_merged_timeframes_are_those_computed_directly(sold, quoted, times):
    """A larger window is the same, whether it is made of panes or is one."""
    for heard, fields in ((sold, TRADES), (quoted, QUOTES)):
        merged, direct = played(heard, fields, (1, times)), played(heard, fields, (times,))
        for identity, values in direct.items():
            assert_close(merged[identity], values)


@settings(max_examples=60, deadline=None)
@given(trades())
def test_p11_volumes_by_side_are_the_volume(heard):
    """And averages lie between the low and the high."""
    for values in played(heard, TRADES, (1, 6)).values():
        sides = [values[f"{side}_volume"] for side in ("buy", "sell", "unknown")]
        assert math.fsum(sides) == pytest.approx(values["volume_sum"], rel=1e-9)
        if values["price_low"] is not None:
            low, high = values["price_low"] - 1e-9, values["price_high"] + 1e-9
            for name in ("price_open", "price_close", "price_avg", "price_median", "price_p95"):
                assert low <= values[name] <= high
            assert values["vwap"] is None or low <= values["vwap"] <= high
