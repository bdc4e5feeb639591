"""A run that was recorded, replayed through a fresh engine, is the same bytes.

What is recorded is all that a stream's engine is told: events with their receive times, and what
was said of their sources. Ticks are not: they are on a fixed grid. The tape is JSON, so nothing
but what stands in it can matter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from bond_core.clock import NS, ManualClock
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START
from bond_core.model.record import Notice, Repaired
from bond_core.plugin.factories import load_class
from bond_core.runtime import making
from bond_core.runtime.binding import BoundStream, Defaults
from bond_core.runtime.publisher import Publisher
from bond_core.runtime.ticks import TICK_NS
from bond_core.windows.checkpoint.plain import pack, unpack
from bond_core.windows.engine import WindowEngine
from bond_core.windows.plan import SourcePlan
from bond_server.local import Bond
from tests.journeys.in_process import PATIENCE_S, SIMULATOR

KEEPS_ALL = Retention(seconds=10 * 86_400.0)
TOLD = (
    "on_events", "on_status", "on_heartbeat", "on_duplicates", "on_rejected", "on_clamped",
    "on_gap", "on_repaired", "notify", "add_source", "remove_source",
)  # fmt: skip
PLAIN = {cls.__name__: cls for cls in (Notice, Repaired, SourcePlan)}


class TapedEngine(WindowEngine):
    """An engine that notes what it is told, and when."""

    clock: ClassVar[ManualClock]
    tape: ClassVar[list[str]]


def _noting(name: str) -> Any:
    told = getattr(WindowEngine, name)

    def tell(self: TapedEngine, *args: Any, **more: Any) -> Any:
        line = {"at": self.clock.now_ns(), "what": name, "args": [_written(each) for each in args]}
        assert not more
        self.tape.append(json.dumps(line))
        return told(self, *args)

    return tell


for _name in TOLD:
    setattr(TapedEngine, _name, _noting(_name))


def _written(value: Any) -> Any:
    if type(value).__name__ in PLAIN:
        fields = attrs.asdict(value, recurse=False)
        return {"class": type(value).__name__, "fields": pack(fields)}
    return {"value": pack(list(value) if isinstance(value, (list, tuple)) else value)}


def _read(value: Any) -> Any:
    if "class" in value:
        return PLAIN[value["class"]](**unpack(value["fields"]))
    return unpack(value["value"])


def _calls(tape: list[str]) -> Iterator[tuple[int, str, list[Any]]]:
    """Yield what was told, in order of time: events one by one, each when it was received."""
    for line in tape:
        told = json.loads(line)
        args = [_read(each) for each in told["args"]]
        if told["what"] == "on_events":
            name, events = args
            for event in events:
                assert event.recv_ts <= told["at"]
                yield event.recv_ts, "on_events", [name, [event]]
        else:
            yield told["at"], told["what"], args


async def replayed(
    bound: BoundStream, stream_id: str, tape: list[str], *, start_ns: int, end_ns: int
) -> list[tuple[str, bytes]]:
    """Play a tape, with ticks on the grid between, into a fresh engine and an empty log."""
    engine, log = WindowEngine(bound.plan, start_ns=start_ns), MemoryLog()
    publisher = Publisher(log, stream_id, KEEPS_ALL)
    await publisher.open()
    tick_ns = start_ns // TICK_NS * TICK_NS + TICK_NS
    for at_ns, what, args in sorted(_calls(tape), key=lambda call: call[0]):
        while tick_ns <= at_ns:
            engine.on_tick(tick_ns)
            tick_ns += TICK_NS
        getattr(engine, what)(*args)
    while tick_ns <= end_ns:
        engine.on_tick(tick_ns)
        tick_ns += TICK_NS
    engine.finish(end_ns)
    await publisher.publish(engine.take())
    return await _entries(log, stream_id)


async def _entries(log: Any, stream_id: str) -> list[tuple[str, bytes]]:
    page = await log.read(stream_id, START, limit=1_000_000)
    return [(str(entry.offset), bytes(entry.data)) for entry in page.entries]


async def taped_run(
    monkeypatch: Any, spec: dict[str, Any], clock: ManualClock, live: Any, **options: Any
) -> list[tuple[str, bytes]]:
    """Run a stream through loopback venues; return its records once the replay equals them."""
    TapedEngine.clock, TapedEngine.tape = clock, []
    monkeypatch.setattr(making, "WindowEngine", TapedEngine)
    bond = Bond(clock=clock, retention=KEEPS_ALL, seed=7, **options)
    async with bond:
        stream, _ = await bond.create(bond.compile({"spec": {**spec, "simulate": True}}))
        async with asyncio.timeout(PATIENCE_S):
            await stream.pipeline.settled()
        await live(bond)
        await bond.complete(stream)
        end_ns = clock.now_ns()
        played = await _entries(bond.log, stream.stream_id)
        again = await replayed(
            stream.compiled.bound, stream.stream_id, TapedEngine.tape,
            start_ns=stream.pipeline.started_ns, end_ns=end_ns,
        )  # fmt: skip
    assert again == played
    return played


async def pass_time(clock: ManualClock, seconds: float) -> None:
    """Let time pass on the clock, in odd steps, with time for what is on its way in sockets."""
    until_ns = clock.now_ns() + round(seconds * NS)
    while clock.now_ns() < until_ns:
        await clock.advance(0.017)
        await asyncio.sleep(0.003)


@pytest.mark.parametrize(
    ("more", "faults"),
    [
        ({"timeframes": ["1s", "2s"]}, []),
        (
            {"late": "update", "corrections_sec": 3},
            ["close:binance=1012@2s", "duplicate:okx/trades*5@1s"],
        ),
    ],
    ids=["plain", "corrected, with faults"],
)
def test_a_run_over_loopback_venues_equals_its_replay(monkeypatch, more, faults):
    """Two venues, trades and quotes, real connectors and sockets, a clock moved by hand."""
    clock = ManualClock(1_700_000_000 * NS + 7_000_000)
    spec = {
        "sources": [{"type": "ccxt", "exchanges": ["binance", "okx"]}],
        "symbols": ["BTC/USDT", "ETH/USDT"],
        "interval_sec": 1,
        "fields": ["price_close", "vwap", "trades", "volatility", "price_p95", "best_bid"],
        **more,
    }

    async def live(bond: Bond) -> None:
        await pass_time(clock, 6)

    records = asyncio.run(
        taped_run(
            monkeypatch, spec, clock, live, defaults=Defaults(simulate=True),
            simulator_options={SIMULATOR: {"faults": faults}},
        )
    )  # fmt: skip

    bodies = [json.loads(data) for _, data in records]
    assert len(bodies) >= 8
    assert sum(body["trades"] or 0 for body in bodies) > 10
    assert any(body["best_bid"] for body in bodies)


@pytest.mark.parametrize(
    ("name", "venue"), [("OKX.ws.1.0", "okx"), ("COINBASE.ws.28.0", "coinbaseexchange")]
)
def test_a_recorded_session_equals_its_replay(monkeypatch, recordings: Path, name, venue):
    """Exchange traffic as it came, through the real connector; its own times move the clock."""
    path = recordings / "cryptofeed" / name
    if not path.is_file():
        pytest.skip(f"no recording at {path}")
    markets = load_class("bond_sim.recording:symbols")(path)
    clock = ManualClock(load_class("bond_sim.recording:recording_start_ns")(path))
    spec = {
        "sources": [{"type": "ccxt", "exchanges": [venue], "stale_sec": "1d"}],
        "symbols": [market.symbol for market in markets if "trades" in market.channels],
        "interval_sec": 1,
        "late": "update",
        "corrections_sec": 30,
    }

    async def live(bond: Bond) -> None:
        simulator = await bond.simulators.running(bond.catalog.connector("ccxt"))
        await simulator.play()

    records = asyncio.run(
        taped_run(
            monkeypatch, spec, clock, live,
            defaults=Defaults(exchanges=(venue,), fallback=(), simulate=True),
            simulator_options={SIMULATOR: {"recording": str(path), "speed": "max"}},
        )
    )  # fmt: skip

    bodies = [json.loads(data) for _, data in records]
    assert sum(body["trades"] or 0 for body in bodies if body["rev"] == 0) > 50
