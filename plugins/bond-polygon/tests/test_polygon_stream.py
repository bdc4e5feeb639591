"""The massive library as it is against a simulated Massive, under the real supervisor."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

pytest.importorskip("massive", reason="massive is not installed")

from bond_core.plugin import Secret
from bond_core.testing.hearing import HurriedClock, hearing
from bond_polygon.config import PolygonConfig
from bond_polygon.plugin import bond_connectors
from bond_polygon.simulator import PolygonSimulator

(POLYGON,) = bond_connectors()
FRIDAY_NS = int(datetime(2026, 11, 20, 15, tzinfo=UTC).timestamp()) * 10**9
SATURDAY_NS = FRIDAY_NS + 86_400 * 10**9
FRIDAY_MS = FRIDAY_NS // 10**6
NO_PRICE = {37, 32, 2}


@asynccontextmanager
async def polygon(*, at_ns=FRIDAY_NS, key="a-key", bars="minute", **options):
    """Run a simulated Massive and the connector against it; the market is open."""
    clock = HurriedClock(20.0, at_ns)
    config = PolygonConfig(Secret(key), bars=bars)
    async with (
        PolygonSimulator(clock=clock, seed=3, options=options) as simulator,
        hearing(POLYGON, config, simulator.url, clock) as heard,
    ):
        yield simulator, heard


def run(scenario, **options):
    """Run a scenario against them."""

    async def go():
        async with polygon(**options) as (simulator, heard):
            return await scenario(simulator, heard)

    came = asyncio.run(go())
    gc.collect()  # what was left open says so now
    return came


def test_trades_and_quotes_come_as_they_were_sent():
    """To the millisecond and the last digit; odd kinds without a price, official prints not."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL", "BRK.B")
        heard.want("quotes", "AAPL")
        for symbol in ("AAPL", "BRK.B"):
            await heard.until(lambda s=symbol: len(heard.ear("trades", s).events) > 50)
        return {(k.channel, k.symbol): list(e.events) for k, e in heard.ears.items()}, simulator

    events, simulator = run(scenario)
    for (channel, symbol), got in events.items():
        mine = [s for s in simulator.told if s["sym"] == symbol]
        if channel == "trades":
            sent = [
                (t["t"] * 10**6, None if NO_PRICE & set(t["c"]) else t["p"], float(t["ds"]), t["q"])
                for t in mine
                if t["ev"] == "T" and 15 not in t["c"]
            ]
            assert [(e.ts, e.price, e.size, e.seq) for e in got] == sent[: len(got)]
            assert {e.price is None for e in got} == {True, False}
        else:
            sent = [
                (q["t"] * 10**6, q["bp"], q["ap"], q["bs"], q["as"]) for q in mine if q["ev"] == "Q"
            ]
            assert [(e.ts, e.bid, e.ask, e.bid_size, e.ask_size) for e in got] == sent[: len(got)]
    assert simulator.server.opened == 1


def test_aggregates_are_candles_of_their_length():
    """Seconds where those are asked for, minutes else."""

    async def scenario(simulator, heard):
        heard.want("bars", "AAPL")
        heard.want("trades", "AAPL")
        await heard.until(lambda: len(heard.ear("bars", "AAPL").events) >= 2)
        return simulator, heard.ear("bars", "AAPL").events[1]

    simulator, candle = run(scenario, bars="second")
    bar = [s for s in simulator.told if s["ev"] == "A"][1]
    assert (candle.open, candle.high, candle.low) == (bar["o"], bar["h"], bar["l"])
    assert (candle.close, candle.volume, candle.length_ns) == (bar["c"], bar["v"], 10**9)
    assert {"action": "subscribe", "params": "A.AAPL,T.AAPL"} in simulator.asked


def test_one_connection_follows_what_is_wanted():
    """Topics come and go on one socket."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        await heard.status("trades", "AAPL", "live")
        heard.want("quotes", "MSFT")
        await heard.status("quotes", "MSFT", "live")
        heard.drop("trades", "AAPL")
        await heard.until(lambda: simulator.asked[-1]["action"] == "unsubscribe")
        return simulator

    simulator = run(scenario)
    assert simulator.server.opened == 1
    assert simulator.asked == [
        {"action": "auth", "params": "***"},
        {"action": "subscribe", "params": "T.AAPL"},
        {"action": "subscribe", "params": "Q.MSFT"},
        {"action": "unsubscribe", "params": "T.AAPL"},
    ]


@pytest.mark.parametrize(
    ("options", "said", "fix"),
    [
        ({"key": "wrong"}, "authentication failed", "export POLYGON_API_KEY"),
        ({"real_time": False}, "You don't have access real-time data", "sign its agreements"),
    ],
)
def test_a_key_or_plan_that_will_not_do_fails_for_good(options, said, fix):
    """One attempt, and the reason says what to change."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        return await heard.status("trades", "AAPL", "failed"), simulator.server.opened

    reason, opened = run(scenario, **options)
    assert said in reason
    assert fix in reason
    assert opened == 1


def test_a_channel_that_the_plan_lacks_fails_alone():
    """Massive names nothing when it refuses: quotes fail, all of them, and trades are heard."""

    async def scenario(simulator, heard):
        heard.want("quotes", "AAPL", "MSFT")
        heard.want("trades", "AAPL", "MSFT")
        reasons = [await heard.status("quotes", symbol, "failed") for symbol in ("AAPL", "MSFT")]
        for symbol in ("AAPL", "MSFT"):
            await heard.status("trades", symbol, "live")
        return reasons

    for reason in run(scenario, channels=["T"]):
        assert "not authorized" in reason
        assert "no quotes" in reason


def test_a_connection_that_is_taken_is_waited_for():
    """Massive lets it in, and then hangs up: that is said, and it is heard once there is room."""

    async def scenario(simulator, heard):
        from websockets.asyncio.client import connect

        async with connect(f"{simulator.url}/stocks") as other:
            await other.recv()
            await other.send('{"action": "auth", "params": "a-key"}')
            await other.recv()
            heard.want("trades", "AAPL")
            reason = await heard.status("trades", "AAPL", "reconnecting")
        await heard.status("trades", "AAPL", "live")
        return reason

    reason = run(scenario)
    assert "another program has this key's one connection" in reason
    assert "Maximum number of websocket connections exceeded" in reason


@pytest.mark.parametrize(
    ("status", "says"),
    [("slow_consumer", "ask for fewer symbols"), ("force_disconnect", "force_disconnect")],
)
def test_what_passes_is_tried_again_and_told_as_a_gap(status, says):
    """The reason is shown, it comes back, and what may be missing is said."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        await heard.status("trades", "AAPL", "live")
        await simulator.end(status, "")
        reason = await heard.status("trades", "AAPL", "reconnecting")
        await heard.status("trades", "AAPL", "live")
        return reason, heard.ear("trades", "AAPL").gaps

    reason, gaps = run(scenario)
    assert says in reason
    assert len(gaps) == 1


def test_a_broken_connection_is_resumed_and_nothing_counts_twice():
    """Cut off, it comes back with a gap; a trade that is sent again is a duplicate."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: len(ear.events) > 5)
        simulator.server.cut()
        await heard.status("trades", "AAPL", "reconnecting")
        await heard.until(lambda: ear.status == "live")
        before = [t for t in simulator.told if t["ev"] == "T" and 15 not in t["c"]][:5]
        await simulator.tell(*before)
        await heard.until(lambda: ear.duplicates)
        return ear

    ear = run(scenario)
    assert ear.duplicates == 5
    assert len({e.id for e in ear.events}) == len(ear.events)
    assert len(ear.gaps) == 1


def test_a_server_that_is_away_or_says_nothing_is_told(monkeypatch):
    """The library would try for ever without a word; here it is told, with why."""

    async def mute(simulator, heard):
        simulator.mute()
        heard.want("trades", "AAPL")
        return await heard.status("trades", "AAPL", "reconnecting")

    async def away():
        clock = HurriedClock(20.0, FRIDAY_NS)
        nobody = "ws://127.0.0.1:1"
        async with hearing(POLYGON, PolygonConfig(Secret("k")), nobody, clock) as heard:
            heard.want("trades", "AAPL")
            return await heard.status("trades", "AAPL", "reconnecting")

    assert "closed the connection" in run(mute, auth_s=1.0)
    assert "doesn't answer to the key" in run(mute, auth_s=600.0)
    assert "Connect call failed" in asyncio.run(away())


def test_a_feed_that_freezes_while_the_market_is_open_is_stale():
    """Connected and silent: told as stale, and live when something comes."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL", stale_s=0.3)
        await heard.until(lambda: heard.ear("trades", "AAPL").events)
        simulator.freeze()
        reason = await heard.status("trades", "AAPL", "stale")
        simulator.freeze(False)
        await heard.until(lambda: heard.ear("trades", "AAPL").status == "live")
        return reason

    assert "nothing new on trades" in run(scenario)


def test_silence_while_the_market_is_closed_is_none_as_long_as_massive_answers():
    """On a Saturday it stays live by Massive's answers, and is stale once there are none."""

    async def scenario(simulator, heard):
        simulator.freeze()
        heard.want("trades", "AAPL", stale_s=1.5)
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: len(ear.heartbeats) > 4)
        states = [status for status, _ in ear.statuses]
        simulator.mute()
        await heard.status("trades", "AAPL", "stale")
        return states

    assert run(scenario, at_ns=SATURDAY_NS) == ["starting", "live"]


def test_a_halt_is_zero_traded_and_its_end_is_told():
    """The reopening trade says that a share is traded again."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL", "MSFT")
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: ear.events)
        simulator.halt("AAPL")
        await heard.until(lambda: len(heard.ear("trades", "MSFT").events) > 30)
        assert ear.status == "live"
        simulator.halt("AAPL", resumed=True)
        await heard.until(lambda: ear.notices)
        return ear.notices, ear.gaps, heard.ear("trades", "MSFT").notices

    notices, gaps, others = run(scenario)
    assert [n.code for n in notices] == ["resumed"]
    assert "AAPL is traded again after a halt" in notices[0].detail
    assert not gaps
    assert not others


def test_what_can_not_be_read_is_counted_and_the_rest_is_heard():
    """A message without a price, a size that is no number, a time to come, no JSON at all."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        await heard.until(lambda: heard.ear("trades", "AAPL").events)
        simulator.freeze()
        good = {"ev": "T", "sym": "AAPL", "i": "x1", "p": 5.0, "s": 100, "t": FRIDAY_MS, "q": 1}
        bad = {key: value for key, value in good.items() if key != "p"}
        late = {**good, "i": "x3", "t": FRIDAY_MS * 2}
        await simulator.tell(
            good, bad, {**good, "i": "x4", "ds": "much"}, {**good, "i": "x2"}, late
        )
        for peer in simulator.server.peers:
            await peer.send("no json")
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: len(ear.rejected) == 3)
        await simulator.tell({**good, "i": "x5"})
        await heard.until(lambda: sum(e.price == 5.0 for e in ear.events) == 3)
        return ear.rejected

    assert run(scenario) == {
        "a message has not the form it should": 2,
        "its time lies in the future": 1,
        "a message could not be read (DecodeError)": 1,
    }


@pytest.mark.parametrize("limit", [5_000, 7])
def test_trades_of_an_outage_are_fetched(monkeypatch, limit):
    """Page by page, as they would have come; nothing is missing, and nothing is there twice."""
    monkeypatch.setattr("bond_polygon.history.LIMIT", limit)

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: len(ear.events) > 5)
        simulator.freeze()
        await asyncio.sleep(0.8)
        simulator.freeze(False)
        simulator.server.cut()  # before it could say anything
        await heard.until(lambda: ear.repairs)
        return ear, simulator

    ear, simulator = run(scenario)
    events = sorted((e.ts, e.size) for e in ear.events)
    first, last = events[0][0], max(e.ts for e in ear.events)
    traded = [
        (p.at_ns // 10**6 * 10**6, p.size + 0.5 * (p.manner == "odd_lot"))
        for slot in range(first // 50_000_000, last // 50_000_000 + 1)
        for p in simulator.tape.prints("AAPL", slot)
        if first <= p.at_ns // 10**6 * 10**6 <= last and p.manner != "official"
    ]
    assert ear.repairs[0].missing is None
    assert ear.repairs[0].events > 5
    assert len(simulator.fetched) > (1 if limit == 7 else 0)
    assert events == sorted(traded)
    assert len({e.id for e in ear.events}) == len(ear.events)


def test_a_plan_without_history_says_so():
    """What can't be had is told, once, and the stream goes on."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: ear.events)
        simulator.freeze()
        await asyncio.sleep(0.3)
        simulator.freeze(False)
        simulator.server.cut()
        await heard.until(lambda: ear.repairs or len(ear.gaps) > 1)
        return ear, simulator.fetched

    ear, fetched = run(scenario, history=False)
    told = " ".join(each.detail for each in (*ear.gaps, *ear.repairs))
    assert len(fetched) == 1
    assert "this key's plan has no trades to fetch" in told


def test_the_library_writes_nothing_to_standard_output(capsys):
    """Records may be written there; nor does any log show the key."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        await heard.status("trades", "AAPL", "live")
        await simulator.end("max_connections", "Maximum")
        await heard.status("trades", "AAPL", "reconnecting")

    run(scenario)
    assert capsys.readouterr().out == ""
    assert not logging.getLogger("WebSocketClient").handlers
