"""Between what a client reads for itself and what is written to all: each record once."""

from __future__ import annotations

import asyncio
import gc
import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.clock import SystemClock, settle
from bond_core.log.cursor import Cursor
from bond_core.log.event_log import Entry, Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START, Offset
from bond_core.log.tail import Tail
from bond_server.delivery.channel import Channel
from bond_server.delivery.client import Client
from bond_server.delivery.counters import Delivered
from bond_server.delivery.hub import Hub
from bond_server.delivery.line import MESSAGES
from bond_server.delivery.speech import PLAIN
from bond_server.delivery.start import Start


class Line:
    """A connection that takes everything, until it is told to be full."""

    form = MESSAGES

    def __init__(self):
        self.is_full = False
        self.listener = None
        self.sent = []

    def write(self, messages):
        """See DirectLine."""
        self.sent += [json.loads(message["text"])["id"] for message in messages]

    def pause(self):
        """See DirectLine."""
        self.is_full = True
        self.listener.on_full()

    def resume(self):
        """See DirectLine; a transport also says so of one that was never paused."""
        self.is_full = False
        self.listener.on_room()


class Stream:
    """A log with a tail, and clients of it."""

    def __init__(self, retention=Retention()):  # noqa: B008 -- frozen
        self.log = MemoryLog()
        self.retention = retention
        self.tail = Tail(self.log, "s", retention)
        stream = SimpleNamespace(stream_id="s", tail=self.tail, wrote=lambda _: None)
        self.channel = Channel(Hub(SystemClock()), stream, Delivered())
        self.count = 0

    async def __aenter__(self):
        await self.log.open_stream("s", self.retention)
        await self.tail.load()
        self._following = asyncio.create_task(self.tail.run())
        await settle()
        return self

    async def __aexit__(self, *exc):
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)

    async def append(self):
        """Append a record, of which the tail hears at once."""
        self.count += 1
        record = b'{"id":"%d-0"}' % self.count
        await self.log.append("s", [(Offset(self.count, 0), record)])
        assert self.tail.top == Offset(self.count, 0)

    def comes(self):
        """Return the line of a client that wants everything."""
        line = Line()
        start = Start(after=START, replay="full", oldest=None, top=self.tail.top, epoch="e")
        self.channel.clients += 1
        Client(
            line=line, speech=PLAIN, cursor=Cursor(self.tail, START), start=start,
            channel=self.channel,
        ).begin()  # fmt: skip
        return line

    @property
    def all(self):
        """The ids of all records."""
        return [f"{n}-0" for n in range(1, self.count + 1)]


@pytest.mark.parametrize("others", [0, 1])
def test_a_connection_that_has_room_again_just_as_a_record_comes(others):
    """
    Behind its handshake a line says so, though it never was full: its record comes once.
    """

    async def run():
        async with Stream() as stream:
            lines = [stream.comes() for _ in range(others)]
            await settle()
            lines.append(stream.comes())
            await stream.append()
            lines[-1].resume()
            await settle()
            await stream.append()
            await settle()
            assert [line.sent for line in lines] == [stream.all] * len(lines)

    asyncio.run(run())


@given(st.lists(st.sampled_from(["append", "comes", "pause", "resume", "turn"]), max_size=40))
def test_whatever_happens_each_record_comes_once(steps):
    """
    Clients come, lines fill and empty and the loop turns in any order: all get all, in order.
    """

    async def run():
        async with Stream() as stream:
            lines = [stream.comes()]
            for i, step in enumerate(steps):
                line = lines[i % len(lines)]
                if step == "append":
                    await stream.append()
                elif step == "comes":
                    lines.append(stream.comes())
                elif step == "pause" and not line.is_full:
                    line.pause()
                elif step == "resume":
                    line.resume()
                elif step == "turn":
                    await asyncio.sleep(0)
            for line in lines:
                line.resume()
            await settle()
            assert [line.sent for line in lines] == [stream.all] * len(lines)

    asyncio.run(run())


def test_what_was_written_to_many_is_kept_no_longer_than_for_one():
    """
    Records are framed once for all who get them; with the ring's last one of a record, all of
    it is gone, also for who began to read later.
    """
    kept = 10

    async def run():
        async with Stream(Retention(seconds=kept / 1000, windows=kept)) as stream:
            others = sum(type(one) is Entry for one in gc.get_objects())
            lines = [stream.comes() for _ in range(2)]
            for _ in range(20 * kept):
                await stream.append()
                await settle()
            lines.append(stream.comes())
            await settle()
            for _ in range(2 * kept):
                await stream.append()
                await settle()
            gc.collect()
            entries = sum(type(one) is Entry for one in gc.get_objects())
            assert entries - others <= stream.tail.entries + 1
            assert [line.sent for line in lines[:2]] == [stream.all] * 2

    asyncio.run(run())
