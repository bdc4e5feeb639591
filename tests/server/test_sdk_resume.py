"""The SDK against real servers whose connections break off, and which end and begin again."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
import time
from contextlib import aclosing

import pytest

from ekko import Backoff, EkkoClient, Event, Gap, ResumePolicy
from tests.journeys.test_cli_remote import a_line
from tests.log.servers import redis_server
from tests.server.programs import bond_serve

SPEC = {
    "sources": [{"type": "ccxt", "exchanges": ["binance"], "symbols": ["BTC/USDT"]}],
    "symbols": ["BTC/USDT"],
    "interval_sec": 0.1,
    "simulate": True,
}
POLICY = ResumePolicy(backoff=Backoff(first_s=0.05, cap_s=0.5), restart_jitter_s=0.05)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


def client_of(address):
    """A client that doesn't wait long between attempts."""
    return EkkoClient(address, policy=POLICY, retries=8)


def in_order(events):
    """Whether each record came once, and in order."""
    ids = [tuple(map(int, e.id.split("-"))) for e in events if not isinstance(e, Gap)]
    return ids == sorted(set(ids))


def holes(events):
    """The pairs of neighbours that leave windows out."""
    pairs = itertools.pairwise(e for e in events if not isinstance(e, Gap))
    return [(a.id, b.id) for a, b in pairs if a["window_end"] != b["window_start"]]


def test_cut_connections_lose_and_double_nothing(tmp_path):
    """
    Cut ten times without a word, every window of 100 ms comes once, and no gap is told.
    """

    async def run():
        events = []
        async with (
            asyncio.timeout(90),
            bond_serve(tmp_path) as program,
            a_line(f"http://{program.address}") as (line, address),
            aclosing(client_of(address).listen(SPEC, limit=66)) as listening,
        ):
            async for event in listening:
                events.append(event)
                if len(events) % 6 == 0:
                    line.cut()
        return events, line.opened

    events, opened = asyncio.run(run())

    assert {type(event) for event in events} == {Event}
    assert in_order(events)
    assert holes(events) == []
    assert opened >= 6


async def over_a_restart(tmp_path, number, **variables):
    """The events before and after a server has ended by a signal and begun again."""
    async with (
        asyncio.timeout(100),
        bond_serve(tmp_path, **variables) as first,
        a_line(f"http://{first.address}") as (line, address),
    ):
        client = client_of(address)
        stream = await client.create_stream(SPEC)
        async with aclosing(client.subscribe(stream.stream_id)) as listening:
            events = [await anext(listening) for _ in range(5)]
            first.process.send_signal(number)
            await first.process.wait()
            async with bond_serve(tmp_path, **variables) as second:
                line._to = f"http://{second.address}"
                line.cut()
                began_ms = int(time.time() * 1000)
                while int(events[-1].id.partition("-")[0]) < began_ms + 1000:
                    events.append(await anext(listening))
                return events


@pytest.mark.parametrize("number", ["SIGTERM", "SIGKILL"], ids=["drain", "kill"])
def test_a_restart_is_resumed_and_what_it_lost_is_told(tmp_path, number):
    """
    Without Redis the log dies with the server: one gap says so, and all else comes once.
    """
    events = asyncio.run(over_a_restart(tmp_path, getattr(signal, number)))

    gaps = [event for event in events if isinstance(event, Gap)]
    assert [gap.reason for gap in gaps] == ["epoch"]
    assert in_order(events)
    assert set(holes(events)) <= {(gaps[0].after, gaps[0].before)}


def test_a_restart_over_a_log_that_stays_loses_nothing_that_was_published(tmp_path):
    """
    With Redis the records are still there; what nobody published is told.
    """
    with redis_server(tmp_path / "redis") as (_, port):
        url = f"redis://127.0.0.1:{port}/0"
        events = asyncio.run(over_a_restart(tmp_path, signal.SIGKILL, REDIS_URL=url))

    gaps = {(gap.after, gap.before) for gap in events if isinstance(gap, Gap)}
    assert in_order(events)
    assert set(holes(events)) <= gaps
