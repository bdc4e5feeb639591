"""The connectors of docs/connectors.md, taken from the page and run against servers on loopback."""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import re
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
from websockets.asyncio.server import serve

from bond_core.clock import ManualClock, settle
from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.discovery import register
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_core.runtime.feeds import Feeds, Origin
from bond_core.runtime.simulators import Simulators
from bond_core.settings import structure
from bond_core.testing.builders import START_NS
from bond_core.testing.scripted_connector import RecordingListener

PAGE = Path(__file__).parents[3] / "docs" / "connectors.md"
BLOCK = re.compile(r"`bond_acme/(\w+\.py)`[^\n]*\n\n```python\n(.*?)\n```", re.DOTALL)
NOW_MS = START_NS // 1_000_000


@pytest.fixture(name="sources")
def _sources(tmp_path, monkeypatch):
    """The page's Python, by file."""
    return dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))


@pytest.fixture(name="specs")
def _specs(sources, tmp_path, monkeypatch):
    """The specs that the page's package registers, by name."""
    package = tmp_path / "bond_acme"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, text in sources.items():
        (package / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = [importlib.import_module(f"bond_acme.{name}") for name in ("plugin", "trades_plugin")]
    yield {spec.name: spec for module in modules for spec in register(module, name="acme")}
    for name in [name for name in sys.modules if name.split(".")[0] == "bond_acme"]:
        del sys.modules[name]


@asynccontextmanager
async def listened(spec, url, channel):
    """Listen as somebody whose spec names the URL: yields the clock and an ear."""
    clock, ear = ManualClock(START_NS), RecordingListener()
    egress = Egress(EgressPolicy(private=PRIVATE))
    async with (
        Simulators(clock=clock) as simulators,
        Feeds(clock=clock, chance=random.Random(1), simulators=simulators, egress=egress) as feeds,
    ):
        config = structure(spec.config, {"url": url})
        origin = Origin(spec=spec, config=config, name=spec.name)
        await feeds.subscribe(origin, channel, "BTC/USDT", ear)
        yield clock, ear


async def until(holds):
    """Return when it holds; a socket decides when."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    await settle()


def test_the_polling_connector_of_the_page_polls(specs):
    """What it asks for is what the page says, and what comes is heard."""
    asked = []

    async def answer(reader, writer):
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[0])
        body = json.dumps({"quotes": [{"s": "BTC/USDT", "t_ms": NOW_MS, "b": 1.0, "a": 2.0}]})
        writer.write(f"HTTP/1.1 200 X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await reader.read()
        writer.close()

    async def go():
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/quotes"
            async with listened(specs["acme"], url, "quotes") as (_, ear):
                await until(lambda: ear.events)
                return ear.status, ear.events[0].bid

    assert asyncio.run(go()) == ("live", 1.0)
    assert asked == ["GET /quotes?s=BTC%2FUSDT HTTP/1.1"]


def test_the_websocket_connector_of_the_page_listens(specs):
    """It subscribes, reads past what isn't for it, and goes on after the last id."""
    told = []

    async def source(connection):
        told.append(json.loads(await connection.recv()))
        trade = {"type": "trade", "s": "BTC/USDT", "t_ms": NOW_MS, "p": 7.0, "q": 1.0, "id": 17}
        await connection.send('{"type": "hello"}')
        await connection.send(json.dumps(trade))
        if len(told) == 1:
            await connection.close(1001)
        await connection.wait_closed()

    async def go():
        async with serve(source, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            async with listened(specs["acme.trades"], url, "trades") as (clock, ear):
                await until(lambda: ear.status == "reconnecting")
                await clock.advance(1)
                await until(lambda: ear.status == "live")
                return [event.price for event in ear.events]

    assert asyncio.run(go()) == [7.0]
    assert told == [{"sub": {"BTC/USDT": None}}, {"sub": {"BTC/USDT": "17"}}]


def test_the_websocket_connector_of_the_page_has_no_more_lines_than_promised(sources):
    """An author's part stays small: sixteen lines that say something."""
    lines = [line for line in sources["trades.py"].splitlines() if line.strip()]
    start = next(i for i, line in enumerate(lines) if line.startswith("class"))

    assert len(lines[start:]) <= 16


def test_the_pages_hosts_are_those_of_its_urls(specs):
    """Whoever copies the page is not guarded from his own source."""
    for spec in specs.values():
        url = attrs.fields_dict(spec.config)["url"].default
        assert url.split("/")[2] in spec.hosts
