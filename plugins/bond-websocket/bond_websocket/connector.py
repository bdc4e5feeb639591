"""Listen to a WebSocket that a mapping describes.

A feed is live when a message of its own came, or one by which the source takes subscriptions
(`confirm`). Whatever else comes proves nothing: a source that only sends what no rule reads
becomes stale, and the reason says so.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from bond_core.clock import NS
from bond_core.plugin import Context, Subscription, WebSocket, WebSocketConnector
from bond_websocket.compile import compiled
from bond_websocket.config import CustomConfig
from bond_websocket.frames import MAX_BYTES, UnreadableError, json_of, text_of
from bond_websocket.rules import Heard
from bond_websocket.templates import Template

SEND_EVERY_S = 0.2
"""Seconds between two messages in a row: venues cut off who sends many at once."""

TELL_EVERY_S = 60.0
"""Seconds between two notices of messages that no rule reads."""

_SHOWN = 120


@attrs.define
class Silence:
    """What came instead of what was waited for, since there was something last.

    Attributes:
        unknown: Messages that no rule reads.
        others: Events of symbols that nobody asked for.
        refused: Events that could not be read.
        sample: The newest message that no rule reads, cut short.
        other: The newest symbol that nobody asked for.
        why: Why the newest event was refused.
    """

    unknown: int = 0
    others: int = 0
    refused: int = 0
    sample: str = ""
    other: str = ""
    why: str = ""

    def __str__(self) -> str:
        """Say it; empty where nothing came."""
        parts = []
        if self.unknown:
            parts.append(f"{self.unknown} messages that no rule reads, the last: {self.sample}")
        if self.others:
            parts.append(f"{self.others} events of other symbols, the last of {self.other!r}")
        if self.refused:
            parts.append(f"{self.refused} that could not be read, the last: {self.why}")
        return "; ".join(parts)


class CustomConnector(WebSocketConnector):
    """A source that is described, and not programmed."""

    confirms = True

    def __init__(self, config: CustomConfig) -> None:
        super().__init__(config)
        assert config.mapping is not None  # noqa: S101 -- its settings refuse that
        self._mapping, faults = compiled(config.mapping)
        assert not faults.found  # noqa: S101 -- as above
        self._venue = config.label
        self._silences: dict[str, Silence] = {}
        self._sent = 0
        self._has_asked = False
        self._asked: frozenset[str] = frozenset()
        self._wanted: frozenset[Subscription] = frozenset()
        self._symbols: Mapping[str, str] = {}
        self._untold = 0
        self._told_ns: int | None = None
        beat = config.mapping.heartbeat
        if beat is not None and beat.send:
            self.keepalive_every_s = beat.every_sec

    def url(self, ctx: Context) -> str:
        """Return the user's address; `ctx.ws` guards it at each connection."""
        return ctx.simulated_at or str(self.config.url)

    @asynccontextmanager
    async def open(self, ctx: Context) -> AsyncIterator[WebSocket]:
        """Connect; nothing is asked for yet."""
        async with ctx.ws(self.url(ctx), max_size=MAX_BYTES) as ws:
            self._sent, self._has_asked, self._asked = 0, False, frozenset()
            yield Answering(ws, self) if self._mapping.replies else ws

    async def subscribe(self, ws: WebSocket, ctx: Context, added: Sequence[Subscription]) -> None:
        """Send what the mapping says for symbols that are new."""
        by_rule = {rule.only for rule in self._mapping.rules}  # these need no name
        for each in added:
            nameless = each.symbol and self._mapping.names.of(each.symbol) is None
            if nameless and each.symbol not in by_rule:
                why = f"the mapping's `symbols` has a part that {each.symbol} has not"
                ctx.failed(each.channel, each.symbol, why)
        asked = _symbols_of(ctx.wanted.current())
        new, self._asked = sorted(asked - self._asked), asked
        if ctx.simulated_at is not None:
            names = {s: self._mapping.names.of(s) or s for s in sorted(asked)}
            mapping = attrs.asdict(self.config.mapping)
            await ws.send_json({"simulate": {"mapping": mapping, "names": names}})
        await self._send(ws, ctx, self._mapping.subscribe, new, is_first=not self._has_asked)
        self._has_asked = True

    async def unsubscribe(
        self, ws: WebSocket, ctx: Context, removed: Sequence[Subscription]
    ) -> None:
        """Send what the mapping says for symbols that nobody wants any more."""
        asked = _symbols_of(ctx.wanted.current().difference(removed))  # may be wanted again
        gone, self._asked = sorted(self._asked - asked), self._asked & asked
        if gone:
            await self._send(ws, ctx, self._mapping.unsubscribe, gone, is_first=False)

    async def keepalive(self, ws: WebSocket, ctx: Context) -> None:
        """Send the mapping's heartbeat."""
        await self._send(ws, ctx, self._mapping.beats, (), is_first=True)

    def parse(self, frame: str | bytes, ctx: Context) -> Iterator[tuple[str, Any]]:
        """Yield the events that rules find in a message; count what none reads."""
        text = text_of(frame).strip()
        message = None if text in self._mapping.texts else json_of(text)
        if self._mapping.confirm.fit(text, message):
            for channel in sorted({each.channel for each in ctx.wanted.current()}):
                ctx.live(channel)
            return
        if self._mapping.means_nothing(text, message):
            return
        self._look_at(ctx.wanted.current())
        heard = Heard()
        found = [rule for rule in self._mapping.rules if rule.when.fit(message)]
        for rule in found:
            before = len(heard.events)
            rule.read(
                message, self._symbols, now_ns=ctx.clock.now_ns(), venue=self._venue, heard=heard
            )
            for event in heard.events[before:]:
                if Subscription(rule.channel, event.symbol) in self._wanted:
                    self._silences.pop(rule.channel, None)
                    yield rule.channel, event
        if not found:
            self._unknown(ctx, text)
        for why, n in heard.refused.items():
            ctx.reject(why, n=n)
        self._note(heard)

    def why_silent(self, channel: str) -> str | None:
        """Say what came instead of the events of a channel."""
        return str(self._silences.get(channel, "")) or None

    def replies_to(self, frame: str | bytes) -> list[Any]:
        """Return what the source wants to be answered to a message."""
        try:
            message = json_of(text_of(frame))
        except UnreadableError:
            return []  # `parse` says so
        replies = []
        for reply in self._mapping.replies:
            if reply.when.fit(message):
                value = None if reply.value is None else reply.value.one(message, None)
                replies.append(_with_value(self._filled(reply.send), value))
        return replies

    def _look_at(self, wanted: frozenset[Subscription]) -> None:
        """Keep what is wanted by the source's names, until something else is."""
        if wanted is self._wanted or wanted == self._wanted:
            return
        self._wanted = wanted
        names = {symbol: self._mapping.names.of(symbol) for symbol in _symbols_of(wanted)}
        self._symbols = {name: symbol for symbol, name in names.items() if name is not None}

    def _unknown(self, ctx: Context, text: str) -> None:
        """Count a message that no rule reads; tell of the first, then once in a while."""
        self._untold += 1
        shown = _shown(text)
        for each in self._channels():
            each.unknown += 1
            each.sample = shown
        now_ns = ctx.clock.monotonic_ns()
        if self._told_ns is None or now_ns - self._told_ns >= TELL_EVERY_S * NS:
            ctx.reject(f"no rule of the mapping reads this message: {shown}", n=self._untold)
            self._untold, self._told_ns = 0, now_ns

    def _note(self, heard: Heard) -> None:
        if not (heard.others or heard.refused):
            return
        for each in self._channels():
            each.others += heard.others.total()
            each.refused += heard.refused.total()
            each.other = _shown(next(iter(heard.others), each.other))
            each.why = next(iter(heard.refused), each.why)

    def _channels(self) -> list[Silence]:
        channels = {each.channel for each in self._wanted}
        return [self._silences.setdefault(channel, Silence()) for channel in channels]

    async def _send(
        self, ws: WebSocket, ctx: Context, templates: Sequence[Template], symbols: Sequence[str],
        *, is_first: bool,
    ) -> None:  # fmt: skip
        """Send messages: for each symbol, for all, and at first those that name none."""
        messages = self._messages(templates, symbols, is_first=is_first)
        for n, message in enumerate(messages):
            if n:
                await ctx.clock.sleep(SEND_EVERY_S)
            await (ws.send(message) if isinstance(message, str) else ws.send_json(message))

    def _messages(
        self, templates: Sequence[Template], symbols: Sequence[str], *, is_first: bool
    ) -> Iterator[Any]:
        named = {s: name for s in symbols if (name := self._mapping.names.of(s)) is not None}
        for template in templates:
            if template.is_for_each:
                for symbol, name in named.items():
                    yield self._filled(template, symbol=symbol, names=(name,))
            elif template.is_for_all:
                if named:
                    yield self._filled(template, names=tuple(named.values()))
            elif is_first:
                yield self._filled(template)

    def _filled(self, template: Template, *, symbol: str = "", names: Sequence[str] = ()) -> Any:
        self._sent += 1
        return template.fill(symbol=symbol, names=names, number=self._sent)


class Answering:
    """A WebSocket on which the source's own questions are answered as they come."""

    def __init__(self, ws: WebSocket, connector: CustomConnector) -> None:
        self._ws = ws
        self._connector = connector

    async def send(self, message: str | bytes) -> None:
        """See WebSocket."""
        await self._ws.send(message)

    async def send_json(self, value: Any) -> None:
        """See WebSocket."""
        await self._ws.send_json(value)

    async def recv(self) -> str | bytes:
        """See WebSocket."""
        frame = await self._ws.recv()
        for reply in self._connector.replies_to(frame):
            await (self._ws.send(reply) if isinstance(reply, str) else self._ws.send_json(reply))
        return frame

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self

    async def __anext__(self) -> str | bytes:
        return await self.recv()


def _symbols_of(wanted: frozenset[Subscription]) -> frozenset[str]:
    return frozenset(each.symbol for each in wanted if each.symbol)


def _with_value(body: Any, value: Any) -> Any:
    """Return an answer with a value in place of `{value}`."""
    if isinstance(body, Mapping):
        return {key: _with_value(item, value) for key, item in body.items()}
    if isinstance(body, list):
        return [_with_value(item, value) for item in body]
    if body == "{value}":
        return value if isinstance(value, (str, int, float)) else None
    return body


def _shown(text: str) -> str:
    """Return the beginning of what a source said, fit for a notice."""
    cut = json.dumps(text[:_SHOWN], ensure_ascii=False)[1:-1].replace('\\"', '"')
    return cut + "…" * (len(text) > _SHOWN)
