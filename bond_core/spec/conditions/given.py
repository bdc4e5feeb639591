"""Read a condition as specs hold it: a text, or an object of a comparison or of several.

    "price_avg > 70000"
    {"field": "price_avg", "op": ">", "value": 70000}
    {"all": [{"field": "price_avg", "op": "crosses_above", "value": 70000}, "tweets > 5"]}
    {"field": "price_avg", "op": "<", "value": -5, "change": "percent", "window_sec": 3600}
    {"field": "tweets", "op": ">", "value": 50, "window_sec": 60}

Whichever it was, what is kept is the canonical text.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

from bond_core.spec.conditions.parse import ConditionError, parse_condition
from bond_core.spec.conditions.tree import CROSSES, Binary, Call, Constant, Name, Node, text_of
from bond_core.spec.duration import format_duration, parse_duration_ms
from bond_core.structuring import MisfitError, must_be, nearest, shown

LEAF_KEYS = ("field", "op", "value", "change", "window_sec")
KEYS = (*LEAF_KEYS, "all", "any")
OPS = ("<", "<=", ">", ">=", "==", "!=", *CROSSES, "abs>")
_MAX_DEPTH = 8
_MAX_JOINED = 32
_EXACT = 2**53  # from here on a float skips whole numbers


def condition_text(value: object) -> str:
    """Return the canonical text of a condition.

    Raises:
        MisfitError: It is none; says where.
    """
    text = text_of(_tree(value, 1))
    try:
        parse_condition(text)  # what was put together may be too large
    except ConditionError as error:
        raise MisfitError(error.detail) from None
    return text


def parsed(text: str) -> Node:
    """Return the tree of a text.

    Raises:
        MisfitError: It is no condition; shows where, and what may have been meant.
    """
    try:
        return parse_condition(text)
    except ConditionError as error:
        raise misfit_of(error, text) from None


def misfit_of(error: ConditionError, text: str) -> MisfitError:
    """Return an error of a text with the text around it, and the text as it may have been meant."""
    start, end = error.span
    near = (text[:start] + meant + text[end:] for meant in error.did_you_mean)
    around = shown(text[max(start - 12, 0) : end + 12])
    detail = f"{error.detail}, at character {start + 1}: {around!r}"
    return MisfitError(detail, text=shown(text), did_you_mean=tuple(filter(_is_condition, near)))


def _is_condition(text: str) -> bool:
    try:
        parse_condition(text)
    except ConditionError:
        return False
    return True


def _tree(value: object, depth: int) -> Node:
    if isinstance(value, str):
        return parsed(value)
    if not isinstance(value, Mapping):
        raise must_be('a condition, such as "price_avg > 70000"', value)
    if depth > _MAX_DEPTH:
        raise MisfitError(f"is nested deeper than {_MAX_DEPTH} levels")
    for key in value:
        if key not in KEYS:
            near = nearest(str(key), KEYS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; its keys are {', '.join(KEYS)}"
            raise MisfitError(f"has a key {shown(key)!r} that no condition has{hint}")
    joined = [key for key in ("all", "any") if key in value]
    if joined:
        if len(value) > 1:
            raise MisfitError(f"{joined[0]!r} stands alone in a condition")
        return _joined(joined[0], value[joined[0]], depth)
    return _leaf(value)


def _joined(key: str, items: object, depth: int) -> Node:
    if not isinstance(items, list | tuple):
        raise must_be("a list of conditions", items)
    if not 0 < len(items) <= _MAX_JOINED:
        raise MisfitError(f"{key!r} has 1 to {_MAX_JOINED} conditions, not {len(items)}")
    trees = [_tree(item, depth + 1) for item in items]
    op = "&&" if key == "all" else "||"
    return functools.reduce(lambda left, right: Binary(op, left, right), trees)


def _leaf(value: Mapping[Any, Any]) -> Node:
    for key in ("field", "op", "value"):
        if key not in value:
            raise MisfitError(f"a condition has {key!r}: {_EXAMPLE}", is_missing=True)
    op = value["op"]
    if op not in OPS:
        detail = f"'op' is one of {', '.join(OPS)}, was {shown(op)!r}"
        raise MisfitError(detail, text=shown(op))
    level = Constant(_level(value["value"]))
    looked_at = _looked_at(_name(value["field"]), value)
    if op in CROSSES:
        return Call(op, (looked_at, level))
    if op == "abs>":
        return Binary(">", Call("abs", (looked_at,)), level)
    return Binary(op, looked_at, level)


def _name(field: object) -> Name:
    if not isinstance(field, str):
        raise must_be("the name of a field", field)
    name = parsed(field)
    if not isinstance(name, Name):
        raise MisfitError(f"'field' is the name of one, was {shown(field)!r}")
    return name


def _level(value: object) -> float | int | str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise must_be("a number or a text", value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise MisfitError(f"must be a finite number, was {value}")
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    return value


def _looked_at(name: Name, value: Mapping[Any, Any]) -> Node:
    """Return what is compared: the field, by how many percent it changed, or its sum."""
    is_change = value["op"] == "abs>" or value.get("change") is not None
    window = value.get("window_sec")
    if value.get("change") not in (None, "percent"):
        raise MisfitError(f"'change' is \"percent\", was {shown(value['change'])!r}")
    if window is None and not is_change:
        return name
    ms = parse_duration_ms(window)
    if ms is None or ms <= 0:
        raise MisfitError("'window_sec' says within how many seconds, and a change needs it")
    return Call("pct_change" if is_change else "sum_over", (name, Constant(format_duration(ms))))


_EXAMPLE = '{"field": "price_avg", "op": ">", "value": 70000}'
