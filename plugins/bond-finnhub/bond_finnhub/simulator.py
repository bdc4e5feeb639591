"""Play Finnhub's WebSocket on loopback: trades by symbol, pings, and what it refuses.

async with FinnhubSimulator(clock=SystemClock(), seed=7) as finnhub:
    ...  # point a client at finnhub.url + "/?token=…"

Built from Finnhub's documentation (finnhub.io/docs/api/websocket-trades); it was never compared
with Finnhub itself.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs

from bond_core.clock import NS, Clock
from bond_core.plugin import setting, structure
from bond_core.testing.loopback_ws import LoopbackWs, Peer
from bond_core.testing.played import Played, meanwhile
from bond_core.testing.tape import Print, Tape, slots

_MS = 1_000_000


@attrs.frozen
class Options:
    """What the simulated Finnhub is like."""

    symbols: int = setting(default=50, doc="Symbols of a connection")
    connections: int = setting(default=1, doc="Connections of a key")
    ping_s: float = setting(default=60.0, doc="Seconds of silence before a ping")
    per_slot: int = setting(default=3, doc="Trades of a symbol in 50 ms, at most")


class FinnhubSimulator(Played):
    """Finnhub, serving while it is entered.

    Attributes:
        server: Who is there; `server.cut()` breaks all connections.
        asked: What clients sent.
        told: Every row about a trade that was sent, as Finnhub writes it.
    """

    def __init__(
        self, *, clock: Clock, seed: int = 1, options: Mapping[str, object] | None = None
    ) -> None:
        self.options = structure(Options, dict(options or {}))
        self.tape = Tape(seed, self.options.per_slot)
        self.server = LoopbackWs(self._serve, self._refuse)
        self.asked: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []
        self._clock = clock
        self._frozen = self._mute = False

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str, None]:
        """See Played."""
        async with self.server as server, meanwhile(self._market(), "finnhub's market"):
            yield server.url

    # What a test does

    def freeze(self, frozen: bool = True) -> None:  # noqa: FBT001, FBT002 -- on or off
        """Send no trades, only pings; or go on."""
        self._frozen = frozen

    def mute(self, mute: bool = True) -> None:  # noqa: FBT001, FBT002 -- as above
        """Send nothing at all; or go on."""
        self._mute = mute

    async def say(self, message: object) -> None:
        """Send a message to everybody, as it is."""
        for peer in tuple(self.server.peers):
            await peer.send(message)

    async def tell(self, *rows: dict[str, Any]) -> None:
        """Send trades to those who are subscribed to them."""
        for peer in tuple(self.server.peers):
            mine = [row for row in rows if row.get("s") in peer.notes["symbols"]]
            if mine:
                self.told += mine
                await peer.send({"type": "trade", "data": mine})

    # What Finnhub does

    def _refuse(self, path: str) -> int | None:
        token = parse_qs(urlsplit(path).query).get("token", [""])[0]
        if token in ("", "wrong"):
            return 401
        return 429 if len(self.server.peers) >= self.options.connections else None

    async def _serve(self, peer: Peer) -> None:
        symbols: set[str] = set()
        peer.notes |= {"symbols": symbols, "heard_ns": self._clock.monotonic_ns()}
        async for text in peer:
            try:
                asked = json.loads(text)
                kind, symbol = asked["type"], asked["symbol"]
            except (ValueError, KeyError, TypeError):
                await peer.send({"type": "error", "msg": "Invalid message"})
                continue
            self.asked.append(asked)
            if kind == "unsubscribe":
                symbols.discard(symbol)
            elif len(symbols) >= self.options.symbols:
                await peer.send({"type": "error", "msg": "Subscribing to too many symbols"})
            else:
                symbols.add(symbol)

    async def _market(self) -> None:
        async with aclosing(slots(self._clock)) as over:
            async for slot in over:
                for peer in tuple(self.server.peers):
                    if not self._mute and "symbols" in peer.notes:
                        await self._tick(peer, slot)

    async def _tick(self, peer: Peer, slot: int) -> None:
        """Send what was traded in a slot in one message, or a ping where nothing was for long."""
        symbols = () if self._frozen else sorted(peer.notes["symbols"])
        prints = [p for symbol in symbols for p in self.tape.prints(symbol, slot)]
        rows = [_row(p) for p in sorted(prints, key=lambda p: p.at_ns) if p.manner != "official"]
        now_ns = self._clock.monotonic_ns()
        if rows:
            self.told += rows
            await peer.send({"data": rows, "type": "trade"})
        elif now_ns - peer.notes["heard_ns"] >= self.options.ping_s * NS:
            await peer.send({"type": "ping"})
        else:
            return
        peer.notes["heard_ns"] = now_ns


def _row(p: Print) -> dict[str, Any]:
    codes = {"odd_lot": ["1", "12"], "sweep": ["1", "8"]}.get(p.manner, ["1"])
    return {"c": codes, "p": p.price, "s": p.symbol, "t": p.at_ns // _MS, "v": p.size}
