"""Listen to Massive (Polygon as was) through its own client: one connection for everybody.

The library connects, authenticates and reads. It is asked for raw messages, since it drops all
that says how a subscription went, and its models leave out digits of sizes. What is wanted is
sent over its connection in order, so that a refusal that names nothing can be told whose it is.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs

from bond_core.plugin import (
    Context,
    Event,
    Hole,
    Page,
    Retryable,
    Subscription,
    is_us_session,
)
from bond_polygon import messages as m
from bond_polygon.conditions import REOPENING
from bond_polygon.config import FEEDS, PolygonConfig
from bond_polygon.history import fetch
from bond_polygon.refusals import FINE, error_of, why_refused, wrong_key

OPEN_S = 12.0
"""How long connecting and authenticating may take."""

PROBE_S = 10.0
"""How often Massive is asked whether it is there, while nothing has to come."""

MAX_UNREADABLE = 3
"""So many frames in a row that can't be read mean that the connection is no use."""

_UNREADABLE = (ValueError, TypeError, LookupError)
_CHANNELS = {"T": "trades", "Q": "quotes", "AM": "bars", "A": "bars"}
_TOPIC = re.compile(r"\b(AM|A|T|Q)\.([A-Za-z0-9./-]*[A-Za-z0-9])")


class PolygonConnector:
    """The connector `polygon`."""

    def __init__(self, config: PolygonConfig) -> None:
        self.config = config

    async def backfill(self, ctx: Context, hole: Hole) -> Page:
        """Fetch trades that were missed; see bond_core.plugin.Backfills."""
        return await fetch(ctx, hole, self.config)

    async def run(self, ctx: Context) -> None:
        """Listen until cancelled.

        Raises:
            Fatal: The key is wrong, or its plan has no real-time data.
            Retryable: Massive can't be reached, hung up, or has no place for this connection.
        """
        await ctx.wanted.changed(frozenset())
        massive = await asyncio.to_thread(ctx.sdk, "massive")
        _hush()
        log = _Remembering()
        simulated = ctx.simulated_at
        host = simulated.partition("://")[2] if simulated else FEEDS[self.config.feed]
        try:
            client = massive.WebSocketClient(
                api_key=self.config.key.reveal(), feed=host, market="stocks", raw=True,
                max_reconnects=0, secure=simulated is None,
            )  # fmt: skip
        except massive.AuthError as error:
            raise wrong_key(str(error)) from error
        session = Session(ctx, client, "AM" if self.config.bars == "minute" else "A")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_connected(client, session.take, log.logger, host))
                tasks.create_task(session.follow(lambda: _unreachable(host, log.last)))
        except BaseExceptionGroup as errors:
            first = _first(errors)
            if isinstance(first, massive.AuthError):
                raise wrong_key(str(first)) from errors
            raise first from errors
        finally:
            await _close(client)


@attrs.define(eq=False)
class Session:
    """One connection: what was asked for on it, and what came.

    Attributes:
        client: The library's.
        bars: The topic of aggregates: `AM` or `A`.
        held: What is wanted.
        asked: Topics that were sent and not answered yet, in order.
    """

    ctx: Context
    client: Any
    bars: str
    held: frozenset[Subscription] = frozenset()
    asked: list[str] = attrs.field(factory=list)
    _unreadable: int = 0

    async def follow(self, why_not: Callable[[], Exception]) -> None:
        """Wait until the connection is through; then keep to what is wanted, for ever."""
        waited_s = 0.0
        while self.client.websocket is None or self.client.schedule_resub:
            if waited_s >= OPEN_S:
                raise why_not()
            await self.ctx.clock.sleep(0.05)
            waited_s += 0.05
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._probe())
            while True:
                wanted = await self.ctx.wanted.changed(self.held)
                added, removed = sorted(wanted - self.held), sorted(self.held - wanted)
                self.held = wanted
                topics = [self._topic(s) for s in removed]
                if topics:
                    self.asked = [topic for topic in self.asked if topic not in topics]
                    await self._send("unsubscribe", topics)
                topics = [self._topic(s) for s in added]
                if topics:
                    self.asked += topics
                    await self._send("subscribe", topics)

    async def take(self, frame: str | bytes) -> None:
        """Take what came: called by the library."""
        try:
            found = m.read(frame, self._reject)
        except _UNREADABLE as error:
            self._unreadable += 1
            what = type(error).__name__
            self.ctx.reject(f"a message could not be read ({what})")
            if self._unreadable == MAX_UNREADABLE:
                raise Retryable(f"{MAX_UNREADABLE} messages in a row could not be read") from error
            return
        self._unreadable = 0
        heard: dict[str, list[Event]] = {}
        for message in found:
            if isinstance(message, m.Status):
                self._status(message)
                continue
            try:
                channel, event = self._event(message)
            except _UNREADABLE:
                self._reject()
                continue
            if event is not None:
                heard.setdefault(channel, []).append(event)
        for channel, events in heard.items():
            self.ctx.emit(channel, events)

    def _event(self, message: m.Message) -> tuple[str, Event | None]:
        if isinstance(message, m.TradeMessage):
            if not REOPENING.isdisjoint(message.c):
                detail = f"{message.sym} is traded again after a halt"
                at_ns = message.t * 1_000_000
                self.ctx.tell("trades", message.sym, code="resumed", detail=detail, at_ns=at_ns)
            return "trades", m.trade_of(message)
        if isinstance(message, m.QuoteMessage):
            return "quotes", m.quote_of(message)
        assert isinstance(message, m.MinuteMessage)  # noqa: S101 -- all that is left
        return "bars", m.candle_of(message)

    def _status(self, message: m.Status) -> None:
        said = message.message
        error = error_of(message.status, said)
        if error is not None:
            raise error
        topics = [f"{kind}.{symbol}" for kind, symbol in _TOPIC.findall(said)]
        if message.status in FINE:
            for topic in topics if "unsubscribed" not in said else ():
                self._confirmed(topic)
        else:
            self._refused(topics, said or message.status)

    def _confirmed(self, topic: str) -> None:
        kind, _, symbol = topic.partition(".")
        if topic in self.asked:
            self.asked.remove(topic)
        self.ctx.live(_CHANNELS[kind], symbol)
        if self._is_quiet():
            self.ctx.heartbeat(_CHANNELS[kind])

    def _refused(self, topics: Sequence[str], said: str) -> None:
        """Fail what was refused: what is named, else what of one kind was asked for first.

        A plan has a kind or has it not, so that one answer is about all of its symbols.
        """
        if not topics and self.asked:
            kind = self.asked[0].partition(".")[0]
            topics = [topic for topic in self.asked if topic.startswith(f"{kind}.")]
        elif not topics:
            self.ctx.log.warning("polygon: %s", said)
        for topic in topics:
            kind, _, symbol = topic.partition(".")
            if topic in self.asked:
                self.asked.remove(topic)
            self.ctx.failed(_CHANNELS[kind], symbol, why_refused(said, _CHANNELS[kind]))

    async def _probe(self) -> None:
        while True:
            await self.ctx.clock.sleep(PROBE_S)
            if self.held and self._is_quiet():
                await self._send("subscribe", [self._topic(min(self.held))])

    def _is_quiet(self) -> bool:
        """Whether silence means nothing now, so that an answer has to show that it lives."""
        return not is_us_session(self.ctx.clock.now_ns())

    def _topic(self, subscription: Subscription) -> str:
        kind = {"trades": "T", "quotes": "Q", "bars": self.bars}[subscription.channel]
        return f"{kind}.{subscription.symbol}"

    async def _send(self, action: str, topics: Sequence[str]) -> None:
        message = json.dumps({"action": action, "params": ",".join(topics)})
        try:
            await self.client.websocket.send(message)
        except Exception as error:
            if _is_of_websockets(error):
                raise Retryable("Polygon closed the connection") from error
            raise

    def _reject(self) -> None:
        self.ctx.reject("a message has not the form it should")


async def _connected(
    client: Any, take: Callable[[str | bytes], Awaitable[None]], log: logging.Logger, host: str
) -> None:
    """Run the library until it ends; it ends by raising only."""
    try:
        await client.connect(
            take, close_timeout=0.3, compression=None, proxy=None, logger=log, open_timeout=OPEN_S
        )
    except _UNREADABLE as error:  # the library reads the first messages itself
        raise Retryable(f"{host} did not greet as it should: {type(error).__name__}") from error
    except Exception as error:
        if _is_of_websockets(error):
            raise Retryable(f"{host} closed the connection: {error}") from error
        raise
    raise Retryable(f"{host} closed the connection")


async def _close(client: Any) -> None:
    """Close what the library leaves open when it is cancelled, or raised at."""
    socket, client.websocket = client.websocket, None
    if socket is not None:
        try:
            await socket.close()
        finally:
            socket.transport.abort()


def _unreachable(host: str, why: str) -> Retryable:
    return Retryable(f"{host} can't be reached, or doesn't answer to the key{why and f': {why}'}")


def _is_of_websockets(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] == "websockets"


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what a group of errors began with."""
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _hush() -> None:
    """Keep the library from writing to standard output, where records may be written."""
    log = logging.getLogger("WebSocketClient")
    log.handlers.clear()
    log.setLevel(logging.CRITICAL)


class _Remembering(logging.Handler):
    """Remembers why connecting failed last: the library retries, and tells it to its log only."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""
        # Of its own, since two connections fail by themselves; no frames, since those hold keys.
        self.logger = logging.Logger("bond.polygon", logging.INFO)  # noqa: LOG001
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        if record.msg.startswith("connect failed") and isinstance(record.args, tuple):
            self.last = str(record.args[-1])
