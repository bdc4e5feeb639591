"""Which messages are meant: a text as a whole, or by path what must stand there.

"pong"
{"$.type": "match", "$.channel": ["trade", "trades"]}
{"$.topic": {"prefix": "publicTrade."}, "$.ts": {"exists": true}}
"""  # fmt: skip

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from bond_websocket.faults import Faults
from bond_websocket.path import MISSING, Path
from bond_websocket.values import is_same

_TESTS = ("exists", "prefix")


@attrs.frozen
class Conditions:
    """What must all stand in a message."""

    tests: tuple[tuple[Path, Callable[[Any], bool]], ...]

    def fit(self, message: Any) -> bool:
        """Whether it does."""
        return all(test(path.one(message, None)) for path, test in self.tests)


@attrs.frozen
class AnyOf:
    """Messages of which one must fit: texts, or conditions."""

    texts: frozenset[str]
    conditions: tuple[Conditions, ...]

    def fit(self, text: str, message: Any) -> bool:
        """Whether a message, as text and decoded, is one of them."""
        return text in self.texts or any(each.fit(message) for each in self.conditions)


def conditions_of(at: str, given: Mapping[str, Any], faults: Faults) -> Conditions:
    """Read conditions."""
    tests = []
    for text, wanted in given.items():
        place = f"{at}/{text.replace('~', '~0').replace('/', '~1')}"
        path = faults.path(place, text, inside=False)
        test = _test(place, wanted, faults)
        if path is not None:
            tests.append((path, test))
    return Conditions(tuple(tests))


def any_of(at: str, given: Iterable[Any], faults: Faults) -> AnyOf:
    """Read a list of messages that are meant."""
    texts, conditions = set(), []
    for i, each in enumerate(given):
        if isinstance(each, str):
            texts.add(each)
        elif isinstance(each, Mapping) and each:
            conditions.append(conditions_of(f"{at}/{i}", each, faults))
        else:
            faults.add(f"{at}/{i}", 'must be a text, or by path what must stand there: {"$.e": 1}')
    return AnyOf(frozenset(texts), tuple(conditions))


def _test(at: str, wanted: Any, faults: Faults) -> Callable[[Any], bool]:
    if isinstance(wanted, Mapping):
        return _named_test(at, wanted, faults)
    words = tuple(wanted) if isinstance(wanted, (list, tuple)) else (wanted,)
    if any(isinstance(word, (Mapping, list, tuple)) for word in words):
        faults.add(at, "must be a text, a number, true, false or null, or a list of such")
    return lambda value: any(is_same(value, word) for word in words)


def _named_test(at: str, wanted: Mapping[str, Any], faults: Faults) -> Callable[[Any], bool]:
    match dict(wanted):
        case {"exists": bool(exists), **rest} if not rest:
            return lambda value: (value is not MISSING) is exists
        case {"prefix": str(prefix), **rest} if not rest:
            return lambda value: isinstance(value, str) and value.startswith(prefix)
    for name in wanted:
        if name not in _TESTS:
            faults.word(f"{at}/{name}", name, _TESTS, f"there is no test {name!r}")
            return lambda _: False
    faults.add(at, 'must be {"exists": true}, {"exists": false} or {"prefix": "text"}')
    return lambda _: False
