"""Post records to an address."""

import json

from bond_core.plugin import Retryable


class Hook:
    def __init__(self, config):
        self.url = config.url

    async def open(self, ctx):
        pass

    async def write(self, batch, ctx):
        body = json.dumps({"from": ctx.stream_id, "records": list(batch)}).encode()
        reply = await ctx.post(self.url, body)
        if reply.status >= 300:
            raise Retryable(f"it answered {reply.status}")

    async def close(self):
        pass
