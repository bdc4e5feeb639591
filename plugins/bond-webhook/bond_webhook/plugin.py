"""Register the sink `webhook`. Reading this loads no HTTP client."""

from __future__ import annotations

from collections.abc import Iterator

from bond_core.plugin import Batching, SinkSpec, hookimpl
from bond_webhook.config import WebhookConfig


@hookimpl
def bond_sinks() -> Iterator[SinkSpec]:
    """Describe the sink."""
    yield SinkSpec(
        name="webhook",
        summary="Records to an HTTP endpoint of yours, signed by Standard Webhooks 1.0.0",
        factory="bond_webhook.sink:Webhook",
        config=WebhookConfig,
        # Receivers of Standard Webhooks expect bodies below 20 kB.
        batch=Batching(records=100, size_bytes=16 * 1024, wait_s=5.0),
    )
