"""Say in Bond's own words what a stream manager listens to: specs, as `create_stream` takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ekko.bars.config import StreamManagerConfig, timeframe_ns

FIELDS = (
    "price_open", "price_high", "price_low", "price_close", "volume_sum", "vwap", "trades",
    "buy_volume", "sell_volume", "unknown_volume",
)  # fmt: skip
"""What a bar is made of."""

Spec = dict[str, Any]


def specs_of(
    config: StreamManagerConfig, crypto: Sequence[str], stocks: Sequence[str], *, simulate: bool
) -> list[Spec]:
    """Return a spec of bars for crypto and one for shares: neither waits for the other."""
    crypto_source: Spec = {"type": "ccxt", "exchanges": list(config.exchanges)}
    wanted = ((crypto_source, crypto), ({"type": config.stock_source}, stocks))
    specs = [_spec(config, source, symbols) for source, symbols in wanted if symbols]
    return [{**spec, "simulate": True} for spec in specs] if simulate else specs


def raw_spec(spec: Spec) -> Spec:
    """Return the spec of the trades that the bars of another one are made of."""
    of_windows = {"timeframes", "fill"}
    return {**{key: each for key, each in spec.items() if key not in of_windows}, "mode": "raw"}


def _spec(config: StreamManagerConfig, source: Spec, symbols: Sequence[str]) -> Spec:
    source = {**source, "stale_sec": config.stale_threshold_seconds}
    if config.lateness is not None:
        source["lateness_sec"] = config.lateness
    return {
        "sources": [source],
        "symbols": list(symbols),
        "interval_sec": timeframe_ns(config.shortest) / 10**9,
        "timeframes": sorted(config.supported_timeframes, key=timeframe_ns),
        "fields": list(FIELDS),
        "fill": "skip",
    }
