"""The conformance kit, on what grpc would hand over."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import ClassVar

import grpc

from bond_core.testing import ConnectorConformance
from bond_solana import geyser_pb2 as pb


def updates():
    """Return what an endpoint says of two blocks."""
    for slot in (100, 101):
        meta = pb.BlockMetaUpdate(slot=slot, blockhash=f"hash{slot}", executed_transaction_count=3)
        block = pb.SubscribeUpdate(filters=["blocks"], block_meta=meta)
        block.created_at.seconds = 1_700_000_000 + slot
        yield block
        yield pb.SubscribeUpdate(slot=pb.SlotUpdate(slot=slot, parent=slot - 1, status=1))


class Call:
    """A subscription that says this, and is silent then."""

    def __init__(self):
        self._left = list(updates())

    async def write(self, request):
        assert request.commitment == 1

    async def read(self):
        if not self._left:
            await asyncio.get_running_loop().create_future()
        return self._left.pop(0)

    def cancel(self):
        pass


class Channel:
    """A channel that any token opens."""

    def __init__(self, target, *_, **__):
        assert target == "solana.example:443"

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    def stream_stream(self, method, **_):
        assert method == "/geyser.Geyser/Subscribe"
        return lambda metadata: Call() if metadata == (("x-token", "a-token"),) else None


class TestSolana(ConnectorConformance):
    spec = "onchain"
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
    sdks: ClassVar = {
        "grpc": grpc,
        "grpc.aio": SimpleNamespace(secure_channel=Channel, EOF=object()),
    }
