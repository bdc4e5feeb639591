"""Errors of one source or sink: what its vendor said, in words that can be acted on."""

from __future__ import annotations

from bond_server.error_catalogue.entry import Entry

ENTRIES = (
    Entry(
        code="forbidden_path", status=422,
        cause="A sink would write outside the folder that is meant for it.",
        remedy="Name a file without a path that leads out of BOND_SINK_DIR.",
        fix="BOND_SINK_DIR=records",
    ),
    Entry(
        code="missing_key", status=422,
        cause="A source needs a key, and the environment has none. Nothing is made up instead.",
        remedy="Set what the error names, or ask for simulated data.",
        fix='bond listen "BTC price every 1s" --simulate',
    ),
    Entry(
        code="not_simulated", status=422,
        cause="Simulated data was asked for, and nothing simulates this source or venue.",
        remedy="Use another, or leave simulation out.",
        fix="bond demo",
    ),
    Entry(
        code="source", status=422,
        cause="Something is wrong with one source.",
        remedy="Its `reason` says what.",
    ),
    Entry(
        code="source_failed", status=422,
        cause="A source can't be heard until somebody changes something.",
        remedy="Its `reason` says what: a key, a symbol, a plan, a country.",
        fix="bond doctor",
    ),
    Entry(
        code="source_unavailable", status=503, again=True,
        cause="A source can't be heard just now; it is tried again.",
        remedy="Wait; its `reason` says what it answered.",
        fix="bond doctor",
    ),
)  # fmt: skip
