"""Write down what filters and alerts know of earlier windows, as plain data, and read it again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import attrs

from bond_core.model.record import Notice
from bond_core.spec.conditions.evaluate import Memory
from bond_core.spec.conditions.lookback import Spanned


def plain(state: Any) -> dict[str, Any]:
    """Return the fields of an alert's or a filter's state for one symbol."""
    return {name: _plain(value) for name, value in attrs.asdict(state, recurse=False).items()}


def restore(state: Any, known: dict[str, Any]) -> None:
    """Put back what `plain` gave, into a fresh state of the same condition.

    Raises:
        ValueError: It is of another one.
    """
    names = [field.name for field in attrs.fields(type(state))]
    if [*known] != names:
        raise ValueError(f"it holds {', '.join(known)}, not {', '.join(names)}")
    for name, value in known.items():
        mine = getattr(state, name)
        if name == "notices":
            setattr(state, name, [Notice(**notice) for notice in value])
        else:
            setattr(state, name, _memory(mine, value) if isinstance(mine, list) else value)


def _plain(value: Any) -> Any:
    if isinstance(value, list | deque):
        return [_plain(each) for each in value]
    if isinstance(value, Spanned | Notice):
        return {name: _plain(each) for name, each in attrs.asdict(value, recurse=False).items()}
    return value


def _memory(fresh: Memory, known: Sequence[Any]) -> Memory:
    """Return what functions that look back know, each of the type that it begins with."""
    found: Memory = []
    for mine, its in zip(fresh, known, strict=True):
        if isinstance(mine, Spanned):
            queues = ("begins", "values", "known")
            given: dict[str, Any] = {k: deque(v) if k in queues else v for k, v in its.items()}
            found.append(Spanned(**given))
        else:
            found.append(type(mine)(its))
    return found
