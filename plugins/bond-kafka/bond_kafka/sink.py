"""Produce records to a topic: idempotent, confirmed by all replicas, a stream in one partition.

The key of every message is its stream's id, so that a stream's records keep their order. The
idempotent producer doubles nothing while its connection lasts; after a restart a batch may come
twice, and the header `bond-id` tells.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    IllegalSaslStateError,
    InvalidTopicError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from bond_core.plugin import Fatal, Retryable, SinkContext
from bond_kafka.config import KafkaConfig

CLOSE_S = 2.0
_REFUSED = (
    AuthenticationFailedError, ClusterAuthorizationFailedError, IllegalSaslStateError,
    InvalidTopicError, MessageSizeTooLargeError, SaslAuthenticationFailed,
    TopicAuthorizationFailedError, UnsupportedSaslMechanismError,
)  # fmt: skip


class Kafka:
    """One producer. See Sink."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._producer: Any = None

    async def open(self, ctx: SinkContext) -> None:
        """Connect.

        Raises:
            Retryable: The cluster isn't there.
            Fatal: It refuses, or one of its servers may not be reached.
        """
        await self._started(ctx)

    async def write(self, batch: Sequence[Mapping[str, Any]], ctx: SinkContext) -> None:
        """Produce a batch, and wait until all replicas have all of it.

        Raises:
            Retryable: Not all of it was confirmed.
            Fatal: It would be refused again.
        """
        producer = await self._started(ctx)
        try:
            async with asyncio.timeout(self._config.ack_within_s):
                await self._produce(batch, producer, ctx)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()  # what the producer holds nobody knows
            raise _told(error) from None

    async def close(self) -> None:
        """Disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)

    async def _produce(
        self, batch: Sequence[Mapping[str, Any]], producer: Any, ctx: SinkContext
    ) -> None:
        key, confirmed = ctx.stream_id.encode(), []
        for record in batch:
            confirmed.append(  # noqa: PERF401 -- each waits for room
                await producer.send(
                    self._config.topic,
                    key=key,
                    value=msgspec.json.encode(record),
                    headers=[("bond-id", str(record["id"]).encode())],
                )
            )
        await asyncio.gather(*confirmed)

    async def _started(self, ctx: SinkContext) -> Any:
        if self._producer is not None:
            return self._producer
        config = self._config
        for host, port in config.addresses():
            await ctx.reach(host, port, tls=config.tls)
        made = self._made()
        refused = _look_before_connecting(made.client, ctx, is_tls=config.tls)
        try:
            async with asyncio.timeout(config.ack_within_s):
                await _start_unless(refused, made)
        except BaseException as error:
            await _stop(made)
            if isinstance(error, (KafkaError, OSError, TimeoutError)):
                raise _told(error) from None
            raise
        self._producer = made
        return made

    def _made(self) -> Any:
        config = self._config
        more: dict[str, Any] = {}
        if config.tls:
            more["ssl_context"] = ssl.create_default_context()
        if config.user is not None and config.password is not None:
            more |= {
                "sasl_mechanism": config.sasl,
                "sasl_plain_username": config.user,
                "sasl_plain_password": config.password.reveal(),
            }
        protocol = "SASL_" if config.user is not None else ""
        return AIOKafkaProducer(
            bootstrap_servers=list(config.servers),
            client_id="bond",
            enable_idempotence=True,
            acks="all",
            request_timeout_ms=int(config.ack_within_s * 1000),
            security_protocol=f"{protocol}{'SSL' if config.tls else 'PLAINTEXT'}",
            **more,
        )


def _look_before_connecting(client: Any, ctx: SinkContext, *, is_tls: bool) -> asyncio.Future[None]:
    """Have the guard asked about each server that the cluster names, before it is dialled.

    What is returned fails with the first that may not be reached.
    """
    connect = client._get_conn  # noqa: SLF001 -- the one place where aiokafka dials by metadata
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def guarded(node_id: Any, **how: Any) -> Any:
        broker = client.cluster.broker_metadata(node_id)
        if broker is not None:
            try:
                await ctx.reach(broker.host, broker.port, tls=is_tls)
            except (Fatal, Retryable) as error:
                ctx.log.warning("a server that the cluster names: %s", error.detail)
                if isinstance(error, Fatal) and not refused.done():
                    refused.set_exception(error)
                return None
        return await connect(node_id, **how)

    client._get_conn = guarded  # noqa: SLF001 -- as above
    return refused


async def _start_unless(refused: asyncio.Future[None], producer: Any) -> None:
    """Start a producer; raise the refusal where there is one, or whatever starting raises."""
    starting = asyncio.ensure_future(producer.start())
    both: set[asyncio.Future[Any]] = {starting, refused}
    try:
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        (refused if refused in done else starting).result()
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        if not refused.done():
            refused.cancel()


async def _stop(producer: Any) -> None:
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await producer.stop()


def _told(error: Exception) -> Retryable | Fatal:
    """Return what to do about it."""
    kind = type(error).__name__
    if isinstance(error, _REFUSED):
        return Fatal(f"the cluster refuses: {kind}")
    if isinstance(error, KafkaConnectionError):
        return Retryable("the cluster can't be reached")
    return Retryable(f"not confirmed: {kind}")
