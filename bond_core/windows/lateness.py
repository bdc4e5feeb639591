"""Say what happened to events whose window was closed.

drop     it is in no window, but it is counted as late, and told; a larger window that is
still open doesn't get it either, so that a minute is the sum of its seconds
side     the same, and it is handed to who asked for it
update   its windows that were sent are sent again, whole, with the next `rev`; larger ones
that are still open just have it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from bond_core.model.event import Event
from bond_core.model.record import Notice, SourceReport

if TYPE_CHECKING:
    from bond_core.windows.symbol_state import SymbolState


@attrs.define
class Late:
    """The late events of one source and symbol since a record.

    Attributes:
        count: How many.
        oldest_ns: The earliest of their times.
        newest_ns: The latest of their times.
        age_ns: How old the one was that took longest to come.
    """

    count: int = 0
    oldest_ns: int = 0
    newest_ns: int = 0
    age_ns: int = 0

    def add(self, event: Event) -> None:
        """Count an event."""
        self.oldest_ns = min(self.oldest_ns, event.ts) if self.count else event.ts
        self.newest_ns = max(self.newest_ns, event.ts) if self.count else event.ts
        self.age_ns = max(self.age_ns, event.recv_ts - event.ts)
        self.count += 1

    def notice(self, source: str) -> Notice:
        """Tell of them."""
        one = self.count == 1
        return Notice(
            code="late_dropped",
            source=source,
            from_ns=self.oldest_ns,
            to_ns=self.newest_ns,
            detail=(
                f"{self.count} event{'' if one else 's'} of {source} came after "
                f"{'its' if one else 'their'} window had closed and "
                f"{'is' if one else 'are'} in no record; "
                f"{'it was' if one else 'the oldest was'} {self.age_ns / 1e9:.3f} s old"
            ),
        )


def drop(event: Event, tallies: Iterable[Late]) -> None:
    """Count a late event in each of the tallies, and nowhere else."""
    for late in tallies:
        late.add(event)


def revised_reports(
    sent: Mapping[str, SourceReport], late: Mapping[SymbolState, int], start_ns: int, end_ns: int
) -> dict[str, SourceReport]:
    """Return the reports of a record that is sent again: the counts are the whole window's.

    What else is counted was told by the record before, and is 0. Coverage may have grown: what
    was fetched completely counts as heard.
    """
    reports = {
        name: attrs.evolve(report, late=0, duplicates=0, gaps=0, rejected=0, repaired=())
        for name, report in sent.items()
    }
    for state, n in late.items():
        plan = state.source.plan
        report = reports.get(plan.name) or SourceReport(
            status=state.status, reason=state.reason, simulated=plan.simulated, scope=plan.scope,
            coverage=0.0, count=None,
        )  # fmt: skip
        count = (report.count or 0) + n
        coverage = max(report.coverage, state.coverage.share(start_ns, end_ns, count=count))
        reports[plan.name] = attrs.evolve(
            report,
            count=count if coverage else None,
            coverage=coverage,
            repaired=tuple(each for each in state.repaired if each.touches(start_ns, end_ns)),
        )
    return reports


def revision_notice(late: Mapping[SymbolState, int]) -> Notice:
    """Tell why a record is sent again."""
    total = sum(late.values())
    names = ", ".join(dict.fromkeys(state.source.plan.name for state in late))
    if not total:
        detail = f"it is known now that {names} missed nothing; this record replaces the one before"
        return Notice(code="revised", detail=detail)
    came = "event came" if total == 1 else "events came"
    detail = f"{total} {came} late from {names}; this record replaces the one before it"
    return Notice(code="revised", detail=detail)
