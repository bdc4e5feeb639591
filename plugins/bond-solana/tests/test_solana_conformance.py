"""The conformance kit, on what grpc would hand over."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import ClassVar

import grpc

from bond_core.testing import ConnectorConformance
from bond_solana import geyser_pb2 as pb

EOF = object()
TOKEN = (("x-token", "a-token"),)


def updates():
    """Return what an endpoint says of two blocks."""
    for slot in (100, 101):
        meta = pb.BlockMetaUpdate(slot=slot, blockhash=f"hash{slot}", executed_transaction_count=3)
        block = pb.SubscribeUpdate(filters=["blocks"], block_meta=meta)
        block.created_at.seconds = 1_700_000_000 + slot
        yield block
        yield pb.SubscribeUpdate(slot=pb.SlotUpdate(slot=slot, parent=slot - 1, status=1))


class Call:
    """A subscription that says this, is silent then, and ends when its channel is closed."""

    def __init__(self, broken):
        self._left = list(updates())
        self._broken = broken

    async def write(self, request):
        assert request.commitment == 1

    async def read(self):
        if not self._left:
            await self._broken.wait()
            return EOF
        return self._left.pop(0)

    def cancel(self):
        pass


class Channel:
    """A channel that any token opens."""

    def __init__(self, target, *_, **__):
        assert target == "solana.example:443"
        self._broken = asyncio.Event()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    def stream_stream(self, method, **_):
        assert method == "/geyser.Geyser/Subscribe"
        return lambda metadata: Call(self._broken) if metadata == TOKEN else None

    def close(self):
        self._broken.set()


class TestSolana(ConnectorConformance):
    spec = "solana.onchain"
    env: ClassVar = {"GRPC_X_TOKEN": "a-token"}
    config: ClassVar = {
        "endpoint": "https://solana.example:443",
        "token": {"$env": "GRPC_X_TOKEN"},
    }
    bad_configs: ClassVar = {
        "another chain": {"chain": "eth"},
        "no such type": {"event_types": ["weather"]},
        "no such commitment": {"commitment": "perhaps"},
    }
    # What connects. `grpc` itself only names errors, and is the real one.
    sdks: ClassVar = {"grpc.aio": SimpleNamespace(secure_channel=Channel, EOF=EOF)}
    auth_failure = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAUTHENTICATED, grpc.aio.Metadata(), grpc.aio.Metadata(), "unknown token"
    )

    def work(self):
        """Registering must not load grpc itself either."""
        return [*super().work(), "grpc"]
