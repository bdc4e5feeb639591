"""What wrdata's streaming page shows runs here: each program as it stands there, as a file.

Stand-ins: `ekko` in its import lines, and BOND_SIMULATE=1 for venues, vendors and keys. What
differs stands in docs/datastream.md.
"""

from __future__ import annotations

import ast
import asyncio
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest

from ekko import DataStream, StreamMessage
from ekko.datastream.asking import INTERVALS
from tests.journeys.command_line import environment
from tests.journeys.seed_blocks import FOLDER, blocks_of

BLOCKS = {block.name: block for block in blocks_of("003")}
TEXT = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("003_*.txt"))
PAGE = Path(__file__).parents[2] / "docs" / "datastream.md"
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "streaming_usage.py"
PROVIDERS = ("binance", "coinbase", "finnhub", "alpaca", "ibkr", "kraken", "polygon")
PRICE = r"\$\d+\.\d\d"

pytestmark = pytest.mark.skipif(not BLOCKS, reason="wrdata's streaming page isn't there")


class Program:
    """A program of the page, running by itself; `lines` are what it printed, as they come."""

    def __init__(self, block, folder):
        file = folder / f"{block.name.replace(':', '_')}.py"
        text = block.text.replace("from wrdata import", "from ekko import")
        file.write_text(text, encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, text=True, encoding="utf-8", cwd=folder,
            env=environment({"BOND_SIMULATE": "1"}),
        )  # fmt: skip
        self.lines, self.errors = queue.SimpleQueue(), []
        self._readers = []
        for pipe, put in ((self.process.stdout, self.lines.put),
                          (self.process.stderr, self.errors.append)):  # fmt: skip
            self._readers.append(threading.Thread(target=self._read, args=(pipe, put)))
            self._readers[-1].start()

    def _read(self, pipe, put):
        with pipe:
            for line in pipe:
                put(line.rstrip("\n"))

    def said(self, enough):
        """Return what it has printed once that is enough."""
        lines = []
        while not enough(lines):
            lines.append(self.lines.get(timeout=60))
        return lines

    def end(self):
        """End it as its user would; return its exit status."""
        self.process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
        return self.over()

    def over(self, seconds=30):
        """Return its exit status, once it has ended and all that it said is read."""
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(10)
        return status


@contextmanager
def running(folder, names):
    """Run programs side by side."""
    programs = {name: Program(BLOCKS[name], folder) for name in names}
    try:
        yield programs
    finally:
        for program in programs.values():
            program.process.kill()
            program.over()


@pytest.fixture(scope="module", name="programs")
def _programs(tmp_path_factory):
    """The page's programs that go on for ever."""
    endless = [name for name, block in BLOCKS.items() if "asyncio.run(" in block.text]
    endless.remove("003:115")
    with running(tmp_path_factory.mktemp("endless"), endless) as programs:
        yield programs


def of_all(*symbols):
    """Whether lines are of every symbol."""
    return lambda lines: all(any(f"{s}:" in line for line in lines) for s in symbols)


def several(number):
    """Whether there are so many lines."""
    return lambda lines: len(lines) >= number


@pytest.mark.parametrize(
    ("name", "enough", "pattern"),
    [
        ("003:57", several(5), rf"BTC: {PRICE}"),
        ("003:75", of_all("BTCUSDT", "ETHUSDT", "BNBUSDT"), rf"(BTC|ETH|BNB)USDT: {PRICE}"),
        ("003:96", several(2), rf"ETH: O={PRICE} H={PRICE} L={PRICE} C={PRICE}"),
        ("003:201", of_all("BTCUSDT", "ETHUSDT", "AAPL", "GOOGL"), rf"[A-Z]+: {PRICE}"),
    ],
)
def test_a_program_that_goes_on_prints_prices(programs, name, enough, pattern):
    """
    Each line is a price of a symbol that was asked for; Ctrl-C ends it, and nothing complains.
    """
    program = programs[name]

    lines = program.said(enough)
    program.end()

    assert lines
    assert all(re.fullmatch(pattern, line) for line in lines), lines
    said = "\n".join(program.errors)
    assert "was never retrieved" not in said
    assert "was destroyed" not in said


def test_a_callback_s_mistake_is_told_and_ends_nothing(programs):
    """
    The bot calls a method that it doesn't have: the log says so, and prices go on.
    """
    program = programs["003:201"]
    program.over()

    said = "\n".join(program.errors)
    assert "has no attribute 'send_alert'" in said
    assert "callback LiveTradingBot.on_price_update failed at a message of BTCUSDT" in said
    assert "binance_key isn't used" in said


def test_the_program_with_a_callback_ends_by_itself(programs, tmp_path):
    """
    After its ten seconds, with status 0 and nothing on standard error.
    """
    for other in programs.values():
        other.process.kill()  # it goes by the clock
        other.over()
    with running(tmp_path, ["003:115"]) as mine:
        program = mine["003:115"]

        assert program.over(60) == 0
        lines = program.said(lambda _: program.lines.empty())
    assert len(lines) > 10
    assert all(re.fullmatch(rf"BTCUSDT: {PRICE}", line) for line in lines)
    assert program.errors == []


def test_a_message_has_the_attributes_that_are_shown():
    """
    Those of every message, and those of candles, of the types that stand there.
    """
    (shown,) = ast.parse(BLOCKS["003:142"].text).body
    types = {line.target.id: line.annotation.id for line in shown.body}
    assert shown.name == StreamMessage.__name__

    ticker, candle = asyncio.run(first("BTCUSDT")), asyncio.run(first("BTCUSDT", "kline"))

    for name, kind in types.items():
        assert type(getattr(candle, name)).__name__ == kind
        if name not in {"open", "high", "low", "close"}:
            assert type(getattr(ticker, name)).__name__ == kind
    assert ticker.timestamp.utcoffset().total_seconds() == 0


async def first(symbol, stream_type="ticker", **more):
    """Return the first message of a stream."""
    async with (
        asyncio.timeout(30),
        DataStream(simulate=True) as streams,
        aclosing(streams.stream(symbol, stream_type, **more)) as messages,
    ):
        return await anext(messages)


def test_the_seven_providers_stream():
    """
    Each that the drawing names is there by that name, and says so in its messages.
    """
    drawn = re.findall(r"(\w+)StreamProvider", BLOCKS["003:237"].text)
    assert sorted(PROVIDERS) == sorted(name.lower() for name in drawn)

    async def all_of_them():
        async with asyncio.timeout(60), DataStream(simulate=True) as streams:

            async def one(name):
                crypto = name in {"binance", "coinbase", "kraken"}
                symbol = ("BTC-USD" if name == "coinbase" else "BTCUSDT") if crypto else "AAPL"
                async with aclosing(streams.stream(symbol, provider=name)) as messages:
                    return await anext(messages)

            return await asyncio.gather(*map(one, PROVIDERS))

    messages = asyncio.run(all_of_them())

    assert [message.provider for message in messages] == list(PROVIDERS)
    assert all(message.simulated and message.price > 0 for message in messages)


def test_the_intervals_are_those_of_the_page():
    """
    All twelve.
    """
    (listed,) = re.findall(r"Intervals: (.*)", TEXT)

    assert listed.split(", ") == list(INTERVALS)


def test_the_methods_are_those_of_the_page():
    """
    Four, and `stream`, `subscribe` and `stream_many` take their words.
    """
    methods = re.findall(r"^\d\. `(\w+)\(\)`", TEXT, re.MULTILINE)

    assert methods == ["stream", "subscribe", "stream_many", "disconnect_streams"]
    assert all(callable(getattr(DataStream, name)) for name in methods)


def test_the_six_examples_are_there():
    """
    Under their numbers, in one file; test_examples.py runs it.
    """
    listed = re.findall(r"^(\d)\. ([A-Z][^`\n]+)$", TEXT[: TEXT.index("### Tests")], re.MULTILINE)

    assert len(listed) == 6
    source = EXAMPLES.read_text(encoding="utf-8")
    for number, title in listed:
        assert f"{number}. {title.partition(' (')[0]}" in source


def test_no_block_is_left_out():
    """
    Each is used above, and the page of differences is there.
    """
    source = Path(__file__).read_text(encoding="utf-8")

    assert all(f'"{name}"' in source for name in BLOCKS)
    page = PAGE.read_text(encoding="utf-8")
    assert "## Differences" in page
