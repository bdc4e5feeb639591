"""What plugins cost: to list, to import what they import, per event, and where they are broken.

Ratios of time. Processes are measured less what Python itself takes to start, where that is
said; events are measured less what a bare async generator of the same batches takes.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from importlib import metadata
from pathlib import Path

from bond_core.clock import SystemClock
from bond_core.model.event import Event, Trade
from bond_core.model.record import Notice, Repaired, Status
from bond_core.plugin.context import Context
from bond_core.plugin.discovery import GROUP, find_plugins
from bond_core.runtime.supervisor import Supervisor
from bond_core.testing.scripted_connector import Script, ScriptConfig, scripted_spec
from tests.benchmarks.figure import Figure
from tests.benchmarks.start import median_seconds
from tests.core.plugin.zoo import install_zoo
from tests.journeys.command_line import start

PLUGINS = 50
AT_MOST = 3.0
OVERHEAD_US_AT_MOST = 1.0
LATER_S_AT_MOST = 2.0
BATCH = 64
BATCHES = 1_000
ROUNDS = 15
STARTS = 5

_POINTS = f"from importlib.metadata import entry_points; print(*entry_points(group={GROUP!r}))"
_LIST = "from bond_server.cli import main; main(['plugins', 'list'])"
_OTHERS = "import attrs, cattrs, pluggy, msgspec"


def run() -> Iterable[Figure]:
    """Yield the figures, and beside them how they come about."""
    with tempfile.TemporaryDirectory() as folder, many_plugins(Path(folder)):
        yield from _listing()
    yield from _importing()
    yield from _hearing()
    yield from _starting()


@contextmanager
def many_plugins(folder: Path) -> Iterator[None]:
    """Have 50 plugins be installed, in this process and those that it starts.

    Raises:
        RuntimeError: Listing imported one of them.
    """
    for n in range(PLUGINS):
        info = folder / f"bond_many_{n}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: bond-many-{n}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\nmany{n} = bond_many_{n}.plugin\n")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    sys.path.insert(0, str(folder))
    try:
        yield
        imported = [name for name in sys.modules if name.startswith("bond_many_")]
        if imported:
            raise RuntimeError(f"listing imported {imported[0]}")
    finally:
        sys.path.remove(str(folder))
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _listing() -> Iterable[Figure]:
    listed = subprocess.run(
        [sys.executable, "-c", _LIST], capture_output=True, text=True, check=True, timeout=60
    )
    found = sum(line.startswith("many") for line in listed.stdout.splitlines())
    if found != PLUGINS:
        raise RuntimeError(f"{found} of {PLUGINS} plugins were listed")
    plain = _fastest(lambda: list(metadata.entry_points(group=GROUP)))
    ours = _fastest(find_plugins)
    yield _figure(f"find {PLUGINS} plugins", "entry_points()", ours / plain).at_most(AT_MOST)
    medians = median_seconds(
        {"points": [sys.executable, "-c", _POINTS], "list": [sys.executable, "-c", _LIST]}
    )
    ratio = medians["list"] / medians["points"]
    yield _figure("bond plugins list", "python, entry_points()", ratio).at_most(AT_MOST)


def _importing() -> Iterable[Figure]:
    medians = median_seconds(
        {
            text: [sys.executable, "-c", text]
            for text in ("pass", _OTHERS, "import bond_core", "from bond_core.plugin import *")
        }
    )
    others = medians[_OTHERS] - medians["pass"]
    for text, case in (
        ("import bond_core", "import bond_core"),
        ("from bond_core.plugin import *", "all of bond_core.plugin"),
    ):
        ratio = (medians[text] - medians["pass"]) / others
        yield _figure(case, "attrs cattrs pluggy …", ratio).at_most(AT_MOST)


def _hearing() -> Iterable[Figure]:
    bare, ours = [], []
    for _ in range(ROUNDS):
        batches = _batches()
        bare.append(asyncio.run(_through_a_generator(batches)))
        ours.append(asyncio.run(_through_a_feed(batches)))
    overhead_us = (min(ours) - min(bare)) / (BATCHES * BATCH) / 1_000
    yield _figure("supervisor + feed", "1 us an event", overhead_us).at_most(OVERHEAD_US_AT_MOST)


def _starting() -> Iterable[Figure]:
    """Yield how many seconds later a server is there among plugins that hang, exit and lie."""
    alone, among = [], []
    with tempfile.TemporaryDirectory() as site, tempfile.TemporaryDirectory() as data:
        install_zoo(Path(site))
        path = os.pathsep.join(filter(None, [site, os.environ.get("PYTHONPATH")]))
        for _ in range(STARTS):
            alone.append(_seconds_to_serve(data, {}))
            among.append(_seconds_to_serve(data, {"PYTHONPATH": path}))
    later_s = statistics.median(among) - statistics.median(alone)
    yield _figure("start among broken ones", "1 s", later_s).at_most(LATER_S_AT_MOST)


def _seconds_to_serve(data: str, env: dict[str, str]) -> float:
    began = time.perf_counter()
    arguments = ("serve", "--port", "0", "--log-level", "error")
    with start(*arguments, env={"BOND_DATA_DIR": data, **env}, cwd=Path(data)) as process:
        try:
            line = process.stdout.readline()
            took = time.perf_counter() - began
            if "http://" not in line:
                raise RuntimeError(f"the server did not start:\n{process.stderr.read()}")
            return took
        finally:
            process.kill()
            process.wait(timeout=30)


def _figure(case: str, against: str, ratio: float) -> Figure:
    return Figure(bench="plugins", case=case, against=against, ratio=ratio)


def _fastest(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _batches() -> list[list[Event]]:
    """Return fresh trades: the feed stamps them, and drops what it has heard before."""
    now_ns = time.time_ns()
    return [
        [
            Trade(symbol="BTC/USDT", ts=now_ns, price=100.0, size=1.0, id=f"{batch}-{n}")
            for n in range(BATCH)
        ]
        for batch in range(BATCHES)
    ]


class _Ear:
    """Counts what it hears, as the consumer of the generator does."""

    def __init__(self) -> None:
        self.heard = 0

    def on_events(self, symbol: str, events: Sequence[Event]) -> None:
        self.heard += len(events)

    def on_status(self, symbol: str, status: Status, at_ns: int, reason: str | None) -> None: ...
    def on_heartbeat(self, ts: int) -> None: ...
    def on_duplicates(self, symbol: str, n: int) -> None: ...
    def on_rejected(self, symbol: str, n: int, why: str) -> None: ...
    def on_clamped(self, symbol: str, n: int) -> None: ...
    def on_gap(self, symbol: str, notice: Notice) -> None: ...
    def on_repaired(self, symbol: str, events: Sequence[Event], repaired: Repaired) -> None: ...


async def _through_a_generator(batches: list[list[Event]]) -> int:
    """Return ns."""

    async def source() -> AsyncIterator[list[Event]]:
        for batch in batches:
            await asyncio.sleep(0)
            yield batch

    ear = _Ear()
    began_ns = time.perf_counter_ns()
    async with aclosing(source()) as heard:
        async for batch in heard:
            ear.on_events("BTC/USDT", batch)
    took_ns = time.perf_counter_ns() - began_ns
    return _checked(ear, took_ns)


async def _through_a_feed(batches: list[list[Event]]) -> int:
    """Return ns."""
    took: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def source(ctx: Context) -> None:
        began_ns = time.perf_counter_ns()
        for batch in batches:
            await asyncio.sleep(0)
            ctx.emit("trades", batch)
        took.set_result(time.perf_counter_ns() - began_ns)

    supervisor = Supervisor(
        scripted_spec(), ScriptConfig(Script(source)), name="bench", clock=SystemClock(),
        chance=random.Random(1), simulated_at=None,
    )  # fmt: skip
    ear = _Ear()
    supervisor.feed("trades", "BTC/USDT").attach(ear, None)
    await supervisor.run()
    return _checked(ear, took.result())


def _checked(ear: _Ear, took_ns: int) -> int:
    if ear.heard != BATCH * BATCHES:
        raise RuntimeError(f"{ear.heard} of {BATCH * BATCHES} events were heard")
    return took_ns
