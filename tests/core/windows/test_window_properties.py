"""What holds for any stream of events, however it arrives."""

import math
from collections import Counter
from operator import mul
from statistics import median

import attrs
from hypothesis import given
from hypothesis import strategies as st

from bond_core.windows.plan import Fold, Reduce
from tests.core.windows.streams import (
    BTC,
    ETH,
    MARKET,
    SECOND,
    Stream,
    a_source,
    a_trade,
    ns,
)

LATENESS_S = 0.5

PRICES = Reduce(["price"], sorted, lambda a, b: sorted([*a, *b]), median)
SIDES = Fold(set, lambda s, e: s | {e.side}, lambda a, b: a | b, len)
TURNOVER = Reduce(
    ["price", "size"],
    lambda prices, sizes: [*map(mul, prices, sizes)],
    lambda a, b: a + b,
    math.fsum,
)
FIELDS = MARKET | {
    "price_median": ("trade", PRICES),
    "sides": ("trade", SIDES),
    "turnover": ("trade", TURNOVER),
}

a_size = st.integers(1, 1000).map(lambda n: n / 8)
a_price = st.integers(1, 100_000).map(lambda n: n / 4)


@attrs.frozen
class Heard:
    """An event, who sent it, and when it was heard."""

    trade: object
    source: str
    delay_s: float

    @property
    def at_ns(self):
        return self.trade.ts + round(self.delay_s * SECOND)


@st.composite
def events(draw, *, delay=LATENESS_S, sources=("binance",), symbols=(BTC, ETH), seconds=20):
    """Trades of unlike times, each heard within a delay, in the order in which they are."""
    times = draw(st.lists(st.integers(0, seconds * 1000), max_size=40, unique=True))
    heard = []
    for number, ms in enumerate(times):
        trade = a_trade(
            ms / 1000,
            draw(a_price),
            draw(a_size),
            side=draw(st.sampled_from(["buy", "sell", None])),
            symbol=draw(st.sampled_from(symbols)),
            seq=number,
        )
        wait = draw(st.floats(0, delay)) if delay else 0.0
        heard.append(Heard(trade, draw(st.sampled_from(sources)), wait))
    heard.sort(key=lambda one: one.at_ns)
    for one in heard:
        one.trade.recv_ts = one.at_ns
    return heard


def a_stream(*names, symbols=(BTC, ETH), seconds=(1,), lateness_s=LATENESS_S):
    """A stream whose sources are never idle: only events move its time."""
    lateness_ns = round(lateness_s * SECOND)
    sources = [
        a_source(name, symbols=symbols, lateness_ns=lateness_ns, idle_ns=1 << 60) for name in names
    ]
    return Stream(*sources, symbols=symbols, seconds=seconds, fields=FIELDS)


def play(stream, heard, end=25):
    """Play events one by one and end; returns all records by what they are about."""
    for one in heard:
        stream.hear(one.trade, source=one.source)
    stream.finish(end)
    return by_identity(stream.seen)


def by_identity(records):
    """Records by what they are about."""
    return {(r.symbol, r.timeframe_ns, r.window_start_ns): r for r in records}


def same(a, b):
    """Equal but for the order in which floats were added."""
    floats = isinstance(a, float) and isinstance(b, float)
    return math.isclose(a, b, rel_tol=1e-9) if floats else a == b


def assert_same_values(a, b):
    """Fail unless two records have the same values."""
    assert a.values.keys() == b.values.keys()
    assert all(same(a.values[name], b.values[name]) for name in a.values), (a.values, b.values)


@given(events(sources=("binance", "okx")), st.sampled_from([1, 3, 7]))
def test_p1_windows_are_what_grouping_by_time_gives(heard, seconds):
    """Without late events: the same numbers as sorting all of them and cutting the line."""
    records = play(a_stream("binance", "okx", seconds=(seconds,)), heard)

    groups = {}
    for one in sorted(heard, key=lambda one: one.trade.ts):
        trade = one.trade
        start = trade.ts - trade.ts % (seconds * SECOND)
        groups.setdefault((trade.symbol, seconds * SECOND, start), []).append(trade)
    for key, record in records.items():
        trades = groups.pop(key, [])
        prices, sizes = [t.price for t in trades], [t.size for t in trades]
        values = record.values
        assert values["trades"] == len(trades)
        assert math.isclose(values["volume_sum"], sum(sizes), rel_tol=1e-9)
        if trades:
            assert (values["price_open"], values["price_close"]) == (prices[0], prices[-1])
            assert (values["price_low"], values["price_high"]) == (min(prices), max(prices))
            turnover = math.fsum(p * s for p, s in zip(prices, sizes, strict=True))
            assert math.isclose(values["vwap"], turnover / math.fsum(sizes), rel_tol=1e-9)
            assert values["price_median"] == median(prices)
            assert values["sides"] == len({t.side for t in trades})
    assert not groups


@given(events(delay=3.0, sources=("binance", "okx")))
def test_p2_nothing_is_lost(heard):
    """Every event is in one window, or late and counted; so is the volume of those counted."""
    stream = a_stream("binance", "okx")

    records = play(stream, heard)

    for name in ("binance", "okx"):
        brought = sum(one.source == name for one in heard)
        counted = sum(r.sources[name].count or 0 for r in records.values())
        late = sum(r.sources[name].late for r in records.values())
        totals = stream.engine.totals[name]
        assert (totals.counted, totals.events) == (counted, brought)
        assert totals.late >= late  # what came late after the last record is in the totals
        assert counted + totals.late == brought
    if not sum(totals.late for totals in stream.engine.totals.values()):
        volume = sum(one.trade.size for one in heard)
        summed = sum(r.values["volume_sum"] for r in records.values())
        assert math.isclose(summed, volume, rel_tol=1e-9)


@given(events(), st.randoms(use_true_random=False))
def test_p3_arrival_within_lateness_does_not_matter(heard, random):
    """Any order in which nothing is late gives the same records; what is summed exactly, bits."""
    other = [attrs.evolve(one, delay_s=random.uniform(0, LATENESS_S)) for one in heard]
    other.sort(key=lambda one: one.at_ns)

    first, second = play(a_stream("binance"), heard), play(a_stream("binance"), other)

    assert first.keys() == second.keys()
    for key, record in first.items():
        assert record.sources["binance"].late == 0
        assert_same_values(record, second[key])
        assert record.values["turnover"] == second[key].values["turnover"]
        assert record.sources["binance"].count == second[key].sources["binance"].count


@given(events(delay=2.0), st.lists(st.sampled_from([1, 2, 7, 512]), min_size=1))
def test_p4_batches_make_no_difference(heard, sizes):
    """However events are split, the records are the same to the last bit."""
    one_by_one = play(a_stream("binance"), heard)
    batched = a_stream("binance")
    trades = [one.trade for one in heard]

    while trades:
        size = sizes[len(trades) % len(sizes)]
        batch, trades = trades[:size], trades[size:]
        batched.hear(*batch)
    batched.finish(25)

    assert by_identity(batched.seen) == one_by_one


@given(events(delay=2.0, seconds=70))
def test_p5_larger_windows_are_what_their_panes_are(heard):
    """Merged timeframes equal the same timeframes computed from events."""
    merged = play(a_stream("binance", seconds=(1, 5, 15, 60)), heard, end=80)

    for seconds in (5, 15, 60):
        direct = play(a_stream("binance", seconds=(seconds,)), heard, end=80)
        for key, record in direct.items():
            if record.sources["binance"].count == merged[key].sources["binance"].count:
                assert_same_values(record, merged[key])
    if not any(r.sources["binance"].late for r in merged.values()):
        volumes = Counter()
        for (_, timeframe_ns, _), record in merged.items():
            volumes[timeframe_ns] += record.values["volume_sum"]
        assert all(math.isclose(v, volumes[SECOND]) for v in volumes.values())


an_hour = st.integers(-3600, 3600)
a_step = st.one_of(
    st.tuples(st.just("event"), st.sampled_from(["binance", "okx"]), an_hour),
    st.tuples(st.just("tick"), st.just(""), an_hour),
    st.tuples(st.just("heartbeat"), st.sampled_from(["binance", "okx"]), an_hour),
    st.tuples(st.just("remove"), st.sampled_from(["binance", "okx"]), an_hour),
    st.tuples(st.just("add"), st.sampled_from(["binance", "okx"]), an_hour),
    st.tuples(st.just("far"), st.sampled_from(["binance", "okx"]), st.integers(-(2**70), 2**70)),
)


def take_step(stream, what, name, value):
    """Do one thing to a stream that may be done at any time."""
    engine = stream.engine
    is_here = name in engine._sources
    if what == "event":
        stream.hear(a_trade(value), source=name)
    elif what == "far":
        trade = a_trade(0)
        trade.ts = value
        stream.hear(trade, source=name)
    elif what == "tick":
        stream.tick(value)
    elif what == "heartbeat":
        engine.on_heartbeat(name, ns(value))
    elif what == "remove" and is_here:
        engine.remove_source(name, ns(value))
    elif what == "add" and not is_here:
        engine.add_source(a_source(name), ns(value))


@given(st.lists(a_step, max_size=30))
def test_p6_p10_time_goes_forward_and_state_stays_small(steps):
    """Whatever comes: no window closes before an older one, none twice, and panes are few."""
    stream = Stream(a_source("binance"), a_source("okx"), seconds=(1, 5))
    watermark_ns = stream.engine.watermark_ns
    for what, name, value in steps:
        take_step(stream, what, name, value)
        assert stream.engine.watermark_ns >= watermark_ns
        watermark_ns = stream.engine.watermark_ns
        state = stream.engine._stream
        assert all(len(w.open) <= 2 * 64 for w in state.open_windows.values())
        assert len(state.sources) <= 2
    stream.take()
    stream.finish(3700)

    ends = [record.window_end_ns for record in stream.seen]
    assert ends == sorted(ends)
    assert len(by_identity(stream.seen)) == len(stream.seen)
    assert len(stream.seen) <= (len(steps) + 2) * 400


@given(events(delay=2.0))
def test_p9_less_lateness_only_makes_more_late(heard):
    """A tighter bound moves events from counted to late, and changes no other window."""
    wide, tight = a_stream("binance", lateness_s=2.0), a_stream("binance", lateness_s=0.2)

    patient, hasty = play(wide, heard), play(tight, heard)

    for key, record in hasty.items():
        ours, theirs = record.sources["binance"].count, patient[key].sources["binance"].count
        assert (ours or 0) <= (theirs or 0)
        if ours == theirs:
            assert_same_values(record, patient[key])
    totals = [stream.engine.totals["binance"] for stream in (wide, tight)]
    assert [t.events for t in totals] == [len(heard), len(heard)]
    assert totals[0].late == 0


@given(events(sources=("binance", "okx")))
def test_p11_prices_lie_between_low_and_high(heard):
    """So do the averages; and the sides' volumes add up."""
    for record in play(a_stream("binance", "okx", seconds=(1, 5)), heard).values():
        values = record.values
        low, high = values["price_low"], values["price_high"]
        if low is None:
            assert values["trades"] == 0
            continue
        for name in ("price_open", "price_close", "price_avg", "vwap", "price_median"):
            assert low * (1 - 1e-12) <= values[name] <= high * (1 + 1e-12)
        sides = sum(values[f"{side}_volume"] for side in ("buy", "sell", "unknown"))
        assert math.isclose(sides, values["volume_sum"], rel_tol=1e-9)


@given(events(delay=2.0))
def test_p12_symbols_are_independent(heard):
    """One symbol alone, with the other's times as heartbeats, has the same records."""
    both, alone = a_stream("binance"), a_stream("binance", symbols=(BTC,))
    play(both, heard)

    for one in heard:
        if one.trade.symbol == BTC:
            alone.hear(one.trade)
        else:
            lateness_ns = round(LATENESS_S * SECOND)
            alone.engine.on_heartbeat("binance", one.trade.ts - lateness_ns)
    alone.finish(25)

    wanted = {key: r for key, r in by_identity(both.seen).items() if key[0] == BTC}
    assert by_identity(alone.seen) == wanted


@given(events(delay=1.0, sources=("binance", "okx")))
def test_the_same_input_gives_the_same_records(heard):
    """Nothing but the calls decides: two engines fed alike say the same."""
    streams = [a_stream("binance", "okx", seconds=(1, 5)) for _ in range(2)]

    first, second = (play(stream, heard) for stream in streams)

    assert first == second
