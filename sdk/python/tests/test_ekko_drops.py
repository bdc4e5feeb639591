from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from ekko import (
    APIConnectionError,
    Backoff,
    ResumePolicy,
    UnexpectedAnswerError,
)
from ekko.drops import Again, Dropped, Tries, after_drop
from ekko.resume import Subscription, Ticket

HALF = Backoff(random=lambda: 0.0)  # the shortest pauses: half of the longest


def test_a_frame_that_is_no_record_is_an_error():
    """Something else than a Bond server is told apart, not retried for ever."""
    dial = scripted_dial(["<html>"])

    with pytest.raises(UnexpectedAnswerError, match="<html>"):
        asyncio.run(read_all(dial))


def test_a_server_that_was_never_there_is_an_error_soon(kit):
    """The first connection gets four attempts; nobody waits in silence for a wrong address."""
    dial = scripted_dial(*[[Dropped("connection refused")]] * 9, refuse=True)
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    with pytest.raises(APIConnectionError, match="connection refused"):
        asyncio.run(read_all(dial, ResumePolicy(backoff=HALF, sleep=sleep)))

    assert waits == [0.5, 1.0, 2.0]


def test_a_server_that_was_there_is_sought_until_it_is_back():
    """After a first connection the client keeps trying, with pauses up to 30 s."""
    dial = scripted_dial(['{"id": "1-0"}'], *[[]] * 20, ['{"id": "2-0"}'], [Dropped("", code=1000)])
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    ids = asyncio.run(read_all(dial, ResumePolicy(backoff=HALF, sleep=sleep)))

    assert ids == ["1-0", "2-0"]
    assert waits[:6] == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0]
    assert max(waits) == 15.0
    assert waits[21:] == [0.5]  # after a record the pauses start anew


def test_silence_is_death_but_a_ping_is_life():
    """A connection on which nothing at all is heard is given up; one that pings is not."""
    hears = [0.0, 0.0, 0.0, 99.0]  # seconds of quiet, each time somebody asks

    class Quiet:
        headers: ClassVar = {}

        async def receive(self):
            await asyncio.Event().wait()

        def quiet_s(self):
            return hears.pop(0)

    @asynccontextmanager
    async def dial(url):
        if not hears:
            raise Dropped("", code=1000)
        yield Quiet()

    policy = ResumePolicy(silence_s=0.01, backoff=HALF, sleep=no_sleep)

    assert asyncio.run(read_all(dial, policy)) == []
    assert hears == []


@pytest.mark.parametrize(
    ("drop", "tries", "then"),
    [
        (Dropped("complete", code=1000), Tries(), None),
        (Dropped("token_expired", code=1008), Tries(), Again(0.0, renew=True)),
        (Dropped("token_expired", code=1008), Tries(drops=2, refusals=2), Again(1.0, renew=True)),
        (Dropped("token_expired", code=1008), Tries(drops=3, refusals=3), None),
        (Dropped("bad_from", code=1008), Tries(), None),
        (Dropped("", code=1009), Tries(), None),
        (Dropped("internal", code=1011), Tries(connected=True), Again(0.5)),
        (Dropped("restart", code=1012), Tries(drops=9, connected=True), Again(0.0)),
        (Dropped("unavailable", code=1013), Tries(drops=2, connected=True), Again(2.0)),
        (Dropped("slow", code=4008), Tries(connected=True), Again(0.0)),
        (Dropped("slow", code=4008), Tries(drops=1, connected=True), Again(1.0)),
        (Dropped("stream_deleted", code=4404), Tries(connected=True), None),
        (Dropped("connections", code=4429), Tries(drops=99, connected=True), Again(15.0)),
        (Dropped("reset"), Tries(drops=3), None),
        (Dropped("reset"), Tries(drops=3, connected=True), Again(4.0)),
        (Dropped("", status=403), Tries(), Again(0.0, renew=True)),
        (Dropped("", status=404), Tries(connected=True), None),
        (Dropped("", status=429, retry_after_s=7.0), Tries(), Again(7.0)),
        (Dropped("", status=503), Tries(drops=1), Again(1.0)),
    ],
    ids=lambda value: str(value) if isinstance(value, Dropped) else None,
)
def test_what_follows_a_drop(drop, tries, then):
    """Each way for a connection to end has one answer."""
    assert after_drop(drop, tries, ResumePolicy(backoff=HALF)) == then


def test_a_restarting_server_is_not_stormed():
    """After 1012 clients come back spread over five seconds."""
    policy = ResumePolicy(backoff=Backoff(random=lambda: 0.9))

    assert after_drop(Dropped("restart", code=1012), Tries(), policy) == Again(4.5)


async def no_sleep(seconds):
    """Let no time pass."""


async def read_all(dial, policy=None):
    """The ids that a subscription yields over these connections."""

    async def renew():
        return Ticket("ws://there/ws/s", "fresh")

    subscription = Subscription(
        stream_id="s",
        dial=dial,
        renew=renew,
        ticket=Ticket("ws://there/ws/s", "token"),
        policy=policy or ResumePolicy(sleep=no_sleep),
    )
    return [record["id"] async for record in subscription.records()]


def scripted_dial(*connections, refuse=False):
    """A dial whose connections bring these frames, then break off."""
    script = list(connections)

    @asynccontextmanager
    async def dial(url):
        frames = list(script.pop(0))
        if refuse:
            raise frames[0]

        class Scripted:
            headers: ClassVar = {}

            async def receive(self):
                if not frames:
                    raise Dropped("broke off")
                frame = frames.pop(0)
                if isinstance(frame, Dropped):
                    raise frame
                return frame

            def quiet_s(self):
                return 0.0

        yield Scripted()

    return dial
