"""Read recorded messages again: a connector hears what was said then, when it was said.

    messages ─▶ the connector's `run`, or `reread` ─▶ Feed ─▶ what an engine would be told

The connector is the one that is installed now, and so are the checks of what it makes of a
message. It reaches nothing: what it sends goes nowhere, and it is answered what was answered then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from operator import attrgetter
from typing import Any

import attrs

from bond_core.clock import ManualClock
from bond_core.errors import Fatal, Retryable
from bond_core.model.event import Event
from bond_core.model.record import Notice, Repaired, Status
from bond_core.plugin.connector import Message
from bond_core.plugin.context import Subscription
from bond_core.plugin.factories import load_class, load_name
from bond_core.runtime.binding import BoundSource
from bond_core.runtime.contained import cause_of, contained
from bond_core.runtime.feed import Feed
from bond_core.runtime.feeds import Origin
from bond_core.runtime.source_ear import clamping, refusal
from bond_core.runtime.tape.mail import Mail, Socket, messages_of
from bond_core.runtime.tape.told import Call
from bond_core.runtime.wanted import Wanted

STARTS_WITHIN_S = 60.0
"""How long a connector may take until it asks for the first message. Real seconds."""

_LOOKS_EVERY_S = 0.005
_MOST_TURNS = 200
"""So many turns of the event loop a message takes at most, where no thread has a part in it."""

_THREADS_WITHIN_S = 2.0
"""So long is waited for a thread; it isn't any more once that was in vain. Real seconds."""

_CONNECTING_TURNS = 50
_ASKS = "it asks over HTTP before it listens"


@attrs.frozen
class Fresh:
    """What a message gives now.

    Attributes:
        at_ns: When the message was received.
        call: What an engine would be told.
    """

    at_ns: int
    call: Call


class Reader:
    """Runs one connector on recorded messages. It is the connector's Context.

    Args:
        origin: The connector, and its settings.
        sources: The stream's sources that hear it.
        clock: Shows when the message that is being read was received.

    Attributes:
        fresh: By source, what messages gave and nobody has taken yet, in order.
        left_out: By source, why its messages can't be read again.
        is_begun: Whether it runs, or ran.
        messages: How many were read.
    """

    def __init__(self, origin: Origin, sources: Sequence[BoundSource], clock: ManualClock) -> None:
        self.spec = origin.spec
        self.clock = clock
        self.log = logging.getLogger(f"bond.connector.{origin.spec.name}")
        self.wanted = Wanted()
        self.simulated_at: str | None = None
        self.sources = sources
        self.fresh: dict[str, deque[Fresh]] = {each.plan.name: deque() for each in sources}
        self.left_out: dict[str, str] = {}
        self.is_begun = False
        self.messages = 0
        self._config = origin.config
        self._feeds: dict[Subscription, Feed] = {}
        self._ears = {each.plan.name: _Ear(each, self) for each in sources}
        self._refused: set[Subscription] = set()
        self._connections: dict[int, tuple[str, Mail[str | bytes]]] = {}
        self._unopened: deque[Mail[str | bytes]] = deque()
        self._connected = asyncio.Event()
        self._happened = 0
        self._works_in_threads = True
        self._all: Mail[Message] | None = None  # of a connector that reads them by `reread`
        for source in sources:
            self.renew(source)

    # What plays the recording does with it

    def renew(self, source: BoundSource) -> None:
        """Hear a source as if for the first time: nothing that comes was heard before."""
        for symbol in source.asks:
            key = Subscription(source.channel.name, symbol)
            feed = self._feeds[key] = Feed(key, source.channel, at_ns=self.clock.now_ns())
            feed.listeners[self._ears[source.plan.name]] = None
            self.wanted.add(key)

    def fetched(self, source: BoundSource, events: Sequence[Event]) -> None:
        """Learn what was fetched for a hole: it was heard before, if it comes again."""
        for symbol, run in groupby(sorted(events, key=_symbol), key=_symbol):
            feed = self._feeds.get(Subscription(source.channel.name, symbol))
            if feed is not None:
                feed.news_of(list(run), self.clock.now_ns())

    async def opened(self, number: int, url: str, tasks: asyncio.TaskGroup) -> None:
        """Let it connect; the first time it is started, by one of `tasks`."""
        self._happened += 1
        mail: Mail[str | bytes] = Mail()
        self._connections[number] = url, mail
        self._unopened.append(mail)
        self._connected.set()
        if not self.is_begun:
            self.is_begun = True
            self._running = tasks.create_task(self._run(), name=f"read {self.spec.name} again")
            await _until(lambda: self._has_begun(mail), within_s=STARTS_WITHIN_S)
        else:
            for _ in range(_CONNECTING_TURNS):
                await asyncio.sleep(0)

    async def hear(self, number: int, data: str | bytes) -> None:
        """Let it read a message; return when it has."""
        self.messages += 1
        self._happened += 1
        url, mail = self._connections[number]
        if self._all is not None:
            self._all.put(Message(number, url, data))
            await self._read(self._all)
            return
        mail.put(data)
        if mail.is_held:
            await self._read(mail)

    async def closed(self, number: int) -> None:
        """Let a connection end."""
        self._happened += 1
        _, mail = self._connections.pop(number)
        mail.close()
        if mail.is_held:
            await self._read(mail)

    def end(self) -> None:
        """Stop it."""
        if self.is_begun:
            self._running.cancel()

    def _has_begun(self, mail: Mail[str | bytes]) -> bool:
        awaits = mail if self._all is None else self._all
        return awaits.is_awaited or self._running.done()

    async def _read(self, mail: Mail[Any]) -> None:
        """Return when all is read; or when it waits for what a recording can't bring: the clock."""
        within_s = _THREADS_WITHIN_S if self._works_in_threads else 0.0
        self._works_in_threads &= await _until(lambda: self._has_read(mail), within_s=within_s)

    def _has_read(self, mail: Mail[Any]) -> bool:
        return mail.is_awaited or not mail.is_held or self._running.done()

    async def _run(self) -> None:
        try:
            await self._keep_running(load_class(self.spec.factory)(config=self._config))
            why = "its connector came to an end"
        except Exception as raised:  # noqa: BLE001 -- a plugin's code may raise anything
            error = cause_of(raised)
            why = getattr(error, "detail", None) or f"{type(error).__name__}: {error}"
        for source in self.sources:
            self.left_out.setdefault(source.plan.name, why)

    async def _keep_running(self, connector: Any) -> None:
        """Run the connector, again after each end that a pause would help, without the pause."""
        if hasattr(connector, "reread"):
            self._all = Mail(is_held=True)
            await connector.reread(self, messages_of(self._all))
            return None
        while True:
            before = self._happened
            try:
                return await contained(connector, self)
            except Exception as raised:
                may_pass = isinstance(cause_of(raised), (Retryable, OSError, TimeoutError))
                if not may_pass or before == self._happened:  # nothing else would come of it
                    raise

    # The connector's Context

    def emit(self, channel: str, events: Iterable[Event]) -> None:
        """See Context."""
        for symbol, run in groupby(events, key=_symbol):
            feed = self._feeds.get(Subscription(channel, symbol))
            if feed is not None:
                feed.hear(list(run), self.clock.now_ns())

    def reject(self, why: str, *, n: int = 1) -> None:
        """See Context."""
        for ear in self._ears.values():
            ear.on_rejected("", n, why)

    def failed(self, channel: str, symbol: str, reason: str) -> None:
        """See Context: a source that has nothing else is left out."""
        self._refused.add(Subscription(channel, symbol))
        for source in self.sources:
            mine = {Subscription(source.channel.name, ask) for ask in source.asks}
            if mine <= self._refused:
                self.left_out.setdefault(source.plan.name, reason)

    def live(self, channel: str, symbol: str | None = None) -> None:
        """See Context: states are as recorded."""

    def heartbeat(self, channel: str, ts: int | None = None) -> None:
        """See Context: as recorded."""

    def gap(
        self, channel: str, symbol: str | None, *, from_ns: int, to_ns: int, detail: str
    ) -> None:
        """See Context: as recorded."""

    def tell(
        self, channel: str, symbol: str | None, *, code: str, detail: str,
        at_ns: int | None = None,
    ) -> None:  # fmt: skip
        """See Context: as recorded."""

    def cursor(self, channel: str, symbol: str) -> str | None:
        """See Context."""
        feed = self._feeds.get(Subscription(channel, symbol))
        return feed.last_id if feed else None

    def noting(self, url: str) -> None:
        """See Context: nobody records."""

    def sdk(self, name: str) -> Any:
        """See Context."""
        return load_name(name)

    async def get_json(self, url: str, **asked: Any) -> Any:
        """See Context: there is nobody to ask."""
        raise Fatal(_ASKS)

    async def get_text(self, url: str, **asked: Any) -> str:
        """See Context: as above."""
        raise Fatal(_ASKS)

    async def post_json(self, url: str, value: Any, **asked: Any) -> Any:
        """See Context: as above."""
        raise Fatal(_ASKS)

    @asynccontextmanager
    async def ws(self, url: str, **asked: Any) -> AsyncIterator[Socket]:
        """See Context: the next connection of the recording, or the one that is still open."""
        while not self._unopened:
            self._connected.clear()
            await self._connected.wait()
        mail = self._unopened.popleft()
        mail.is_held = True
        try:
            yield Socket(mail)
        finally:
            mail.is_held = False
            if not mail.is_closed:  # here it ended earlier: there is more to read
                self._unopened.appendleft(mail)


@attrs.define(eq=False)
class _Ear:
    """Notes what one source's engine would be told of messages. See Listener."""

    _source: BoundSource
    _reader: Reader

    def _told(self, what: str, *args: Any) -> None:
        name = self._source.plan.name
        self._reader.fresh[name].append(Fresh(self._reader.clock.now_ns(), (what, args)))

    def on_events(self, symbol: str, events: Sequence[Event]) -> None:
        """See Listener."""
        self._told("on_events", self._source.plan.name, events)

    def on_duplicates(self, symbol: str, n: int) -> None:
        """See Listener."""
        self._told("on_duplicates", self._source.plan.name, symbol, n)

    def on_rejected(self, symbol: str, n: int, why: str) -> None:
        """See Listener."""
        name = self._source.plan.name
        of = None if not symbol and symbol not in self._source.asks else symbol
        refused = refusal(name, symbol, n, why)
        self._told("on_rejected", name, of, n, refused.code)
        self._told("notify", refused, of)

    def on_clamped(self, symbol: str, n: int) -> None:
        """See Listener."""
        name = self._source.plan.name
        self._told("on_clamped", name, symbol, n)
        self._told("notify", clamping(name, symbol, n), symbol)

    def on_status(self, symbol: str, status: Status, at_ns: int, reason: str | None) -> None:
        """See Listener: as recorded, as is all that follows."""

    def on_heartbeat(self, ts: int) -> None:
        """See Listener."""

    def on_gap(self, symbol: str, notice: Notice) -> None:
        """See Listener."""

    def on_notice(self, symbol: str, notice: Notice) -> None:
        """See Listener."""

    def on_repaired(self, symbol: str, events: Sequence[Event], repaired: Repaired) -> None:
        """See Listener."""


async def _until(is_so: Callable[[], bool], *, within_s: float) -> bool:
    """Let others run until it is so; whether it is: soon, or within so many real seconds."""
    for _ in range(_MOST_TURNS):
        if is_so():
            return True
        await asyncio.sleep(0)
    began = time.monotonic()
    while time.monotonic() - began < within_s:
        if is_so():
            return True
        await asyncio.sleep(_LOOKS_EVERY_S)
    return False


_symbol = attrgetter("symbol")
