"""Play a Yellowstone endpoint on loopback: a real gRPC server with a bidirectional Subscribe.

async with SolanaSimulator(clock=SystemClock(), seed=7) as solana:
    solana.drop()
    solana.refuse("RESOURCE_EXHAUSTED")

Built from the service's .proto and README; it was never compared with a real endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import attrs
import grpc
from grpc import aio

from bond_core.clock import NS, Clock
from bond_core.plugin import structure
from bond_core.testing.played import Played
from bond_solana import geyser_pb2 as pb
from bond_solana.events import base58
from bond_solana.ledger import FEE, SLOT_NS, Block, Ledger, Paid
from bond_solana.subscription import DEAD

_KEPT_SLOTS = 150
_TICK_S = 0.05
_BALANCE = 10**12


@attrs.frozen
class Options:
    """What the simulated endpoint is like.

    Attributes:
        per_slot: Transactions in a block, on average.
        skipped: The share of slots without a block.
        dead: The share of slots whose block came to nothing.
        ping_s: How often the server pings.
        token: The x-token that it wants; empty is any or none.
        replays: Whether it goes on from a slot that is asked for.
    """

    per_slot: float = 5.0
    skipped: float = 0.05
    dead: float = 0.03
    ping_s: float = 15.0
    token: str = ""
    replays: bool = True


class SolanaSimulator(Played):
    """A Yellowstone endpoint, serving while it is entered.

    Attributes:
        requests: Every `SubscribeRequest` that came, pongs among them.
        open: How many subscriptions are open.
    """

    def __init__(
        self, *, clock: Clock, seed: int = 1, options: Mapping[str, object] | None = None
    ) -> None:
        self.options = structure(Options, dict(options or {}))
        self.ledger = Ledger(seed, self.options.skipped, self.options.dead, self.options.per_slot)
        self.requests: list[Any] = []
        self.open = 0
        self._clock = clock
        self._refusals: list[str] = []
        self._drops = 0
        self._missing: set[int] = set()
        self._is_quiet = False

    @property
    def slot(self) -> int:
        """The slot of now."""
        return self._clock.now_ns() // SLOT_NS

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str, None]:
        """See Played."""
        server = aio.server()
        handler = grpc.stream_stream_rpc_method_handler(
            self._subscribe,
            request_deserializer=pb.SubscribeRequest.FromString,
            response_serializer=pb.SubscribeUpdate.SerializeToString,
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("geyser.Geyser", {"Subscribe": handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            self.drop()
            await server.stop(0.1)

    # What a test does

    def refuse(self, code: str, *, times: int = 1) -> None:
        """Let the next subscriptions be refused with a status such as `RESOURCE_EXHAUSTED`."""
        self._refusals += [code] * times

    def drop(self) -> None:
        """End every subscription with UNAVAILABLE."""
        self._drops += 1

    def lose(self, slot: int) -> None:
        """Say nothing of a slot, as if it had been lost on the way."""
        self._missing.add(slot)

    def quiet(self, is_quiet: bool = True) -> None:  # noqa: FBT001, FBT002 -- on or off
        """Let subscriptions say nothing at all; or let them speak again."""
        self._is_quiet = is_quiet

    # What Yellowstone does

    async def _subscribe(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        if self._refusals:
            code = self._refusals.pop(0)
            await context.abort(grpc.StatusCode[code], f"refused: {code.lower()}")
        token = dict(context.invocation_metadata()).get("x-token")
        if self.options.token and token != self.options.token:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "x-token is missing or wrong")
        wanted = _Wanted()
        reading = asyncio.create_task(self._read(requests, wanted))
        self.open += 1
        try:
            await wanted.came.wait()
            first = self._first(wanted.request)
            if first is None:
                await context.abort(
                    grpc.StatusCode.OUT_OF_RANGE, "broadcast from slot is not available"
                )
                return
            async with aclosing(self._say(wanted, first)) as updates:
                async for update in updates:
                    yield update
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is going away")
        finally:
            self.open -= 1
            reading.cancel()

    async def _read(self, requests: Any, wanted: _Wanted) -> None:
        async for request in requests:
            self.requests.append(request)
            if request.HasField("ping"):  # it changes nothing of what is subscribed to
                wanted.pings.append(request.ping.id)
            else:
                wanted.request = request
                wanted.came.set()

    def _first(self, request: Any) -> int | None:
        """Return the slot to begin with; None where that is not there."""
        now = self.slot
        if not request.HasField("from_slot"):
            return now
        if not self.options.replays or request.from_slot < now - _KEPT_SLOTS:
            return None
        return min(int(request.from_slot), now)

    async def _say(self, wanted: _Wanted, first: int) -> AsyncGenerator[Any, None]:
        drops, pinged_ns = self._drops, self._clock.now_ns()
        while drops == self._drops:
            now_ns, slot = self._clock.now_ns(), self.slot
            if not self._is_quiet:
                for block in self.ledger.blocks(first, slot - 1):
                    if block.slot not in self._missing:
                        for update in _updates(wanted.request, block):
                            update.created_at.FromNanoseconds(now_ns)
                            yield update
                while wanted.pings:
                    yield pb.SubscribeUpdate(pong=pb.Pong(id=wanted.pings.pop(0)))
                if now_ns - pinged_ns >= self.options.ping_s * NS:
                    pinged_ns = now_ns
                    yield pb.SubscribeUpdate(ping=pb.ServerPing())
            first = max(first, slot)
            await self._clock.sleep(_TICK_S)


@attrs.define(eq=False)
class _Wanted:
    """What a client subscribed to last, and its pings that were not answered yet."""

    request: Any = None
    came: asyncio.Event = attrs.field(factory=asyncio.Event)
    pings: list[int] = attrs.field(factory=list)


def _updates(request: Any, block: Block) -> Iterator[Any]:
    """Give what a client hears of a block, in the order of a validator."""
    commitment = request.commitment
    if block.is_dead and commitment > 0:
        return
    for index, paid in enumerate(block.paid):
        yield from _paid_updates(request, block.slot, index, paid)
    for name in request.blocks_meta:
        meta = pb.BlockMetaUpdate(
            slot=block.slot, blockhash=block.hash, parent_slot=block.parent,
            executed_transaction_count=len(block.paid),
        )  # fmt: skip
        yield pb.SubscribeUpdate(filters=[name], block_meta=meta)
    for name, asked in request.slots.items():
        statuses = [0, DEAD] if block.is_dead else [0, 1, 2]
        if asked.filter_by_commitment:
            statuses = [commitment]
        for status in statuses:
            said = pb.SlotUpdate(slot=block.slot, parent=block.parent, status=status)
            yield pb.SubscribeUpdate(filters=[name], slot=said)


def _paid_updates(request: Any, slot: int, index: int, paid: Paid) -> Iterator[Any]:
    for name, asked in request.transactions.items():
        if _takes_part(paid, asked.account_include):
            info = pb.TransactionInfo(signature=paid.signature, index=index, meta=_balances(paid))
            said = pb.TransactionUpdate(slot=slot, transaction=info)
            yield pb.SubscribeUpdate(filters=[name], transaction=said)
    for name, asked in request.accounts.items():
        if paid.amount and base58(paid.payee) in asked.account:
            info = pb.AccountInfo(
                pubkey=paid.payee, lamports=_BALANCE + paid.amount, write_version=index + 1
            )
            said = pb.AccountUpdate(slot=slot, account=info)
            yield pb.SubscribeUpdate(filters=[name], account=said)


def _takes_part(paid: Paid, addresses: Any) -> bool:
    return not addresses or bool({base58(paid.payer), base58(paid.payee)} & set(addresses))


def _balances(paid: Paid) -> Any:
    return pb.TransactionMeta(
        fee=FEE,
        pre_balances=[_BALANCE, _BALANCE],
        post_balances=[_BALANCE - FEE - paid.amount, _BALANCE + paid.amount],
    )
