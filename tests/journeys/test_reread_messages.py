"""A recording's messages are read again by the connectors of now; what differs is told.

Every recording is made over sockets, against venues on loopback.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import attrs
import pytest

from bond_alpaca.connector import AlpacaConnector
from bond_ccxt import native
from bond_core.clock import NS, ManualClock
from bond_core.log.event_log import Retention
from bond_core.log.offset import START
from bond_core.model.event import Quote, Trade
from bond_core.plugin.factories import load_class
from bond_core.runtime.binding import Defaults
from bond_core.runtime.tape.blocks import BlockReader, BlockWriter
from bond_core.runtime.tape.frames import Frames
from bond_core.runtime.tape.told import Tape
from bond_server.local import Bond
from bond_server.recordings.alike import Alike
from bond_server.recordings.player import LABEL, Player
from bond_server.recordings.recorder import Recorder
from bond_server.recordings.replaying import replayed
from tests.journeys.command_line import bond
from tests.journeys.in_process import PATIENCE_S, SIMULATOR

ALL = ["binance", "okx", "bybit", "kraken", "coinbase", "coinbaseexchange"]
T0 = 1_700_000_000 * NS


def ccxt(*venues: str, **more: Any) -> dict[str, Any]:
    """Return a spec of these venues."""
    return {
        "sources": [{"type": "ccxt", "exchanges": list(venues)}],
        "symbols": ["BTC/USDT"],
        "interval_sec": 1,
        **more,
    }


async def passed(clock: ManualClock, seconds: float) -> None:
    """Let time pass, with time for what is on its way in sockets."""
    until_ns = clock.now_ns() + round(seconds * NS)
    while clock.now_ns() < until_ns:
        await clock.advance(0.017)
        await asyncio.sleep(0.003)


async def recorded(
    spec: dict[str, Any], path: Path, *, start_ns: int = T0 + 7_000_000, seconds: float = 4,
    keeps_frames: bool = True, simulator: dict[str, Any] | None = None,
) -> list[bytes]:  # fmt: skip
    """Record a simulated stream on a clock moved by hand; return the records of that run."""
    clock, tape = ManualClock(start_ns), Tape()
    frames = Frames(clock) if keeps_frames else None
    plays = "recording" in (simulator or {})
    async with Bond(
        clock=clock, tape=tape, ways_out=frames.way_out if frames else None, seed=7,
        retention=Retention(seconds=10 * 86_400.0), defaults=Defaults(simulate=True),
        simulator_options={SIMULATOR: simulator or {}},
    ) as here:  # fmt: skip

        async def until(stream: Any) -> None:
            async with asyncio.timeout(PATIENCE_S):
                await stream.pipeline.settled()
                if plays:
                    venues = await here.simulators.running(here.catalog.connector("ccxt"))
                    await venues.play()
                else:
                    await passed(clock, seconds)

        recorder = Recorder(here, tape, frames, lambda _: None)
        await recorder.run(here.compile({"spec": spec}), path, text=None, until=until)
        (stream,) = here.running.values()
        page = await here.log.read(stream.stream_id, START, limit=1_000_000)
        return [bytes(entry.data) for entry in page.entries]


def read_again(path: Path) -> tuple[list[bytes], Player]:
    """Play a recording from its messages; return the records without their label."""

    async def play() -> tuple[list[bytes], Player]:
        players: list[Player] = []
        async with aclosing(replayed(path, told=players.append, rereads=True)) as records:
            found = [data async for data in records]
        return found, players[-1]

    found, player = asyncio.run(play())
    assert all(data.endswith(LABEL) for data in found)
    return [data.removesuffix(LABEL) + b"}" for data in found], player


def heard(player: Player) -> list[tuple[str, Any]]:
    """Return the events that were heard when it was recorded, and whose they are."""
    calls = [call for block in player.recording.blocks() for call in block.calls]
    return [(args[0], e) for what, args in calls if what == "on_events" for e in args[1]]


@pytest.mark.parametrize(
    ("spec", "faults"),
    [
        (ccxt(*ALL, fields=["price_close", "best_bid", "bids", "asks"]), ()),
        (
            ccxt("binance", "okx", late="update", corrections_sec=3),
            ("close:binance=1012@1s", "duplicate:okx/trades*5@1s", "stall:okx@2s+1s"),
        ),
        (
            ccxt("binance", "okx", mode="raw"),
            ("flip:okx/trades*3=nan@1s", "drop:binance/trades*2@2s"),
        ),
        (
            {**ccxt(), "sources": [{"type": "alpaca"}], "symbols": ["AAPL", "MSFT"]},
            (),
        ),
    ],
    ids=["six venues, with books", "corrected, with faults", "raw, with faults", "shares"],
)
def test_the_same_messages_give_the_same_records(tmp_path, spec, faults):
    """Without a change to any connector the records are the bytes of the recorded run."""
    path = tmp_path / "a.jsonl.gz"
    live = asyncio.run(recorded(spec, path, simulator={"faults": list(faults)}))

    again, player = read_again(path)

    assert again == live
    reading = player.rereading
    assert reading.differences.n == 0
    assert reading.differences.compared == len(heard(player)) > 20
    assert reading.left_out() == {}


@pytest.mark.parametrize(
    ("name", "venue", "channel"),
    [
        ("OKX.ws.1.0", "okx", "trades"),
        ("COINBASE.ws.28.0", "coinbaseexchange", "trades"),
        ("BINANCE.ws.1.0", "binance", "quotes"),
    ],
)
def test_a_venue_s_recorded_session_is_read_again(tmp_path, recordings, name, venue, channel):
    """Exchange traffic as it came, recorded over the real connector, gives the same twice."""
    session = recordings / "cryptofeed" / name
    if not session.is_file():
        pytest.skip(f"no recording at {session}")
    markets = load_class("bond_sim.recording:symbols")(session)
    spec = ccxt(
        venue,
        symbols=[market.symbol for market in markets if channel in market.channels],
        fields=["price_close", "trades", "best_bid"],
    )
    spec["sources"][0]["stale_sec"] = "1d"
    path = tmp_path / "a.jsonl.gz"
    start_ns = load_class("bond_sim.recording:recording_start_ns")(session)
    options = {"recording": str(session), "speed": "max"}
    live = asyncio.run(recorded(spec, path, start_ns=start_ns, simulator=options))

    again, player = read_again(path)

    assert again == live
    assert player.rereading.differences.n == 0
    assert player.rereading.differences.compared == player.events > 50


def test_a_source_that_stood_in_for_a_while_is_read_again(tmp_path):
    """What it says counts while the stream listens to it, and what it says beyond does not."""
    path = tmp_path / "a.jsonl.gz"
    spec = ccxt("binance")
    spec["sources"][0] |= {"fallback": ["okx"], "stale_sec": 1}
    faults = {"faults": ["stall:binance@1s+4s"]}
    live = asyncio.run(recorded(spec, path, seconds=9, simulator=faults))

    again, player = read_again(path)

    calls = [what for block in player.recording.blocks() for what, _ in block.calls]
    assert calls.count("add_source") > 0
    assert calls.count("remove_source") > 0
    assert again == live
    assert player.rereading.differences.n == 0
    assert {name for name, _ in heard(player)} >= {"binance", "okx"}


def test_a_connector_that_reads_otherwise_is_told(tmp_path, monkeypatch):
    """Events that are others are counted and shown, and their records are what they make."""
    path = tmp_path / "a.jsonl.gz"
    live = asyncio.run(recorded(ccxt("binance", "okx"), path))

    def doubled(text: str, reading: native.Reading) -> list[Any]:
        return [attrs.evolve(e, size=2 * e.size) for e in native._okx_trades(text, reading)]

    begins, channel, _ = native.READERS["okx"][0]
    changed = ((begins, channel, doubled), *native.READERS["okx"][1:])
    monkeypatch.setattr(native, "READERS", {**native.READERS, "okx": changed})
    again, player = read_again(path)

    found = player.rereading.differences
    before, after = (sum(json.loads(data)["volume_sum"] for data in each) for each in (live, again))
    assert found.changed == sum(name == "okx" for name, _ in heard(player)) > 5
    assert found.new == found.missing == found.counts == 0
    assert "of BTC/USDT: size is " in found.shown[0]
    assert len(found.shown) <= 10
    assert before < after < 2 * before
    assert player.log.differ is not None


def test_a_mended_connector_finds_what_was_refused(tmp_path, monkeypatch):
    """What it could not read then is in the records now, and is counted as refused no longer."""
    path = tmp_path / "a.jsonl.gz"
    spec = {**ccxt(), "sources": [{"type": "alpaca"}], "symbols": ["AAPL"]}
    sound = AlpacaConnector.parse

    def broken(self: AlpacaConnector, frame: str | bytes, ctx: Any) -> Any:
        for channel, event in sound(self, frame, ctx):
            if channel == "trades" and int(event.id) % 3 == 0:
                raise KeyError("x")
            yield channel, event

    with monkeypatch.context() as patched:
        patched.setattr(AlpacaConnector, "parse", broken)
        live = [json.loads(data) for data in asyncio.run(recorded(spec, path))]
    again, player = read_again(path)

    records = [json.loads(data) for data in again]
    refused = [sum(r["sources"]["alpaca"]["rejected"] for r in each) for each in (live, records)]
    trades = [sum(r["trades"] or 0 for r in each) for each in (live, records)]
    assert refused[0] > 0
    assert refused[1] == 0
    assert trades[1] > trades[0]
    found = player.rereading.differences
    assert found.new >= trades[1] - trades[0]
    assert found.changed == found.missing == 0


def test_what_can_t_be_read_again_is_named_and_played_as_recorded(tmp_path):
    """What was asked for over HTTP; and everything, where no messages are kept."""
    spec = ccxt(
        "binance", symbols=["BTC/USDT:USDT"], fields=["price_close", "open_interest"]
    )  # fmt: skip
    kept, bare = tmp_path / "a.gz", tmp_path / "b.gz"
    live = asyncio.run(recorded(spec, kept))
    asyncio.run(recorded(spec, bare, keeps_frames=False))

    again, player = read_again(kept)
    _, without = read_again(bare)

    assert again == live
    assert list(player.rereading.left_out()) == ["binance.open_interest"]
    assert "binance.open_interest: open_interest is asked for over HTTP" in player.said()[-2]
    assert without.said()[0].startswith("no messages are kept in it")
    assert without.log.differ is None


def test_a_recording_that_does_not_say_whose_a_connection_is_plays_as_recorded(tmp_path):
    """As those are that were made before it was noted, where two venues share a connector."""
    path, old = tmp_path / "a.gz", tmp_path / "old.gz"
    live = asyncio.run(recorded(ccxt("binance", "okx"), path))
    writer = BlockWriter(old)
    for lines in BlockReader(path):
        said = [json.loads(line) for line in lines.splitlines()]
        for line in said:
            if "opened" in line:
                del line["opened"][4]
        writer.write(b"".join(json.dumps(line).encode() + b"\n" for line in said))
    writer.close()

    again, player = read_again(old)

    assert again == live
    assert player.rereading.left_out().keys() >= {"binance", "okx"}


def test_the_command_says_how_it_compares(tmp_path):
    """`bond replay --from messages` prints the records, and what was read again on stderr."""
    path = tmp_path / "btc.jsonl.gz"
    made = bond("record", "BTC price every 1s on binance", "-o", str(path), "--for", "3s",
                "--simulate")  # fmt: skip
    assert made.returncode == 0, made.stderr

    found = bond("replay", str(path), "--from", "messages")

    assert found.returncode == 0, found.stderr
    assert all(json.loads(line)["replayed"] for line in found.stdout.splitlines())
    assert "messages read again: " in found.stderr
    assert "events, all as recorded" in found.stderr
    assert "byte for byte as recorded" in found.stderr
    with gzip.open(path, "rt") as file:
        opened = [json.loads(line)["opened"] for line in file if line.startswith('{"opened"')]
    assert {row[4] for row in opened} == {"ccxt binance"}


def test_events_are_alike_but_for_when_they_were_heard():
    """A time that is that of hearing may differ by what hearing took; a venue's may not."""

    def trade(ts: int, recv_ts: int, price: float = 1.0) -> Trade:
        return Trade("BTC/USDT", ts, price, 1.0, "buy", "1", 1, recv_ts)

    def quote(ts: int, recv_ts: int) -> Quote:
        return Quote("BTC/USDT", ts, 1.0, 2.0, None, None, None, recv_ts=recv_ts)

    is_same = Alike().is_same_event
    assert is_same(trade(5, 10), trade(5, 13))
    assert not is_same(trade(5, 10), trade(6, 13))
    assert not is_same(trade(5, 10), trade(5, 10, price=1.5))
    assert is_same(quote(10, 10), quote(12, 13))
    assert is_same(quote(10, 20), quote(12, 25))  # as the one before
    assert not is_same(quote(10, 20), quote(11, 25))
    assert not is_same(quote(20, 20), quote(26, 25))
    assert not is_same(quote(5, 10), trade(5, 10))
