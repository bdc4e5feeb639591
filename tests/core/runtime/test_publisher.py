"""Records get rising ids, and enter the log once however often an append is repeated."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bond_core.errors import LogUnavailableError
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import LAST_N, START
from bond_core.model.record import Record
from bond_core.runtime.publisher import MAX_WAITING, Publisher, Takeover
from bond_core.windows.engine import ClosedWindow

SECOND = 1_000_000_000


def _a_window(end_s: int, *symbols: str) -> ClosedWindow:
    records = tuple(
        Record(
            symbol=symbol, timeframe_ns=SECOND, window_start_ns=(end_s - 1) * SECOND,
            window_end_ns=end_s * SECOND, values={}, sources={},
        )
        for symbol in symbols
    )  # fmt: skip
    return ClosedWindow(end_s * SECOND, records)


class UnsureLog(MemoryLog):
    """A log whose next appends happen, or not, and fail either way."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: list[bool] = []  # whether the append happened before it failed

    async def append(self, stream_id, items, *, fence=0, lost_until=START):
        if self.fails:
            if self.fails.pop(0):
                await super().append(stream_id, items, fence=fence, lost_until=lost_until)
            raise LogUnavailableError("the connection broke")
        await super().append(stream_id, items, fence=fence, lost_until=lost_until)


async def _ids_in(log: MemoryLog) -> list[str]:
    page = await log.read("s", START)
    assert [str(entry.offset) for entry in page.entries] == [
        json.loads(entry.data)["id"] for entry in page.entries
    ]
    return [str(entry.offset) for entry in page.entries]


def test_a_windows_records_count_within_its_end() -> None:
    """
    The id is the window's end in ms, then the record's place in it.
    """

    async def publish() -> list[str]:
        log = MemoryLog()
        publisher = Publisher(log, "s", Retention())
        await publisher.open()
        await publisher.publish([_a_window(5, "A", "B"), _a_window(6, "A", "B")])
        return await _ids_in(log)

    assert asyncio.run(publish()) == ["5000-0", "5000-1", "6000-0", "6000-1"]


def test_an_older_windows_record_takes_the_newest_position() -> None:
    """
    Ids never fall: what comes after is at a new position, whatever window it is about.
    """

    async def publish() -> list[str]:
        log = MemoryLog()
        publisher = Publisher(log, "s", Retention())
        await publisher.open()
        await publisher.publish([_a_window(6, "A"), _a_window(5, "A"), _a_window(7, "A")])
        return await _ids_in(log)

    assert asyncio.run(publish()) == ["6000-0", "6000-1", "7000-0"]


@pytest.mark.parametrize("happened", [True, False])
def test_an_append_with_an_unknown_outcome_is_repeated_without_harm(happened: bool) -> None:
    """
    Whether the failed append happened or not, each record is in the log once, in order.
    """

    async def publish() -> list[str]:
        log = UnsureLog()
        publisher = Publisher(log, "s", Retention())
        await publisher.open()
        await publisher.publish([_a_window(5, "A", "B")])
        log.fails = [happened, happened]
        with pytest.raises(LogUnavailableError):
            await publisher.publish([_a_window(6, "A", "B"), _a_window(7, "A")])
        with pytest.raises(LogUnavailableError):
            await publisher.publish()
        await publisher.publish()
        return await _ids_in(log)

    assert asyncio.run(publish()) == ["5000-0", "5000-1", "6000-0", "6000-1", "7000-0"]


def test_another_publisher_goes_on_where_the_log_stands() -> None:
    """
    A new owner of a stream reads the log's top, and its ids rise from there.
    """

    async def publish() -> list[str]:
        log = MemoryLog()
        for end_s in (5, 5, 6):
            publisher = Publisher(log, "s", Retention())
            await publisher.open()
            await publisher.publish([_a_window(end_s, "A")])
        return await _ids_in(log)

    assert asyncio.run(publish()) == ["5000-0", "5000-1", "6000-0"]


def test_what_waits_for_a_log_is_bounded_and_what_is_lost_is_told() -> None:
    """
    While the log is away the newest windows wait; the first that comes says how many are lost.
    """

    async def publish() -> tuple[MemoryLog, Publisher]:
        log = UnsureLog()
        publisher = Publisher(log, "s", Retention(seconds=10**6, windows=10**6))
        await publisher.open()
        log.fails = [False] * (MAX_WAITING + 3)
        for end_s in range(1, MAX_WAITING + 4):
            with pytest.raises(LogUnavailableError):
                await publisher.publish([_a_window(end_s, "a", "b")])
        await publisher.publish()
        return log, publisher

    log, publisher = asyncio.run(publish())
    entries = asyncio.run(log.read("s", START, 10_000)).entries
    records = [json.loads(entry.data) for entry in entries]

    assert (publisher.lost, publisher.published) == (6, 2 * MAX_WAITING)
    assert len(records) == 2 * MAX_WAITING
    assert [[n["code"] for n in r["notices"]] for r in records[:3]] == [["gap"], ["gap"], []]
    assert "6 records are lost" in records[0]["notices"][0]["detail"]


def _taken_over(found: list[int], at_ms: int, *then: int) -> list[dict[str, Any]]:
    """Return the log's entries, with `prev`, after an owner that died and one that follows."""

    async def publish() -> list[dict[str, Any]]:
        log = MemoryLog()
        dead = Publisher(log, "s", Retention())
        await dead.open()
        await dead.publish([_a_window(end_s, "A") for end_s in found])
        takeover = Takeover(at_ms * 1_000_000, SECOND)
        publisher = Publisher(log, "s", Retention(), fence=1, takeover=takeover)
        await publisher.open()
        await publisher.publish([_a_window(end_s, "A") for end_s in then])
        page = await log.read("s", START)
        return [json.loads(e.data) | {"prev": str(e.prev)} for e in page.entries]

    return asyncio.run(publish())


def _told(entry: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(n["code"], n.get("from"), n["to"]) for n in entry["notices"]]


def test_windows_that_a_dead_owner_lost_are_a_hole_and_told() -> None:
    """
    The first record of the next owner says from when to when, and is the only one that does.
    """
    entries = _taken_over([5], 8_300, 9, 10)

    assert [e["id"] for e in entries] == ["5000-0", "9000-0", "10000-0"]
    assert entries[1]["prev"] == f"8000-{LAST_N}"
    assert _told(entries[1]) == [("takeover", "1970-01-01T00:00:05Z", "1970-01-01T00:00:08Z")]
    assert _told(entries[2]) == []


def test_a_takeover_that_lost_no_window_is_told_and_leaves_no_hole() -> None:
    """
    The window that was open then lacks what the owner before had heard of it.
    """
    entries = _taken_over([5, 8], 8_300, 9)

    assert [e["prev"] for e in entries] == ["0-0", "5000-0", "8000-0"]
    assert _told(entries[2]) == [("takeover", None, "1970-01-01T00:00:08.3Z")]


def test_what_the_owner_before_published_is_left_out() -> None:
    """
    Sources bring what happened before the new owner began: those windows are there, whole.
    """
    entries = _taken_over([5, 8], 8_300, 7, 8, 9)

    assert [e["id"] for e in entries] == ["5000-0", "8000-0", "9000-0"]


def test_another_life_of_the_log_begins_behind_what_was_before() -> None:
    """
    Whoever resumes by an id of the life before finds a hole, though nothing is known of it.
    """
    entries = _taken_over([], 8_300, 9)

    assert [(e["id"], e["prev"]) for e in entries] == [("9000-0", f"8300-{LAST_N}")]
