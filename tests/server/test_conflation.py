"""Skipping to the newest window: only what is live, never what was asked to be replayed."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from bond_core.clock import SystemClock, settle
from bond_core.log.cursor import Cursor
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START, Offset
from bond_core.log.tail import Tail
from bond_server.delivery.channel import Channel
from bond_server.delivery.client import Client
from bond_server.delivery.counters import Delivered
from bond_server.delivery.endings import COMPLETE
from bond_server.delivery.hub import Hub
from bond_server.delivery.line import MESSAGES
from bond_server.delivery.speech import PLAIN
from bond_server.delivery.start import Start


class Line:
    """A connection that is full at first, and then takes everything at once."""

    form = MESSAGES
    is_full = True
    listener = None

    def __init__(self):
        self.sent = []

    def write(self, messages):
        """See DirectLine."""
        self.sent += [json.loads(message["text"])["id"] for message in messages]


@pytest.mark.parametrize(
    ("live_from", "sent", "conflated"),
    [
        (START, ["4-0", "4-1"], 6),
        (Offset(2, 1), ["1-0", "1-1", "2-0", "2-1", "4-0", "4-1"], 2),
        (Offset(4, 1), ["1-0", "1-1", "2-0", "2-1", "3-0", "3-1", "4-0", "4-1"], 0),
    ],
    ids=["all of it live", "the first two windows asked for", "all of it asked for"],
)
def test_what_was_asked_for_comes_also_where_live_records_stand_behind_it(
    live_from, sent, conflated
):
    """
    Records that came while the client was accepted take nothing from its replay.
    """

    async def run():
        log, retention = MemoryLog(), Retention()
        await log.open_stream("s", retention)
        for ms in range(1, 5):
            items = [(Offset(ms, n), b'{"id":"%d-%d"}' % (ms, n)) for n in range(2)]
            await log.append("s", items)
        tail = Tail(log, "s", retention)
        await tail.load()
        tail.end()
        stream = SimpleNamespace(
            stream_id="s", tail=tail, is_complete=True, wrote=lambda _: None,
            failure=None,
        )  # fmt: skip
        counts, line = Delivered(), Line()
        start = Start(after=START, replay="full", oldest=Offset(1, 0), top=live_from, epoch="e")
        client = Client(
            line=line, speech=PLAIN, cursor=Cursor(tail, START), start=start, slow="conflate",
            channel=Channel(Hub(SystemClock()), stream, counts),
        )  # fmt: skip
        client.begin()
        client.on_full()
        line.is_full = False
        client.on_room()
        await settle()
        assert client.ending == COMPLETE
        assert line.sent == sent
        assert (counts.sent, counts.conflated) == (len(sent), conflated)

    asyncio.run(run())
