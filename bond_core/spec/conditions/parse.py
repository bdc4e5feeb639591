"""Read a condition's text, and refuse what is none with the place where it stops to be one."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator

import attrs

from bond_core.spec.conditions.tree import (
    FUNCTIONS,
    PRECEDENCE,
    Binary,
    Call,
    Choice,
    Constant,
    Items,
    Name,
    Node,
    Span,
    Unary,
    walk,
)

MAX_TEXT = 512
MAX_NODES = 64
MAX_DEPTH = 16

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>(?:\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3})?)(?P<unit>[kKmM](?![\w.]))?
    | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<word>[A-Za-z_]\w*)
    | (?P<mark>&&|\|\||<=|>=|==|!=|[-+*/<>!?:()\[\].,])
    )""",
    re.VERBOSE | re.ASCII,
)
_WORDS = {"and": "&&", "or": "||"}
_TRUTHS = {"true": True, "false": False}
_LARGEST = 1e300
_COMPARISONS = {op for op, binds in PRECEDENCE.items() if binds == PRECEDENCE["<"]}


class ConditionError(ValueError):
    """A text that is no condition.

    Attributes:
        detail: What is wrong, as a sentence.
        span: Where, in characters.
        did_you_mean: What may have been meant, the likeliest first.
    """

    def __init__(self, detail: str, span: Span, did_you_mean: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.span = span
        self.did_you_mean = did_you_mean


@attrs.frozen
class Token:
    """One word of a condition; `kind` is `end` behind the last."""

    kind: str
    text: str
    span: Span


def parse_condition(text: str) -> Node:
    """Return the tree of a condition.

    Raises:
        ConditionError: It is none, or larger than MAX_TEXT, MAX_NODES or MAX_DEPTH allow.
    """
    if len(text) > MAX_TEXT:
        detail = f"a condition has at most {MAX_TEXT} characters, this one {len(text)}"
        raise ConditionError(detail, (0, len(text)))
    reader = _Reader(list(_tokens(text)))
    node = reader.expression(0)
    reader.expect("end")
    if sum(1 for _ in walk(node)) > MAX_NODES:
        raise ConditionError(f"a condition has at most {MAX_NODES} parts", (0, len(text)))
    return node


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            char = text[at]
            instead = {"=": "==", "&": "&&", "|": "||"}.get(char)
            hint = f"; did you mean {instead}?" if instead else ""
            near = (instead,) if instead else ()
            raise ConditionError(f"{char!r} has no meaning here{hint}", (at, at + 1), near)
        kind = found.lastgroup or ""
        kind = "number" if kind == "unit" else kind
        span = found.start(kind), found.end()
        word = text[span[0] : span[1]]
        yield Token(kind, _WORDS.get(word, word) if kind == "word" else word, span)
        at = found.end()
    yield Token("end", "", (len(text), len(text)))


@attrs.define
class _Reader:
    """Reads by precedence, as Pratt's parsers do: each operator takes what binds tighter."""

    tokens: list[Token]
    at: int = 0
    depth: int = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def expect(self, mark: str) -> Token:
        token = self.token
        if mark == "end":
            if token.kind != "end":
                raise ConditionError(f"{token.text!r} is not expected here", token.span)
        elif token.text != mark or token.kind == "text":
            was = repr(token.text) if token.text else "the end"
            raise ConditionError(f"{mark!r} is missing before {was}", token.span, (mark,))
        return self.take() if mark != "end" else token

    def expression(self, least: int) -> Node:
        """Read what binds tighter than `least`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ConditionError(f"nested deeper than {MAX_DEPTH} levels", self.token.span)
        left = self.operand()
        while (binds := self._binds()) > least:
            left = self.operator(left, binds)
        self.depth -= 1
        return left

    def _binds(self) -> int:
        token = self.token
        if token.kind == "text" or token.text in ("!", "not"):
            return 0
        return PRECEDENCE.get(token.text, 0)

    def operator(self, left: Node, binds: int) -> Node:
        token = self.take()
        if token.text == "?":
            yes = self.expression(0)
            self.expect(":")
            no = self.expression(0)
            return Choice(left, yes, no, (left.span[0], no.span[1]))
        right = self.expression(binds)
        if token.text in _COMPARISONS and self.token.text in _COMPARISONS:
            detail = "comparisons don't chain: write a < b && b < c"
            raise ConditionError(detail, self.token.span)
        return Binary(token.text, left, right, (left.span[0], right.span[1]))

    def operand(self) -> Node:
        token = self.take()
        if token.kind == "number":
            return Constant(_number(token), token.span)
        if token.kind == "text":
            return Constant(_unquoted(token), token.span)
        if token.text in ("!", "not"):
            of = self.expression(PRECEDENCE[token.text] - (token.text == "not"))
            return Unary("!", of, (token.span[0], of.span[1]))
        if token.kind == "word" and token.text in _TRUTHS:
            return Constant(_TRUTHS[token.text], token.span)
        if token.kind == "word" and token.text not in PRECEDENCE:
            return self.call(token) if self.token.text == "(" else self.name(token)
        known: dict[str, Callable[[Token], Node]] = {
            "-": self.negative, "(": self.group, "[": self.items,
        }  # fmt: skip
        if token.kind != "mark" or token.text not in known:
            was = repr(token.text) if token.text else "the end"
            raise ConditionError(f"a value is missing before {was}", token.span)
        return known[token.text](token)

    def negative(self, token: Token) -> Node:
        of = self.expression(PRECEDENCE["!"])
        span = (token.span[0], of.span[1])
        if isinstance(of, Constant) and not isinstance(of.value, str | bool):
            return Constant(-of.value, span)
        return Unary("-", of, span)

    def group(self, _: Token) -> Node:
        inner = self.expression(0)
        self.expect(")")
        return inner

    def items(self, token: Token) -> Node:
        items = self.until("]")
        for item in items:
            if not isinstance(item, Constant):
                raise ConditionError("a list holds numbers and texts only", item.span)
        return Items(items, (token.span[0], self.tokens[self.at - 1].span[1]))

    def call(self, token: Token) -> Node:
        if token.text not in FUNCTIONS:
            near = tuple(difflib.get_close_matches(token.text, FUNCTIONS, n=1))
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(FUNCTIONS)}"
            raise ConditionError(f"there is no function {token.text}{hint}", token.span, near)
        self.take()
        arguments = self.until(")")
        span = token.span[0], self.tokens[self.at - 1].span[1]
        fewest, most = FUNCTIONS[token.text]
        if not fewest <= len(arguments) <= most:
            number = str(most) if fewest == most else f"{fewest} to {most}"
            plural = "" if most == 1 else "s"
            detail = f"{token.text} takes {number} argument{plural}, not {len(arguments)}"
            raise ConditionError(detail, span)
        return Call(token.text, arguments, span)

    def until(self, mark: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while self.token.text != mark or self.token.kind == "text":
            if found:
                self.expect(",")
            found.append(self.expression(0))
        self.take()
        return tuple(found)

    def name(self, token: Token) -> Node:
        path, end = [token.text], token.span[1]
        while self.token.kind == "mark" and self.token.text in (".", "["):
            if self.take().text == ".":
                step = self.take()
                if step.kind != "word":
                    raise ConditionError("a name is missing behind the dot", step.span)
                path.append(step.text)
            else:
                step = self.take()
                if step.kind != "text":
                    raise ConditionError('a text is missing: sources["binance"]', step.span)
                path.append(_unquoted(step))
                step = self.expect("]")
            end = step.span[1]
        return Name(tuple(path), (token.span[0], end))


def _number(token: Token) -> float | int:
    text, times = token.text.replace("_", ""), 1
    if text[-1] in "kKmM":
        text, times = text[:-1], 1_000 if text[-1] in "kK" else 1_000_000
    if text.isdecimal():
        number: float | int = int(text) * times
    else:
        number = float(text) * times
        number = int(number) if number.is_integer() and abs(number) < 2**53 else number
    if abs(number) > _LARGEST:
        raise ConditionError("that number is too large", token.span)
    return number


def _unquoted(token: Token) -> str:
    text = token.text
    if text[0] == "'":
        text = '"' + text[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
    try:
        return str(json.loads(text))
    except ValueError:
        raise ConditionError("that text has a backslash that means nothing", token.span) from None
