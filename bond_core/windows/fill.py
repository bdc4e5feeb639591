"""Say something, or nothing, of windows in which nothing was traded.

    null       as it is: prices unknown, sums 0
    previous   open, high, low and close are the last close, and the record is `filled`
    skip       no record; the next one says how many were left out

Only silence that was heard is filled or skipped: of a source that was down nothing is known,
so its windows are sent as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from bond_core.model.record import Record, Value
from bond_core.windows.plan import Fill

CLOSE = "price_close"
PRICES = ("price_open", "price_high", "price_low", CLOSE)


@attrs.define(eq=False)
class Filler:
    """What silent windows are filled with.

    Attributes:
        closes: The last close, by timeframe and symbol.
        skipped: Windows left out since the last record, by timeframe and symbol.
    """

    fill: Fill
    closes: dict[tuple[int, str], Value] = attrs.field(factory=dict)
    skipped: dict[tuple[int, str], int] = attrs.field(factory=dict)

    def previous(self, timeframe: int, record: Record, *, is_heard: bool) -> None:
        """Fill a record that has no close with the last one, or remember the close that it has."""
        close = record.values.get(CLOSE)
        if close is not None:
            self.closes[timeframe, record.symbol] = close
            return
        last = self.closes.get((timeframe, record.symbol))
        if last is not None and is_heard:
            fill_with(record, last)

    def forget(self, symbol: str) -> None:
        """Let go what is known of a symbol; the last close only where it isn't asked for."""
        if self.fill != "previous":
            for key in [key for key in self.closes if key[1] == symbol]:
                del self.closes[key]

    def sent(self, timeframe: int, records: Sequence[Record]) -> list[Record]:
        """Return the records that are sent."""
        if self.fill != "skip":
            return list(records)
        sent = []
        for record in records:
            key = (timeframe, record.symbol)
            if is_silent(record):
                self.skipped[key] = self.skipped.get(key, 0) + 1
            else:
                record.skipped = self.skipped.pop(key, 0)
                sent.append(record)
        return sent


def fill_with(record: Record, close: Value) -> None:
    """Make a record say that its price stayed what it was."""
    prices = {name: close for name in PRICES if name in record.values}
    record.values = {**record.values, **prices}
    record.filled = True


def is_silent(record: Record) -> bool:
    """Whether all was heard, and there was nothing: no event, and nothing to tell."""
    return not record.notices and all(
        report.coverage == 1.0
        and not (report.count or report.late or report.duplicates)
        and not (report.rejected or report.gaps)
        for report in record.sources.values()
    )
