"""What operators and plain functions do with values, of which any may be unknown.

None of them raises: what can't be computed is None.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any


def is_number(value: Any) -> bool:
    """Whether a value is a number; true and false are none."""
    return value.__class__ is float or value.__class__ is int


def known(value: Any) -> Any:
    """Return a value, None for a number that is not finite."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _arithmetic(apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def computed(a: Any, b: Any) -> Any:
        if not (is_number(a) and is_number(b)):
            return None
        try:
            return known(apply(a, b))
        except ArithmeticError:
            return None

    return computed


def _ordered(apply: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool | None]:
    def compared(a: Any, b: Any) -> bool | None:
        one, two = a.__class__, b.__class__
        if (one is float or one is int) and (two is float or two is int):
            return apply(a, b)
        return apply(a, b) if isinstance(a, str) and isinstance(b, str) else None

    return compared


def _equal(a: Any, b: Any) -> bool | None:
    if is_number(a) and is_number(b):
        return bool(a == b)
    is_one_kind = a.__class__ is b.__class__ and isinstance(a, str | bool)
    return bool(a == b) if is_one_kind else None


def _unequal(a: Any, b: Any) -> bool | None:
    return negation(_equal(a, b))


def _in(a: Any, items: Any) -> bool | None:
    if not isinstance(items, list) or a is None:
        return None
    return any(_equal(a, item) is True for item in items)


def negation(a: Any) -> bool | None:
    """Return `!a`."""
    return not a if a is True or a is False else None


def negated(a: Any) -> Any:
    """Return `-a`."""
    return -a if is_number(a) else None


OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": _arithmetic(operator.add),
    "-": _arithmetic(operator.sub),
    "*": _arithmetic(operator.mul),
    "/": _arithmetic(operator.truediv),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "==": _equal,
    "!=": _unequal,
    "in": _in,
}


def _of_numbers(apply: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: known(apply(*values)) if all(map(is_number, values)) else None


def _rounded(value: Any, digits: Any = 0) -> Any:
    if not (is_number(value) and digits.__class__ is int):
        return None
    return round(value, max(min(digits, 15), -15))


def _contains(text: Any, part: Any) -> bool | None:
    return part in text if isinstance(text, str) and isinstance(part, str) else None


PLAIN_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": _of_numbers(abs),
    "min": _of_numbers(lambda *values: min(values)),
    "max": _of_numbers(lambda *values: max(values)),
    "round": _rounded,
    "lower": lambda text: text.lower() if isinstance(text, str) else None,
    "contains": _contains,
    "has": lambda value: value is not None,
}
