"""A context to run a connector in, and a scripted venue to run it against."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
from collections import defaultdict
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import WSMsgType, web

import bond_ccxt.connector
from bond_ccxt.config import CcxtConfig
from bond_ccxt.connector import CcxtConnector
from bond_core.clock import SystemClock
from bond_core.plugin import Subscription

WITHIN_S = 30.0


class Wanted:
    """What is wanted, set by the test."""

    def __init__(self, wanted):
        self.now = frozenset(wanted)
        self.change = asyncio.Event()

    def current(self):
        return self.now

    async def changed(self, known):
        while self.now == known:
            await self.change.wait()
            self.change.clear()
        return self.now

    def set(self, wanted):
        self.now = frozenset(wanted)
        self.change.set()


class FakeContext:
    """Records what a connector tells, and lets a test wait for it."""

    def __init__(self, wanted, simulated_at=None, clock=None):
        self.clock = clock or SystemClock()
        self.log = logging.getLogger("bond.test")
        self.wanted = Wanted(wanted)
        self.simulated_at = simulated_at
        self.frames = defaultdict(list)
        self.heard_ns = defaultdict(list)
        self.lives, self.failures, self.heartbeats, self.gaps = [], [], [], []
        self.told = asyncio.Event()

    def noting(self, url):
        return None

    def sdk(self, name):
        return importlib.import_module(name)

    def events(self, channel):
        return [event for frame in self.frames[channel] for event in frame]

    def emit(self, channel, events):
        self.frames[channel].append(list(events))
        self.heard_ns[channel].append(self.clock.now_ns())
        self.told.set()

    def live(self, channel, symbol=None):
        self.lives.append((channel, symbol))
        self.told.set()

    def heartbeat(self, channel, ts=None):
        self.heartbeats.append((channel, ts))
        self.told.set()

    def failed(self, channel, symbol, reason):
        self.failures.append((channel, symbol, reason))
        self.told.set()

    def gap(self, channel, symbol, *, from_ns, to_ns, detail):
        self.gaps.append((channel, symbol, detail))
        self.told.set()

    async def until(self, true, within_s=WITHIN_S):
        async with asyncio.timeout(within_s):
            while not true():
                await self.told.wait()
                self.told.clear()


@asynccontextmanager
async def running(connector, ctx):
    """Run a connector; at the end cancel it and see that it leaves in time and leaves nothing."""
    complaints = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, said: complaints.append(said))
    before = asyncio.all_tasks()
    task = asyncio.create_task(connector.run(ctx))
    try:
        yield task
    finally:
        started = loop.time()
        task.cancel()
        await asyncio.wait([task], timeout=5)
        took = loop.time() - started
    assert task.done()
    assert took < 1.0
    for _ in range(3):
        await asyncio.sleep(0)
    ours = ("ccxt", "aiohttp/client", "bond_ccxt")
    left = [t for t in asyncio.all_tasks() - before if any(name in repr(t) for name in ours)]
    assert left == []
    assert complaints == []


class ScriptedVenue:
    """A WebSocket server that says what the test says, and notes what it is told."""

    def __init__(self, *, mute=False, refuse=None, rest=None):
        self.mute, self.refuse, self.rest = mute, refuse, rest
        self.asked = []
        self.heard, self.sockets = [], []
        self.news = asyncio.Event()

    async def __aenter__(self):
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.port = self.runner.addresses[0][1]
        return self

    async def __aexit__(self, *_):
        for _, transport in self.sockets:
            transport.abort()
        await self.runner.cleanup()

    async def _serve(self, request):
        if self.refuse is not None:
            return web.Response(status=self.refuse, text="not for you")
        if self.rest is not None and "Upgrade" not in request.headers:
            self.asked.append((request.path, dict(request.query)))
            answer = self.rest(request)
            return web.json_response(await answer if asyncio.iscoroutine(answer) else answer)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.sockets.append((socket, request.transport))
        self.paths = [*getattr(self, "paths", []), request.path]
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.heard.append(json.loads(message.data))
                self.news.set()
                if self.mute:  # hears no more, and answers no closing frame
                    await asyncio.Event().wait()
        return socket

    async def until_heard(self, count):
        async with asyncio.timeout(WITHIN_S):
            while len(self.heard) < count:
                await self.news.wait()
                self.news.clear()
        return self.heard[count - 1]

    async def say(self, *frames, to=-1):
        for frame in frames:
            text = frame if isinstance(frame, str) else json.dumps(frame)
            await self.sockets[to][0].send_str(text)


def market(id, symbol, **more):
    """Return a market as ccxt describes it."""
    pair, _, settle = symbol.partition(":")
    base, _, quote = pair.partition("/")
    contract = bool(settle)
    return {
        "id": id, "lowercaseId": id.lower(), "symbol": symbol, "base": base, "quote": quote,
        "baseId": base, "quoteId": quote, "settle": settle or None, "settleId": settle or None,
        "type": "swap" if contract else "spot", "spot": not contract, "swap": contract,
        "future": False, "option": False, "margin": False, "contract": contract,
        "linear": settle == quote if contract else None,
        "inverse": settle == base if contract else None,
        "subType": ("linear" if settle == quote else "inverse") if contract else None,
        "contractSize": None, "active": True, "info": {},
        "precision": {"amount": 1e-8, "price": 0.01}, "limits": {}, **more,
    }  # fmt: skip


def _aimed(api, there):
    """Replace every address in ccxt's table of them."""
    if isinstance(api, dict):
        return {key: _aimed(value, there) for key, value in api.items()}
    return f"{there}/{api.partition('://')[2].partition('/')[2]}"


@pytest.fixture(name="kit")
def _kit(monkeypatch):
    """What the tests of connectors are written with."""

    def connect(venue_id, there, markets, *, paced=False, **settings):
        """Return a connector whose every address is the scripted venue's."""
        real = bond_ccxt.connector.open_session

        async def open_there(config, ctx):
            session = await real(config, ctx)
            api = session.exchange.urls["api"]
            if getattr(there, "rest", None) is not None:
                api.update(_aimed(api, f"http://127.0.0.1:{there.port}"), ws=api["ws"])
            api["ws"] = _aimed(api["ws"], f"ws://127.0.0.1:{there.port}")
            session.exchange.enableRateLimit = paced
            return session

        monkeypatch.setattr(bond_ccxt.connector, "open_session", open_there)
        connector = CcxtConnector(CcxtConfig(venue=venue_id, **settings))
        connector.listing.markets = markets
        return connector

    return SimpleNamespace(
        Context=FakeContext, Venue=ScriptedVenue, Want=Subscription,
        running=running, market=market, connect=connect,
    )  # fmt: skip


@pytest.fixture(name="recorded", scope="session")
def _recorded():
    """The folder of recorded exchange traffic; a test that needs it skips where there is none."""
    default = Path(__file__).parents[3].parent / "shared" / "data" / "recordings"
    folder = Path(os.environ.get("BOND_RECORDINGS", default))
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}: set BOND_RECORDINGS to the folder that holds them")
    return folder


@pytest.fixture(scope="session")
def frames_2026(recorded):
    """Today's wire formats, from the recordings: (exchange, case) → the line."""
    lines = (recorded / "ccxt-2026" / "frames.jsonl").read_text(encoding="utf-8").splitlines()
    return {(said["exchange"], said["case"]): said for said in map(json.loads, lines)}
