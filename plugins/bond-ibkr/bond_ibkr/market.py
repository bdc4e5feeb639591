"""Invent a market for the simulated TWS: what it lists, and what trades when.

Prices are a function of the seed, the contract and the time, so that bars and ticks agree.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import attrs

NS = 1_000_000_000
STEP_NS = NS // 10
"""What happens in so long a time is drawn at once."""


@attrs.frozen
class Instrument:
    """A contract that the simulated TWS lists.

    Attributes:
        price: About what it is traded at, in `currency`.
        magnifier: By how much prices are multiplied: 100 where they are told in pence.
    """

    con_id: int
    symbol: str
    price: float
    name: str
    kind: str = "STK"
    exchange: str = "SMART"
    primary: str = "NASDAQ"
    currency: str = "USD"
    magnifier: int = 1
    multiplier: str = ""


# The numbers of the first ones are those that IBKR's documentation and examples have.
LISTED = (
    Instrument(265598, "AAPL", 230.0, "APPLE INC"),
    Instrument(272093, "MSFT", 420.0, "MICROSOFT CORP"),
    Instrument(4815747, "NVDA", 140.0, "NVIDIA CORP"),
    Instrument(3691937, "AMZN", 190.0, "AMAZON.COM INC"),
    Instrument(208813719, "GOOGL", 170.0, "ALPHABET INC-CL A"),
    Instrument(208813720, "GOOG", 172.0, "ALPHABET INC-CL C"),
    Instrument(107113386, "META", 560.0, "META PLATFORMS INC"),
    Instrument(76792991, "TSLA", 330.0, "TESLA INC"),
    Instrument(756733, "SPY", 580.0, "SPDR S&P 500 ETF TRUST", primary="ARCA"),
    Instrument(320227571, "QQQ", 500.0, "INVESCO QQQ TRUST SERIES 1"),
    Instrument(8314, "IBM", 220.0, "INTL BUSINESS MACHINES CORP", primary="NYSE"),
    Instrument(270639, "INTC", 24.0, "INTEL CORP"),
    Instrument(4391, "AMD", 150.0, "ADVANCED MICRO DEVICES"),
    Instrument(15124833, "NFLX", 800.0, "NETFLIX INC"),
    Instrument(72063691, "BRK B", 460.0, "BERKSHIRE HATHAWAY INC-CL B", primary="NYSE"),
    Instrument(1520593, "JPM", 240.0, "JPMORGAN CHASE & CO", primary="NYSE"),
    Instrument(12087792, "EUR", 1.05, "European Monetary Union Euro", "CASH", "IDEALPRO", ""),
    Instrument(900001, "VOD", 0.72, "VODAFONE GROUP PLC", primary="LSE", currency="GBP",
               magnifier=100),
    Instrument(900002, "ES", 5900.0, "E-mini S&P 500", "FUT", "CME", "", multiplier="50"),
)  # fmt: skip


@attrs.frozen
class Print:
    """A trade, and the best bid and ask after it."""

    at_ns: int
    price: float
    size: int
    bid: float
    ask: float
    bid_size: int
    ask_size: int


@attrs.frozen
class Market:
    """What trades when.

    Attributes:
        per_s: Trades of each contract in a second, on average.
    """

    seed: int
    per_s: float

    def between(self, listed: Instrument, from_ns: int, to_ns: int) -> Iterator[Print]:
        """Yield the trades from one time to another, the second excluded, in order."""
        for step in range(from_ns // STEP_NS, -(-to_ns // STEP_NS)):
            for traded in self._step(listed, step):
                if from_ns <= traded.at_ns < to_ns:
                    yield traded

    def _step(self, listed: Instrument, step: int) -> Iterator[Print]:
        chance = random.Random(f"{self.seed}:{listed.con_id}:{step}")
        expected = self.per_s * STEP_NS / NS
        n = int(expected) + (chance.random() < expected % 1)
        offsets = sorted(chance.randrange(STEP_NS) for _ in range(n))
        for offset in offsets:
            at_ns = step * STEP_NS + offset
            tick = 10.0 ** -(2 if listed.price > 5 else 4)
            price = self._price(listed, at_ns, chance)
            price = round(round(price * listed.magnifier / tick) * tick, 6)
            spread = tick * chance.choice((1, 1, 1, 2))
            yield Print(
                at_ns, price, chance.choice((1, 10, 40, 100, 100, 100, 200, 300)),
                round(price - spread, 6), round(price + spread, 6),
                100 * chance.randrange(1, 12), 100 * chance.randrange(1, 12),
            )  # fmt: skip

    def _price(self, listed: Instrument, at_ns: int, chance: random.Random) -> float:
        phase = self.seed + listed.con_id
        minutes = at_ns / NS / 60
        waves = math.sin(minutes / 7 + phase) + 0.4 * math.sin(minutes * 1.3 + phase * 2)
        return listed.price * (1 + 0.004 * waves + 0.0002 * chance.gauss(0, 1))
