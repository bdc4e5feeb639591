"""A server that speaks Bond's REST and WebSocket as documented, for the SDK to talk to.

Real sockets, real HTTP: only what a stream holds and how its connections end is scripted.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from contextlib import asynccontextmanager, contextmanager

import attrs
import pytest
from aiohttp import WSCloseCode, web

from ekko import Backoff, EkkoClient, ResumePolicy

API_KEY = "bk_test_0123456789abcdef"


def a_record(ms, n=0, **fields):
    """A record at position `<ms>-<n>`, with a few of the fields that a real one has."""
    return {
        "id": f"{ms}-{n}",
        "stream_id": "8f2a1c9d4b3e7a10",
        "symbol": "BTC/USDT",
        "timeframe": "5s",
        "rev": 0,
        "partial": False,
        "ts": "2025-10-21T13:30:05Z",
        "price_avg": 68123.5,
        "volume_sum": 134.2,
        "trades": 15,
        "tweets": 8,
        "sources": {"binance": {"status": "live", "coverage": 1.0}},
        "notices": [],
        **fields,
    }


def position(record_id):
    """The two numbers of an id."""
    return tuple(int(part) for part in record_id.split("-"))


@attrs.define
class Fault:
    """How one connection ends: after so many records, with a close code, or torn off (None)."""

    after_records: int
    code: int | None = None
    reason: str = ""


@attrs.define
class FakeBond:
    """The server. `records` is the one stream's log; `faults` holds one entry per connection.

    A connection without a fault stays until the log is `finished`, and is closed with 1000.
    """

    stream_id: str = "8f2a1c9d4b3e7a10"
    records: list = attrs.field(factory=list)
    faults: deque = attrs.field(factory=deque)
    answers: deque = attrs.field(factory=deque)  # (method, path, response): instead of the real one
    accept_headers: dict = attrs.field(factory=dict)
    finished: bool = False
    deleted: bool = False
    expires_in_sec: int = 3600
    repeat_last: bool = False  # breaks the promise never to send an id <= after
    keeps_all: bool = (
        False  # sends the whole log to live clients, too: records come while they are there
    )
    enveloped: bool = False  # speaks bond.v1.json with who offers it
    says: dict = attrs.field(factory=dict)  # message before the record of this index, enveloped
    tokens: set = attrs.field(factory=set)
    requests: list = attrs.field(factory=list)  # (method, path, body)
    connections: list = attrs.field(factory=list)  # the query of each WebSocket
    sockets: list = attrs.field(factory=list)
    open_sockets: int = 0
    on_socket: object = None
    url: str = ""
    minted: int = 0

    def app(self):
        @web.middleware
        async def recorded(request, handler):
            return await self.recorded(request, handler)

        app = web.Application(middlewares=[recorded])
        app.router.add_get("/health", self.health)
        app.router.add_post("/v1/streams", self.create)
        app.router.add_get("/v1/streams", self.list)
        app.router.add_delete("/v1/streams/{id}", self.delete)
        app.router.add_post("/v1/streams/{id}/token", self.token)
        app.router.add_get("/v1/streams/{id}/metrics", self.metrics)
        app.router.add_post("/v1/explain", self.explain)
        app.router.add_get("/ws/{id}", self.websocket)
        return app

    async def recorded(self, request, handler):
        if request.path.startswith("/ws/"):
            return await handler(request)
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path, body))
        if self.answers and self.answers[0][:2] == (request.method, request.path):
            return self.answers.popleft()[2]
        return await handler(request)

    def minted_token(self):
        self.minted += 1
        token = f"1761053405.secret{self.minted:010d}"
        self.tokens.add(token)
        return token, f"{self.url.replace('http', 'ws')}/ws/{self.stream_id}?token={token}"

    async def health(self, request):
        return web.json_response({"status": "ok"})

    async def create(self, request):
        self.deleted = False
        token, ws_url = self.minted_token()
        answer = {
            "stream_id": self.stream_id,
            "access_token": token,
            "ws_url": ws_url,
            "sse_url": f"{self.url}/v1/streams/{self.stream_id}/events?token={token}",
            "expires_in_sec": self.expires_in_sec,
            "spec": {"symbols": ["BTC/USDT"], "interval_sec": 5},
            "understood": "BTC/USDT price, one event every 5 s",
            "warnings": [],
        }
        return web.json_response(answer, status=201)

    async def list(self, request):
        return web.json_response({"streams": [{"stream_id": self.stream_id, "state": "live"}]})

    async def delete(self, request):
        self.deleted = True
        return web.Response(status=204)

    async def token(self, request):
        if self.deleted:
            problem = {"code": "unknown_stream", "detail": "There is no such stream."}
            return a_problem(404, **problem)
        token, ws_url = self.minted_token()
        answer = {"token": token, "ws_url": ws_url, "expires_in_sec": self.expires_in_sec}
        return web.json_response(answer)

    async def metrics(self, request):
        return web.json_response({"stream_id": self.stream_id, "msgs_in": 245, "dropped": 0})

    async def explain(self, request):
        return web.json_response({"understood": "BTC/USDT price", "spec": {}})

    async def websocket(self, request):
        self.connections.append(dict(request.query))
        ws = web.WebSocketResponse(protocols=["bond.v1.json"] if self.enveloped else ())
        ws.headers.update(self.accept_headers)
        await ws.prepare(request)
        self.sockets.append(ws)
        self.open_sockets += 1
        replays = self.keeps_all or "after" in request.query or "from" in request.query
        start = 0 if replays else len(self.records)
        if self.on_socket is not None:
            self.on_socket()
        try:
            await self.serve(request, ws, start)
        finally:
            self.open_sockets -= 1
        return ws

    async def serve(self, request, ws, start):
        if request.query.get("token") not in self.tokens:
            await ws.close(code=1008, message=b"token_invalid")
            return
        if self.deleted or request.match_info["id"] != self.stream_id:
            await ws.close(code=4404, message=b"stream_deleted")
            return
        sender = asyncio.create_task(self.send_records(request, ws, start))
        try:
            async for _ in ws:  # a client says nothing; its leaving ends this
                pass
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def send_records(self, request, ws, next_index):
        fault = self.faults.popleft() if self.faults else None
        sent = 0
        after = request.query.get("after")
        while True:
            if fault is not None and sent >= fault.after_records:
                await self.end(request, ws, fault)
                return
            if next_index < len(self.records):
                record = self.records[next_index]
                next_index += 1
                if after and position(record["id"]) < position(after):
                    continue
                if after == record["id"] and not self.repeat_last:
                    continue
                if ws.ws_protocol and next_index - 1 in self.says:
                    await ws.send_json(self.says[next_index - 1])
                envelope = {"t": "ev", "id": record["id"], "d": record}
                await ws.send_json(envelope if ws.ws_protocol else record)
                sent += 1
            elif self.finished and fault is None:
                await ws.close(code=1000, message=b"complete")
                return
            else:
                await asyncio.sleep(0.001)

    def lose(self, index):
        """Forget a record, and say so to who comes back, as the protocol has it."""
        lost, following = self.records[index : index + 2]
        del self.records[index]
        self.accept_headers["Bond-Replay"] = "truncated"
        ends = {"from": lost["id"], "to": following["id"]}
        self.says[index] = {"t": "gap", **ends, "reason": "trimmed", "n": None}

    async def end(self, request, ws, fault):
        if fault.code is None:
            request.transport.abort()
        else:
            await ws.close(code=fault.code, message=fault.reason.encode())

    @asynccontextmanager
    async def running(self):
        """Serve on a free port of loopback."""
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            for ws in self.sockets:
                await ws.close(code=WSCloseCode.GOING_AWAY)
            await runner.cleanup()

    @contextmanager
    def running_in_a_thread(self):
        """Serve from a loop of its own, for tests without one."""
        ready, stop = threading.Event(), []

        async def serve():
            async with self.running():
                stopped = asyncio.Event()
                stop.append((asyncio.get_running_loop(), stopped))
                ready.set()
                await stopped.wait()

        thread = threading.Thread(target=asyncio.run, args=(serve(),), name="fake bond")
        thread.start()
        assert ready.wait(10)
        try:
            yield self
        finally:
            loop, stopped = stop[0]
            loop.call_soon_threadsafe(stopped.set)
            thread.join(10)

    def client(self, **options):
        """A client of this server that never waits between attempts."""
        return EkkoClient(self.url, **{"api_key": API_KEY, "policy": hasty(), **options})


def a_problem(status, headers=None, **fields):
    """An `application/problem+json` answer."""
    body = {"type": "about:blank", "title": "Problem", "status": status, **fields}
    return web.json_response(
        body, status=status, headers=headers, content_type="application/problem+json"
    )


def hasty(**changes):
    """A policy that never waits between attempts."""
    pauses = {"backoff": Backoff(first_s=0.0, cap_s=0.0), "restart_jitter_s": 0.0}
    return ResumePolicy(**{**pauses, **changes})


@pytest.fixture(name="bond")
def _bond():
    return FakeBond()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    """No test sees the settings of whoever runs it."""
    monkeypatch.delenv("EKKO_API_URL", raising=False)
    monkeypatch.delenv("EKKO_API_KEY", raising=False)


@pytest.fixture(name="kit")
def _kit():
    """The helpers above: a test file can't import a conftest."""

    class Kit:
        pass

    kit = Kit()
    kit.api_key, kit.Fault = API_KEY, Fault
    kit.a_record, kit.a_problem, kit.hasty = a_record, a_problem, hasty
    kit.json_response = web.json_response
    kit.text_response = lambda text: web.Response(text=text, content_type="text/html")
    return kit


@pytest.fixture(name="unused_port")
def _unused_port():
    """A port that is bound, so that nobody else gets it, and on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
