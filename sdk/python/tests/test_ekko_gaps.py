"""Gaps: records that are lost come out of the loop as an event of their own."""

from __future__ import annotations

import asyncio

import pytest

from ekko import Event, Gap


async def heard(events, count):
    """The next few events."""
    return [await anext(events) for _ in range(count)]


@pytest.mark.parametrize("enveloped", [False, True], ids=["plain", "envelopes"])
def test_records_that_are_lost_are_told_before_the_next_one(bond, kit, enveloped):
    """Resumed too late, the loop gets a gap and then what is still kept, in either protocol."""
    bond.enveloped = enveloped
    bond.records = [kit.a_record(1761053400000), kit.a_record(1761053405000)]
    bond.faults.append(kit.Fault(1, None))
    bond.on_socket = lambda: bond.lose(1) if len(bond.connections) == 1 else None

    async def run():
        async with bond.running():
            bond.records.append(kit.a_record(1761053410000))
            events = bond.client().subscribe(bond.stream_id, from_="now-60s")
            found = await heard(events, 3)
            await events.aclose()
            return found

    first, gap, last = asyncio.run(run())

    assert [type(event) for event in (first, gap, last)] == [Event, Gap, Event]
    assert (first.id, last.id) == ("1761053400000-0", "1761053410000-0")
    assert (gap.after, gap.before, gap.reason) == (first.id, last.id, "trimmed")
    assert gap.id == first.id  # resuming there tells it again
    assert (gap.window_start, gap.window_end) == ("2025-10-21T13:30:00Z", "2025-10-21T13:30:10Z")
    assert gap["price_avg"] is None
    assert gap.keys() >= last.keys()
    assert gap.notices[0]["code"] == "gap"


def test_what_a_slow_client_skipped_is_a_gap(bond, kit):
    """The server's own word for it, slow, is the gap's reason."""
    bond.enveloped = True
    bond.records = [kit.a_record(1000), kit.a_record(2000), kit.a_record(3000)]
    bond.says[1] = {"t": "gap", "from": "1000-0", "to": "3000-0", "reason": "slow", "n": None}
    del bond.records[1]
    bond.finished = True

    async def run():
        async with bond.running():
            client = bond.client()
            return [e async for e in client.subscribe(bond.stream_id, from_="0", slow="conflate")]

    events = asyncio.run(run())

    assert [event.id for event in events] == ["1000-0", "1000-0", "3000-0"]
    assert [type(event) for event in events] == [Event, Gap, Event]
    assert events[1].reason == "slow"


def test_a_stream_that_ended_meanwhile_leaves_a_gap(bond, kit):
    """What an ephemeral stream would have said, had it not ended while the client was away."""
    bond.records = [kit.a_record(ms) for ms in (1000, 2000)]
    bond.faults.extend([kit.Fault(1, None), kit.Fault(0, 4404)])
    bond.finished = True

    async def run():
        async with bond.running():
            return [e async for e in bond.client().listen("BTC price", from_="now-60s")]

    events = asyncio.run(run())

    assert [type(event) for event in events] == [Event, Gap, Event]
    assert events[1].reason == "ended"


def test_messages_without_a_record_pass_unseen(bond, kit):
    """Hello, heartbeats, goodbyes and what a later version may say are no events."""
    bond.enveloped = True
    bond.records = [kit.a_record(1000), kit.a_record(2000)]
    bond.says = {0: {"t": "hello", "recovered": True}, 1: {"t": "news", "x": 1}}
    bond.finished = True

    async def run():
        async with bond.running():
            return [e.id async for e in bond.client().subscribe(bond.stream_id, from_="0")]

    assert asyncio.run(run()) == ["1000-0", "2000-0"]


def test_a_resume_names_the_log_s_epoch(bond, kit):
    """So that a server whose log began anew can say so."""
    bond.accept_headers = {"Bond-Epoch": "a1"}
    bond.records = [kit.a_record(1000), kit.a_record(2000)]
    bond.faults.append(kit.Fault(1, None))
    bond.finished = True

    async def run():
        async with bond.running():
            return [e.id async for e in bond.client().subscribe(bond.stream_id, from_="0")]

    assert asyncio.run(run()) == ["1000-0", "2000-0"]
    assert "epoch" not in bond.connections[0]
    assert bond.connections[1]["epoch"] == "a1"
