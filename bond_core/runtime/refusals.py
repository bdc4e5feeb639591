"""Refuse what a spec may say but this version can't do yet: said plainly, never ignored."""

from __future__ import annotations

from bond_core.errors import Problem, RequestError
from bond_core.spec.stream_spec import StreamSpec


def refuse_what_is_missing(spec: StreamSpec) -> None:
    """Raise RequestError `unsupported` for keys that are understood but not built yet."""
    asked = {
        "filter": spec.filter is not None,
        "alerts": bool(spec.alerts),
        "depth": spec.depth is not None,
        "mode": spec.mode != "windows",
        "sinks": bool(spec.sinks),
    }
    problems = [
        Problem(detail=f"this version can't do {key!r} yet", pointer=f"/spec/{key}", text=key)
        for key, is_asked in asked.items()
        if is_asked
    ]
    if spec.window_ms is not None and len(spec.timeframes) > 1:
        detail = "windows that slide (window_sec) have one length; leave timeframes out"
        problems.append(Problem(detail=detail, pointer="/spec/timeframes", text="timeframes"))
    if problems:
        keys = ", ".join(p.text or "" for p in problems)
        raise RequestError(
            f"this version can't do {keys} yet; leave it out", code="unsupported", problems=problems
        )
