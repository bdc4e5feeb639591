"""A made-up tape of shares, for simulators: the same trades and quotes for the same seed and time.

Time is cut into slots; what happens in one depends on the seed, the symbol and the slot alone,
so that no client's coming or going changes what others hear.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import AsyncGenerator
from random import Random
from typing import Literal

import attrs

from bond_core.clock import Clock

SLOT_NS = 50_000_000
"""How long a slot is."""

Manner = Literal["regular", "sweep", "odd_lot", "late", "average", "official"]
"""What kind of trade: only the first two count for prices, the last is no trade at all."""

_MANNERS: tuple[Manner, ...] = (
    "regular", "regular", "regular", "sweep", "odd_lot", "odd_lot", "odd_lot", "late", "average",
    "official",
)  # fmt: skip
_ODD = ("odd_lot", "late", "average")


_BEHIND_SLOTS = 100  # further behind than 5 s, the machine slept: go on from now


async def slots(clock: Clock) -> AsyncGenerator[int]:
    """Yield each slot when it is over; none is left out unless the machine slept."""
    slot = clock.now_ns() // SLOT_NS
    while True:
        await clock.sleep_until((slot + 1) * SLOT_NS)
        yield slot
        now = clock.now_ns() // SLOT_NS
        slot = slot + 1 if now - slot <= _BEHIND_SLOTS else now


@attrs.frozen
class Print:
    """One line of the tape.

    Attributes:
        number: Unique in the symbol's tape, and rising.
        price: Cents are whole; that of an odd kind is far off, so that counting it shows.
        size: In shares.
    """

    symbol: str
    at_ns: int
    number: int
    price: float
    size: int
    manner: Manner


@attrs.frozen
class Best:
    """The best bid and ask; sizes in round lots of 100 shares."""

    symbol: str
    at_ns: int
    bid: float
    ask: float
    bid_lots: int
    ask_lots: int


@attrs.frozen
class Tape:
    """The tape of all symbols.

    Attributes:
        seed: What it grows from.
        per_slot: Trades of a symbol in a slot, at most.
    """

    seed: int
    per_slot: int = 3

    def prints(self, symbol: str, slot: int) -> list[Print]:
        """Return the trades of a slot, in order."""
        chance = Random(f"{self.seed}:{symbol}:{slot}")  # noqa: S311 -- a market, not a secret
        start_ns = slot * SLOT_NS
        times = sorted(
            start_ns + chance.randrange(SLOT_NS) for _ in range(chance.randint(0, self.per_slot))
        )
        made = []
        for n, at_ns in enumerate(times):
            manner = chance.choice(_MANNERS)
            cents = self._cents(symbol, slot) + chance.randint(-4, 4)
            if manner in _ODD:
                cents += chance.choice((-1, 1)) * 500
            size = chance.randint(1, 99) if manner == "odd_lot" else 100 * chance.randint(1, 20)
            number = slot * self.per_slot + n
            made.append(Print(symbol, at_ns, number, cents / 100, size, manner))
        return made

    def best(self, symbol: str, slot: int) -> Best:
        """Return the quote at a slot's end."""
        chance = Random(f"{self.seed}:{symbol}:{slot}:q")  # noqa: S311 -- as above
        cents, half = self._cents(symbol, slot), chance.randint(1, 3)
        return Best(
            symbol, (slot + 1) * SLOT_NS - 1, (cents - half) / 100, (cents + half) / 100,
            chance.randint(1, 9), chance.randint(1, 9),
        )  # fmt: skip

    def _cents(self, symbol: str, slot: int) -> int:
        """Return where the market stands: it swings about a price of the symbol's own."""
        own = 5_000 + zlib.crc32(f"{self.seed}:{symbol}".encode()) % 25_000
        turn = math.sin(slot * SLOT_NS / 60e9 * 2 * math.pi)
        return own + round(own * 0.002 * turn)
