"""Listen to Solana over one Yellowstone subscription."""

from __future__ import annotations

import asyncio
from typing import Any

from bond_core.plugin import Context, Fatal, Retryable
from bond_solana.config import CHANNEL, SolanaConfig
from bond_solana.events import events_of
from bond_solana.refusals import NotReplayedError, error_of
from bond_solana.slots import Slots
from bond_solana.subscription import DEAD, open_call, open_channel, pong, request_of

SILENCE_S = 45.0
"""An endpoint pings every 15 s; without anything for this long the connection is dead."""


class SolanaConnector:
    """The connector `solana.onchain`."""

    def __init__(self, config: SolanaConfig) -> None:
        self.config = config
        self._types = frozenset[str](config.event_types)
        self._slots = Slots()
        self._resumes = True

    async def run(self, ctx: Context) -> None:
        """Listen until cancelled. After a break it goes on from the newest slot it heard of."""
        endpoint = ctx.simulated_at or self.config.endpoint
        if not endpoint:
            raise Fatal("GRPC_ENDPOINT is empty", fix="export GRPC_ENDPOINT=https://host:443")
        from_slot = self._slots.newest if self._resumes else None
        self._resumes = True
        grpc = await asyncio.to_thread(ctx.sdk, "grpc")
        aio = await asyncio.to_thread(ctx.sdk, "grpc.aio")
        request = request_of(self.config, from_slot=from_slot)
        token = None if self.config.token is None else self.config.token.reveal()
        try:
            async with open_channel(grpc, aio, endpoint, has_token=token is not None) as channel:
                call = open_call(channel, token=token)
                try:
                    await call.write(request)
                    await self._listen(ctx, aio, call)
                except asyncio.InvalidStateError:
                    # It was over before it was asked: the status says why.
                    status = await call.code(), await call.details()
                    raise error_of(_Ended(*status), resumed=from_slot is not None) from None
                finally:
                    call.cancel()
        except grpc.RpcError as error:
            said = error_of(error, resumed=from_slot is not None)
            if isinstance(said, NotReplayedError):
                self._resumes = False
            raise said from None

    async def _listen(self, ctx: Context, aio: Any, call: Any) -> None:
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    update = await call.read()
            except TimeoutError:
                raise Retryable(f"the endpoint was silent for {SILENCE_S:g} s") from None
            if update is aio.EOF:
                raise Retryable("the endpoint closed the subscription")
            await self._take(ctx, call, update)

    async def _take(self, ctx: Context, call: Any, update: Any) -> None:
        kind = update.WhichOneof("update_oneof")
        if kind == "ping":
            await call.write(pong())
            return
        if kind == "slot":
            self._slot(ctx, update.slot)
            return
        if kind not in ("account", "transaction", "block_meta"):
            return
        ctx.live(CHANNEL)
        slot = getattr(update, kind).slot
        events = list(events_of(update, self._types, ctx.clock.now_ns()))
        if self.config.commitment == "processed":
            self._slots.count(slot, len(events))
        ctx.emit(CHANNEL, events)

    def _slot(self, ctx: Context, slot: Any) -> None:
        ctx.live(CHANNEL)
        if slot.status == DEAD:
            n = self._slots.died(slot.slot)
            if n:
                self._tell(ctx, f"slot {slot.slot} came to nothing; {n} events of it were counted")
            return
        parent = slot.parent if slot.HasField("parent") else None
        missed = self._slots.saw(slot.slot, parent)
        if missed is not None:
            self._tell(ctx, f"slot {missed}, the one before {slot.slot}, was not heard of")
        ctx.heartbeat(CHANNEL)

    def _tell(self, ctx: Context, detail: str) -> None:
        now_ns = ctx.clock.now_ns()
        ctx.gap(CHANNEL, None, from_ns=now_ns, to_ns=now_ns, detail=detail)


class _Ended:
    """A status that no exception carries."""

    def __init__(self, code: Any, details: str | None) -> None:
        self._code, self._details = code, details

    def code(self) -> Any:
        return self._code

    def details(self) -> str | None:
        return self._details
