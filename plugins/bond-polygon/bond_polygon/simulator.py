"""Play Massive's WebSocket of shares on loopback: trades, quotes, aggregates, and its refusals.

async with PolygonSimulator(clock=SystemClock(), seed=7) as polygon:
    ...  # massive.WebSocketClient(feed=polygon.url.removeprefix("ws://"), secure=False)

Built from Massive's documentation (massive.com/docs/websocket) and its client library; it was
never compared with Massive itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs

from bond_core.clock import NS, Clock
from bond_core.plugin import setting, structure
from bond_core.testing.loopback_ws import LoopbackWs, Peer
from bond_core.testing.played import Played, meanwhile
from bond_core.testing.tape import SLOT_NS, Manner, Print, Tape, slots

_MS = 1_000_000
_HISTORY = "/v3/trades/"
_CONDITIONS: Mapping[Manner, list[int]] = {
    "regular": [], "sweep": [14, 41], "odd_lot": [37], "late": [32], "average": [2],
    "official": [15],
}  # fmt: skip


@attrs.frozen
class Options:
    """What the simulated Massive is like."""

    channels: tuple[str, ...] = setting(
        default=("T", "Q", "AM", "A"), doc="Kinds that the key's plan has"
    )
    real_time: bool = setting(default=True, doc="Whether its plan has real-time data")
    connections: int = setting(default=1, doc="Connections of a key")
    history: bool = setting(default=True, doc="Whether its plan has trades over REST")
    auth_s: float = setting(default=10.0, doc="Seconds to authenticate")
    per_slot: int = setting(default=3, doc="Trades of a share in 50 ms, at most")


class PolygonSimulator(Played):
    """Massive, serving while it is entered.

    Attributes:
        server: Who is there; `server.cut()` breaks all connections.
        asked: What clients sent, without keys.
        told: Every message about the market that was sent, as Massive writes it.
        fetched: The query of each request for trades that were missed.
    """

    def __init__(
        self, *, clock: Clock, seed: int = 1, options: Mapping[str, object] | None = None
    ) -> None:
        self.options = structure(Options, dict(options or {}))
        self.tape = Tape(seed, self.options.per_slot)
        self.server = LoopbackWs(
            self._serve, lambda path: None if path == "/stocks" else 404, self._answer
        )
        self.asked: list[dict[str, str]] = []
        self.told: list[dict[str, Any]] = []
        self.fetched: list[dict[str, str]] = []
        self._clock = clock
        self._frozen = self._mute = False
        self._halted: set[str] = set()
        self._reopening: set[str] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str, None]:
        """See Played."""
        async with self.server as server, meanwhile(self._market(), "massive's market"):
            yield server.url

    # What a test does

    def freeze(self, frozen: bool = True) -> None:  # noqa: FBT001, FBT002 -- on or off
        """Keep connections and send nothing of the market on them; or go on."""
        self._frozen = frozen

    def mute(self, mute: bool = True) -> None:  # noqa: FBT001, FBT002 -- as above
        """Answer nothing at all, not even to a key; or go on."""
        self._mute = mute

    def halt(self, symbol: str, *, resumed: bool = False) -> None:
        """Stop trading in a share; or go on, with a reopening trade."""
        if resumed:
            self._halted.discard(symbol)
            self._reopening.add(symbol)
        else:
            self._halted.add(symbol)

    async def say(self, *messages: object) -> None:
        """Send messages to everybody, as they are."""
        for peer in tuple(self.server.peers):
            await peer.send(list(messages))

    async def end(self, status: str, message: str) -> None:
        """Tell everybody a status, and hang up as Massive does."""
        for peer in tuple(self.server.peers):
            await peer.send([_status(status, message)])
            await peer.close(1008)

    async def tell(self, *said: dict[str, Any]) -> None:
        """Send messages about the market to those who are subscribed to them."""
        for peer in tuple(self.server.peers):
            mine = [s for s in said if f"{s['ev']}.{s.get('sym')}" in peer.notes["topics"]]
            if mine:
                self.told += mine
                await peer.send(mine)

    # What Massive does

    async def _serve(self, peer: Peer) -> None:
        peer.notes |= {"topics": set(), "is_in": False}
        await peer.send([_status("connected", "Connected Successfully")])
        closing = asyncio.create_task(self._until_authenticated(peer))
        try:
            async for text in peer:
                if not self._mute:
                    await self._do(peer, text)
        finally:
            closing.cancel()

    async def _until_authenticated(self, peer: Peer) -> None:
        await self._clock.sleep(self.options.auth_s)
        if not peer.notes["is_in"]:
            await peer.send([_status("auth_timeout", "No authentication message received")])
            await peer.close(1008)

    async def _do(self, peer: Peer, text: str | bytes) -> None:
        try:
            asked = json.loads(text)
            action, params = asked["action"], asked["params"]
        except (ValueError, KeyError, TypeError):
            await peer.send([_status("error", "invalid message")])
            return
        self.asked.append({"action": action, "params": "***" if action == "auth" else params})
        topics = params.split(",")
        if action == "auth":
            await self._authenticate(peer, params)
        elif not peer.notes["is_in"]:
            await peer.send([_status("error", "not authorized")])
        elif action == "subscribe":
            await self._subscribe(peer, topics)
        elif action == "unsubscribe":
            peer.notes["topics"] -= set(topics)
            await peer.send([_status("success", f"unsubscribed to: {t}") for t in topics])

    async def _authenticate(self, peer: Peer, key: str) -> None:
        if key == "wrong":
            await peer.send([_status("auth_failed", "authentication failed")])
            await peer.close(1008)
            return
        peer.notes["is_in"] = True
        await peer.send([_status("auth_success", "authenticated")])
        if not self.options.real_time:
            said = (
                "You don't have access real-time data. If your plan only includes delayed data, "
                "you can connect to the delayed websocket"
            )
            await peer.send([_status("error", said)])

    async def _subscribe(self, peer: Peer, topics: Sequence[str]) -> None:
        answers = []
        for topic in topics:
            if topic.partition(".")[0] in self.options.channels:
                peer.notes["topics"].add(topic)
                answers.append(_status("success", f"subscribed to: {topic}"))
            else:
                answers.append(_status("error", "not authorized"))
        await peer.send(answers)
        if sum(other.notes.get("is_in", False) for other in self.server.peers) > (
            self.options.connections
        ):
            said = "Maximum number of websocket connections exceeded."
            await peer.send([_status("max_connections", said)])
            await peer.close(1008)

    def _answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Answer requests for trades of the past, as api.massive.com does."""
        url = urlsplit(path)
        if not url.path.startswith(_HISTORY):
            return None
        query = dict(parse_qsl(url.query))
        self.fetched.append(query)
        if not headers.get("authorization", "").startswith("Bearer "):
            return 401, '{"status": "ERROR", "error": "API Key was not provided"}'
        if not self.options.history:
            return 403, '{"status": "NOT_AUTHORIZED", "message": "You are not entitled to this"}'
        from_ns, to_ns = int(query["timestamp.gte"]), int(query["timestamp.lt"])
        found = [
            _row(self._trade(p), p.at_ns)
            for slot in range(from_ns // SLOT_NS, to_ns // SLOT_NS + 1)
            for p in self.tape.prints(url.path.removeprefix(_HISTORY), slot)
            if from_ns <= p.at_ns < to_ns
        ]
        limit = int(query.get("limit", 1000))
        body: dict[str, Any] = {"status": "OK", "results": found[:limit]}
        if len(found) > limit:
            body["next_url"] = "https://api.massive.com/v3/trades/…?cursor=…"
        return 200, json.dumps(body)

    async def _market(self) -> None:
        async with aclosing(slots(self._clock)) as over:
            async for slot in over:
                for peer in tuple(self.server.peers):
                    topics = sorted(peer.notes.get("topics", ()))
                    said = [] if self._frozen else self._due(topics, slot)
                    if said:
                        self.told += said
                        await peer.send(said)

    def _due(self, topics: Sequence[str], slot: int) -> list[dict[str, Any]]:
        """Return what a client is told of a slot."""
        said: list[dict[str, Any]] = []
        for topic in topics:
            kind, _, symbol = topic.partition(".")
            if symbol in self._halted:
                continue
            if kind == "T":
                said += [self._trade(p) for p in self.tape.prints(symbol, slot)]
            elif kind == "Q":
                best = self.tape.best(symbol, slot)
                said.append(
                    {
                        "ev": "Q", "sym": symbol, "bx": 4, "bp": best.bid, "ax": 7,
                        "ap": best.ask, "bs": best.bid_lots * 100, "as": best.ask_lots * 100,
                        "c": 0, "z": 3, "t": best.at_ns // _MS, "q": slot,
                    }
                )  # fmt: skip
            else:
                slots = (60 if kind == "AM" else 1) * NS // SLOT_NS
                if (slot + 1) % slots == 0:
                    said += self._aggregate(kind, symbol, slot + 1 - slots, slots)
        return said

    def _trade(self, p: Print) -> dict[str, Any]:
        conditions = list(_CONDITIONS[p.manner])
        if p.symbol in self._reopening and p.manner == "regular":
            self._reopening.discard(p.symbol)
            conditions.append(18)
        off_exchange = {"x": 4, "trfi": 202} if p.number % 3 == 0 else {"x": 11}
        return {
            "ev": "T", "sym": p.symbol, "i": str(p.number), "z": 3, "p": p.price, "s": p.size,
            "ds": f"{p.size}.5" if p.manner == "odd_lot" else f"{p.size}", "c": conditions,
            "t": p.at_ns // _MS, "q": p.number, **off_exchange,
        }  # fmt: skip

    def _aggregate(self, kind: str, symbol: str, first: int, slots: int) -> list[dict[str, Any]]:
        prints = [p for n in range(first, first + slots) for p in self.tape.prints(symbol, n)]
        prices = [p.price for p in prints if p.manner in ("regular", "sweep")]
        if not prices:
            return []
        start_ms = first * SLOT_NS // _MS
        volume = sum(p.size for p in prints if p.manner != "official")
        return [
            {
                "ev": kind, "sym": symbol, "v": volume, "av": volume, "op": prices[0],
                "vw": prices[0], "o": prices[0], "c": prices[-1], "h": max(prices),
                "l": min(prices), "a": prices[0], "z": 100, "s": start_ms,
                "e": start_ms + slots * SLOT_NS // _MS,
            }
        ]  # fmt: skip


def _row(t: Mapping[str, Any], at_ns: int) -> dict[str, Any]:
    """Return a trade as Massive's REST writes it."""
    row = {
        "id": t["i"], "exchange": t["x"], "price": t["p"], "size": t["s"], "tape": 3,
        "decimal_size": t["ds"], "conditions": t["c"], "sequence_number": t["q"],
        "sip_timestamp": at_ns, "participant_timestamp": at_ns,
    }  # fmt: skip
    return row | ({"trf_id": t["trfi"]} if "trfi" in t else {})


def _status(status: str, message: str) -> dict[str, str]:
    return {"ev": "status", "status": status, "message": message}
