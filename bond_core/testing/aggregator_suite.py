"""Checks 35 to 39, which an aggregator passes: subclass this in a test file, and name the spec.

    class TestAcmePrice(AggregatorConformance):
        spec = "acme.price"
        events = [Trade(symbol="BTC/USDT", ts=..., price=100.0, size=1.0), ...]

They are computed by the engine that computes streams.
"""  # fmt: skip

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from bond_core.clock import NS
from bond_core.model.event import Event
from bond_core.plugin.factories import load_class
from bond_core.plugin.field_names import template_of
from bond_core.plugin.specs import AggregatorSpec
from bond_core.settings import structure
from bond_core.testing.plugin_suite import SpecConformance, skip
from bond_core.windows.engine import WindowEngine
from bond_core.windows.plan import (
    ByVenue,
    Change,
    FieldPlan,
    Fold,
    Metric,
    Reduce,
    Rolling,
    SourcePlan,
    StreamPlan,
)

_WHOLE_S, _HALF_S = 60, 30
_SHUFFLES = 5


class AggregatorConformance(SpecConformance):
    """What holds for an aggregator.

    Attributes:
        events: Some of its kind, of one symbol, in order, within a minute; three or more.
        in_order: Whether a Fold of its own depends on the order in which events arrive.
    """

    events: ClassVar[Sequence[Event]] = ()
    in_order: ClassVar[bool] = False

    def test_it_has_a_plan_for_each_field(self) -> None:
        """Beside the checks: its plans compile, none is missing, and none raises."""
        spec = self._aggregator()
        assert set(spec.fields) <= self._by_name().keys()

        errors: dict[str, int] = {}
        self._windows(self.events, (_WHOLE_S,), errors=errors)
        assert not errors, f"its code raised, or gave what is no value, for {sorted(errors)}"

    def test_it_says_something(self) -> None:
        """Beside the checks: of `events` at least one field is known."""
        if not self._known():
            skip("no events to compute of")
        looks_back = (Change, Rolling, ByVenue)
        if all(isinstance(plan, looks_back) for plan in self._plans().values()):
            skip("its fields need earlier windows, or other venues")
        assert any(value is not None for value in self._whole(self.events).values()), (
            "of `events` it computes nothing at all"
        )

    def test_windows_share_nothing(self) -> None:
        """Check 35: a window is computed from its own events, whatever the one before held."""
        before = self._known()
        after = [_moved(_scaled(event), event.ts + _WHOLE_S * NS) for event in before]
        both = self._windows([*before, *after], (_WHOLE_S,))
        alone = self._windows(after, (_WHOLE_S,))

        for field, plan in self._plans().items():
            if not isinstance(plan, (Change, Rolling, ByVenue)):  # they look back on purpose
                assert _is_close(both[-1][field], alone[-1][field]), (
                    f"{field} is {alone[-1][field]!r} alone, and {both[-1][field]!r} behind "
                    "another window: what a window holds belongs to it"
                )

    def test_a_window_without_events_is_no_error(self) -> None:
        """Check 36: nothing happened: a field says something, or that it is unknown."""
        self._aggregator()
        errors: dict[str, int] = {}
        self._windows((), (_WHOLE_S,), errors=errors)

        assert not errors, f"over no events its code raises for {sorted(errors)}"

    def test_reading_a_window_changes_nothing(self) -> None:
        """Check 37: read twice, a window says the same; merged, its panes are what they were.

        Windows that overlap share panes, and one that is sent again is read again.
        """
        events = self._known()
        told: list[str] = []
        plans = {field: _watched(plan, told.append) for field, plan in self._plans().items()}
        self._windows(events, (_WHOLE_S,), plans)
        for cut in _cuts(events):
            self._windows(cut, (_HALF_S, _WHOLE_S), plans)

        assert not told, told[0]

    def test_split_or_whole_it_computes_the_same(self) -> None:
        """Check 38: wherever events are split into panes, the window of both has their values."""
        for events in [self._known(), *_cuts(self._known())]:
            whole = self._whole(events)
            for lengths_s in ((_HALF_S, _WHOLE_S), (1, _WHOLE_S)):
                merged = self._windows(events, lengths_s)[-1]
                for field, value in whole.items():
                    assert _is_close(value, merged[field]), (
                        f"{field} is {value!r} of one pane, and {merged[field]!r} of panes of "
                        f"{lengths_s[0]} s"
                    )

    def test_order_of_arrival_does_not_matter(self) -> None:
        """Check 39: events of a window may arrive in any order."""
        events = _apart(self._known())
        if self.in_order:
            skip("`in_order`: it depends on the order in which events arrive")
        whole, chance = self._whole(events), random.Random(1)  # noqa: S311 -- a shuffle
        for _ in range(_SHUFFLES):
            shuffled = chance.sample(events, len(events))
            for field, value in self._whole(shuffled).items():
                assert _is_close(whole[field], value), (
                    f"{field} is {whole[field]!r} with events in order, and {value!r} else: "
                    "order them by (ts, seq), or say in_order"
                )

    def test_its_state_can_be_kept(self) -> None:
        """Check 39, too: what it keeps of a window is plain data, which outlives a restart."""
        odd: list[str] = []

        def look(kept: Any) -> None:
            if fault := _not_plain(kept):
                odd.append(fault)

        plans = {field: _looked_at(plan, look) for field, plan in self._plans().items()}
        self._windows(self._known(), (_WHOLE_S,), plans)

        assert not odd, f"it keeps {odd[0]}: keep numbers, texts, lists, or dicts of such"

    def _aggregator(self) -> AggregatorSpec:
        spec = self.installed()
        assert isinstance(spec, AggregatorSpec), f"{spec.name} is no aggregator"
        return spec

    def _known(self) -> Sequence[Event]:
        self._aggregator()
        if not self.events:
            skip("no events to compute of")
        return self.events

    def _by_name(self) -> Mapping[str, Any]:
        spec = self._aggregator()
        make = load_class(spec.factory)
        with self.environment():
            made = make(config=structure(spec.config, self.config)) if self.config else make()
        plans: Mapping[str, Any] = made.plan()
        return plans

    def _plans(self) -> dict[str, FieldPlan]:
        """Return a plan by field, made anew; of a range of fields that of the first."""
        plans = {}
        for field, made in self._by_name().items():
            template = template_of(field)
            if template is None:
                plans[field] = made
            else:
                plans[f"{template.prefix}{template.low}"] = made(template.low)
        return plans

    def _whole(self, events: Sequence[Event]) -> Mapping[str, Any]:
        return self._windows(events, (_WHOLE_S,))[-1]

    def _windows(
        self, events: Sequence[Event], lengths_s: Sequence[int],
        plans: Mapping[str, FieldPlan] | None = None, errors: dict[str, int] | None = None,
    ) -> list[Mapping[str, Any]]:  # fmt: skip
        """Return the values of each window of the largest length, in order."""
        kind, symbol = self._aggregator().kind, events[0].symbol if events else "BTC/USDT"
        times_ns = [event.ts for event in events] or [0]
        start_ns = min(times_ns) // (_WHOLE_S * NS) * _WHOLE_S * NS
        source = SourcePlan(
            name="source", kind=kind, lateness_ns=0, idle_ns=0, venue="v",
            routes={symbol: (symbol,)},
        )  # fmt: skip
        plan = StreamPlan(
            symbols=(symbol,), timeframes_ns=tuple(s * NS for s in lengths_s), sources=(source,),
            fields={name: (kind, each) for name, each in (plans or self._plans()).items()},
        )  # fmt: skip
        engine = WindowEngine(plan, start_ns=start_ns)
        engine.on_status("source", symbol, "live", start_ns)
        engine.on_events("source", events)
        engine.finish(max(times_ns) // (_WHOLE_S * NS) * _WHOLE_S * NS + _WHOLE_S * NS)
        records = [record for window in engine.take() for record in window.records]
        if errors is not None:
            errors.update(engine.field_errors)
        return [r.values for r in records if r.timeframe_ns == lengths_s[-1] * NS]


def _moved(event: Event, ts: int) -> Event:
    return attrs.evolve(event, ts=ts)


def _scaled(event: Event) -> Event:
    """Return a like event with other numbers."""
    given = {field.name: getattr(event, field.name) for field in attrs.fields(type(event))}
    scaled: dict[str, Any] = {
        name: value * 1.5 for name, value in given.items() if isinstance(value, float)
    }
    return attrs.evolve(event, **scaled)


def _cuts(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Yield the events cut in two at each place, half a minute apart."""
    start_ns = events[0].ts // (_WHOLE_S * NS) * _WHOLE_S * NS
    for cut in range(1, len(events)):
        yield [
            _moved(event, start_ns + (_HALF_S * NS if n >= cut else 0) + (n + 1) * NS // 10)
            for n, event in enumerate(events)
        ]


def _apart(events: Sequence[Event]) -> list[Event]:
    """Return the events at times of their own: which of two at one time is last is open."""
    start_ns = events[0].ts // (_WHOLE_S * NS) * _WHOLE_S * NS
    return [_moved(event, start_ns + (n + 1) * NS // 10) for n, event in enumerate(events)]


def _watched(plan: Any, tell: Callable[[str], None]) -> Any:  # noqa: C901 -- one case a plan
    """Return a plan that is read twice, and tells where that makes a difference."""

    def twice(read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(*args: Any, **kwargs: Any) -> Any:
            first, second = read(*args, **kwargs), read(*args, **kwargs)
            if not _is_close(first, second):
                tell(f"read twice, a window says {first!r}, and then {second!r}")
            return first

        return reading

    def untouched(merge: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def merging(earlier: Any, later: Any) -> Any:
            before = copy.deepcopy((earlier, later))
            merged = merge(earlier, later)
            if (earlier, later) != before:
                tell(f"merging changes what is merged: {before}, and then {(earlier, later)}")
            return merged

        return merging

    if isinstance(plan, Reduce):
        return attrs.evolve(plan, finish=twice(plan.finish), merge=untouched(plan.merge))
    if isinstance(plan, Fold):
        return attrs.evolve(plan, result=twice(plan.result), merge=untouched(plan.merge))
    if isinstance(plan, Metric):
        return plan if plan.finish is None else attrs.evolve(plan, finish=twice(plan.finish))
    if isinstance(plan, ByVenue):
        return attrs.evolve(plan, of=_watched(plan.of, tell), finish=twice(plan.finish))
    return attrs.evolve(plan, of=_watched(plan.of, tell), finish=twice(plan.finish))


def _looked_at(plan: Any, look: Callable[[Any], None]) -> Any:
    """Return a plan that shows what it keeps."""

    def showing(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def reading(kept: Any) -> Any:
            look(kept)
            return read(kept)

        return reading

    if isinstance(plan, Reduce):
        return attrs.evolve(plan, finish=showing(plan.finish))
    if isinstance(plan, Fold):
        return attrs.evolve(plan, result=showing(plan.result))
    if isinstance(plan, ByVenue):
        return attrs.evolve(plan, of=_looked_at(plan.of, look))
    return plan


def _not_plain(kept: Any) -> str | None:
    if kept is None or isinstance(kept, (bool, int, float, str)):
        return None
    if isinstance(kept, (list, tuple)):
        return next(filter(None, map(_not_plain, kept)), None)
    if isinstance(kept, dict):
        return next(filter(None, map(_not_plain, (*kept, *kept.values()))), None)
    return f"a {type(kept).__name__}"


def _is_close(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_is_close(a[key], b[key]) for key in a)
    return bool(a == b)
