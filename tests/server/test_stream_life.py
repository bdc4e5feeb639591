"""How long a stream lives: until deleted, its time is over, or nobody reads it any more."""

from __future__ import annotations

import asyncio
import json

from bond_core.clock import NS, ManualClock, settle
from bond_core.log.cursor import StreamEnded
from bond_core.log.offset import START
from bond_core.runtime.binding import Defaults
from bond_server.local import EPHEMERAL_S, Bond

NOW_S = 1_700_000_000
SENTENCE = {"natural_language": "BTC price every 1s"}


def _on_a_clock(story, **request):
    async def run():
        clock = ManualClock(NOW_S * NS)
        async with Bond(clock=clock, defaults=Defaults(simulate=True), seed=1) as bond:
            stream, _ = await bond.create(bond.compile({**SENTENCE, **request}))
            await story(clock, bond, stream)

    asyncio.run(run())


async def _rest_of(cursor):
    records = []
    try:
        while True:
            async with asyncio.timeout(10):
                records += [json.loads(e.data) for e in (await cursor.next()).entries]
    except StreamEnded:
        return records


def test_a_duration_ends_it_with_what_is_open():
    """
    After its time a stream publishes its open window as partial, and its readers end.
    """

    async def story(clock, bond, stream):
        cursor = bond.cursor(stream.stream_id, START)
        await clock.advance(10.5)
        assert stream.state() == "complete"
        records = await _rest_of(cursor)
        assert records[-1]["partial"] is True
        assert records[-1]["window_end"] >= "2023-11-14T22:13:30Z"
        await clock.advance(5)
        assert bond.cursor(stream.stream_id, START).ready().entries[-1].data
        cursor.close()

    _on_a_clock(story, duration_sec=10)


def test_it_lasts_as_long_as_the_most_lasting_request_says():
    """
    The same stream asked for without an end has none.
    """

    async def story(clock, bond, stream):
        again, is_new = await bond.create(bond.compile(SENTENCE))
        assert (again, is_new) == (stream, False)
        await clock.advance(12)
        assert stream.state() != "complete"

    _on_a_clock(story, duration_sec=10)


def test_asked_for_again_after_its_end_it_starts_anew():
    """
    A stream that is complete makes room for a new one of the same id.
    """

    async def story(clock, bond, stream):
        await clock.advance(11)
        again, is_new = await bond.create(bond.compile(SENTENCE))
        assert is_new
        assert again.stream_id == stream.stream_id
        assert again.state() == "starting"

    _on_a_clock(story, duration_sec=10)


def test_an_ephemeral_stream_goes_a_minute_after_its_last_reader():
    """
    While somebody reads it stays; then it has 60 s, and a new reader stops the count.
    """

    async def story(clock, bond, stream):
        cursor = bond.cursor(stream.stream_id)
        await clock.advance(EPHEMERAL_S + 10)
        assert bond.find(stream.stream_id) is stream
        cursor.close()
        await clock.advance(EPHEMERAL_S - 5)
        second = bond.cursor(stream.stream_id)
        await clock.advance(10)
        assert bond.find(stream.stream_id) is stream
        second.close()
        await clock.advance(EPHEMERAL_S + 2)
        await settle()
        assert bond.find(stream.stream_id) is None

    _on_a_clock(story, ephemeral=True)


def test_a_stream_that_was_asked_to_stay_stays():
    """
    Not ephemeral, it lives without readers until it is deleted.
    """

    async def story(clock, bond, stream):
        await clock.advance(EPHEMERAL_S * 3)
        assert bond.find(stream.stream_id) is stream
        assert await bond.delete(stream.stream_id)
        assert not await bond.delete(stream.stream_id)

    _on_a_clock(story)
