"""Check a condition against what a stream's records have, before the first of them is made."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Literal

import attrs

from bond_core.spec.conditions.evaluate import RECORD_PARTS, SOURCE_PARTS, lookback_ns
from bond_core.spec.conditions.lookback import MAX_LOOKBACK_NS, MAX_RECORDS
from bond_core.spec.conditions.parse import ConditionError
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
)

Kind = Literal["number", "text", "truth", "numbers by venue", "levels"]

_A: Mapping[Kind, str] = {
    "number": "a number", "text": "a text", "truth": "a truth",
    "numbers by venue": "a number for each venue", "levels": "a list of levels",
}  # fmt: skip
_SOURCE_KINDS: Mapping[str, Kind] = {
    part: "text" if part == "status" else "number" for part in SOURCE_PARTS
}
_RECORD_KINDS: Mapping[str, Kind] = {"symbol": "text", "partial": "truth"}


@attrs.frozen
class Vocabulary:
    """What a stream's records have.

    Attributes:
        fields: By name, what they are.
        sources: The names of all sources that may serve, those that stand in too.
        interval_ns: How often the smallest window ends.
        is_overlapping: Whether windows overlap: what is in one of them is in others, too.
    """

    fields: Mapping[str, Kind]
    sources: Collection[str]
    interval_ns: int
    is_overlapping: bool = False


def check_condition(tree: Node, vocabulary: Vocabulary) -> None:
    """Refuse what no record could ever answer.

    Raises:
        ConditionError: A name is unknown, kinds don't go together, it looks back too far, or it
            is neither true nor false.
    """
    kind = _Checker(vocabulary).kind_of(tree)
    if kind != "truth":
        raise ConditionError(f"a condition is true or false, and this is {_A[kind]}", tree.span)


@attrs.frozen
class _Checker:
    vocabulary: Vocabulary

    def kind_of(self, node: Node) -> Kind:
        """Return what a node's value is, unless it is unknown."""
        match node:
            case Constant(value=value):
                return "truth" if isinstance(value, bool) else _kind_of_constant(value)
            case Name():
                return self.name(node)
            case Unary(op=op, of=of):
                return self.must_be(of, "truth" if op == "!" else "number")
            case Choice():
                self.must_be(node.test, "truth")
                return self.alike(node.yes, node.no)
            case Binary():
                return self.binary(node)
            case Call():
                return self.call(node)
            case Items():
                raise ConditionError("a list stands behind `in`", node.span)

    def must_be(self, node: Node, kind: Kind) -> Kind:
        found = self.kind_of(node)
        if found != kind:
            raise ConditionError(f"{_A[kind]} is needed here, this is {_A[found]}", node.span)
        return kind

    def alike(self, one: Node, two: Node) -> Kind:
        return self.must_be(two, self.kind_of(one))

    def binary(self, node: Binary) -> Kind:
        if node.op in ("&&", "||"):
            self.must_be(node.left, "truth")
            return self.must_be(node.right, "truth")
        if node.op in ("+", "-", "*", "/"):
            self.must_be(node.left, "number")
            return self.must_be(node.right, "number")
        if node.op == "in":
            self.isin(node)
        else:
            kind = self.alike(node.left, node.right)
            is_order = node.op not in ("==", "!=")
            if kind in ("numbers by venue", "levels") or (kind == "truth" and is_order):
                raise ConditionError(f"{_A[kind]} can't be compared by {node.op}", node.span)
        return "truth"

    def isin(self, node: Binary) -> None:
        if not isinstance(node.right, Items):
            raise ConditionError('`in` looks in a list: ["binance", "okx"]', node.right.span)
        kind = self.kind_of(node.left)
        for item in node.right.items:
            self.must_be(item, kind)

    def call(self, node: Call) -> Kind:
        arguments = node.arguments
        if node.function == "has":
            if not isinstance(arguments[0], Name):
                raise ConditionError("has() asks for a field", arguments[0].span)
            self.name(arguments[0])
            return "truth"
        if node.function in ("lower", "contains"):
            for argument in arguments:
                self.must_be(argument, "text")
            return "text" if node.function == "lower" else "truth"
        if node.function in OVER_TIME:
            self.lookback(node)
            return self.must_be(arguments[0], "number")
        for argument in arguments:
            self.must_be(argument, "number")
        return "truth" if node.function in CROSSES else "number"

    def lookback(self, node: Call) -> None:
        back_ns, interval_ns, span = lookback_ns(node), self.vocabulary.interval_ns, node.span
        if back_ns <= 0:
            detail = f'how far back is a duration in quotes: {node.function}(price_avg, "5m")'
            raise ConditionError(detail, node.arguments[1].span)
        if back_ns < interval_ns:
            detail = f"{node.function} looks back over less than one window of this stream"
            raise ConditionError(detail, span)
        if node.function == "pct_change":
            if back_ns > MAX_LOOKBACK_NS:
                raise ConditionError("pct_change looks back over at most 7 days", span)
            return
        if self.vocabulary.is_overlapping:
            detail = f"{node.function} needs windows that don't overlap: leave out window_sec"
            raise ConditionError(detail, span)
        if back_ns % interval_ns:
            detail = f"{node.function} looks back over whole windows of this stream"
            raise ConditionError(detail, span)
        if back_ns > MAX_RECORDS * interval_ns:
            detail = f"{node.function} looks back over at most {MAX_RECORDS} windows of this stream"
            raise ConditionError(detail, span)

    def name(self, node: Name) -> Kind:
        first, *rest = node.path
        if first == "sources":
            return self.source(node)
        if first in _RECORD_KINDS and not rest:
            return _RECORD_KINDS[first]
        if first not in self.vocabulary.fields:
            raise _unknown(node, first, (*self.vocabulary.fields, *RECORD_PARTS, "sources"))
        kind = self.vocabulary.fields[first]
        if not rest:
            return kind
        if kind != "numbers by venue" or len(rest) > 1:
            raise ConditionError(f"{first} has no parts", node.span)
        return "number"

    def source(self, node: Name) -> Kind:
        if len(node.path) != 3:
            raise ConditionError('a part of a source: sources["binance"].lag_ms', node.span)
        _, source, part = node.path
        if source not in self.vocabulary.sources:
            raise _unknown(node, source, self.vocabulary.sources, "source")
        if part not in _SOURCE_KINDS:
            raise _unknown(node, part, _SOURCE_KINDS, "part of a source")
        return _SOURCE_KINDS[part]


def _kind_of_constant(value: object) -> Kind:
    return "text" if isinstance(value, str) else "number"


def _unknown(
    node: Name, name: str, known: Collection[str], what: str = "field of this stream"
) -> ConditionError:
    near = tuple(difflib.get_close_matches(name, known, n=1))
    also = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
    # Only a name of one word can be replaced in the text as it stands.
    meant = near if len(node.path) == 1 else ()
    return ConditionError(f"{name} is no {what}; {also}", node.span, meant)
