"""Make a KindPlan run: load its rendering, and call the authors' functions around it.

What an author's function raises stays with its own field: the field is unknown for that
window, `failed` is told, and everything else goes on.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import linecache
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from types import CodeType
from typing import Any

import attrs

from bond_core.model.record import Value
from bond_core.windows.compile import FoldField, KindPlan, MetricField, ReduceField
from bond_core.windows.render import render
from bond_core.windows.value import Failed, checked

BROKEN = object()
"""A field's state after its author's code raised; it stays so until the window is over."""

_IN_ORDER = operator.attrgetter("ts", "seq")

NOTHING = object()
"""The partial of a Reduce over no events."""


@attrs.frozen(kw_only=True)
class Program:
    """A KindPlan that runs.

    Attributes:
        source: The Python that it is.
        new_pane: Returns the state of a pane without events: it has `n`, `unit` and slots.
        run: Takes a source and events of this kind; adds each to its pane.
        own: For what is kept of each source apart, under the source's name in `pane.by`.
    """

    plan: KindPlan
    source: str
    new_pane: Callable[[], Any]
    run: Callable[[Any, Iterable[Any]], None]
    _absorb: Callable[[Any, Any], None]
    _values: Callable[[Any], dict[str, Value]]
    _columns: Mapping[str, Callable[[list[Any]], tuple[list[Any], ...]]]
    _failed: Failed
    _check: Callable[[str, Any], Any]
    own: Program | None = None
    _gives_all: bool = attrs.field(init=False)
    """Whether the generated function gives every field."""

    @_gives_all.default
    def _(self) -> bool:
        return self.own is None and not (self.plan.reduces or self.plan.folds)

    @property
    def fields(self) -> list[str]:
        """The names of its fields, in the order in which `values` gives them."""
        names = [field.name for field in self.plan.metrics]
        names += [field.name for field in self.plan.reduces]
        names += [field.name for field in self.plan.folds]
        return names + ([] if self.own is None else self.own.fields)

    def own_pane(self, pane: Any, source: str) -> Any:
        """Return the part of a pane that is one source's alone; None where no field needs it."""
        if self.own is None:
            return None
        return pane.by.get(source) or pane.by.setdefault(source, self.own.new_pane())

    def settle(self, pane: Any) -> None:
        """Compute what needs all events of a pane, when it closes; again, if it gets more."""
        if self.own is not None:
            for part in pane.by.values():
                self.own.settle(part)
        if not self.plan.reduces or not pane.events:
            return
        events = sorted(pane.events, key=_IN_ORDER)
        for field in self.plan.partials:
            columns = self._columns[field.slot](events)
            if all(columns):
                partial = self._partial(field, field.plan.reduce, *columns)
                setattr(pane, field.slot, partial)

    def absorb(self, into: Any, later: Any) -> None:
        """Add a settled pane to one that comes before it; the later stays as it was."""
        was_empty = not into.n
        self._absorb(into, later)
        if self.own is not None:
            for source in later.by:
                self.own.absorb(self.own_pane(into, source), later.by[source])
        fields: tuple[ReduceField | FoldField, ...] = (*self.plan.partials, *self.plan.folds)
        for field in fields:
            mine, its = getattr(into, field.slot), getattr(later, field.slot)
            if mine is BROKEN or its is NOTHING or not later.n:
                continue
            if its is not BROKEN:
                # `merge` may change what it is given, and the later pane has other readers.
                its = self._partial(field, copy.deepcopy, its)
            if its is not BROKEN and mine is not NOTHING and not was_empty:
                its = self._partial(field, field.plan.merge, mine, its)
            setattr(into, field.slot, its)

    def values(self, pane: Any) -> dict[str, Any]:
        """Return the value of each field, None where it is unknown or its author failed.

        Of a field by venue it is what each source's own pane gives, by the source's name.
        """
        values = self._values(pane)
        if self._gives_all:
            return values
        for reduce in self.plan.reduces:
            state = getattr(pane, reduce.slot)
            if state is BROKEN:
                values[reduce.name] = None
            elif state is NOTHING:
                values[reduce.name] = reduce.plan.empty
            else:
                values[reduce.name] = self._finish(reduce.name, reduce.plan.finish, state)
        for fold in self.plan.folds:
            state = getattr(pane, fold.slot)
            values[fold.name] = (
                None if state is BROKEN else self._finish(fold.name, fold.plan.result, state)
            )
        if self.own is not None:
            by = {source: self.own.values(part) for source, part in pane.by.items()}
            fields: tuple[MetricField | ReduceField, ...] = (
                *self.own.plan.metrics, *self.own.plan.reduces,
            )  # fmt: skip
            for field in fields:
                values[field.name] = {source: its[field.name] for source, its in by.items()}
        return values

    def _finish(self, field: str, finish: Callable[[Any], Value], state: Any) -> Any:
        try:
            value = finish(state)
        except Exception as error:  # noqa: BLE001 -- an author's code: told, counted, contained
            self._failed(field, error)
            return None
        return self._check(field, value)

    def _partial(
        self, of: ReduceField | FoldField, function: Callable[..., Any], *args: Any
    ) -> Any:
        """Call what makes a partial; BROKEN if it raises, told of every field made of it."""
        try:
            return function(*args)
        except Exception as error:  # noqa: BLE001 -- likewise
            fields: tuple[ReduceField | FoldField, ...] = (*self.plan.reduces, *self.plan.folds)
            for field in fields:
                if field.slot == of.slot:
                    self._failed(field.name, error)
            return BROKEN


def load(plan: KindPlan, failed: Failed) -> Program:
    """Render a plan and make it ready to run."""
    return _load(plan, failed, functools.partial(_checked, plan.texts, failed))


def _checked(texts: Collection[str], failed: Failed, field: str, value: Any) -> Value:
    return checked(failed, field, value, gives="text" if field in texts else "number")


def _load(plan: KindPlan, failed: Failed, check: Callable[[str, Any], Any]) -> Program:
    source = render(plan)
    names: dict[str, Any] = {
        "BROKEN": BROKEN,
        "NOTHING": NOTHING,
        "INF": float("inf"),
        "FAR": 1 << 100,  # later than any event
        "failed": failed,
        "checked": check,
    }
    for place, metric in enumerate(plan.metrics):
        names[f"finish_{place}"] = metric.finish
    for fold in plan.folds:
        names |= {f"{fold.slot}_zero": fold.plan.zero, f"{fold.slot}_add": fold.plan.add}
    exec(_code(source, plan.kind), names)  # noqa: S102 -- `render` wrote it, from checked trees
    return Program(
        plan=plan,
        source=source,
        new_pane=names["Pane"],
        run=names["run"],
        absorb=names["absorb"],
        values=names["values"],
        columns=names["columns"],
        failed=failed,
        check=check,
        # What a source's own pane gives goes to a `finish`, whose answer is checked.
        own=None if plan.own is None else _load(plan.own, failed, lambda _, value: value),
    )


@functools.lru_cache(maxsize=256)
def _code(source: str, kind: str) -> CodeType:
    """Compile, and keep the lines where tracebacks look for them."""
    name = f"<bond windows of {kind} {hashlib.sha256(source.encode()).hexdigest()[:8]}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return compile(source, name, "exec")
