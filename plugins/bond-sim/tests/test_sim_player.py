"""A recording is played frame by frame, each handled before the clock moves on."""

import asyncio
import itertools
import json

import pytest

from bond_core.clock import NS, ManualClock, SystemClock
from bond_sim.recording import RecordingError, recording_start_ns, symbols
from bond_sim.simulator import Simulator

START_NS = 1_700_000_015 * NS + 250_000_000


def trade(n, id="BTC-USDT"):
    """Return an OKX trades frame."""
    ts = str(START_NS // 1_000_000 + 300 * n)
    row = {"instId": id, "tradeId": str(n), "px": "30218.8", "sz": "1", "side": "buy", "ts": ts}
    return {"arg": {"channel": "trades", "instId": id}, "data": [row]}


@pytest.fixture
def made(tmp_path):
    """Return a small recording: ten trades of two markets and a ticker, over three seconds."""
    url = "wss://ws.okx.com:8443/ws/v5/public"
    lines = [
        f"{url} <-> {START_NS / NS}",
        f'{url} <- {START_NS / NS + 0.1}: {{"op":"subscribe","args":[]}}',
        f'{START_NS / NS + 0.2}: {{"event":"subscribe","arg":{{"channel":"trades"}}}}',
    ]
    for n in range(10):
        frame = trade(n, "UNI-USD-SWAP" if n == 4 else "BTC-USDT")
        lines.append(f"{START_NS / NS + 0.25 + 0.3 * n:.4f}: {json.dumps(frame)}")
    row = {"instId": "BTC-USDT", "askPx": "2", "askSz": "3", "bidPx": "1", "bidSz": "4", "ts": "5"}
    ticker = {"arg": {"channel": "tickers", "instId": "BTC-USDT"}, "data": [row]}
    lines += [f"{START_NS / NS + 3.1:.4f}: {json.dumps(ticker)}", ""]
    path = tmp_path / "made"
    path.write_text("\n".join(lines) + "\n")
    return path


async def read(plain, clock, got, delay_s=0.0):
    """Note every frame with the time it came at; take so long before each."""
    while True:
        await asyncio.sleep(delay_s)
        text = await plain.text(within_s=20)
        got.append((clock.now_ns(), text))


def watched(open_plain, path, *wires, delay_s=0.0, **options):
    """Play a recording by hand to a bare client; return its frames with their times."""

    async def main():
        clock, got = ManualClock(recording_start_ns(path)), []
        said = {"recording": path, "speed": "max"} | options
        async with (
            Simulator(clock=clock, options=said) as simulator,
            open_plain(simulator.url, *wires) as plain,
        ):
            reading = asyncio.create_task(read(plain, clock, got, delay_s))
            player = await simulator.play()
            reading.cancel()
        return got, player, clock.now_ns()

    return asyncio.run(main())


def test_a_recording_tells_its_start_and_symbols(made):
    """The first line's time and every market with its channels are read."""
    assert recording_start_ns(made) == START_NS
    told = [(s.venue, s.id, s.symbol, s.channels) for s in symbols(made)]
    assert told == [
        ("okx", "BTC-USDT", "BTC/USDT", {"trades", "quotes"}),
        ("okx", "UNI-USD-SWAP", "UNI/USD:UNI", {"trades"}),
    ]


def test_only_what_was_subscribed_is_sent_at_its_time(open_plain, made):
    """A client of one market gets its frames alone, each when the clock shows its receipt."""
    got, player, end_ns = watched(open_plain, made, "trades:BTC-USDT")
    numbers = [n for n in range(10) if n != 4]
    assert [json.loads(text) for _, text in got] == [trade(n) for n in numbers]
    times = [(at_ns - START_NS) / NS for at_ns, _ in got]
    assert times == pytest.approx([0.25 + 0.3 * n for n in numbers])
    assert (player.sent, player.unanswered) == (9, 0)
    assert (end_ns - START_NS) / NS == pytest.approx(3.1 + 3)


def test_the_clock_waits_for_a_slow_client(open_plain, made):
    """A client that takes its time still has each frame before the clock moves on."""
    quick, _, _ = watched(open_plain, made, "trades:BTC-USDT")
    slow, player, _ = watched(open_plain, made, "trades:BTC-USDT", delay_s=0.02)
    assert slow == quick
    assert player.unanswered == 0


def test_quotes_can_be_had_by_either_channel(open_plain, made):
    """A recorded ticker is also sent as bbo-tbt, with the same best bid and ask."""
    got, _, _ = watched(open_plain, made, "bbo-tbt:BTC-USDT")
    (row,) = json.loads(got[0][1])["data"]
    assert row == {"asks": [["2", "3", "0", "1"]], "bids": [["1", "4", "0", "1"]], "ts": "5"}


def test_a_fault_in_a_recording_is_at_its_time(open_plain, made):
    """A stall given as an option leaves out the frames of its time."""
    got, _, _ = watched(open_plain, made, "trades:BTC-USDT", faults=["stall:okx@1s+1s"])
    ids = [json.loads(text)["data"][0]["tradeId"] for _, text in got]
    assert ids == ["0", "1", "2", "6", "7", "8", "9"]


def test_a_held_frame_is_not_lost_at_the_end(open_plain, made):
    """A reorder with no frame to follow sends its frame at the end."""
    got, _, _ = watched(open_plain, made, "bbo-tbt:BTC-USDT", faults=["reorder:okx"])
    assert len(got) == 1


def test_playing_is_paced(open_plain, made):
    """At a finite speed the clock moves in steps of at most 50 ms."""

    async def main():
        clock, times = ManualClock(recording_start_ns(made)), []
        options = {"recording": made, "speed": 30, "tail_s": 0.5}
        async with (
            Simulator(clock=clock, options=options) as simulator,
            open_plain(simulator.url, "trades:BTC-USDT") as plain,
        ):
            reading = asyncio.create_task(read(plain, clock, []))
            playing = asyncio.create_task(simulator.play())
            while not playing.done():
                times.append(clock.now_ns())
                await asyncio.sleep(0)
            await playing
            reading.cancel()
        return times

    times = asyncio.run(main())
    steps = [b - a for a, b in itertools.pairwise(times)]
    assert 0 < max(steps) <= 50_000_000


def test_playing_waits_for_what_is_expected(open_plain, made):
    """Nothing is played before everyone is there; what is missing is named."""

    async def main():
        clock = ManualClock(recording_start_ns(made))
        options = {"recording": made, "speed": "max"}
        expect = [("trades", "BTC-USDT"), ("trades", "UNI-USD-SWAP")]
        async with (
            Simulator(clock=clock, options=options) as simulator,
            open_plain(simulator.url, "trades:BTC-USDT") as plain,
        ):
            with pytest.raises(TimeoutError, match="trades of UNI-USD-SWAP"):
                await simulator.play(expect, within_s=0.05)
            assert clock.now_ns() == START_NS
            reading = asyncio.create_task(read(plain, clock, got := []))
            playing = asyncio.create_task(simulator.play(expect))
            arg = {"channel": "trades", "instId": "UNI-USD-SWAP"}
            await plain.ask({"op": "subscribe", "args": [arg]})
            await playing
            reading.cancel()
            assert len([text for _, text in got if '"data"' in text]) == 10
            with pytest.raises(RuntimeError, match="was played"):
                await simulator.play()

    asyncio.run(main())


def test_played_as_now(open_plain, made):
    """With the machine's clock all times are moved by whole multiples of `align_s`."""

    async def main():
        clock = SystemClock()
        options = {"recording": made, "align_s": 0.5}
        async with (
            Simulator(clock=clock, options=options) as simulator,
            open_plain(simulator.url, "trades:BTC-USDT") as plain,
        ):
            reading = asyncio.create_task(read(plain, clock, got := []))
            await simulator.play()
            await asyncio.sleep(0.05)
            reading.cancel()
            return got

    got = asyncio.run(main())
    assert len(got) == 9
    for n, (at_ns, text) in zip([0, 1, 2, 3, 5, 6, 7, 8, 9], got, strict=True):
        moved_ms = int(json.loads(text)["data"][0]["ts"]) - int(trade(n)["data"][0]["ts"])
        assert moved_ms % 500 == 0
        assert abs(at_ns - START_NS - 250_000_000 - 300_000_000 * n - moved_ms * 1e6) < 0.25 * NS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello\n", "line 1"),
        ("wss://example.org/ws <-> 1.5\n", "no known venue"),
        ("wss://ws.okx.com <-> 1.5\n", "no data frame"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, text, said):
    """The error names the file and what is wrong with it."""
    path = tmp_path / "wrong"
    path.write_text(text)
    with pytest.raises(RecordingError, match=rf"wrong.*{said}"):
        Simulator(clock=ManualClock(), options={"recording": path})


@pytest.mark.parametrize(
    ("options", "said"),
    [({"sped": 1}, "sped"), ({"speed": 0}, "speed"), ({"faults": [1]}, "faults")],
)
def test_wrong_options_are_refused(options, said):
    """An option that is unknown or cannot be is named."""
    with pytest.raises(ValueError, match=said):
        Simulator(clock=ManualClock(), options=options)


def through_ccxt(open_ccxt, path, params):
    """Play a recording by hand to ccxt.pro; return every trade with the time it was had."""

    async def watch(exchange, clock, market, got):
        while True:
            for t in await exchange.watch_trades(market.symbol, params=dict(params)):
                got.append((clock.now_ns(), market.id, t["id"], t["info"]))

    async def main():
        clock, got = ManualClock(recording_start_ns(path)), []
        traded = [s for s in symbols(path) if "trades" in s.channels]
        async with (
            Simulator(clock=clock, options={"recording": path, "speed": "max"}) as simulator,
            open_ccxt(traded[0].venue, simulator.url) as exchange,
        ):
            await exchange.load_markets()
            for s in traded:
                assert exchange.market(s.symbol)["id"] == s.id
            watching = [asyncio.create_task(watch(exchange, clock, s, got)) for s in traded]
            player = await simulator.play([("trades", s.id) for s in traded])
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        assert player.unanswered == 0
        return got

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "marks", "params"),
    [
        ("OKX.ws.1.0", ['"channel":"trades"', '"data"'], {}),
        ("COINBASE.ws.28.0", ['"type":"match"'], {}),
        ("BINANCE.ws.1.0", ['"e":"aggTrade"'], {"name": "aggTrade"}),
    ],
)
def test_ccxt_gets_a_recording_twice_the_same(open_ccxt, recording, name, marks, params):
    """Every recorded trade comes at its receipt, once, in both of two runs."""
    path = recording(name)
    first = through_ccxt(open_ccxt, path, params)
    assert through_ccxt(open_ccxt, path, params) == first
    due = []
    for line in path.read_text().splitlines():
        if not line.startswith("wss:") and all(mark in line for mark in marks):
            time, _, text = line.partition(": ")
            said = json.loads(text)
            rows = said["data"] if isinstance(said.get("data"), list) else [said.get("data", said)]
            due += [(round(float(time), 6), row) for row in rows]
    assert len(due) == {"OKX.ws.1.0": 74, "COINBASE.ws.28.0": 97, "BINANCE.ws.1.0": 2}[name]
    assert [(round(at_ns / NS, 6), info) for at_ns, _, _, info in first] == due


def test_rest_knows_what_was_played(open_ccxt, recording):
    """fetch_trades and fetch_ticker answer from the frames played so far, never ahead."""
    path = recording("OKX.ws.1.0")

    async def main():
        clock = ManualClock(recording_start_ns(path))
        async with (
            Simulator(clock=clock, options={"recording": path, "speed": "max"}) as simulator,
            open_ccxt("okx", simulator.url) as exchange,
        ):
            assert await exchange.fetch_trades("BTC/USDT") == []
            await simulator.play()
            trades = await exchange.fetch_trades("BTC/USDT")
            ticker = await exchange.fetch_ticker("BTC/USDT")
            assert len(trades) == 69
            assert ticker["last"] == trades[-1]["price"]
            assert ticker["bid"] < ticker["ask"]

    asyncio.run(main())
