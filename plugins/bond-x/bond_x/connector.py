"""Listen to X by its filtered stream, or by search where the plan has no stream."""

from __future__ import annotations

import asyncio
import hashlib

from bond_core.plugin import Context
from bond_x.config import XConfig
from bond_x.refusals import NoStreamError
from bond_x.rules import accounts_of, narrowing
from bond_x.search import Search
from bond_x.session import open_session
from bond_x.stream import Stream

# Keys that hold a stream in this process. X gives each one; sources with other accounts or words
# are instances of their own, and search.
_STREAMING: set[str] = set()


class XConnector:
    """The connector `x`."""

    def __init__(self, config: XConfig) -> None:
        self.config = config
        self._search = Search(config)
        self._streams = config.mode != "search"

    async def run(self, ctx: Context) -> None:
        """Listen until cancelled, or until X refuses; see `refusals.py` for what is raised."""
        accounts = accounts_of(self.config.accounts)
        rest = narrowing(accounts, self.config.query)
        tweepy = await asyncio.to_thread(ctx.sdk, "tweepy.asynchronous")
        aiohttp = await asyncio.to_thread(ctx.sdk, "aiohttp")
        bearer = self.config.bearer.reveal()
        holder = hashlib.sha256(f"{bearer} {ctx.simulated_at}".encode()).hexdigest()
        if self._streams and holder not in _STREAMING:
            _STREAMING.add(holder)
            try:
                session, noted = open_session(aiohttp, simulated_at=ctx.simulated_at)
                async with session:
                    client = tweepy.AsyncStreamingClient(bearer, return_type=dict, max_retries=0)
                    client.session = session
                    await Stream(self.config, ctx, client, noted, rest).run()
            except NoStreamError as error:
                if self.config.mode == "stream":
                    raise
                self._streams = False
                ctx.log.warning("%s; searching every %g s instead", error, self.config.every_s)
            finally:
                _STREAMING.discard(holder)
        session, noted = open_session(aiohttp, simulated_at=ctx.simulated_at)
        async with session:
            client = tweepy.AsyncClient(bearer, return_type=dict)
            client.session = session
            await self._search.run(ctx, client, noted, rest)
