"""Make a KindPlan run: load its rendering, and call the authors' functions around it.

What an author's function raises stays with its own field: the field is unknown for that
window, `failed` is told, and everything else goes on.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import linecache
from collections.abc import Callable, Iterable, Mapping
from types import CodeType
from typing import Any

import attrs

from bond_core.model.record import Value
from bond_core.windows.compile import FoldField, KindPlan, ReduceField
from bond_core.windows.render import render

BROKEN = object()
"""A field's state after its author's code raised; it stays so until the window is over."""

NOTHING = object()
"""The partial of a Reduce over no events."""

Failed = Callable[[str, Exception], None]
"""Told of a field whose author's code raised, and what."""


@attrs.frozen(kw_only=True)
class Program:
    """A KindPlan that runs.

    Attributes:
        source: The Python that it is.
        new_pane: Returns the state of a pane without events: it has `n`, `unit` and slots.
        run: Takes a source and events of this kind; adds each to its pane.
    """

    plan: KindPlan
    source: str
    new_pane: Callable[[], Any]
    run: Callable[[Any, Iterable[Any]], None]
    _absorb: Callable[[Any, Any], None]
    _values: Callable[[Any], dict[str, Value]]
    _columns: Mapping[str, Callable[[list[Any]], list[tuple[Any, ...]]]]
    _failed: Failed

    def settle(self, pane: Any) -> None:
        """Compute what needs all events of a pane, when it closes; again, if it gets more."""
        if not self.plan.reduces or not pane.events:
            return
        events = sorted(pane.events, key=lambda e: (e.ts, e.seq))
        for field in self.plan.reduces:
            if rows := self._columns[field.slot](events):
                columns = [list(column) for column in zip(*rows, strict=True)]
                partial = self._call(field.name, field.plan.reduce, *columns)
                setattr(pane, field.slot, partial)

    def absorb(self, into: Any, later: Any) -> None:
        """Add a settled pane to one that comes before it; the later stays as it was."""
        was_empty = not into.n
        self._absorb(into, later)
        fields: tuple[ReduceField | FoldField, ...] = (*self.plan.reduces, *self.plan.folds)
        for field in fields:
            mine, its = getattr(into, field.slot), getattr(later, field.slot)
            if mine is BROKEN or its is NOTHING or not later.n:
                continue
            if its is not BROKEN:
                # `merge` may change what it is given, and the later pane has other readers.
                its = self._call(field.name, copy.deepcopy, its)
            if its is not BROKEN and mine is not NOTHING and not was_empty:
                its = self._call(field.name, field.plan.merge, mine, its)
            setattr(into, field.slot, its)

    def values(self, pane: Any) -> dict[str, Value]:
        """Return the value of each field, None where it is unknown or its author failed."""
        values = self._values(pane)
        for reduce in self.plan.reduces:
            state = getattr(pane, reduce.slot)
            is_known = state is not BROKEN and state is not NOTHING
            values[reduce.name] = (
                self._finish(reduce.name, reduce.plan.finish, state) if is_known else None
            )
        for fold in self.plan.folds:
            state = getattr(pane, fold.slot)
            values[fold.name] = (
                None if state is BROKEN else self._finish(fold.name, fold.plan.result, state)
            )
        return values

    def _finish(self, field: str, finish: Callable[[Any], Value], state: Any) -> Value:
        value = self._call(field, finish, state)
        return None if value is BROKEN else checked(self._failed, field, value)

    def _call(self, field: str, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except Exception as error:  # noqa: BLE001 -- an author's code: told, counted, contained
            self._failed(field, error)
            return BROKEN


def checked(failed: Failed, field: str, value: Any) -> Value:
    """Let through what a record may hold: a finite number, a text or None."""
    if value is None or isinstance(value, int | str):
        return value
    if not isinstance(value, float):
        failed(field, TypeError(f"its value is a {type(value).__name__}"))
    elif float("-inf") < value < float("inf"):
        return value
    else:
        failed(field, ValueError(f"its value is {value}, which is not finite"))
    return None


def load(plan: KindPlan, failed: Failed) -> Program:
    """Render a plan and make it ready to run."""
    source = render(plan)
    names: dict[str, Any] = {
        "BROKEN": BROKEN,
        "NOTHING": NOTHING,
        "INF": float("inf"),
        "FAR": 1 << 100,  # later than any event
        "failed": failed,
        "checked": functools.partial(checked, failed),
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
    )


@functools.lru_cache(maxsize=256)
def _code(source: str, kind: str) -> CodeType:
    """Compile, and keep the lines where tracebacks look for them."""
    name = f"<bond windows of {kind} {hashlib.sha256(source.encode()).hexdigest()[:8]}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return compile(source, name, "exec")
