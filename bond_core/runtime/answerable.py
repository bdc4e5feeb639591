"""Refuse a filter or an alert that the records of its stream can never answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bond_core.errors import Problem, RequestError
from bond_core.spec.conditions.check import Kind, Vocabulary, check_condition
from bond_core.spec.conditions.given import misfit_of
from bond_core.spec.conditions.parse import ConditionError, parse_condition
from bond_core.spec.stream_spec import StreamSpec
from bond_core.windows.compile import plan_kind
from bond_core.windows.plan import ByVenue, FieldPlan

_MS = 1_000_000


def refuse_unanswerable(
    spec: StreamSpec, fields: Mapping[str, tuple[str, FieldPlan]], sources: Iterable[str]
) -> None:
    """Raise for a condition that names what the stream's records don't have, or compares in vain.

    Args:
        spec: Whose filter and alerts.
        fields: The stream's fields, by name: kind of event, and plan.
        sources: The names of all its sources, those that may stand in too.

    Raises:
        RequestError: `invalid_spec`, with a problem for each.
    """
    if spec.filter is None and not spec.alerts:
        return
    kinds = {name: _kind_of(name, kind, plan) for name, (kind, plan) in fields.items()}
    vocabulary = Vocabulary(
        kinds, tuple(sources), spec.interval_ms * _MS, is_overlapping=spec.window_ms is not None
    )
    problems = []
    for pointer, text in _conditions(spec):
        try:
            check_condition(parse_condition(text), vocabulary)
        except ConditionError as error:
            misfit = misfit_of(error, text)
            misfit.pointer = pointer
            problems.append(misfit.as_problem("/spec"))
    for i, alert in enumerate(spec.alerts):
        if alert.symbol is not None and alert.symbol not in spec.symbols:
            detail = f"{alert.symbol} is no symbol of this stream"
            pointer = f"/spec/alerts/{i}/symbol"
            problems.append(Problem(detail=detail, pointer=pointer, text=alert.symbol,
                                    did_you_mean=spec.symbols[:1]))  # fmt: skip
    if problems:
        raise RequestError(problems[0].detail, code="invalid_spec", problems=problems)


def _conditions(spec: StreamSpec) -> Iterator[tuple[str, str]]:
    if spec.filter is not None:
        yield "/filter", spec.filter
    for i, alert in enumerate(spec.alerts):
        yield f"/alerts/{i}/when", alert.when
        if alert.recover is not None:
            yield f"/alerts/{i}/recover", alert.recover


def _kind_of(name: str, kind: str, plan: FieldPlan) -> Kind:
    if isinstance(plan, ByVenue):
        shown: Mapping[str, Kind] = {
            "shares": "numbers by venue",
            "levels": "levels",
            "text": "text",
        }
        return shown.get(plan.gives, "number")
    return "text" if name in plan_kind(kind, {name: plan}).texts else "number"
