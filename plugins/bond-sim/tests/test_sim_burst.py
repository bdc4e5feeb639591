"""A burst reaches the client whole."""

import asyncio
import json

from bond_core.clock import ManualClock
from bond_sim.simulator import Simulator

COUNT = 60_000


def test_a_burst_arrives_whole(open_plain):
    """60,000 trades sent back to back are 60,000 frames with 60,000 growing ids."""

    async def main():
        async with (
            Simulator(clock=ManualClock()) as simulator,
            open_plain(simulator.url, "trades:BTC-USDT") as plain,
        ):
            sending = asyncio.create_task(simulator.burst("okx", "BTC-USDT", COUNT))
            ids = [int(json.loads(await plain.text())["data"][0]["tradeId"]) for _ in range(COUNT)]
            assert await sending == COUNT
            assert ids == sorted(set(ids))

    asyncio.run(main())


def test_ccxt_gets_a_burst_whole(open_ccxt):
    """With room for them (`tradesLimit`), ccxt.pro keeps every trade of a burst."""

    async def main():
        async with (
            Simulator(clock=ManualClock()) as simulator,
            open_ccxt(
                "binance",
                simulator.url,
            ) as exchange,
            asyncio.timeout(60),
        ):
            exchange.options["tradesLimit"] = 2 * COUNT
            await exchange.load_markets()
            watching = asyncio.create_task(exchange.watch_trades("BTC/USDT"))
            await simulator.subscribed([("trades", "BTCUSDT")])
            await simulator.burst("binance", "BTCUSDT", COUNT)
            got = len(await watching)
            while got < COUNT:
                got += len(await exchange.watch_trades("BTC/USDT"))
            assert len({t["id"] for t in exchange.trades["BTC/USDT"]}) == COUNT

    asyncio.run(main())
