"""Read and write the size of a bar that isn't a time: `100ticks`, `10vol`, `50000value`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal

import attrs

Measure = Literal["ticks", "volume", "value"]

MAX_SIZE = Decimal(10) ** 15
MIN_SIZE = Decimal(10) ** -9

_UNITS: dict[str, Measure] = {
    "t": "ticks", "tick": "ticks", "ticks": "ticks", "trade": "ticks", "trades": "ticks",
    "v": "volume", "vol": "volume", "vols": "volume", "volume": "volume",
    "value": "value", "dollar": "value", "dollars": "value",
}  # fmt: skip
_SHORT = {"ticks": "ticks", "volume": "vol", "value": "value"}
_TEXT = re.compile(
    r"\s*([0-9](?:[0-9_,]{0,20}[0-9])?(?:\.[0-9]{1,9})?)\s*([a-z]+)\s*", re.IGNORECASE
)


@attrs.frozen(order=True)
class BarSize:
    """When a bar is full.

    Attributes:
        measure: What fills it: trades, their sizes (in base units), or price times size (in the
            quote currency).
        size: How much of that.
    """

    measure: Measure
    size: Decimal

    def __str__(self) -> str:
        return f"{self.size.normalize():f}{_SHORT[self.measure]}"


def parse_bar_size(text: str) -> BarSize | None:
    """Return a bar's size, None for a text that says none.

    Raises:
        ValueError: It says one that no bar can have; says why.
    """
    found = _TEXT.fullmatch(text)
    measure = _UNITS.get(found[2].lower()) if found else None
    if found is None or measure is None:
        return None
    size = Decimal(found[1].replace("_", "").replace(",", ""))
    if measure == "ticks" and size != size.to_integral_value():
        raise ValueError("ticks are counted whole")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError("must be more than 0, and at most 10^15")
    return BarSize(measure, size)
