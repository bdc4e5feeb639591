"""What was missed is fetched, its windows are said again, and both are told: from the spec on."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bond_core.clock import NS
from bond_core.errors import Fatal, Retryable
from bond_core.plugin import Page, Trade
from tests.core.runtime import markets
from tests.core.runtime.markets import BTC, SPEC, Market, last_said, notices, of_type
from tests.core.runtime.puppets import START_NS, play

FIRST = START_NS // NS + 40
"""The second in which a story begins."""


def tell(story):
    """Let a story of these markets happen."""
    play(story, specs=markets.SPECS)


def agrees(market, records, *, first=FIRST, but=(), symbol=BTC):
    """Compare the last word on each window with what was traded."""
    said = last_said(records, symbol)
    assert said
    for second, record in said.items():
        if second >= first and second not in but:
            truth = market.truth(second, symbol)
            assert {key: record[key] for key in truth} == truth, second
    return said


async def busy(world, market, seconds, *, lose=(), every_s=0.25):
    """Trade every quarter of a second; `lose` says which of these trades aren't heard."""
    for n in range(round(seconds / every_s)):
        market.trade(heard=n not in lose, size=1.0 + n)
        await world.clock.advance(every_s)


def test_lost_trades_are_fetched_by_their_numbers():
    """Where ids jump, exactly what is missing is asked for; the windows are as they were traded."""

    async def story(world):
        market = Market(world.clock)
        async with world.stream(SPEC):
            await busy(world, market, 3, lose={5, 6, 9})
            await busy(world, market, 3)
            records = await world.records()
        said = agrees(market, records)
        assert all(r["sources"]["alpha"]["duplicates"] == 0 for r in records)
        assert sum(r["sources"]["alpha"]["gaps"] for r in said.values()) >= 1
        (first, *_) = market.holes
        assert (first[1].after_id, first[1].until_id) == ("105", "108")
        assert {n["code"] for n in notices(records, "gap", "repaired")} == {"gap", "repaired"}
        told = [r["raw_data"]["repaired"]["alpha"] for r in records if "repaired" in r["raw_data"]]
        assert told
        assert all(each["complete"] for its in told for each in its)

    tell(story)


def test_closed_windows_of_an_outage_are_said_again():
    """After a reconnect every window of the outage has a next rev, whole, and says why."""

    async def story(world):
        market = Market(world.clock)
        async with world.stream(of_type("untold")):
            await busy(world, market, 2.5)
            market.cut()
            await busy(world, market, 4, every_s=0.5)
            market.up()
            await busy(world, market, 10)
            records = await world.records()
        said = agrees(market, records)
        outage = [said[FIRST + 3], said[FIRST + 4], said[FIRST + 5]]
        assert [r["rev"] for r in outage] == [1, 1, 1]
        assert [r["sources"]["alpha"]["coverage"] for r in outage] == [1.0, 1.0, 1.0]
        assert [r["sources"]["alpha"]["count"] for r in outage] == [r["trades"] for r in outage]
        for record in outage:
            (told,) = record["raw_data"]["repaired"]["alpha"]
            assert told["complete"]
            assert told["from"] <= record["window_end"]
            assert told["until"] >= record["window_start"]
            assert [n["code"] for n in record["notices"]] == ["revised"]
        first = next(r for r in records if r["window_start"] == outage[1]["window_start"])
        assert (first["rev"], first["trades"]) == (0, None)

    tell(story)


def test_a_silent_outage_turns_out_to_be_silence():
    """What was unknown is known to be nothing: null becomes 0, with a rev of its own."""

    async def story(world):
        market = Market(world.clock)
        async with world.stream(of_type("untold")):
            await busy(world, market, 2)
            market.cut()
            await world.clock.advance(4)
            market.up()
            await world.clock.advance(2)
            await busy(world, market, 3)
            records = await world.records()
        said = agrees(market, records)
        silent = said[FIRST + 4]
        assert (silent["rev"], silent["trades"], silent["price_close"]) == (1, 0, None)
        assert silent["sources"]["alpha"]["coverage"] == 1.0
        assert "missed nothing" in silent["notices"][0]["detail"]

    tell(story)


def test_without_a_way_to_ask_the_gap_is_told():
    """A source that can't be asked is told to have missed some; nothing is made up."""

    async def story(world):
        market = Market(world.clock)
        async with world.stream(of_type("mute")):
            await busy(world, market, 3, lose={5, 6})
            await busy(world, market, 3)
            records = await world.records()
        assert market.holes == []
        (told,) = notices(records, "gap", "repaired")
        assert told["detail"].startswith("2 of the trades of BTC/USDT were not heard")
        lost = last_said(records)[FIRST + 1]
        assert (lost["trades"], lost["rev"]) == (2, 0)
        assert not any("repaired" in r["raw_data"] for r in records)

    tell(story)


def test_out_of_order_is_no_hole():
    """A trade that comes after the next one is not asked for, nor told."""

    async def story(world):
        market = Market(world.clock)
        async with world.stream(SPEC):
            market.trade()
            held = market.trade(heard=False)
            market.trade()
            await world.clock.advance(0.1)
            market.send(held)
            await world.clock.advance(5)
            records = await world.records()
        agrees(market, records)
        assert market.holes == []
        assert notices(records, "gap", "repaired") == []

    tell(story)


def test_numbers_prove_that_nothing_was_missed():
    """After a reconnect the next number is all it takes: no request, no gap that isn't one."""

    async def story(world):
        market = Market(world.clock)
        async with world.stream(SPEC):
            await busy(world, market, 2)
            market.cut()
            await world.clock.advance(0.7)
            market.up()
            while market.ctx is None:
                await world.clock.advance(0.05)
            market.trade()
            await world.clock.advance(4)
            records = await world.records()
        agrees(market, records)
        assert market.holes == []
        said = [n["detail"] for n in notices(records, "repaired")]
        assert said in ([], ["trades of BTC/USDT: none were missed"])

    tell(story)


def test_two_streams_cause_one_request():
    """Who shares a feed shares what is fetched for it; a stream that came later isn't bothered."""

    async def story(world):
        market = Market(world.clock)
        async with world.stream(SPEC, "one"), world.stream(SPEC | {"interval_sec": 2}, "two"):
            await busy(world, market, 4.2, lose={13, 14})
            async with world.stream(SPEC, "three"):
                await busy(world, market, 4)
                later = await world.records("three")
            one, two = await world.records("one"), await world.records("two")
        assert len(market.holes) == 1
        agrees(market, one)
        assert [r["trades"] for r in two[:2]] == [8, 8]
        assert notices(two, "repaired")
        assert all(r["sources"]["alpha"]["late"] == 0 for r in later)

    tell(story)


def test_drop_completes_what_is_open():
    """Without corrections open windows are whole; what came too late is counted and told."""

    async def story(world):
        market = Market(world.clock)
        async with world.stream(of_type("untold", late="drop", interval_sec=4)):
            await busy(world, market, 4.5)
            market.cut()
            await busy(world, market, 5)
            market.up()
            await busy(world, market, 8)
            records = await world.records()
        sums = [sum(market.truth(FIRST + 4 * n + k)["trades"] for k in range(4)) for n in range(4)]
        said = [r["trades"] for r in records]
        assert all(r["rev"] == 0 for r in records)
        assert said[0] == sums[0]
        assert said[1] < sums[1]
        assert said[2:4] == sums[2:4]
        late = sum(r["sources"]["alpha"]["late"] for r in records)
        assert late == sums[1] - said[1]
        assert notices(records, "late_dropped")

    tell(story)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Fatal("no history here"), "no history here"),
        (ValueError("odd"), "bug in the connector: ValueError: odd"),
        (SystemExit(3), "bug in the connector"),
        (Page([], None), "the source doesn't have them"),
        (Page([{"id": 103}], None), "events are events, not dict"),
        (Page([], "more"), "rest is a Hole or None, not str"),
        (Page([Trade(symbol="ETH/USDT", ts=1, price=1.0, size=1.0)]), "ETH/USDT came where"),
        (Page([Trade(symbol=BTC, ts=1.5, price=1.0, size=1.0)]), "whole numbers"),
        (Page([Trade(symbol=BTC, ts=n, price=1.0, size=1.0) for n in range(5_001)]), "5000 events"),
    ],
)
def test_what_can_not_be_had_is_told(error, said):
    """A failure, a bug, an empty answer: the gap stays, and says why; the feed goes on."""

    async def story(world):
        market = Market(world.clock)
        if isinstance(error, SystemExit):

            async def leaving(ctx, hole):
                raise error

            market.backfill = leaving
        else:
            market.answers = [error]
        async with world.stream(SPEC):
            await busy(world, market, 2, lose={2, 3})
            await busy(world, market, 4)
            records = await world.records()
        told = notices(records, "gap")[-1]
        assert said in told["detail"]
        assert "2 are still missing" in told["detail"]
        (its,) = [
            r["raw_data"]["repaired"]["alpha"] for r in records if "repaired" in r["raw_data"]
        ]
        assert [(each["events"], each["complete"]) for each in its] == [(0, False)]
        agrees(market, records, but=(FIRST,))
        assert records[-1]["sources"]["alpha"]["status"] == "live"

    tell(story)


def test_a_request_that_may_work_later_is_repeated():
    """A refusal for now is waited out as long as it asks; three in a row are the end of it."""

    async def story(world):
        market = Market(world.clock)
        market.answers = [Retryable("slow down", retry_after_s=3.0), OSError("reset")]
        async with world.stream(SPEC):
            await busy(world, market, 1, lose={2})
            await busy(world, market, 9)
            assert len(market.holes) == 3
            assert market.holes[1][0] - market.holes[0][0] >= 3 * NS
            agrees(market, await world.records())
            market.answers = [OSError("reset")] * 9
            await busy(world, market, 1, lose={2})
            await busy(world, market, 9)
            records = await world.records()
        assert len(market.holes) == 6
        assert "OSError: reset" in notices(records, "gap")[-1]["detail"]

    tell(story)


def test_an_answer_that_never_comes_is_given_up():
    """A request has its time; the connector that ignores it is asked again, and then no more."""

    async def story(world):
        market = Market(world.clock)
        market.pause_s = 1e6
        async with world.stream(SPEC):
            await busy(world, market, 1, lose={2})
            await busy(world, market, 70, every_s=0.5)
            records = await world.records()
        assert (len(market.holes), market.cancelled) == (3, 3)
        assert "no answer within 20 s" in notices(records, "gap")[-1]["detail"]

    tell(story)


def test_pages_are_put_together_and_are_bounded():
    """As many pages as it takes, up to the limit; what is over is told with its time."""

    async def story(world):
        market = Market(world.clock)
        market.page = 2
        async with world.stream(SPEC):
            await busy(world, market, 3, lose=set(range(3, 8)))
            await busy(world, market, 4)
            agrees(market, await world.records())
            assert len(market.holes) == 3
        market = Market(world.clock)
        market.page = 2
        async with world.stream(of_type("small"), "small"):
            await busy(world, market, 4, lose=set(range(3, 12)))
            await busy(world, market, 4)
            records = await world.records("small")
        assert len(market.holes) == 2
        told = notices(records, "gap")[-1]
        assert "no more than 3 events" in told["detail"]
        assert "6 are still missing" in told["detail"]
        missed = [t for t in market.trades[BTC] if 103 + 4 <= t.seq <= 112]
        assert last_said(records)[missed[-1].ts // NS]["trades"] < 4

    tell(story)


def test_of_a_long_outage_the_end_is_fetched():
    """What is too long ago is not asked for, and told to be missing."""

    async def story(world):
        market = Market(world.clock)
        async with world.stream(of_type("short")):
            await busy(world, market, 2)
            market.cut()
            await busy(world, market, 8)
            market.up()
            await busy(world, market, 8)
            records = await world.records()
        (_, hole), *_ = market.holes
        assert hole.until_ts_ns - hole.after_ts_ns == 2 * NS
        assert "no more than 2 s" in notices(records, "gap")[-1]["detail"]
        said = last_said(records)
        assert said[FIRST + 3]["trades"] is None
        assert said[FIRST + 3]["sources"]["alpha"]["coverage"] == 0.0
        agrees(market, records, first=hole.after_ts_ns // NS + 1)

    tell(story)


def test_many_symbols_do_not_stampede():
    """After one reconnect their holes are asked for one by one, at the pace the source allows."""
    symbols = [f"{base}/USDT" for base in ("ADA", "BTC", "ETH", "SOL", "XRP")]

    async def story(world):
        market = Market(world.clock)
        market.pause_s = 0.3
        async with world.stream(of_type("slow", symbols=symbols)):
            for symbol in symbols:
                market.trade(symbol)
            await world.clock.advance(1)
            market.cut()
            for symbol in symbols:
                market.trade(symbol)
            await world.clock.advance(0.4)
            market.up()
            await world.clock.advance(2)
            for symbol in symbols:
                market.trade(symbol)
            await world.clock.advance(10)
            records = await world.records()
        assert sorted(hole.symbol for _, hole in market.holes) == symbols
        times = [at for at, _ in market.holes]
        assert all(b - a >= NS for a, b in pairwise(times))
        assert market.most_asking == 1
        for symbol in symbols:
            agrees(market, records, symbol=symbol)

    tell(story)


def test_a_lost_connection_ends_the_request_and_keeps_the_hole():
    """What was being asked is cancelled with the connection, and asked anew on the next."""

    async def story(world):
        market = Market(world.clock)
        market.pause_s = 5.0
        async with world.stream(SPEC):
            await busy(world, market, 2, lose={2, 3})
            assert market.asking == 1
            market.cut()
            await busy(world, market, 1, every_s=0.5)
            assert (market.asking, market.cancelled) == (0, 1)
            market.pause_s = 0.0
            market.up()
            await busy(world, market, 6)
            agrees(market, await world.records())

    tell(story)


def test_a_stream_that_ends_takes_its_request_with_it():
    """Nobody waits for an answer that nobody wants."""

    async def story(world):
        market = Market(world.clock)
        market.pause_s = 1e6
        async with world.stream(SPEC):
            await busy(world, market, 2, lose={2, 3})
            assert market.asking == 1
        await world.clock.advance(6)
        assert (market.asking, market.cancelled) == (0, 1)

    tell(story)


def test_a_frozen_feed_that_comes_back_is_mended():
    """It said nothing for longer than may be, though connected; then what it missed is fetched."""

    async def story(world):
        market = Market(world.clock)
        async with world.stream(of_type("frozen")):
            await busy(world, market, 2)
            await busy(world, market, 8, lose=set(range(99)))
            await busy(world, market, 4)
            records = await world.records()
        assert notices(records, "stale")
        assert notices(records, "repaired")
        agrees(market, records)

    tell(story)


def test_a_hole_the_source_tells_of_is_fetched():
    """By its times where it names them; repeats of what was heard aren't counted, nor told."""

    async def story(world):
        market = Market(world.clock)
        async with world.stream(of_type("untold")):
            await busy(world, market, 3, lose={4, 5})
            from_ns, to_ns = (market.trades[BTC][n].ts for n in (3, 6))
            market.ctx.gap("trades", BTC, from_ns=from_ns, to_ns=to_ns, detail="a jump")
            await busy(world, market, 3)
            market.trade(heard=False)
            now_ns = world.clock.now_ns()
            market.ctx.gap("trades", BTC, from_ns=now_ns, to_ns=now_ns, detail="can't be read")
            await busy(world, market, 3)
            records = await world.records()
        agrees(market, records)
        assert len(market.holes) == 2
        assert sum(r["sources"]["alpha"]["duplicates"] for r in records) == 0
        assert len(notices(records, "repaired")) == 2

    tell(story)


def test_nothing_is_taken_that_may_have_been_counted():
    """Trades without an id, of another time, or unsound: none of them gets into a window."""
    odd = [
        Trade(symbol=BTC, ts=START_NS + 42 * NS, price=1.0, size=9.0, id=None, seq=0),
        Trade(symbol=BTC, ts=START_NS + 30 * NS, price=1.0, size=9.0, id="old", seq=0),
        Trade(symbol=BTC, ts=START_NS + 42 * NS, price=float("nan"), size=9.0, id="nan", seq=0),
    ]

    async def story(world):
        market = Market(world.clock)
        market.answers = [Page(odd, None)]
        async with world.stream(of_type("untold")):
            await busy(world, market, 2)
            market.cut()
            await world.clock.advance(0.4)
            market.up()
            await world.clock.advance(2)
            await busy(world, market, 2)
            records = await world.records()
        assert len(market.holes) == 1
        agrees(market, records)
        assert sum(r["sources"]["alpha"]["rejected"] for r in records) == 2

    tell(story)


FAILOVER = SPEC | {
    "sources": [{"type": "untold", "exchanges": ["alpha"], "fallback": ["beta"]}],
}


def test_what_a_stand_in_served_is_not_counted_twice():
    """Until it serves, the first one's trades are fetched; from then on it is the stand-in's."""

    async def story(world):
        alpha, beta = Market(world.clock), Market(world.clock, "beta")
        async with world.stream(FAILOVER):
            await busy(world, alpha, 2.25)
            alpha.cut()
            beta_since_ns = None
            for n in range(24):
                alpha.trade(heard=True)
                if beta.ctx is not None:
                    beta_since_ns = beta_since_ns or world.clock.now_ns()
                    beta.trade(size=100.0)
                if n == 15:
                    alpha.up()
                await world.clock.advance(0.25)
            await busy(world, alpha, 6)
            records = await world.records()
        said = last_said(records)
        assert beta.holes == []
        assert len(alpha.holes) == 1
        for second in range(beta_since_ns // NS + 1, FIRST + 6):
            assert said[second]["raw_data"]["sources"] in (["beta"], ["alpha", "beta"])
            if "alpha" not in said[second]["raw_data"]["sources"]:
                assert said[second]["volume_sum"] == beta.truth(second)["volume_sum"]
        told = [n for n in notices(records, "gap") if "stood in" in n["detail"]]
        assert len(told) == 1
        agrees(alpha, records, first=said and max(said) - 3)

    tell(story)


def lossy(seed, lose, outages, *, name):
    """Return the last word on each window of a run that loses some of its trades."""
    found = {}

    async def story(world):
        draw = random.Random(seed)
        market = Market(world.clock)
        async with world.stream(of_type(name)):
            market.trade()
            await world.clock.advance(0.1)
            for n in range(60):
                for start, length in outages:
                    if n == start:
                        market.cut()
                    if n == start + length:
                        market.up()
                market.trade(heard=n not in lose, size=draw.choice((1.0, 2.0, 0.5)))
                await world.clock.advance(draw.choice((0.0, 0.05, 0.2, 0.4)))
            market.up()
            await world.clock.advance(20)  # as long as the pause between two attempts gets here
            market.trade()
            await world.clock.advance(8)
            records = await world.records()
        found.update(agrees(market, records))

    tell(story)
    keys = ("trades", "volume_sum", "price_open", "price_high", "price_low", "price_close")
    return {second: {key: r[key] for key in keys} for second, r in found.items()}


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 9),
    lose=st.sets(st.integers(0, 59)),
    outages=st.lists(st.tuples(st.integers(0, 59), st.integers(1, 20)), max_size=2),
)
def test_a_lossy_run_says_in_the_end_what_a_whole_one_says(seed, lose, outages):
    """Whatever trades and connections are lost, the last word on every window is the same."""
    assert lossy(seed, lose, outages, name="told") == lossy(seed, (), (), name="told")


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 9),
    outages=st.lists(st.tuples(st.integers(0, 59), st.integers(1, 20)), max_size=3),
)
def test_outages_alone_need_no_numbers(seed, outages):
    """Where ids say nothing of what is missing, lost connections are mended all the same."""
    assert lossy(seed, (), outages, name="untold") == lossy(seed, (), (), name="untold")
