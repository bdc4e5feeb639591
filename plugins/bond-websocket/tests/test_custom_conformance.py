"""The conformance kit, on messages as Coinbase Exchange documents them."""

from __future__ import annotations

import json
from typing import ClassVar

from bond_core.testing import ConnectorConformance

RULE = {
    "kind": "trade",
    "when": {"$.type": "match"},
    "symbol": "$.product_id",
    "time": {"path": "$.time", "unit": "iso"},
    "id": "$.trade_id",
    "sequence": "$.trade_id",
    "price": "$.price",
    "size": "$.size",
    "side": {"path": "$.side", "buy": ["sell"], "sell": ["buy"]},
}
MAPPING = {
    "symbols": "{base}-{quote}",
    "subscribe": [{"type": "subscribe", "product_ids": ["{names}"], "channels": ["matches"]}],
    "unsubscribe": [{"type": "unsubscribe", "product_ids": ["{names}"], "channels": ["matches"]}],
    "confirm": [{"$.type": "subscriptions"}],
    "events": [RULE],
}
CONFIG = {"url": "wss://stream.venue.example/ws", "mapping": MAPPING}


def match(n, price, **more):
    """Return a trade as it is sent."""
    said = {"type": "match", "trade_id": n, "time": f"2023-11-14T22:13:{20 + n}.5Z",
            "product_id": "BTC-USDT", "size": "0.5", "price": price, "side": "sell"}  # fmt: skip
    return json.dumps(said | more)


class TestCustom(ConnectorConformance):
    spec = "custom"
    channels = ("trades",)
    config: ClassVar = CONFIG
    bad_configs: ClassVar = {
        "no mapping": {"url": CONFIG["url"]},
        "no address": {"mapping": MAPPING},
        "another scheme": {**CONFIG, "url": "https://stream.venue.example/ws"},
        "a path that is none": {
            **CONFIG, "mapping": {**MAPPING, "events": [{**RULE, "price": "price"}]},
        },
        "an unknown placeholder": {
            **CONFIG, "mapping": {**MAPPING, "subscribe": [{"sub": "{pair}"}]},
        },
    }  # fmt: skip
    cassette: ClassVar = [
        json.dumps({"type": "subscriptions", "channels": []}),
        match(1, "100.10"),
        match(2, "100.20", side="buy"),
        match(3, "100.05"),
    ]
