"""What all streams did together since the server started, those that are gone included.

A stream's own objects count; this only sums them up, when somebody looks, and once more
when a stream goes. So nothing is counted twice on the way of an event, and no sum falls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain

import attrs

from bond_core.runtime.feeds import OriginKind
from bond_core.runtime.pipeline import Pipeline
from bond_core.runtime.stages import Stages

DROPPED = ("late", "duplicates", "rejected", "unrouted")
"""Where an event may have gone that is in no window, as `Totals` names it."""


@attrs.define
class Ledger:
    """Sums over streams.

    Attributes:
        events: Events by where they came from, and by what became of them: `events` for all
            of them, and those of `DROPPED`; and `gaps`, holes that were noticed. Streams that
            share a source count it each.
        windows: Windows closed.
        records: Records published.
        skipped: Records that filters held back.
        filter_unknown: Records of which a filter could not say whether they pass.
        alerts: Alerts told.
        alerts_unknown: How often a record could not say whether an alert holds.
        field_errors: How often the code behind a field failed, or gave what is no value.
        stages: How long the way took.
    """

    events: Counter[tuple[OriginKind, str]] = attrs.field(factory=Counter)
    windows: int = 0
    records: int = 0
    skipped: int = 0
    filter_unknown: int = 0
    alerts: int = 0
    alerts_unknown: int = 0
    field_errors: int = 0
    stages: Stages = attrs.field(factory=Stages)

    def add(self, pipeline: Pipeline) -> None:
        """Take in what a stream did."""
        bound = pipeline.bound
        for source in chain(bound.sources, *bound.fallbacks.values()):
            totals = pipeline.engine.totals.get(source.plan.name)
            if totals is None:  # a fallback that never stood in
                continue
            kind = source.origin.kind
            self.events[kind, "events"] += totals.events
            for fate in (*DROPPED, "gaps"):
                self.events[kind, fate] += getattr(totals, fate)
        self.windows += pipeline.windows_closed
        self.records += pipeline.publisher.published
        self.skipped += pipeline.screen.skipped
        self.filter_unknown += pipeline.screen.unknown
        self.alerts += pipeline.screen.alerts
        self.alerts_unknown += pipeline.screen.unknown_alerts
        self.field_errors += sum(pipeline.engine.field_errors.values())
        self.stages.add(pipeline.stages)

    def with_those(self, pipelines: Iterable[Pipeline]) -> Ledger:
        """Return the sums with those of streams that are still there."""
        sums = attrs.evolve(self, events=Counter(self.events), stages=Stages())
        sums.stages.add(self.stages)
        for pipeline in pipelines:
            sums.add(pipeline)
        return sums
