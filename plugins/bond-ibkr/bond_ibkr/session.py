# ruff: noqa: N802, N803, N815 -- the names are those by which TWS's API calls a wrapper
"""Hold one connection to TWS: ask for data, and hand on what comes, by the request it answers.

ib_async's `Client` connects, speaks the protocol and decodes; a `Session` is the wrapper that it
calls (https://interactivebrokers.github.io/tws-api/interfaceIBApi_1_1EWrapper.html). The library's
own wrapper puts the time of this machine in the place of each tick's, which is lost there; it
also asks for the account's positions, which are none of our business.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

import attrs

from bond_core.plugin import Context, Event, Fatal, Retryable
from bond_ibkr.refusals import BROKEN_FARMS, ClosedError, Refusal, ending_of, is_notice, refusal_of
from bond_ibkr.ticks import BAR_S, TickReader
from bond_ibkr.waiting import done_within

ANSWER_S = 10.0
"""How long TWS may take to answer a question."""

CLOSE_WITHIN_S = 0.2
"""How long the connection may take to close. Real seconds: it may hang where no clock reaches."""

BURST = 15, 0.5
"""So many requests at most in so many seconds: TWS takes 50 in a second, by its own clock."""

TickType = Literal["Last", "AllLast", "BidAsk", "MidPoint"]


@attrs.define(eq=False)
class Line:
    """One subscription at TWS.

    Attributes:
        number: The request's.
        tick_type: None for real-time bars.
        readers: Who reads it.
        refused: Done when TWS says why it brings nothing.
    """

    number: int
    contract_id: int
    tick_type: TickType | None
    readers: list[TickReader]
    refused: asyncio.Future[Refusal] = attrs.field(
        factory=lambda: asyncio.get_running_loop().create_future()
    )


class Session:
    """One connection.

    Args:
        ib: The module ib_async, or what stands in for it.

    Attributes:
        client: ib_async's client.
        over: Done when the connection is of no use any more; holds what to raise.
        lines: The subscriptions, by the number of their request.
    """

    def __init__(self, ctx: Context, ib: Any) -> None:
        self._ctx = ctx
        self._questions: dict[int, tuple[list[Any], asyncio.Future[Refusal | None]]] = {}
        self._pong: asyncio.Future[int] | None = None
        self._heard: defaultdict[str, list[Event]] = defaultdict(list)
        self._broken_farms: dict[str, int] = {}
        self._closed = asyncio.Event()
        self.over: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.lines: dict[int, Line] = {}
        self.client = ib.Client(self)
        self.client.MaxRequests, self.client.RequestsInterval = BURST
        self.client.decoder.logger = _Unreadable(ctx)
        self.client.apiError += self._complained

    # What the connector does with it

    async def describe(self, contract: Any, name: str) -> list[Any] | Refusal:
        """Return TWS's `ContractDetails` of whatever fits.

        Raises:
            Retryable: It doesn't answer.
        """
        number = self.client.getReqId()
        answered: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
        found: list[Any] = []
        self._questions[number] = found, answered
        try:
            self.client.reqContractDetails(number, contract)
            if not await done_within(self._ctx.clock, answered, ANSWER_S):
                raise Retryable(f"TWS does not answer: asked for the contract {name}")
        finally:
            del self._questions[number]
        return answered.result() or found

    async def time_s(self) -> int:
        """Return the time that TWS tells, seconds since 1970.

        Raises:
            Retryable: It doesn't answer.
        """
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pong = told
        self.client.reqCurrentTime()
        if not await done_within(self._ctx.clock, told, ANSWER_S):
            raise Retryable(f"TWS does not answer: asked for its time {ANSWER_S:g} s ago")
        return told.result()

    def ask(self, tick_type: TickType | None, reader: TickReader) -> Line:
        """Subscribe to ticks, or to bars of five seconds made of trades at all hours.

        A contract that goes by two names, its symbol and its number, is subscribed to once.
        """
        contract = reader.listed.contract
        for line in self.lines.values():
            if (line.contract_id, line.tick_type) == (contract.conId, tick_type):
                line.readers.append(reader)
                return line
        number = self.client.getReqId()
        line = self.lines[number] = Line(number, contract.conId, tick_type, [reader])
        if tick_type is None:
            self.client.reqRealTimeBars(number, contract, BAR_S, "TRADES", False, [])  # noqa: FBT003 -- not only in regular hours
        else:
            # No ticks of before: they would count twice. And a size that changes is a change.
            self.client.reqTickByTickData(number, contract, tick_type, 0, False)  # noqa: FBT003
        return line

    def leave(self, line: Line, reader: TickReader) -> None:
        """Read a subscription no more; the last to leave ends it."""
        line.readers.remove(reader)
        if line.readers or self.lines.get(line.number) is not line:
            return
        del self.lines[line.number]
        if not self.client.isReady():
            return
        if line.tick_type is None:
            self.client.cancelRealTimeBars(line.number)
        else:
            self.client.cancelTickByTickData(line.number)

    async def close(self) -> None:
        """Disconnect, within a moment whatever TWS does."""
        self._end(Retryable("the connection was closed here"))
        connection = self.client.conn
        if not connection.isConnected():
            return
        self.client.disconnect()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), CLOSE_WITHIN_S)
        if (transport := connection.transport) is not None:
            transport.abort()

    # What ib_async's client calls

    def connectAck(self) -> None:
        """TWS has told its version."""

    def setEventsDone(self) -> None:
        """The connection is over, whoever ended it."""
        self._closed.set()
        self._end(ClosedError("TWS closed the connection"))

    def connectionClosed(self) -> None:
        """And it had been ready before."""

    def error(self, reqId: int, code: int, text: str, advanced: str = "") -> None:
        """Take what TWS says about a request, the connection, or how it is."""
        line, question = self.lines.get(reqId), self._questions.get(reqId)
        if (ending := ending_of(code, text)) is not None:
            self._end(ending)
        elif is_notice(code):
            self._noticed(code, text)
        elif line is not None:
            del self.lines[reqId]
            line.refused.set_result(refusal_of(code, text))
        elif question is not None:
            if not question[1].done():
                question[1].set_result(refusal_of(code, text))
        else:
            self._ctx.log.info("TWS says %d of request %d: %s", code, reqId, text)

    def contractDetails(self, reqId: int, details: Any) -> None:
        """Take one contract that fits."""
        if reqId in self._questions:
            self._questions[reqId][0].append(details)

    def contractDetailsEnd(self, reqId: int) -> None:
        """Take that these were all."""
        if reqId in self._questions and not self._questions[reqId][1].done():
            self._questions[reqId][1].set_result(None)

    def currentTime(self, time: int) -> None:
        """Take TWS's time."""
        if self._pong is not None and not self._pong.done():
            self._pong.set_result(time)

    def tickByTickAllLast(
        self, reqId: int, tickType: int, time: int, price: float, size: float,
        tickAttribLast: Any, exchange: str, specialConditions: str,
    ) -> None:  # fmt: skip
        """Take a trade."""
        for reader in self._readers(reqId):
            event = reader.trade(time, price, size, tickAttribLast, exchange, specialConditions)
            self._heard[reader.channel].append(event)

    def tickByTickBidAsk(
        self, reqId: int, time: int, bidPrice: float, askPrice: float,
        bidSize: float, askSize: float, tickAttribBidAsk: Any,
    ) -> None:  # fmt: skip
        """Take a best bid and ask."""
        for reader in self._readers(reqId):
            event = reader.quote(time, bidPrice, askPrice, bidSize, askSize, tickAttribBidAsk)
            self._heard[reader.channel].append(event)

    def tickByTickMidPoint(self, reqId: int, time: int, midPoint: float) -> None:
        """Take the middle between bid and ask."""
        for reader in self._readers(reqId):
            self._heard[reader.channel].append(reader.midpoint(time, midPoint))

    def realtimeBar(  # noqa: PLR0913, PLR0917 -- as the API has it
        self, reqId: int, time: int, open_: float, high: float, low: float, close: float,
        volume: float, wap: float, count: int,
    ) -> None:  # fmt: skip
        """Take a bar of five seconds."""
        for reader in self._readers(reqId):
            self._heard[reader.channel].append(reader.bar(time, open_, high, low, close, volume))

    def bondContractDetails(self, reqId: int, details: Any) -> None:
        """Take one bond that fits."""
        self.contractDetails(reqId, details)

    def openOrder(self, *_: Any) -> None:
        """Leave the orders of a program that goes by the same client id to that program."""

    completedOrder = execDetails = commissionReport = openOrder

    def tcpDataProcessed(self) -> None:
        """Hand on what one packet brought."""
        heard, self._heard = self._heard, defaultdict(list)
        for channel, events in heard.items():
            self._ctx.emit(channel, events)

    # Within

    def _readers(self, number: int) -> Sequence[TickReader]:
        """Return who reads a request's ticks: nobody, where it is over and they are late."""
        line = self.lines.get(number)
        return () if line is None else line.readers

    def _end(self, why: Exception) -> None:
        if not self.over.done():
            self.over.set_result(why)

    def _complained(self, text: str) -> None:
        """Take ib_async's own word for why a connection failed."""
        if "version must be" in text:
            self._end(Fatal(f"update TWS or IB Gateway (ib_async: {text})"))

    def _noticed(self, code: int, text: str) -> None:
        """Log what TWS says of itself, and tell of a gap where a data farm was away."""
        farm = text.rpartition(":")[2]
        now_ns = self._ctx.clock.now_ns()
        is_bad = code in BROKEN_FARMS
        self._ctx.log.log(logging.WARNING if is_bad else logging.INFO, "TWS: %s (%d)", text, code)
        if code == 2103:
            self._broken_farms.setdefault(farm, now_ns)
        elif code == 2104 and farm in self._broken_farms:
            detail = f"TWS had lost its market data farm {farm}; ticks may be missing"
            from_ns = self._broken_farms.pop(farm)
            readers = [reader for line in self.lines.values() for reader in line.readers]
            for channel in {reader.channel for reader in readers}:
                self._ctx.gap(channel, None, from_ns=from_ns, to_ns=now_ns, detail=detail)


class _Unreadable:
    """Stands where ib_async's decoder logs a message that it can't read: counts and tells it."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def exception(self, said: str) -> None:
        """See logging.Logger."""
        self._ctx.log.warning("a message of TWS can't be read: %s", said[:200], exc_info=True)  # noqa: LOG014 -- its caller handles one
        self._ctx.reject("a message of TWS can't be read")
