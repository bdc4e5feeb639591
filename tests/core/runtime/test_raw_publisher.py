"""Raw items get rising ids and enter the log once, whatever becomes of the log or the process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from bond_core.errors import LogUnavailableError
from bond_core.log.cursor import Cursor
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START
from bond_core.log.tail import Tail
from bond_core.runtime import raw_publisher
from bond_core.runtime.raw_engine import RawBatch
from bond_core.runtime.raw_publisher import TOGETHER, RawPublisher
from tests.core.runtime.test_publisher import UnsureLog
from tests.core.runtime.test_restarts import Machine, a_spec, play

_MS = 1_000_000


def batch(*ms: int) -> RawBatch:
    """Return items that were heard then."""
    return RawBatch([(each, b'"n":%d}' % each) for each in ms])


async def in_log(log: MemoryLog) -> list[dict[str, Any]]:
    """Return all that the log has."""
    page = await log.read("s", START, limit=1_000_000)
    items = [json.loads(entry.data) for entry in page.entries]
    assert [item["id"] for item in items] == [str(entry.offset) for entry in page.entries]
    return items


def codes(items: list[dict[str, Any]]) -> list[str]:
    """Return the codes of all notices."""
    return [notice["code"] for item in items for notice in item.get("notices", ())]


def test_ids_say_when_it_was_heard_and_never_fall():
    """Within one millisecond they count; a clock that steps back doesn't show."""

    async def go() -> list[str]:
        log = MemoryLog()
        publisher = RawPublisher(log, "s", Retention())
        await publisher.open()
        await publisher.publish([batch(5, 5, 7), batch(6, 9)])
        return [item["id"] for item in await in_log(log)]

    assert asyncio.run(go()) == ["5-0", "5-1", "7-0", "7-1", "9-0"]


def test_an_append_of_unknown_outcome_is_repeated_and_enters_once():
    """Whether it had happened or not; and what was heard meanwhile comes behind it."""

    async def go(happened: bool) -> list[str]:
        log = UnsureLog()
        publisher = RawPublisher(log, "s", Retention())
        await publisher.open()
        log.fails = [happened]
        steps = [batch(5, 5)]
        while True:
            try:
                await publisher.publish(steps)
                break
            except LogUnavailableError:
                steps = [batch(5, 6)]
        assert publisher.published == 4
        return [item["id"] for item in await in_log(log)]

    for happened in (True, False):
        assert asyncio.run(go(happened)) == ["5-0", "5-1", "5-2", "6-0"]


def test_many_items_enter_in_several_steps():
    """None so large that a shared log stands still for it, and none out of order."""

    async def go() -> None:
        log = MemoryLog()
        publisher = RawPublisher(log, "s", Retention())
        await publisher.open()
        await publisher.publish([batch(*range(1, 3 * TOGETHER + 8))])
        assert [item["n"] for item in await in_log(log)] == list(range(1, 3 * TOGETHER + 8))

    asyncio.run(go())


def test_what_waits_too_long_is_lost_and_told(monkeypatch):
    """The number is told before what comes next, and readers see a hole."""
    monkeypatch.setattr(raw_publisher, "MAX_WAITING", 3)

    async def go() -> None:
        log = UnsureLog()
        publisher = RawPublisher(log, "s", Retention())
        await publisher.open()
        await publisher.publish([batch(1)])
        log.fails = [False, True]
        for step in (batch(5, 5), batch(6, 6)):
            try:
                await publisher.publish([step])
            except LogUnavailableError:
                continue
        await publisher.publish([batch(8)])
        items = await in_log(log)
        assert [item.get("n") for item in items] == [1, None, 6, 6, 8]
        (gap,) = items[1]["notices"]
        assert (gap["code"], "2 events are lost" in gap["detail"]) == ("gap", True)
        tail = Tail(log, "s", Retention())
        await tail.load()
        cursor = Cursor(tail, START)
        assert cursor.ready().hole is None
        assert cursor.ready().hole is not None

    asyncio.run(go())


def test_each_time_the_log_was_away_has_its_own_number(monkeypatch):
    """The second doesn't tell the first one's losses again; all are counted together."""
    monkeypatch.setattr(raw_publisher, "MAX_WAITING", 3)

    async def go() -> None:
        log = UnsureLog()
        publisher = RawPublisher(log, "s", Retention())
        await publisher.open()
        for ms in (10, 20):
            log.fails = [False, False]
            for step in (batch(ms, ms), batch(ms + 1, ms + 1)):
                with contextlib.suppress(LogUnavailableError):
                    await publisher.publish([step])
            await publisher.publish([batch(ms + 2)])
        told = [n["detail"] for item in await in_log(log) for n in item.get("notices", ())]
        assert [": 2 events are lost" in detail for detail in told] == [True, True]
        assert publisher.lost == 4

    asyncio.run(go())


def test_a_new_owner_tells_what_may_be_missing():
    """From the last item of the one before until it listened itself."""

    async def go() -> None:
        log = MemoryLog()
        first = RawPublisher(log, "s", Retention())
        await first.open()
        await first.publish([batch(1, 2)])
        second = RawPublisher(log, "s", Retention(), takes_over_ns=50 * _MS)
        await second.open()
        await second.publish([batch(60)])
        third = RawPublisher(log, "s", Retention(), takes_over_ns=55 * _MS)  # it stood by
        await third.open()
        third.found((await log.read("s", START)).top)
        await third.publish([batch(60, 61)])
        items = await in_log(log)
        assert [item.get("n") for item in items] == [1, 2, None, 60, None, 60, 61]
        assert codes(items) == ["takeover", "takeover"]
        assert items[2]["notices"][0]["from"] == "1970-01-01T00:00:00.002Z"
        assert items[2]["notices"][0]["to"] == "1970-01-01T00:00:00.05Z"

    asyncio.run(go())


def raw(kind: str) -> dict[str, Any]:
    """Return the spec of a raw stream of one venue."""
    return {**a_spec(kind), "mode": "raw", "fields": ["trades"]}


def test_after_a_restart_nothing_comes_twice_and_the_downtime_is_told():
    """Of a source that can't go on where it was: the gap says from when to when."""

    async def story(machine: Machine) -> None:
        async with machine.process(raw("plain")):
            await machine.trades(2, heard_by="alpha")
        await machine.trades(3, heard_by=None)
        async with machine.process(raw("plain")):
            await machine.trades(2, heard_by="alpha")

    items = play(story)

    ids = [item["event_id"] for item in items if item["kind"] == "trade"]
    assert len(ids) == len(set(ids)) == 16
    gaps = [n for i in items for n in i.get("notices", ()) if n["code"] == "gap"]
    assert len(gaps) == 1
    assert "did not run for 3.0 s" in gaps[0]["detail"]
    assert (gaps[0]["from"] < gaps[0]["to"], gaps[0]["symbol"]) == (True, "BTC/USDT")


def test_a_source_that_goes_on_where_it_was_leaves_no_hole():
    """Each trade of the market comes once, those of the time between included."""

    async def story(machine: Machine) -> None:
        async with machine.process(raw("resumable")):
            await machine.trades(2, heard_by="beta")
        await machine.trades(3, heard_by=None)
        async with machine.process(raw("resumable")):
            await machine.trades(2, heard_by="beta")

    items = play(story)

    ids = [item["event_id"] for item in items if item["kind"] == "trade"]
    assert len(ids) == len(set(ids)) == 28
    assert codes(items).count("gap") == 0


def test_what_was_heard_and_not_written_is_written_after_a_restart():
    """It is kept in the snapshot: items, and counts that nobody was told."""

    async def go() -> None:
        log = UnsureLog()
        before = RawPublisher(log, "s", Retention())
        await before.open()
        log.fails = [False]
        try:
            await before.publish([batch(5, 6)])
        except LogUnavailableError:
            kept = list(before.remembered())
        after = RawPublisher(log, "s", Retention(), takes_over_ns=70 * _MS)
        for key, known in kept:
            after.recall(key, known)
        after.goes_on(60 * _MS)
        await after.open()
        await after.publish()
        items = await in_log(log)
        assert [item["n"] for item in items] == [5, 6]

    asyncio.run(go())
