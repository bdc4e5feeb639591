"""Says what a spec and its words are in the terms of the natural-language cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bond_core.errors import RequestError
from bond_core.spec.read import read_spec
from bond_server.language.compile import Understanding

PROVIDERS = {"alpaca", "polygon", "finnhub", "ibkr"}
EVER_ASSUMED = ("quote=", "exchanges=", "provider=", "interval=", "replay=")
DERIVED = {"spread": "spread", "venue_spread": "cross_exchange_spread"}
FIELDS = {"price_avg": "price", "volume_sum": "volume", "bid_avg": "bid", "ask_avg": "ask"}


def meaning(found: Understanding) -> dict[str, Any]:
    """Return what was understood with the cases' keys."""
    spec: Mapping[str, Any] = found.spec
    sources = spec["sources"]
    types = [_family(s["type"]) for s in sources]
    return {
        "symbols": spec["symbols"],
        "sources": types,
        "fields": list(found.words),
        "interval_sec": spec.get("interval_sec"),
        "source_intervals": {
            _family(s["type"]): s["interval_sec"] for s in sources if "interval_sec" in s
        },
        "exchanges": [e for s in sources for e in s.get("exchanges", ())]
        + [s["type"] for s in sources if s["type"] in PROVIDERS],
        "exclude_exchanges": [e for s in sources for e in s.get("exclude_exchanges", ())],
        "bars": spec.get("timeframes", []),
        "agg": list(found.aggregates),
        "window_sec": spec.get("window_sec"),
        "filter": _condition(spec.get("filter")),
        "alert": _condition(next(iter(spec.get("alerts", [])), None)),
        "duration_sec": spec.get("duration_sec"),
        "replay_sec": spec.get("replay_sec"),
        "depth": spec.get("depth"),
        "mode": spec.get("mode"),
        "derived": [
            DERIVED[field]
            for field in (*spec.get("fields", ()), *spec.get("derived", ()))
            if field in DERIVED
        ],
        "chain": _one(sources, "chain"),
        "twitter_accounts": _one(sources, "accounts"),
        "twitter_query": _one(sources, "query"),
        "custom_url": _one(sources, "url"),
        "fallback": [e for s in sources for e in s.get("fallback", ())],
        "spec_fields": list(spec.get("fields", ())),
        "filter_text": read_spec(spec)[0].filter if "filter" in spec else None,
        "assumed": [note for note in found.assumed if not note.startswith(EVER_ASSUMED)],
        "warnings": [w.code for w in found.warnings],
    }


def suggestions(error: RequestError) -> list[str]:
    """Return everything that an error says one could write instead."""
    found = [s for problem in error.problems for s in problem.did_you_mean]
    return [*found, *([error.fix] if error.fix else [])]


def _family(source_type: str) -> str:
    return "equities" if source_type in PROVIDERS else source_type


def _condition(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if given is None or "field" not in given:
        return None
    said = {key: value for key, value in given.items() if key != "symbol"}
    return {**said, "field": FIELDS.get(given["field"], given["field"])}


def _one(sources: list[dict[str, Any]], key: str) -> Any:
    return next((s[key] for s in sources if key in s), None)
