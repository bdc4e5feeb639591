"""A log in Redis while Redis is killed, restarted, emptied, or forgets who listens.

A writer appends a record every few ms, and repeats what it got no answer for. A reader walks on
by a tail and a cursor, as every client of a server does.
"""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import ExitStack, asynccontextmanager, suppress

import pytest
from redis.asyncio import Connection, Redis
from redis.exceptions import NoScriptError

from bond_core.errors import LogUnavailableError
from bond_core.log.cursor import Cursor
from bond_core.log.event_log import Retention
from bond_core.log.offset import START, Offset
from bond_core.log.tail import Tail
from bond_server.redis_log.log import redis_log
from tests.log.servers import free_ports, redis_server

KEEP = Retention(seconds=10**6, windows=10**6)
_KEPT = ("--appendonly", "yes", "--appendfsync", "always")


class Journal:
    """A writer's and a reader's own word of what went in and came out."""

    def __init__(self):
        self.written = []
        self.got = []
        self.refused = 0
        self.holes = []

    def check(self):
        """Ids rise, nothing twice, nothing is missing, and same id same bytes."""
        assert self.got == self.written
        assert self.got == sorted(set(self.got))
        assert self.holes == []


async def write(log, journal, until):
    """Append until told to stop; whatever gets no answer is repeated."""
    n = 0
    while not until.is_set():
        n += 1
        item = (Offset(n, 0), b"record %d" % n)
        while True:
            try:
                await log.append("s", [item])
                break
            except LogUnavailableError:
                journal.refused += 1
                await asyncio.sleep(0.02)
        journal.written.append(item)
        await asyncio.sleep(0.003)


async def read(tail, journal, count):
    """Read until so many records have come."""
    cursor = Cursor(tail, START)
    while len(journal.got) < count():
        batch = await cursor.next()
        if batch.hole is not None:
            journal.holes.append(batch.hole)
        journal.got += [(e.offset, e.data) for e in batch.entries]
    cursor.close()


@asynccontextmanager
async def at_work(port):
    """Write over one connection and read over another, as two processes do."""
    url = f"redis://127.0.0.1:{port}/0"
    journal, over = Journal(), asyncio.Event()
    async with redis_log(url) as writing, redis_log(url) as reading:
        await writing.open_stream("s", KEEP)
        tail = Tail(reading, "s", KEEP)
        await tail.load()
        following = asyncio.create_task(tail.run())
        writer = asyncio.create_task(write(writing, journal, over))
        reader = asyncio.create_task(read(tail, journal, lambda: journal.goal))
        journal.goal = 10**9
        try:
            yield journal, tail
            over.set()
            await writer
            journal.goal = len(journal.written)
            async with asyncio.timeout(20):
                while len(journal.got) < journal.goal:  # noqa: ASYNC110 -- the reader has no event
                    await asyncio.sleep(0.02)
        finally:
            over.set()
            for task in (following, writer, reader):
                task.cancel()
            await asyncio.gather(following, writer, reader, return_exceptions=True)


async def written(journal, more):
    """Wait until so many more records have been written."""
    goal = len(journal.written) + more
    async with asyncio.timeout(20):
        while len(journal.written) < goal:  # noqa: ASYNC110 -- the writer has no event
            await asyncio.sleep(0.01)


def test_a_server_that_is_killed_and_comes_back(tmp_path):
    """
    While it is gone appends are refused, and repeated; with its file nothing that was answered
    is lost, and readers go on by themselves.
    """

    async def go():
        port = free_ports(1)[0]
        # The second server outlives the writer, who repeats until it is answered.
        with ExitStack() as servers:
            process, _ = servers.enter_context(redis_server(tmp_path, *_KEPT, port=port))
            async with at_work(port) as (journal, tail):
                await written(journal, 50)
                epoch = tail.epoch
                process.kill()
                await asyncio.to_thread(process.wait)
                async with asyncio.timeout(60):
                    while not journal.refused:  # noqa: ASYNC110 -- see above
                        await asyncio.sleep(0.01)
                servers.enter_context(redis_server(tmp_path, *_KEPT, port=port))
                await written(journal, 50)
            return journal, epoch, tail.epoch

    journal, before, after = asyncio.run(go())

    assert journal.refused
    assert before == after
    assert len(journal.written) >= 100
    journal.check()


def test_a_server_that_comes_back_empty(tmp_path):
    """The stream begins another life there: the epoch tells, ids go on rising."""

    async def go():
        port = free_ports(1)[0]
        with redis_server(tmp_path / "a", port=port) as (process, _):
            async with redis_log(f"redis://127.0.0.1:{port}/0") as log:
                await log.open_stream("s", KEEP)
                await log.append("s", [(Offset(5, 0), b"a")])
                first = await log.read("s", START)
                process.kill()
                await asyncio.to_thread(process.wait)
                with pytest.raises(LogUnavailableError):
                    await log.append("s", [(Offset(6, 0), b"b")])
                with redis_server(tmp_path / "b", port=port):
                    end = time.monotonic() + 10
                    while time.monotonic() < end:
                        with suppress(LogUnavailableError):
                            await log.append("s", [(Offset(6, 0), b"b")])
                            break
                    return first, await log.read("s", START)

    first, second = asyncio.run(go())

    assert first.epoch != second.epoch
    assert [(str(e.offset), e.data) for e in second.entries] == [("6-0", b"b")]


def test_listeners_that_are_cut_off_miss_nothing(redis_url):
    """Whoever tells of appends is cut off again and again: the reader repairs from the log."""

    async def go():
        port = int(redis_url.rsplit(":", 1)[1].split("/")[0])
        async with Redis.from_url(redis_url) as admin:
            await admin.flushall()
            async with at_work(port) as (journal, _):
                for _ in range(6):
                    await written(journal, 30)
                    await admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                await written(journal, 20)
            return journal

    journal = asyncio.run(go())

    journal.check()
    assert len(journal.written) >= 200


def test_a_connection_that_was_lost_meanwhile(redis_url):
    """The next append notices, and goes over a new one: its writer hears nothing of it."""

    async def go():
        async with redis_log(redis_url) as log, Redis.from_url(redis_url) as admin:
            await log.delete("cut")
            await log.open_stream("cut", KEEP)
            for n in range(1, 4):
                await log.append("cut", [(Offset(n, 0), b"x")])
                await admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            return await log.read("cut", START)

    assert [str(e.offset) for e in asyncio.run(go()).entries] == ["1-0", "2-0", "3-0"]


def test_a_server_that_forgot_the_scripts(redis_url):
    """They are handed over again, and the append that met it is done once."""

    async def go():
        async with redis_log(redis_url) as log, Redis.from_url(redis_url) as admin:
            await log.delete("forgetful")
            await log.open_stream("forgetful", KEEP)
            for n in range(1, 4):
                await admin.script_flush()
                await log.append("forgetful", [(Offset(n, 0), b"x")])
            await admin.script_flush()
            return await log.read("forgetful", START)

    assert [str(e.offset) for e in asyncio.run(go()).entries] == ["1-0", "2-0", "3-0"]


def test_scripts_that_were_forgotten_leave_nothing_to_be_looked_for(redis_url):
    """
    What the server says of them is let go at once: cycles are looked for too seldom.
    """

    def refusals():
        return sum(type(one) is NoScriptError for one in gc.get_objects())

    async def go():
        async with redis_log(redis_url) as log, Redis.from_url(redis_url) as admin:
            for _ in range(5):
                await admin.script_flush()
                await log.read("forgetful", START)
            return refusals()

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(go()) == refusals() == 0
    finally:
        gc.enable()


def breaking(monkeypatch):
    """Have connections break as soon as they are there, as many as are in the list returned."""
    connect, to_break = Connection._connect, []

    async def connect_and_break(self):
        await connect(self)
        if to_break:
            to_break.pop()
            self._writer.transport.abort()

    monkeypatch.setattr(Connection, "_connect", connect_and_break)
    return to_break


def test_connections_that_break_before_anything_was_written(monkeypatch, redis_url):
    """
    On uvloop that is no OSError; all who append, read and listen come back all the same.
    """
    uvloop = pytest.importorskip("uvloop")
    to_break = breaking(monkeypatch)

    async def run():
        async with (
            asyncio.timeout(30),
            Redis.from_url(redis_url) as admin,
            redis_log(redis_url) as log,
        ):
            await admin.ping()
            await log.open_stream("broken", KEEP)
            tail = Tail(log, "broken", KEEP)
            following = asyncio.create_task(tail.run())
            for n in range(1, 4):
                to_break.extend([True] * 3)
                await admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                while True:
                    try:
                        await log.append("broken", [(Offset(n, 0), b"x")])
                        break
                    except LogUnavailableError:
                        await asyncio.sleep(0.02)
                while tail.top != Offset(n, 0):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert len(to_break) < 9
            following.cancel()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def test_an_address_where_nothing_is():
    """It says where, and not the password."""

    async def go():
        async with redis_log(f"redis://:hunter2@127.0.0.1:{free_ports(1)[0]}/0"):
            pass

    with pytest.raises(LogUnavailableError, match=r"no Redis at 127\.0\.0\.1:\d+") as caught:
        asyncio.run(go())
    assert "hunter2" not in str(caught.value)
