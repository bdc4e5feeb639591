"""What the bot's streaming documentation shows works with ekko.bars: its programs run as pasted.

Only their import lines are mapped (`bot.data` is `ekko.bars`). They run under simulation, on a
clock that goes thirty times as fast as the real one. What differs stands in docs/bars.md.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import time
from pathlib import Path

import pytest

import ekko.bars
from ekko.bars import PaperExecutor, StreamManager, StreamManagerConfig, manager
from tests.journeys.seed_blocks import blocks_of

BLOCKS = {block.name: block for block in blocks_of("002")}
PAGE = (Path(__file__).parents[2] / "docs" / "bars.md").read_text(encoding="utf-8")
QUICK_START, CONFIG, ENGINE, ACCESS = "002:32", "002:60", "002:85", "002:111"
NO_CODE = {"002:137", "002:154"}  # variables of the environment, and a drawing
FASTER = 30

pytestmark = pytest.mark.skipif(not BLOCKS, reason="the earlier documentation isn't there")


class FastClock:
    """Begins in the middle of a minute, and goes faster than the real one."""

    def __init__(self):
        self._began = time.monotonic_ns()
        self._from = time.time_ns() // (60 * 10**9) * 60 * 10**9 - 90 * 10**9

    def now_ns(self):
        return self._from + (time.monotonic_ns() - self._began) * FASTER

    monotonic_ns = now_ns

    async def sleep(self, seconds):
        await REAL_SLEEP(max(0.0, seconds) / FASTER)

    async def sleep_until(self, at_ns):
        await self.sleep((at_ns - self.now_ns()) / 10**9)


REAL_SLEEP = asyncio.sleep


async def fast_sleep(seconds, result=None):
    """Sleep as a program sees it on the fast clock."""
    return await REAL_SLEEP(seconds / FASTER if seconds >= 1 else seconds, result)


@pytest.fixture(name="simulated")
def _simulated(monkeypatch):
    """Simulation, on a fast clock, for managers that programs make without saying anything."""
    monkeypatch.setenv("BOND_SIMULATE", "1")
    monkeypatch.delenv("EKKO_API_URL", raising=False)

    class Fast(StreamManager):
        def __init__(self, *args, **options):
            clock = FastClock()
            super().__init__(*args, **{"clock": clock, "bond": {"seed": 7}, **options})

    monkeypatch.setattr(manager, "StreamManager", Fast)
    monkeypatch.setattr(ekko.bars, "StreamManager", Fast)
    return Fast


def pasted(name, given):
    """Run a block as it stands, but for its imports; return its names and what it printed."""
    lines = []
    text = re.sub(
        r"^from bot\.data import", "from ekko.bars import", BLOCKS[name].text, flags=re.MULTILINE
    )
    names = {"print": lambda *words: lines.append(" ".join(map(str, words))), **given}
    code = compile(ast.parse(text), f"<{name}>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, names)  # noqa: S307 - our own documentation
    if inspect.iscoroutine(running):
        running.close()
        raise AssertionError("no block awaits at its top")
    return names, lines


def test_the_quick_start_prints_ticks_and_bars(simulated, monkeypatch):
    """
    A minute of crypto and shares, on the fast clock: both kinds of line, of every symbol.
    """
    monkeypatch.setattr(asyncio, "sleep", fast_sleep)

    _, lines = pasted(QUICK_START, {})

    ticks = [re.fullmatch(r"Tick: (\S+) @ (\d+(?:\.\d+)?|None)", line) for line in lines]
    bars = [line for line in lines if line.startswith("Bar: ")]
    assert {found[1] for found in ticks if found} == {"BTC/USDT", "XRP/USDT", "TSLA"}
    assert {"Bar: BTC/USDT OHLC", "Bar: XRP/USDT OHLC", "Bar: TSLA OHLC"} == set(bars)
    assert len(bars) + sum(map(bool, ticks)) == len(lines)


def test_the_configuration_is_taken_and_is_that_of_the_defaults():
    """
    Each setting that is shown, and no setting of another value.
    """
    names, _ = pasted(CONFIG, {})

    assert names["config"] == StreamManagerConfig()
    shown = re.findall(r"^    (\w+)=", BLOCKS[CONFIG].text, re.MULTILINE)
    assert len(shown) == 9


def test_the_engine_runs_from_ticks_to_an_executor(simulated):
    """
    The function that is shown, with a model and an executor of ours; then it is left.
    """
    paper, engines = PaperExecutor(), []

    class Model:
        def predict(self, features):
            return 0.9

    names, _ = pasted(ENGINE, {"my_ml_predictor": Model(), "my_order_executor": paper})
    made = names["StreamingTradingEngine"]

    def kept(**options):
        engines.append(made(**options))
        return engines[-1]

    names["StreamingTradingEngine"] = kept

    async def run():
        async with asyncio.timeout(30):
            await names["run_trading"]()
            (engine,) = engines
            try:
                while not paper.fills:
                    await REAL_SLEEP(0.05)
                return engine.get_metrics(), engine.stream_manager.get_metrics()
            finally:
                await engine.stop()

    counts, metrics = asyncio.run(run())

    assert metrics["ticks"] > 0
    assert counts["predictions"] >= counts["signals"] >= counts["executed"] >= 1
    assert engines[0].signal_threshold == 0.6
    assert paper.fills[0].simulated


def test_data_are_accessed_as_shown(simulated):
    """
    A frame of bars, the bar that is being built, health and metrics.
    """
    pytest.importorskip("pandas")

    async def run():
        manager = simulated()
        manager.add_crypto_symbols(["BTC/USDT"])
        async with asyncio.timeout(30), manager:
            while not any(bar.trades for bar in manager.get_bars("BTC/USDT", "1m")):
                await REAL_SLEEP(0.05)
            while manager.get_current_bar("BTC/USDT") is None:
                await REAL_SLEEP(0.05)
            return pasted(ACCESS, {"manager": manager})[0]

    names = asyncio.run(run())

    assert {"open", "high", "low", "close", "volume", "vwap"} <= set(names["df"].columns)
    assert names["df"].attrs["simulated"]
    assert names["df"]["simulated"].all()
    assert names["current"].simulated
    assert not names["current"].complete
    assert names["health"]["status"] == "healthy"
    assert names["metrics"]["ticks"] > 0


def test_every_kind_of_event_that_is_listed_can_be_listened_to():
    """
    By its name, and by a method of the manager.
    """
    text = next(Path(os.fspath(path)) for path in _files()).read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE)

    assert listed == [each.name for each in ekko.bars.EventType]
    assert all(hasattr(StreamManager, f"on_{name.lower()}") for name in listed)


def test_the_keys_that_are_named_are_those_that_shares_need(monkeypatch):
    """
    Without them, and without simulation, a manager of shares says which are missing.
    """
    for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY", "BOND_SIMULATE", "EKKO_API_URL"):
        monkeypatch.delenv(name, raising=False)
    shown = re.findall(r"^(\w+)=", BLOCKS["002:137"].text, re.MULTILINE)
    manager = ekko.bars.create_default_trading_stream(stock_symbols=["TSLA"])

    with pytest.raises(Exception, match=r"ALPACA_\w+") as raised:
        asyncio.run(manager.start())

    assert shown == ["ALPACA_API_KEY", "ALPACA_SECRET_KEY"]
    assert any(name in str(raised.value) for name in shown)


@pytest.mark.parametrize("program", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_page_s_programs_are_of_what_there_is(program):
    """
    They compile, and what they import is there.
    """
    tree = ast.parse(program)
    imports = [each for each in tree.body if isinstance(each, (ast.Import, ast.ImportFrom))]

    exec(compile(ast.Module(imports, []), "<page>", "exec"), {})  # noqa: S102 - our own page
    compile(tree, "<page>", "exec")


def test_nothing_is_left_out():
    """
    Each block is used above or holds no code, and the page names each of those.
    """
    used = {QUICK_START, CONFIG, ENGINE, ACCESS}

    assert used | NO_CODE == BLOCKS.keys()
    for word in ("Latency", "Environment", "Files", "Differences"):
        assert word in PAGE


def _files():
    from tests.journeys.seed_blocks import FOLDER

    return FOLDER.glob("002_*.txt")
