"""Publish records to JetStream: confirmed before they count, and recognised when they repeat.

A batch goes out over one connection in its order, and counts once JetStream has confirmed all
of it. A repeated record has the same `Nats-Msg-Id`, which JetStream drops within its
`duplicate_window`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error, MaxPayloadError
from nats.js.errors import APIError, NoStreamResponseError

from bond_core.plugin import Fatal, Retryable, SinkContext
from bond_nats.config import NatsConfig

CONNECT_S = 5
CLOSE_S = 1.0


class Nats:
    """One connection to one server. See Sink."""

    def __init__(self, config: NatsConfig) -> None:
        self._config = config
        self._client: Client | None = None
        self._refused: asyncio.Future[None] | None = None

    async def open(self, ctx: SinkContext) -> None:
        """Connect.

        Raises:
            Retryable: The server isn't there.
            Fatal: It refuses, or may not be reached.
        """
        await self._connected(ctx)

    async def write(self, batch: Sequence[Mapping[str, Any]], ctx: SinkContext) -> None:
        """Publish a batch, and wait until all of it is confirmed.

        Raises:
            Retryable: Not all of it was confirmed.
            Fatal: A record is larger than the server takes, or it refuses us.
        """
        client = await self._connected(ctx)
        try:
            async with asyncio.timeout(self._config.ack_within_s):
                await self._publish(batch, client, ctx)
        except NoStreamResponseError:
            subject = self._config.subject_of(batch[0], ctx.stream_id)
            raise Retryable(
                f"no JetStream stream takes the subject {subject}", fix="nats stream add"
            ) from None
        except MaxPayloadError:
            raise Fatal("a record is larger than the server's max_payload") from None
        except APIError as error:
            raise Retryable(f"JetStream refuses: {error.description}") from None
        except (Error, OSError, TimeoutError) as error:
            await self.close()  # what the connection holds nobody knows
            raise Retryable(f"not confirmed: {type(error).__name__}") from None

    async def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Error, OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await client.close()

    async def _publish(
        self, batch: Sequence[Mapping[str, Any]], client: Client, ctx: SinkContext
    ) -> None:
        stream, confirmed = client.jetstream(), []
        try:
            for record in batch:
                # A record's id is unique in its stream, a message's must be in all that JetStream
                # keeps together.
                confirmed.append(  # noqa: PERF401 -- what was sent before a fault is let go of
                    await stream.publish_async(
                        self._config.subject_of(record, ctx.stream_id),
                        msgspec.json.encode(record),
                        headers={"Nats-Msg-Id": f"{ctx.stream_id}.{record['id']}"},
                    )
                )
            # nats-py 2.16 raises a refusal where it reads it, and leaves the message's own future
            # pending: it is heard of through the connection's error callback alone.
            self._refused = asyncio.get_running_loop().create_future()
            await _all_or_refused(confirmed, self._refused)
        finally:
            self._refused = None
            for each in confirmed:
                each.cancel()
            await asyncio.gather(*confirmed, return_exceptions=True)

    async def _connected(self, ctx: SinkContext) -> Client:
        if self._client is not None and self._client.is_connected:
            return self._client
        await self.close()
        host, port = self._config.address
        for address in await ctx.reach(host, port, tls=self._config.is_tls):
            with suppress(OSError, TimeoutError):
                self._client = await self._connect(address, host.strip("[]"), port, ctx)
                return self._client
        raise Retryable(f"{host} can't be reached")

    async def _connect(self, address: str, host: str, port: int, ctx: SinkContext) -> Client:
        config, at = self._config, f"[{address}]" if ":" in address else address

        async def told(error: Exception) -> None:
            ctx.log.debug("the connection to %s: %s", host, error)
            if self._refused is not None and not self._refused.done():
                self._refused.set_exception(error)

        more: dict[str, Any] = {}
        if config.is_tls:
            more = {"tls": ssl.create_default_context(), "tls_hostname": host}
        client = Client()
        try:
            async with asyncio.timeout(CONNECT_S):
                await client.connect(
                    f"{'tls' if config.is_tls else 'nats'}://{at}:{port}",
                    # To an address that was checked, and not to others that the server may name.
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=CONNECT_S,
                    error_cb=told,
                    user=config.user,
                    password=None if config.password is None else config.password.reveal(),
                    token=None if config.token is None else config.token.reveal(),
                    **more,
                )
        except BaseException as error:
            with suppress(Error, OSError):
                await client.close()
            if isinstance(error, Error) and "authorization" in str(error).lower():
                raise Fatal(f"{host} refuses the user or token") from None
            if isinstance(error, Error):
                raise OSError(type(error).__name__) from None
            raise
        return client


async def _all_or_refused(
    confirmed: Sequence[asyncio.Future[Any]], refused: asyncio.Future[None]
) -> None:
    """Return when all are confirmed; raise what the first of them, or the refusal, raises."""
    together = asyncio.gather(*confirmed)
    try:
        both: set[asyncio.Future[Any]] = {together, refused}
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        refused.cancel()
        together.cancel()
        await asyncio.gather(together, refused, return_exceptions=True)
