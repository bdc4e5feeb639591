"""Turn the fields of one kind of event into the least state that they need.

Partials that are equal are kept once, whoever asked for them; First and Last under equal
conditions share the event they keep. The result says what to compute, not how:
`bond_core.windows.render` makes Python of it, and something compiled could be made as well.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Literal

import attrs

from bond_core.errors import PluginError
from bond_core.model.event import EVENT_CLASSES
from bond_core.model.record import Value as FieldValue
from bond_core.windows import expression
from bond_core.windows.plan import (
    ByVenue,
    Change,
    Count,
    FieldPlan,
    First,
    Fold,
    Last,
    Max,
    Metric,
    Min,
    Partial,
    Reduce,
    Rolling,
    Sum,
)

Step = Literal["count", "sum", "min", "max", "first", "last"]
_STEPS: Mapping[type, Step] = {
    Count: "count", Sum: "sum", Min: "min", Max: "max", First: "first", Last: "last",
}  # fmt: skip


@attrs.frozen
class Slot:
    """One thing that a pane keeps.

    Attributes:
        name: Its attribute; `n` is the number of all events, which the engine counts itself.
        step: How an event changes it.
        value: What is summed or compared; None for a count, and for first and last, which
            keep the event.
        type: Of the value.
        conditions: What must hold for an event to change it.
    """

    name: str
    step: Step
    value: ast.expr | None = None
    type: str = "float"
    conditions: tuple[ast.expr, ...] = ()


@attrs.frozen
class Read:
    """How a partial is read from a pane: from a slot, or as a value of the event kept there."""

    slot: Slot
    value: ast.expr | None = None


@attrs.frozen
class MetricField:
    """A Metric: the places of its partials among `KindPlan.reads`."""

    name: str
    reads: Mapping[str, int]
    finish: Callable[..., FieldValue] | None


@attrs.frozen
class ReduceField:
    """A Reduce: its columns, and the conditions under which an event has a row in them.

    Fields that share a partial have the same slot.
    """

    name: str
    plan: Reduce
    slot: str
    columns: tuple[ast.expr, ...]
    conditions: tuple[ast.expr, ...]


@attrs.frozen
class FoldField:
    """A Fold and the slot of its state."""

    name: str
    plan: Fold
    slot: str


@attrs.frozen(kw_only=True)
class KindPlan:
    """Everything that the events of one kind are needed for.

    Attributes:
        has_units: Whether these events may say what their sizes count.
        texts: The fields whose values are texts.
        own: What is kept of each source's events apart; None where no field needs it.
        keeps: Whether each part keeps its events.
    """

    kind: str
    slots: tuple[Slot, ...]
    reads: tuple[Read, ...]
    metrics: tuple[MetricField, ...]
    reduces: tuple[ReduceField, ...]
    folds: tuple[FoldField, ...]
    has_units: bool
    texts: frozenset[str] = frozenset()
    own: KindPlan | None = None
    keeps: bool = False

    @property
    def partials(self) -> tuple[ReduceField, ...]:
        """One of the fields for each partial of a Reduce."""
        return tuple({reduce.slot: reduce for reduce in self.reduces[::-1]}.values())[::-1]


def plan_kind(kind: str, fields: Mapping[str, FieldPlan], *, keeps: bool = False) -> KindPlan:
    """Check the fields that are computed from one kind of event and plan their state.

    Args:
        kind: Which.
        fields: By name.
        keeps: Whether each part of a pane keeps its events.

    Raises:
        PluginError: An expression names what the event doesn't have, or is not of the
            grammar; a field is no FieldPlan, or a Metric that says no value.
    """
    if kind not in EVENT_CLASSES:
        known = ", ".join(EVENT_CLASSES)
        raise PluginError(f"There are no events of kind {kind!r}; kinds are {known}")
    both, own = _Planner(kind), _Planner(kind)
    for name, field in fields.items():
        if isinstance(field, ByVenue):
            own.add(name, field.of)
        elif isinstance(field, Change | Rolling):
            both.add(name, field.of)
        else:
            both.add(name, field)
    its_own = own.plan() if own.metrics or own.reduces else None
    return attrs.evolve(both.plan(), own=its_own, keeps=keeps)


@attrs.define
class _Planner:
    """Gathers slots and reads, each once, by what they say."""

    kind: str
    slots: dict[tuple[object, ...], Slot] = attrs.field(factory=dict)
    reads: dict[tuple[object, ...], Read] = attrs.field(factory=dict)
    metrics: list[MetricField] = attrs.field(factory=list)
    reduces: list[ReduceField] = attrs.field(factory=list)
    folds: list[FoldField] = attrs.field(factory=list)
    texts: set[str] = attrs.field(factory=set)
    shared: dict[tuple[object, ...], str] = attrs.field(factory=dict)

    def add(self, name: str, field: Metric | Reduce | Fold) -> None:
        if isinstance(field, Metric):
            self.metrics.append(self.metric(name, field))
        elif isinstance(field, Reduce):
            self.reduces.append(self.reduce(name, field))
        elif isinstance(field, Fold):
            self.folds.append(FoldField(name, field, f"f{len(self.folds)}"))
        else:
            raise PluginError(
                f"The field {name} is planned by a {type(field).__name__}; it takes a Metric, "
                f"a Reduce or a Fold, or what is made of them: Change, Rolling, ByVenue"
            )
        if field.gives == "text":
            self.texts.add(name)

    def plan(self) -> KindPlan:
        return KindPlan(
            kind=self.kind,
            slots=tuple(self.slots.values()),
            reads=tuple(self.reads.values()),
            metrics=tuple(self.metrics),
            reduces=tuple(self.reduces),
            folds=tuple(self.folds),
            has_units="size_unit" in expression.event_fields(self.kind),
            texts=frozenset(self.texts),
        )

    def metric(self, name: str, metric: Metric) -> MetricField:
        if metric.finish is None and len(metric.partials) != 1:
            raise PluginError(
                f"The field {name} has {len(metric.partials)} partials and no finish: say how "
                f"they make one value"
            )
        if odd := [key for key in metric.partials if not key.isidentifier() or iskeyword(key)]:
            raise PluginError(f"The field {name} calls its partials {odd}: give them names")
        (first, *_) = (*metric.partials.values(), None)
        if metric.finish is None and _is_text(first, self.kind, name):
            self.texts.add(name)
        found = {key: self.read(name, partial) for key, partial in metric.partials.items()}
        places = list(self.reads)
        reads = {key: places.index(read) for key, read in found.items()}
        return MetricField(name, reads, metric.finish)

    def read(self, field: str, partial: Partial) -> tuple[object, ...]:
        step = _STEPS.get(type(partial))
        if step is None:
            raise PluginError(
                f"The field {field} has a partial {partial!r}; partials are "
                f"{', '.join(cls.__name__ for cls in _STEPS)}"
            )
        value = None
        conditions: tuple[ast.expr, ...] = ()
        if not isinstance(partial, Count):
            value = expression.parse_value(partial.of, kind=self.kind, field=field)
            conditions = value.needs
            if step in ("sum", "min", "max") and value.type not in ("int", "float"):
                raise PluginError(
                    f"The field {field} is computed from {partial!r}, but {partial.of!r} is no "
                    f"number",
                    code="bad_expression",
                )
        if partial.where is not None:
            conditions += expression.parse_condition(partial.where, kind=self.kind, field=field)
        conditions = _once(conditions)
        keeps_event = step in ("first", "last")
        slot = self.slot(step, None if keeps_event else value, conditions)
        shown = value.tree if value is not None and keeps_event else None
        key = (slot.name, shown and ast.unparse(shown))
        self.reads.setdefault(key, Read(slot, shown))
        return key

    def slot(
        self, step: Step, value: expression.Value | None, conditions: tuple[ast.expr, ...]
    ) -> Slot:
        tree = value.tree if value else None
        key = (step, tree and ast.unparse(tree), frozenset(map(ast.unparse, conditions)))
        if key not in self.slots:
            is_plain_count = step == "count" and not conditions
            name = "n" if is_plain_count else f"s{len(self.slots)}"
            type_ = value.type if value else "int"
            self.slots[key] = Slot(name, step, tree, type_, conditions)
        return self.slots[key]

    def reduce(self, name: str, field: Reduce) -> ReduceField:
        functions = (field.reduce, field.merge, field.dump, field.load)
        key = (tuple(field.columns), *map(id, functions))
        slot = self.shared.setdefault(key, f"r{len(self.shared)}")
        values = [expression.parse_value(c, kind=self.kind, field=name) for c in field.columns]
        conditions = _once(tuple(need for value in values for need in value.needs))
        return ReduceField(name, field, slot, tuple(v.tree for v in values), conditions)


def _once(conditions: tuple[ast.expr, ...]) -> tuple[ast.expr, ...]:
    return tuple({ast.unparse(each): each for each in conditions}.values())


def _is_text(partial: Partial | None, kind: str, field: str) -> bool:
    if not isinstance(partial, First | Last):
        return False
    return expression.parse_value(partial.of, kind=kind, field=field).type == "text"
