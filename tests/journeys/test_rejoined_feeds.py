"""Who joins a feed in the turn of the loop in which the last one leaves hears it."""

from __future__ import annotations

import asyncio

import pytest

from bond_core.runtime.binding import Defaults
from bond_core.testing.scripted_connector import RecordingListener
from bond_server.local import Bond

PATIENCE_S = 30.0
ENOUGH = 3
"""More events than may have been under way."""

CRYPTO = ("binance", "okx", "bybit", "coinbase", "coinbaseexchange", "kraken")
SOURCES = {
    **{
        venue: ({"type": "ccxt", "exchanges": [venue]}, "BTC/USD" if "coinbase" in venue
                or venue == "kraken" else "BTC/USDT")
        for venue in CRYPTO
    },
    "liquidations": ({"type": "ccxt.liquidations", "exchanges": ["binance"]}, "BTC"),
    "alpaca": ({"type": "alpaca"}, "AAPL"),
    "polygon": ({"type": "polygon"}, "AAPL"),
    "finnhub": ({"type": "finnhub"}, "AAPL"),
    "ibkr": ({"type": "ibkr"}, "AAPL"),
    "x": ({"type": "x"}, "BTC"),
}  # fmt: skip
"""By name, a source that is simulated here, and a symbol of it."""


@pytest.mark.parametrize("name", SOURCES)
def test_it_is_live_again_and_brings_events(name):
    """Whatever the source makes of an unsubscription and a subscription at once."""
    source, symbol = SOURCES[name]

    async def go():
        async with Bond(seed=7, defaults=Defaults(simulate=True)) as bond:
            spec = {"sources": [source], "symbols": [symbol], "mode": "raw", "interval_sec": 1}
            await bond.create(bond.compile({"spec": spec}))
            (supervisor,) = bond.feeds.supervisors()
            for before in tuple(supervisor.feeds.values()):
                async with asyncio.timeout(PATIENCE_S):
                    while before.status != "live":  # noqa: ASYNC110 -- nothing tells of it
                        await asyncio.sleep(0.01)
                supervisor.drop(before)
                feed = supervisor.feed(before.subscription.channel, before.symbol)
                ear = RecordingListener()
                feed.attach(ear, None)
                async with asyncio.timeout(PATIENCE_S):
                    while len(ear.events) < ENOUGH or ear.status != "live":  # noqa: ASYNC110 -- likewise
                        await asyncio.sleep(0.01)
            return supervisor.reconnects

    assert asyncio.run(go()) == 0
