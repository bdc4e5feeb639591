"""Alpaca's stream on loopback, under the real supervisor: what is heard, and what goes wrong."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from bond_alpaca.config import CryptoConfig, StocksConfig
from bond_alpaca.plugin import bond_connectors
from bond_alpaca.simulator import AlpacaSimulator
from bond_core.plugin import Secret
from bond_core.testing.hearing import HurriedClock, hearing

STOCKS, CRYPTO = bond_connectors()
FRIDAY_NS = int(datetime(2026, 11, 20, 15, tzinfo=UTC).timestamp()) * 10**9
SATURDAY_NS = FRIDAY_NS + 86_400 * 10**9


@asynccontextmanager
async def alpaca(*, at_ns=FRIDAY_NS, key="a-key", feed="iex", crypto=False, hurry=20.0, **options):
    """Run a simulated Alpaca and the connector against it; the market is open."""
    clock = HurriedClock(hurry, at_ns)
    config = (
        CryptoConfig(Secret(key), Secret("s")) if crypto
        else StocksConfig(Secret(key), Secret("s"), feed)
    )  # fmt: skip
    async with (
        AlpacaSimulator(clock=clock, seed=3, options=options) as simulator,
        hearing(CRYPTO if crypto else STOCKS, config, simulator.url, clock) as heard,
    ):
        yield simulator, heard


def run(scenario, **options):
    """Run a scenario against them."""

    async def go():
        async with alpaca(**options) as (simulator, heard):
            return await scenario(simulator, heard)

    return asyncio.run(go())


def ns_of(text):
    """Return ns since 1970 of a time, read digit by digit."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * 10**9 + int(fraction.ljust(9, "0") or 0)


def test_trades_and_quotes_come_as_they_were_sent():
    """To the nanosecond and the last digit; odd kinds without a price, official prints not."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL", "IBM")
        heard.want("quotes", "AAPL")
        await heard.until(lambda: len(heard.ear("trades", "AAPL").events) > 60)
        await heard.until(lambda: len(heard.ear("trades", "IBM").events) > 60)
        return {key: list(ear.events) for key, ear in heard.ears.items()}, list(simulator.told)

    events, told = run(scenario)
    unpriced = {"A": set("IZB"), "C": set("IZW")}
    for key, got in events.items():
        channel, symbol = key.channel, key.symbol
        if channel == "trades":
            sent = [
                (ns_of(t["t"]), None if unpriced[t["z"]] & set(t["c"]) else t["p"], t["s"])
                for t in told
                if t["T"] == "t" and t["S"] == symbol and "M" not in t["c"]
            ]
            assert [(e.ts, e.price, e.size) for e in got] == sent[: len(got)]
            assert {e.price is None for e in got} == {True, False}
        else:
            sent = [
                (ns_of(q["t"]), q["bp"], q["ap"], q["bs"] * 100, q["as"] * 100)
                for q in told
                if q["T"] == "q"
            ]
            assert [(e.ts, e.bid, e.ask, e.bid_size, e.ask_size) for e in got] == sent[: len(got)]


def test_crypto_has_sides_and_fractions_and_its_own_endpoint():
    """Pairs at v1beta3/crypto/us, sizes as they are, the taker's side."""

    async def scenario(simulator, heard):
        heard.want("trades", "BTC/USD")
        heard.want("quotes", "BTC/USD")
        await heard.until(lambda: len(heard.ear("trades", "BTC/USD").events) > 20)
        await heard.until(lambda: heard.ear("quotes", "BTC/USD").events)
        return (
            list(heard.ear("trades", "BTC/USD").events),
            list(heard.ear("quotes", "BTC/USD").events),
            list(simulator.told),
            simulator.server.peers[0].path,
        )

    trades, quotes, told, path = run(scenario, crypto=True)
    sent = [t for t in told if t["T"] == "t"]
    assert path == "/v1beta3/crypto/us"
    assert [(e.price, e.size, e.side) for e in trades] == [
        (t["p"], t["s"], {"B": "buy", "S": "sell"}[t["tks"]]) for t in sent[: len(trades)]
    ]
    first = next(q for q in told if q["T"] == "q")
    assert (quotes[0].bid_size, quotes[0].ask_size) == (first["bs"], first["as"])


def test_minute_bars_are_candles_and_what_changed_comes_again():
    """A bar is a candle of 60 s by its start; one that a late trade changed replaces it."""

    async def scenario(simulator, heard):
        heard.want("bars", "AAPL")
        await heard.status("bars", "AAPL", "live")
        bar = {"S": "AAPL", "o": 10.0, "h": 12.5, "l": 9.5, "c": 11.0, "v": 900, "n": 7,
               "vw": 10.9, "t": "2026-11-20T14:59:00Z"}  # fmt: skip
        await simulator.tell("bars", {"T": "b", **bar})
        await simulator.tell("updatedBars", {"T": "u", **bar, "c": 11.5, "v": 950})
        await simulator.tell("bars", {"T": "b", **bar})
        ear = heard.ear("bars", "AAPL")
        await heard.until(lambda: ear.duplicates)
        return list(ear.events)

    first, second = run(scenario)
    assert (first.length_ns, first.open, first.high, first.low) == (60 * 10**9, 10.0, 12.5, 9.5)
    assert (first.close, first.volume) == (11.0, 900)
    assert (second.close, second.volume) == (11.5, 950)


def test_one_connection_serves_everything_and_follows_what_is_wanted():
    """Channels and symbols come and go on one socket, and are asked for and left at Alpaca."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        await heard.status("trades", "AAPL", "live")
        heard.want("quotes", "MSFT")
        await heard.status("quotes", "MSFT", "live")
        heard.drop("trades", "AAPL")
        await heard.until(lambda: {"action": "unsubscribe", "trades": ["AAPL"]} in simulator.asked)
        return simulator.server.opened, simulator.asked

    opened, asked = run(scenario)
    assert opened == 1
    assert asked[:2] == [{"action": "auth"}, {"action": "subscribe", "trades": ["AAPL"]}]
    assert {"action": "subscribe", "statuses": ["MSFT"]} in asked


# What is refused


@pytest.mark.parametrize(
    ("options", "said", "fix"),
    [
        ({"key": "wrong"}, "auth failed (402)", "export ALPACA_API_KEY"),
        ({"feed": "sip"}, "insufficient subscription (409)", "ALPACA_FEED=iex"),
    ],
)
def test_a_key_or_plan_that_will_not_do_fails_for_good(options, said, fix):
    """One attempt, and the reason says what to change."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        reason = await heard.status("trades", "AAPL", "failed")
        return reason, simulator.server.opened

    reason, opened = run(scenario, **options)
    assert said in reason
    assert fix in reason
    assert opened == 1


def test_a_connection_that_is_taken_is_waited_for():
    """Another program has it: that is said, and it is heard once that is gone."""

    async def scenario(simulator, heard):
        from websockets.asyncio.client import connect

        async with connect(f"{simulator.url}/v2/iex") as other:
            await other.send('{"action": "auth", "key": "a", "secret": "b"}')
            assert "connected" in await other.recv()
            assert "authenticated" in await other.recv()
            heard.want("trades", "AAPL")
            reason = await heard.status("trades", "AAPL", "reconnecting")
        await heard.status("trades", "AAPL", "live")
        return reason

    reason = run(scenario)
    assert "connection limit exceeded (406)" in reason
    assert "another program has this key's one connection" in reason


@pytest.mark.parametrize(
    ("code", "msg", "says"),
    [
        (407, "slow client", "ask for fewer symbols"),
        (500, "internal error", "internal error (500)"),
    ],
)
def test_what_passes_is_tried_again_and_told_as_a_gap(code, msg, says):
    """The reason is shown, it comes back, and what may be missing is said."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        await heard.status("trades", "AAPL", "live")
        await simulator.fail(code, msg)
        reason = await heard.status("trades", "AAPL", "reconnecting")
        await heard.status("trades", "AAPL", "live")
        return reason, list(heard.ear("trades", "AAPL").gaps), simulator.server.opened

    reason, gaps, opened = run(scenario)
    assert says in reason
    assert len(gaps) == 1
    assert gaps[0].code == "gap"
    assert opened == 2


def test_a_key_that_is_not_answered_is_a_time_out(monkeypatch):
    """Whether Alpaca says so or nothing at all."""

    async def said(simulator, heard):
        simulator.mute()
        heard.want("trades", "AAPL")
        return await heard.status("trades", "AAPL", "reconnecting")

    assert "auth timeout (404)" in run(said, auth_s=1.0)
    monkeypatch.setattr("bond_alpaca.connector.AUTHENTICATE_S", 0.05)
    assert "did not answer to the key" in run(said)


def test_one_symbol_too_many_fails_alone():
    """The plan has room for two: those are heard, the third says why not and what to do."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL", "IBM", "MSFT")
        reason = await heard.status("trades", "MSFT", "failed")
        await heard.status("trades", "AAPL", "live")
        await heard.status("trades", "IBM", "live")
        return reason, simulator.server.opened

    reason, opened = run(scenario, symbols=2)
    assert "symbol limit exceeded (405)" in reason
    assert "ask for fewer" in reason
    assert opened == 1


def test_a_plan_without_halts_has_everything_else():
    """Alpaca refuses the channel of halts: trades go on, on the same connection."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL", "IBM")
        for symbol in ("AAPL", "IBM"):
            await heard.until(lambda s=symbol: len(heard.ear("trades", s).events) > 20)
        return {ear.status for ear in heard.ears.values()}, simulator

    statuses, simulator = run(scenario, halts=False)
    assert statuses == {"live"}
    assert {"action": "subscribe", "statuses": ["AAPL", "IBM"]} in simulator.asked
    assert simulator.server.opened == 1


def test_an_answer_that_never_comes_puts_no_blame_on_others():
    """Should Alpaca not answer what changes nothing, later refusals still meet who is meant."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        await heard.status("trades", "AAPL", "live")
        probe = {"action": "subscribe", "trades": ["AAPL"]}
        await heard.until(lambda: simulator.asked.count(probe) > 1)
        heard.want("trades", "IBM")
        reason = await heard.status("trades", "IBM", "failed")
        return reason, heard.ear("trades", "AAPL").status

    reason, status = run(scenario, at_ns=SATURDAY_NS, symbols=1, repeats=False)
    assert "symbol limit exceeded (405)" in reason
    assert status == "live"


def test_pairs_and_shares_are_not_mixed_up():
    """Each source type says where the other's symbols are."""

    async def scenario(simulator, heard):
        heard.want("trades", "BTC/USD", "AAPL")
        await heard.until(lambda: any(e.statuses[-1][0] == "live" for e in heard.ears.values()))
        return {key.symbol: ear.statuses[-1] for key, ear in heard.ears.items()}

    stocks, crypto = run(scenario), run(scenario, crypto=True)
    assert stocks["BTC/USD"][0] == crypto["AAPL"][0] == "failed"
    assert "alpaca.crypto" in stocks["BTC/USD"][1]
    assert "such as AAPL" in crypto["AAPL"][1]


# What breaks


def test_a_broken_connection_is_resumed_and_nothing_counts_twice():
    """Cut off, it comes back with a gap; a trade that is sent again is a duplicate."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: len(ear.events) > 5)
        simulator.server.cut()
        await heard.status("trades", "AAPL", "reconnecting")
        await heard.status("trades", "AAPL", "live")
        before = [t for t in simulator.told if t["T"] == "t" and "M" not in t["c"]][:5]
        await simulator.tell("trades", *before)
        await heard.until(lambda: ear.duplicates)
        return ear

    ear = run(scenario)
    assert ear.duplicates == 5
    assert len({e.id for e in ear.events}) == len(ear.events)
    assert len(ear.gaps) == 1


def test_equal_numbers_of_other_exchanges_and_days_are_other_trades():
    """Each exchange counts by itself, and begins anew each day."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        await heard.status("trades", "AAPL", "live")
        simulator.freeze()
        same = {"T": "t", "S": "AAPL", "i": 7, "p": 1.0, "s": 100, "c": ["@"], "z": "C"}
        await simulator.tell(
            "trades",
            {**same, "x": "V", "t": "2026-11-20T14:59:59.5Z"},
            {**same, "x": "Q", "t": "2026-11-20T14:59:59.5Z"},
            {**same, "x": "V", "t": "2026-11-19T14:59:59.5Z"},
            {**same, "x": "V", "t": "2026-11-20T14:59:59.5Z"},
        )
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: ear.duplicates)
        return [e for e in ear.events if e.price == 1.0], ear.duplicates

    events, duplicates = run(scenario)
    assert (len(events), duplicates) == (3, 1)


def test_a_feed_that_freezes_while_the_market_is_open_is_stale():
    """Connected and silent: told as stale, listened to anew, and live when something comes."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL", stale_s=0.3)
        await heard.until(lambda: heard.ear("trades", "AAPL").events)
        simulator.freeze()
        reason = await heard.status("trades", "AAPL", "stale")
        simulator.freeze(False)
        await heard.status("trades", "AAPL", "live")
        return reason, heard.ear("trades", "AAPL").gaps

    reason, gaps = run(scenario)
    assert "nothing new on trades" in reason
    assert len(gaps) == 1


def test_silence_while_the_market_is_closed_is_none_as_long_as_alpaca_answers():
    """On a Saturday it stays live by Alpaca's answers, and is stale once there are none."""

    async def scenario(simulator, heard):
        simulator.freeze()
        heard.want("trades", "AAPL", stale_s=1.0)
        await heard.status("trades", "AAPL", "live")
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: len(ear.heartbeats) > 4)
        states = [status for status, _ in ear.statuses]
        simulator.mute()
        await heard.status("trades", "AAPL", "stale")
        return states

    assert run(scenario, at_ns=SATURDAY_NS) == ["starting", "live"]


# What the market says of itself


def test_halts_cancelled_and_corrected_trades_are_told():
    """Notices that are no gaps; what was counted stays, and that is said."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL", "IBM")
        for symbol in ("AAPL", "IBM"):
            await heard.status("trades", symbol, "live")
        await heard.until(lambda: any("statuses" in asked for asked in simulator.asked))
        await heard.until(lambda: simulator.server.peers[0].notes["has"]["statuses"])
        simulator.freeze()
        await simulator.halt("AAPL")
        at = "2026-11-20T15:00:00.000000001Z"
        await simulator.tell(
            "trades",
            {"T": "x", "S": "AAPL", "i": 465, "x": "D", "p": 105.31, "s": 300, "a": "C",
             "z": "C", "t": at},
            {"T": "c", "S": "AAPL", "x": "M", "oi": 1, "op": 39.1582, "os": 440000, "oc": [" "],
             "ci": 2, "cp": 39.1809, "cs": 440000, "cc": [" "], "z": "B", "t": at},
        )  # fmt: skip
        await simulator.halt("AAPL", resumed=True)
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: len(ear.notices) == 4)
        return ear, heard.ear("trades", "IBM").notices

    ear, others = run(scenario)
    assert [n.code for n in ear.notices] == ["halted", "cancelled", "corrected", "resumed"]
    assert "Halt News Pending" in ear.notices[0].detail
    assert "300 at 105.31" in ear.notices[1].detail
    assert "440000 at 39.1582: it was 440000 at 39.1809" in ear.notices[2].detail
    assert ear.notices[1].from_ns == FRIDAY_NS + 1
    assert not ear.gaps
    assert not others
    assert ear.status == "live"


def test_what_can_not_be_read_is_counted_and_the_rest_is_heard():
    """A message without a price is rejected; its neighbours in the same frame are not."""

    async def scenario(simulator, heard):
        heard.want("trades", "AAPL")
        await heard.status("trades", "AAPL", "live")
        simulator.freeze()
        good = {"T": "t", "S": "AAPL", "i": 1, "p": 5.0, "s": 100, "x": "V", "c": ["@"],
                "z": "C", "t": "2026-11-20T14:59:59.5Z"}  # fmt: skip
        bad = {key: value for key, value in good.items() if key != "p"}
        late = {**good, "i": 3, "t": "2026-11-20T16:00:00Z"}
        await simulator.tell("trades", good, bad, {**good, "i": 2}, late)
        ear = heard.ear("trades", "AAPL")
        await heard.until(lambda: len(ear.rejected) == 2)
        return ear

    ear = run(scenario)
    assert len([e for e in ear.events if e.price == 5.0]) == 2
    assert ear.rejected == {
        "a message has not the form it should": 1,
        "its time lies in the future": 1,
    }


# What was missed


def traded(simulator, symbol, from_ns, to_ns):
    """Return what was traded between two times, whoever heard it: id and price of each."""
    slots = range(from_ns // 50_000_000, to_ns // 50_000_000 + 1)
    prints = [p for slot in slots for p in simulator.tape.prints(symbol, slot)]
    return [
        (p.at_ns, None if p.manner in ("odd_lot", "late", "average") else p.price, p.size)
        for p in prints
        if from_ns <= p.at_ns <= to_ns and p.manner != "official"
    ]


@pytest.mark.parametrize("limit", [5_000, 7])
def test_trades_of_an_outage_are_fetched(monkeypatch, limit):
    """Page by page, as they would have come; nothing is missing, and nothing is there twice."""
    monkeypatch.setattr("bond_alpaca.history.LIMIT", limit)

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

    ear, simulator = run(scenario, hurry=5.0)
    events = sorted((e.ts, e.price, e.size) for e in ear.events if e.price is not None)
    assert ear.repairs[0].missing is None
    assert ear.repairs[0].events > 5
    assert len(simulator.fetched) > (1 if limit == 7 else 0)
    assert simulator.fetched[0]["feed"] == "iex"
    everything = traded(simulator, "AAPL", events[0][0], events[-1][0])
    assert events == sorted(t for t in everything if t[1] is not None)
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

    ear, fetched = run(scenario, hurry=5.0, history=False)
    told = " ".join(each.detail for each in (*ear.gaps, *ear.repairs))
    assert len(fetched) == 1
    assert "this key's plan has no trades of the feed iex to fetch" in told
    assert ear.status == "live"


def test_crypto_is_fetched_where_it_is():
    """From its own endpoint, with its sides."""

    async def scenario(simulator, heard):
        heard.want("trades", "BTC/USD")
        ear = heard.ear("trades", "BTC/USD")
        await heard.until(lambda: ear.events)
        simulator.freeze()
        await asyncio.sleep(0.3)
        simulator.freeze(False)
        simulator.server.cut()
        await heard.until(lambda: ear.repairs)
        return ear, simulator.fetched

    ear, fetched = run(scenario, crypto=True, hurry=5.0)
    assert fetched[0]["symbols"] == "BTC/USD"
    assert "feed" not in fetched[0]
    assert ear.repairs[0].events
    assert {e.side for e in ear.events} == {"buy", "sell"}
