"""Refuse what a spec may say but this version can't do yet: said plainly, never ignored."""

from __future__ import annotations

from bond_core.errors import Problem, RequestError
from bond_core.spec.stream_spec import StreamSpec


def refuse_what_is_missing(spec: StreamSpec) -> None:
    """Raise RequestError `unsupported` for keys that are understood but not built yet."""
    asked = {
        "mode": spec.mode != "windows",
        "late": spec.late == "side",
    }
    problems = [
        Problem(detail=f"this version can't do {key!r} yet", pointer=f"/spec/{key}", text=key)
        for key, is_asked in asked.items()
        if is_asked
    ]
    if problems:
        keys = ", ".join(p.text or "" for p in problems)
        raise RequestError(
            f"this version can't do {keys} yet; leave it out", code="unsupported", problems=problems
        )
