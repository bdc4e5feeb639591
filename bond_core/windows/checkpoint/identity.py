"""Name the spec and the program that a snapshot belongs to, so that no other takes it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bond_core.windows.checkpoint.lines import FORMAT, Head
from bond_core.windows.plan import Rolling, StreamPlan
from bond_core.windows.program import Program


def head_of(plan: StreamPlan, programs: Mapping[str, Program]) -> Head:
    """Return the head of a snapshot of an engine that runs this plan."""
    fields = [(name, kind, sorted(plan.instead.get(name, ()))) for name, (kind, _) in
              plan.fields.items()]  # fmt: skip
    spec = (
        plan.symbols, plan.timeframes_ns, plan.slide_ns, plan.late, plan.corrections_ns,
        plan.fill, plan.key_ttl_ns, plan.bars, plan.release_ns, fields, plan.sources,
    )  # fmt: skip
    kinds = {kind for kind, _ in plan.fields.values()} | {source.kind for source in plan.sources}
    written = [text for kind in sorted(kinds) for text in _program(programs[kind])]
    written += [
        f"{name} {field.windows}" for name, (_, field) in plan.fields.items()
        if isinstance(field, Rolling)
    ]  # fmt: skip
    return Head(format=FORMAT, spec=_digest(repr(spec)), program=_digest("\n".join(written)))


def _program(program: Program) -> Iterator[str]:
    """Yield what the state of a program's panes, and the meaning of it, depend on."""
    yield program.source
    for reduce in program.plan.reduces:
        plan = reduce.plan
        yield from map(_function, (plan.reduce, plan.merge, plan.dump, plan.load))
    for fold in program.plan.folds:
        its = fold.plan
        yield from map(_function, (its.zero, its.add, its.merge, its.dump, its.load))
    if program.own is not None:
        yield from _program(program.own)


def _function(function: Callable[..., Any] | None) -> str:
    """Name an author's function; one whose code was changed is another."""
    if isinstance(function, functools.partial):
        return f"{_function(function.func)} {function.args} {sorted(function.keywords.items())}"
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}:{name} {code.co_code.hex() if code else ''}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
