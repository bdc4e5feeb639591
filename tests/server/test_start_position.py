from __future__ import annotations

import asyncio

import pytest

from bond_core.errors import RequestError
from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START, Offset
from bond_server.delivery.start import find_start

STREAM = "8f2a1c9d4b3e7a10"
T = 1_761_053_405_000  # 2025-10-21T13:30:05Z
NOW_NS = (T + 5_000) * 1_000_000


def found(windows, retention=None, **query):
    """Return the start in a log of windows `(end in ms after T, records)`, and what it replays."""

    async def run():
        log = MemoryLog()
        await log.open_stream(STREAM, retention or Retention())
        for end_ms, count in windows:
            await log.append(STREAM, [(Offset(T + end_ms, n), b"{}") for n in range(count)])
        asked = {"from_": None, "after": None} | query
        start = await find_start(log, STREAM, now_ns=NOW_NS, **asked)
        position = start.top if start.after is None else start.after
        page = await log.read(STREAM, position)
        return start, [(e.offset.ms - T, e.offset.n) for e in page.entries]

    return asyncio.run(run())


FIVE = [(0, 2), (1000, 2), (2000, 2), (3000, 1), (4000, 2)]


def test_nothing_asked_is_live():
    """
    Without `from` and `after` only what is new comes.
    """
    start, replayed = found(FIVE)

    assert (start.after, start.replay, replayed) == (None, "none", [])
    assert start.headers()["Bond-Oldest-Id"] == f"{T}-0"
    assert start.headers()["Bond-Top-Id"] == f"{T + 4000}-1"


@pytest.mark.parametrize(
    "from_",
    ["now-2s", "now-2000ms", "2025-10-21T13:30:08Z", "2025-10-21T13:30:07.0000001Z", str(T + 3000),
     "2025-10-21T15:30:08+02:00", "2025-10-21T15:30:08 02:00", "2025-10-21 13:30:08"],
)  # fmt: skip
def test_from_is_inclusive(from_):
    """
    Looking back, a time with any zone and epoch milliseconds mean the windows that ended since.
    """
    start, replayed = found(FIVE, from_=from_)

    assert replayed == [(3000, 0), (4000, 0), (4000, 1)]
    assert start.replay == "full"


def test_after_an_id_is_exact():
    """
    In the middle of a window the rest of that window comes first.
    """
    assert found(FIVE, after=f"{T + 2000}-0")[1][0] == (2000, 1)
    assert found(FIVE, after=f"{T + 2000}-1")[1][0] == (3000, 0)


@pytest.mark.parametrize("text", ["2025-10-21T13:30:0{}Z", "17610534{:02}000"])
def test_after_a_time_repeats_a_window_of_several_records(text):
    """
    Which of them the client has is unknown; a window of one record it has.
    """
    assert found(FIVE, after=text.format(7))[1][0] == (2000, 0)
    assert found(FIVE, after=text.format(8))[1][0] == (4000, 0)


def test_after_wins_over_from():
    """
    Where both are given, `after` counts.
    """
    assert found(FIVE, after=f"{T + 3000}-0", from_="now-1h")[1][0] == (4000, 0)


@pytest.mark.parametrize(
    ("asked", "replay"),
    [
        ({"from_": "now-1h"}, "truncated"),
        ({"after": f"{T + 1000}-0"}, "truncated"),
        ({"after": f"{T + 1000}"}, "truncated"),
        ({"after": f"{T + 1000}-1"}, "full"),
        ({"after": f"{T + 2000}-0"}, "full"),
        ({"from_": f"{T + 2000}"}, "full"),
        ({"from_": f"{T + 1001}"}, "full"),
    ],
)
def test_what_is_not_kept_any_more_is_said(asked, replay):
    """
    A start before the oldest record kept is truncated, unless nothing lay between.
    """
    start, replayed = found(FIVE, Retention(seconds=0, windows=3), **asked)

    assert replayed[0][0] == 2000
    assert start.replay == replay


def test_a_stream_that_has_published_nothing_has_nothing_to_truncate():
    """
    Looking back on an empty log is full, and starts with the first record.
    """
    start, replayed = found([], from_="now-60s")

    assert (start.replay, start.oldest, start.top, replayed) == ("full", None, START, [])
    assert start.headers()["Bond-Oldest-Id"] == ""


@pytest.mark.parametrize(
    "text",
    ["x", "now-", "now+5s", "now-5", "now-5y", "-1", "1.5", "2025-13-01T00:00:00Z", "2025-10-21",
     "2025-10-21T13:30:05+99:00", "1" * 16, "0001-01-01T00:00:00Z", "1761053405000-0", "é", "\0",
     "now-" + "9" * 400 + "s", "2999-01-01T00:00:00Z"],
)  # fmt: skip
def test_a_from_that_is_no_time_is_refused(text):
    """
    What can't be read, and what lies in the future, is refused with an example that works.
    """
    with pytest.raises(RequestError) as refused:
        found(FIVE, from_=text)

    assert refused.value.code == "bad_from"
    assert refused.value.fix == "from=now-60s"


@pytest.mark.parametrize(
    "text",
    ["x", "now-5s", "1-", "-1-1", "1" * 20 + "-0", "99999999999999-0", "2999-01-01T00:00:00Z"],
)
def test_an_after_that_is_no_position_is_refused(text):
    """
    So is what was never an id; waiting for an id of the future would be silence without end.
    """
    with pytest.raises(RequestError) as refused:
        found(FIVE, after=text)

    assert refused.value.code == "bad_from"


def test_the_distant_past_is_not_an_error():
    """
    The beginning of time is a time.
    """
    assert len(found(FIVE, from_="0")[1]) == 9
    assert len(found(FIVE, after="0-0")[1]) == 9
