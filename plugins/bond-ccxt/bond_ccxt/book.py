"""Keep one order book: levels in order of price, what the venue numbers, and its checksums.

Sizes are kept as the venue counts them; what leaves is in base units. The venue's own texts are
kept only where a checksum is made of them.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from math import inf

import attrs

from bond_ccxt.parse import LEVELS
from bond_core.plugin import OrderBook

Level = tuple[float, float]
Texts = tuple[str, str]
"""Price and size as the venue wrote them."""


@attrs.frozen(kw_only=True)
class Update:
    """What one message says of one book; sizes are absolute, 0 takes a level away.

    Attributes:
        is_snapshot: Whether it is the whole book.
        ts: The venue's time, ns; None where it gives none.
        first: The number of the first change in it; None where the venue has no such thing.
        last: The number of the last change in it.
        before: The number of the last change before it.
        checksum: Of the book once this is in it.
    """

    symbol: str
    bids: Sequence[Texts]
    asks: Sequence[Texts]
    is_snapshot: bool = False
    ts: int | None = None
    first: int | None = None
    last: int | None = None
    before: int | None = None
    checksum: int | None = None


@attrs.define(eq=False)
class Side:
    """One side, best first.

    Attributes:
        sign: -1 for bids, so that keys rise from the best level on.
        keys: Of each level its price times `sign`.
        texts: By price, as the venue wrote the level.
    """

    sign: int
    scale: Callable[[str], float] = float
    keys: list[float] = attrs.field(factory=list)
    levels: list[Level] = attrs.field(factory=list)
    texts: dict[float, Texts] = attrs.field(factory=dict)

    def fill(self, written: Iterable[Texts]) -> None:
        """Take these levels in place of all."""
        found = {}
        self.texts = {}
        for each in written:
            price, size = self._read(each)
            if size:
                found[price], self.texts[price] = size, each
        self.levels = sorted(found.items(), reverse=self.sign < 0)
        self.keys = [price * self.sign for price, _ in self.levels]

    def put(self, written: Texts) -> None:
        """Set the size at a price, 0 for none."""
        price, size = self._read(written)
        key = price * self.sign
        at = bisect_left(self.keys, key)
        is_there = at < len(self.keys) and self.keys[at] == key
        if not size:
            if is_there:
                del self.keys[at], self.levels[at], self.texts[price]
            return
        self.texts[price] = written
        if is_there:
            self.levels[at] = (price, size)
        else:
            self.keys.insert(at, key)
            self.levels.insert(at, (price, size))

    def _read(self, written: Texts) -> Level:
        price, size = float(written[0]), self.scale(written[1])
        if not (0 < price < inf and 0 <= size < inf):
            raise ValueError("a level has no price above 0, or no size")
        return price, size

    def cut(self, n: int) -> None:
        """Let go all but the best `n`."""
        for price, _ in self.levels[n:]:
            del self.texts[price]
        del self.keys[n:], self.levels[n:]

    def written(self, n: int) -> list[Texts]:
        """Return the best `n` as the venue wrote them."""
        return [self.texts[price] for price, _ in self.levels[:n]]


@attrs.define(eq=False)
class Book:
    """A book as it stands.

    Attributes:
        number: Of the newest change in it; None where the venue has no such thing.
        ts: Of the newest event made of it, ns; it never goes back.
        made: How many events were made of it: orders those of equal time.
    """

    symbol: str
    venue: str
    bids: Side
    asks: Side
    size_unit: str | None = None
    number: int | None = None
    ts: int = 0
    made: int = 0

    def take(self, update: Update, depth: int | None = None) -> None:
        """Take an update in; keep `depth` levels of each side, all where it is None."""
        if update.is_snapshot:
            self.bids.fill(update.bids)
            self.asks.fill(update.asks)
        else:
            for written in update.bids:
                self.bids.put(written)
            for written in update.asks:
                self.asks.put(written)
        if depth is not None:
            self.bids.cut(depth)
            self.asks.cut(depth)
        self.number = update.last

    @property
    def is_crossed(self) -> bool:
        """Whether somebody bids what another asks, or more: then a change was missed."""
        bids, asks = self.bids.levels, self.asks.levels
        return bool(bids and asks and bids[0][0] >= asks[0][0])

    def event(self, *, is_snapshot: bool, ts: int | None, now_ns: int) -> OrderBook:
        """Return the top of it. Where the venue gave no time it happened when it was heard."""
        self.ts = max(self.ts, now_ns if ts is None else ts)
        self.made += 1
        return OrderBook(
            symbol=self.symbol,
            ts=self.ts,
            bids=tuple(self.bids.levels[:LEVELS]),
            asks=tuple(self.asks.levels[:LEVELS]),
            is_snapshot=is_snapshot,
            sequence=self.number,
            seq=self.made,
            venue=self.venue,
            size_unit=self.size_unit,
        )


def okx_checksum(book: Book) -> int:
    """Return OKX's: CRC32, signed, of the best 25 of both sides by turns, `price:size` each.

    Source: https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel
    """
    bids, asks = book.bids.written(25), book.asks.written(25)
    parts: list[str] = []
    for at in range(max(len(bids), len(asks))):
        for side in (bids, asks):
            if at < len(side):
                parts += side[at]
    unsigned = zlib.crc32(":".join(parts).encode())
    return unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned


def kraken_checksum(book: Book) -> int:
    """Return Kraken's (v2): CRC32 of the best 10 asks, then bids, as digits.

    Each price and size without its point and its leading zeros.
    Source: https://docs.kraken.com/api/docs/guides/spot-ws-book-v2
    """
    levels = (*book.asks.written(10), *book.bids.written(10))
    digits = (text.replace(".", "").lstrip("0") for level in levels for text in level)
    return zlib.crc32("".join(digits).encode())
