"""The log in memory, driven at random beside a list that never forgets."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from bond_core.errors import FencedError, LogError
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START, Offset

ALL = Retention(seconds=10**6, windows=10**6)


class MemoryLogModel(RuleBasedStateMachine):
    """Appends, repeated and fenced ones too, against what should be there after them."""

    appends = Bundle("appends")

    def __init__(self):
        super().__init__()
        self.log = MemoryLog()
        self.items = []
        self.fence = 0
        self.run = asyncio.Runner().run  # one event loop for all steps
        self.run(self.log.open_stream("s", ALL))

    def teardown(self):
        self.run.__self__.close()

    def append(self, items, fence):
        self.run(self.log.append("s", items, fence=fence))

    @rule(
        target=appends,
        step=st.integers(1, 3),
        sizes=st.lists(st.integers(0, 9), max_size=3),
        fence=st.integers(0, 3),
    )
    def append_a_window(self, step, sizes, fence):
        """One that is new enters whole, unless somebody else owns the stream."""
        ms = (self.items[-1][0].ms if self.items else 0) + step
        items = [(Offset(ms, n), b"x" * size) for n, size in enumerate(sizes)]
        if fence < self.fence:
            with pytest.raises(FencedError):
                self.append(items, fence)
        else:
            self.append(items, fence)
            self.fence = fence
            self.items += items
        return items

    @rule(items=appends)
    def append_again(self, items):
        """What is there already, wholly or in part, is left out."""
        top = self.items[-1][0] if self.items else START
        self.append(items, self.fence)
        self.items += [item for item in items if item[0] > top]

    @rule(ms=st.integers(0, 60), n=st.integers(0, 3), limit=st.integers(1, 5))
    def read_after(self, ms, n, limit):
        """A read gives what comes after a position, in order."""
        page = self.run(self.log.read("s", Offset(ms, n), limit))

        expected = [item for item in self.items if item[0] > Offset(ms, n)][:limit]
        assert [(e.offset, e.data) for e in page.entries] == expected

    @invariant()
    def prev_is_a_chain(self):
        """Each entry names the one before it, from the start to the top."""
        page = self.run(self.log.read("s", START, 10_000))

        offsets = [entry.offset for entry in page.entries]
        assert [entry.prev for entry in page.entries] == [START, *offsets[:-1]][: len(offsets)]
        assert page.top == (offsets[-1] if offsets else START)
        assert page.oldest == (offsets[0] if offsets else None)
        assert self.run(self.log.open_stream("s", ALL)) == page.top


TestMemoryLog = MemoryLogModel.TestCase


def test_a_watcher_gets_each_append_whole():
    """One append is one hint, and the watch ends when the stream is deleted."""

    async def go():
        log, seen = MemoryLog(), []
        await log.open_stream("s", ALL)

        async def watch():
            async with aclosing(log.watch("s")) as appended:
                seen.extend([[str(e.offset) for e in entries] async for entries in appended])

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        await log.append("s", [(Offset(1, 0), b"a"), (Offset(1, 1), b"b")])
        await log.append("s", [(Offset(1, 1), b"b")])
        await log.append("s", [(Offset(2, 0), b"c")])
        await log.delete("s")
        await asyncio.wait_for(watching, 5)
        return seen

    assert asyncio.run(go()) == [["1-0", "1-1"], ["2-0"]]


def test_streams_do_not_mix():
    """What one stream keeps or forgets is nothing to another."""

    async def go():
        log = MemoryLog()
        for name in ("a", "b"):
            await log.open_stream(name, ALL)
            await log.append(name, [(Offset(1, 0), name.encode())])
        await log.delete("a")
        await log.delete("a")
        return await log.read("a", START), await log.read("b", START)

    gone, kept = asyncio.run(go())

    assert (gone.entries, gone.top) == ((), START)
    assert [entry.data for entry in kept.entries] == [b"b"]


def test_appending_to_what_is_not_open_says_so():
    """A stream that was deleted takes nothing any more."""

    async def go():
        log = MemoryLog()
        await log.open_stream("s", ALL)
        await log.delete("s")
        await log.append("s", [(Offset(1, 0), b"")])

    with pytest.raises(LogError, match="isn't open"):
        asyncio.run(go())


def test_each_life_of_the_log_has_its_own_epoch():
    """Offsets of an earlier process mean nothing here, and a reader can tell."""

    async def epoch():
        return (await MemoryLog().read("s", START)).epoch

    assert asyncio.run(epoch()) != asyncio.run(epoch())
