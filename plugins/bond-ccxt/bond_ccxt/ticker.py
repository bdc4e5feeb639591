"""Ask a venue for last price, bid and ask over HTTP, again and again."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bond_ccxt.config import TickerConfig
from bond_ccxt.errors import translate
from bond_ccxt.exchange import Session, open_session
from bond_ccxt.symbols import why_not
from bond_core.plugin import Context, Event, PollingConnector, Quote


class TickerConnector(PollingConnector):
    """The connector `ccxt.ticker`: one instance for each venue."""

    config: TickerConfig

    def __init__(self, config: TickerConfig) -> None:
        super().__init__(config)
        self.every_s = config.every_s
        self._session: Session | None = None
        self._failed: set[str] = set()

    async def run(self, ctx: Context) -> None:
        """Poll until cancelled; raises as CcxtConnector does."""
        self._failed.clear()
        self._session = await open_session(self.config, ctx)
        try:
            await self._session.exchange.load_markets()
            await super().run(ctx)
        except Exception as error:
            said = translate(error, self.config.venue)
            if said is error:
                raise
            raise said from error
        finally:
            await self._session.close()

    async def poll(self, ctx: Context, channel: str, symbols: Sequence[str]) -> Sequence[Event]:
        """Return one quote for each symbol that the venue lists."""
        session = self._session
        if session is None:
            raise RuntimeError("poll needs the session that run opens")
        markets = session.exchange.markets
        listed = []
        for symbol in symbols:
            reason = why_not(symbol, self.config.venue, markets)
            if reason is None:
                listed.append(symbol)
            elif symbol not in self._failed:
                self._failed.add(symbol)
                ctx.failed(channel, symbol, reason)
        tickers = await _fetch(session, listed)
        # A sample tells how things stand now. The venue's time in it may be that of the last
        # trade, minutes ago, and the windows would wait for it or call it late.
        now_ns = ctx.clock.now_ns()
        return [_sample(ticker, self.config.venue, now_ns) for ticker in tickers]


async def _fetch(session: Session, symbols: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return ccxt tickers for these symbols, in few requests where the venue can."""
    exchange = session.exchange
    by_kind: dict[tuple[str, str], list[str]] = defaultdict(list)
    for symbol in symbols:
        market = exchange.markets[symbol]
        by_kind[str(market["type"]), str(market.get("subType"))].append(symbol)
    tickers: list[Mapping[str, Any]] = []
    for alike in by_kind.values():
        if session.venue.pollable and len(alike) > 1:
            found = await exchange.fetch_tickers(alike)
            tickers += [found[symbol] for symbol in alike if symbol in found]
        else:  # at ccxt's pace, which is the venue's limit
            tickers += await asyncio.gather(*(exchange.fetch_ticker(s) for s in alike))
    return tickers


def _sample(ticker: Mapping[str, Any], venue: str, now_ns: int) -> Quote:
    return Quote(
        symbol=ticker["symbol"],
        ts=now_ns,
        bid=ticker["bid"],
        ask=ticker["ask"],
        last=ticker["last"],
        venue=venue,
    )
