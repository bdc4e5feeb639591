"""Be the simulated TWS to one client: its handshake, its requests, and their answers."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Protocol

import attrs

from bond_core.clock import NS, Clock
from bond_ibkr.market import LISTED, Instrument
from bond_ibkr.wire import Ask, Tell, frame, read_fields, read_text

TICK_NUMBERS: Mapping[str, int] = {"Last": 1, "AllLast": 2, "BidAsk": 3, "MidPoint": 4}
_MESSAGES_PER_S = 50
_BEGUN = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)


@attrs.define(eq=False)
class Refused:
    """An error that requests are answered with; see `TwsSimulator.refuse`."""

    code: int
    text: str
    symbol: str
    tick_type: str | None
    times: int | None

    def is_about(self, listed: Instrument | None, tick_type: str | None) -> bool:
        """Whether it is the answer to this request; if so, one time is used up."""
        if self.symbol and (listed is None or listed.symbol != self.symbol):
            return False
        if self.tick_type is not None and self.tick_type != tick_type:
            return False
        if self.times is not None:
            if self.times == 0:
                return False
            self.times -= 1
        return True


@attrs.frozen
class Line:
    """A subscription; its tick type is empty for real-time bars."""

    number: int
    listed: Instrument
    tick_type: str


class _Tws(Protocol):
    """What a client needs to know of the TWS it is connected to."""

    asked: list[tuple[str, str, str]]
    clients: list[Client]
    taken: set[int]
    is_away: bool
    clock: Clock

    @property
    def time_s(self) -> int: ...

    @property
    def options(self) -> _Options: ...

    def refusal(self, listed: Instrument | None, tick_type: str | None) -> Refused | None: ...


class _Options(Protocol):
    @property
    def version(self) -> int: ...

    @property
    def lines(self) -> int: ...

    @property
    def hours(self) -> str: ...


class Client:
    """One connection.

    Attributes:
        number: Its client id; -1 until it says it.
        lines: Its subscriptions, by the number of the request.
        is_dropped: Whether TWS has had enough of it.
    """

    def __init__(
        self, tws: _Tws, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = -1
        self.lines: dict[int, Line] = {}
        self.is_dropped = False
        self.writer = writer
        self._tws = tws
        self._reader = reader
        self._times: deque[float] = deque()
        self._warned = 0
        self._answers: Mapping[int, Callable[[list[str]], None]] = {
            Ask.START_API: self._start,
            Ask.CONTRACT_DETAILS: self._describe,
            Ask.CURRENT_TIME: self._time,
            Ask.TICK_BY_TICK: self._tick_by_tick,
            Ask.CANCEL_TICK_BY_TICK: self._cancel,
            Ask.BARS: self._bars,
            Ask.CANCEL_BARS: self._cancel,
        }

    async def serve(self) -> None:
        """Answer until it leaves or has to. IncompleteReadError: it left."""
        if await self._reader.readexactly(4) != b"API\0":
            return
        asked = re.match(r"v(\d+)\.\.(\d+)", await read_text(self._reader))
        if asked is None:
            return
        version = min(int(asked[2]), self._tws.options.version)
        self.writer.write(frame(version, "20261121 09:30:00 UTC"))
        while not self.is_dropped:
            fields = await read_fields(self._reader)
            answer = self._answers.get(int(fields[0]))
            if answer is None:
                self.error(-1, 505, "Fatal Error: Unknown message id.")
            elif self._keeps_pace():
                answer(fields)
            await self.writer.drain()

    def hang(self) -> None:
        """Answer nothing any more."""
        self._answers = dict.fromkeys(Ask, lambda _: None)

    # What it is told

    def error(self, number: int, code: int, text: str) -> None:
        """Say that something is wrong, or how something is."""
        self.writer.write(frame(Tell.ERROR, 2, number, code, text, ""))

    def tick(self, number: int, *values: object) -> None:
        """Tell a tick: its kind, its second, and what that kind has."""
        self.writer.write(frame(Tell.TICK_BY_TICK, number, *values))

    def bar(self, number: int, *values: object) -> None:
        """Tell a bar of five seconds."""
        self.writer.write(frame(Tell.BAR, 3, number, *values))

    # What it asks

    def _start(self, fields: list[str]) -> None:
        self.number = int(fields[2])
        others = {client.number for client in self._tws.clients}
        if self.number in others | self._tws.taken:
            text = "Unable to connect as the client id is already in use. Retry with a unique "
            self.error(-1, 326, text + "client id.")
            self.is_dropped = True
            return
        self._tws.clients.append(self)
        self.writer.write(frame(Tell.MANAGED_ACCOUNTS, 1, "DU0000001"))
        self.writer.write(frame(Tell.NEXT_VALID_ID, 1, 1))
        if self._tws.is_away:
            self.error(-1, 2110, "Connectivity between Trader Workstation and server is broken. "
                                 "It will be restored automatically.")  # fmt: skip
            return
        for code, text in _BEGUN:
            self.error(-1, code, text)

    def _time(self, _: list[str]) -> None:
        self.writer.write(frame(Tell.CURRENT_TIME, 1, self._tws.time_s))

    def _describe(self, fields: list[str]) -> None:
        number, (con_id, symbol, kind) = int(fields[2]), fields[3:6]
        found = [listed for listed in LISTED if _fits(listed, con_id, symbol, kind, fields[12])]
        self._tws.asked.append(("describe", symbol or con_id, ""))
        if self._tws.is_away:
            return
        refused = self._tws.refusal(found[0] if found else None, "details")
        if refused is not None:
            self.error(number, refused.code, refused.text)
        elif not found:
            self.error(number, 200, "No security definition has been found for the request")
        else:
            for listed in found:
                hours = self._tws.options.hours or _always(self._tws.clock.now_ns())
                self.writer.write(frame(*_details(number, listed, hours)))
            self.writer.write(frame(Tell.CONTRACT_DETAILS_END, 1, number))

    def _tick_by_tick(self, fields: list[str]) -> None:
        number, con_id, tick_type = int(fields[1]), fields[2], fields[14]
        open_now = [
            line for each in self._tws.clients for line in each.lines.values() if line.tick_type
        ]
        full = len(open_now) >= self._tws.options.lines
        self._subscribe(number, con_id, tick_type, is_full=full)

    def _bars(self, fields: list[str]) -> None:
        self._subscribe(int(fields[2]), fields[3], "", is_full=False)

    def _subscribe(self, number: int, con_id: str, tick_type: str, *, is_full: bool) -> None:
        listed = next((each for each in LISTED if str(each.con_id) == con_id), None)
        name = listed.symbol if listed else con_id
        self._tws.asked.append(("subscribe", name, tick_type))
        if self._tws.is_away:
            return
        refused = self._tws.refusal(listed, tick_type)
        if listed is None:
            self.error(number, 200, "No security definition has been found for the request")
        elif refused is not None:
            self.error(number, refused.code, refused.text)
        elif is_full:
            self.error(number, 10190, "Max number of tick-by-tick requests has been reached.")
        else:
            self.lines[number] = Line(number, listed, tick_type)

    def _cancel(self, fields: list[str]) -> None:
        number = int(fields[-1])
        line = self.lines.pop(number, None)
        if line is None:
            self.error(number, 300, f"Can't find EId with tickerId:{number}")
        else:
            self._tws.asked.append(("cancel", line.listed.symbol, line.tick_type))

    def _keeps_pace(self) -> bool:
        """Whether it sends no more than 50 messages a second; three times over, it has to go."""
        now = time.monotonic()
        while self._times and now - self._times[0] > 1:
            self._times.popleft()
        self._times.append(now)
        if len(self._times) <= _MESSAGES_PER_S:
            return True
        self.error(-1, 100, "Max rate of messages per second has been exceeded")
        self._warned += 1
        self.is_dropped = self._warned >= 3
        return False


def _fits(listed: Instrument, con_id: str, symbol: str, kind: str, currency: str) -> bool:
    if con_id != "0":
        return con_id == str(listed.con_id)
    return (symbol, kind, currency) == (listed.symbol, listed.kind, listed.currency)


def _always(now_ns: int) -> str:
    """Return hours that never end, for the next days."""
    today = datetime.fromtimestamp(now_ns / NS, UTC).date()
    days = [f"{today + timedelta(days=n):%Y%m%d}:0000" for n in range(7)]
    return ";".join(f"{start}-{end}" for start, end in pairwise(days))


def _details(number: int, listed: Instrument, hours: str) -> list[object]:
    """Return the fields of a contract's details, as of protocol version 164 and later."""
    return [
        Tell.CONTRACT_DETAILS, number, listed.symbol, listed.kind, "", 0, "", listed.exchange,
        listed.currency, listed.symbol, listed.symbol, listed.symbol, listed.con_id, 0.01,
        listed.multiplier, "LMT,MKT", listed.exchange, listed.magnifier, 0, listed.name,
        listed.primary, "", "", "", "", "UTC", hours, hours, "", "", 0,
        1, "", "", "26", "", "COMMON", 1, 1, 100,
    ]  # fmt: skip
