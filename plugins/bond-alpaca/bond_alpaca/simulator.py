"""Play Alpaca's market data stream on loopback: shares and crypto, with what it refuses.

async with AlpacaSimulator(clock=SystemClock(), seed=7) as alpaca:
    ...  # point a client at alpaca.url + "/v2/iex"
    alpaca.halt("AAPL")

Built from Alpaca's documentation (docs.alpaca.markets); it was never compared with Alpaca itself.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs

from bond_core.clock import NS, Clock
from bond_core.plugin import setting, structure
from bond_core.testing.loopback_ws import LoopbackWs, Peer
from bond_core.testing.played import Played, meanwhile
from bond_core.testing.tape import SLOT_NS, Manner, Print, Tape, slots

_CRYPTO = "/v1beta3/crypto/us"
_FEEDS = {"/v2/iex": "iex", "/v2/sip": "sip", "/v2/test": "test", "/v1beta1/boats": "boats",
          _CRYPTO: "crypto"}  # fmt: skip
_HISTORY = ("/v2/stocks/trades", "/v1beta3/crypto/us/trades")
_CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
_CODES: Mapping[Manner, tuple[str, str]] = {  # on tapes A and B, and on C
    "regular": (" ", "@"), "sweep": (" F", "@F"), "odd_lot": (" I", "@I"), "late": (" Z", "@Z"),
    "average": (" B", "@W"), "official": (" M", "@M"),
}  # fmt: skip
_MINUTE_SLOTS = 60 * NS // SLOT_NS


@attrs.frozen
class Options:
    """What the simulated Alpaca is like."""

    feeds: tuple[str, ...] = setting(default=("iex", "test", "crypto"), doc="Feeds of the plan")
    connections: int = setting(default=1, doc="Connections at an endpoint")
    symbols: int = setting(default=30, doc="Subscriptions to trades and quotes")
    auth_s: float = setting(default=10.0, doc="Seconds to authenticate")
    repeats: bool = setting(default=True, doc="Whether what changes nothing is answered")
    halts: bool = setting(default=True, doc="Whether its plan has the channel statuses")
    history: bool = setting(default=True, doc="Whether its plan has trades of just now over REST")
    per_slot: int = setting(default=3, doc="Trades of a symbol in 50 ms, at most")


class AlpacaSimulator(Played):
    """Alpaca, serving while it is entered.

    Attributes:
        server: Who is there; `server.cut()` breaks all connections.
        tape: The made-up market.
        asked: What clients sent, without keys.
        told: Every message about the market that was sent, as Alpaca writes it.
        fetched: The query of each request for trades that were missed.
    """

    def __init__(
        self, *, clock: Clock, seed: int = 1, options: Mapping[str, object] | None = None
    ) -> None:
        self.options = structure(Options, dict(options or {}))
        self.tape = Tape(seed, self.options.per_slot)
        self.server = LoopbackWs(
            self._serve, lambda path: None if path in _FEEDS else 404, self._answer
        )
        self.asked: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []
        self.fetched: list[dict[str, str]] = []
        self._clock = clock
        self._frozen = False
        self._mute = False

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str, None]:
        """See Played."""
        async with self.server as server, meanwhile(self._market(), "alpaca's market"):
            yield server.url

    # What a test does

    def freeze(self, frozen: bool = True) -> None:  # noqa: FBT001, FBT002 -- on or off
        """Keep connections and send nothing of the market on them; or go on."""
        self._frozen = frozen

    def mute(self, mute: bool = True) -> None:  # noqa: FBT001, FBT002 -- as above
        """Answer nothing at all, not even to a key; or go on."""
        self._mute = mute

    async def fail(self, code: int, msg: str) -> None:
        """Tell every client an error, and hang up."""
        for peer in tuple(self.server.peers):
            await self._refuse(peer, code, msg)

    async def halt(self, symbol: str, *, resumed: bool = False) -> None:
        """Tell those who listen to its status that a share is halted, or traded again."""
        status = ("T", "Trading Resumption", "T3", "News and Resumption Times")
        if not resumed:
            status = ("H", "Trading Halt", "T1", "Halt News Pending")
        names = dict(zip(("sc", "sm", "rc", "rm"), status, strict=True))
        await self.tell("statuses", {"T": "s", "S": symbol, **names, "t": self._now(), "z": "C"})

    async def tell(self, channel: str, *said: dict[str, Any]) -> None:
        """Send messages to all that are subscribed to their symbol on a channel."""
        for peer in tuple(self.server.peers):
            mine = [message for message in said if message["S"] in _has(peer, channel)]
            if mine:
                self.told += mine
                await peer.send(mine)

    # What Alpaca does

    async def _serve(self, peer: Peer) -> None:
        await peer.send([{"T": "success", "msg": "connected"}])
        closing = asyncio.create_task(self._until_authenticated(peer))
        try:
            if "apca-api-key-id" in peer.headers:
                await self._authenticate(
                    peer, peer.headers["apca-api-key-id"], peer.headers["apca-api-secret-key"]
                )
            async for text in peer:
                if not self._mute:
                    await self._do(peer, text)
        finally:
            closing.cancel()

    async def _until_authenticated(self, peer: Peer) -> None:
        await self._clock.sleep(self.options.auth_s)
        if "feed" not in peer.notes:
            await self._refuse(peer, 404, "auth timeout")

    async def _do(self, peer: Peer, text: str | bytes) -> None:
        try:
            asked = json.loads(text)
            action = asked.pop("action")
        except (ValueError, KeyError, AttributeError):
            await self._say_error(peer, 400, "invalid syntax")
            return
        if action == "auth":
            self.asked.append({"action": action})
            if "feed" in peer.notes:
                await self._say_error(peer, 403, "already authenticated")
            else:
                await self._authenticate(peer, asked.get("key", ""), asked.get("secret", ""))
            return
        self.asked.append({"action": action, **asked})
        if "feed" not in peer.notes:
            await self._say_error(peer, 401, "not authenticated")
        elif action not in ("subscribe", "unsubscribe"):
            await self._say_error(peer, 400, "invalid syntax")
        else:
            await self._subscribe(peer, asked, add=action == "subscribe")

    async def _authenticate(self, peer: Peer, key: str, secret: str) -> None:
        feed = _FEEDS[peer.path]
        others = sum(other.notes.get("feed") == feed for other in self.server.peers)
        if not key or not secret or "wrong" in (key, secret):
            await self._refuse(peer, 402, "auth failed")
        elif feed not in self.options.feeds:
            await self._refuse(peer, 409, "insufficient subscription")
        elif others >= self.options.connections:
            await self._refuse(peer, 406, "connection limit exceeded")
        else:
            peer.notes["feed"] = feed
            await peer.send([{"T": "success", "msg": "authenticated"}])

    async def _subscribe(self, peer: Peer, asked: Mapping[str, Any], *, add: bool) -> None:
        is_crypto = peer.notes["feed"] == "crypto"
        known = set(_CHANNELS) - ({"statuses", "lulds"} if is_crypto else set())
        if not asked.keys() <= known:
            await self._say_error(peer, 410, "invalid subscribe action for this feed")
            return
        if "statuses" in asked and not self.options.halts:
            await self._say_error(peer, 409, "insufficient subscription")
            return
        has = {channel: set(_has(peer, channel)) for channel in _CHANNELS}
        for channel, symbols in asked.items():
            has[channel] = has[channel] | set(symbols) if add else has[channel] - set(symbols)
        if add and len(has["trades"]) + len(has["quotes"]) > self.options.symbols:
            await self._say_error(peer, 405, "symbol limit exceeded")
            return
        if not self.options.repeats and all(has[c] == set(_has(peer, c)) for c in has):
            return
        peer.notes["has"] = has
        listed: dict[str, Any] = {channel: sorted(has[channel]) for channel in _CHANNELS}
        listed |= {"corrections": listed["trades"], "cancelErrors": listed["trades"]}
        await peer.send([{"T": "subscription", **listed}])

    def _answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Answer requests for trades of the past, as data.alpaca.markets does."""
        url = urlsplit(path)
        if url.path not in _HISTORY:
            return None
        query = dict(parse_qsl(url.query))
        self.fetched.append(query)
        keys = headers.get("apca-api-key-id"), headers.get("apca-api-secret-key")
        if not all(keys) or "wrong" in keys:
            return 403, '{"message": "forbidden."}'
        if not self.options.history or query.get("feed", "crypto") not in self.options.feeds:
            return 403, '{"message": "subscription does not permit querying recent SIP data"}'
        symbol, limit = query["symbols"], int(query.get("limit", 1000))
        first_ns, last_ns = _read(query["start"]), _read(query["end"])
        found = [
            _trade(p, is_crypto="feed" not in query)
            for slot in range(first_ns // SLOT_NS, last_ns // SLOT_NS + 1)
            for p in self.tape.prints(symbol, slot)
            if first_ns <= p.at_ns <= last_ns
        ]
        rows = [{k: v for k, v in t.items() if k not in ("T", "S")} for t in found[:limit]]
        token = "more" if len(found) > limit else None
        return 200, json.dumps({"trades": {symbol: rows}, "next_page_token": token})

    async def _market(self) -> None:
        async with aclosing(slots(self._clock)) as over:
            async for slot in over:
                for peer in tuple(self.server.peers):
                    said = [] if self._frozen else self._due(peer, slot)
                    if said:
                        self.told += said
                        await peer.send(said)

    def _due(self, peer: Peer, slot: int) -> list[dict[str, Any]]:
        """Return what a client is told of a slot, trades first as they happened."""
        is_crypto = peer.notes.get("feed") == "crypto"
        said = []
        for symbol in sorted(_has(peer, "trades")):
            prints = self.tape.prints(symbol, slot)
            said += [_trade(p, is_crypto=is_crypto) for p in prints]
        for symbol in sorted(_has(peer, "quotes")):
            best = self.tape.best(symbol, slot)
            said.append(
                {
                    "T": "q", "S": symbol, "bx": "V", "bp": best.bid, "bs": best.bid_lots,
                    "ax": "V", "ap": best.ask, "as": best.ask_lots, "c": ["R"],
                    "t": _written(best.at_ns), "z": _tape_of(symbol),
                }
            )  # fmt: skip
        if (slot + 1) % _MINUTE_SLOTS == 0:
            for symbol in sorted(_has(peer, "bars")):
                prints = [
                    p
                    for n in range(slot + 1 - _MINUTE_SLOTS, slot + 1)
                    for p in self.tape.prints(symbol, n)
                ]
                said += _bar(symbol, prints, (slot + 1) * SLOT_NS - 60 * NS)
        return said

    async def _say_error(self, peer: Peer, code: int, msg: str) -> None:
        await peer.send([{"T": "error", "code": code, "msg": msg}])

    async def _refuse(self, peer: Peer, code: int, msg: str) -> None:
        await self._say_error(peer, code, msg)
        await peer.close(1000)

    def _now(self) -> str:
        return _written(self._clock.now_ns())


def _has(peer: Peer, channel: str) -> Iterable[str]:
    symbols: set[str] = peer.notes.get("has", {}).get(channel, set())
    return symbols


def _trade(p: Print, *, is_crypto: bool) -> dict[str, Any]:
    said = {"T": "t", "S": p.symbol, "i": p.number, "p": p.price, "t": _written(p.at_ns)}
    if is_crypto:
        return said | {"s": p.size / 1000, "tks": "B" if p.number % 2 else "S"}
    tape = _tape_of(p.symbol)
    codes = list(_CODES[p.manner][tape == "C"])
    return said | {"s": p.size, "x": "V", "c": codes, "z": tape}


def _bar(symbol: str, prints: list[Print], start_ns: int) -> list[dict[str, Any]]:
    prices = [p.price for p in prints if p.manner in ("regular", "sweep")]
    counted = [p for p in prints if p.manner != "official"]
    if not prices:
        return []
    volume = sum(p.size for p in counted)
    vwap = sum(p.price * p.size for p in counted) / volume
    return [
        {
            "T": "b", "S": symbol, "o": prices[0], "h": max(prices), "l": min(prices),
            "c": prices[-1], "v": volume, "n": len(counted), "vw": round(vwap, 6),
            "t": _written(start_ns),
        }
    ]  # fmt: skip


def _tape_of(symbol: str) -> str:
    return "AC"[zlib.crc32(symbol.encode()) % 2]


def _read(text: str) -> int:
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * NS + int((fraction or "0").ljust(9, "0"))


def _written(ns: int) -> str:
    """Return a time as Alpaca writes it: to the nanosecond, without zeros at its end."""
    seconds, fraction = divmod(ns, NS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"
