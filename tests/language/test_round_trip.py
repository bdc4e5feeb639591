"""From a spec to English and back: the same spec, or a word on what English can't say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.spec.read import read_spec
from bond_server.language.compile import understand
from bond_server.language.durations import plain
from bond_server.language.saying import say
from bond_server.language.vocabulary import bundled
from tests.language.test_language_corpus import corpus

VOCABULARY = bundled()
SINGLE = (
    "price_avg", "price_open", "price_high", "price_low", "price_close", "vwap", "volume_sum",
    "trades", "bid_avg", "ask_avg",
)  # fmt: skip
TRADES = ["price_avg", "price_open", "price_high", "price_low", "price_close", "vwap",
          "volume_sum", "trades"]  # fmt: skip
QUOTES = ["bid_avg", "ask_avg"]
COINS = ["BTC", "ETH", "SOL", "DOGE", "LINK", "NEAR", "XRP"]
SHARES = ["AAPL", "TSLA", "NVDA"]
VENUES = ["binance", "okx", "kraken", "bybit", "coinbase", "gate"]
POSTS = {"twitter": "tweets", "news": "news", "trends": "trends"}
INTERVALS = [0.1, 0.25, 0.5, 1, 2, 5, 7.5, 10, 30, 60, 90, 300, 3600, 86_400]

pairs = st.builds("{}/{}".format, st.sampled_from(COINS), st.sampled_from(["USDT", "USD", "EUR"]))
swaps = st.sampled_from(COINS).map("{}/USDT:USDT".format)
some_venues = st.lists(st.sampled_from(VENUES), unique=True, max_size=3)
numbers = st.one_of(
    st.integers(0, 10**7), st.decimals("0.001", "9999", places=3).map(float).map(plain),
)  # fmt: skip


@st.composite
def conditions(draw, fields):
    """One comparison that English has words for."""
    field, value = draw(st.sampled_from(fields)), draw(numbers)
    kind = draw(st.sampled_from(["plain", "cross", "moves", "changes", "sum"]))
    window = draw(st.sampled_from([10, 60, 300, 600]))
    if kind == "cross":
        return {
            "field": field,
            "op": draw(st.sampled_from(["crosses_above", "crosses_below"])),
            "value": value,
        }
    if kind == "moves":
        return {"field": field, "op": "abs>", "value": max(value, 1), "window_sec": window}
    if kind == "changes":
        down = draw(st.booleans())
        value = max(value, 1)
        return {"field": field, "op": "<" if down else ">", "value": -value if down else value,
                "change": "percent", "window_sec": window}  # fmt: skip
    if kind == "sum" and field in ("volume_sum", "trades", "tweets"):
        return {"field": field, "op": ">", "value": value, "window_sec": window}
    return {
        "field": field,
        "op": draw(st.sampled_from([">", "<", ">=", "<=", "=="])),
        "value": value,
    }


@st.composite
def markets(draw, symbols):
    """Sources of these coins' markets, and of some shares'; and the fields that are theirs."""
    market = {"type": "ccxt", "symbols": symbols}
    venues = draw(some_venues)
    if venues:
        market[draw(st.sampled_from(["exchanges", "exclude_exchanges"]))] = venues
    shares = draw(st.lists(st.sampled_from(SHARES), unique=True, max_size=2))
    sources = [market, {"type": "equities", "symbols": shares}] if shares else [market]
    computed = st.lists(
        st.sampled_from(["volatility", "mid", "imbalance"]), unique=True, max_size=2
    )
    fields = [*draw(st.sampled_from([TRADES, QUOTES, TRADES + QUOTES])), *draw(computed)]
    return sources, [*symbols, *shares], fields


@st.composite
def posts(draw, name, bases, slower):
    """A source of what people write or look for."""
    source = {"type": name, "symbols": bases}
    if name == "twitter":
        accounts = draw(st.lists(st.sampled_from(["saylor", "elonmusk"]), unique=True))
        query = draw(st.sampled_from([None, "ETF approval", "halving", "#etf"]))
        source |= {"accounts": accounts} if accounts else {}
        source |= {"query": query} if query else {}
    if slower is not None and draw(st.booleans()):
        source["interval_sec"] = slower
    return source


@st.composite
def specs(draw):
    """Specs of all that English says of markets, shares, posts, news and trends."""
    interval = draw(st.sampled_from(INTERVALS))
    by_base = st.lists(
        pairs | swaps, min_size=1, max_size=3, unique_by=lambda s: s.partition("/")[0]
    )
    symbols, sources, fields = draw(by_base), [], []
    has_market, whole = draw(st.booleans()), False
    if has_market:
        sources, symbols, fields = draw(markets(symbols))
        whole = draw(st.booleans())
    else:
        symbols = [s.partition("/")[0] for s in symbols]
    bases = [s.partition("/")[0] for s in symbols]
    slower = interval * 2 if has_market and interval <= 43_200 else None
    others = draw(st.lists(st.sampled_from(sorted(POSTS)), unique=True, max_size=2))
    for name in others if has_market or others else ["twitter"]:
        sources.append(draw(posts(name, bases, slower)))
        fields.append(POSTS[name])
    spec = {"sources": sources, "symbols": symbols, "interval_sec": interval}
    if not whole:
        spec["fields"] = fields
    return draw(_with_more(spec, fields))


@st.composite
def _with_more(draw, spec, fields):
    """Add windows, conditions and how long it runs."""
    own = any("interval_sec" in source for source in spec["sources"])
    if not own and draw(st.booleans()):
        spec["window_sec"] = round(spec["interval_sec"] * draw(st.sampled_from([2, 12, 60])), 3)
    compared = [f for f in ("price_avg", "volume_sum", "trades", "tweets") if f in fields]
    if (
        compared
        and "window_sec" not in spec
        and draw(st.booleans())
        and spec["interval_sec"] in (1, 2, 5, 10)
    ):
        spec["filter"] = draw(conditions(compared))
    if (
        compared
        and "window_sec" not in spec
        and draw(st.booleans())
        and spec["interval_sec"] in (1, 2, 5, 10)
    ):
        alert = draw(conditions(compared))
        limits = {"for_sec": 30, "cooldown_sec": 3600}
        kept = draw(st.lists(st.sampled_from(sorted(limits)), unique=True))
        spec["alerts"] = [{**alert, **{key: limits[key] for key in kept}}]
    if draw(st.booleans()):
        spec["duration_sec"] = draw(st.sampled_from([60, 600, 5400]))
    if draw(st.booleans()):
        spec["replay_sec"] = draw(st.sampled_from([60, 300]))
    return spec


@settings(max_examples=600)
@given(specs())
def test_a_spec_that_english_can_say_comes_back(given_spec):
    """Markets, shares, posts, news and trends, windows, conditions and lengths of time."""
    spec, options = read_spec(given_spec)
    said = say(spec, options, VOCABULARY)

    assert said.sentence is not None, (said.unsayable, json.dumps(given_spec))
    understood = understand(said.sentence, VOCABULARY)
    assert read_spec(understood.spec)[1] == options
    assert say(*read_spec(understood.spec), VOCABULARY).sentence == said.sentence


@pytest.mark.parametrize("text", [a for a, b in corpus() if b.startswith("=>")])
def test_what_a_sentence_became_can_be_said(text):
    """The spec of each understood sentence of the corpus has a sentence: with the same spec."""
    found = understand(text, VOCABULARY)
    if any(w.code == "unfit_window" for w in found.warnings):
        pytest.skip("no stream can have this window")
    spec, options = read_spec(found.spec)

    said = say(spec, options, VOCABULARY)

    assert said.sentence is not None, (found.sentence, said.unsayable)


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"sinks": [{"type": "files", "path": "x"}]}, "/spec/sinks"),
        ({"late": "update"}, "/spec/late"),
        ({"fill": "previous"}, "/spec/fill"),
        ({"label": "mine"}, "/label"),
        ({"simulate": True}, "/spec/simulate"),
        ({"filter": "price_avg * 2 > 5"}, "/spec/filter"),
        (
            {"alerts": [{"when": "price_avg > 5", "recover": "price_avg < 4"}]},
            "/spec/alerts/0/recover",
        ),
        ({"sources": [{"type": "ccxt", "lateness_sec": 2}]}, "/spec/sources/0/lateness_sec"),
        ({"sources": [{"type": "ccxt", "stale_sec": 30}]}, "/spec/sources/0/stale_sec"),
        ({"fields": ["asks"]}, "/spec/fields"),
    ],
)  # fmt: skip
def test_what_english_has_no_words_for_is_named(more, pointer):
    """By a pointer into the spec."""
    spec = {"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"], "interval_sec": 5, **more}
    said = say(*read_spec(spec), VOCABULARY)

    assert said.sentence is None
    assert pointer in said.unsayable, json.dumps(said.unsayable)


@settings(max_examples=150)
@given(
    st.sets(st.sampled_from(sorted(SINGLE)), min_size=1),
    st.sampled_from([{}, {"timeframes": ["5s"]}, {"window_sec": 60}]),
)
def test_parts_of_feeds_can_be_said(fields, more):
    """Any choice of single fields has a sentence, which becomes the same fields again."""
    given_spec = {"sources": [{"type": "ccxt"}], "symbols": ["BTC/USDT"], "interval_sec": 5}
    spec, options = read_spec({**given_spec, "fields": sorted(fields), **more})

    said = say(spec, options, VOCABULARY)

    assert said.sentence is not None, said.unsayable
    assert set(understand(said.sentence, VOCABULARY).spec["fields"]) == fields
