"""Listen to Interactive Brokers, by a TWS or IB Gateway that somebody has logged in to.

ctx.wanted -> Desk.follow -> Session.ask -> ib_async -> TWS -> Session.tickByTick... -> ctx.emit
"""

from __future__ import annotations

import asyncio
import itertools

from bond_core.plugin import Context
from bond_ibkr.config import IbkrConfig, address_of
from bond_ibkr.desk import Desk
from bond_ibkr.dialling import connect
from bond_ibkr.session import Session


class IbkrConnector:
    """The connector `ibkr`: one connection, for everybody in this process."""

    def __init__(self, config: IbkrConfig) -> None:
        self.config = config
        self._order = itertools.count(1)

    async def run(self, ctx: Context) -> None:
        """Listen until cancelled.

        Raises:
            Retryable: No TWS answers, it closed the connection, or lost its own to IBKR.
            Fatal: TWS is too old, or a setting is wrong.
        """
        at = address_of(self.config, ctx.simulated_at)
        ib = await asyncio.to_thread(ctx.sdk, "ib_async")
        session = await connect(ctx, ib, at)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_until_over(session))
                desk = Desk(ctx, ib, session, tasks, self._order)
                tasks.create_task(desk.watch())
                await desk.follow()
        finally:
            await session.close()


async def _until_over(session: Session) -> None:
    raise await asyncio.shield(session.over)
