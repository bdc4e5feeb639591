"""The trades of the benchmark, and what numpy says their windows are."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from bond_core.model.event import Trade

NS = 1_000_000_000
T0 = 1_699_999_200 * NS
"""A full hour: a boundary of every timeframe here."""

LATENESS_NS = NS // 2
FRAMES_S = (5, 60, 300)

Row = tuple[float, ...]
"""Open, high, low, close, volume, volume bought, number of trades."""


def symbols_of(number: int) -> list[str]:
    """Return so many symbols."""
    return [f"S{i}/USDT" for i in range(number)]


def make_trades(number: int, symbols: Sequence[str], seed: int = 7) -> list[Trade]:
    """Return trades in the order of their arrival: 1000 a second, 5 % up to 250 ms late.

    Prices and sizes are multiples of 1/64 and 1/8, so that sums don't depend on their order and
    answers can be compared exactly. Every trade has its own time and id.
    """
    chance = random.Random(seed)
    trades = []
    for at in range(number):
        heard = T0 + at * NS // 1000 + 250_000_000
        delay = chance.randrange(250_000_000) if chance.random() < 0.05 else 0
        trades.append(
            Trade(
                symbol=symbols[chance.randrange(len(symbols))],
                ts=heard - 250_000_000 - delay if heard - delay > T0 + 500_000_000 else heard,
                price=100.0 + chance.randrange(-640, 640) / 64,
                size=chance.randrange(1, 80) / 8,
                side="buy" if chance.random() < 0.5 else "sell",
                id=str(at),
                seq=at,
                recv_ts=heard,
            )
        )
    return trades


def reference(trades: Sequence[Trade], seconds: int) -> dict[tuple[str, int], Row]:
    """Return the rows of all windows, by symbol and start, computed with numpy alone."""
    names = sorted({t.symbol for t in trades})
    index = {name: i for i, name in enumerate(names)}
    symbol = np.array([index[t.symbol] for t in trades])
    ts = np.array([t.ts for t in trades])
    seq = np.array([t.seq for t in trades])
    price = np.array([t.price for t in trades])
    size = np.array([t.size for t in trades])
    bought = np.where(np.array([t.side for t in trades]) == "buy", size, 0.0)
    start = ts - ts % (seconds * NS)
    order = np.lexsort((seq, ts, start, symbol))
    key = np.stack((symbol[order], start[order]))
    first = np.flatnonzero(np.r_[True, (key[:, 1:] != key[:, :-1]).any(axis=0)])
    price, size, bought = price[order], size[order], bought[order]
    last = np.r_[first[1:], len(trades)] - 1
    rows = zip(
        price[first], np.maximum.reduceat(price, first), np.minimum.reduceat(price, first),
        price[last], np.add.reduceat(size, first), np.add.reduceat(bought, first),
        last - first + 1,
        strict=True,
    )  # fmt: skip
    return {
        (names[key[0, at]], int(key[1, at])): tuple(float(value) for value in row)
        for at, row in zip(first, rows, strict=True)
    }
