"""Play TWS on loopback: its socket protocol, a synthetic market, and what may go wrong.

    async with TwsSimulator(clock=SystemClock(), seed=7) as tws:
        ...  # point a client at tws.port
        tws.refuse(10089, "Requested market data requires additional subscription", symbol="AAPL")

Built from IBKR's documentation and from what ib_async reads and writes; it was never compared with
a TWS.
"""  # fmt: skip

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import attrs

from bond_core.clock import NS, Clock
from bond_core.plugin import structure
from bond_core.testing.played import Played, meanwhile
from bond_ibkr.market import LISTED, Instrument, Market, Print
from bond_ibkr.tws_client import TICK_NUMBERS, Client, Line, Refused

_STEP_S = 0.05
_BAR_NS = 5 * NS


@attrs.frozen
class Options:
    """What the simulated TWS is like.

    Attributes:
        per_s: Trades of each contract in a second, on average; 0 leaves all to a test.
        lines: How many tick-by-tick subscriptions it gives at once: 5 to most accounts.
        version: Of its protocol.
        odd_lots: The share of small trades that only AllLast has, as unreported.
        hours: When all is traded, as TWS writes it, in UTC; empty is always.
        ahead_s: How far its clock is ahead of the one it was given.
    """

    per_s: float = 8.0
    lines: int = 50
    version: int = 178
    odd_lots: float = 0.2
    hours: str = ""
    ahead_s: int = 0


class TwsSimulator(Played):
    """A TWS, serving while it is entered.

    Attributes:
        asked: What clients asked for, in order: (what, symbol, tick type or "").
        dialled: How many connections were opened.
        clients: Those that are connected.
        taken: Client ids that somebody else goes by.
        is_frozen: Whether it sends no data although connected.
        is_away: Whether it has no connection to IBKR, and answers no request.
    """

    def __init__(
        self, *, clock: Clock, seed: int = 1, options: Mapping[str, object] | None = None
    ) -> None:
        self.options = structure(Options, dict(options or {}))
        self.asked: list[tuple[str, str, str]] = []
        self.dialled = 0
        self.clients: list[Client] = []
        self.taken: set[int] = set()
        self.is_frozen = self.is_away = False
        self.clock = clock
        self.port = 0
        self._market = Market(seed, self.options.per_s)
        self._refusals: list[Refused] = []
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def time_s(self) -> int:
        """What time it tells, in seconds."""
        return self.clock.now_ns() // NS + self.options.ahead_s

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str, None]:
        """See Played."""
        await self.start()
        try:
            async with meanwhile(self._play(), "simulated TWS"):
                yield f"tcp://127.0.0.1:{self.port}"
        finally:
            await self.stop()

    # What a test does

    async def start(self) -> None:
        """Listen: on the port of before, if there was one."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and end every connection, as TWS does each night."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    def drop(self) -> None:
        """Break every connection."""
        gone, self.clients = self.clients, []
        for client in gone:
            client.writer.transport.abort()

    def refuse(
        self, code: int, text: str, *, symbol: str = "", tick_type: str | None = None,
        times: int | None = None,
    ) -> None:  # fmt: skip
        """Answer requests with an error.

        Args:
            code: TWS's.
            text: What it says.
            symbol: Of which contract; empty is any.
            tick_type: Of which kind; "" is real-time bars, None any but contract details.
            times: How often; None for good.
        """
        self._refusals.append(Refused(code, text, symbol, tick_type, times))

    def allow(self) -> None:
        """Refuse nothing any more."""
        self._refusals.clear()

    def say(self, code: int, text: str) -> None:
        """Tell every client how things are."""
        for client in self.clients:
            client.error(-1, code, text)

    def fail(self, symbol: str, code: int, text: str) -> None:
        """End the subscriptions to a contract with an error."""
        for client, line in self.lines(symbol):
            client.lines.pop(line.number)
            client.error(line.number, code, text)

    def lines(self, symbol: str, *tick_types: str) -> list[tuple[Client, Line]]:
        """Return who is subscribed to a contract, to all kinds of data unless some are named."""
        return [
            (client, line)
            for client in self.clients
            for line in client.lines.values()
            if line.listed.symbol == symbol and (not tick_types or line.tick_type in tick_types)
        ]

    def trade(
        self, symbol: str, price: float, size: float, *, at_s: int | None = None,
        unreported: bool = False, past_limit: bool = False, exchange: str = "NASDAQ",
    ) -> int:  # fmt: skip
        """Let it trade; return how many subscriptions heard. Last has no unreported trades."""
        mask = past_limit + 2 * unreported
        kinds = ("AllLast",) if unreported else ("Last", "AllLast")
        return self._tick(symbol, kinds, at_s, price, size, mask, exchange, "")

    def quote(
        self, symbol: str, bid: float, ask: float, bid_size: float = 100, ask_size: float = 100, *,
        at_s: int | None = None,
    ) -> int:  # fmt: skip
        """Let somebody offer."""
        return self._tick(symbol, ("BidAsk",), at_s, bid, ask, bid_size, ask_size, 0)

    def midpoint(self, symbol: str, price: float, *, at_s: int | None = None) -> int:
        """Let the middle between bid and ask be there."""
        return self._tick(symbol, ("MidPoint",), at_s, price)

    def bar(
        self, symbol: str, start_s: int, prices: tuple[float, float, float, float], volume: float
    ) -> int:
        """Tell a bar of five seconds: open, high, low, close."""
        heard = self.lines(symbol, "")
        for client, line in heard:
            wap = round(sum(prices) / 4, 4)
            client.bar(line.number, start_s, *prices, volume, wap, 1)
        return len(heard)

    def garble(self, symbol: str) -> None:
        """Send something that is no tick."""
        for client, line in self.lines(symbol):
            client.tick(line.number, 1, "yesterday", "?")

    # What TWS does

    def refusal(self, listed: Instrument | None, tick_type: str | None) -> Refused | None:
        """Return why a request is refused, or None."""
        for refused in self._refusals:
            if refused.is_about(listed, tick_type):
                return refused
        return None

    def _tick(self, symbol: str, kinds: tuple[str, ...], at_s: int | None, *values: object) -> int:
        time_s = self.time_s if at_s is None else at_s
        heard = self.lines(symbol, *kinds)
        for client, line in heard:
            client.tick(line.number, TICK_NUMBERS[line.tick_type], time_s, *values)
        return len(heard)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- asyncio's server calls it in one
        self._serving.add(task)
        self.dialled += 1
        client = Client(self, reader, writer)
        try:
            await client.serve()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # it has left
        except asyncio.CancelledError:
            if self._server is not None:  # else it is we who stop serving
                raise
        finally:
            if client in self.clients:
                self.clients.remove(client)
            writer.transport.abort() if client.is_dropped else writer.close()
            self._serving.discard(task)

    async def _play(self) -> None:
        """Tell what trades, as time passes."""
        told_ns = self.clock.now_ns()
        while True:
            await self.clock.sleep(_STEP_S)
            now_ns = self.clock.now_ns()
            if self.options.per_s > 0 and not self.is_frozen and not self.is_away:
                for listed in LISTED:
                    if self.lines(listed.symbol):
                        self._play_one(listed, told_ns, now_ns)
            told_ns = max(told_ns, now_ns)

    def _play_one(self, listed: Instrument, from_ns: int, to_ns: int) -> None:
        symbol = listed.symbol
        for traded in self._market.between(listed, from_ns, to_ns):
            at_s = traded.at_ns // NS + self.options.ahead_s
            odd = traded.size < 100 and traded.at_ns % 1000 < 1000 * self.options.odd_lots
            self.trade(symbol, traded.price, traded.size, at_s=at_s, unreported=odd)
            self.quote(
                symbol, traded.bid, traded.ask, traded.bid_size, traded.ask_size, at_s=at_s
            )  # fmt: skip
            self.midpoint(symbol, round((traded.bid + traded.ask) / 2, 6), at_s=at_s)
        for end_ns in range(from_ns - from_ns % _BAR_NS + _BAR_NS, to_ns + 1, _BAR_NS):
            self._tell_bar(
                symbol, end_ns, list(self._market.between(listed, end_ns - _BAR_NS, end_ns))
            )

    def _tell_bar(self, symbol: str, end_ns: int, traded: list[Print]) -> None:
        prices = [each.price for each in traded]
        if prices:
            volume = sum(each.size for each in traded)
            start_s = (end_ns - _BAR_NS) // NS
            self.bar(symbol, start_s, (prices[0], max(prices), min(prices), prices[-1]), volume)
