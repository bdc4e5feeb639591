"""Know what one source brought for one symbol, and whether it was heard.

SymbolState   one source and one symbol of the stream (or the whole stream)
Tally         what happened there since the last record of one timeframe
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import attrs

from bond_core.model.record import Notice, Repaired, SourceReport, Status
from bond_core.windows import lag
from bond_core.windows.coverage import Coverage
from bond_core.windows.lateness import Late
from bond_core.windows.pane import OpenWindows, PanePart, no_part

if TYPE_CHECKING:
    from bond_core.windows.source_state import SourceState

MAX_REPAIRED = 32
"""So many repairs one record tells of one source and symbol; the notices tell of all."""


@attrs.define
class Tally:
    """What one source brought for one symbol since its last record of one timeframe."""

    count: int = 0
    lag_step: int = 1
    lags: Sequence[int] = ()
    late: Late = attrs.field(factory=Late)
    duplicates: int = 0
    rejected: int = 0
    gaps: int = 0
    repaired: Sequence[Repaired] = ()

    def add(self, part: PanePart) -> None:
        """Take in what a closed pane counted."""
        if self.count:
            self.lag_step, self.lags = lag.join(
                self.lag_step, list(self.lags), part.mask + 1, part.lags
            )
        else:
            self.lag_step, self.lags = part.mask + 1, list(part.lags)  # its own: more may come late
        self.count += part.n

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to tell."""
        return not (
            self.count or self.late.count or self.duplicates or self.rejected or self.gaps
            or self.repaired
        )  # fmt: skip

    def clear(self) -> None:
        """Start afresh: a record has told of it all."""
        self.count = self.duplicates = self.rejected = self.gaps = 0
        self.lag_step, self.lags, self.repaired = 1, (), ()
        if self.late.count:
            self.late = Late()


@attrs.define(eq=False)
class SymbolState:
    """What one source is for one symbol of the stream.

    Attributes:
        symbol: None where the source belongs to no symbol.
        windows: Where its events add up, with those of other sources of the kind.
        tallies: One for each timeframe, then one for each size of bars.
        timeframes: How many timeframes there are.
        parts: Its open panes by start, ns.
        kept: Its parts in closed panes that may still change, by start, ns.
        current: The newest of them, which the loop finds first.
        repaired: What was fetched for it, as long as windows it is about may be sent again.
        mended: Starts of closed panes of which more is known than was sent.
        homes: Where the loop finds it: a map and a key each.
    """

    source: SourceState
    symbol: str | None
    windows: OpenWindows
    tallies: list[Tally]
    timeframes: int
    homes: list[tuple[dict[str, PanePart], str]] = attrs.field(factory=list)
    status: Status = "starting"
    reason: str | None = None
    coverage: Coverage = attrs.field(factory=Coverage)
    parts: dict[int, PanePart] = attrs.field(factory=dict)
    kept: dict[int, PanePart] = attrs.field(factory=dict)
    repaired: list[Repaired] = attrs.field(factory=list)
    mended: frozenset[int] = frozenset()
    _none: PanePart = attrs.field(init=False)
    current: PanePart = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._none = self.current = no_part(self)

    @property
    def is_closed(self) -> bool:
        """Whether none of its panes is open."""
        return self.current is self._none

    def use(self, part: PanePart) -> None:
        """Make a part the one that the loop finds first."""
        self.current = part
        for parts, symbol in self.homes:
            parts[symbol] = part
        if self.symbol is None:
            self.source.otherwise = part

    def close(self, start_ns: int, *, keeps: bool = False) -> int:
        """Take a pane's part out and add it to the tallies; returns its number of events.

        Args:
            start_ns: Which.
            keeps: Whether late events may still come to it.
        """
        part = self.parts.pop(start_ns, None)
        if part is None:
            return 0
        if part is self.current:
            self.use(self.parts[max(self.parts)] if self.parts else self._none)
        for tally in self.tallies[: self.timeframes]:
            tally.add(part)
        if keeps:
            part.told = part.n
            self.kept[start_ns] = part
        return part.n

    def forget(self, before_ns: int) -> None:
        """Let go the closed parts that start before a time."""
        for start_ns in [start for start in self.kept if start < before_ns]:
            del self.kept[start_ns]
        if self.repaired:
            self.repaired = [each for each in self.repaired if each.until_ns >= before_ns]

    def repair(self, repaired: Repaired, sent: Iterable[int], pane_ns: int) -> set[int]:
        """Take in what was fetched for it; return the sent panes that it makes more known.

        Args:
            repaired: What was fetched, and what is still missing.
            sent: Starts of panes that may be sent again.
            pane_ns: Their length.
        """
        if len(self.repaired) < MAX_REPAIRED:
            self.repaired.append(repaired)
        for tally in self.tallies:
            if len(tally.repaired) < MAX_REPAIRED:
                tally.repaired = (*tally.repaired, repaired)
        touched = [at for at in sent if repaired.touches(at, at + pane_ns)]
        before = [self.coverage.live_ns(at, at + pane_ns) for at in touched]
        gap_ns, end_ns = repaired.missing or (repaired.until_ns, repaired.until_ns)
        self.coverage.mend(repaired.from_ns, gap_ns)
        self.coverage.mend(end_ns, repaired.until_ns)
        mended = {
            at
            for at, live_ns in zip(touched, before, strict=True)
            if self.coverage.live_ns(at, at + pane_ns) > live_ns
        }
        self.mended |= mended
        return mended

    def turn(self, status: Status, at_ns: int, reason: str | None) -> None:
        """Take in what was said of the source's status."""
        self.status, self.reason = status, reason
        self.coverage.turn(status == "live", at_ns)

    def report(
        self, timeframe: int, start_ns: int, end_ns: int
    ) -> tuple[SourceReport | None, Notice | None]:
        """Report on a window, tell of late events, and start a new tally.

        There is nothing to say of a source that had left before the window.
        """
        tally = self.tallies[timeframe]
        source = self.source
        if start_ns == end_ns:
            start_ns -= 1  # bars that one trade fills have no length
        coverage = self.coverage.share(start_ns, end_ns, count=tally.count)
        if not coverage and source.left_ns < end_ns and tally.is_blank:
            return None, None
        late = tally.late
        report = SourceReport(
            status=self.status,
            reason=self.reason,
            simulated=source.plan.simulated,
            coverage=coverage,
            count=tally.count if coverage else None,
            lag_ms=lag.median_ms(tally.lags),
            late=late.count,
            duplicates=tally.duplicates,
            rejected=tally.rejected,
            gaps=tally.gaps,
            scope=source.plan.scope,
            repaired=tuple(tally.repaired),
        )
        told = late.notice(source.plan.name) if late.count else None
        tally.clear()
        return report, told
