"""A stream is recorded, and played again: the same records, labelled, from a file alone."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bond_core.clock import NS, ManualClock
from bond_core.errors import BondError
from bond_core.log.event_log import Retention
from bond_core.log.offset import START
from bond_core.runtime.binding import Defaults
from bond_core.runtime.tape.frames import Frames
from bond_core.runtime.tape.told import Tape
from bond_core.settings import Secret
from bond_core.testing.full_disk import full_disk
from bond_server.cli.serve import a_replay, serve_bond
from bond_server.delivery.listening import listening_socket
from bond_server.local import Bond
from bond_server.recordings.header import RecordingError
from bond_server.recordings.player import LABEL, Player
from bond_server.recordings.recorder import Progress, Recorder
from bond_server.recordings.recording import open_recording
from bond_server.recordings.replaying import replayed
from bond_server.settings import ServerSettings
from ekko import EkkoError, listen, listen_sync
from tests.journeys.command_line import bond, start
from tests.journeys.in_process import PATIENCE_S, SIMULATOR

KEEPS_ALL = Retention(seconds=10 * 86_400.0)
SPEC = {
    "sources": [{"type": "ccxt", "exchanges": ["binance", "okx"]}],
    "symbols": ["BTC/USDT", "ETH/USDT"],
    "interval_sec": 1,
    "fields": ["price_close", "vwap", "trades", "volatility", "price_p95", "best_bid"],
}


async def recorded(
    spec: dict[str, Any], path: Path, seconds: float, *, faults: tuple[str, ...] = (),
    text: str | None = None, told: Callable[[Progress], None] = lambda _: None,
) -> list[bytes]:  # fmt: skip
    """Record a simulated stream on a clock moved by hand; return the records of that run."""
    clock, tape = ManualClock(1_700_000_000 * NS + 7_000_000), Tape()
    frames = Frames(clock)
    async with Bond(
        clock=clock, tape=tape, ways_out=frames.way_out, retention=KEEPS_ALL, seed=7,
        defaults=Defaults(simulate=True), simulator_options={SIMULATOR: {"faults": list(faults)}},
    ) as here:  # fmt: skip

        async def until(stream: Any) -> None:
            async with asyncio.timeout(PATIENCE_S):
                await stream.pipeline.settled()
                until_ns = clock.now_ns() + round(seconds * NS)
                while clock.now_ns() < until_ns:
                    await clock.advance(0.017)
                    await asyncio.sleep(0.003)

        recorder = Recorder(here, tape, frames, told)
        compiled = here.compile({"spec": spec} if text is None else {"natural_language": text})
        await recorder.run(compiled, path, text=text, until=until)
        (stream,) = here.running.values()
        page = await here.log.read(stream.stream_id, START, limit=1_000_000)
        return [bytes(entry.data) for entry in page.entries]


async def played(path: Path) -> tuple[list[bytes], Player]:
    """Play a recording as fast as it goes."""
    players: list[Player] = []
    async with aclosing(replayed(path, told=players.append)) as records:
        found = [data async for data in records]
    return found, players[-1]


def unlabelled(records: list[bytes]) -> list[bytes]:
    """Return records without their label, which each must have."""
    assert all(data.endswith(LABEL) for data in records)
    return [data.removesuffix(LABEL) + b"}" for data in records]


@pytest.mark.parametrize(
    ("more", "faults"),
    [
        ({"timeframes": ["1s", "2s"]}, ()),
        (
            {"late": "update", "corrections_sec": 3},
            ("close:binance=1012@2s", "duplicate:okx/trades*5@1s", "stall:okx@3s+2s"),
        ),
        ({"filter": "trades > 2", "alerts": [{"when": "price_close > 1", "name": "up"}]}, ()),
        ({"fields": ["price_close"], "timeframes": ["10ticks", "1s"]}, ()),
        (
            {"mode": "raw", "fields": None},
            ("close:binance=1012@2s", "duplicate:okx/trades*5@1s", "stall:okx@3s+2s"),
        ),
    ],
    ids=["plain", "corrected, with faults", "filter and alerts", "bars", "raw, with faults"],
)
def test_a_recording_plays_the_records_of_its_run(tmp_path, more, faults):
    """Real connectors and sockets, faults included; the replay is the same bytes, and labelled."""
    path = tmp_path / "btc.jsonl.gz"
    spec = {key: value for key, value in {**SPEC, **more}.items() if value is not None}
    live = asyncio.run(recorded(spec, path, 6, faults=faults))

    again, player = asyncio.run(played(path))

    assert unlabelled(again) == live
    assert len(live) >= 4
    assert player.log.differ is None
    assert player.log.compared == len(live)
    assert player.recording.cut_off is None


def test_listen_plays_a_recording(tmp_path):
    """`listen(replay=…)` gives what was recorded, to async code and plain, and nothing else."""
    path = tmp_path / "btc.jsonl.gz"
    text = "BTC price + volume every 1s on binance"
    live = asyncio.run(recorded({}, path, 4, text=text))
    expected = [{**json.loads(data), "replayed": True} for data in live]

    async def events(*what: Any, **how: Any) -> list[dict[str, Any]]:
        return [dict(event) async for event in listen(*what, **how)]

    assert asyncio.run(events(replay=path)) == expected
    assert asyncio.run(events(text, replay=str(path))) == expected
    assert [dict(event) for event in listen_sync(replay=path, limit=2)] == expected[:2]
    with pytest.raises(BondError, match="holds another stream") as other:
        asyncio.run(events("ETH price every 5s", replay=path))
    assert other.value.fix == text
    with pytest.raises(RecordingError):
        asyncio.run(events(replay=tmp_path / "none.gz"))
    with pytest.raises(TypeError, match="api_url"):
        listen(replay=path, api_url="http://localhost:8000")
    for senseless in ({}, {"speed": 2}):
        with pytest.raises(TypeError, match="sentence"):
            listen(**senseless)


def test_what_differs_from_the_recorded_run_is_told(tmp_path, monkeypatch):
    """Where another version would compute otherwise, the digests in the file show it."""
    path = tmp_path / "btc.jsonl.gz"
    asyncio.run(recorded(SPEC, path, 2))
    from bond_server.recordings import player as module

    monkeypatch.setattr(module.Labelling, "_compare", _as_if_other(module.Labelling._compare))
    _, player = asyncio.run(played(path))

    assert player.log.differ is not None
    assert "they are not those of the recorded run" in player.said()[-1]


def _as_if_other(compare: Any) -> Any:
    def compared(self: Any) -> None:
        self._digest.update(b"another version")
        compare(self)

    return compared


def test_a_torn_recording_plays_as_far_as_it_goes_and_says_so(tmp_path):
    """Cut anywhere behind its header it gives a beginning of its run; the rest is told."""
    path = tmp_path / "btc.jsonl.gz"
    live = asyncio.run(recorded(SPEC, path, 3))
    data = path.read_bytes()
    torn = tmp_path / "torn.jsonl.gz"
    heard: set[int] = set()
    for part in (0.4, 0.7, 0.9, 0.999):
        torn.write_bytes(data[: int(len(data) * part)])

        again, player = asyncio.run(played(torn))

        whole = [data for data in unlabelled(again) if b'"partial":true' not in data]
        assert set(whole) <= set(live)
        assert player.recording.cut_off is not None
        assert player.log.differ is None
        heard.add(len(again))
    assert len(heard) > 1


def test_a_file_that_holds_nothing_says_why(tmp_path):
    """Not there, empty, something else, cut off in its header, or of a later version."""
    path = tmp_path / "x.jsonl.gz"
    with pytest.raises(RecordingError, match="No such file"):
        open_recording(path)
    for data, why in (
        (b"", "its recorder was ended before it began"),
        (b"hello, this is no recording at all", "it is no recording"),
        (gzip.compress(b'{"bond_recording":1}\n'), "it is no recording"),
    ):
        path.write_bytes(data)
        with pytest.raises(RecordingError, match=why):
            open_recording(path)


def test_nothing_of_the_machine_is_in_it_and_no_secret(tmp_path, monkeypatch):
    """It says versions and the spec; no path, no key: and it plays where there is no key."""
    monkeypatch.setenv("ALPACA_API_KEY", "the-key-of-alpaca")
    monkeypatch.setenv("ALPACA_API_SECRET", "the-secret-of-alpaca")
    path = tmp_path / "aapl.jsonl.gz"
    spec = {
        "sources": [{"type": "alpaca"}],
        "symbols": ["AAPL"],
        "interval_sec": 1,
    }
    live = asyncio.run(recorded(spec, path, 3))
    monkeypatch.delenv("ALPACA_API_KEY")
    monkeypatch.delenv("ALPACA_API_SECRET")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(path, moved / "other-name.gz")

    text = gzip.decompress((moved / "other-name.gz").read_bytes()).decode()
    again, _ = asyncio.run(played(moved / "other-name.gz"))

    assert unlabelled(again) == live
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"bond-streams", "python", "bond-alpaca"} <= set(lines[0]["versions"])
    for secret in ("the-key-of-alpaca", "the-secret-of-alpaca", str(tmp_path), str(Path.home())):
        assert secret not in text
    said = [line["frame"] for line in lines if "frame" in line]
    assert said
    assert all(isinstance(json.loads(frame[2]), list) for frame in said)
    assert any('"T":"t"' in frame[2].replace(" ", "") for frame in said)


def test_what_venues_say_to_ccxt_is_kept_as_it_came(tmp_path):
    """Each trade that the windows were told stands in a message of its venue, by its id."""
    path = tmp_path / "btc.jsonl.gz"
    asyncio.run(recorded({**SPEC, "symbols": ["BTC/USDT"]}, path, 3))

    with gzip.open(path, "rt") as file:
        lines = [json.loads(line) for line in file]
    opened = {line["opened"][0]: line["opened"][3] for line in lines if "opened" in line}
    said = [line["frame"] for line in lines if "frame" in line]
    assert {connection for connection, _, _ in said} <= opened.keys()
    ids = []
    for table in [table for line in lines if "events" in line for table in line["events"]]:
        if table["kind"] == "trade":
            ids += table["columns"]["id"]["j"].split(",")
    assert len(ids) > 20
    everything = "\n".join(text for _, _, text in said)
    assert [id for id in ids if id not in everything] == []


def test_a_full_disk_ends_a_recording_that_can_be_played(tmp_path):
    """The error says why and how much is kept; the file is whole up to there."""
    path = tmp_path / "btc.jsonl.gz"

    async def until_it_is_full() -> None:
        with full_disk(tmp_path) as disk:

            def fill(progress: Progress) -> None:
                disk.is_full = progress.records >= 3

            await recorded(SPEC, path, 60, told=fill)

    with pytest.raises(RecordingError, match="the disk is full"):
        asyncio.run(until_it_is_full())
    again, player = asyncio.run(played(path))

    assert again
    assert player.recording.cut_off == "its recorder didn't come to its end"


def test_a_recording_is_never_written_over(tmp_path):
    """A file that is there stays as it is, and the stream doesn't begin."""
    path = tmp_path / "btc.jsonl.gz"
    path.write_text("mine")

    with pytest.raises(RecordingError, match="is there already"):
        asyncio.run(recorded(SPEC, path, 1))

    assert path.read_text() == "mine"


def test_a_server_plays_it_to_the_clients_of_a_live_one(tmp_path):
    """The SDK, unchanged, asks by the same sentence, hears all records, and then the end."""
    path, sentence = tmp_path / "btc.jsonl.gz", "BTC price + volume every 1s"
    live = asyncio.run(recorded({}, path, 4, text=sentence))

    async def heard() -> list[dict[str, Any]]:
        settings = ServerSettings(
            host="127.0.0.1", port=0, secret=Secret("0123456789abcdef" * 4), data_dir=tmp_path
        )
        with closing(listening_socket("127.0.0.1", 0)) as bound:
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            async with a_replay(open_recording(path), "max", settings) as service:
                ready = asyncio.Event()
                serving = asyncio.create_task(serve_bond(service, settings, bound, ready=ready.set))
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        await ready.wait()
                        first = [dict(event) async for event in listen(sentence, api_url=url)]
                        again = [dict(event) async for event in listen(sentence, api_url=url)]
                        assert again == first
                        with pytest.raises(EkkoError, match="holds another stream"):
                            async for _ in listen("ETH price every 5s", api_url=url):
                                pass
                finally:
                    serving.cancel()
                    await asyncio.gather(serving, return_exceptions=True)
        return first

    records = asyncio.run(heard())

    assert [{**json.loads(data), "replayed": True} for data in live] == records
    assert len(live) >= 3


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_what_it_holds_can_be_taken_elsewhere(tmp_path, to):
    """Events with times to the ns, one file for each kind, and records: as others read them."""
    path = tmp_path / "btc.jsonl.gz"
    live = [json.loads(data) for data in asyncio.run(recorded(SPEC, path, 4))]

    for what in ("events", "records"):
        done = bond("export", str(path), "--to", to, "--what", what, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    read = pl.read_parquet if to == "parquet" else pl.read_csv
    trades, quotes = read(tmp_path / f"btc.trade.{to}"), read(tmp_path / f"btc.quote.{to}")
    records = read(tmp_path / f"btc.records.{to}")

    assert len(trades) == sum(record["trades"] or 0 for record in live)
    assert trades["told"].is_sorted()
    assert set(trades["source"]) == {"binance", "okx"}
    assert len(quotes) > 0
    assert records["id"].to_list() == [record["id"] for record in live]
    assert records["vwap"].to_list() == [record["vwap"] for record in live]
    assert [json.loads(text) for text in records["sources"]] == [r["sources"] for r in live]
    if to == "parquet":
        assert trades.schema["ts"] == pl.Datetime("ns", "UTC")
    again = bond("export", str(path), "--to", to, cwd=tmp_path)
    assert again.returncode == 1
    assert "is there already" in again.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 here")
def test_a_killed_recorder_leaves_a_file_that_plays(tmp_path):
    """`bond record` is killed with -9 under way; `bond replay` plays what it had written."""
    path = tmp_path / "btc.jsonl.gz"
    with start("record", "BTC price every 1s", "--simulate", "-o", str(path)) as recorder:
        deadline = time.monotonic() + 60
        while not path.exists() or path.stat().st_size < 4_000:
            assert recorder.poll() is None, recorder.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        recorder.kill()
        recorder.wait()

    done = bond("replay", str(path))

    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert records
    assert all(record["replayed"] is True for record in records)
    assert all(s["simulated"] for r in records for s in r["sources"].values())
    assert "byte for byte as recorded" in done.stderr
    assert "the recording ends early" in done.stderr


def test_a_recorder_ends_in_order_when_told_to(tmp_path):
    """After --for the file is whole, and says so; it can be played at a pace."""
    path = tmp_path / "btc.jsonl.gz"

    done = bond("record", "BTC price every 1s", "--simulate", "-o", str(path), "--for", "3s")

    assert done.returncode == 0, done.stderr
    assert f"play it: bond replay {path}" in done.stderr
    again = bond("replay", str(path), "--speed", "4", "--limit", "3", "--format", "json")
    assert again.returncode == 0, again.stderr
    assert len(again.stdout.splitlines()) == 3
    assert "ends early" not in bond("replay", str(path)).stderr
