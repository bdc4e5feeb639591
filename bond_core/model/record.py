"""The record: what one closed window of one symbol says, to everyone.

How it looks as JSON is `bond_core.wire.codec`'s job; the fields' meaning is in
`docs/records.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs

Status = Literal["starting", "live", "stale", "reconnecting", "failed"]
Value = float | int | str | Mapping[str, float | None] | Sequence[tuple[float, float]] | None
"""A field's value. Few fields are more than one: numbers by venue, levels of an order book."""


@attrs.frozen(kw_only=True)
class Repaired:
    """What was fetched after a source hadn't been heard.

    Attributes:
        from_ns: From when on events were, or may have been, missing, ns.
        until_ns: Until when.
        events: How many were fetched that had not been heard.
        detail: What became of it, as a sentence.
        missing: From when until when events may still be missing; None if none are.
    """

    from_ns: int
    until_ns: int
    events: int
    detail: str
    missing: tuple[int, int] | None = None

    def touches(self, start_ns: int, end_ns: int) -> bool:
        """Whether it is about a part of `[start, end)`."""
        return self.from_ns < end_ns and self.until_ns >= start_ns

    def notice(self, source: str) -> Notice:
        """Return what is told of it: a repair, or what is still missing as a gap."""
        code = "gap" if self.missing else "repaired"
        from_ns, to_ns = self.missing or (self.from_ns, self.until_ns)
        return Notice(code=code, source=source, detail=self.detail, from_ns=from_ns, to_ns=to_ns)


@attrs.define(kw_only=True)
class SourceReport:
    """How one source served one symbol since that symbol's previous record.

    Attributes:
        status: Now, at the window's close.
        reason: Why, where the status is `failed`, `reconnecting` or `stale`.
        simulated: Whether its events are made up.
        coverage: How much of the window the source was heard, 0 to 1.
        count: Events that went into this window.
        lag_ms: Median of receive time less event time over those events; None without any.
        late: Events that came after their window had closed, not counted in it.
        duplicates: Events that the source had sent before.
        gaps: Holes that were noticed.
        rejected: Events that made no sense (a NaN, a negative size, a time in the future).
        scope: `symbol`, or `stream` where the source belongs to no symbol.
        repaired: What was fetched for holes; in a record that is sent again, for those in its
            window.
    """

    status: Status
    coverage: float
    count: int | None
    lag_ms: int | None = None
    late: int = 0
    duplicates: int = 0
    gaps: int = 0
    rejected: int = 0
    reason: str | None = None
    simulated: bool = False
    scope: Literal["symbol", "stream"] = "symbol"
    repaired: Sequence[Repaired] = ()


@attrs.frozen(kw_only=True)
class Notice:
    """Something everybody should know that happened since the last record.

    Attributes:
        code: `gap`, `repaired`, `late_dropped`, `failover`, `stale`, `recovered`, `takeover`,
            `rejected`, …
        source: The name of the source it is about, or None for the stream.
        from_ns: When it began, ns; None where it has no extent.
        to_ns: When it ended, ns.
        detail: A sentence.
        alert: Which alert it tells of; None where it tells of none.
    """

    code: str
    detail: str
    source: str | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    alert: str | None = None


@attrs.frozen
class BarName:
    """Which bar a record is, where trades closed its window.

    Attributes:
        timeframe: Its size: `100ticks`.
        number: How many there were before it, of its symbol, since the stream's start.
    """

    timeframe: str
    number: int


@attrs.define(kw_only=True)
class Record:
    """One window of one symbol.

    What it is about is `(symbol, timeframe, window_start_ns, rev)`, and `bar` where one trade
    may have filled several; its position in the log, the `id` that clients see, is given when
    it is appended.

    Attributes:
        values: The fields of the stream's feeds, always all of them; None is unknown.
        sources: By source name.
        rev: 0, and one more for each correction.
        partial: Whether the stream ran for only a part of the window.
        served: Names of the venues that contributed, in the spec's order.
        size_unit: What sizes count where it isn't base units.
        passes: Whether it fulfils the stream's filter; one that doesn't is sent now and then.
        skipped: Windows before this one that were held back: by a filter, or as silent.
        bar: Which bar it is, where its window is not one of time.
        filled: Whether its prices are the last close, because nothing was traded.
    """

    symbol: str
    timeframe_ns: int
    window_start_ns: int
    window_end_ns: int
    values: Mapping[str, Value]
    sources: Mapping[str, SourceReport]
    rev: int = 0
    partial: bool = False
    notices: Sequence[Notice] = ()
    served: Sequence[str] = ()
    size_unit: str | None = None
    skipped: int = 0
    passes: bool = True
    filled: bool = False
    bar: BarName | None = None
