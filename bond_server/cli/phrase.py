"""Say on one line what was understood of a request, and what was assumed."""

from __future__ import annotations

from bond_core.spec.duration import format_duration
from bond_server.compiling import Compiled


def understood(compiled: Compiled) -> str:
    """Return the canonical sentence, or what a spec says, with what was assumed behind it."""
    if compiled.understanding is not None:
        said = compiled.understanding.sentence
    else:
        spec = compiled.spec
        sources = dict.fromkeys(
            name for source in spec.sources for name in (source.exchanges or (source.type,))
        )
        often = f"every {format_duration(spec.interval_ms)}"
        if spec.mode == "raw":
            often = "every event"
        said = f"{', '.join(spec.symbols)} of {', '.join(sources)}, {often}"
    assumed = f"  (assumed {', '.join(compiled.assumed)})" if compiled.assumed else ""
    return said + assumed
