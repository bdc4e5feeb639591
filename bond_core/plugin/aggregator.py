"""What an aggregator is: the class behind an AggregatorSpec's factory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bond_core.windows.plan import FieldPlan


class Aggregator(Protocol):
    """Computes record fields from one kind of event."""

    def plan(self) -> Mapping[str, FieldPlan]:
        """Return how each of the spec's fields is computed. Called once per stream."""
        ...
