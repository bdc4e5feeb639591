"""The built-in fields by kind of event, planned as a stream that asks for all of them has them."""

from __future__ import annotations

from bond_core.aggregators.plugin import bond_aggregators
from bond_core.plugin.field_names import template_of
from bond_core.plugin.plans import plan_of, plans_of

NUMBERS = {"price_mean_": (2, 3), "price_min_": (3,), "price_max_": (3,), "price_p": (5, 50, 95),
           "volume_mean_": (3,), "volume_sum_": (2,)}  # fmt: skip


def fields_of(kind):
    """Every field that can be computed from a kind of event, with its plan."""
    found = {}
    for spec in bond_aggregators():
        if spec.kind != kind:
            continue
        plans = plans_of(spec)
        for field in spec.fields:
            template = template_of(field)
            numbers = [""] if template is None else NUMBERS[template.prefix]
            stem = field if template is None else template.prefix
            for number in numbers:
                name = f"{stem}{number}"
                found[name] = (kind, plan_of(spec, plans, name))
    return found
