"""Read a recorded WebSocket session in cryptofeed's format.

    wss://host/path <-> 1633998511.15          connection opened
    wss://host/path <- 1618677817.02: {...}    a frame that the client sent
    1633998512.06: {...}                       a frame received, unix time of receipt in seconds

Source: the `raw_data_collection` files of https://github.com/bmoscon/cryptofeed.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from bond_core.clock import NS
from bond_sim.instruments import Instrument, finest
from bond_sim.market import Quote, Summary, Trade
from bond_sim.venue import Seen, Venue
from bond_sim.venues import BY_NAME

_HOSTS = {"okx.com": "okx", "coinbase.com": "coinbaseexchange", "binance.com": "binance"}
_KEPT_TRADES = 1000


class RecordingError(ValueError):
    """A recording that cannot be read: says which file and line, and what was expected."""


@frozen
class RecordedFrame:
    """One data frame: when it was received, and what it said, decoded."""

    at_ns: int
    message: Any


@frozen
class RecordedSymbol:
    """One market in a recording, and the channels that it holds for it.

    `id` is the venue's name for it, `symbol` ccxt's; `channels` are `trades`, `quotes` or
    the venue's own names, as in `Subscription`.
    """

    venue: str
    id: str
    symbol: str
    channels: frozenset[str]


@frozen
class Recording:
    """A whole session: its venue, the time of its first line, its data frames in order."""

    venue: Venue
    start_ns: int
    frames: Sequence[RecordedFrame]
    symbols: Sequence[RecordedSymbol]
    instruments: Mapping[tuple[str, str], Instrument]
    wires: frozenset[str]


def recording_start_ns(path: str | Path) -> int:
    """Return the first time in a recording, in ns: what a clock that plays it starts at."""
    return next(_lines(Path(path)))[1]


def symbols(path: str | Path) -> list[RecordedSymbol]:
    """Return the markets in a recording, in the order of their names."""
    return list(read_recording(path).symbols)


def read_recording(path: str | Path) -> Recording:
    """Read a recording. RecordingError: not such a file, or of a venue not played here."""
    path = Path(path)
    lines = _lines(path)
    head, start_ns, _ = next(lines)
    named = [venue for host, venue in _HOSTS.items() if host in head]
    if not named:
        raise RecordingError(f"{path.name}: {head or 'its first line'} names no known venue")
    venue = BY_NAME[named[0]]
    frames, about = [], _About(venue)
    for head, at_ns, text in lines:
        if head or not text:
            continue
        frame = RecordedFrame(at_ns, json.loads(text))
        if about.take(frame.message):
            frames.append(frame)
    if not frames:
        raise RecordingError(f"{path.name}: no data frame of {venue.name} in it")
    return Recording(
        venue, start_ns, frames, about.symbols(), about.instruments(), frozenset(about.wires)
    )


def _lines(path: Path) -> Iterator[tuple[str, int, str]]:
    """Give (address, or empty where received; time in ns; text) for each line."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            head, rest = "", line
            if line.startswith(("ws://", "wss://")):
                head, _, rest = line.partition(" <")
                rest = rest.lstrip("->").lstrip()
            time, _, text = rest.partition(": ")
            try:
                yield head, int(Decimal(time.strip()) * NS), text.strip()
            except ArithmeticError:
                raise RecordingError(
                    f"{path.name}, line {number}: no time where one was expected: {line[:80]!r}"
                ) from None


@define
class _About:
    """What the frames of a recording say about its markets."""

    venue: Venue
    wires: set[str] = field(factory=set)
    _channels: dict[str, set[str]] = field(factory=lambda: defaultdict(set))
    _prices: dict[str, set[str]] = field(factory=lambda: defaultdict(set))
    _sizes: dict[str, set[str]] = field(factory=lambda: defaultdict(set))

    def take(self, message: Any) -> bool:
        """Note what a frame says; return whether it is a data frame."""
        carried = self.venue.recorded(message)
        if not carried:
            return False
        self.wires |= {wire for wire, _ in carried}
        about = self.venue.about(carried[0][0])
        self._channels[about.symbol].add(about.channel)
        seen = self.venue.seen(message)
        prices, sizes = self._prices[about.symbol], self._sizes[about.symbol]
        for trade in seen.trades:
            prices.add(trade.price)
            sizes.add(trade.size)
        if seen.quote is not None:
            prices |= {seen.quote.bid, seen.quote.ask}
            sizes |= {seen.quote.bid_size, seen.quote.ask_size}
        return True

    def instruments(self) -> dict[tuple[str, str], Instrument]:
        """Return the markets; their steps are the decimals that were seen."""
        found = {}
        for id in sorted(self._channels):
            tick, lot = finest(self._prices[id]), finest(self._sizes[id])
            found[self.venue.name, id] = self.venue.read_instrument(id, tick, lot)
        return found

    def symbols(self) -> list[RecordedSymbol]:
        """Return the markets and their channels."""
        return [
            RecordedSymbol(i.venue, i.id, i.symbol, frozenset(self._channels[i.id]))
            for i in self.instruments().values()
        ]


@define
class RecordedMarket:
    """What has been played so far: the market behind a player's REST answers."""

    instruments: Mapping[tuple[str, str], Instrument]
    _trades: dict[str, deque[Trade]] = field(factory=dict)
    _quotes: dict[str, Quote] = field(factory=dict)

    def saw(self, seen: Seen) -> None:
        """Take note of a frame that was played."""
        if seen.trades:
            kept = self._trades.setdefault(seen.symbol, deque(maxlen=_KEPT_TRADES))
            kept.extend(seen.trades)
        if seen.quote is not None:
            self._quotes[seen.symbol] = seen.quote

    def recent(
        self, instrument: Instrument, now_ns: int, limit: int, *, below: int | None = None
    ) -> Sequence[Trade]:
        """Return the last trades played, at most 1,000."""
        kept = [t for t in self._trades.get(instrument.id, ()) if below is None or t.id < below]
        return list(itertools.islice(kept, max(0, len(kept) - limit), None))

    def quote(self, instrument: Instrument, now_ns: int) -> Quote | None:
        """Return the last quote played."""
        return self._quotes.get(instrument.id)

    def summary(self, instrument: Instrument, now_ns: int) -> Summary | None:
        """Return a summary of the trades played; None before the first."""
        kept = self._trades.get(instrument.id)
        if not kept:
            return None
        prices = [Decimal(t.price) for t in kept]
        sizes = [Decimal(t.size) for t in kept]
        value = sum((p * s for p, s in zip(prices, sizes, strict=True)), Decimal())
        return Summary(
            kept[-1].at_ns,
            kept[0].price,
            str(max(prices)),
            str(min(prices)),
            kept[-1].price,
            kept[-1].size,
            str(sum(sizes, Decimal())),
            f"{value:f}",
        )
