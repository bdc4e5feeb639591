"""What recording an event costs, and how fast a recording is played.

Two venues trade one symbol, 10,000 trades a second of it in batches of 1 to 4, an engine with the
fields of a plain sentence. Recording is all of it: noting, columns, JSON, compression, the file;
its figure is µs of process time an event, against 1. Playing is from the file to labelled records;
its figure is its rate against that of the same engine, told the same events and ticks from
memory, and nothing else. Figures are medians of rounds, taken by turns.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from bond_core.clock import NS, SystemClock
from bond_core.model.event import Trade
from bond_core.plugin.catalog import Catalog
from bond_core.runtime.binding import Defaults
from bond_core.runtime.tape.blocks import BlockWriter
from bond_core.runtime.tape.told import Call, Tape
from bond_core.windows.engine import WindowEngine
from bond_server.compiling import compile_request
from bond_server.language.vocabulary import vocabulary_of
from bond_server.process import tune_for_playing, tune_for_serving
from bond_server.recordings.header import header_line, header_of
from bond_server.recordings.player import compiled_from
from bond_server.recordings.recorder import BLOCK_OF
from bond_server.recordings.recording import open_recording
from bond_server.recordings.replaying import replayed
from tests.benchmarks.figure import Figure

CASES = ("record", "replay")
PER_S = 10_000
SECONDS = 10
ROUNDS = 9
START_NS = 1_700_000_000 * NS
TICK_NS = NS // 20
_LAG_NS = {"binance": 20_000_000, "okx": 45_000_000}
DEAREST_US = 1.0
SLOWEST = 1 / 3


def run(case: str | None = None) -> Iterable[Figure]:
    """Yield what an event costs to record, and how fast it is played."""
    catalog = Catalog.installed()
    request = {
        "spec": {
            "sources": [{"type": "ccxt", "exchanges": ["binance", "okx"]}],
            "symbols": ["BTC/USDT"],
            "interval_sec": 1,
        }
    }
    compiled = compile_request(request, catalog, vocabulary_of(catalog), Defaults())
    calls = list(_calls())
    thresholds = gc.get_threshold()
    events = sum(len(args[1]) for what, args in calls if what == "on_events")
    with tempfile.TemporaryDirectory(prefix="bond-bench-") as name:
        folder = Path(name)
        header = header_of(
            compiled, stream_id="bench", text=None, started_ns=START_NS, has_frames=False,
            plugins=(),
        )  # fmt: skip
        plan = compiled_from(header, catalog, "bench").bound.plan
        taken: dict[str, list[float]] = {}
        if case in (None, "record"):
            tune_for_serving()  # as `bond record` does
            taken |= _rounds({"record": lambda: _record(calls, plan, header_line(header), folder)})
        if case in (None, "replay"):
            tune_for_playing()  # as `bond replay` does
            _record(calls, plan, header_line(header), folder)
            taken |= _rounds(
                {
                    "bare": lambda: _bare(calls, plan),
                    "replay": lambda: asyncio.run(_replay(folder / "tape.gz", events)),
                }
            )
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    if "record" in taken:
        dear = statistics.median(taken["record"]) / events * 1e6
        yield Figure(bench="record", case="record", against="1 µs an event", ratio=dear).at_most(
            DEAREST_US
        )
    if "replay" in taken:
        pairs = zip(taken["bare"], taken["replay"], strict=True)
        rate = statistics.median(bare / played for bare, played in pairs)
        yield Figure(
            bench="record", case="replay at max", against="the bare engine's rate", ratio=rate
        ).at_least(SLOWEST)


def _rounds(ways: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for n in range(ROUNDS + 1):  # the first warms up
        for name, way in ways.items():
            gc.collect()
            began = time.process_time()
            spent = way()
            spent = time.process_time() - began if spent is None else spent
            if n:
                taken[name].append(spent)
    return taken


def _calls() -> Iterable[Call]:
    """Yield what an engine is told of a busy market."""
    chance = random.Random(1)
    venues = {"binance": 3_000_000_000, "okx": 900_000_000}
    for name in venues:
        yield "on_status", (name, "BTC/USDT", "live", START_NS, None)
    price, now_ns, tick_ns, left = 43_000.0, START_NS, START_NS + TICK_NS, PER_S * SECONDS
    while left:
        n = min(left, chance.randrange(1, 5))
        now_ns += n * NS // PER_S
        left -= n
        while tick_ns <= now_ns:
            yield "on_tick", (tick_ns,)
            yield "take", ()
            tick_ns += TICK_NS
        name = chance.choice(tuple(venues))
        heard_ns = now_ns + chance.randrange(100_000)
        ts = (heard_ns - _LAG_NS[name]) // 1_000_000 * 1_000_000  # a venue tells in order, in ms
        batch = []
        for _ in range(n):
            venues[name] += chance.randrange(1, 3)
            price = round(price + chance.choice((-0.1, 0.0, 0.0, 0.1)), 1)
            batch.append(
                Trade(
                    "BTC/USDT",
                    ts,
                    price,
                    round(chance.random(), 5),
                    chance.choice(("buy", "sell")),
                    str(venues[name]),
                    venues[name],
                    heard_ns,
                    name,
                )
            )
        yield "on_events", (name, batch)


def _record(calls: list[Call], plan: Any, header: bytes, folder: Path) -> float:
    """Record all of it, as a pipeline and its recorder do; return the time that took."""
    (folder / "tape.gz").unlink(missing_ok=True)
    engine = WindowEngine(plan, start_ns=START_NS)
    told = [(getattr(engine, what), args) for what, args in calls]
    gc.collect()
    began = time.process_time()
    writer, tape = BlockWriter(folder / "tape.gz"), Tape()
    writer.write(header)
    for each in told:
        tape.noted.append(each)
        if len(tape.noted) >= BLOCK_OF:
            writer.write(tape.lines())
    writer.write(tape.lines())
    writer.close()
    return time.process_time() - began


def _bare(calls: list[Call], plan: Any) -> None:
    engine = WindowEngine(plan, start_ns=START_NS)
    for call in calls:
        getattr(engine, call[0])(*call[1])
    engine.finish(START_NS + SECONDS * NS)
    engine.take()


async def _replay(path: Path, events: int) -> float:
    catalog = Catalog.installed()
    recording = open_recording(path)
    assert recording.header.started_ns == START_NS
    heard = 0

    def told(player: Any) -> None:
        nonlocal heard
        heard = player.events

    began = time.process_time()
    records = 0
    async with aclosing(replayed(path, clock=SystemClock(), catalog=catalog, told=told)) as played:
        async for _ in played:
            records += 1
    spent = time.process_time() - began
    if heard != events or records < SECONDS:
        raise RuntimeError(f"{heard} of {events} events were played, {records} records")
    return spent
