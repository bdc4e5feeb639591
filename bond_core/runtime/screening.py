"""Look at closed windows before they are published: hold records back, and raise alerts.

With a filter, what it holds back is counted in the next record of its symbol and timeframe, and
nothing that it told is lost: its notices and what its sources counted go on with that record. At
least every 15 s a record is sent all the same, and says that it doesn't pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from bond_core.model.record import Notice, Record, SourceReport
from bond_core.runtime.alerting import Alert
from bond_core.runtime.screen_memory import plain, restore
from bond_core.spec.conditions.evaluate import Condition, Memory, condition_of
from bond_core.spec.conditions.parse import parse_condition
from bond_core.spec.stream_spec import StreamSpec
from bond_core.windows.engine import ClosedWindow

MAX_SILENCE_NS = 15_000_000_000
"""For so long a filter may hold back everything of a symbol."""

_MAX_NOTICES = 32
_COUNTS = ("late", "duplicates", "gaps", "rejected")


@attrs.define
class HeldBack:
    """What a filter holds back of one symbol and timeframe, since the last record was sent.

    Attributes:
        sent_ns: The end of the last window that was sent.
        skipped: How many were held back since.
        notices: What they told.
        counts: What their sources counted beside events, by source and count.
    """

    memory: Memory
    sent_ns: int | None = None
    skipped: int = 0
    notices: list[Notice] = attrs.field(factory=list)
    counts: dict[tuple[str, str], int] = attrs.field(factory=dict)

    def add(self, record: Record) -> None:
        """Hold a record back."""
        self.skipped += 1 + record.skipped
        self.notices = [*self.notices, *record.notices][-_MAX_NOTICES:]
        for name, report in record.sources.items():
            for what in _COUNTS:
                if n := getattr(report, what):
                    self.counts[name, what] = self.counts.get((name, what), 0) + n

    def tell(self, record: Record) -> None:
        """Let a record that is sent say what was held back before it."""
        self.sent_ns = record.window_end_ns
        if not self.skipped:
            return
        record.skipped += self.skipped
        record.notices = (*self.notices, *record.notices)
        record.sources = {
            name: self._with_counts(name, report) for name, report in record.sources.items()
        }
        self.skipped, self.notices, self.counts = 0, [], {}

    def _with_counts(self, name: str, report: SourceReport) -> SourceReport:
        more = {
            what: getattr(report, what) + n
            for what in _COUNTS
            if (n := self.counts.get((name, what)))
        }
        return attrs.evolve(report, **more) if more else report


class Screen:
    """The filter and the alerts of one stream.

    Attributes:
        skipped: Records that were held back.
        unknown: Records of which nobody could say whether they pass.
        alerts: How many alerts were told.
    """

    def __init__(self, spec: StreamSpec) -> None:
        self._filter: Condition | None = None
        if spec.filter is not None:
            self._filter = condition_of(parse_condition(spec.filter))
        self._alerts = [Alert(alert) for alert in spec.alerts]
        self._smallest_ns = (spec.window_ms or spec.interval_ms) * 1_000_000
        self._held: dict[tuple[str, str | int], HeldBack] = {}
        self.skipped = 0
        self.unknown = 0
        self.alerts = 0

    @property
    def unknown_alerts(self) -> int:
        """How often a record could not tell whether an alert holds."""
        return sum(alert.unknown for alert in self._alerts)

    def remembered(self) -> Iterable[tuple[Any, Any]]:
        """See Remembering: by symbol, what is held back of each timeframe, and each alert."""
        for key, held in self._held.items():
            yield key, plain(held)
        for number, alert in enumerate(self._alerts):
            for symbol, state in alert.states().items():
                yield (symbol, "alert", number), plain(state)

    def recall(self, key: Any, known: Any) -> None:
        """See Remembering."""
        if len(key) == 3:
            return restore(self._alerts[key[2]].state_of(key[0]), known)
        if self._filter is None:
            raise ValueError("this stream has no filter")
        held = HeldBack(memory=self._filter.begin())
        restore(held, known)
        self._held[key] = held
        return None

    def screened(self, windows: Sequence[ClosedWindow]) -> list[ClosedWindow]:
        """Return the windows that are to be published, with what there is to tell."""
        if self._filter is None and not self._alerts:
            return list(windows)
        found = []
        for window in windows:
            if self._alerts and not window.is_revision:
                self._raise(window.records)
            sent = tuple(self._sent(window)) if self._filter is not None else window.records
            if len(sent) == len(window.records):
                found.append(window)
            elif sent:
                found.append(attrs.evolve(window, records=sent))
        return found

    def _raise(self, records: Iterable[Record]) -> None:
        """Let the alerts look at the records of the interval."""
        for record in records:
            if record.bar is None and record.timeframe_ns == self._smallest_ns:
                told = [notice for alert in self._alerts for notice in alert.look(record)]
                self.alerts += sum(notice.code == "alert" for notice in told)
                if told:
                    record.notices = (*record.notices, *told)

    def _sent(self, window: ClosedWindow) -> Iterable[Record]:
        for record in window.records:
            held = self._of(record)
            passes = self._passes(record, held, is_revision=window.is_revision)
            if not passes and not self._must_be_sent(record, held, window):
                self.skipped += 1
                held.add(record)
                continue
            record.passes = passes
            held.tell(record)
            yield record

    def _of(self, record: Record) -> HeldBack:
        key = record.symbol, record.bar.timeframe if record.bar else record.timeframe_ns
        if key not in self._held:
            assert self._filter is not None  # noqa: S101 -- `screened` looked
            self._held[key] = HeldBack(memory=self._filter.begin())
        return self._held[key]

    def _passes(self, record: Record, held: HeldBack, *, is_revision: bool) -> bool:
        assert self._filter is not None  # noqa: S101 -- `screened` looked
        # What looks back goes on with windows in order; it judges a revision by itself.
        memory = self._filter.begin() if is_revision else held.memory
        holds = self._filter.holds(self._filter.look(record, memory))
        self.unknown += holds is None
        return holds is True

    def _must_be_sent(self, record: Record, held: HeldBack, window: ClosedWindow) -> bool:
        """Whether a record that doesn't pass is sent: for an alert, or to break the silence.

        So is a revision: what it replaces may have passed.
        """
        if window.is_revision or any(notice.alert is not None for notice in record.notices):
            return True
        if held.sent_ns is None:
            held.sent_ns = record.window_start_ns
        return record.window_end_ns - held.sent_ns >= MAX_SILENCE_NS
