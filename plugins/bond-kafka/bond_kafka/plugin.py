"""Register the sink `kafka`. Reading this loads no client."""

from __future__ import annotations

from collections.abc import Iterator

from bond_core.plugin import Batching, SinkSpec, hookimpl
from bond_kafka.config import KafkaConfig


@hookimpl
def bond_sinks() -> Iterator[SinkSpec]:
    """Describe the sink."""
    yield SinkSpec(
        name="kafka",
        summary="Records to a Kafka topic, in order and confirmed by all replicas",
        factory="bond_kafka.sink:Kafka",
        config=KafkaConfig,
        batch=Batching(records=500, size_bytes=1024 * 1024, wait_s=0.1),
    )
