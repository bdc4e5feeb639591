"""Each fault does to the frames what it says, and nothing else."""

import asyncio
import json
import time

import pytest

from bond_core.clock import ManualClock, SystemClock
from bond_sim.faults import Fault, flipped, parse_fault
from bond_sim.simulator import Simulator
from bond_sim.subscriptions import Subscription


def played(open_plain, spoil=None, seconds=6, options=None):
    """Return the data frames that a bare client gets of OKX's BTC-USDT trades."""

    async def main():
        clock = ManualClock()
        async with (
            Simulator(clock=clock, seed=3, options=options) as simulator,
            open_plain(simulator.url, "trades:BTC-USDT") as plain,
        ):
            if spoil is not None:
                spoil(simulator.faults)
            frames = []
            for _ in range(seconds):
                await clock.advance(1)
                frames.append(await plain.texts())
            return frames, simulator.faults.done

    return asyncio.run(main())


def flat(seconds):
    """Return the frames of all seconds."""
    return [frame for frames in seconds for frame in frames]


@pytest.fixture(scope="module")
def intact(open_plain):
    """Return the frames without any fault."""
    seconds, done = played(open_plain)
    assert len(flat(seconds)) > 10
    assert not done
    return seconds


def test_the_same_seed_and_clock_give_the_same_frames(open_plain, intact):
    """A second run is equal to the first, byte for byte."""
    assert played(open_plain)[0] == intact


def test_drop(open_plain, intact):
    """The next frames are missing, the others are there."""
    seconds, done = played(open_plain, lambda faults: faults.drop("okx", 3))
    assert flat(seconds) == flat(intact)[3:]
    assert done == {("drop", "okx"): 3}


def test_duplicate(open_plain, intact):
    """The next frames come twice, one right after the other."""
    was = flat(intact)
    seconds, _ = played(open_plain, lambda faults: faults.duplicate("okx", 2))
    assert flat(seconds) == [was[0], was[0], was[1], was[1], *was[2:]]


def test_reorder(open_plain, intact):
    """A frame comes after the one that followed it."""
    was = flat(intact)
    seconds, _ = played(open_plain, lambda faults: faults.reorder("okx", 2))
    assert flat(seconds) == [was[1], was[0], was[3], was[2], *was[4:]]


def test_flip(open_plain, intact):
    """The next frame is altered as asked, the one after it is not."""
    was = flat(intact)
    for how in ("json", "price", "nan", "inf"):
        seconds, _ = played(open_plain, lambda faults, how=how: faults.flip("okx", how=how))
        assert flat(seconds) == [flipped(was[0], how), *was[1:]]


def test_flips_do_what_they_say():
    """`json` cannot be decoded, the others change the price alone."""
    frame = '{"data":[{"tradeId":"7","px":"91.5","sz":"2"}]}'
    with pytest.raises(ValueError):
        json.loads(flipped(frame, "json"))
    assert flipped(frame, "price") == frame.replace("91.5", "991.5")
    assert flipped(frame, "nan") == frame.replace("91.5", "NaN")
    assert flipped(frame, "inf") == frame.replace("91.5", "Infinity")
    match = '{"type":"match","size":"1","price":"0.79"}'
    assert flipped(match, "price") == match.replace("0.79", "90.79")


def test_stall_for_a_time(open_plain, intact):
    """No data frame comes for that long, while the socket answers; then they come again."""
    options = {"faults": ["stall:okx@2s+2s"]}
    seconds, done = played(open_plain, options=options)
    assert seconds == [*intact[:2], [], [], *intact[4:]]
    assert done["stall", "okx"] == len(flat(intact[2:4]))


def test_stall_until_resumed(open_plain, intact):
    """A stall without a time lasts until it is lifted."""

    def stall_and_resume(faults):
        faults.stall("okx")
        faults.resume("okx")

    assert played(open_plain, lambda faults: faults.stall("okx"))[0] == [[]] * 6
    assert played(open_plain, stall_and_resume)[0] == intact


def test_a_fault_keeps_to_its_channel_and_symbol(open_plain, intact):
    """A fault of another channel, symbol or venue changes nothing."""

    def elsewhere(faults):
        faults.stall("okx", channel="quotes")
        faults.stall("okx", symbol="ETH-USDT")
        faults.stall("binance")

    assert played(open_plain, elsewhere)[0] == intact


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stall:binance@5s+10s", Fault("stall", "binance", at_s=5, for_s=10)),
        ("drop:okx/trades/BTC-USDT*3", Fault("drop", "okx", "trades", "BTC-USDT", 3)),
        ("flip:okx=price", Fault("flip", "okx", how="price")),
        ("flip:coinbaseexchange", Fault("flip", "coinbaseexchange", how="json")),
        ("close:binance=1012@500ms", Fault("close", "binance", how="1012", at_s=0.5)),
        ("refuse:okx@1m+1.5s", Fault("refuse", "okx", at_s=60, for_s=1.5)),
    ],
)
def test_faults_are_read_from_text(text, fault):
    """A fault can be written on a command line."""
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    "text", ["stall", "melt:okx", "stall:nasdaq", "stall:okx@5", "flip:okx=x", "close:okx=9"]
)
def test_wrong_faults_are_refused(text):
    """What cannot be read says so."""
    with pytest.raises(ValueError):
        parse_fault(text)


def test_asking_twice_counts_twice_and_gives_once(open_plain, intact):
    """A second subscription of one client is counted, and doubles no frame."""

    async def main():
        clock = ManualClock()
        async with (
            Simulator(clock=clock, seed=3) as simulator,
            open_plain(simulator.url, "trades:BTC-USDT", "trades:BTC-USDT") as plain,
        ):
            about = Subscription("okx", "trades", "BTC-USDT")
            assert simulator.subscriptions.opened == {about: 2}
            assert simulator.subscriptions.open == {about: 1}
            await clock.advance(1)
            assert await plain.texts() == intact[0]
            arg = {"channel": "trades", "instId": "BTC-USDT"}
            await plain.ask({"op": "unsubscribe", "args": [arg]})
            await plain.text()
            assert not simulator.subscriptions.open

    asyncio.run(main())


def test_close_without_a_word_and_with_a_code(open_plain):
    """An aborted socket is simply gone; a closed one says its code."""

    async def main():
        async with Simulator(clock=ManualClock()) as simulator:
            async with open_plain(simulator.url, "trades:BTC-USDT") as plain:
                await simulator.faults.close("okx")
                with pytest.raises(ConnectionError, match="CLOSED"):
                    await plain.text()
            async with open_plain(simulator.url, "trades:BTC-USDT") as plain:
                closing = asyncio.create_task(simulator.faults.close("okx", 1012))
                with pytest.raises(ConnectionError, match="CLOSE 1012"):
                    await plain.text()
                await closing
            assert simulator.subscriptions.open.total() == 0

    asyncio.run(main())


def test_close_at_a_time(open_plain):
    """A close that was given as an option comes when the clock says so."""

    async def main():
        clock = ManualClock()
        async with (
            Simulator(clock=clock, options={"faults": ["close:okx@2s"]}) as simulator,
            open_plain(simulator.url, "trades:BTC-USDT") as plain,
        ):
            await clock.advance(1.9)
            await plain.texts()
            await clock.advance(0.2)
            with pytest.raises(ConnectionError):
                await plain.texts()

    asyncio.run(main())


async def watch_until_error(exchange, symbol):
    """Watch trades; those that were on their way may still come."""
    for _ in range(5):
        await exchange.watch_trades(symbol)


@pytest.mark.parametrize(
    ("venue", "symbol"),
    [("binance", "BTC/USDT"), ("okx", "BTC/USDT"), ("coinbaseexchange", "BTC/USD")],
)
def test_ccxt_meets_close_and_refusal(open_ccxt, venue, symbol):
    """ccxt.pro reports an aborted socket and a 503 as network errors, then dials again."""
    import ccxt

    async def main():
        async with (
            Simulator(clock=SystemClock()) as simulator,
            open_ccxt(venue, simulator.url) as exchange,
            asyncio.timeout(20),
        ):
            await exchange.watch_trades(symbol)
            simulator.faults.stall(venue)
            simulator.faults.refuse(venue)
            await simulator.faults.close(venue)
            with pytest.raises(ccxt.NetworkError):
                await watch_until_error(exchange, symbol)
            with pytest.raises(ccxt.NetworkError, match="503"):
                await exchange.watch_trades(symbol)
            with pytest.raises(ccxt.NetworkError):
                await exchange.fetch_ticker(symbol)
            simulator.faults.accept(venue)
            simulator.faults.resume(venue)
            assert await exchange.watch_trades(symbol)
            assert simulator.subscriptions.connections_opened == {venue: 2}

    asyncio.run(main())


def test_ccxt_does_not_see_a_stall(open_ccxt):
    """With its socket open and its pings answered, ccxt.pro waits on without an error."""

    async def main():
        async with (
            Simulator(clock=SystemClock()) as simulator,
            open_ccxt("okx", simulator.url) as exchange,
        ):
            await exchange.load_markets()
            simulator.faults.stall("okx")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(exchange.watch_trades("BTC/USDT"), 0.5)
            assert simulator.connections == 1
            simulator.faults.resume("okx")
            assert await asyncio.wait_for(exchange.watch_trades("BTC/USDT"), 5)

    asyncio.run(main())


def test_leaving_takes_less_than_a_second(open_ccxt):
    """With clients connected that do not expect it, everything stops within a second."""

    async def main():
        simulator = Simulator(clock=SystemClock())
        await simulator.__aenter__()
        async with (
            open_ccxt("okx", simulator.url) as okx,
            open_ccxt("binance", simulator.url) as binance,
        ):
            await asyncio.gather(okx.watch_trades("BTC/USDT"), binance.watch_trades("BTC/USDT"))
            started = time.monotonic()
            await simulator.__aexit__(None, None, None)
            assert time.monotonic() - started < 1
            assert simulator.connections == 0
            with pytest.raises(RuntimeError, match="async with"):
                _ = simulator.url

    asyncio.run(main())
