"""Listen through a library that blocks."""

from bond_core.plugin import BlockingConnector, Quote


class Lib(BlockingConnector):
    channel = "quotes"
    client_factory = "bond_twin.vendor:Client"

    def connect(self, client_factory, ctx):
        return client_factory(key=self.config.key.reveal())

    def listen(self, client, ctx):
        client.subscribe(ctx.symbols())
        while True:
            q = client.read()
            yield Quote(symbol=q["symbol"], ts=q["ms"] * 1_000_000, bid=q["bid"], ask=q["ask"])
