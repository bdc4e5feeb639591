"""F30: the same ticks, played again, are the same log to the byte, whichever engine keeps it."""

from __future__ import annotations

import asyncio
import random

import pytest

from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START
from bond_core.model.event import Trade
from bond_core.runtime.publisher import Publisher
from bond_server.redis_log.log import redis_log
from tests.core.windows.streams import BTC, SECOND, Stream, T, a_source, a_trade
from tests.journeys.test_recordings import coinbase_trades

KEEP = Retention(seconds=10**9, windows=10**6)


def by_chance(seed):
    """Return ticks of two minutes: prices that wander, some heard late, some very late."""
    chance, price, trades = random.Random(seed), 100.0, []
    for n in range(2_000):
        at = n * 0.06 + chance.random() * 0.05
        price += chance.gauss(0, 0.1)
        late_ns = round(chance.choice([0.01, 0.02, 0.3, 6.0]) * SECOND)
        trade = a_trade(at, price, chance.expovariate(1), id=str(n))
        trade.recv_ts = trade.ts + late_ns
        trades.append(trade)
    return sorted(trades, key=lambda trade: trade.recv_ts)


def recorded(path):
    """Return a recording's trades as a feed hands them on, all as of one symbol."""
    return [
        Trade(
            symbol=BTC, ts=one.ts_ns, recv_ts=one.received_ns, price=float(one.price),
            size=float(one.size), id=str(one.id),
        )
        for one in coinbase_trades(path)
    ]  # fmt: skip


async def played(log, trades):
    """Play ticks through windows into a log; return all that it holds."""
    start = (trades[0].recv_ts - T) / SECOND
    stream = Stream(a_source(), start=start, seconds=(1, 5))
    publisher = Publisher(log, "replay", KEEP)
    await log.delete("replay")
    await publisher.open()
    for trade in trades:
        stream.engine.on_tick(trade.recv_ts)
        stream.engine.on_events("binance", [trade])
        await publisher.publish(stream.engine.take())
    stream.engine.finish(trades[-1].recv_ts + 10 * SECOND)
    await publisher.publish(stream.engine.take())
    page = await log.read("replay", START, 10**6)
    return [(str(entry.offset), str(entry.prev), entry.data) for entry in page.entries]


@pytest.mark.parametrize("ticks", ["seed 1", "seed 2", "a recording"])
def test_f30_the_same_ticks_are_the_same_log(request, redis_url, cluster_url, ticks):
    """Twice in memory, twice in Redis, once in a cluster: ids, chain and bytes are equal."""

    async def go(trades):
        logs = [await played(MemoryLog(), trades) for _ in range(2)]
        for url in (redis_url, redis_url, cluster_url):
            async with redis_log(url) as log:
                logs.append(await played(log, trades))
        return logs

    if ticks == "a recording":
        path = request.getfixturevalue("recordings") / "cryptofeed" / "COINBASE.ws.28.0"
        if not path.is_file():
            pytest.skip(f"no recording at {path}")
        trades = recorded(path)
    else:
        trades = by_chance(int(ticks[-1]))
    first, *others = asyncio.run(go(trades))

    assert len(first) > 5
    for other in others:
        assert other == first
