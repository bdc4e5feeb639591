"""Make a condition run: closures over a record, and a memory for what looks back.

What is unknown stays unknown, in logic as in arithmetic (Kleene's three values): a price that
is null is neither above 70000 nor not above it. What can't be computed (a division by zero, a
text beside a number) is unknown as well; nothing here raises.

Functions that look back see every record of their symbol, whatever stands around them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from bond_core.model.record import Record
from bond_core.spec.conditions.lookback import Change, Crosses, Evaluate, Lookback, Over, Seen
from bond_core.spec.conditions.operators import OPERATORS, PLAIN_FUNCTIONS, negated, negation
from bond_core.spec.conditions.tree import (
    CROSSES,
    OVER_TIME,
    Binary,
    Call,
    Choice,
    Constant,
    Items,
    Name,
    Node,
    Unary,
    text_of,
)
from bond_core.spec.duration import parse_duration_ms

_MS = 1_000_000

SOURCE_PARTS = ("status", "coverage", "count", "lag_ms", "late", "duplicates", "gaps", "rejected")
RECORD_PARTS = ("symbol", "partial")


Memory = list[Any]
"""What a condition remembers of one symbol: a state for each function that looks back."""


@attrs.frozen(eq=False)
class Condition:
    """A condition that runs.

    Attributes:
        tree: What it is made of.
        lookbacks: Its functions that look back, inner ones first.
    """

    tree: Node
    lookbacks: tuple[Lookback, ...]
    _evaluate: Evaluate

    @property
    def text(self) -> str:
        """Its canonical text."""
        return text_of(self.tree)

    def begin(self) -> Memory:
        """Return the memory of a symbol that was not seen yet."""
        return [lookback.begin() for lookback in self.lookbacks]

    def look(self, record: Record, memory: Memory) -> Seen:
        """Let the functions that look back see a record."""
        seen = Seen(record)
        for lookback, state in zip(self.lookbacks, memory, strict=True):
            seen.said.append(lookback.look(seen, state))
        return seen

    def holds(self, seen: Seen) -> bool | None:
        """Return whether it holds for a record, None if that is unknown."""
        value = self._evaluate(seen)
        return value if value is True or value is False else None


def condition_of(tree: Node) -> Condition:
    """Make a condition of a tree that was checked."""
    builder = _Builder()
    evaluate = builder.build(tree)
    return Condition(tree, tuple(builder.lookbacks), evaluate)


@attrs.define
class _Builder:
    lookbacks: list[Lookback] = attrs.field(factory=list)

    def build(self, node: Node) -> Evaluate:
        match node:
            case Constant(value=value):
                return lambda _: value
            case Name(path=path):
                return _reader(path)
            case Items(items=items):
                values = [item.value for item in items if isinstance(item, Constant)]
                return lambda _: values
            case Unary(op=op, of=of):
                inner = self.build(of)
                apply = negated if op == "-" else negation
                return lambda seen: apply(inner(seen))
            case Choice():
                return self.choice(node)
            case Binary():
                return self.binary(node)
            case Call():
                return self.call(node)

    def choice(self, node: Choice) -> Evaluate:
        test, yes, no = self.build(node.test), self.build(node.yes), self.build(node.no)

        def chosen(seen: Seen) -> Any:
            which = test(seen)
            if which is True:
                return yes(seen)
            return no(seen) if which is False else None

        return chosen

    def binary(self, node: Binary) -> Evaluate:
        left, right = self.build(node.left), self.build(node.right)
        if node.op in ("&&", "||"):
            return _joined(left, right, decides=node.op == "||")
        apply = OPERATORS[node.op]
        if isinstance(node.right, Constant):
            constant = node.right.value
            return lambda seen: apply(left(seen), constant)
        return lambda seen: apply(left(seen), right(seen))

    def call(self, node: Call) -> Evaluate:
        arguments = [self.build(each) for each in node.arguments]
        if node.function in CROSSES:
            lookback: Lookback = Crosses(arguments[0], arguments[1], CROSSES[node.function] == ">")
        elif node.function == "pct_change":
            lookback = Change(arguments[0], lookback_ns(node))
        elif node.function in OVER_TIME:
            lookback = Over(arguments[0], lookback_ns(node), node.function == "avg_over")
        else:
            apply = PLAIN_FUNCTIONS[node.function]
            return lambda seen: apply(*(each(seen) for each in arguments))
        self.lookbacks.append(lookback)
        place = len(self.lookbacks) - 1
        return lambda seen: seen.said[place]


def _joined(left: Evaluate, right: Evaluate, *, decides: bool) -> Evaluate:
    """Return `||`, or `&&`: one side that is `decides` is enough."""

    def joined(seen: Seen) -> bool | None:
        one: object = left(seen)
        if one is decides:
            return decides
        two: object = right(seen)
        if two is decides:
            return decides
        is_known = isinstance(one, bool) and isinstance(two, bool)
        return (not decides) if is_known else None

    return joined


def lookback_ns(node: Call) -> int:
    """Return how far a function of OVER_TIME looks back; 0 where that is no duration."""
    length = node.arguments[1]
    ms = parse_duration_ms(length.value) if isinstance(length, Constant) else None
    return (ms or 0) * _MS


def _reader(path: Sequence[str]) -> Evaluate:
    """Return what reads a name; the path was checked."""
    first, *rest = path
    if first == "sources":
        source, part = rest
        return lambda seen: getattr(seen.record.sources.get(source), part, None)
    if first in RECORD_PARTS:
        return lambda seen: getattr(seen.record, first)
    if rest:
        (part,) = rest
        return lambda seen: _part(seen.record.values.get(first), part)
    return lambda seen: seen.record.values.get(first)


def _part(value: Any, part: str) -> Any:
    return value.get(part) if isinstance(value, Mapping) else None
