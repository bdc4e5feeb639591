"""Streams that are created, deleted and completed at the same moment."""

from __future__ import annotations

import asyncio
import json

from bond_core.clock import NS, ManualClock, settle
from bond_core.errors import LogUnavailableError
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START
from bond_core.runtime.binding import Defaults
from bond_server.local import EPHEMERAL_S, Bond

NOW_NS = 1_700_000_000 * NS
SENTENCE = {"natural_language": "BTC price every 1s"}


class SlowLog(MemoryLog):
    """A log that lies a network away: every answer takes a few turns of the event loop."""

    def __init__(self):
        super().__init__()
        self.is_away = False

    async def open_stream(self, stream_id, retention):
        """See EventLog."""
        await _a_while()
        return await super().open_stream(stream_id, retention)

    async def append(self, stream_id, items, *, fence=0, lost_until=START):
        """See EventLog."""
        await _a_while()
        if self.is_away:
            raise LogUnavailableError("the log can't be reached")
        await super().append(stream_id, items, fence=fence, lost_until=lost_until)

    async def delete(self, stream_id):
        """See EventLog."""
        await _a_while()
        await super().delete(stream_id)


async def _a_while():
    for _ in range(5):
        await asyncio.sleep(0)


def _with_a_slow_log(story):
    async def run():
        clock, log = ManualClock(NOW_NS), SlowLog()
        async with Bond(clock=clock, log=log, defaults=Defaults(simulate=True), seed=1) as bond:
            async with asyncio.timeout(30):
                await story(clock, log, bond)

    asyncio.run(run())


def _asking_for(bond, sentence="BTC price every 1s", **more):
    return bond.create(bond.compile({"natural_language": sentence, **more}))


async def _has_records(clock, bond, stream):
    cursor = bond.cursor(stream.stream_id, START)
    await clock.advance(6)
    batch = cursor.ready()
    cursor.close()
    return [json.loads(entry.data)["symbol"] for entry in batch.entries]


def test_created_again_while_it_is_deleted_it_has_a_log_of_its_own():
    """
    The new stream of the same id is not deleted with the old one's records.
    """

    async def story(clock, _, bond):
        stream, _ = await _asking_for(bond)
        deleting = asyncio.create_task(bond.delete(stream.stream_id))
        await asyncio.sleep(0)
        again, is_new = await _asking_for(bond)
        assert await deleting
        assert is_new
        assert bond.find(again.stream_id) is again
        assert await _has_records(clock, bond, again)
        assert again.state() != "failed"

    _with_a_slow_log(story)


def test_of_two_deletions_one_finds_it():
    """
    The other is told that there is no such stream; a reader learns that it is over.
    """

    async def story(_, __, bond):
        stream, _ = await _asking_for(bond)
        found = await asyncio.gather(*(bond.delete(stream.stream_id) for _ in range(2)))
        assert sorted(found) == [False, True]
        assert stream.tail.has_ended

    _with_a_slow_log(story)


def test_deleted_while_it_completes_it_harms_no_other():
    """
    Two streams end in the same second, one is deleted meanwhile: the rest goes on.
    """

    async def story(clock, _, bond):
        ending = [(await _asking_for(bond, f"{asset} price every 1s", duration_sec=10))[0]
                  for asset in ("BTC", "ETH")]  # fmt: skip
        staying, _ = await _asking_for(bond, "SOL price every 1s")
        advancing = asyncio.create_task(clock.advance(11))
        for _ in range(100_000):
            if any(stream.is_complete for stream in ending):
                break
            await asyncio.sleep(0)
        await asyncio.gather(*(bond.delete(stream.stream_id) for stream in ending))
        await advancing
        assert await _has_records(clock, bond, staying)

    _with_a_slow_log(story)


def test_a_log_that_is_away_at_the_end_ends_that_stream_only():
    """
    What could not be published is told as the stream's failure; its readers don't wait for ever.
    """

    async def story(clock, log, bond):
        ending, _ = await _asking_for(bond, duration_sec=10)
        staying, _ = await _asking_for(bond, "ETH price every 1s")
        await clock.advance(9.5)
        log.is_away = True
        await clock.advance(2)
        log.is_away = False
        assert ending.tail.has_ended
        assert "can't be reached" in ending.pipeline.failure
        assert await _has_records(clock, bond, staying)

    _with_a_slow_log(story)


def test_asked_for_again_an_ephemeral_stream_waits_for_its_client():
    """
    Whoever asks for it has as long to come as the first had.
    """

    async def story(clock, _, bond):
        stream, _ = await _asking_for(bond, ephemeral=True)
        await clock.advance(EPHEMERAL_S - 2)
        again, is_new = await _asking_for(bond, ephemeral=True)
        assert (again, is_new) == (stream, False)
        await clock.advance(5)
        assert bond.find(stream.stream_id) is stream
        await clock.advance(EPHEMERAL_S)
        await settle()
        assert bond.find(stream.stream_id) is None

    _with_a_slow_log(story)


def test_a_creation_that_is_cancelled_at_any_point_leaves_nothing_behind():
    """
    Whoever asked may hang up at any moment: the stream runs, or nothing listens for it.
    """

    async def story(clock, _, bond):
        for turns in range(40):
            creating = asyncio.create_task(_asking_for(bond))
            for _ in range(turns):
                await asyncio.sleep(0)
            creating.cancel()
            await asyncio.gather(creating, return_exceptions=True)
            listeners = [
                listener
                for supervisor in bond.feeds.supervisors()
                for feed in supervisor.feeds.values()
                for listener in feed.listeners
            ]
            streams = bond.streams("local")
            assert bool(listeners) == bool(streams)
            for stream in streams:
                await bond.delete(stream.stream_id)
        stream, is_new = await _asking_for(bond)
        assert is_new
        assert await _has_records(clock, bond, stream)

    _with_a_slow_log(story)
