"""Listen to X by its filtered stream, or by search where the plan has no stream."""

from __future__ import annotations

import asyncio
from typing import Any

from bond_core.plugin import Context
from bond_x.config import XConfig
from bond_x.refusals import NoStreamError, StreamTakenError
from bond_x.rules import accounts_of, narrowing
from bond_x.search import Search
from bond_x.session import open_session
from bond_x.stream import Stream

TAKEN_S = 900.0
"""How long it searches where the key's one stream is taken, before it asks for that again."""


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
        while True:
            searches_s = await self._stream(ctx, tweepy, aiohttp, rest) if self._streams else None
            session, noted = open_session(aiohttp, simulated_at=ctx.simulated_at)
            async with session:
                client = tweepy.AsyncClient(self.config.bearer.reveal(), return_type=dict)
                client.session = session
                await self._search.run(ctx, client, noted, rest, for_s=searches_s)

    async def _stream(self, ctx: Context, tweepy: Any, aiohttp: Any, rest: str) -> float | None:
        """Listen to the stream; return for how long to search in its place, None for good."""
        session, noted = open_session(aiohttp, simulated_at=ctx.simulated_at)
        refused: NoStreamError | StreamTakenError
        async with session:
            client = tweepy.AsyncStreamingClient(
                self.config.bearer.reveal(), return_type=dict, max_retries=0
            )
            client.session = session
            stream = Stream(self.config, ctx, client, noted, rest)
            try:
                await stream.run()
            except (NoStreamError, StreamTakenError) as error:
                refused = error
        is_taken = isinstance(refused, StreamTakenError)
        if is_taken:
            session, noted = open_session(aiohttp, simulated_at=ctx.simulated_at)
            async with session:
                await stream.withdraw(session, noted)
        if self.config.mode == "stream":
            raise refused
        ctx.log.warning("%s; searching every %g s instead", refused, self.config.every_s)
        self._streams = is_taken
        return TAKEN_S if is_taken else None
