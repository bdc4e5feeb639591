"""The parts of a condition, and its one canonical text.

    price_avg > 70000 && (tweets >= 5 || has(vwap))

The language is a subset of CEL (https://github.com/google/cel-spec) in its looks: literals,
names, arithmetic, comparisons, logic, and the functions in FUNCTIONS. Unlike there, whole and
other numbers mix, and what is unknown stays unknown (see `evaluate`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import attrs

Span = tuple[int, int]

FUNCTIONS: Mapping[str, tuple[int, int]] = {
    "abs": (1, 1), "min": (1, 8), "max": (1, 8), "round": (1, 2), "lower": (1, 1),
    "contains": (2, 2), "has": (1, 1), "crosses_above": (2, 2), "crosses_below": (2, 2),
    "pct_change": (2, 2), "sum_over": (2, 2), "avg_over": (2, 2),
}  # fmt: skip
"""How few and how many arguments each takes."""

CROSSES = {"crosses_above": ">", "crosses_below": "<"}
"""What has come to be once a value has crossed a level."""

OVER_TIME = ("pct_change", "sum_over", "avg_over")
"""What looks back over a duration, its second argument."""

NOWHERE: Span = (0, 0)


@attrs.frozen
class Constant:
    """A number, a text, or a truth."""

    value: float | int | str | bool
    span: Span = attrs.field(default=NOWHERE, eq=False)


@attrs.frozen
class Name:
    """A field of the record, or a part of one: `price_avg`, `sources["binance"].lag_ms`."""

    path: tuple[str, ...]
    span: Span = attrs.field(default=NOWHERE, eq=False)


@attrs.frozen
class Unary:
    """`-x` or `!x`."""

    op: Literal["-", "!"]
    of: Node
    span: Span = attrs.field(default=NOWHERE, eq=False)


@attrs.frozen
class Binary:
    """Arithmetic, a comparison, or logic."""

    op: str
    left: Node
    right: Node
    span: Span = attrs.field(default=NOWHERE, eq=False)


@attrs.frozen
class Choice:
    """`test ? yes : no`."""

    test: Node
    yes: Node
    no: Node
    span: Span = attrs.field(default=NOWHERE, eq=False)


@attrs.frozen
class Items:
    """A list of literals, to be looked in: `side in ["buy", "sell"]`."""

    items: tuple[Node, ...]
    span: Span = attrs.field(default=NOWHERE, eq=False)


@attrs.frozen
class Call:
    """A function of FUNCTIONS, and its arguments."""

    function: str
    arguments: tuple[Node, ...]
    span: Span = attrs.field(default=NOWHERE, eq=False)


Node = Constant | Name | Unary | Binary | Choice | Items | Call

PRECEDENCE: Mapping[str, int] = {
    "?": 1, "||": 2, "&&": 3, "not": 4,
    "<": 5, "<=": 5, ">": 5, ">=": 5, "==": 5, "!=": 5, "in": 5,
    "+": 6, "-": 6, "*": 7, "/": 7, "!": 8,
}  # fmt: skip
"""How tightly each operator binds: `!` as a sign does, the word `not` as in Python."""


def parts(node: Node) -> Sequence[Node]:
    """Return what a node is directly made of."""
    match node:
        case Unary(of=of):
            return (of,)
        case Binary(left=left, right=right):
            return (left, right)
        case Choice(test=test, yes=yes, no=no):
            return (test, yes, no)
        case Items(items=items):
            return items
        case Call(arguments=arguments):
            return arguments
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it."""
    yield node
    for part in parts(node):
        yield from walk(part)


def text_of(node: Node, least: int = 0) -> str:
    """Return the canonical text, in parentheses where what is around it needs them."""
    text, binds = _text(node)
    return f"({text})" if binds < least else text


def _text(node: Node) -> tuple[str, int]:
    whole = 10
    match node:
        case Constant(value=value):
            negative = not isinstance(value, str | bool) and value < 0
            return json.dumps(value, ensure_ascii=False), PRECEDENCE["!"] if negative else whole
        case Name(path=path):
            first, *rest = path
            return first + "".join(map(_step, rest)), whole
        case Unary(op=op, of=of):
            binds = PRECEDENCE["!"]
            return op + text_of(of, binds + (op == "-")), binds
        case Binary(op=op, left=left, right=right):
            binds = PRECEDENCE[op]
            # Comparisons don't chain, so both sides of one bind tighter.
            mine = binds + (binds == PRECEDENCE["<"])
            return f"{text_of(left, mine)} {op} {text_of(right, binds + 1)}", binds
        case Choice(test=test, yes=yes, no=no):
            return f"{text_of(test, 2)} ? {text_of(yes, 2)} : {text_of(no, 1)}", 1
        case Items(items=items):
            return f"[{', '.join(map(text_of, items))}]", whole
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(text_of, arguments))})", whole


def _step(name: str) -> str:
    is_plain = name.isascii() and name.isidentifier()
    return f".{name}" if is_plain else f"[{json.dumps(name, ensure_ascii=False)}]"
