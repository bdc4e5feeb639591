"""Reading a venue's recorded messages again: what it asks of nobody, and what it says it can't."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from bond_ccxt.config import CcxtConfig
from bond_ccxt.listing import Listing
from bond_ccxt.rereading import ASKED, Notes, _session, read_again
from bond_core.clock import ManualClock
from bond_core.plugin import Message, Retryable, Subscription
from bond_core.plugin.factories import load_name
from bond_core.runtime.wanted import Wanted

MARKET = {
    "id": "BTCUSDT", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "baseId": "BTC",
    "quoteId": "USDT", "type": "spot", "spot": True, "contract": False,
}  # fmt: skip
URL = "wss://stream.binance.com:9443/stream"
TRADE = json.dumps({
    "e": "trade", "E": 1700000000100, "s": "BTCUSDT", "t": 5, "p": "1.5", "q": "2",
    "T": 1700000000090, "m": False, "M": True,
}, separators=(",", ":"))  # fmt: skip


class Told:
    """A context that notes what it is told."""

    def __init__(self, *wanted: Subscription) -> None:
        self.clock = ManualClock()
        self.log = logging.getLogger("test")
        self.simulated_at = None
        self.wanted = Wanted()
        self.sdk = load_name
        self.emitted: list[Any] = []
        self.refused: dict[str, str] = {}
        for each in wanted:
            self.wanted.add(each)

    def emit(self, channel: str, events: Any) -> None:
        """See Context."""
        self.emitted += [(channel, event) for event in events]

    def failed(self, channel: str, symbol: str, reason: str) -> None:
        """See Context."""
        self.refused[channel] = reason

    def live(self, *_: Any) -> None:
        """See Context."""

    gap = reject = live


def read(ctx: Told, *messages: Message) -> None:
    """Have messages read, and end."""

    async def coming() -> Any:
        for message in messages:
            yield message

    config = CcxtConfig(venue="binance")
    asyncio.run(read_again(ctx, config, Listing(), coming()))


def test_trades_are_read_with_the_markets_that_were_noted():
    """The names of markets stand in the recording, so nobody has to be asked for them."""
    ctx = Told(Subscription("trades", "BTC/USDT"), Subscription("open_interest", "BTC/USDT"))
    read(
        ctx, Message(1, ASKED, json.dumps({"markets": [MARKET]})), Message(2, URL, TRADE)
    )  # fmt: skip

    ((channel, trade),) = ctx.emitted
    assert (channel, trade.symbol, trade.price, trade.id) == ("trades", "BTC/USDT", 1.5, "5")
    assert ctx.refused == {"open_interest": "open_interest is asked for over HTTP"}


def test_without_markets_nothing_is_guessed():
    """A recording that lacks them says so of everything."""
    ctx = Told(Subscription("trades", "BTC/USDT"))
    read(ctx, Message(2, URL, TRADE))

    assert ctx.emitted == []
    assert ctx.refused == {"trades": "what its markets are is not in the recording"}


def test_nothing_is_asked_for_over_http():
    """Whatever ccxt would ask for because of a message, it gets nothing."""

    async def fetch() -> None:
        session = await _session(CcxtConfig(venue="binance"), Told())
        try:
            await session.exchange.publicGetTime()
        finally:
            await session.close()

    with pytest.raises(Retryable, match="nothing is asked for"):
        asyncio.run(fetch())


def test_each_market_is_noted_once():
    """Several channels of a symbol are one market, and an unknown symbol is none."""
    noted: list[Any] = []
    exchange = type("Exchange", (), {"markets": {"A/B": {"symbol": "A/B"}}})
    notes = Notes(exchange, lambda text: noted.append(json.loads(text)))

    notes.markets(["A/B", "A/B", "X/Y"])
    notes.markets(["A/B"])

    assert noted == [{"markets": [{"symbol": "A/B"}]}]
