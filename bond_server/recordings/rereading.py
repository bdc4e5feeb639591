"""Read a recording's messages again, and put what they give now in the place of what was told.

    messages ─▶ Reader (the connectors that are installed now) ─┐ as recorded: the recorded event
    what was told ───────────────────────────────────────────┴─▶ otherwise: what they give now

Compared is from tick to tick, source by source. Where the same comes of a message as then, the
recorded event is played, with the time at which it was heard to the nanosecond: then the records
are those of the run. What does not come of a message (states, gaps, what was fetched, the clock)
is played as it was recorded, and so are sources whose messages are not kept.
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from math import inf
from typing import Any

import attrs

from bond_core.clock import NS, ManualClock
from bond_core.runtime.binding import BoundSource, BoundStream
from bond_core.runtime.tape.reader import Fresh, Reader
from bond_core.runtime.tape.told import Call
from bond_server.recordings.alike import Alike
from bond_server.recordings.differences import Differences
from bond_server.recordings.header import RecordingError
from bond_server.recordings.recording import Block, Recording

_OF_MESSAGES = ("on_events", "on_duplicates", "on_rejected", "on_clamped")
_ENDS = ("on_tick", "finish")
_NOTICES = ("rejected", "wrong_unit", "clamped")

_Position = int


@attrs.define
class _Part:
    """What was told of one source's messages between two ticks.

    Attributes:
        until_ns: Messages that were received by then belong to it.
        is_heard: Whether the stream listens to the source.
        told: Where its calls stand.
        left_ns: When the stream let go of the source; None if it didn't.
    """

    source: BoundSource
    until_ns: float
    is_heard: bool
    told: list[_Position] = attrs.field(factory=list)
    left_ns: int | None = None


class Rereading:
    """Reads one recording's messages again, once.

    Args:
        recording: Which one.
        bound: Its stream.

    Attributes:
        differences: What is not as it was recorded.
    """

    def __init__(self, recording: Recording, bound: BoundStream) -> None:
        self.differences = Differences()
        self._recording = recording
        self._clock = ManualClock(recording.header.started_ns)
        self._sources = {source.plan.name: source for source in bound.all_sources()}
        self._heard = {source.plan.name for source in bound.sources}  # who doesn't stand by
        self._readers = _readers(self._sources.values(), self._clock)
        self._by_source = {
            source.plan.name: reader
            for reader in self._readers.values()
            for source in reader.sources
        }
        self._connections: dict[int, Reader] = {}
        self._said: deque[Mapping[str, Any]] = deque()
        self._alike = {name: Alike() for name in self._sources}
        self._told: Counter[str] = Counter()  # events, by source

    @property
    def messages(self) -> int:
        """How many messages were read."""
        return sum(reader.messages for reader in self._readers.values())

    def left_out(self) -> dict[str, str]:
        """Return the sources whose events are as recorded, though there are some, and why."""
        found = {}
        for name in self._sources:
            reader = self._by_source.get(name)
            if reader is not None and name in reader.left_out:
                found[name] = reader.left_out[name]
            elif self._told[name] and (reader is None or not reader.is_begun):
                found[name] = "none of its messages is kept"
        return found

    def said(self) -> list[str]:
        """Return in some lines how what the messages give compares with what was told then."""
        if not self._recording.header.has_frames:
            return ["no messages are kept in it (--no-frames): its events were played as recorded"]
        lines = [f"{self.messages:,} messages read again: {self.differences.said()}"]
        lines += [f"  {line}" for line in self.differences.shown]
        if left_out := self.left_out():
            why = "; ".join(f"{name}: {reason}" for name, reason in sorted(left_out.items()))
            lines.append(f"played as recorded, not read again: {why}")
        return lines

    async def calls(self) -> AsyncGenerator[tuple[Sequence[Call], Block]]:
        """Yield for each block what an engine is told now, and the block.

        Raises:
            RecordingError: What is in the file makes no sense.
        """
        async with asyncio.TaskGroup() as self._tasks:
            try:
                pending: list[Call] = []
                block = None
                for block in self._recording.blocks():
                    self._said += block.said
                    calls: list[Call] = []
                    for call in block.calls:
                        pending.append(call)
                        if call[0] == "on_tick":
                            calls += await self._between_ticks(pending, call[1][0])
                            pending = []
                    yield calls, block
                if pending and block is not None:
                    # When the stream let go of its sources isn't said: what came behind the last
                    # event that was told may have come too late to be.
                    yield await self._between_ticks(pending, 0.0), attrs.evolve(block, events=0)
            finally:
                for reader in self._readers.values():
                    reader.end()

    async def _between_ticks(self, calls: list[Call], tick_ns: float) -> list[Call]:
        """Return calls, the last of which is a tick, as they are now."""
        parts = self._parts(calls, tick_ns)
        await self._hear(max((part.until_ns for part in parts.values()), default=0.0))
        placed: list[Fresh] = []
        gone: set[_Position] = set()
        for name, part in parts.items():
            reader = self._by_source[name]
            if not reader.is_begun or name in reader.left_out:
                reader.fresh[name].clear()
                continue
            told = [calls[at] for at in part.told]
            now = await self._other_than(told, part, reader.fresh[name])
            if now is not None:
                self.differences.add(part.source, told, [each.call for each in now])
                gone.update(part.told)
                placed += now
        self._take_in(calls)
        return _replaced(calls, gone, placed) if gone or placed else calls

    def _parts(self, calls: Iterable[Call], tick_ns: float) -> dict[str, _Part]:
        """Sort out what was told of each source's messages."""
        parts = {
            source.plan.name: _Part(source, tick_ns - 1, is_heard=source.plan.name in self._heard)
            for reader in self._readers.values()
            for source in reader.sources
        }
        for at, (what, args) in enumerate(calls):
            part = parts.get(_source_of(what, args) or "")
            if part is not None:
                part.told.append(at)
            if what == "on_events":
                self._told[args[0]] += len(args[1])
                if part is not None and args[1]:  # a tick may come late, behind what came after it
                    part.until_ns = max(part.until_ns, args[1][-1].recv_ts)
            elif what == "remove_source" and args[0] in parts:
                parts[args[0]].left_ns = args[1]
        return parts

    async def _other_than(
        self, told: Sequence[Call], part: _Part, fresh: deque[Fresh]
    ) -> list[Fresh] | None:
        """Take away what messages gave by now; return it if it is not what was told, else None."""
        if not part.is_heard or part.left_ns is not None:
            heard = [each for each in fresh if part.is_heard and each.at_ns < (part.left_ns or 0)]
            fresh.clear()
            fresh.extend(heard)
        while len(fresh) < len(told) and await self._hear_next(part.until_ns + NS):
            pass  # what is told of a message without an event doesn't say when it came
        due = sum(each.at_ns <= part.until_ns for each in fresh)
        is_same = self._alike[part.source.plan.name].is_same
        if due <= len(told) <= len(fresh) and all(
            is_same(fresh[n].call, call) for n, call in enumerate(told)
        ):
            for what, args in told:
                fresh.popleft()
                self.differences.compared += len(args[1]) if what == "on_events" else 0
            return None
        return [fresh.popleft() for _ in range(due)]

    def _take_in(self, calls: Iterable[Call]) -> None:
        """Learn which sources are listened to, and what was fetched for them."""
        for what, args in calls:
            if what not in ("add_source", "remove_source", "on_fetched"):
                continue
            name = args[0].name if what == "add_source" else args[0]
            reader, source = self._by_source.get(name), self._sources.get(name)
            if what == "add_source":
                self._heard.add(name)
            elif what == "remove_source":
                self._heard.discard(name)
            if reader is None or source is None:
                continue
            if what == "on_fetched":
                reader.fetched(source, args[1])
            elif what == "remove_source":
                reader.renew(source)

    async def _hear(self, until_ns: float) -> None:
        """Have all messages read that were received by then."""
        while await self._hear_next(until_ns):
            pass

    async def _hear_next(self, until_ns: float) -> bool:
        """Have the next message read, if it was received by then; whether it was."""
        if not self._said:
            return False
        try:
            ((what, row),) = self._said[0].items()
            if row[1] > until_ns:
                return False
            self._said.popleft()
            if not self._clock.reach(row[1]):
                await self._clock.advance_to(row[1])
            await self._hear_one(what, row)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            detail = f"what venues said makes no sense in {self._recording.name} ({error!r})"
            raise RecordingError(detail) from error
        return True

    async def _hear_one(self, what: str, row: Sequence[Any]) -> None:
        number = row[0]
        if what == "opened":
            reader = self._reader_of(*row[2:])
            if reader is not None:
                self._connections[number] = reader
                await reader.opened(number, row[3], self._tasks)
            return
        reader = self._connections.get(number)
        if reader is None:
            return
        if what == "closed":
            del self._connections[number]
            await reader.closed(number)
        else:
            await reader.hear(number, row[2] if what == "frame" else base64.b64decode(row[2]))

    def _reader_of(self, connector: str, _: str, origin: str | None = None) -> Reader | None:
        """Return whose connection it is; earlier recordings don't say of which origin."""
        if origin is not None:
            return self._readers.get(origin)
        found = [each for each in self._readers.values() if each.spec.name == connector]
        return found[0] if len(found) == 1 else None


def _readers(sources: Iterable[BoundSource], clock: ManualClock) -> dict[str, Reader]:
    """Return a reader for each origin, by its name; none where two have the same one."""
    by_origin: dict[Any, list[BoundSource]] = {}
    for source in sources:
        by_origin.setdefault(source.origin, []).append(source)
    names = Counter(origin.name for origin in by_origin)
    return {
        origin.name: Reader(origin, its, clock)
        for origin, its in by_origin.items()
        if names[origin.name] == 1
    }


def _source_of(what: str, args: Sequence[Any]) -> str | None:
    """Return whose message a call came of; None if it came of none."""
    if what in _OF_MESSAGES:
        return str(args[0])
    if what == "notify" and args[0].code in _NOTICES:
        return args[0].source  # type: ignore[no-any-return]  # a Notice's
    return None


def _replaced(calls: Sequence[Call], gone: set[_Position], placed: Sequence[Fresh]) -> list[Call]:
    """Return calls without some, and others in the order of their receipt between them."""
    waiting = deque(sorted(placed, key=lambda each: each.at_ns))
    found: list[Call] = []
    for at, call in enumerate(calls):
        what, args = call
        is_event = what == "on_events" and args[1]
        passed_ns = args[1][-1].recv_ts if is_event else inf if what in _ENDS else 0
        while waiting and waiting[0].at_ns < passed_ns:
            found.append(waiting.popleft().call)
        if at not in gone:
            found.append(call)
    return [*found, *(fresh.call for fresh in waiting)]
