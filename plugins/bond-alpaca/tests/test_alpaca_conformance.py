"""The conformance kit, on messages as Alpaca's documentation shows them.

Without bars: those count by the time they are heard, which is another on each run.
"""

from __future__ import annotations

import json
from typing import ClassVar

from bond_core.testing import ConnectorConformance


def frame(*messages):
    """Return messages as Alpaca sends them."""
    return json.dumps(messages)


HELLO = [
    frame({"T": "success", "msg": "connected"}),
    frame({"T": "success", "msg": "authenticated"}),
]
SECRETS = {"ALPACA_API_KEY": "PKTESTCANARY", "ALPACA_SECRET_KEY": "canary-4f1d"}
CONFIG = {"key": {"$env": "ALPACA_API_KEY"}, "secret": {"$env": "ALPACA_SECRET_KEY"}}


def subscribed(symbol):
    """Return the answer to a subscription to everything."""
    lists = {channel: [symbol] for channel in ("trades", "quotes", "bars")}
    return frame({"T": "subscription", **lists, "corrections": [symbol], "cancelErrors": [symbol]})


class TestAlpaca(ConnectorConformance):
    spec = "alpaca"
    symbols = ("AAPL",)
    env: ClassVar = SECRETS
    config: ClassVar = CONFIG
    bad_configs: ClassVar = {
        "no key": {},
        "a feed that is late": {**CONFIG, "feed": "delayed_sip"},
        "a key in clear": {**CONFIG, "key": "PKTESTCANARY"},
    }
    auth_failure: ClassVar = [
        HELLO[0],
        frame({"T": "error", "code": 402, "msg": "auth failed"}),
    ]
    derived: ClassVar = ("bid_size", "ask_size")
    cassette: ClassVar = [
        *HELLO,
        subscribed("AAPL"),
        frame(
            {"T": "t", "S": "AAPL", "i": 1, "x": "V", "p": 131.5, "s": 100, "c": ["@"], "z": "C",
             "t": "2023-11-14T22:13:20.208Z"},
            {"T": "t", "S": "AAPL", "i": 2, "x": "V", "p": 131.55, "s": 3, "c": ["@", "I"],
             "z": "C", "t": "2023-11-14T22:13:20.308Z"},
        ),
        frame(
            {"T": "q", "S": "AAPL", "bx": "U", "bp": 131.5, "bs": 1, "ax": "Q", "ap": 131.625,
             "as": 4, "c": ["R"], "z": "C", "t": "2023-11-14T22:13:20.335689322Z"}
        ),
        frame(
            {"T": "t", "S": "AAPL", "i": 3, "x": "V", "p": 131.75, "s": 200, "c": ["@", "F"],
             "z": "C", "t": "2023-11-14T22:13:20.408000001Z"}
        ),
    ]  # fmt: skip


class TestAlpacaCrypto(ConnectorConformance):
    spec = "alpaca.crypto"
    symbols = ("BTC/USD",)
    env: ClassVar = SECRETS
    config: ClassVar = CONFIG
    bad_configs: ClassVar = {"no key": {}, "a feed": {**CONFIG, "feed": "iex"}}
    auth_failure: ClassVar = TestAlpaca.auth_failure
    cassette: ClassVar = [
        *HELLO,
        subscribed("BTC/USD"),
        frame(
            {"T": "t", "S": "BTC/USD", "p": 36500.25, "s": 0.0125, "i": 41, "tks": "B",
             "t": "2023-11-14T22:13:20.145123Z"}
        ),
        frame(
            {"T": "q", "S": "BTC/USD", "bp": 36500.0, "bs": 0.5, "ap": 36501.5, "as": 1.25,
             "t": "2023-11-14T22:13:20.2Z"}
        ),
        frame(
            {"T": "t", "S": "BTC/USD", "p": 36499.5, "s": 0.5, "i": 42, "tks": "S",
             "t": "2023-11-14T22:13:20.645123Z"}
        ),
    ]  # fmt: skip
