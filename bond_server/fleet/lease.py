"""A worker's right to write: renewed in Redis, and judged here by the monotonic clock.

The lease lasts in Redis for `seconds` from when the renewal arrived there. Here it counts from
when the renewal was sent, and for less: so whoever has it knows that it is over before anybody
else does. What is appended under way is fenced by the log.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncGenerator, Sequence

from bond_core.clock import NS, Clock
from bond_core.errors import FencedError, LogError, LogUnavailableError
from bond_core.log.event_log import Entry, EventLog, Page, Retention
from bond_core.log.offset import START, Offset
from bond_core.runtime.pipeline import NOT_OWNER

_TRUSTED = 0.7
"""Which part of a lease is used: clocks drift, and renewals take a while to get there."""


class Lease:
    """One worker's.

    Attributes:
        worker: Its name, never used before.
        seconds: How long the lease lasts without renewal.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        host = socket.gethostname().partition(".")[0][:40]
        self.worker = f"{host}-{os.getpid()}-{secrets.token_hex(4)}"
        self.seconds = seconds
        self._clock = clock
        self._good_until_ns: int | None = None

    @property
    def is_good(self) -> bool:
        """Whether the worker may write now."""
        until_ns = self._good_until_ns
        return until_ns is not None and self._clock.monotonic_ns() < until_ns

    def renewed(self, asked_ns: int) -> None:
        """Note that it was renewed by what was sent at `asked_ns`, on the monotonic clock."""
        self._good_until_ns = asked_ns + round(self.seconds * _TRUSTED * NS)

    def lapse(self) -> None:
        """Give it up."""
        self._good_until_ns = None


class LeasedLog:
    """An EventLog through which one stream is written while a lease is good, and fenced.

    Without the lease an append is refused as if the log were away, so that its records wait: the
    lease may be renewed before anybody else has taken the stream.

    Attributes:
        fence: What the stream was claimed with last; None while another owns it.
        is_lost: Whether the log said that the stream is another's by now, or deleted.
    """

    def __init__(self, log: EventLog, lease: Lease, fence: int | None) -> None:
        self._log = log
        self._lease = lease
        self.fence = fence
        self.is_lost = False

    async def open_stream(self, stream_id: str, retention: Retention) -> Offset:
        """See EventLog."""
        return await self._log.open_stream(stream_id, retention)

    async def append(
        self, stream_id: str, items: Sequence[tuple[Offset, bytes]], *, fence: int = 0,
        lost_until: Offset = START,
    ) -> None:  # fmt: skip
        """See EventLog; the fence is the claim's, whatever is given."""
        del fence
        if self.fence is None:
            raise LogUnavailableError("another worker owns it", code=NOT_OWNER)
        if not self._lease.is_good:
            raise LogUnavailableError("this worker's lease was not renewed; the append waits")
        try:
            await self._log.append(stream_id, items, fence=self.fence, lost_until=lost_until)
        except LogUnavailableError:
            raise
        except (FencedError, LogError):
            self.is_lost = True
            raise

    async def read(self, stream_id: str, after: Offset, limit: int = 1000) -> Page:
        """See EventLog."""
        return await self._log.read(stream_id, after, limit)

    def watch(self, stream_id: str) -> AsyncGenerator[Sequence[Entry], None]:
        """See EventLog."""
        return self._log.watch(stream_id)

    async def delete(self, stream_id: str) -> None:
        """See EventLog."""
        await self._log.delete(stream_id)
