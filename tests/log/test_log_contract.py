"""What every event log promises, on each of the engines, against real servers."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bond_core.errors import FencedError, LogError
from bond_core.log.event_log import Entry, Retention
from bond_core.log.offset import LAST_N, START, Offset
from bond_core.log.ring import Ring

ALL = Retention(seconds=10**6, windows=10**6)
_names = itertools.count()


def new_name():
    """Return a stream nobody has used: servers outlive a test."""
    return f"stream-{next(_names)}"


class LogModel(RuleBasedStateMachine):
    """Appends, repeated and fenced ones too, against what should be there after them."""

    appends = Bundle("appends")
    opened = None

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.run = self.runner.run  # one event loop for all steps
        self.log = self.run(self.open())
        self.name = new_name()
        self.items = []
        self.fence = 0
        self.run(self.log.open_stream(self.name, ALL))

    async def open(self):
        """Open the log in a task that holds it until the machine is torn down."""
        log, self.over = asyncio.get_running_loop().create_future(), asyncio.Event()

        async def hold():
            async with self.opened() as opened:
                log.set_result(opened)
                await self.over.wait()

        self.holding = asyncio.create_task(hold())
        done, _ = await asyncio.wait([log, self.holding], return_when=asyncio.FIRST_COMPLETED)
        return log.result() if log in done else self.holding.result()

    async def close(self):
        self.over.set()
        await self.holding

    def teardown(self):
        self.run(self.close())
        self.runner.close()

    def append(self, items, fence):
        self.run(self.log.append(self.name, items, fence=fence))

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
        page = self.run(self.log.read(self.name, Offset(ms, n), limit))

        expected = [item for item in self.items if item[0] > Offset(ms, n)][:limit]
        assert [(e.offset, e.data) for e in page.entries] == expected

    @rule()
    def many_at_once(self):
        """Appends of one turn of the loop, to this stream and others, each do what they say."""
        ms = (self.items[-1][0].ms if self.items else 0) + 1
        other, item = new_name(), (Offset(ms, 0), b"\r\n{\xc3\xa9}")

        async def go():
            await self.log.open_stream(other, ALL)
            return await asyncio.gather(
                self.log.append(self.name, [item], fence=self.fence),
                self.log.append(other, [item]),
                self.log.append(new_name(), [item]),
                return_exceptions=True,
            )

        here, there, nowhere = self.run(go())
        self.items.append(item)
        assert (here, there) == (None, None)
        assert isinstance(nowhere, LogError)
        assert self.run(self.log.read(other, START)).entries == (Entry(item[0], START, item[1]),)

    @invariant()
    def prev_is_a_chain(self):
        """Each entry names the one before it, from the start to the top."""
        page = self.run(self.log.read(self.name, START, 10_000))

        offsets = [entry.offset for entry in page.entries]
        assert [entry.prev for entry in page.entries] == [START, *offsets[:-1]][: len(offsets)]
        assert page.top == (offsets[-1] if offsets else START)
        assert page.oldest == (offsets[0] if offsets else None)
        assert self.run(self.log.open_stream(self.name, ALL)) == page.top


def test_a_model_of_the_log(opened):
    """The log, driven at random, beside a list that never forgets."""

    class Model(LogModel):
        pass

    Model.opened = staticmethod(opened)
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=25, stateful_step_count=20, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def run(opened, go):
    """Run `go(log)` with a log."""

    async def whole():
        async with opened() as log, asyncio.timeout(30):
            return await go(log)

    return asyncio.run(whole())


def test_a_watcher_gets_each_append_whole(opened):
    """One append is one batch, in order, and the watch ends when the stream is deleted."""
    name = new_name()

    async def go(log):
        seen, watching = [], asyncio.Event()
        await log.open_stream(name, ALL)

        async def watch():
            async with aclosing(log.watch(name)) as appended:
                async for entries in appended:
                    if not entries:
                        watching.set()
                    else:
                        seen.append([(str(e.prev), str(e.offset), e.data) for e in entries])

        task = asyncio.create_task(watch())
        async with asyncio.timeout(5):
            await watching.wait()
        await log.append(name, [(Offset(1, 0), b"a"), (Offset(1, 1), b"")])
        await log.append(name, [(Offset(1, 1), b"")])
        await log.append(name, [(Offset(1, 1), b""), (Offset(2, 0), b"c\n:")])
        await log.delete(name)
        await task
        return seen

    assert run(opened, go) == [
        [("0-0", "1-0", b"a"), ("1-0", "1-1", b"")],
        [("1-1", "2-0", b"c\n:")],
    ]


def test_streams_do_not_mix(opened):
    """What one stream keeps or forgets is nothing to another."""
    a, b = new_name(), new_name()

    async def go(log):
        for name in (a, b):
            await log.open_stream(name, ALL)
            await log.append(name, [(Offset(1, 0), name.encode())])
        await log.delete(a)
        await log.delete(a)
        return await log.read(a, START), await log.read(b, START)

    gone, kept = run(opened, go)

    assert (gone.entries, gone.top) == ((), START)
    assert [entry.data for entry in kept.entries] == [b.encode()]


def test_more_at_once_than_one_write_takes(opened):
    """Appends of one turn that are too many for one write, or too large, are all there."""
    sizes = (1, 700, 0, 700, 1, 1700, 0)
    names = [new_name() for _ in sizes]

    async def go(log):
        for name in names:
            await log.open_stream(name, ALL)
        items = [[(Offset(1, n), b"%d" % n) for n in range(size)] for size in sizes]
        await asyncio.gather(*map(log.append, names, items))
        pages = [await log.read(name, START, 10_000) for name in names]
        return items, [[(e.offset, e.data) for e in page.entries] for page in pages]

    appended, there = run(opened, go)

    assert there == appended


def test_a_deleted_stream_takes_nothing(opened):
    """Appending to it says so, and so does appending to one that never was."""
    name = new_name()

    async def go(log):
        await log.open_stream(name, ALL)
        await log.delete(name)
        with pytest.raises(LogError, match="isn't open"):
            await log.append(name, [(Offset(1, 0), b"")])
        with pytest.raises(LogError, match="isn't open"):
            await log.append(new_name(), [(Offset(1, 0), b"")])

    run(opened, go)


def test_a_stream_made_anew_has_another_epoch(opened):
    """Offsets of its earlier life mean nothing, and a reader can tell."""
    name = new_name()

    async def go(log):
        await log.open_stream(name, ALL)
        first = (await log.read(name, START)).epoch
        await log.open_stream(name, ALL)
        same = (await log.read(name, START)).epoch
        await log.delete(name)
        await log.open_stream(name, ALL)
        return first, same, (await log.read(name, START)).epoch

    first, same, other = run(opened, go)

    assert first
    assert first == same
    assert first != other


@pytest.mark.parametrize(
    "keep",
    [
        Retention(seconds=2, windows=3, max_bytes=10**6),
        Retention(seconds=0, windows=1, max_bytes=10**6),
        Retention(seconds=100, windows=2, max_bytes=50),
        Retention(seconds=0, windows=5, max_bytes=0),
    ],
)
def test_what_is_kept(opened, keep):
    """Windows leave whole: by age or number, whichever keeps more, and by size."""
    name = new_name()

    async def go(log):
        await log.open_stream(name, keep)
        ring, prev = Ring(keep), START
        for ms in (1_000, 1_500, 2_000, 3_500, 3_501, 9_000, 9_000, 9_100):
            first = prev.n + 1 if prev.ms == ms else 0
            items = [(Offset(ms, first + n), b"y" * (7 + n)) for n in range(2)]
            await log.append(name, items)
            entries = []
            for offset, data in items:
                entries.append(Entry(offset, prev, data))
                prev = offset
            ring.extend(entries)
            page = await log.read(name, START, 1_000)
            assert page.entries == ring.after(START, 1_000)
            assert page.oldest == ring.oldest.offset

    run(opened, go)


def test_two_who_write_at_once(opened):
    """
    Two owners that append the same windows, each not knowing of the other, leave every record
    once; the one with the lower fence is told as soon as the other has written.
    """
    name = new_name()

    async def go(log):
        await log.open_stream(name, ALL)
        windows = [[(Offset(ms, n), b"%d" % ms) for n in range(2)] for ms in range(1, 30)]
        fenced = asyncio.Event()

        async def old():
            for window in windows:
                try:
                    await log.append(name, window, fence=1)
                except FencedError:
                    fenced.set()
                    return
                await asyncio.sleep(0)

        async def new():
            for window in windows:
                await log.append(name, window, fence=2)

        await asyncio.gather(old(), new())
        page = await log.read(name, START)
        return fenced.is_set(), [e.offset for e in page.entries], [o for w in windows for o, _ in w]

    was_fenced, there, expected = run(opened, go)

    assert was_fenced
    assert there == expected


def test_what_a_writer_says_is_lost_is_a_hole(opened):
    """The next entry's `prev` shows it, with entries or before them, once and repeated."""
    name = new_name()

    async def go():
        async with opened() as log:
            await log.open_stream(name, ALL)
            await log.append(name, [(Offset(1, 0), b"a")])
            for _ in range(2):
                await log.append(
                    name, [(Offset(5, 0), b"b")], lost_until=Offset(3, LAST_N), fence=1
                )
            await log.append(name, [], lost_until=Offset(7, LAST_N), fence=1)
            await log.append(name, [(Offset(9, 0), b"c")], lost_until=Offset(2, LAST_N), fence=1)
            return await log.read(name, START)

    page = asyncio.run(go())

    assert page.entries == (
        Entry(Offset(1, 0), START, b"a"),
        Entry(Offset(5, 0), Offset(3, LAST_N), b"b"),
        Entry(Offset(9, 0), Offset(7, LAST_N), b"c"),
    )
    assert page.top == Offset(9, 0)
