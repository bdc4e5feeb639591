"""How the plugin is tested."""

import json
import queue

from bond_core.plugin import Fatal, Trade
from bond_core.testing import AggregatorConformance, ConnectorConformance, SinkConformance

T_MS = 1_700_000_000_000
RELEASED = {
    "type": "object",
    "properties": {
        "key": {"oneOf": [{"type": "object"}, {"type": "object"}]},
        "every_s": {"type": "number", "minimum": 0.5, "maximum": 100},
        "depth": {"type": "string", "enum": ["full", "brief"]},
        "legacy": {"type": "boolean"},
    },
    "required": ["key"],
    "additionalProperties": False,
}


class Twin:
    env = {"TWIN_KEY": "canary-8f2e"}
    config = {"key": {"$env": "TWIN_KEY"}}
    released = RELEASED
    bad_configs = {
        "no key": {},
        "in clear": {"key": "canary"},
        "too fast": {"key": {"$env": "TWIN_KEY"}, "every_s": 0.1},
        "too slow": {"key": {"$env": "TWIN_KEY"}, "every_s": 200.0},
    }


def quoted(ms, bid, ask):
    return {"symbol": "BTC/USDT", "ms": T_MS + ms, "bid": bid, "ask": ask}


def traded(ms, id, price):
    said = {"type": "trade", "symbol": "BTC/USDT", "ms": T_MS + ms, "price": price, "size": 2.0}
    return json.dumps(said | {"id": id})


class TestPoll(Twin, ConnectorConformance):
    spec = "twin.poll"
    cassette = [
        {"quotes": [quoted(0, 99.123456789, 101.0)]},
        {"quotes": [quoted(5_000, 99.5, 100.5)]},
    ]
    auth_failure = [{"error": "bad key"}]


TRADES = [
    '{"type": "hello"}',
    traded(0, "7", "100.123456789"),
    traded(900, "8", "101.5"),
    traded(500, "9", "101.25"),
]


class TestPush(Twin, ConnectorConformance):
    spec = "twin.push"
    cassette = TRADES
    auth_failure = ['{"type": "error"}']
    empty = '{"type": "nothing"}'


class TestRaw(Twin, ConnectorConformance):
    spec = "twin.raw"
    cassette = TRADES
    empty = '{"type": "nothing"}'


QUOTES = [quoted(0, 99.0, 101.0), quoted(1_000, 99.5, 100.5)]


class StandIn:
    def __init__(self, key):
        self.inbox = queue.Queue()

    def subscribe(self, symbols):
        for quote in QUOTES:
            self.inbox.put(quote)

    def read(self):
        quote = self.inbox.get()
        if quote is None:
            raise ConnectionError("closed")
        return quote

    def close(self):
        self.inbox.put(None)


class TestLib(Twin, ConnectorConformance):
    spec = "twin.lib"
    cassette = QUOTES
    sdks = {"bond_twin.vendor:Client": StandIn}
    auth_failure = Fatal("the key is refused")


class TestFields(AggregatorConformance):
    spec = "twin.fields"
    events = [
        Trade(symbol="BTC/USDT", ts=T_MS * 1_000_000 + ms * 1_000_000, price=price, size=1.0)
        for ms, price in ((0, 100.0), (400, 106.0), (700, 103.0), (900, 101.0))
    ]


class TestFile(SinkConformance):
    spec = "twin.file"
    env = {"FILE_KEY": "canary-51cc"}
    bad_configs = {"nowhere": {}}

    def make_config(self, tmp_path):
        return {"path": str(tmp_path / "records.jsonl"), "key": {"$env": "FILE_KEY"}}

    def read_back(self, tmp_path):
        with (tmp_path / "records.jsonl").open() as file:
            return [json.loads(line) for line in file]


class TestHook(SinkConformance):
    spec = "twin.hook"

    def make_config(self, tmp_path):
        return {"url": "https://hooks.twin.example"}

    def read_back(self, tmp_path):
        bodies = [json.loads(body) for _, body in self.outlet.sent]
        return [record for body in bodies for record in body["records"]]
