"""Every code block of the IB Stream specification: run unchanged, or compared with what is sent."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

import bond_server
from bond_ibkr.config import PORTS, IbkrConfig, IbServerConfig
from tests.journeys.chromium import PROGRAM, chromium
from tests.journeys.seed_blocks import FOLDER, blocks_of

ROOT = Path(bond_server.__file__).resolve().parents[1]
PAGE = ROOT / "docs/ib-stream.md"
AAPL = 265598

BLOCKS = blocks_of("004")

if not BLOCKS:
    pytest.skip("the specification is not beside this project", allow_module_level=True)

# In the order in which they stand there: language, and where this file looks at it.
KNOWN = (
    ("", "┌", "nothing to run: a drawing"),
    ("", "data: {", "test_the_events_have_the_keys_of_the_format"),
    ("bash", "# Environment Variables", "test_the_variables_are_the_defaults"),
    ("bash", "# Stream bid/ask data", "test_curl_runs_as_written"),
    ("json", '{\n  "type": "tick"', "test_a_tick_looks_as_in_the_specification"),
    ("json", '{\n  "type": "error"', "test_an_error_is_the_one_of_the_specification"),
    ("bash", "cd ib-stream/", "another start: docs/ib-stream.md"),
    ("bash", "# Docker deployment", "another start: docs/ib-stream.md"),
    ("javascript", "const eventSource", "test_the_browser_client_runs_unchanged"),
    ("python", "import requests", "test_the_python_client_runs_unchanged"),
)


def block(begin):
    """Return the block that begins so."""
    (found,) = [each.text for each in BLOCKS if each.text.startswith(begin)]
    return found


@asynccontextmanager
async def market(kit, serving):
    """Run a server before a TWS on which much is traded."""
    async with kit.tws(per_s=100.0) as tws, serving(tws) as server:
        yield server


def as_localhost_8000(server):
    """Return an environment in which http://localhost:8000 leads to a server.

    The server stands as a proxy, so that what the specification says needs no free port 8000.
    """
    kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    return {**kept, "http_proxy": f"http://{server.address}", "no_proxy": ""}


def shape(value):
    """Return a value with types in the place of what it says."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return type(value).__name__


def test_every_block_is_looked_at():
    """
    The specification has these blocks and no other, and each is somebody's.
    """
    assert [each.kind for each in BLOCKS] == [kind for kind, _, _ in KNOWN]
    for each, (_, begin, by) in zip(BLOCKS, KNOWN, strict=True):
        assert each.text.startswith(begin)
        assert by in globals() or ":" in by


def test_the_events_have_the_keys_of_the_format(kit, serving):
    """
    tick, error and complete have all keys of the format block; `error` is an object, as later.
    """

    async def go():
        async with kit.tws(per_s=50.0) as tws, serving(tws) as server, AsyncExitStack() as stack:
            client = await stack.enter_async_context(server.stream(f"{AAPL}?limit=100"))
            await client.next("tick")
            tws.drop()
            await client.next("error")
            await client.next("complete")
            return {message["type"]: message for message in client.heard}

    ours = asyncio.run(go())
    lines = [line.removeprefix("data: ") for line in block("data: {").splitlines() if line]
    theirs = [json.loads(line.replace("{...}", "{}")) for line in lines]
    assert [event["type"] for event in theirs] == ["tick", "error", "complete"]
    for event in theirs:
        assert event.keys() <= ours[event["type"]].keys()
        for key in event.keys() - {"data", "error"}:
            assert ours[event["type"]][key] == event[key]
    assert isinstance(ours["error"]["error"], dict)


def test_the_variables_are_the_defaults():
    """
    Each variable is read, and its value is what holds without it; the server starts otherwise.
    """
    text = block("# Environment Variables")
    exported = dict(re.findall(r"^export (\w+)=(\S+)", text, re.MULTILINE))
    fields = (*IbkrConfig.__attrs_attrs__, *IbServerConfig.__attrs_attrs__)
    ours = {field.metadata["env"]: field.default for field in fields}

    assert exported.keys() == {
        "IB_STREAM_CLIENT_ID", "IB_STREAM_HOST", "IB_STREAM_PORTS", "IB_STREAM_MAX_STREAMS",
        "IB_STREAM_STREAM_TIMEOUT",
    }  # fmt: skip
    assert {name: ours[name] for name in exported} == exported
    assert exported["IB_STREAM_PORTS"] == PORTS
    assert "uvicorn ib_stream.api_server:app --host 0.0.0.0 --port 8000" in text


def test_the_options_are_the_defaults():
    """
    The table of settings says what `/stream/info` says without any variable.
    """
    ours = {field.name: field.default for field in IbServerConfig.__attrs_attrs__}
    (seed,) = FOLDER.glob("004_*.txt")
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", seed.read_text("utf-8"), re.MULTILINE))

    assert rows == {
        "client_id": "2", "max_concurrent_streams": ours["max_streams"],
        "default_timeout": ours["timeout_s"], "reconnect_attempts": ours["reconnect_attempts"],
        "buffer_size": ours["buffer_size"],
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl_runs_as_written(kit, serving):
    """
    The three requests: the limited ones end by themselves with so many ticks, the other goes on.
    """
    commands = [line for line in block("# Stream bid/ask data").splitlines() if line[:4] == "curl"]

    async def ran(command, server):
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=as_localhost_8000(server),
        )  # fmt: skip
        heard = []
        try:
            async with asyncio.timeout(30):
                while len(heard) < 150 and (line := await process.stdout.readline()):
                    if line.startswith(b"data: "):
                        heard.append(json.loads(line[6:]))
        finally:
            if process.returncode is None and len(heard) >= 150:
                process.kill()
            await process.wait()
        return heard

    async def go():
        async with market(kit, serving) as server:
            return [await ran(command, server) for command in commands]

    quotes, trades, midpoints = asyncio.run(go())
    assert (quotes[0]["data"]["tick_type"], quotes[-1]["total_ticks"]) == ("BidAsk", 100)
    assert (trades[0]["data"]["tick_type"], trades[0]["data"]["timeout"]) == ("Last", 300)
    assert trades[-1]["type"] == "tick"
    assert (midpoints[0]["data"]["tick_type"], midpoints[-1]["total_ticks"]) == ("MidPoint", 50)


def test_a_tick_looks_as_in_the_specification(kit, serving):
    """
    The same keys in the same order with values of the same types; its numbers, where it has them.
    """
    theirs = json.loads(block('{\n  "type": "tick"'))
    data = theirs["data"]

    async def go():
        async with kit.tws() as tws, serving(tws) as server:
            entering = asyncio.create_task(
                server.http.get(f"/stream/{AAPL}?tick_type=BidAsk&limit=1")
            )
            await kit.subscribed(tws, "AAPL", "BidAsk")
            sizes = data["bid_size"], data["ask_size"]
            at_s = data["unix_time"]
            tws.quote("AAPL", data["bid_price"], data["ask_price"], *sizes, at_s=at_s)
            text = (await entering).text
            lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
            return json.loads(lines[1])

    ours = asyncio.run(go())
    assert shape(ours) == shape(theirs)
    assert list(ours) == list(theirs)
    assert list(ours["data"]) == list(data)
    # The example's second is not that of its text; ours is, and docs/ib-stream.md says so.
    assert ours["data"].pop("timestamp") == "2024-01-15 11:50:00"
    assert data.pop("timestamp") == "2025-01-15 10:30:00"
    assert ours["data"] == data
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ours["timestamp"])


def test_an_error_is_the_one_of_the_specification(kit, serving):
    """
    What is answered for a contract that there isn't has the same error, to the letter.
    """
    theirs = json.loads(block('{\n  "type": "error"'))

    async def go():
        async with kit.tws() as tws, serving(tws) as server:
            tws.refuse(200, "No security definition", symbol="AAPL", tick_type="Last")
            return (await server.http.get(f"/stream/{AAPL}")).json()

    assert asyncio.run(go())["error"] == theirs["error"]


def test_the_python_client_runs_unchanged(kit, serving):
    """
    It prints a hundred quotes, and that the stream is complete.
    """

    async def go():
        async with market(kit, serving) as server:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", block("import requests"), stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, env=as_localhost_8000(server),
            )  # fmt: skip
            async with asyncio.timeout(40):
                return *await process.communicate(), process.returncode

    pytest.importorskip("requests", reason="the client needs requests, which isn't installed")
    said, complained, status = asyncio.run(go())
    lines = said.decode().splitlines()
    assert status == 0, complained.decode()
    assert len(lines) == 101
    assert all(re.fullmatch(r"Bid: [\d.]+, Ask: [\d.]+", line) for line in lines[:-1])
    assert lines[-1] == "Stream completed: limit_reached"


class _App(BaseHTTPRequestHandler):
    """A web application of somebody's: a page with the client, at an origin of its own."""

    def do_GET(self):
        """Give the page."""
        body = f"<!doctype html><title>t</title><script>{block('const eventSource')}</script>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        """Say nothing."""


@pytest.mark.skipif(PROGRAM is None, reason="there is no chromium on the path")
def test_the_browser_client_runs_unchanged(kit, serving):
    """
    In Chromium, on a page of another origin: a hundred quotes, complete, and no error.
    """
    application = ThreadingHTTPServer(("127.0.0.1", 0), _App)
    thread = Thread(target=application.serve_forever, daemon=True)
    thread.start()

    async def go():
        async with (
            market(kit, serving) as server,
            chromium(mapping={"localhost:8000": server.address}) as page,
            asyncio.timeout(60),
        ):
            await page.open(f"http://localhost:{application.server_port}/")
            return await page.console_until(lambda said: not said[1].startswith("Bid:"))

    try:
        said = asyncio.run(go())
    finally:
        application.shutdown()
        application.server_close()
        thread.join(10)
    assert said[-1] == ("log", "Stream completed: limit_reached")
    assert len(said) == 101
    assert all(re.fullmatch(r"Bid: [\d.]+ Ask: [\d.]+", text) for _, text in said[:-1])


def test_the_page_lists_what_differs():
    """
    Whatever of the specification isn't so here stands in docs/ib-stream.md.
    """
    text = PAGE.read_text(encoding="utf-8")

    for words in (
        "uvicorn ib_stream.api_server:app", "docker build -t ib-stream-api",
        "pip install -e .[dev]", "null",
        '"error": "Contract not found"', "1705319400", "FastAPI", "DELETE", "/health",
    ):  # fmt: skip
        assert words in text, words
