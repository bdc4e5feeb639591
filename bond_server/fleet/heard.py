"""The streams that have listeners in this process: what they read, wherever the streams run.

Each has one tail on the shared log, which starts with the first listener and lingers for a
while after the last one, so that whoever reconnects finds it warm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from weakref import WeakValueDictionary

from bond_core.clock import NS, Clock
from bond_core.errors import LogUnavailableError
from bond_core.log.cursor import Cursor
from bond_core.log.event_log import EventLog, Retention
from bond_core.log.offset import Offset
from bond_core.log.tail import Tail
from bond_server.fleet.shared import Kept
from bond_server.redis_log.stopping import stopped
from bond_server.registry.row import Row
from bond_server.streams import KnownStream

LINGER_S = 30.0
_AGAIN_S = 0.5

_log = logging.getLogger("bond.fleet")


class Heard:
    """See above.

    Args:
        log: The shared log.
        retention: How much of it a tail keeps.
        clock: The only clock.
        tasks: What the tails' tasks run in.
    """

    def __init__(
        self, log: EventLog, retention: Retention, clock: Clock, tasks: asyncio.TaskGroup
    ) -> None:
        self._log = log
        self._retention = retention
        self._clock = clock
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()
        self._known: WeakValueDictionary[str, KnownStream] = WeakValueDictionary()
        self._streams: dict[str, _Listening] = {}

    def known(self, row: Row, report: dict[str, Any]) -> KnownStream:
        """Return a stream as it is now; the same object as long as somebody has it."""
        stream = self._known.get(row.stream_id)
        if stream is None or stream.row.created_ns != row.created_ns:
            stream = self._known[row.stream_id] = KnownStream(row, self._tail(row.stream_id))
        stream.row, stream.report = row, report
        return stream

    async def listen(self, stream: KnownStream, after: Offset | None) -> Cursor:
        """Stand somewhere in a stream's log; see Service.listen."""
        listening = self._streams.get(stream.stream_id)
        if self._known.get(stream.stream_id) is not stream:
            raise KeyError(stream.stream_id)  # made again meanwhile, as another one
        if listening is None:
            listening = self._streams[stream.stream_id] = _Listening(stream, self._clock)
        stream.readers += 1
        stream.idle_since_ns = None
        try:
            await listening.begin(self._begin)
        except BaseException:
            self._left(stream)
            raise
        return Cursor(stream.tail, after, on_close=lambda: self._left(stream))

    def changed(self, rows: Mapping[str, Kept | None], *, are_all: bool) -> list[str]:
        """Take in what changed of the streams that have listeners; return which seem gone.

        They may have been made only after `rows` was true: whoever calls this looks again.
        """
        doubtful = []
        for stream_id, listening in self._streams.items():
            if not are_all and stream_id not in rows:
                continue
            if not self._take_in(listening, rows.get(stream_id)):
                doubtful.append(stream_id)
        return doubtful

    def looked_again(self, stream_id: str, kept: Kept | None) -> None:
        """Take in how a stream is that seemed gone."""
        listening = self._streams.get(stream_id)
        if listening is not None and not self._take_in(listening, kept):
            self._end(listening)
            self._known.pop(stream_id, None)

    def _take_in(self, listening: _Listening, kept: Kept | None) -> bool:
        if kept is None or kept.row.created_ns != listening.stream.row.created_ns:
            return False
        listening.stream.row = kept.row
        if kept.row.is_complete:
            self._begin(listening.complete())
        return True

    def sweep(self) -> None:
        """Let go of tails that nobody has read for a while."""
        before_ns = self._clock.now_ns() - round(LINGER_S * NS)
        for stream_id, listening in tuple(self._streams.items()):
            since_ns = listening.stream.idle_since_ns
            if since_ns is not None and since_ns < before_ns:
                self._end(listening)
                listening.stream.tail = self._tail(stream_id)

    def heard(self) -> list[str]:
        """Return the streams that have listeners now and would go without any."""
        return [
            stream_id
            for stream_id, listening in self._streams.items()
            if listening.stream.readers
            and (listening.stream.row.is_ephemeral or listening.stream.is_complete)
        ]

    def tails(self) -> list[Tail]:
        """Return the tails that are here."""
        return [listening.stream.tail for listening in self._streams.values()]

    async def end(self) -> None:
        """End all tails, and return when nothing runs any more."""
        for listening in tuple(self._streams.values()):
            self._end(listening)
        await stopped(*self._running)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _end(self, listening: _Listening) -> None:
        listening.end()
        del self._streams[listening.stream.stream_id]

    def _tail(self, stream_id: str) -> Tail:
        return Tail(self._log, stream_id, self._retention)

    def _left(self, stream: KnownStream) -> None:
        stream.readers -= 1
        if stream.readers == 0:
            stream.idle_since_ns = self._clock.now_ns()


class _Listening:
    """A stream whose tail runs, or is about to."""

    def __init__(self, stream: KnownStream, clock: Clock) -> None:
        self.stream = stream
        self._clock = clock
        self._beginning = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def begin(self, run: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        """Have the tail read what there is and follow what comes, if it doesn't yet."""
        async with self._beginning:
            if self._task is not None or self.stream.tail.has_ended:
                return
            await self.stream.tail.load()
            if self.stream.is_complete:
                self.stream.tail.end()
            else:
                self._task = run(self._follow())

    async def complete(self) -> None:
        """Read to the end, and end."""
        async with self._beginning:
            while not self.stream.tail.has_ended:
                try:
                    await self.stream.tail.load()
                    self.end()
                except LogUnavailableError:
                    await self._clock.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        try:
            await self.stream.tail.run()
        except Exception as error:  # noqa: BLE001 -- a bug for one stream must not end it for all
            _log.exception("following stream %s failed", self.stream.stream_id)
            self.stream.report = {"state": "failed", "failure": f"{type(error).__name__}: {error}"}
            self.stream.tail.end()

    def end(self) -> None:
        """Follow no more, and let every reader know."""
        if self._task is not None:
            self._task.cancel()
        self.stream.tail.end()
