"""Keep the open WebSockets of all venues, and send frames to those that asked for them."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from aiohttp import web
from attrs import define, field

from bond_sim.faults import Faults, Frame
from bond_sim.subscriptions import Subscription, Subscriptions

_PONG_WITHIN_S = 5.0
_SEND_WITHIN_S = 10.0


@define(eq=False)
class Client:
    """One WebSocket. `wires` are the venue's streams it has: `btcusdt@trade`, `trades:BTC-USDT`.

    `dress` makes what this client is sent of a stream's name and its data frame.
    """

    venue: str
    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    dress: Callable[[str, str], str] = lambda _wire, text: text
    wires: set[str] = field(factory=set)
    deaf: bool = False
    _numbers: itertools.count[int] = field(factory=itertools.count)
    _pongs: dict[bytes, asyncio.Future[None]] = field(factory=dict)

    async def send(self, text: str) -> bool:
        """Send a text frame; a client that is gone, or takes nothing for 10 s, is cut off."""
        try:
            async with asyncio.timeout(_SEND_WITHIN_S):
                await self.socket.send_str(text)
        except (ConnectionError, TimeoutError):
            self.abort()
            return False
        return True

    async def caught_up(self) -> bool:
        """Return whether it answered a ping, so had read all before it, within 5 s real time.

        A client that did not is not asked again.
        """
        if self.deaf or self.socket.closed:
            return False
        payload = b"bond-%d" % next(self._numbers)
        pong = asyncio.get_running_loop().create_future()
        self._pongs[payload] = pong
        try:
            async with asyncio.timeout(_PONG_WITHIN_S):
                await self.socket.ping(payload)
                await pong
        except (ConnectionError, TimeoutError):
            self.deaf = not self.socket.closed
            return False
        finally:
            del self._pongs[payload]
        return True

    def ponged(self, payload: bytes) -> None:
        """It answered the ping with this payload."""
        pong = self._pongs.get(payload)
        if pong is not None and not pong.done():
            pong.set_result(None)

    def gone(self) -> None:
        """It will not answer any more."""
        for pong in self._pongs.values():
            if not pong.done():
                pong.set_exception(ConnectionResetError("the client is gone"))

    def abort(self) -> None:
        """Drop the TCP connection without a closing handshake, as a lost network does."""
        if self.transport is not None:
            self.transport.abort()


@define(eq=False)
class Clients:
    """All open WebSockets."""

    subscriptions: Subscriptions
    _about: Callable[[str, str], Subscription]
    _clients: dict[str, list[Client]] = field(factory=dict)
    _wires: Counter[tuple[str, str]] = field(factory=Counter)

    def joined(self, client: Client) -> None:
        """A WebSocket was opened."""
        self._clients.setdefault(client.venue, []).append(client)
        self.subscriptions.connections_opened[client.venue] += 1
        self.subscriptions.connections_open[client.venue] += 1

    def left(self, client: Client) -> None:
        """A WebSocket was closed or lost."""
        client.gone()
        for wire in sorted(client.wires):
            self.unsubscribe(client, wire)
        self._clients[client.venue].remove(client)
        self.subscriptions.connections_open[client.venue] -= 1

    def subscribe(self, client: Client, wire: str) -> None:
        """Let a client have a stream. Asking for what it has counts as asked, changes nothing."""
        about = self._about(client.venue, wire)
        self.subscriptions.asked(about)
        if wire not in client.wires:
            client.wires.add(wire)
            self._wires[client.venue, wire] += 1
            self.subscriptions.began(about)

    def unsubscribe(self, client: Client, wire: str) -> None:
        """Take a stream from a client."""
        if wire in client.wires:
            client.wires.remove(wire)
            self._wires[client.venue, wire] -= 1
            if not self._wires[client.venue, wire]:
                del self._wires[client.venue, wire]
            self.subscriptions.ended(self._about(client.venue, wire))

    def wires(self) -> list[tuple[str, str]]:
        """Return every (venue, wire) that somebody has, sorted."""
        return sorted(self._wires)

    def wanted(self, venue: str, wire: str) -> bool:
        """Return whether somebody has it."""
        return (venue, wire) in self._wires

    def of(self, venue: str) -> Sequence[Client]:
        """Return the clients of a venue, in the order they came."""
        return tuple(self._clients.get(venue, ()))

    async def publish(self, faults: Faults, venue: str, wire: str, text: str) -> list[Client]:
        """Send a data frame to whoever has its wire, less what the faults take away.

        Returns the clients that were sent something.
        """
        if not self.wanted(venue, wire):
            return []
        frames = faults.apply(self._about(venue, wire), wire, text)
        if not frames:  # what a venue numbers is numbered also where it is lost on the way
            for client in self.of(venue):
                if wire in client.wires:
                    client.dress(wire, text)
        return await self._send(venue, frames)

    async def publish_held(self, faults: Faults, venue: str) -> list[Client]:
        """Send what a `reorder` still holds back for a frame that will not come."""
        return await self._send(venue, faults.released(venue))

    async def _send(self, venue: str, frames: Iterable[Frame]) -> list[Client]:
        reached: dict[Client, None] = {}
        for wire, text in frames:
            for client in self.of(venue):
                if wire in client.wires and await client.send(client.dress(wire, text)):
                    reached[client] = None
        return list(reached)

    async def cut(self, venue: str, code: int | None) -> None:
        """Close every WebSocket of a venue with a code, or abort its TCP connection."""
        clients = self.of(venue)
        if code is None:
            for client in clients:
                client.abort()
        else:
            await all_closed(clients, code)


async def all_closed(clients: Iterable[Client], code: int) -> None:
    """Say goodbye with this code, wait a moment for the answer, and abort."""
    closing = [asyncio.create_task(c.socket.close(code=code)) for c in clients]
    if closing:
        await asyncio.wait(closing, timeout=0.4)
    for task in closing:
        task.cancel()
    await asyncio.gather(*closing, return_exceptions=True)
    for client in clients:
        client.abort()
