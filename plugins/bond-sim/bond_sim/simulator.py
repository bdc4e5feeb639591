"""Serve simulated venues on loopback: Binance spot, OKX v5 and Coinbase Exchange on one port.

async with Simulator(clock=SystemClock(), seed=7) as simulator:
    ...  # point a client at f"{simulator.url}/binance", /okx or /coinbaseexchange
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from aiohttp import WSMsgType, web

from bond_core.clock import NS, Clock, ManualClock
from bond_sim.books import BookClock
from bond_sim.clients import Client, Clients, all_closed
from bond_sim.contracts import Contracts
from bond_sim.faults import Fault, Faults
from bond_sim.generator import generate
from bond_sim.instruments import synthetic_markets
from bond_sim.market import SyntheticMarket
from bond_sim.options import read_options
from bond_sim.player import Player
from bond_sim.recording import RecordedMarket, Recording, read_recording
from bond_sim.subscriptions import Subscription, Subscriptions
from bond_sim.venue import Desk, Venue
from bond_sim.venues import BY_NAME

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Simulator:
    """Venues on loopback, serving while it is entered.

    Without the option `recording` all venues play a synthetic market, a function of seed
    and clock. With it, its one venue plays that session when `play` is called. Options are
    those of `bond_sim.options.Options`.

    Attributes: `url` (`http://127.0.0.1:PORT`), `subscriptions` (what was asked for),
    `faults` (what goes wrong).
    """

    def __init__(
        self, *, clock: Clock, seed: int = 1, options: Mapping[str, object] | None = None
    ) -> None:
        self.options = read_options(options or {})
        self.subscriptions = Subscriptions()
        self._clock = clock
        self._clients = Clients(self.subscriptions, lambda venue, wire: BY_NAME[venue].about(wire))
        self.faults = Faults(clock, self._clients.cut, clock.now_ns())
        self._recording: Recording | None = None
        self._player: Player | None = None
        self._market: SyntheticMarket | RecordedMarket
        if self.options.recording is not None:
            self._recording = read_recording(self.options.recording)
            self._market = RecordedMarket(self._recording.instruments)
        else:
            only = self.options.symbols
            listed = [i for i in synthetic_markets() if not only or i.symbol in only]
            self._market = SyntheticMarket(seed, {(i.venue, i.id): i for i in listed})
        synthetic = self._market if isinstance(self._market, SyntheticMarket) else None
        self._desk = Desk(
            self._market, clock, self._clients, self._carried, BookClock(synthetic),
            None if synthetic is None else Contracts(synthetic),
        )  # fmt: skip
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """The base address. RuntimeError: it does not serve yet."""
        if not self._url:
            raise RuntimeError("the simulator serves inside `async with` only")
        return self._url

    @property
    def connections(self) -> int:
        """The number of WebSockets open now, over all venues."""
        return self.subscriptions.connections_open.total()

    async def __aenter__(self) -> Self:
        """Serve on a free port of 127.0.0.1, and start the market and the timed faults."""
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.faults.start_ns = self._clock.now_ns()
        for fault in self.options.faults:
            if fault.kind == "close":
                self._tasks.append(asyncio.create_task(self._close_at(fault)))
            else:
                self.faults.add(fault)
        if isinstance(self._market, SyntheticMarket):
            market = generate(self._desk, self._market, self.faults)
            self._tasks.append(asyncio.create_task(market))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything and close every socket, within a second."""
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await all_closed([c for venue in BY_NAME for c in self._clients.of(venue)], 1001)
        if self._runner is not None:
            await self._runner.cleanup()
        self._url = ""
        for outcome in ended:
            if isinstance(outcome, Exception) and error is None:
                raise outcome

    async def subscribed(
        self,
        expected: Iterable[tuple[str, str]],
        *,
        venue: str | None = None,
        within_s: float = 30.0,
    ) -> None:
        """Wait until every (channel, symbol as the venue writes it) is subscribed.

        TimeoutError, naming what is missing: it was not within so many real seconds.
        """
        await self.subscriptions.wait(expected, venue=venue, within_s=within_s)

    async def play(
        self, expect: Iterable[tuple[str, str]] = (), *, within_s: float = 30.0
    ) -> Player:
        """Play the recording to its end, when all of `expect` is subscribed.

        With a ManualClock, which should stand at `recording_start_ns`, the recording's times
        move it and nothing is altered; with another clock the times are moved to now.
        Returns the player, which tells how many frames were sent. RuntimeError: there is no
        recording, or it was played. TimeoutError: as `subscribed`.
        """
        if self._recording is None or not isinstance(self._market, RecordedMarket):
            raise RuntimeError("this simulator has no recording to play: give option 'recording'")
        if self._player is not None:
            raise RuntimeError("the recording was played: start another simulator")
        await self.subscribed(expect, venue=self._recording.venue.name, within_s=within_s)
        player = Player(self._recording, self._market, self._clients, self.faults)
        self._player = player
        if isinstance(self._clock, ManualClock):
            await player.play_by_hand(self._clock, self.options.speed, self.options.tail_s)
        else:
            await player.play_as_now(self._clock, self.options.align_s)
        return player

    async def burst(self, venue: str, symbol: str, n: int) -> int:
        """Send `n` synthetic trades back to back to whoever subscribed to that market's trades.

        `symbol` is as the venue writes it. Returns how many frames reached a client.
        """
        instrument = self._desk.instrument(venue, symbol)
        if instrument is None or not isinstance(self._market, SyntheticMarket):
            raise ValueError(f"no synthetic market {symbol!r} at {venue!r}")
        about = Subscription(venue, "trades", symbol)
        speaks = BY_NAME[venue]
        wires = [
            wire
            for name, wire in self._clients.wires()
            if name == venue and speaks.about(wire) == about
        ]
        sent = 0
        for trade in self._market.burst(instrument, self._clock.now_ns(), n):
            for wire in wires:
                text = speaks.trade(wire, instrument, trade)
                sent += bool(await self._clients.publish(self.faults, venue, wire, text))
        return sent

    def _carried(self, venue: str, wire: str) -> bool:
        speaks = BY_NAME[venue]
        if self._desk.instrument(venue, speaks.about(wire).symbol) is None:
            return False
        recorded = self._recording is not None and wire in self._recording.wires
        return recorded or speaks.synthesised(wire)

    async def _close_at(self, fault: Fault) -> None:
        await self._clock.sleep_until(self.faults.start_ns + round(fault.at_s * NS))
        await self.faults.close(fault.venue, int(fault.how) if fault.how else None)

    def _app(self) -> web.Application:
        @web.middleware
        async def refusing(request: web.Request, handler: _Handler) -> web.StreamResponse:
            if self.faults.refuses(request.path.split("/")[1]):
                return web.Response(status=503, text="Service Unavailable")
            return await handler(request)

        app = web.Application(middlewares=[refusing])
        for venue in BY_NAME.values():
            for path, answer in venue.routes(self._desk).items():
                app.router.add_get(f"/{venue.name}{path}", _rest(answer))
            for path in venue.socket_paths:
                app.router.add_get(f"/{venue.name}{path}", self._socket(venue))
        return app

    def _socket(self, venue: Venue) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            # Pongs must be seen here; compression would only cost time on loopback.
            socket = web.WebSocketResponse(autoping=False, compress=False, timeout=0.3)
            await socket.prepare(request)
            transport = request.transport
            client = Client(venue.name, socket, transport, venue.dress(request.path))
            self._clients.joined(client)
            try:
                await self._serve(venue, client)
            finally:
                self._clients.left(client)
            return socket

        return handle

    async def _serve(self, venue: Venue, client: Client) -> None:
        with suppress(ConnectionError):
            async for message in client.socket:
                if message.type is WSMsgType.TEXT:
                    for answer in venue.receive(message.data, client, self._desk):
                        await client.send(answer)
                elif message.type is WSMsgType.PING:
                    await client.socket.pong(message.data)
                elif message.type is WSMsgType.PONG:
                    client.ponged(bytes(message.data))


def _rest(answer: Callable[[web.Request], web.Response]) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return answer(request)

    return handle
