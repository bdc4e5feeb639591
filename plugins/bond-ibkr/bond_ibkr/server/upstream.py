"""One subscription at TWS, and all clients that it serves.

Each tick is written once, whatever the number of clients.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bond_core.clock import Clock
from bond_core.plugin import Custom, Event, Heard
from bond_ibkr.server.asking import CHANNELS, Key
from bond_ibkr.server.client import Client
from bond_ibkr.server.faults import fault_of, tws_away, tws_lost
from bond_ibkr.server.messages import Fault, Reason, Writer
from bond_ibkr.waiting import done_within

STARTS_WITHIN_S = 25.0
"""How long TWS has to say whether a contract can be had. Asked too often, it is asked anew after
15 s."""

_LOOK_EVERY_S = 0.25
"""How often it is looked whether TWS was tried often enough, while it is away."""


class Upstream:
    """An ear at the connector (bond_core.plugin.Ear), and the clients behind it.

    Attributes:
        clients: Who is served.
        contract: What TWS says of the contract; empty until it does.
        status: As feeds have it.
        ticks: How many were heard.
        dropped: How many of them clients that have left didn't get because they were slow.
        errors: How often something went wrong.
    """

    def __init__(
        self, key: Key, *, clock: Clock, log: logging.Logger, is_simulated: bool, attempts: int
    ) -> None:
        self.key = key
        self.channel = CHANNELS[key.tick_type]
        self.write = Writer(key.contract_id, is_simulated)
        self.clients: set[Client] = set()
        self.contract: Mapping[str, Any] = {}
        self.status = "starting"
        self.ticks = self.dropped = self.errors = 0
        self.started_ns = clock.now_ns()
        self.heard: Heard | None = None
        self._clock = clock
        self._log = log
        self._attempts = attempts
        self._was_live = False
        self._watch: asyncio.Task[None] | None = None
        self._fault: Fault | None = None
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def settled(self) -> Fault | None:
        """Wait until TWS gives it or doesn't; return why it can't be had."""
        if not await done_within(self._clock, self._settled, STARTS_WITHIN_S):
            return tws_away(f"it did not answer within {STARTS_WITHIN_S:g} s")
        return tws_away("it was lost, and is tried again") if self.is_down else self._fault

    @property
    def is_down(self) -> bool:
        """Whether TWS is away, after it was there."""
        return self._was_live and self.status == "reconnecting"

    async def close(self) -> None:
        """Watch over it no more."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    def stop(self, reason: Reason) -> int:
        """End it for all; return for how many."""
        for client in self.clients:
            client.end(reason)
        return len(self.clients)

    # What the connector says

    def on_events(self, events: Sequence[Event]) -> None:
        """See Ear."""
        ticks = [self.write.tick(e, self.channel) for e in events if isinstance(e, Custom)]
        self.ticks += len(ticks)
        for client in self.clients:
            client.take_ticks(ticks)

    def on_status(self, status: str, reason: str | None) -> None:
        """See Ear."""
        before, self.status = self.status, status
        why = reason or "no reason was given"
        if status == "live":
            if self._was_live and before != "live":
                self._inform(status="reconnected" if before == "reconnecting" else "live")
            self._was_live, self._fault = True, None
            self._settle()
        elif status == "failed":
            self._end_with(fault_of(self.key.contract_id, why, is_connected=True))
        elif status == "reconnecting" and before != status:
            if not self._was_live:
                self._end_with(fault_of(self.key.contract_id, why, is_connected=False))
                return
            self._tell_fault(tws_lost(why))
            if self._watch is None or self._watch.done():
                self._watch = asyncio.create_task(self._give_up(), name="watch a lost TWS")

    def on_notice(self, code: str, detail: str) -> None:
        """See Ear."""
        if code == "contract":
            self.contract = msgspec.json.decode(detail)
        else:
            self._inform(status=code, message=detail)

    # Within

    async def _give_up(self) -> None:
        """End it for all once TWS was tried to be reached as often as it may be."""
        before = 0 if self.heard is None else self.heard.failures
        while self.is_down and self.heard is not None:
            failed = self.heard.failures - before
            if failed >= self._attempts:
                self._end_with(tws_away(f"{failed} attempts to reach it anew have failed"))
                return
            await self._clock.sleep(_LOOK_EVERY_S)

    def _settle(self) -> None:
        if not self._settled.done():
            self._settled.set_result(None)

    def _inform(self, **data: Any) -> None:
        message = self.write.info(self._clock.now_ns(), **data)
        for client in self.clients:
            client.take_news(message)

    def _tell_fault(self, fault: Fault) -> None:
        self.errors += 1
        self._log.log(
            logging.WARNING if self._was_live else logging.INFO,  # before, it is an answer
            "contract %d, %s: %s (%s)", self.key.contract_id, self.key.tick_type, fault.message,
            fault.details,
        )  # fmt: skip
        message = self.write.error(self._clock.now_ns(), fault)
        for client in self.clients:
            client.take_news(message)

    def _end_with(self, fault: Fault) -> None:
        """End it for all because of a fault; who comes now is told of it, too."""
        self._fault = fault
        self._settle()
        self._tell_fault(fault)
        self.stop("error")
