"""Raw streams the whole way: venue, library, feeds, log, server, and clients that come and go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import httpx
import pytest
from websockets.asyncio.client import connect

from bond_core.log.event_log import Retention
from bond_core.log.offset import START
from bond_core.settings import Secret
from bond_core.wire.times import parse_iso
from bond_server.cli.serve import serve_bond
from bond_server.delivery import hub, transport
from bond_server.delivery.listening import listening_socket
from bond_server.local import Bond
from bond_server.settings import ServerSettings
from ekko import EkkoClient
from tests.journeys.command_line import bond as command
from tests.journeys.in_process import PATIENCE_S
from tests.journeys.test_recordings import INVERSE, SESSIONS
from tests.server.running import closing

TRADES = {
    "sources": [{"type": "ccxt", "exchanges": ["binance", "okx"]}], "symbols": ["BTC/USDT"],
    "fields": ["trades"], "mode": "raw", "interval_sec": 1, "simulate": True,
}  # fmt: skip


@attrs.frozen
class Served:
    """A server that runs over simulated venues, with one stream."""

    bond: Bond
    url: str
    created: dict[str, Any]

    @property
    def stream_id(self) -> str:
        """The stream's id."""
        return self.created["stream_id"]

    def socket(self, **query: str) -> connect:
        """Return a connection to the stream, to be entered."""
        return connect(str(httpx.URL(self.created["ws_url"]).copy_merge_params(query)), proxy=None)

    async def log(self) -> list[dict[str, Any]]:
        """Return all that is kept of the stream."""
        page = await self.bond.log.read(self.stream_id, START, limit=1_000_000)
        return [json.loads(entry.data) for entry in page.entries]

    async def heard(self) -> None:
        """Return when every source has brought something."""
        async with asyncio.timeout(PATIENCE_S):
            totals = self.bond.running[self.stream_id].pipeline.engine.totals
            while not all(each.counted for each in totals.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def burst(self, n: int) -> None:
        """Have a venue send so many trades at once; return when all were taken in."""
        connector = self.bond.catalog.connector("ccxt")
        simulator: Any = await self.bond.simulators.running(connector)
        totals = self.bond.running[self.stream_id].pipeline.engine.totals["binance"]
        before = totals.events
        assert await simulator.burst("binance", "BTCUSDT", n) == n
        async with asyncio.timeout(PATIENCE_S):
            while totals.events < before + n:  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(0.05)


@asynccontextmanager
async def served(spec: dict[str, Any], **options: Any) -> AsyncIterator[Served]:
    """Serve a spec on loopback for as long as the context lasts."""
    bound = listening_socket("127.0.0.1", 0)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    ready = asyncio.Event()
    with TemporaryDirectory() as folder:
        settings = ServerSettings(secret=Secret("0123456789abcdef" * 4), data_dir=Path(folder))
        async with Bond(seed=7, **options) as bond:
            serving = asyncio.create_task(serve_bond(bond, settings, bound, ready=ready.set))
            try:
                await ready.wait()
                async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
                    answer = await http.post(f"{url}/v1/streams", json={"spec": spec})
                assert answer.status_code == 201, answer.text
                it = Served(bond, url, answer.json())
                await it.heard()
                yield it
            finally:
                serving.cancel()
                await asyncio.wait([serving])


def journey(story: Any, spec: dict[str, Any] = TRADES, **options: Any) -> None:
    """Let a story happen on a server."""

    async def run() -> None:
        async with asyncio.timeout(2 * PATIENCE_S), served(spec, **options) as it:
            await story(it)

    asyncio.run(run())


def order(items: list[dict[str, Any]]) -> list[tuple[int, ...]]:
    """Return ids as numbers that compare as the log is ordered."""
    return [tuple(map(int, item["id"].split("-"))) for item in items]


# What was recorded


@pytest.fixture(scope="module", params=SESSIONS, ids=lambda session: session.file)
def session(request):
    """Return each session in turn."""
    return request.param


@pytest.fixture(scope="module")
def file(session, recordings):
    """Return the session's file; skip, saying so, where it is absent."""
    path = recordings / "cryptofeed" / session.file
    if not path.is_file():
        pytest.skip(f"no recording at {path}")
    return path


def test_what_was_recorded_comes_out_event_by_event(session, file):
    """Played to the real client library, each trade of the file comes once, as the file has it."""
    in_file = list(session.read(file))
    symbols = ", ".join(dict.fromkeys(trade.symbol for trade in in_file))
    text = f"{symbols} tick by tick on {session.venue}"

    played = command("demo", text, "--recording", str(file), "--format", "json")

    assert played.returncode == 0, played.stderr
    items = [json.loads(line) for line in played.stdout.splitlines()]
    heard = [item for item in items if item["kind"] == "trade"]
    assert [(e["symbol"], e["event_id"]) for e in heard] == [(t.symbol, str(t.id)) for t in in_file]
    for event, trade in zip(heard, in_file, strict=True):
        assert (Fraction(str(event["price"])), Fraction(str(event["size"]))) == (
            trade.price, trade.size,
        )  # fmt: skip
        assert parse_iso(event["ts"]) // 10**6 == trade.ts_ns // 10**6
        assert bool(event.get("late")) == trade.is_late
        assert ("contracts" in event.get("size_unit", "")) == (trade.symbol in INVERSE)
        assert event["simulated"] is True
    told = [item["sources"][session.venue] for item in items if item["kind"] == "status"]
    assert sum(source["late"] for source in told) == session.late.total()
    assert order(items) == sorted(set(order(items)))


# Clients


def test_a_client_that_is_killed_goes_on_where_it_was():
    """Again and again, in the middle of bursts: what it has in the end is the log, byte by byte."""

    async def story(it: Served) -> None:
        got: list[bytes] = []
        for _ in range(8):
            last = json.loads(got[-1])["id"] if got else "0-0"
            async with it.socket(after=last) as socket:
                sending = asyncio.create_task(it.burst(2_000))
                got += [(await socket.recv()).encode() for _ in range(1_000)]
                socket.transport.abort()
            await sending
        async with it.socket(after=json.loads(got[-1])["id"]) as socket:
            top = str(it.bond.running[it.stream_id].tail.top)
            while json.loads(got[-1])["id"] != top:
                got.append((await socket.recv()).encode())
        page = await it.bond.log.read(it.stream_id, START, limit=1_000_000)
        kept = [entry.data for entry in page.entries]
        assert got == kept[: len(got)]
        assert len(got) > 16_000

    journey(story)


def test_the_sdk_follows_a_raw_stream():
    """Its events have the kind, and of each venue the trades follow one another without a hole."""

    async def story(it: Served) -> None:
        async with EkkoClient(it.url) as ekko:
            events = ekko.subscribe(it.stream_id, it.created["access_token"], after="0-0")
            got = [await anext(events) for _ in range(60)]
            await events.aclose()
        trades = [event for event in got if event.kind == "trade"]
        assert {event.source for event in trades} == {"binance", "okx"}
        for venue in ("binance", "okx"):
            numbers = [int(e.event_id) for e in trades if e.source == venue]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert all(event.simulated for event in trades)
        assert all("sources" in event for event in got if event.kind == "status")

    journey(story)


def test_server_sent_events_have_the_same_items_and_ids():
    """And `Last-Event-ID` goes on behind the item it names."""

    async def read(it: Served, n: int, **headers: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = [{}]
        async with (
            httpx.AsyncClient(trust_env=False, timeout=30) as http,
            http.stream("GET", it.created["sse_url"], headers=headers) as answer,
        ):
            async for line in answer.aiter_lines():
                if not line and "id" in found[-1]:
                    found.append({})
                elif line.startswith(("id: ", "data: ")):
                    key, _, value = line.partition(": ")
                    found[-1][key] = value
                if len(found) > n:
                    return found[:n]
        raise AssertionError(found)

    async def story(it: Served) -> None:
        first = await read(it, 30, **{"Last-Event-ID": "0-0"})
        again = await read(it, 20, **{"Last-Event-ID": first[9]["id"]})
        kept = {item["id"]: item for item in await it.log()}
        assert again == first[10:30]
        assert [json.loads(e["data"]) for e in first] == [kept[e["id"]] for e in first]

    journey(story)


@pytest.mark.parametrize("slow", ["disconnect", "conflate"])
def test_a_client_that_reads_nothing_holds_nobody_up(monkeypatch, slow):
    """It is cut off, or skips; the other client and the log have everything."""
    monkeypatch.setattr(hub, "STALLED_AFTER_S", 0.5)
    monkeypatch.setattr(transport, "CLOSE_WITHIN_S", 0.3)

    async def story(it: Served) -> None:
        got: list[dict[str, Any]] = []

        async def read(socket: Any) -> None:
            while True:
                got.append(json.loads(await socket.recv()))

        async with it.socket(after="0-0") as quick, it.socket(after="0-0", slow=slow) as stuck:
            stuck.transport.pause_reading()
            reading = asyncio.create_task(read(quick))
            try:
                for _ in range(10):
                    await it.burst(5_000)
                top = str(it.bond.running[it.stream_id].tail.top)
                while not got or order([got[-1]])[0] < tuple(map(int, top.split("-"))):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            finally:
                reading.cancel()
                await asyncio.wait([reading])
            stuck.transport.resume_reading()
            assert (await closing(stuck))[0] in (1006, 4008)
        trades = [item for item in got if item["kind"] == "trade" and item["source"] == "binance"]
        assert len({item["event_id"] for item in trades}) == len(trades) >= 50_000
        assert order(got) == sorted(set(order(got)))

    journey(story, retention=Retention(seconds=600))


def test_a_terminal_shows_events_in_a_table():
    """One line each, labelled, with what is left of the counts at the end."""
    shown = command(
        "listen", "BTC tick by tick on binance", "--simulate", "--format", "table", "--limit", "5"
    )

    assert shown.returncode == 0, shown.stderr
    lines = [line for line in shown.stdout.splitlines() if line.startswith("SIM ")]
    assert len(lines) == 5
    assert all(" trade " in line and " at " in line for line in lines)
    assert "5 events · late 0 · duplicates 0" in shown.stderr
