"""Say how a running stream does, as plain data: for health, lists and metrics."""

from __future__ import annotations

from typing import Any

from bond_core.runtime.pipeline import Pipeline
from bond_core.wire.times import iso

_WORST_FIRST = ("failed", "reconnecting", "stale", "starting", "live")


def state_of(pipeline: Pipeline) -> str:
    """Return `failed` if it can't go on, `starting` until a source is live, else `running`."""
    if pipeline.failure is not None:
        return "failed"
    statuses = [status for ear in pipeline.ears.values() for status, _ in ear.status.values()]
    return "starting" if all(s == "starting" for s in statuses) else "running"


def status_of_sources(pipeline: Pipeline) -> dict[str, Any]:
    """Return by source name the status of its worst symbol, why, and the symbols not live."""
    report = {}
    for name, ear in pipeline.ears.items():
        by_symbol = {s: (status, why) for s, (status, why) in ear.status.items()}
        worst = min(
            by_symbol.values(), key=lambda found: _WORST_FIRST.index(found[0]),
            default=("starting", None),
        )  # fmt: skip
        body: dict[str, Any] = {"status": worst[0], "venue": ear.source.plan.venue}
        if worst[1] is not None:
            body["reason"] = worst[1]
        if ear.source.plan.simulated:
            body["simulated"] = True
        differing = {s: status for s, (status, _) in by_symbol.items() if status != "live"}
        if differing and len(by_symbol) > 1:
            body["symbols"] = differing
        report[name] = body
    return report


def stream_metrics(stream_id: str, pipeline: Pipeline, *, created_ns: int) -> dict[str, Any]:
    """Return the metrics of a stream.

    `dropped` is everything that was heard but is in no window. `latency_*` is the receive time
    less the event time over the newest samples, null while there are none; `stages` says it of
    each stage of the way (`bond_core.runtime.stages`). All in ms. It may have been created
    long before it began to run here, which is what everything else counts from.
    """
    totals = pipeline.engine.totals.values()
    late = sum(t.late for t in totals)
    duplicates = sum(t.duplicates for t in totals)
    rejected = sum(t.rejected for t in totals)
    stages = {
        name: dict(zip(("p50_ms", "p95_ms"), seen.quantiles_ms(0.50, 0.95), strict=True))
        | {"samples": seen.samples}
        for name, seen in pipeline.stages.by_name().items()
    }
    return {
        "stream_id": stream_id,
        "uptime_sec": round((pipeline.clock.now_ns() - pipeline.started_ns) / 1e9, 3),
        "created_at": iso(created_ns // 1_000_000 * 1_000_000),
        "msgs_in": pipeline.events_in,
        "msgs_out": pipeline.publisher.published,
        "dropped": late + duplicates + rejected,
        "latency_p50_ms": stages["source"]["p50_ms"],
        "latency_p95_ms": stages["source"]["p95_ms"],
        "latency_samples": stages["source"]["samples"],
        "stages": stages,
        "windows_closed": pipeline.windows_closed,
        "skipped": pipeline.screen.skipped,
        "filter_unknown": pipeline.screen.unknown,
        "alerts": pipeline.screen.alerts,
        "alerts_unknown": pipeline.screen.unknown_alerts,
        "late": late,
        "duplicates": duplicates,
        "rejected": rejected,
        "wrong_unit": sum(t.wrong_unit for t in totals),
        "clamped": sum(t.clamped for t in totals),
        "failure": pipeline.failure,
    }
