"""The examples of the documentation, run as their users do, against a simulating server."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import os
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from ekko import EkkoClientSync, Event, Records
from ekko.event import gap_before
from tests.journeys.command_line import environment, serving

FOLDER = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server")) as address:
        # Warm: the first windows of a market that nobody listened to may hold no trade.
        EkkoClientSync(address).create_stream("BTC price + volume every 1s")
        yield address


def run(server, name, *words):
    """Run an example to its end, and return what it printed."""
    done = subprocess.run(
        [sys.executable, FOLDER / name, *words], capture_output=True, text=True, check=False,
        encoding="utf-8", timeout=60, stdin=subprocess.DEVNULL,
        env={**os.environ, "EKKO_API_URL": server, "PYTHONIOENCODING": "utf-8", "COLUMNS": "140"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def module(name):
    """Return an example's names."""
    return runpy.run_path(str(FOLDER / name), run_name=name)


def test_the_trading_bot_trades_on_paper(server):
    """
    It keeps a book and says what it is worth; its trades say that they are paper.
    """
    said = run(server, "trading_bot.py", "BTC price every 200ms", "--seconds", "5").splitlines()

    assert re.fullmatch(r"\d+ paper trades; the book is worth [\d,.]+", said[-1])
    assert all(" PAPER " in line for line in said[:-1])


def test_the_trading_bot_knows_what_it_does_not_know():
    """
    A price that nobody knows is no signal, a stale source neither, and a gap starts its means anew.
    """
    bot = module("trading_bot.py")
    crossing = bot["Crossing"]()

    def event(price, status="live"):
        fields = {"ts": "2025-10-21T13:30:05Z", "price_close": price, "id": "2-0"}
        return Event({**fields, "sources": {"binance": {"status": status}}})

    signals = [crossing.signal(event(price)) for price in range(100, 108)]
    assert signals == [None] * 7 + ["buy"]
    assert crossing.signal(event(None)) is None
    assert crossing.signal(event(1.0, "stale")) is None
    assert crossing.signal(event(1.0)) == "sell"
    assert crossing.signal(gap_before(event(1.0), after="1-0", reason="trimmed")) is None
    assert crossing.signal(event(200.0)) is None


def test_the_trading_bot_can_send_no_order():
    """
    It imports nothing that could.
    """
    tree = ast.parse((FOLDER / "trading_bot.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {
        n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names
    }

    assert imported == {"__future__", "argparse", "collections", "dataclasses", "ekko"}


def test_the_agent_looks_thinks_and_says(server):
    """
    Two turns, with what it saw labelled, and its stream is gone when it has ended.
    """
    before = {stream.stream_id for stream in EkkoClientSync(server).list_streams()}

    said = run(server, "agent.py", "BTC price + tweets every 500ms", "--turns", "2").splitlines()

    assert said[0].startswith("understood: BTC/USDT price")
    saw = [json.loads(line.partition("saw: ")[2]) for line in said if "saw: " in line]
    assert len(saw) == 2
    assert all(one["simulated"] for one in saw)
    assert said[-1].startswith("turn 2 says: ")
    after = {stream.stream_id for stream in EkkoClientSync(server).list_streams()}
    assert after <= before


def test_the_recorder_goes_on_where_it_stopped(server, tmp_path):
    """
    Stopped in the middle of a line and started again, its file has every record once.
    """
    file = tmp_path / "btc.jsonl"
    words = ("BTC price + volume every 200ms", "-o", str(file), "--seconds")
    run(server, "recorder.py", *words, "2")
    whole = file.read_text()
    torn = whole.splitlines(keepends=True)
    file.write_text("".join(torn[:-1]) + torn[-1][:20])

    said = run(server, "recorder.py", *words, "2")

    records = [json.loads(line) for line in file.read_text().splitlines()]
    ids = [tuple(map(int, record["id"].split("-"))) for record in records]
    assert ids == sorted(set(ids))
    assert len(records) > len(torn)
    assert file.read_text().startswith(whole)
    assert not any("gap" in record for record in records)
    ends = [record["window_end"] for record in records[1:]]
    assert ends == [record["window_start"] for record in records[2:]] + ends[-1:]
    assert "behind" in said


def test_the_dashboard_shows_each_market(server):
    """
    A row for each symbol, with its sources, and that it is simulated.
    """
    said = run(server, "dashboard.py", "BTC and ETH price + volume every 500ms", "--seconds", "4")

    assert "SIMULATED" in said
    assert "BTC/USDT" in said
    assert "ETH/USDT" in said
    assert "binance" in said


def test_six_ways_to_stream_by_symbol(tmp_path):
    """
    Without a server, one after the other, each labelled.
    """
    done = subprocess.run(
        [sys.executable, FOLDER / "streaming_usage.py", "--simulate"], capture_output=True,
        text=True, check=False, encoding="utf-8", env=environment(), timeout=90,
        stdin=subprocess.DEVNULL, cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("SIMULATED") == 6
    assert re.search(r"O=\d+\.\d\d H=\d+\.\d\d L=\d+\.\d\d C=\d+\.\d\d", done.stdout)
    assert re.search(r"momentum [+-]\d\.\d+ %", done.stdout)


def test_the_notebook_runs(server, monkeypatch):
    """
    Cell after cell in a loop that runs, as a notebook has one.
    """
    pytest.importorskip("polars")
    monkeypatch.setenv("EKKO_API_URL", server)
    cells = json.loads((FOLDER / "notebook.ipynb").read_text())["cells"]
    names, printed = {}, io.StringIO()

    async def run_cells():
        for cell in cells:
            if cell["cell_type"] == "code":
                code = compile("".join(cell["source"]), "<cell>", "exec", 0x2000)
                running = eval(code, names)  # noqa: S307 - our own notebook
                if inspect.iscoroutine(running):
                    async with asyncio.timeout(30):
                        await running

    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        asyncio.run(run_cells())

    assert isinstance(names["records"], Records)
    assert len(names["records"]) >= 3
    assert names["table"].height == len(names["records"])
    assert "SIMULATED" in names["records"]._repr_html_()
    assert len(printed.getvalue().splitlines()) == 3


def test_every_example_is_on_the_page():
    """
    And every one that stands there is there.
    """
    shown = set(re.findall(r"\]\(([\w.]+)\)", (FOLDER / "index.md").read_text()))

    assert shown == {path.name for path in FOLDER.iterdir() if path.is_file()} - {"index.md"}
