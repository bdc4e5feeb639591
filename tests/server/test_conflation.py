"""Skipping to the newest window: only what is live, never what was asked to be replayed."""

from __future__ import annotations

import asyncio

import pytest

from bond_core.log.cursor import Cursor
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START, Offset
from bond_core.log.tail import Tail
from bond_server.delivery.counters import Delivered
from bond_server.delivery.session import COMPLETE, run_session


class Outlet:
    """A client that takes everything at once."""

    def __init__(self):
        self.sent = []

    async def send(self, entry):
        """See Outlet."""
        self.sent.append(str(entry.offset))

    async def tell_hole(self, hole):
        """See Outlet."""

    async def listen(self):
        """See Outlet."""
        await asyncio.Event().wait()


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
            await log.append("s", [(Offset(ms, n), b"{}") for n in range(2)])
        tail = Tail(log, "s", retention)
        await tail.load()
        tail.end()
        outlet, counts = Outlet(), Delivered()
        ending = await run_session(
            outlet, Cursor(tail, START), how_it_ended=lambda: COMPLETE, counters=counts,
            slow="conflate", live_from=live_from,
        )  # fmt: skip
        assert ending == COMPLETE
        assert outlet.sent == sent
        assert (counts.sent, counts.conflated) == (len(sent), conflated)

    asyncio.run(run())
