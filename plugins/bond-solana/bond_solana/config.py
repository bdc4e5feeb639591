"""The settings of the connector."""

from __future__ import annotations

from typing import Literal

import attrs

from bond_core.plugin import Secret, setting

CHANNEL = "chain"
EventType = Literal["tx", "transfer", "block", "account", "metric"]


@attrs.frozen
class SolanaConfig:
    """Settings of `solana.onchain`: what of the chain is listened to, and where."""

    endpoint: str = setting(
        default="", env="GRPC_ENDPOINT", example="https://solana.example:443",
        doc="Address of a Yellowstone gRPC endpoint",
    )  # fmt: skip
    token: Secret | None = setting(
        default=None, env="GRPC_X_TOKEN", doc="What the endpoint wants as x-token, if anything"
    )
    chain: Literal["sol"] = setting(default="sol", doc="Which chain; this plugin hears Solana")
    event_types: tuple[EventType, ...] = setting(
        default=("block",), doc="What is listened to", example=["transfer", "block"]
    )
    accounts: tuple[str, ...] = setting(
        default=(), example=["TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"],
        doc="Only what these accounts and programs take part in; program:ADDRESS for what one owns",
    )  # fmt: skip
    commitment: str = setting(
        default="confirmed", env="GRPC_COMMITMENT",
        choices=("processed", "confirmed", "finalized"),
        doc="How sure the chain must be of what is heard",
    )  # fmt: skip
