"""Readers of a stream: replay and live are one walk, without a gap, a repeat or a swap."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.clock import settle
from bond_core.log.cursor import Cursor, Hole, StreamEnded
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START, Offset
from bond_core.log.tail import Tail

ALL = Retention(seconds=10**6, windows=10**6)


class LossyLog(MemoryLog):
    """A log whose hints get lost when the test says so."""

    loses = False

    def follow(self, stream_id, take, over):
        def maybe(entries):
            if not self.loses:
                take(entries)

        return super().follow(stream_id, maybe, over)


class WatchedLog:
    """A log that loses as much, and can't push."""

    def __init__(self):
        self.log = LossyLog()

    def __getattr__(self, name):
        if name == "follow":
            raise AttributeError(name)
        return getattr(self.log, name)

    async def watch(self, stream_id):
        async for entries in self.log.watch(stream_id):
            if not self.log.loses:
                yield entries


@asynccontextmanager
async def following(log, retention=ALL):
    """Follow a stream with a tail, as a process does for all its readers."""
    await log.open_stream("s", ALL)
    tail = Tail(log, "s", retention)
    await tail.load()
    run = asyncio.create_task(tail.run())
    await settle()
    try:
        yield tail
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


async def append(log, ms, n=1):
    """Append a window of n records."""
    await log.append("s", [(Offset(ms, i), b"%d" % ms) for i in range(n)])


def ids(batch):
    """Return the ids of a batch's records."""
    return [str(entry.offset) for entry in batch.entries]


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 3)),
        st.tuples(st.just("lose"), st.booleans()),
        st.tuples(st.just("read"), st.integers(1, 4)),
        st.tuples(st.just("settle"), st.none()),
        st.tuples(st.just("leave"), st.none()),
    ),
    max_size=40,
)


@given(_steps)
def test_every_id_comes_once_and_in_order(steps):
    """
    However appends, lost hints, reads and leaving and coming back at the last id seen mix, a
    reader gets every id once, in order.
    """

    async def go():
        log, got, sent = LossyLog(), [], []
        async with following(log) as tail:
            cursor = Cursor(tail, START)
            for ms, (step, what) in enumerate(steps, start=1):
                if step == "append":
                    await append(log, ms, what)
                    sent.extend(f"{ms}-{i}" for i in range(what))
                elif step == "lose":
                    log.loses = what
                elif step == "read":
                    got += ids(cursor.ready(what))
                elif step == "settle":
                    await settle()
                else:
                    cursor.close()
                    cursor = Cursor(tail, cursor.position)
            log.loses = False
            await append(log, 1_000)
            sent.append("1000-0")
            while not got or got[-1] != sent[-1]:
                batch = await asyncio.wait_for(cursor.next(3), 5)
                assert batch.hole is None
                got += ids(batch)
        return got, sent

    got, sent = asyncio.run(go())

    assert got == sent


def test_a_reader_without_a_position_hears_what_is_new():
    """It stands at the top; another that names a position gets what came after it."""

    async def go():
        log = MemoryLog()
        async with following(log) as tail:
            await append(log, 1)
            await append(log, 2)
            await settle()
            new, old = Cursor(tail), Cursor(tail, Offset(1, 0))
            assert ids(new.ready()) == []
            await append(log, 3)
            return ids(await new.next()), ids(await old.next())

    assert asyncio.run(go()) == (["3-0"], ["2-0", "3-0"])


def test_a_reader_from_before_what_is_kept_is_told():
    """It starts at the oldest that is kept, and the hole before that is named once."""

    async def go():
        log = MemoryLog()
        async with following(log, Retention(seconds=0, windows=2)) as tail:
            for ms in range(1, 6):
                await append(log, ms)
            await settle()
            cursor = Cursor(tail, Offset(1, 0))
            return cursor.ready(1), cursor.ready(10)

    first, second = asyncio.run(go())

    assert (ids(first), ids(second)) == (["4-0"], ["5-0"])
    assert first.hole == Hole(after=Offset(1, 0), until=Offset(4, 0), reason="trimmed")
    assert second.hole is None


def test_a_reader_that_was_overtaken_is_told():
    """One that reads too slowly for what is kept learns what it missed."""

    async def go():
        log = MemoryLog()
        async with following(log, Retention(seconds=0, windows=2)) as tail:
            cursor = Cursor(tail, START)
            await append(log, 1)
            await settle()
            assert cursor.ready().hole is None
            for ms in range(2, 7):
                await append(log, ms)
            await settle()
            return cursor.ready()

    batch = asyncio.run(go())

    assert ids(batch) == ["5-0", "6-0"]
    assert batch.hole == Hole(after=Offset(1, 0), until=Offset(5, 0), reason="slow")


def test_what_the_log_itself_lost_is_a_hole_too():
    """
    A tail that missed hints for longer than the log keeps has a hole in its middle; a reader is
    told of it where it stands.
    """

    async def go():
        log = LossyLog()
        await log.open_stream("s", Retention(seconds=0, windows=2))
        async with following(log) as tail:
            await append(log, 1)
            await settle()
            log.loses = True
            for ms in range(2, 8):
                await append(log, ms)
            await settle()
            log.loses = False
            await append(log, 8)
            await settle()
            cursor = Cursor(tail, START)
            return cursor.ready(), cursor.ready()

    first, second = asyncio.run(go())

    assert (ids(first), first.hole) == (["1-0"], None)
    assert ids(second) == ["7-0", "8-0"]
    assert second.hole == Hole(after=Offset(1, 0), until=Offset(7, 0), reason="slow")


def test_readers_end_with_the_stream():
    """When it is deleted they get what is left, and then learn that it is over."""

    async def go():
        log = MemoryLog()
        async with following(log) as tail:
            closed = []
            reading, waiting = Cursor(tail, START), Cursor(tail, on_close=lambda: closed.append(1))
            waits = asyncio.create_task(waiting.next())
            await append(log, 1)
            assert ids(await waits) == ["1-0"]
            waits = asyncio.create_task(waiting.next())
            await settle()
            await log.delete("s")
            with pytest.raises(StreamEnded):
                await asyncio.wait_for(waits, 5)
            assert ids(await reading.next()) == ["1-0"]
            with pytest.raises(StreamEnded):
                await reading.next()
            assert tail.readers == 2
            waiting.close()
            waiting.close()
            return tail.readers, closed

    assert asyncio.run(go()) == (1, [1])
