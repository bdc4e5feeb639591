"""The conformance kit, on every aggregator that is built in."""

from __future__ import annotations

from bond_core.aggregators.plugin import bond_aggregators
from bond_core.model.event import (
    Candle,
    Chain,
    Custom,
    Funding,
    Liquidation,
    News,
    OpenInterest,
    OrderBook,
    Post,
    Quote,
    Trade,
    Trend,
)
from bond_core.testing import AggregatorConformance

START_NS = 1_700_000_040_000_000_000
AT_NS = [START_NS + ms * 1_000_000 for ms in (0, 250, 400, 1_700, 2_000, 31_000)]
PRICES = (100.0, 106.0, 103.5, 101.0, 99.25, 104.0)

EVENTS = {
    "trade": [
        Trade("BTC/USDT", ts, price, size, side, id=f"{n}")
        for n, (ts, price, size, side) in enumerate(
            zip(AT_NS, PRICES, (1.0, 2.5, 0.5, 4.0, 1.5, 2.0),
                ("buy", "sell", None, "buy", "buy", "sell"), strict=True)
        )
    ],
    "quote": [
        Quote("BTC/USDT", ts, bid=price - 0.5, ask=price + 0.25, bid_size=2.0 + n, ask_size=3.0)
        for n, (ts, price) in enumerate(zip(AT_NS, PRICES, strict=True))
    ],
    "book": [
        OrderBook(
            "BTC/USDT", ts,
            bids=((price - 0.5, 1.0 + n), (price - 1.0, 2.5)),
            asks=((price + 0.25, 2.0), (price + 0.75, 0.5 + n)),
        )
        for n, (ts, price) in enumerate(zip(AT_NS, PRICES, strict=True))
    ],
    "candle": [
        Candle("BTC/USDT", ts, 60_000_000_000, 100.0, 107.0, 98.0, price, 10.0 + n,
               is_closed=False, start_ts=START_NS)
        for n, (ts, price) in enumerate(zip(AT_NS, PRICES, strict=True))
    ],
    "funding": [
        Funding("BTC/USDT:USDT", ts, rate=0.0001 * n, mark_price=price)
        for n, (ts, price) in enumerate(zip(AT_NS, PRICES, strict=True))
    ],
    "open_interest": [
        OpenInterest("BTC/USDT:USDT", ts, amount=1_000.0 + n, value=None)
        for n, ts in enumerate(AT_NS)
    ],
    "post": [
        Post("BTC", ts, text="up", author=author, engagement=len(author or ""))
        for ts, author in zip(AT_NS, ("ann", "bo", "ann", None, "cy", "bo"), strict=True)
    ],
    "news": [
        News("BTC", ts, text="up", publisher=publisher)
        for ts, publisher in zip(AT_NS, ("desk", "wire", "desk", None, "desk", "post"), strict=True)
    ],
    "trend": [Trend("BTC", ts, keyword="bitcoin", value=40.0 + n) for n, ts in enumerate(AT_NS)],
    "chain": [Chain("BTC", ts, chain="bitcoin", type="tx", amount=1.0) for ts in AT_NS],
    "custom": [Custom("BTC", ts, values={"n": 1}) for ts in AT_NS],
    "liquidation": [
        Liquidation("BTC/USDT", ts, price=100.0, size=1.0 + n, side=("buy", "sell")[n % 2])
        for n, ts in enumerate(AT_NS)
    ],
}  # fmt: skip


def suite_of(spec):
    """Return the kit's suite of one aggregator."""
    name = "Test" + spec.name.title().replace("_", "").replace(".", "")
    made = {"spec": spec.name, "events": EVENTS[spec.kind], "__doc__": spec.summary}
    return type(name, (AggregatorConformance,), made)


for _suite in map(suite_of, bond_aggregators()):
    globals()[_suite.__name__] = _suite
