"""Build an aggregator and check what it plans, before any stream asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bond_core.errors import PluginError
from bond_core.plugin.factories import load_class
from bond_core.plugin.field_names import family_of, template_of
from bond_core.plugin.specs import AggregatorSpec, NoConfig, Spec
from bond_core.settings import structure
from bond_core.windows.compile import plan_kind
from bond_core.windows.plan import FieldPlan

Plans = Mapping[str, FieldPlan | Callable[[int], FieldPlan]]


def plans_of(spec: AggregatorSpec) -> Plans:
    """Return the plans of an aggregator's fields, checked; a function for each with a range.

    Raises:
        PluginError: It can't be built, has no plan for one of its fields, or an expression in
            one is wrong; the text says which field, where in the expression, and why.
    """
    make = load_class(spec.factory)
    try:
        aggregator = make() if spec.config is NoConfig else make(config=structure(spec.config, {}))
        plans: Plans = dict(_mapping(aggregator.plan()))
        missing = [field for field in spec.fields if field not in plans]
        for field in plans:
            template = template_of(field)
            name = field if template is None else f"{template.prefix}{template.low}"
            plan_kind(spec.kind, {name: _plan(plans, name)})
    except PluginError as error:
        detail = f"aggregator {spec.name}: {error.detail}"
        raise PluginError(detail, code=error.code, problems=error.problems) from error
    except Exception as error:
        detail = f"aggregator {spec.name} can't be built: {type(error).__name__}: {error}"
        raise PluginError(detail) from error
    if missing:
        raise PluginError(f"aggregator {spec.name} has no plan for its field {missing[0]!r}")
    return plans


def plan_of(spec: AggregatorSpec, plans: Plans, field: str) -> FieldPlan:
    """Return the plan of one field, whose name may be one of a range.

    Raises:
        PluginError: The function of a range raised.
    """
    try:
        return _plan(plans, field)
    except Exception as error:
        detail = f"aggregator {spec.name} has no plan for {field}: {type(error).__name__}: {error}"
        raise PluginError(detail) from error


def check_plans(spec: Spec) -> None:
    """See that what a spec plans can be computed, where it is an aggregator's.

    Raises:
        PluginError: As `plans_of` says.
    """
    if isinstance(spec, AggregatorSpec):
        plans_of(spec)


def _mapping(planned: object) -> Plans:
    if not isinstance(planned, Mapping):
        raise PluginError(f"plan() must return a mapping, returned {type(planned).__name__}")
    return planned


def _plan(plans: Plans, field: str) -> FieldPlan:
    family = field if field in plans else family_of(field, plans)
    if family is None:
        raise KeyError(field)
    found, template = plans[family], template_of(family)
    if template is None:
        return found  # type: ignore[return-value] # what is no plan is refused by plan_kind
    number = template.number(field)
    return found(number)  # type: ignore[operator,arg-type] # likewise: told as its plugin's fault
