"""The connector of docs/repair.md, taken from the page and run against a source on loopback."""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import re
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import serve

from bond_core.clock import ManualClock, settle
from bond_core.plugin import Backfill, Capabilities, Channel, ConnectorSpec
from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.checking import fault_of
from bond_core.plugin.discovery import register
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_core.runtime.feeds import Feeds, Origin
from bond_core.runtime.simulators import Simulators
from bond_core.settings import structure
from bond_core.testing.builders import START_NS
from bond_core.testing.scripted_connector import RecordingListener

PAGE = Path(__file__).parents[3] / "docs" / "repair.md"
BLOCK = re.compile(r"`bond_acme/(\w+\.py)`[^\n]*\n\n```python\n(.*?)\n```", re.DOTALL)
NOW_MS = START_NS // 1_000_000


@pytest.fixture(name="spec")
def _spec(tmp_path, monkeypatch):
    """The spec that the page's package registers."""
    package = tmp_path / "bond_acme"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        (package / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    (spec,) = register(importlib.import_module("bond_acme.trades_plugin"), name="acme")
    yield spec
    for name in [name for name in sys.modules if name.split(".")[0] == "bond_acme"]:
        del sys.modules[name]


def trade(number):
    """Return a trade as the page's source writes it."""
    return {"s": "BTC/USDT", "t_ms": NOW_MS + number, "p": 7.0, "q": 1.0, "id": number}


async def until(holds):
    """Return when it holds; a socket decides when."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    await settle()


def test_the_connector_of_the_page_fetches_what_it_missed(spec):
    """It asks after the last id before the leap, page by page, and no trade comes twice."""
    asked = []

    async def source(connection):
        await connection.recv()
        for number in (1, 2, 1003):
            await connection.send(json.dumps(trade(number)))
        await connection.wait_closed()

    async def answer(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        query = parse_qs(urlsplit(head.split()[1]).query)
        asked.append({key: value for key, (value,) in query.items()})
        after, limit = int(query["after"][0]), int(query["limit"][0])
        body = json.dumps([trade(n) for n in range(after + 1, min(after + limit, 1003) + 1)])
        writer.write(f"HTTP/1.1 200 X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await reader.read()
        writer.close()

    async def go():
        clock, ear = ManualClock(START_NS), RecordingListener()
        egress, chance = Egress(EgressPolicy(private=PRIVATE)), random.Random(1)
        async with (
            serve(source, "127.0.0.1", 0) as stream,
            await asyncio.start_server(answer, "127.0.0.1", 0) as history,
            Simulators(clock=clock) as simulators,
            Feeds(clock=clock, chance=chance, simulators=simulators, egress=egress) as feeds,
        ):
            ports = [server.sockets[0].getsockname()[1] for server in (stream, history)]
            config = structure(
                spec.config,
                {
                    "url": f"ws://127.0.0.1:{ports[0]}/v1",
                    "history": f"http://127.0.0.1:{ports[1]}/trades",
                },
            )
            origin = Origin(spec=spec, config=config, name=spec.name)
            await feeds.subscribe(origin, "trades", "BTC/USDT", ear)
            await until(lambda: len(ear.events) == 3)
            while not ear.repairs:
                await clock.advance(0.5)
                await asyncio.sleep(0.001)
        return ear

    ear = asyncio.run(go())
    assert sorted(event.seq for event in ear.events) == list(range(1, 1004))
    assert [query["after"] for query in asked] == ["2", "502", "1002"]
    assert ear.duplicates == 0
    assert [(each.events, each.missing) for each in ear.repairs] == [(1000, None)]


@pytest.mark.parametrize(
    ("capabilities", "reason"),
    [
        (Capabilities(backfill=True), "capabilities.backfill must be Backfill or None"),
        (Capabilities(backfill=Backfill(channels=("quotes",))), "none of its channels"),
        (Capabilities(backfill=Backfill(channels="trades")), "channels must be a tuple"),
        (
            Capabilities(backfill=Backfill(channels=("trades",), most_s=0.0)),
            "most_s must be a number above 0",
        ),
    ],
)
def test_what_a_spec_says_of_it_is_looked_at(capabilities, reason):
    """A spec that says what can't be is refused, with where and why."""
    spec = ConnectorSpec(
        name="acme",
        factory="acme:Acme",
        summary="trades",
        channels=(Channel(name="trades", kind="trade", fields=("trades",)),),
        capabilities=capabilities,
    )
    assert reason in fault_of(spec)
