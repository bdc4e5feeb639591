"""Post batches of records as signed messages, and read from the answer what to do next.

    2xx                       delivered
    410                       it wants no more: stopped
    408 425 429 5xx, no answer   again later, after Retry-After where there is one
    3xx, any other 4xx        stopped: it would be refused again; redirects are not followed

A message is the same at each attempt, but for its timestamp and signatures: its id, which
receivers tell repeats by, is made of the records in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from bond_core.plugin import Fatal, Reply, Retryable, Secret, SinkContext
from bond_webhook.config import WebhookConfig
from bond_webhook.signing import signed_headers

NS, MS = 1_000_000_000, 1_000_000
ATTEMPTS_KEPT = 50
ATTEMPTS_SHOWN = 10
_SHOWN = 200  # characters of an answer that is no success
_PASSING = (408, 425, 429)


class Webhook:
    """One endpoint. See Sink."""

    def __init__(self, config: WebhookConfig) -> None:
        self._config = config
        self._attempts: deque[dict[str, Any]] = deque(maxlen=ATTEMPTS_KEPT)
        self._failing_since_ns: int | None = None  # monotonic

    async def open(self, ctx: SinkContext) -> None:
        """Connect to nothing: each message has a connection of its own."""

    async def write(self, batch: Sequence[Mapping[str, Any]], ctx: SinkContext) -> None:
        """Send a batch as one message of the type `stream.records`.

        Raises:
            Retryable: The endpoint is away, busy or broken.
            Fatal: It refuses, is gone, or has answered nothing but failures for too long.
        """
        message_id = f"msg_{ctx.stream_id}_{batch[0]['id']}_{batch[-1]['id']}"
        body = msgspec.json.encode(
            {
                "type": "stream.records",
                "timestamp": batch[-1].get("ts"),
                "data": {"stream_id": ctx.stream_id, "records": batch},
            }
        )
        reply = await self._send(message_id, body, ctx)
        if (error := self._error_of(reply, ctx)) is not None:
            raise error
        self._failing_since_ns = None

    async def close(self) -> None:
        """Hold nothing, so let go of nothing."""

    def report(self) -> Mapping[str, Any]:
        """Return the newest attempts, the newest last."""
        return {"attempts": list(self._attempts)[-ATTEMPTS_SHOWN:]}

    async def test(self, ctx: SinkContext) -> Mapping[str, Any]:
        """Send one message of the type `webhook.test`, and return how the attempt went.

        Raises:
            Retryable, Fatal: It isn't there, or may not be reached.
        """
        now = datetime.fromtimestamp(ctx.clock.now_ns() / NS, UTC)
        stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = msgspec.json.encode({"type": "webhook.test", "timestamp": stamp, "data": {}})
        await self._send(f"msg_test_{ctx.clock.now_ns() // MS}", body, ctx)
        return self._attempts[-1]

    async def _send(self, message_id: str, body: bytes, ctx: SinkContext) -> Reply:
        config, now_ns, started_ns = self._config, ctx.clock.now_ns(), ctx.clock.monotonic_ns()
        secrets = (config.secret, *config.previous_secrets)
        url = config.url.reveal() if isinstance(config.url, Secret) else config.url
        attempt: dict[str, Any] = {
            "at": datetime.fromtimestamp(now_ns // NS, UTC).isoformat().replace("+00:00", "Z"),
            "id": message_id, "status": None, "bytes": len(body),
        }  # fmt: skip
        headers = signed_headers(secrets, message_id, now_ns // NS, body)
        try:
            reply = await ctx.post(
                url, body, timeout_s=config.timeout_s,
                headers={"content-type": "application/json", "user-agent": "bond", **headers},
            )  # fmt: skip
        except (Retryable, Fatal) as error:
            attempt["error"] = error.detail
            if isinstance(error, Retryable):
                self._note_failure(ctx)
            raise
        else:
            attempt["status"] = reply.status
            if not 200 <= reply.status < 300 and reply.body:
                attempt["answer"] = reply.body.decode("utf-8", errors="replace")[:_SHOWN]
            return reply
        finally:
            attempt["took_ms"] = round((ctx.clock.monotonic_ns() - started_ns) / MS)
            self._attempts.append(attempt)

    def _error_of(self, reply: Reply, ctx: SinkContext) -> Retryable | Fatal | None:
        status = reply.status
        if 200 <= status < 300:
            return None
        if status == 410:
            return Fatal("the endpoint answered 410: it is gone, and wants no more")
        if 300 <= status < 400:
            return Fatal(
                f"the endpoint answered {status}: it has moved, and redirects are not followed; "
                "give its new URL",
            )
        if status in _PASSING or status >= 500:
            self._note_failure(ctx)
            return Retryable(f"the endpoint answered {status}", retry_after_s=reply.retry_after_s)
        return Fatal(f"the endpoint answered {status}: it refuses the message")

    def _note_failure(self, ctx: SinkContext) -> None:
        now_ns = ctx.clock.monotonic_ns()
        if self._failing_since_ns is None:
            self._failing_since_ns = now_ns
        if now_ns - self._failing_since_ns >= self._config.give_up_after_s * NS:
            days = self._config.give_up_after_s / 86_400
            raise Fatal(f"the endpoint took nothing for {days:.3g} days: given up")
