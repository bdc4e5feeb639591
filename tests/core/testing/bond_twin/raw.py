"""Listen to trades, in a loop that is written by hand."""

import json

from bond_core.plugin import Trade


class Raw:
    def __init__(self, config):
        self.config = config

    async def run(self, ctx):
        wanted = await ctx.wanted.changed(frozenset())
        async with ctx.ws("wss://stream.twin.example") as ws:
            await ws.send_json({"subscribe": sorted(s.symbol for s in wanted)})
            async for frame in frames(ws):
                self.take(frame, ctx)

    def take(self, frame, ctx):
        try:
            m = json.loads(frame)
            trades = [trade(m)] if m["type"] == "trade" else []
        except (ValueError, TypeError, LookupError):
            ctx.reject("a message could not be read")
            return
        ctx.live("trades")
        ctx.emit("trades", trades)


async def frames(ws):
    async for frame in ws:
        yield frame


def trade(m):
    ts = m["ms"] * 1_000_000
    return Trade(symbol=m["symbol"], ts=ts, price=float(m["price"]), size=m["size"], id=m["id"])
