"""Finish the fields that a window's panes alone can't say: changes, rolling ones, by venue.

This comes last, when a window's panes are merged, so it is the same for every timeframe and
for a revision: what it remembers is by window, and a revised window replaces its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from bond_core.model.record import Value
from bond_core.windows.history import GONE, History
from bond_core.windows.plan import (
    ByVenue,
    Change,
    FieldPlan,
    Metric,
    Rolling,
    StreamPlan,
    VenueWindow,
)
from bond_core.windows.symbol_state import SymbolState
from bond_core.windows.value import Failed, checked

Key = tuple[str, int | str, str, str]
"""Symbol, timeframe, field, and the source of a field by venue, else empty."""


@attrs.frozen
class Place:
    """Where a window stands among those of its timeframe.

    Attributes:
        timeframe: Its length in ns, or the name of a bar.
        at: Its start in ns, or a bar's number.
        step: How far windows are apart.
        keep: How far back windows may be revised, beyond those that a field asks for.
    """

    timeframe: int | str
    at: int
    step: int
    keep: int = 0


@attrs.frozen(kw_only=True)
class Window:
    """One symbol's window that is being finished.

    Attributes:
        values: What its panes gave, by field; those to be finished are replaced.
        states: The symbol's sources, in the spec's order.
        kind_of: Returns the kind of event that a field of this symbol is computed from.
    """

    symbol: str
    place: Place
    start_ns: int
    end_ns: int
    values: dict[str, Any]
    states: Sequence[SymbolState]
    kind_of: Callable[[str], str]


@attrs.define(eq=False)
class Finishing:
    """Finishes the windows of one stream.

    Attributes:
        fields: Those that need it, with their plan by kind of event.
        rolled: By rolling field, under which field's name its windows are remembered, and how
            many: those of one value are remembered once, however many means there are of it.
        past: What was in earlier windows. With it, and the open panes, a stream can go on.
    """

    fields: dict[str, dict[str, FieldPlan]]
    rolled: dict[str, tuple[str, int]]
    failed: Failed
    past: dict[Key, History] = attrs.field(factory=dict)

    @classmethod
    def of(cls, plan: StreamPlan, failed: Failed) -> Finishing:
        """Return what finishes the fields of a plan."""
        fields: dict[str, dict[str, FieldPlan]] = {}
        for name, (kind, field) in plan.fields.items():
            by_kind = {kind: field, **plan.instead.get(name, {})}
            if any(isinstance(each, Change | Rolling | ByVenue) for each in by_kind.values()):
                fields[name] = by_kind
        return cls(fields, _rolled(fields), failed)

    def finish(self, window: Window) -> None:
        """Replace the values that are not finished yet."""
        for name, by_kind in self.fields.items():
            kind = window.kind_of(name)
            plan = by_kind[kind]
            if isinstance(plan, ByVenue):
                window.values[name] = self._by_venue(window, name, kind, plan)
            elif isinstance(plan, Change):
                window.values[name] = self._change(window, name, plan)
            elif isinstance(plan, Rolling):
                window.values[name] = self._rolling(window, name, plan)

    def _change(self, window: Window, name: str, plan: Change) -> Value:
        value = window.values[name]
        history = self._told(window, name, "", value, windows=1)
        before = history.before(window.place.at)
        if value is None or before is None:
            return None
        return self._call(name, plan.finish, value, before)

    def _rolling(self, window: Window, name: str, plan: Rolling) -> Value:
        kept_as, windows = self.rolled[name]
        history = self._told(window, kept_as, "", window.values[name], windows=windows)
        first = window.place.at - (plan.windows - 1) * window.place.step
        if first < history.first:
            return None
        known = history.between(first, window.place.at)
        return self._call(name, plan.finish, known) if known else None

    def _by_venue(self, window: Window, name: str, kind: str, plan: ByVenue) -> Value:
        found = window.values[name] or {}
        venues = []
        for state in window.states:
            source = state.source.plan
            if source.kind == kind:
                venues.append(self._venue(window, name, state, found.get(source.name)))
        if not any(venue.was_heard for venue in venues):
            return None
        return self._call(name, plan.finish, venues, gives=plan.gives)

    def _venue(self, window: Window, name: str, state: SymbolState, value: Any) -> VenueWindow:
        end_ns = window.end_ns
        start_ns = min(window.start_ns, end_ns - 1)
        is_live = state.coverage.live_ns(end_ns - 1, end_ns) > 0
        live_ns = state.coverage.live_ns(start_ns, end_ns)
        keeps = value if is_live else GONE
        if value is None and live_ns < end_ns - start_ns:
            keeps = GONE
        history = self._told(window, name, state.source.plan.name, keeps, windows=1)
        before = history.before(window.place.at)
        is_unbroken = before is not GONE and live_ns == end_ns - start_ns
        return VenueWindow(
            venue=state.source.plan.venue,
            value=value,
            before=before if is_unbroken else None,
            is_live=is_live,
            was_heard=live_ns > 0 or value is not None,
            start_ns=start_ns,
            end_ns=end_ns,
        )

    def _told(self, window: Window, name: str, source: str, value: Any, *, windows: int) -> History:
        """Note a window's value, and return what is known of the others."""
        place = window.place
        key = (window.symbol, place.timeframe, name, source)
        history = self.past.get(key)
        if history is None:
            history = self.past[key] = History(place.at)
        history.put(place.at, value)
        history.forget(place.at - windows * place.step - place.keep)
        return history

    def _call(
        self, name: str, finish: Callable[..., Any], *args: Any, gives: Any = "number"
    ) -> Value:
        try:
            value = finish(*args)
        except Exception as error:  # noqa: BLE001 -- an author's code: told, counted, contained
            self.failed(name, error)
            return None
        return checked(self.failed, name, value, gives=gives)


def _rolled(fields: Mapping[str, Mapping[str, FieldPlan]]) -> dict[str, tuple[str, int]]:
    """Return under which name each rolling field's windows are remembered, and how many."""
    groups: list[tuple[dict[str, Metric], dict[str, int]]] = []
    for name, by_kind in fields.items():
        rolling = {kind: plan for kind, plan in by_kind.items() if isinstance(plan, Rolling)}
        if not rolling:
            continue
        values = {kind: plan.of for kind, plan in rolling.items()}
        group = next((group for of, group in groups if of == values), None)
        if group is None:
            groups.append((values, group := {}))
        group[name] = max(plan.windows for plan in rolling.values())
    return {name: (next(iter(group)), max(group.values())) for _, group in groups for name in group}
