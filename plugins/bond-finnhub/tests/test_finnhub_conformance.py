"""The conformance kit, on messages as Finnhub's documentation shows them."""

from __future__ import annotations

from typing import ClassVar

from bond_core.errors import Fatal
from bond_core.testing import ConnectorConformance


def refused():
    """Return what the runtime makes of a handshake that is answered with 401."""
    error = Fatal("ws.finnhub.io answered 401: the request is refused")
    error.http_status = 401
    return error


class TestFinnhub(ConnectorConformance):
    spec = "finnhub"
    symbols = ("AAPL",)
    env: ClassVar = {"FINNHUB_API_KEY": "canary-7c2a"}
    config: ClassVar = {"key": {"$env": "FINNHUB_API_KEY"}}
    bad_configs: ClassVar = {"no key": {}, "a key in clear": {"key": "canary-7c2a"}}
    auth_failure: ClassVar = [refused()]
    cassette: ClassVar = [
        '{"type":"ping"}',
        '{"data":[{"c":["1","8"],"p":131.5,"s":"AAPL","t":1700000000208,"v":100}],"type":"trade"}',
        (
            '{"data":[{"c":["1"],"p":131.52,"s":"AAPL","t":1700000000500,"v":3},'
            '{"c":null,"p":131.54,"s":"AAPL","t":1700000000501,"v":250}],"type":"trade"}'
        ),
    ]
