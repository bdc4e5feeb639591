"""Write a plan as the spec that the contract defines (`POST /v1/streams`, `spec`)."""

from __future__ import annotations

from collections.abc import Mapping

from bond_server.language.durations import plain, whole_ms
from bond_server.language.plan import Plan
from bond_server.language.sources import PlannedSource


def spec_of(plan: Plan) -> dict[str, object]:
    """Return the spec as plain JSON: only what the sentence says, seconds as numbers."""
    spec: dict[str, object] = {
        "sources": [_source(source) for source in plan.sources],
        "symbols": list(plan.symbols),
        "interval_sec": _seconds(plan.interval_sec),
        "timeframes": list(plan.timeframes),
        "window_sec": _seconds(plan.window_sec),
        "fields": None if plan.fields is None else list(plan.fields),
        "filter": _filter(plan),
        "alerts": [dict(alert) for alert in plan.alerts],
        "derived": list(plan.computed) if plan.fields is None else [],
        "depth": plan.depth,
        "mode": "raw" if plan.raw else None,
        "duration_sec": _seconds(plan.duration_sec),
        "replay_sec": _seconds(plan.replay_sec),
    }
    return {key: value for key, value in spec.items() if value not in (None, [])}


def _source(source: PlannedSource) -> dict[str, object]:
    keys: dict[str, object] = {
        "type": source.type,
        "symbols": list(source.symbols),
        "exchanges": list(source.exchanges),
        "exclude_exchanges": list(source.exclude_exchanges),
        "fallback": list(source.fallback),
        "chain": source.chain,
        "event_types": list(source.event_types),
        "accounts": list(source.accounts),
        "query": source.query,
        "url": source.url,
        "interval_sec": _seconds(source.interval_sec),
    }
    return {key: value for key, value in keys.items() if value not in (None, [])}


def _filter(plan: Plan) -> Mapping[str, object] | None:
    groups = [
        dict(group[0]) if len(group) == 1 else {"all": [dict(each) for each in group]}
        for group in plan.filters
    ]
    if len(groups) < 2:
        return groups[0] if groups else None
    return {"any": groups}


def _seconds(value: float | None) -> int | float | None:
    return None if value is None else plain(whole_ms(value))
