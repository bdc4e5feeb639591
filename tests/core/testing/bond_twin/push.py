"""Listen to trades."""

import json

from bond_core.plugin import Fatal, Trade, WebSocketConnector


class Push(WebSocketConnector):
    channel = "trades"

    def url(self, ctx):
        return "wss://stream.twin.example"

    async def subscribe(self, ws, ctx, added):
        await ws.send_json({"login": self.config.key.reveal()})
        await ws.send_json({"subscribe": {s.symbol: ctx.cursor("trades", s.symbol) for s in added}})

    def parse(self, frame, ctx):
        m = json.loads(frame)
        if m["type"] == "error":
            raise Fatal("the key is refused")
        if m["type"] == "trade":
            yield trade(m)


def trade(m):
    ts = m["ms"] * 1_000_000
    return Trade(symbol=m["symbol"], ts=ts, price=float(m["price"]), size=m["size"], id=m["id"])
