"""Register the sink `nats`. Reading this loads no client."""

from __future__ import annotations

from collections.abc import Iterator

from bond_core.plugin import Batching, SinkSpec, hookimpl
from bond_nats.config import NatsConfig


@hookimpl
def bond_sinks() -> Iterator[SinkSpec]:
    """Describe the sink."""
    yield SinkSpec(
        name="nats",
        summary="Records to NATS JetStream, each once and in order",
        factory="bond_nats.sink:Nats",
        config=NatsConfig,
        batch=Batching(records=256, size_bytes=1024 * 1024, wait_s=0.1),
    )
