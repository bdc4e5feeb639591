"""Refuse what a spec may say but this version can't do, or can't do together: never ignored."""

from __future__ import annotations

from bond_core.errors import Problem, RequestError
from bond_core.spec.duration import format_duration
from bond_core.spec.stream_spec import StreamSpec


def refuse_what_is_missing(spec: StreamSpec) -> None:
    """Raise RequestError `unsupported` for keys that are understood but not built yet."""
    if spec.late == "side":
        detail = "this version can't do 'late' yet"
        problem = Problem(detail=detail, pointer="/spec/late", text="late")
        raise RequestError(
            "this version can't do late yet; leave it out", code="unsupported", problems=[problem]
        )


def refuse_windows_in_raw(spec: StreamSpec) -> None:
    """Refuse what is about records of windows in a stream of raw events.

    Raises:
        RequestError: `invalid_spec`, with a problem for each key.
    """
    if spec.mode != "raw":
        return
    asked = {
        "filter": spec.filter is not None,
        "alerts": bool(spec.alerts),
        "timeframes": set(spec.timeframes) != {format_duration(spec.interval_ms)},
        "window_sec": spec.window_ms is not None,
        "derived": bool(spec.derived),
        "late": spec.late != "drop",
        "fill": spec.fill != "null",
    }
    problems = [
        Problem(detail=_WHY[key], pointer=f"/spec/{key}", text=key)
        for key, is_asked in asked.items()
        if is_asked
    ]
    if problems:
        keys = ", ".join(problem.text or "" for problem in problems)
        detail = f'{keys}: {problems[0].detail}; leave it out, or leave out "mode": "raw"'
        raise RequestError(detail, code="invalid_spec", problems=problems)


_WHY = {
    "filter": "a filter looks at records of windows, and a raw stream has none",
    "alerts": "alerts look at records of windows, and a raw stream has none",
    "timeframes": "timeframes are lengths of windows, and a raw stream has none",
    "window_sec": "it is the length of windows, and a raw stream has none",
    "derived": "derived fields are computed from windows, and a raw stream has none",
    "late": "nothing closes in a raw stream: late events are delivered, and marked",
    "fill": "a raw stream has no windows without a trade",
}
