"""Raw streams: every event as it was heard, and status items that tell the rest in between."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.clock import NS
from bond_core.errors import LogUnavailableError, RequestError
from bond_core.model.event import (
    EVENT_CLASSES,
    Candle,
    Chain,
    Custom,
    Funding,
    Gap,
    OrderBook,
    Post,
    Quote,
    Trade,
)
from bond_core.plugin import Channel, ConnectorSpec
from bond_core.runtime.raw_engine import RawEngine
from bond_core.runtime.tape.told import Tape
from bond_core.wire.raw import Marks, event_as_json, tail_of
from bond_core.wire.times import parse_iso
from tests.core.runtime import markets
from tests.core.runtime.markets import BTC, Market
from tests.core.runtime.puppets import SPECS, VenueConfig, World, bound, play

RAW = {
    "sources": [{"type": "puppet", "exchanges": ["alpha"]}], "symbols": [BTC], "mode": "raw",
    "interval_sec": 5,
}  # fmt: skip
COUNTS = ("count", "late", "duplicates", "gaps", "rejected")


def trade(world: World, n: int, *, ago_s: float = 0.01, symbol: str = BTC, **others) -> Trade:
    """Return a trade of a moment ago."""
    ts = world.clock.now_ns() - round(ago_s * NS)
    given = {"price": 100.0 + n, "size": 1.0, "side": "buy", "id": str(n)}
    return Trade(symbol=symbol, ts=ts, **given | others)


def events(items):
    """Leave out the status items."""
    return [item for item in items if item["kind"] != "status"]


def statuses(items):
    """Return the status items."""
    return [item for item in items if item["kind"] == "status"]


def told(items, source="alpha"):
    """Sum up what the status items counted of a source."""
    found = [s["sources"][source] for s in statuses(items) if source in s["sources"]]
    return {count: sum(each[count] for each in found) for count in COUNTS}


def notices(items, *codes):
    """Return the notices with one of these codes, in order."""
    return [n for item in statuses(items) for n in item["notices"] if n["code"] in codes]


def test_every_event_comes_as_it_was_heard():
    """In order of hearing and of no other; ids rise, and say when it was heard."""

    async def story(world):
        async with world.stream(RAW):
            world.emit("alpha", "trades", trade(world, 1), trade(world, 2, ago_s=0.3))
            world.emit("alpha", "quotes", Quote(BTC, world.clock.now_ns(), bid=1.0, ask=2.0))
            await world.clock.advance(0.1)
            world.emit("alpha", "trades", trade(world, 3, price=None, side=None))
            await world.clock.advance(1)
            items = await world.records()

        heard = events(items)
        assert [(e["kind"], e["event_id"]) for e in heard] == [
            ("trade", "1"), ("trade", "2"), ("quote", None), ("trade", "3"),
        ]  # fmt: skip
        assert heard[0] | {"id": "", "ts": "", "received": ""} == {
            "id": "", "stream_id": "s", "kind": "trade", "symbol": BTC, "source": "alpha",
            "venue": "alpha", "ts": "", "received": "", "event_id": "1", "price": 101.0,
            "size": 1.0, "side": "buy",
        }  # fmt: skip
        assert (heard[3]["price"], heard[3]["side"]) == (None, None)
        for event in heard:
            assert int(event["id"].split("-")[0]) == parse_iso(event["received"]) // 1_000_000
        ids = [tuple(map(int, item["id"].split("-"))) for item in items]
        assert ids == sorted(set(ids))

    play(story)


def test_what_is_not_delivered_is_counted_and_told():
    """Of everything that a source sends: delivered, duplicate, rejected, or not of this stream."""

    async def story(world):
        async with world.stream(RAW):
            one = trade(world, 1)
            nan = trade(world, 2, price=math.nan)
            other = trade(world, 3, symbol="DOGE/USDT")
            world.emit("alpha", "trades", one, nan, trade(world, 1), other)
            await world.clock.advance(2)
            items = await world.records()

        assert [e["event_id"] for e in events(items)] == ["1"]
        assert told(items) == {"count": 1, "late": 0, "duplicates": 1, "gaps": 0, "rejected": 1}
        assert [n["code"] for n in notices(items, "rejected")] == ["rejected"]
        assert notices(items, "rejected")[0]["symbol"] == BTC

    play(story)


def test_a_late_event_is_delivered_marked_and_counted():
    """Where windows might have closed before it: nothing closes here, so nothing is lost."""

    async def story(world):
        async with world.stream(RAW):
            world.emit("alpha", "trades", trade(world, 1), trade(world, 2, ago_s=0.4))
            world.emit("alpha", "trades", trade(world, 3, ago_s=30))
            await world.clock.advance(6)
            items = await world.records()

        assert [e.get("late") for e in events(items)] == [None, None, True]
        assert told(items)["late"] == 1

    play(story)


def test_the_stream_says_that_it_lives():
    """Without any event, and at least every 15 s whatever the interval."""

    async def story(world):
        async with world.stream(RAW), world.stream({**RAW, "interval_sec": 3600}, "slow"):
            await world.clock.advance(60)
            often, seldom = await world.records(), await world.records("slow")

        assert 12 <= len(often) <= 15
        assert 4 <= len(seldom) <= 6
        assert {s["sources"]["alpha"]["status"] for s in often[1:]} == {"live"}

    play(story)


def test_a_source_that_is_down_is_told_before_what_comes_after():
    """And a gap likewise: between the events that it lies between, not a second later."""

    async def story(world):
        async with world.stream(RAW):
            world.emit("alpha", "trades", trade(world, 1))
            now = world.clock.now_ns()
            world.emit("alpha", "trades", Gap(BTC, now, now - NS, now, "a hole"))
            world.emit("alpha", "trades", trade(world, 2))
            await world.clock.advance(2)
            items = await world.records()

        at = next(i for i, item in enumerate(items) if item.get("event_id") == "1")
        assert [item["kind"] for item in items[at : at + 3]] == ["trade", "status", "trade"]
        (gap,) = items[at + 1]["notices"]
        assert (gap["code"], gap["symbol"], gap["source"]) == ("gap", BTC, "alpha")
        assert items[at + 1]["sources"]["alpha"]["gaps"] == 1

    play(story)


def test_a_standby_that_steps_in_is_told_and_named():
    """While a venue is down another's events come, under its own name, behind a notice."""

    async def story(world):
        spec = {**RAW, "sources": [{**RAW["sources"][0], "fallback": ["beta"]}]}
        async with world.stream(spec) as pipeline:
            for feed in pipeline.ears["alpha"].feeds.values():
                feed.turn("reconnecting", world.clock.now_ns(), "lost")
            await world.clock.advance(0.5)
            world.emit("beta", "trades", trade(world, 7))
            await world.clock.advance(0.5)
            for feed in pipeline.ears["alpha"].feeds.values():
                feed.turn("live", world.clock.now_ns(), None)
            await world.clock.advance(6)
            items = await world.records()

        (stood_in,) = events(items)
        assert (stood_in["source"], stood_in["venue"]) == ("beta", "beta")
        before = items[: items.index(stood_in)]
        assert any(s["sources"]["alpha"]["status"] == "reconnecting" for s in statuses(before))
        codes = [n["detail"] for n in notices(items, "failover")]
        assert len(codes) == 2
        assert "beta" not in statuses(items)[-1]["sources"]
        assert told(items, "beta")["count"] == 1

    play(story)


def test_a_raw_stream_begins_when_it_is_told():
    """Not when it looks at the clock: a recording of it begins at the same time again."""
    engine = RawEngine(
        bound(RAW).plan, stream_id="s", now_ns=lambda: 9 * NS, start_ns=NS, every_ns=5 * NS
    )
    engine.finish(NS)

    (step,) = engine.take()
    assert [ms for ms, _ in step.items] == [1000]


def test_what_is_taken_while_the_log_is_away_is_on_the_tape(monkeypatch):
    """Else a recording would make other steps of the same events."""

    async def story(world):
        taken, away = 0, []
        async with world.stream(RAW) as pipeline:
            pipeline._tape = tape = Tape()
            take, append = pipeline.engine.take, world.log.append

            def counting():
                nonlocal taken
                steps = take()
                taken += bool(steps)
                return steps

            async def unsure(*args, **kwargs):
                if len(away) < 2:
                    away.append(args)
                    raise LogUnavailableError("away")
                await append(*args, **kwargs)

            monkeypatch.setattr(pipeline.engine, "take", counting)
            monkeypatch.setattr(world.log, "append", unsure)
            for n in range(8):
                world.emit("alpha", "trades", trade(world, n))
                await world.clock.advance(0.25)
        assert len(away) == 2
        assert sum(told is counting for told, _ in tape.noted) == taken > 1

    play(story)


def test_a_standby_that_comes_and_goes_loses_no_count():
    """What it counted just before it left is told, also where it is back at once."""
    plan = bound({**RAW, "sources": [{**RAW["sources"][0], "fallback": ["beta"]}]})
    engine = RawEngine(plan.plan, stream_id="s", now_ns=lambda: NS, start_ns=NS, every_ns=5 * NS)
    beta = next(s.plan for s in plan.all_sources() if s.plan.name == "beta")
    engine.add_source(beta, NS)
    engine.on_duplicates("beta", BTC, 3)
    engine.remove_source("beta", NS)
    engine.add_source(beta, NS)
    engine.finish(NS)

    items = [json.loads(b"{" + tail) for step in engine.take() for _, tail in step.items]
    assert told(items, "beta")["duplicates"] == 3


def test_what_was_fetched_for_a_hole_is_marked():
    """It comes behind the notice that tells of it, once, and is not called late."""

    async def story(world):
        market = Market(world.clock)
        async with world.stream({**markets.SPEC, "mode": "raw", "late": "drop"}):
            for n in range(12):
                market.trade(heard=n not in {4, 5}, size=1.0 + n)
                await world.clock.advance(0.25)
            await world.clock.advance(3)
            items = await world.records()

        heard = events(items)
        assert sorted(e["event_id"] for e in heard) == sorted({e["event_id"] for e in heard})
        assert len(heard) == 12
        repaired = [e for e in heard if e.get("repaired")]
        assert len(repaired) == 2
        assert not any(e.get("late") for e in heard)
        at = items.index(repaired[0])
        assert items[at - 1]["notices"][0]["code"] == "repaired"

    play(story, specs=markets.SPECS)


def test_posts_and_chains_say_what_they_are_about():
    """An asset's post names the stream's markets of it; a chain's event belongs to none."""

    async def story(world):
        spec = {**RAW, "sources": [*RAW["sources"], {"type": "posts"}, {"type": "chain"}],
                "symbols": [BTC, "BTC/USDC"]}  # fmt: skip
        async with world.stream(spec):
            now = world.clock.now_ns()
            world.emit("posts", "posts", Post("BTC", now - NS, "up \ud800 we go", author="a"))
            world.emit("posts", "posts", Post("BTC", now - NS, "up we go", author="a", id="p"))
            world.emit("chain", "blocks", Chain("", now, chain="sol", type="block", height=9))
            await world.clock.advance(2)
            items = await world.records()

        post, block = events(items)
        assert (post["symbol"], post["symbols"], post["text"]) == ("BTC", [BTC, "BTC/USDC"],
                                                                  "up we go")  # fmt: skip
        assert parse_iso(post["written"]) == parse_iso(post["received"]) - NS
        assert (block["symbol"], block["type"], block["height"]) == (None, "block", 9)
        # What can't be JSON costs itself, and is told.
        assert told(items, "posts")["rejected"] == 1

    play(story)


BOOKS = ConnectorSpec(
    name="books", factory="tests.core.runtime.puppets:Puppet", config=VenueConfig, summary="s",
    venues=("alpha",),
    channels=(Channel(name="book", kind="book", fields=("bids", "asks"), stale_s=None),),
)  # fmt: skip


def test_order_books_have_as_many_levels_as_asked_for():
    """Without a depth all that the venue's event has."""

    async def story(world):
        spec = {**RAW, "sources": [{"type": "books", "exchanges": ["alpha"]}]}
        async with world.stream({**spec, "depth": 2}), world.stream(spec, "all"):
            now = world.clock.now_ns()
            bids = tuple((100.0 - n, 1.0) for n in range(5))
            asks = tuple((101.0 + n, 2.0) for n in range(5))
            world.emit("alpha", "book", OrderBook(BTC, now, bids=bids, asks=asks, sequence=4))
            await world.clock.advance(1)
            (two,), (whole,) = events(await world.records()), events(await world.records("all"))

        assert (two["bids"], two["asks"]) == ([[100, 1], [99, 1]], [[101, 2], [102, 2]])
        assert len(whole["bids"]) == len(whole["asks"]) == 5
        assert (whole["is_snapshot"], whole["sequence"]) == (True, 4)

    play(story, specs=(*SPECS, BOOKS))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("filter", "price_close > 5"), ("alerts", [{"when": "price_close > 5"}]),
        ("timeframes", ["1m"]), ("timeframes", ["100ticks"]), ("window_sec", 60),
        ("late", "update"), ("fill", "skip"), ("derived", ["price_median"]),
    ],
)  # fmt: skip
def test_what_is_about_windows_is_refused(key, value):
    """Never ignored: the problem names the key, and says why."""
    with pytest.raises(RequestError) as caught:
        bound({**RAW, key: value})

    assert caught.value.code == "invalid_spec"
    assert [p.pointer for p in caught.value.problems] == [f"/spec/{key}"]
    assert "raw" in caught.value.problems[0].detail


def test_fields_choose_the_feeds():
    """Those that bring a field, or what it is computed from; events come whole."""
    it = bound({**RAW, "fields": ["bid_avg"]})

    assert [s.channel.name for s in it.sources] == ["quotes"]
    assert bound(json.loads(json.dumps({**RAW}))).spec.mode == "raw"


EXAMPLES = [
    Candle(BTC, 2 * NS, 60 * NS, 1.0, 2.0, 0.5, 1.5, 9.0, start_ts=NS),
    Funding(BTC, NS, rate=0.0001, next_ts=2 * NS),
    Custom("", NS, {"a": [1, {"b": None}]}),
]


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_each_kind_has_all_of_its_own_keys(event):
    """What isn't known is null, and every kind but a gap can be written."""
    body = json.loads(b"{" + tail_of("s", event_as_json(event, Marks(source="x"))))

    assert body["kind"] == event.kind
    expected = {
        "candle": {"length_sec": 60, "start": "1970-01-01T00:00:01Z", "is_closed": True},
        "funding": {"rate": 0.0001, "next": "1970-01-01T00:00:02Z", "mark_price": None},
        "custom": {"values": {"a": [1, {"b": None}]}},
    }[event.kind]
    assert {key: body[key] for key in expected} == expected


def test_every_kind_of_event_has_a_shape():
    """A new kind must say how it looks, or this fails."""
    from bond_core.wire import raw

    assert {*raw._OWN, Trade, OrderBook} == {*EVENT_CLASSES.values()} - {EVENT_CLASSES["gap"]}


moves = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 3), st.sampled_from([0.0, 0.02, 0.3, 7.0])),
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(moves)
def test_nothing_is_lost_and_nothing_comes_twice(steps):
    """Whatever is sent, with repeats and in whatever pieces: it is delivered once, or counted."""

    async def story(world):
        sent = 0
        async with world.stream(RAW):
            for first, more, wait_s in steps:
                batch = [trade(world, n) for n in range(first, first + more)]
                sent += len(batch)
                if batch:
                    world.emit("alpha", "trades", *batch)
                await world.clock.advance(wait_s)
            await world.clock.advance(20)
            items = await world.records()
        ids = [e["event_id"] for e in events(items)]
        counted = told(items)
        assert ids == list(dict.fromkeys(str(n) for f, m, _ in steps for n in range(f, f + m)))
        assert counted["count"] == len(ids)
        assert counted["count"] + counted["duplicates"] == sent

    play(story)
