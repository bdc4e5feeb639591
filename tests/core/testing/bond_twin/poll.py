"""Ask for quotes."""

from bond_core.plugin import Fatal, PollingConnector, Quote


class Poll(PollingConnector):
    def __init__(self, config):
        super().__init__(config)
        self.url = "https://api.twin.example/quotes"

    async def poll(self, ctx, channel, symbols):
        key = self.config.key.reveal()
        asked = {"symbols": ",".join(symbols)}
        reply = await ctx.get_json(self.url, params=asked, headers={"X-Key": key})
        if "error" in reply and reply["error"] == "bad key":
            raise Fatal("the key is refused")
        return [quote(q) for q in reply["quotes"]]


def quote(q):
    return Quote(symbol=q["symbol"], ts=q["ms"] * 1_000_000, bid=q["bid"], ask=q["ask"])
