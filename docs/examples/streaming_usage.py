"""Six ways to stream prices by symbol, with `DataStream`: no server, no sentence, no key.

    python streaming_usage.py --simulate     made-up markets, also without a network
    python streaming_usage.py 3 6            only these, from the venues themselves

1. Basic price streaming
2. Stream 1-minute candles
3. Callback-based streaming
4. Stream multiple symbols simultaneously
5. Process and aggregate streaming data
6. Build simple momentum trading signal
"""

from __future__ import annotations

import argparse
import asyncio
from collections import deque
from contextlib import aclosing

from ekko import DataStream, StreamMessage


def label(message: StreamMessage) -> str:
    """Say where a message comes from, and whether it is made up."""
    return f"{message.provider}{' SIMULATED' if message.simulated else ''}"


async def basic_prices(streams: DataStream) -> None:
    """Print ten prices of bitcoin."""
    async with aclosing(streams.stream("BTCUSDT")) as ticks:
        left = 10
        async for tick in ticks:
            print(f"{tick.symbol} {tick.price:,.2f} x {tick.volume:.5f}")
            left -= 1
            if not left:
                print(f"from {label(tick)}")
                break


async def minute_candles(streams: DataStream) -> None:
    """Print a candle of ether three times while it grows, or when it has closed."""
    async with aclosing(streams.stream("ETHUSDT", stream_type="kline", interval="1m")) as candles:
        left = 3
        async for c in candles:
            state = "closed" if c.is_closed else "open"
            print(f"{c.start:%H:%M} O={c.open:.2f} H={c.high:.2f} L={c.low:.2f} C={c.close:.2f}")
            left -= 1
            if not left:
                print(f"still {state}; made by the {c.made_by}, from {label(c)}")
                break


async def with_a_callback(streams: DataStream) -> None:
    """Be called back for two seconds."""
    heard: list[StreamMessage] = []
    task = streams.subscribe("BTCUSDT", callback=heard.append)
    await asyncio.sleep(2)
    task.cancel()
    print(f"{len(heard)} prices in two seconds" + (f" from {label(heard[-1])}" if heard else ""))


async def several_symbols(streams: DataStream) -> None:
    """Keep the newest price of each of three markets for two seconds."""
    newest: dict[str, StreamMessage] = {}

    def note(message: StreamMessage) -> None:
        newest[message.symbol] = message

    symbols = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
    try:
        async with asyncio.timeout(2):
            await streams.stream_many(symbols, callback=note)
    except TimeoutError:
        pass
    prices = (f"{symbol} {message.price:,.2f}" for symbol, message in sorted(newest.items()))
    print(", ".join(prices), "from", ", ".join({label(message) for message in newest.values()}))


async def statistics(streams: DataStream) -> None:
    """Add up twenty trades."""
    low, high, volume, left = float("inf"), 0.0, 0.0, 20
    async with aclosing(streams.stream("BTCUSDT", stream_type="trade")) as trades:
        async for trade in trades:
            if trade.price is None:  # it counts for volume only
                continue
            low, high = min(low, trade.price), max(high, trade.price)
            volume += trade.volume
            left -= 1
            if not left:
                print(
                    f"20 trades: {low:,.2f} to {high:,.2f}, {volume:.5f} BTC, from {label(trade)}"
                )
                break


async def momentum(streams: DataStream) -> None:
    """Compare each price with the mean of the ten before it. No advice, and no order."""
    prices: deque[float] = deque(maxlen=10)
    async with aclosing(streams.stream("ETHUSDT")) as ticks:
        left = 5
        async for tick in ticks:
            if tick.notices:  # something is missing in between: begin anew
                prices.clear()
            if len(prices) == prices.maxlen:
                mean = sum(prices) / len(prices)
                percent = (tick.price - mean) / mean * 100
                said = "up" if percent > 0.1 else "down" if percent < -0.1 else "flat"
                print(f"ETHUSDT {tick.price:,.2f} momentum {percent:+.3f} % {said}")
                left -= 1
                if not left:
                    print(f"from {label(tick)}")
                    break
            prices.append(tick.price)


EXAMPLES = (
    basic_prices, minute_candles, with_a_callback, several_symbols, statistics, momentum,
)  # fmt: skip


async def main(numbers: list[int], *, simulate: bool) -> None:
    """Run examples, one after the other."""
    async with DataStream(simulate=simulate) as streams:
        for number in numbers or range(1, len(EXAMPLES) + 1):
            example = EXAMPLES[number - 1]
            print(f"{number}. {example.__doc__}")
            await example(streams)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Six ways to stream prices by symbol.")
    parser.add_argument("numbers", nargs="*", type=int, help="which of the six; all")
    parser.add_argument("--simulate", action="store_true", help="made-up markets")
    args = parser.parse_args()
    asyncio.run(main(args.numbers, simulate=args.simulate))
