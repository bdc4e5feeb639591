"""Play a WebSocket that speaks as a mapping says, on loopback.

async with CustomSimulator(clock=SystemClock(), seed=7) as there:
    there.url   # ws://127.0.0.1:PORT

There is no vendor to imitate: what a stream's author wrote is all that is known of the source. So
the connector tells the simulator its mapping, and gets messages in which every path of it holds a
value: made-up prices that wander, ids that rise, times of now. It shows what records a mapping
gives, not whether the mapping is right for the real source.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import attrs

from bond_core.clock import NS, Clock
from bond_core.plugin import structure
from bond_core.testing.played import Played
from bond_websocket.config import EventRule, MessageMapping, NumberField, TimeField
from bond_websocket.path import Path, Step, parse_path

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

_FIRST_PRICE = 100.0
_FACTORS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_NOT_PRICES = {"size": 5.0, "bid_size": 5.0, "ask_size": 5.0, "amount": 1e6, "value": 1e8}


@attrs.frozen
class Options:
    """What the simulated source is like.

    Attributes:
        per_s: Messages of each rule and symbol in a second.
    """

    per_s: float = 4.0


class CustomSimulator(Played):
    """A source of any kind, serving while it is entered."""

    def __init__(
        self, *, clock: Clock, seed: int = 1, options: Mapping[str, object] | None = None
    ) -> None:
        self.options = structure(Options, dict(options or {}))
        self._clock = clock
        self._seed = seed
        self._next_id = 1

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str, None]:
        """See Played."""
        from websockets.asyncio.server import serve  # noqa: PLC0415 -- an extra, loaded on use

        async with serve(self._serve, "127.0.0.1", 0, compression=None) as server:
            yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"

    async def _serve(self, connection: ServerConnection) -> None:
        """Speak by the newest mapping that the connector told; nothing else is looked at."""
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415 -- as above

        speaking: asyncio.Task[None] | None = None
        try:
            async for text in connection:
                told = _told(text)
                if told is not None:
                    if speaking is not None:
                        speaking.cancel()
                    speaking = asyncio.create_task(self._speak(connection, *told))
        except ConnectionClosed:
            pass
        finally:
            if speaking is not None:
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)

    async def _speak(
        self, connection: ServerConnection, mapping: MessageMapping, names: Mapping[str, str]
    ) -> None:
        markets = {symbol: Market(f"{self._seed} {symbol}") for symbol in ("", *names)}
        while True:
            for rules in _together(mapping.events):
                symbols = [""] if rules[0].kind == "custom" else _symbols(rules[0], names)
                for symbol in symbols:
                    message = self._message(rules, markets[symbol], names.get(symbol, ""))
                    await connection.send(json.dumps(message))
            await self._clock.sleep(1 / self.options.per_s)

    def _message(self, rules: Sequence[EventRule], market: Market, name: str) -> Any:
        market.move()
        self._next_id += 1
        placed: list[tuple[tuple[Step, ...], Any]] = []
        for rule in rules:
            placed += _conditions(rule.when)
            placed += self._fields(rule, market, name)
        return built(placed)

    def _fields(
        self, rule: EventRule, market: Market, name: str
    ) -> Iterator[tuple[tuple[Step, ...], Any]]:
        """Yield where values stand, and the values."""
        each = parse_path(rule.each).steps if rule.each else ()

        def at(text: str) -> tuple[Step, ...]:
            path = parse_path(text)
            return _whole(path, each)

        written: list[tuple[str | None, Any]] = [
            (rule.symbol, name),
            (rule.id, self._next_id),
            (rule.sequence, self._next_id),
            *((path, market.price) for path in rule.values.values()),
            *_numbers(rule, market),
        ]
        if isinstance(rule.time, TimeField):
            written.append((rule.time.path, _time(self._clock.now_ns(), rule.time.unit)))
        if rule.side:
            words = rule.side.buy if market.rises else rule.side.sell
            written.append((rule.side.path, words[0]))
        found = [(at(text), value) for text, value in written if text is not None]
        yield from found
        if not found:  # an item that nothing of is read is one all the same
            yield each, {}


_WRITTEN = (
    "price", "size", "bid", "ask", "bid_size", "ask_size", "last", "rate", "mark_price",
    "amount", "value",
)  # fmt: skip


class Market:
    """A price that wanders, by its own chance."""

    def __init__(self, seed: str) -> None:
        self._chance = Random(seed)
        self.price = _FIRST_PRICE
        self.rises = True

    def move(self) -> None:
        """Take a step."""
        step = self._chance.gauss(0, 0.02)
        self.rises = step >= 0
        self.price = round(max(self.price + step, 1.0), 2)

    def value(self, field: str) -> float:
        """Return what a field says now."""
        if field in _NOT_PRICES:
            return round(self._chance.uniform(0.01, 1) * _NOT_PRICES[field], 3)
        if field == "rate":
            return round(self._chance.gauss(0, 1e-4), 6)
        return round(self.price + {"bid": -0.01, "ask": 0.01}.get(field, 0.0), 2)


def built(placed: Sequence[tuple[tuple[Step, ...], Any]]) -> Any:
    """Return the smallest JSON in which these values stand where their paths say.

    `[*]` is the only item of its list; what a list lacks before an index is null.
    """
    plain = [(tuple(0 if step is None else step for step in path), value) for path, value in placed]
    whole = next((value for path, value in plain if not path), None)
    firsts = list(dict.fromkeys(path[0] for path, _ in plain if path))
    if not firsts:
        return whole

    def below(step: Step) -> Any:
        return built([(path[1:], value) for path, value in plain if path and path[0] == step])

    if isinstance(firsts[0], str):
        return {step: below(step) for step in firsts if isinstance(step, str)}
    indices = [step for step in firsts if isinstance(step, int)]
    length = max([i + 1 for i in indices if i >= 0], default=0) + max(
        [-i for i in indices if i < 0], default=0
    )
    items: list[Any] = [None] * length
    for i in indices:
        items[i] = below(i)
    return items


def _told(text: str | bytes) -> tuple[MessageMapping, Mapping[str, str]] | None:
    """Return the mapping and the names of symbols if the connector tells them."""
    try:
        told = json.loads(text)["simulate"]
        names = {symbol: name for symbol, name in told["names"].items() if name is not None}
        return structure(MessageMapping, told["mapping"]), names
    except (ValueError, TypeError, KeyError):
        return None


def _numbers(rule: EventRule, market: Market) -> Iterator[tuple[str, float]]:
    """Yield where numbers stand, and the numbers before they are multiplied."""
    for name in _WRITTEN:
        given = getattr(rule, name)
        if isinstance(given, NumberField):
            yield given.path, market.value(name) / given.factor
        elif given is not None:
            yield given, market.value(name)


def _together(rules: Sequence[EventRule]) -> list[list[EventRule]]:
    """Return rules that read the same messages together."""
    found: dict[str, list[EventRule]] = {}
    for rule in rules:
        key = json.dumps([rule.when, rule.each, rule.only], sort_keys=True)
        found.setdefault(key, []).append(rule)
    return list(found.values())


def _symbols(rule: EventRule, names: Mapping[str, str]) -> list[str]:
    return [symbol for symbol in names if rule.only in (None, symbol)]


def _conditions(when: Mapping[str, Any]) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """Yield where conditions look, and values that they let pass."""
    for text, wanted in when.items():
        if isinstance(wanted, Mapping):
            if wanted.get("exists", True):
                yield parse_path(text).steps, wanted.get("prefix", 1)
        else:
            words = wanted if isinstance(wanted, (list, tuple)) else [wanted]
            yield parse_path(text).steps, words[0] if words else None


def _whole(path: Path, each: tuple[Step, ...]) -> tuple[Step, ...]:
    return (*each, *path.steps) if path.is_relative else path.steps


def _time(now_ns: int, unit: str) -> Any:
    if unit == "iso":
        at = datetime.fromtimestamp(now_ns // NS, UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{now_ns % NS:09d}Z"
    if unit == "s":
        return f"{now_ns // NS}.{now_ns % NS:09d}"
    return now_ns // _FACTORS[unit]
