"""What a reader in this process can't be given any more is told to it."""

from __future__ import annotations

import asyncio
import types
from contextlib import asynccontextmanager

from bond_core.log.cursor import Cursor
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import LAST_N, START, Offset
from bond_core.log.tail import Tail
from bond_server import heard, local
from ekko import Gap, listen
from ekko.bars import StreamManagerConfig
from ekko.bars.hearing import hear_here


@asynccontextmanager
async def with_a_hole(*_, **__):
    """Give the records of a stream of which the second was lost."""
    log = MemoryLog()
    await log.open_stream("s", Retention())
    await log.append("s", [(Offset(1000, 0), b'{"id":"1000-0","stream_id":"s"}')])
    lost_until = Offset(2000, LAST_N)
    record = b'{"id":"3000-0","stream_id":"s"}'
    await log.append("s", [(Offset(3000, 0), record)], lost_until=lost_until)
    tail = Tail(log, "s", Retention())
    await tail.load()
    tail.end()
    yield local.records_of(Cursor(tail, START))


def test_listening_in_this_process_yields_a_gap(monkeypatch):
    """
    As from a server: before the record that follows it.
    """
    monkeypatch.setattr(local, "stream", with_a_hole)

    async def main():
        return [event async for event in listen("BTC price", local=True)]

    first, gap, second = asyncio.run(main())

    assert isinstance(gap, Gap)
    assert (first.id, gap.after, gap.before, second.id) == ("1000-0", "1000-0", "3000-0", "3000-0")
    assert gap.reason == "takeover"
    assert not isinstance(second, Gap)


@asynccontextmanager
async def heard_with_a_hole(*_, **__):
    """Give the same as a stream that is heard."""
    async with with_a_hole() as records:
        yield types.SimpleNamespace(records=records, so_far=None)


def test_bars_in_this_process_are_told_as_lost(monkeypatch):
    """
    As those of a server: what comes behind goes on.
    """
    monkeypatch.setattr(heard, "heard", heard_with_a_hole)
    told = []
    listener = types.SimpleNamespace(
        on_sources=None, on_trades=None, on_repaired=None,
        on_record=lambda record: told.append(record["id"]), on_lost=told.append,
        on_windows=lambda *_: None,
    )  # fmt: skip

    config = StreamManagerConfig()
    asyncio.run(hear_here({"symbols": []}, listener, lambda: None, config=config, bond={}))

    lost = "bars are lost: the records after 1000-0 and before 3000-0 are lost (takeover)"
    assert told == ["1000-0", lost, "3000-0"]
