"""What a spec's `fields` and `derived` bring: from the spec to the record."""

from __future__ import annotations

import json

import pytest

from bond_core.aggregators import plugin as builtin
from bond_core.clock import settle
from bond_core.errors import PluginError, RequestError
from bond_core.model.event import Post, Quote, Trade
from bond_core.plugin import AggregatorSpec, ByVenue, Count, Fold, Metric, Reduce, Rolling, Sum
from bond_core.plugin.catalog import Catalog
from bond_core.plugin.discovery import PluginRow, register
from bond_core.plugin.plans import check_plans, plans_of
from bond_core.runtime.binding import Defaults, bind
from bond_core.spec.canonical import canonical_json
from bond_core.spec.read import read_spec
from bond_core.windows.engine import WindowEngine
from tests.core.runtime import puppets
from tests.core.runtime.puppets import Puppet, play

BTC = "BTC/USDT"
NS = 1_000_000_000


class Flow:
    """A plugin's fields of trades, of every sort; some never work."""

    def plan(self):
        """See AggregatorSpec."""
        return {
            "acme_flow": Metric(
                {"buy": Sum("size", "side == 'buy'"), "sell": Sum("size", "side == 'sell'")},
                lambda buy, sell: buy - sell,
            ),
            "acme_big_{1..100}": lambda n: Metric({"n": Count(f"size >= {n}")}),
            "acme_path": Fold(str, lambda s, e: f"{s}{e.price:g} ", str.__add__, str, "text"),
            "acme_odd": Reduce(["price"], lambda _: 1 / 0, max, float),
            "acme_nan": Metric({"n": Count()}, lambda n: n * float("nan")),
        }


class Misspelt:
    """Its expression names what no trade has."""

    def plan(self):
        """See AggregatorSpec."""
        return {"acme_wrong": Metric({"x": Sum("price * sizze")})}


class Unclosed:
    """Its expression can't be parsed."""

    def plan(self):
        """See AggregatorSpec."""
        return {"acme_wrong": ByVenue(Metric({"x": Sum("(price * size")}), len)}


class NoNumber:
    """Its function gives no plan."""

    def plan(self):
        """See AggregatorSpec."""
        return {"acme_wrong": lambda n: Rolling(Metric({"n": Count()}), n, max)}


def a_spec(cls, *fields, **changes):
    """An aggregator of trades."""
    given = {"name": "acme.it", "kind": "trade", "summary": "s"} | changes
    return AggregatorSpec(fields=fields, factory=f"{__name__}:{cls.__name__}", **given)


FLOW = a_spec(Flow, "acme_flow", "acme_big_{1..100}", "acme_path", "acme_odd", "acme_nan")


def bound(monkeypatch=None, *more, exchanges=("alpha",), **keys):
    """A spec bound to the puppets and to `more`."""
    spec = {"sources": [{"type": "puppet", "exchanges": list(exchanges)}], "symbols": [BTC]} | keys
    rows = [
        PluginRow(name=name, distribution=name, version="1", module=name, state="loaded", specs=s)
        for name, s in (("builtin", register(builtin, name="builtin")), ("puppets", puppets.SPECS),
                        ("acme", more))
    ]  # fmt: skip
    return bind(read_spec(spec)[0], Catalog(rows), Defaults())


def refused(*more, **keys):
    """The error that a spec is refused with."""
    with pytest.raises(RequestError) as caught:
        bound(None, *more, **keys)
    return caught.value


def names(stream):
    """Its sources and fields."""
    return [s.plan.name for s in stream.sources], list(stream.plan.fields)


DEFAULT = [*puppets.PRICES, "vwap", "volume_sum", "trades", "bid_avg", "ask_avg"]


def test_without_fields_a_stream_has_what_its_feeds_bring():
    """No field that has to be asked for, however many there are."""
    assert names(bound()) == (["alpha", "alpha.quotes"], DEFAULT)
    assert bound().spec.fields is None


@pytest.mark.parametrize(
    ("fields", "sources"),
    [
        (["volatility"], ["alpha"]),
        (["price_p95", "price_mean_20"], ["alpha"]),
        (["spread", "bid_twa"], ["alpha"]),
        (["return_log"], ["alpha"]),
        (["venue_spread"], ["alpha"]),
        (["spread", "buy_volume"], ["alpha", "alpha.quotes"]),
    ],
)
def test_fields_bring_the_feeds_that_they_need_and_no_other(fields, sources):
    """Nothing else is subscribed to, and nothing else is in the record."""
    stream = bound(fields=fields)

    assert (names(stream)[0], sorted(names(stream)[1])) == (sources, sorted(fields))
    assert stream.spec.fields == tuple(sorted(fields))


def test_derived_adds_to_what_there_is():
    """The spec that comes of it says so by name, and means the same bound again."""
    stream = bound(derived=["volatility", "spread"])

    assert sorted(names(stream)[1]) == sorted([*DEFAULT, "volatility", "spread"])
    again = read_spec(json.loads(canonical_json(stream.spec)))[0]
    assert again.derived == ()
    assert set(again.fields) == {*DEFAULT, "volatility", "spread"}


def test_a_field_of_two_kinds_is_computed_from_the_better_one():
    """Returns are those of trades, though quotes could give them too."""
    (source,) = bound(fields=["return_simple"]).sources

    assert source.plan.kind == "trade"


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("volatilty", "volatility"),
        ("volatility_", "volatility"),
        ("price_p0", "price_p1"),
        ("price_p100", "price_p99"),
        ("price_p095", "price_p95"),
        ("price_p", "price_p20"),
        ("price_mean_1000", "price_mean_500"),
        ("price_median_20", "price_median"),
        ("return", "return_simple"),
        ("buy_volum", "buy_volume"),
        ("acme_flo", "acme_flow"),
        ("price_p{1..99}", "price_p1"),
    ],
)
@pytest.mark.parametrize("key", ["fields", "derived"])
def test_an_unknown_field_is_refused_with_what_may_have_been_meant(key, asked, near):
    """Also those of other people's aggregators, and numbers outside a range."""
    error = refused(FLOW, **{key: [asked]})

    (problem,) = error.problems
    assert (error.code, problem.pointer, problem.text) == ("unknown_field", f"/spec/{key}", asked)
    assert near in problem.did_you_mean
    assert "price_p{1..99}" in error.detail
    for name in problem.did_you_mean:
        assert bound(None, FLOW, **{key: [name]})


def test_a_field_of_another_kind_of_source_is_refused():
    """Posts have authors, and markets don't."""
    assert "authors" not in refused(fields=["authors"]).problems[0].did_you_mean


def test_the_loop_has_only_what_the_fields_need():
    """A field that nobody asked for costs nothing: it isn't there."""
    code = {
        fields: WindowEngine(bound(fields=list(fields)).plan, start_ns=0).source_code["trade"]
        for fields in (("trades",), ("volume_sum", "vwap"), ("volume_share",))
    }

    assert "e.price" not in code["trades",]
    assert "e.size " not in code["trades",]
    assert "c.own" not in code["trades",] + code["volume_sum", "vwap"]
    # All of it, and for the vwap what has no price; for the newest event, and for any other.
    assert code["volume_sum", "vwap"].count("+= e_size") == 2 * 2
    assert "c.own" in code["volume_share",]


def test_a_plugins_fields_are_in_the_record_and_its_faults_stay_its_own(monkeypatch):
    """Its expressions, functions, ranges and texts work; what breaks is null, counted and told."""
    monkeypatch.setattr(puppets, "SPECS", (*puppets.SPECS, FLOW))

    async def story(world):
        fields = ["acme_flow", "acme_big_3", "acme_path", "acme_odd", "acme_nan", "price_close"]
        async with world.stream({**SPEC, "fields": fields}) as pipeline:
            at = world.clock.now_ns()
            for n, side in enumerate(["buy", "sell", "buy"]):
                trade = Trade(BTC, at + n, 10.0 + n, 2.0 + n, side, id=str(n))
                world.emit("alpha", "trades", trade)
            await world.clock.advance(13.0)
            first, second = (await world.records())[:2]
            assert pipeline.engine.field_errors == {"acme_odd": 1, "acme_nan": 2}
        assert first["acme_flow"] == 2 - 3 + 4
        assert (first["acme_big_3"], first["acme_path"]) == (2, "10 11 12 ")
        assert (first["acme_odd"], first["acme_nan"], first["price_close"]) == (None, None, 12)
        told = [n["code"] for record in (first, second) for n in record["notices"]]
        assert told == ["aggregator_error"] * 2
        assert (second["acme_flow"], second["acme_path"]) == (0, "")

    play(story)


SPEC = {"sources": [{"type": "puppet", "exchanges": ["alpha", "beta"]}], "symbols": [BTC],
        "interval_sec": 5}  # fmt: skip


def test_what_venues_say_is_compared_in_the_record():
    """Shares, the best quotes and whose they are, and how far apart; a venue that fails is out."""
    fields = ["volume_share", "best_bid", "best_bid_venue", "best_ask", "best_ask_venue",
              "venue_spread"]  # fmt: skip

    async def story(world):
        def say(who, bid, ask, size):
            at = world.clock.now_ns()
            world.emit(who, "quotes", Quote(BTC, at, bid, ask, id=f"{at}"))
            world.emit(who, "trades", Trade(BTC, at, bid, size, id=f"{at}"))

        async with world.stream({**SPEC, "fields": fields}):
            say("alpha", 100.0, 104.0, 3.0)
            say("beta", 101.0, 107.0, 1.0)
            await world.clock.advance(7.5)
            Puppet.contexts["beta"].failed("quotes", BTC, "gone")
            Puppet.contexts["beta"].failed("trades", BTC, "gone")
            await settle()
            say("alpha", 100.5, 104.5, 2.0)
            await world.clock.advance(10.0)
            first, second, third = (await world.records())[:3]
        assert [first[field] for field in fields] == [
            {"alpha": 0.75, "beta": 0.25}, 101, "beta", 104, "alpha", 2,
        ]  # fmt: skip
        assert [second[field] for field in fields] == [
            {"alpha": 1, "beta": 0}, 100.5, "alpha", 104.5, "alpha", None,
        ]  # fmt: skip
        assert [third[field] for field in fields] == [
            None, 100.5, "alpha", 104.5, "alpha", None,
        ]  # fmt: skip

    play(story)


def test_authors_are_counted_once():
    """0 where posts were listened for and none came."""

    async def story(world):
        spec = {"sources": [{"type": "posts"}], "symbols": ["BTC"], "interval_sec": 5,
                "fields": ["tweets", "authors"]}  # fmt: skip
        async with world.stream(spec):
            at = world.clock.now_ns()
            posts = [Post("BTC", at, "up", who, id=str(n)) for n, who in enumerate("abba")]
            world.emit("posts", "posts", *posts, Post("BTC", at, "up", None, id="x"))
            await world.clock.advance(13.0)
            first, second = (await world.records())[:2]
        assert (first["tweets"], first["authors"]) == (5, 2)
        assert (second["tweets"], second["authors"]) == (0, 0)

    play(story)


@pytest.mark.parametrize(
    ("cls", "field", "said"),
    [
        (Misspelt, "acme_wrong", ("acme_wrong", "'price * sizze'", "'sizze'", "mean size")),
        (Unclosed, "acme_wrong", ("acme_wrong", "'(price * size'", "can't be read")),
        (NoNumber, "acme_wrong", ("acme_wrong", "planned by a function")),
        (Flow, "acme_none", ("no plan for its field 'acme_none'",)),
    ],
)
def test_a_wrong_plan_is_refused_when_its_plugin_loads(cls, field, said):
    """With the aggregator, the field, the expression and what is wrong in it."""
    spec = a_spec(cls, field)

    with pytest.raises(PluginError) as caught:
        check_plans(spec)

    for part in ("acme.it", *said):
        assert part in caught.value.detail
    with pytest.raises(PluginError, match=r"acme\.it"):
        bound(None, spec, fields=[field])


@pytest.mark.parametrize("spec", list(builtin.bond_aggregators()), ids=lambda s: s.name)
def test_what_is_built_in_is_planned_and_named(spec):
    """Each has all its plans, and its words name its fields."""
    assert tuple(plans_of(spec)) == spec.fields
    row = PluginRow(name="b", distribution="b", version="1", module="b", state="loaded",
                    specs=(spec,))  # fmt: skip
    for field in spec.words.values():
        assert Catalog([row]).aggregator(field, spec.kind) is spec
