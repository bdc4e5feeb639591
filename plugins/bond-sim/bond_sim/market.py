"""Make prices, trades and quotes from a seed: every value a function of seed, market and time.

Nothing is remembered from one moment to the next, so what a stream sends and what a REST
call answers about the same moment agree, and any moment can be asked for alone.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

from attrs import field, frozen

from bond_core.clock import NS
from bond_sim.instruments import ASSETS, Instrument

SLOT_NS = 50_000_000
"""Trades are drawn for slots of 50 ms and sent when their slot is over."""

_BUSY = ((20 * NS, 0.25), (3 * NS, 0.25), (NS // 2, 0.3))
"""Periods in which trading goes up and down, and by which share: together less than all."""

_OCTAVES = [(4**n * NS, 2.0**n) for n in range(9)]  # periods 1 s .. 18 h, as a random walk's
_STEP = 0.00003  # how far a volatility of 1 moves a price within a second
_SIDES = ("buy", "sell")
_RATE = {"binance": 1.0, "okx": 0.7, "coinbaseexchange": 0.5, "bybit": 0.6, "coinbase": 0.5}


@frozen
class Trade:
    """One trade: time in ns, decimal texts, the taker's side. Sizes are as the venue counts."""

    id: int
    at_ns: int
    price: str
    size: str
    side: str


@frozen
class Quote:
    """The best bid and ask at a time in ns. `number` grows from quote to quote."""

    number: int
    at_ns: int
    bid: str
    bid_size: str
    ask: str
    ask_size: str


@frozen
class Summary:
    """A market's last 24 hours, as decimal texts. Volumes are in base and in quote units."""

    at_ns: int
    open: str
    high: str
    low: str
    last: str
    last_size: str
    base_volume: str
    quote_volume: str


class Market(Protocol):
    """What a venue asks of the market behind it. None: not known."""

    @property
    def instruments(self) -> Mapping[tuple[str, str], Instrument]:
        """Return the markets, by venue and the venue's id."""
        ...

    def recent(
        self, instrument: Instrument, now_ns: int, limit: int, *, below: int | None = None
    ) -> Sequence[Trade]:
        """Return up to `limit` trades before `now_ns`, oldest first; their ids below `below`."""
        ...

    def quote(self, instrument: Instrument, now_ns: int) -> Quote | None:
        """Return the best bid and ask at `now_ns`."""
        ...

    def summary(self, instrument: Instrument, now_ns: int) -> Summary | None:
        """Return the 24 hours before `now_ns`."""
        ...


def _key(*parts: object) -> int:
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def _unit(key: int, k: int) -> float:
    """Return a fixed number in -1..1 for (key, k): splitmix64's finaliser."""
    x = (key + k * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return ((x ^ (x >> 31)) >> 11) / (1 << 52) - 1.0


def _wave(key: int, period_ns: int, at_ns: int) -> float:
    """Return smooth noise in -1..1 that forgets itself within about one period."""
    k, rest = divmod(at_ns, period_ns)
    f = rest / period_ns
    f = f * f * (3 - 2 * f)
    key += period_ns
    return _unit(key, k) * (1 - f) + _unit(key, k + 1) * f


@lru_cache(maxsize=1024)
def _places(step: str) -> int:
    return len(step.partition(".")[2])


@frozen
class SyntheticMarket:
    """A seeded market over these instruments, by (venue, venue's id)."""

    seed: int
    instruments: Mapping[tuple[str, str], Instrument]
    _keys: dict[object, int] = field(init=False, factory=dict)
    _grid: dict[Instrument, tuple[int, list[float]]] = field(init=False, factory=dict)
    _bursts: dict[Instrument, list[tuple[int, list[Trade]]]] = field(init=False, factory=dict)

    def _seeded(self, *parts: object) -> int:
        if parts not in self._keys:
            self._keys[parts] = _key(self.seed, *parts)
        return self._keys[parts]

    def _usd(self, asset: str, at_ns: int) -> float:
        if asset not in ASSETS:
            return 1.0 + 0.0002 * _wave(self._seeded(asset), 600 * NS, at_ns)
        level, _, _, _, volatility = ASSETS[asset]
        key = self._seeded(asset)
        walk = sum(amp * _wave(key, period, at_ns) for period, amp in _OCTAVES)
        return level * math.exp(_STEP * volatility * walk)

    def mid(self, instrument: Instrument, at_ns: int) -> float:
        """Return the middle price: one for the asset, a few hundredths of a percent off here."""
        i = instrument
        key = self._seeded(i.venue, i.id, "offset")
        off = 0.0002 * _unit(key, 0) + 0.00002 * _wave(key, 8 * NS, at_ns)
        return self._usd(i.base, at_ns) / self._usd(i.quote, at_ns) * (1 + off)

    def edges(self, i: Instrument, at_ns: int) -> tuple[int, int]:
        """Return the best bid and ask at a time, in ticks."""
        mid, tick = self.mid(i, at_ns), float(i.tick)
        bid = math.floor(mid * 0.99998 / tick)
        return bid, max(bid + 1, math.ceil(mid * 1.00002 / tick))

    def level_size(self, i: Instrument, at: int, state: int, stands: int) -> float:
        """Return the size at a price in ticks; it stands for up to `stands` states of a book."""
        key = self._seeded(i.venue, i.id, "level") + at
        for_states = 1 + key * 0x9E3779B97F4A7C15 % (1 << 64) % stands
        lots = 1 + round(500 * abs(_unit(key, state // for_states)))
        return lots * float(i.lot)

    def noise(self, i: Instrument, what: str, at_ns: int, period_ns: int) -> float:
        """Return smooth noise in -1..1 of something about a market."""
        return _wave(self._seeded(i.venue, i.id, what), period_ns, at_ns)

    def _edges(self, i: Instrument, at_ns: int) -> tuple[float, float]:
        tick = float(i.tick)
        bid, ask = self.edges(i, at_ns)
        return bid * tick, ask * tick

    def _size(self, i: Instrument, usd: float, at_ns: int) -> str:
        """Return what so many USD buy, as the venue counts it: base units, or contracts."""
        lot = float(i.lot)
        if i.inverse:
            units = usd / float(i.contract_size)
        else:
            units = usd / self._usd(i.base, at_ns) / float(i.contract_size or 1)
        return f"{max(1, round(units / lot)) * lot:.{_places(i.lot)}f}"

    def trades(self, instrument: Instrument, slot: int) -> list[Trade]:
        """Return the trades of one slot, oldest first; ids rise by one from trade to trade."""
        i, start_ns = instrument, slot * SLOT_NS
        first = self._before(i, slot)
        count = self._before(i, slot + 1) - first
        if not count:
            return []
        draw = random.Random(self._seeded(i.venue, i.id) ^ slot)
        first += self._shift(i, slot)
        trades = []
        for n, part in enumerate(sorted(draw.random() for _ in range(count))):
            at_ns = start_ns + int(part * SLOT_NS)
            usd = min(250_000.0, math.exp(draw.gauss(5.5, 1.7)))
            trades.append(self._trade(i, first + n, at_ns, usd, draw.choice(_SIDES)))
        return trades

    def _before(self, i: Instrument, slot: int) -> int:
        """Return how many trades there were before a slot, bursts apart; it never falls.

        Smooth noise runs up and down by at most 3 a period (see `_wave`), so that each period's
        share of a third of it keeps the whole rising.
        """
        at_ns = slot * SLOT_NS
        per_s = ASSETS.get(i.base, ASSETS["DOT"])[3] * _RATE.get(i.venue, 1.0)
        passed_ns = float(at_ns)
        for period_ns, share in _BUSY:
            # The slow rise and fall is the asset's, on all venues; the quick is the market's own.
            key = self._seeded(i.base if period_ns > 5 * NS else (i.venue, i.id), "busy")
            passed_ns += share * period_ns / 3 * _wave(key, period_ns, at_ns)
        return math.floor(per_s * passed_ns / NS)

    def _trade(self, i: Instrument, id: int, at_ns: int, usd: float, side: str) -> Trade:
        bid, ask = self._edges(i, at_ns)
        price = f"{ask if side == 'buy' else bid:.{_places(i.tick)}f}"
        return Trade(id, at_ns, price, self._size(i, usd, at_ns), side)

    def _shift(self, i: Instrument, slot: int) -> int:
        return sum(len(burst) for at, burst in self._bursts.get(i, ()) if at <= slot)

    def burst(self, instrument: Instrument, now_ns: int, n: int) -> list[Trade]:
        """Return `n` trades of this moment, and number all later trades after them."""
        i, slot = instrument, now_ns // SLOT_NS
        first = self._before(i, slot) + self._shift(i, slot)
        pattern = self._trade(i, 0, now_ns, 100.0, "buy")
        price, size = pattern.price, pattern.size
        trades = [Trade(first + k, now_ns, price, size, _SIDES[k % 2]) for k in range(n)]
        self._bursts.setdefault(i, []).append((slot, trades))
        return trades

    def recent(
        self, instrument: Instrument, now_ns: int, limit: int, *, below: int | None = None
    ) -> Sequence[Trade]:
        """Return up to `limit` trades of the last minutes, oldest first."""
        found = (t for t in self._back(instrument, now_ns) if below is None or t.id < below)
        return list(itertools.islice(found, limit))[::-1]

    def _back(self, i: Instrument, now_ns: int) -> Iterator[Trade]:
        """Yield the trades of the last minutes, newest first."""
        now = now_ns // SLOT_NS
        for slot in range(now, now - 4000, -1):
            if slot < now:  # a slot's own are sent when it is over
                yield from reversed(self.trades(i, slot))
            for at, burst in reversed(self._bursts.get(i, ())):
                if at == slot:
                    yield from reversed(burst)

    def quote(self, instrument: Instrument, now_ns: int) -> Quote:
        """Return the best bid and ask at `now_ns`."""
        i, number = instrument, now_ns // SLOT_NS
        bid, ask = self._edges(i, now_ns)
        draw = random.Random(self._seeded(i.venue, i.id, "quote") ^ number)
        sizes = [self._size(i, math.exp(draw.gauss(8.5, 1.2)), now_ns) for _ in "ba"]
        places = _places(i.tick)
        return Quote(number, now_ns, f"{bid:.{places}f}", sizes[0], f"{ask:.{places}f}", sizes[1])

    def summary(self, instrument: Instrument, now_ns: int) -> Summary:
        """Return the 24 hours before `now_ns`, looked at every half hour."""
        i, places, half_hour_ns = instrument, _places(instrument.tick), 1800 * NS
        grid_ns = now_ns // half_hour_ns * half_hour_ns
        if self._grid.get(i, (0, []))[0] != grid_ns:
            self._grid[i] = grid_ns, [self.mid(i, grid_ns - k * half_hour_ns) for k in range(48)]
        seen = list(self._grid[i][1])
        last = float(self.quote(i, now_ns).bid)
        seen.append(last)
        volume = 20_000_000.0 * ASSETS.get(i.base, ASSETS["DOT"])[3] * _RATE.get(i.venue, 1.0)
        base_volume = volume / self._usd(i.base, grid_ns)
        return Summary(
            now_ns,
            f"{seen[47]:.{places}f}",
            f"{max(seen):.{places}f}",
            f"{min(seen):.{places}f}",
            f"{last:.{places}f}",
            self._size(i, 250.0, now_ns),
            f"{base_volume:.4f}",
            f"{base_volume * last:.4f}",
        )
