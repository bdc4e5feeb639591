"""Binding a spec to what is installed: what it means here, and what can't be had."""

from __future__ import annotations

import json

import attrs
import pytest

from bond_core.aggregators import plugin as builtin
from bond_core.errors import NotInstalledError, PluginError, RequestError, SetupError
from bond_core.plugin import AggregatorSpec, Channel, ConnectorSpec, setting
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, register
from bond_core.runtime.binding import Defaults, bind
from bond_core.spec.canonical import canonical_json
from bond_core.spec.read import read_spec
from bond_core.windows.plan import VenueWindow


@attrs.frozen
class VenueConfig:
    """Settings of a source with venues."""

    venue: str = setting(doc="Which venue")


@attrs.frozen
class PollConfig:
    """Settings of a source that is polled."""

    every_s: float = setting(default=5.0, ge=0.5, doc="Seconds between polls")


TRADES = Channel(name="trades", kind="trade", fields=("price_close", "volume_sum"), lateness_s=0.5)
QUOTES = Channel(name="quotes", kind="quote", fields=("bid_avg", "ask_avg"))
MARKET = ConnectorSpec(
    name="market", factory="m:C", summary="s", config=VenueConfig, aliases=("m.alias",),
    channels=(TRADES, QUOTES), venues=("binance", "okx", "bybit", "kraken"),
    venue_aliases={"okex": "okx", "vision": "binance"}, simulator="m:S",
    simulated_venues=("binance", "okx"),
)  # fmt: skip
POSTS = ConnectorSpec(
    name="posts", factory="m:C", summary="s", default_symbol="asset", needs={"X_KEY": "your key"},
    channels=(Channel(name="posts", kind="post", fields=("tweets",), time="receive", gates=False),),
)  # fmt: skip
POLL = ConnectorSpec(
    name="poll", factory="m:C", summary="s", config=PollConfig, polls_every_s=5.0,
    channels=(Channel(name="quotes", kind="quote", fields=("bid_avg",), lateness_s=0.5),),
)  # fmt: skip
CHAIN = ConnectorSpec(
    name="chain", factory="m:C", summary="s",
    channels=(Channel(name="blocks", kind="chain", fields=("onchain_count",), scope="stream"),),
)  # fmt: skip


def catalog(*more):
    """Return a catalogue of these connectors, what is built in, and `more`."""
    own = (MARKET, POSTS, POLL, CHAIN, *more)
    rows = [("builtin", register(builtin, name="builtin")), ("test", own)]
    return Catalog(
        PluginRow(name=n, distribution="d", version="1", module="m", state="loaded", specs=specs)
        for n, specs in rows
    )


def bound(*sources, symbols=("BTC/USDT",), defaults=None, more=(), **keys):
    """Bind a spec of these sources, given as types or as whole sources."""
    spec = {
        "sources": [{"type": s} if isinstance(s, str) else s for s in sources or ("market",)],
        "symbols": list(symbols),
        **keys,
    }
    return bind(read_spec(spec)[0], catalog(*more), defaults or Defaults())


def refusal(*args, error=RequestError, **keys):
    """Return the error that refuses to bind."""
    with pytest.raises(error) as caught:
        bound(*args, **keys)
    return caught.value


def names(sources):
    """Return the names under which sources stand in records."""
    return [source.plan.name for source in sources]


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("X_KEY", "x")


# Venues


def test_default_venues_serve_and_stand_in():
    """None named: two merged, a third behind, told as assumed; each channel is a source."""
    it = bound()

    assert names(it.sources) == ["binance", "okx", "binance.quotes", "okx.quotes"]
    assert {group: names(behind) for group, behind in it.fallbacks.items()} == {
        (0, "trades"): ["bybit"],
        (0, "quotes"): ["bybit.quotes"],
    }
    assert it.assumed == ("exchanges=binance,okx (bybit standing in)",)
    assert it.spec.sources[0].exchanges == ("binance", "okx")
    assert it.spec.sources[0].fallback == ("bybit",)


@pytest.mark.parametrize(
    ("keys", "exchanges", "fallback"),
    [
        ({"exchanges": ["okex", "OKX", "kraken"]}, ("kraken", "okx"), ()),
        ({"exchanges": ["okx"], "fallback": ["kraken", "okx", "binance"]}, ("okx",),
         ("kraken", "binance")),
        ({"exchanges": ["okx", "vision"]}, ("binance", "okx"), ()),
        ({"fallback": ["kraken"]}, ("binance", "okx"), ("kraken",)),
        ({"exclude_exchanges": ["okex"]}, ("binance",), ("bybit",)),
        ({"exclude_exchanges": ["bybit"]}, ("binance", "okx"), ()),
        ({"exclude_exchanges": ["binance", "okx"]}, ("bybit",), ()),
        ({"exclude_exchanges": ["binance", "okx"], "fallback": ["kraken", "bybit"]}, ("kraken",),
         ("bybit",)),
    ],
)  # fmt: skip
def test_which_venues_serve(keys, exchanges, fallback):
    """Named ones merged under their own ids, the excluded left out, fallbacks in their order."""
    source = bound({"type": "market", **keys}).spec.sources[0]

    assert (source.exchanges, source.fallback, source.exclude_exchanges) == (
        exchanges,
        fallback,
        (),
    )


@pytest.mark.parametrize(
    ("source", "pointer", "detail"),
    [
        ({"exchanges": ["okx", "binnance"]}, "exchanges", "I don't know the exchange 'binnance'"),
        ({"fallback": ["x"]}, "fallback", "I don't know the exchange 'x'"),
        ({"exclude_exchanges": ["x"]}, "exclude_exchanges", "I don't know the exchange 'x'"),
        ({"exchanges": ["okx"], "exclude_exchanges": ["okx"]}, "exclude_exchanges",
         "okx is asked for and excluded at once"),
        ({"exclude_exchanges": ["binance", "okx", "bybit"]}, "exchanges",
         "none of the default exchanges is left"),
        ({"type": "posts", "exchanges": ["okx"]}, "exchanges", "posts has no venues"),
        ({"type": "posts", "exclude_exchanges": ["okx"]}, "exclude_exchanges",
         "posts has no venues"),
    ],
)  # fmt: skip
def test_venues_that_cannot_be_had(source, pointer, detail):
    """Unknown, contradictory, or none left: told where it stands, never ignored."""
    error = refusal({"type": "market", **source})

    assert error.problems[0].pointer == f"/spec/sources/0/{pointer}"
    assert error.problems[0].detail.startswith(detail)
    if "binnance" in detail:
        assert error.problems[0].did_you_mean[0] == "binance"
        assert error.code == "unknown_exchange"


def test_defaults_that_a_connector_does_not_reach_are_left_out():
    """A server's default venues apply as far as the connector knows them."""
    it = bound(defaults=Defaults(exchanges=("nowhere", "okex"), fallback=("kraken",)))

    assert it.spec.sources[0].exchanges == ("okx",)


# Types, keys, fields


def test_an_alias_becomes_the_connectors_name():
    """So that one stream has one id, however its source was called."""
    assert bound("m.alias").spec == bound("market").spec


@pytest.mark.parametrize(
    ("source", "error", "code", "text"),
    [
        ("markt", RequestError, "unknown_source", "I don't know the source type 'markt'"),
        ("twitter", NotInstalledError, "not_installed", "provides tweets: bond-x does"),
    ],
)
def test_a_type_that_nobody_provides(source, error, code, text):
    """A known family names the plugin to install, anything else what may have been meant."""
    caught = refusal(source, error=error)

    assert caught.code == code
    assert text in caught.detail
    assert caught.problems[0].pointer == "/spec/sources/0/type"
    assert caught.problems[0].did_you_mean == (("market",) if source == "markt" else ())


def test_a_missing_key_is_named(monkeypatch):
    """With what to do about it; a simulated source needs none."""
    monkeypatch.delenv("X_KEY")

    error = refusal("posts", error=SetupError)

    assert (error.code, error.fix) == ("missing_key", "export X_KEY=…")
    assert error.detail == "posts needs X_KEY (your key)"


def test_simulation_is_asked_for_and_part_of_the_spec():
    """By the spec, the server or a source, which may refuse it; never without a simulator."""
    real, all_made_up = bound(), bound(defaults=Defaults(simulate=True))
    kept_real = bound({"type": "market", "simulate": False}, simulate=True)

    assert not any(source.plan.simulated for source in (*real.sources, *kept_real.sources))
    assert all(source.plan.simulated for source in all_made_up.sources)
    assert all(source.origin.simulated for source in all_made_up.sources)
    assert canonical_json(real.spec) != canonical_json(all_made_up.spec)
    assert "no simulator" in refusal("posts", simulate=True, error=NotInstalledError).detail


def test_fields_choose_feeds():
    """A field brings its feed; without any, each source's default feeds are taken."""
    it = bound("market", "posts", fields=["bid_avg", "tweets"])

    assert names(it.sources) == ["binance", "okx", "posts"]
    assert {source.channel.name for source in it.sources} == {"quotes", "posts"}
    assert list(it.plan.fields) == ["bid_avg", "tweets"]
    assert {kind for kind, _ in bound("market", "posts").plan.fields.values()} == {
        "trade", "quote", "post",
    }  # fmt: skip


def test_an_unknown_field_is_refused():
    """With those that the stream's sources bring."""
    error = refusal(fields=["price_close", "bid_av"])

    assert error.code == "unknown_field"
    assert (error.problems[0].pointer, error.problems[0].text) == ("/spec/fields", "bid_av")
    assert error.problems[0].did_you_mean[0] == "bid_avg"


# Symbols


def test_who_is_asked_for_what():
    """Posts by base asset, markets by symbol, a chain by nothing; each counts for its symbols."""
    it = bound("market", "posts", "chain", symbols=["BTC/USDT", "BTC/USDC", "ETH/USDT"])
    by_name = {source.plan.name: source for source in it.sources}

    assert by_name["binance"].asks == ("BTC/USDT", "BTC/USDC", "ETH/USDT")
    assert by_name["posts"].asks == ("BTC", "ETH")
    assert by_name["posts"].plan.routes["BTC"] == ("BTC/USDT", "BTC/USDC")
    assert by_name["chain"].asks == ("",)
    assert by_name["chain"].plan.routes[""] == ("BTC/USDT", "BTC/USDC", "ETH/USDT")


def test_symbols_that_lead_nowhere_are_refused():
    """One that nobody listens to, and one that a source asks for beside the stream."""
    unheard = refusal(symbols=["BTC/USDT", "AAPL"])
    beside = refusal({"type": "market", "symbols": ["ETH/USDT"]})

    assert (unheard.problems[0].pointer, unheard.problems[0].text) == ("/spec/symbols", "AAPL")
    assert "no source of this stream listens to AAPL" in unheard.detail
    assert beside.problems[0].did_you_mean == ("ETH/USDT",)


# Times and settings


def test_times_come_from_the_channel_or_the_source():
    """Lateness, idleness and staleness; a polled source waits for its polls."""
    plain, own = (
        bound(source).sources[0]
        for source in ("market", {"type": "market", "lateness_sec": 2, "stale_sec": 7})
    )
    polled, slower, exact = (
        bound(source).sources[0]
        for source in (
            "poll",
            {"type": "poll", "interval_sec": 10},
            {"type": "poll", "stale_sec": 2},
        )
    )

    assert (plain.plan.lateness_ns, plain.stale_s) == (500_000_000, None)
    assert (own.plan.lateness_ns, own.stale_s) == (2_000_000_000, 7.0)
    assert (polled.plan.idle_ns, polled.stale_s) == (5_000_000_000, 15.5)
    assert (slower.plan.idle_ns, slower.stale_s) == (10_000_000_000, 30.5)
    assert slower.origin.config == PollConfig(every_s=10.0)
    assert exact.stale_s == 2


@pytest.mark.parametrize(
    ("source", "pointer", "detail"),
    [
        ({"type": "poll", "interval_sec": "100ms"}, "interval_sec", "must be at least 0.5"),
        ({"type": "market", "interval_sec": 5}, "interval_sec", "takes no 'interval_sec'"),
        ({"type": "market", "query": "x"}, "query", "takes no 'query'"),
        ({"type": "posts", "mapping": {}}, "mapping", "takes no 'mapping'"),
    ],
)
def test_a_key_that_the_connector_does_not_take_is_refused(source, pointer, detail):
    """At the place where the user wrote it, not where the connector would read it."""
    error = refusal(source)

    assert error.problems[0].pointer == f"/spec/sources/0/{pointer}"
    assert detail in error.problems[0].detail


def test_sources_have_names_of_their_own():
    """A given name goes before the venue's; a second source of one venue gets more."""
    okx = {"type": "market", "exchanges": ["okx"]}
    it = bound(
        {**okx, "name": "mine", "symbols": ["BTC/USDT"]},
        {**okx, "symbols": ["ETH/USDT"]},
        {**okx, "symbols": ["SOL/USDT"]},
        symbols=["BTC/USDT", "ETH/USDT", "SOL/USDT"],
    )

    assert len(set(names(it.sources))) == 6
    assert names(it.sources)[:3] == ["mine.okx", "mine.okx.quotes", "okx"]


@pytest.mark.parametrize(
    "sources",
    [
        ({"type": "market"}, {"type": "market"}),
        ({"type": "market", "exchanges": ["binance"]}, {"type": "m.alias", "exchanges": ["okx"],
                                                        "fallback": ["binance"]}),
    ],
)  # fmt: skip
def test_what_would_count_twice_is_refused(sources):
    """Two sources that hear the same trades would sum each of them twice."""
    with pytest.raises(RequestError, match="already") as caught:
        bound(*sources)

    assert caught.value.problems[0].pointer == "/spec/sources/1"


# What is bound is bound


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"fields": ["tweets", "price_close"]},
        {"timeframes": ["1m", "5s"]},
        {"exchanges": ["okex"]},
    ],
)
def test_binding_again_changes_nothing(keys):
    """A stream that is stored and started again has the spec it had, and assumes nothing."""
    venues = {"exchanges": keys.pop("exchanges")} if "exchanges" in keys else {}
    it = bound({"type": "m.alias", **venues}, "posts", **keys)

    again = bind(read_spec(json.loads(canonical_json(it.spec)))[0], catalog(), Defaults())

    assert canonical_json(again.spec) == canonical_json(it.spec)
    assert names(again.sources) == names(it.sources)
    assert again.assumed == ()


def test_what_this_version_cannot_do_is_said():
    """A key that is understood and not built yet is refused, never ignored."""
    error = refusal(late="side")

    assert (error.code, error.problems[0].pointer) == ("unsupported", "/spec/late")


# Order books


BOOKS = ConnectorSpec(
    name="books", factory="m:C", summary="s", config=VenueConfig, venues=("binance", "okx"),
    channels=(TRADES, Channel(name="book", kind="book", fields=("bids", "bid_depth"),
                              default=False)),
)  # fmt: skip


def levels(it, field, n=60):
    """Return how many of a book's levels a field of a bound stream has."""
    _, plan = it.plan.fields[field]
    book = (tuple((float(n - i), 1.0) for i in range(n)), ())
    window = VenueWindow(
        venue="v", value=book, before=None, is_live=True, was_heard=True, start_ns=0, end_ns=1
    )
    return plan.finish([window])


def test_depth_brings_the_order_book():
    """A stream with a depth has the books' fields beside the usual ones, of so many levels."""
    it = bound("books", depth=4, more=[BOOKS])

    assert set(it.plan.fields) == {"price_close", "volume_sum", "bids", "bid_depth"}
    assert {source.channel.name for source in it.sources} == {"trades", "book"}
    assert len(levels(it, "bids")) == levels(it, "bid_depth") == 4


def test_books_without_a_depth_have_ten_levels():
    """And a number in a field's name goes before the stream's."""
    it = bound("books", fields=["bids", "bids_3"], depth=5, more=[BOOKS])
    plain = bound("books", fields=["bids"], more=[BOOKS])

    assert [len(levels(it, "bids")), len(levels(it, "bids_3")), len(levels(plain, "bids"))] == [
        5, 3, 10,
    ]  # fmt: skip
    assert {source.channel.name for source in plain.sources} == {"book"}


@pytest.mark.parametrize(
    ("source", "keys", "detail"),
    [
        ("books", {"depth": 101}, "depth is a number of levels from 1 to 100, not 101"),
        ("books", {"depth": 5, "fields": ["price_close"]}, "no source or field of this stream is"),
        ("market", {"depth": 5}, "no source or field of this stream is"),
    ],
)
def test_a_depth_of_nothing_is_refused(source, keys, detail):
    """More levels than there may be, or no order book in the stream."""
    error = refusal(source, more=[BOOKS], **keys)

    assert (error.code, error.problems[0].pointer) == ("invalid_spec", "/spec/depth")
    assert detail in error.detail


# Aggregators of plugins


class Broken:
    """An aggregator that has no plan."""

    def plan(self):
        """Return nothing."""
        return {}


class Raising:
    """An aggregator that can't be made."""

    def __init__(self):
        raise KeyError("oops")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("Broken", "has no plan for its field 'mine'"), ("Raising", "can't be built: KeyError")],
)
def test_an_aggregator_that_breaks_is_its_plugins_fault(name, reason):
    """The stream is refused with the aggregator's name, and nothing else happens."""
    more = (
        AggregatorSpec(
            name="p.mine", kind="custom", fields=("mine",), summary="s",
            factory=f"{__name__}:{name}",
        ),
        ConnectorSpec(
            name="custom.mine", factory="m:C", summary="s",
            channels=(Channel(name="c", kind="custom", fields=("mine",), scope="stream"),),
        ),
    )  # fmt: skip

    error = refusal("custom.mine", more=more, error=PluginError)

    assert f"aggregator p.mine {reason}" in error.detail


# Stocks from whoever has them


@attrs.frozen
class TerminalConfig:
    """Settings of a broker's program."""

    host: str = setting(default="127.0.0.1", env="TERMINAL_HOST", doc="where it runs")


def provider(name, *, key=True, simulator=True):
    """Return a connector of stocks."""
    return ConnectorSpec(
        name=name, factory="m:C", summary="s", default_symbol="stock", channels=(TRADES,),
        simulator="m:S" if simulator else None,
        **{"needs": {f"{name.upper()}_KEY": f"from {name}.example"}} if key
        else {"config": TerminalConfig},
    )  # fmt: skip


THREE = (provider("finnhub"), provider("polygon"), provider("alpaca"))


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        (("POLYGON_KEY", "FINNHUB_KEY"), "polygon"),
        (("FINNHUB_KEY",), "finnhub"),
        (("ALPACA_KEY", "FINNHUB_KEY"), "alpaca"),
    ],
)
def test_stocks_come_from_the_first_that_has_its_key(monkeypatch, keys, chosen):
    """In the order alpaca, polygon, finnhub, ibkr, whatever the order of installing; told."""
    for key in keys:
        monkeypatch.setenv(key, "k")
    it = bound("equities", symbols=("AAPL",), more=THREE)

    assert [s.type for s in it.spec.sources] == [chosen]
    assert it.assumed == (f"provider={chosen}",)
    assert names(it.sources) == [chosen]


def test_without_any_key_all_ways_are_named():
    """Refused with every variable and where to get it."""
    error = refusal("equities", symbols=("AAPL",), more=THREE, error=SetupError)

    assert error.code == "missing_key"
    assert "ALPACA_KEY (from alpaca.example)" in str(error)
    assert "FINNHUB_KEY (from finnhub.example)" in str(error)
    assert error.fix == "export ALPACA_KEY=…"


def test_one_that_needs_no_key_is_the_last_resort(monkeypatch):
    """A broker's own program needs none: it is asked where a setting says that there is one."""
    more = (*THREE, provider("ibkr", key=False))
    error = refusal("equities", symbols=("AAPL",), more=more, error=SetupError)
    alone = bound("equities", symbols=("AAPL",), more=more[3:])
    monkeypatch.setenv("TERMINAL_HOST", "10.0.0.5")

    assert error.code == "missing_key"
    assert "ibkr needs no key, and to be named" in str(error)
    assert alone.assumed == ("provider=ibkr",)
    assert bound("equities", symbols=("AAPL",), more=more).assumed == ("provider=ibkr",)


def test_simulated_stocks_come_from_the_first_that_can_be_simulated():
    """No key is looked at then."""
    more = (provider("alpaca", simulator=False), provider("polygon"))
    everything = bound("equities", symbols=("AAPL",), more=more, defaults=Defaults(simulate=True))
    one = bound({"type": "equities", "simulate": True}, symbols=("AAPL",), more=more)

    assert everything.assumed == one.assumed == ("provider=polygon",)
    assert all(source.plan.simulated for source in (*everything.sources, *one.sources))


def test_stocks_without_any_provider_name_the_plugins():
    """As before: not installed."""
    error = refusal("equities", symbols=("AAPL",), error=NotInstalledError)

    assert "bond-alpaca" in str(error)
