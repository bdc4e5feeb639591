"""Tell Bond what this plugin brings, without loading grpc."""

from __future__ import annotations

from collections.abc import Iterator

from bond_core.plugin import Capabilities, Channel, ConnectorSpec, hookimpl
from bond_solana.config import CHANNEL, SolanaConfig

CHAIN = Channel(
    name=CHANNEL,
    kind="chain",
    fields=("onchain_count",),
    scope="stream",
    # What is heard of a block comes a second or two after it: prices don't wait for that.
    time="receive",
    gates=False,
    stale_s=30.0,  # slots come twice a second, whatever happens in them
)


@hookimpl
def bond_connectors() -> Iterator[ConnectorSpec]:
    """Describe `solana.onchain`."""
    yield ConnectorSpec(
        name="solana.onchain",
        aliases=("onchain", "onchain.grpc"),
        factory="bond_solana.connector:SolanaConnector",
        config=SolanaConfig,
        channels=(CHAIN,),
        summary="Transactions, transfers, blocks and accounts of Solana, over Yellowstone gRPC",
        simulator="bond_solana.simulator:SolanaSimulator",
        simulated_by={"ONCHAIN_MODE": "mock"},
        needs={
            "GRPC_ENDPOINT": "the address of a Yellowstone gRPC endpoint, https://host:port, from "
            "an RPC provider; its x-token in GRPC_X_TOKEN; ONCHAIN_MODE=mock simulates it"
        },
        capabilities=Capabilities(resumable=True),
    )
