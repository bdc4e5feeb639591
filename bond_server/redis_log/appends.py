"""Collect the appends of one turn of the event loop and send them to Redis together.

While one trip is under way the next one gathers: the busier it gets, the more an append shares
its trip with others. One stream's appends come one after the other, since its writer waits for
each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError

from bond_core.errors import LogUnavailableError
from bond_core.log.offset import Offset
from bond_server.redis_log.connect import LOST
from bond_server.redis_log.keys import StreamKeys
from bond_server.redis_log.packet import Append, Packet, grouped, packet
from bond_server.redis_log.scripts import Scripts
from bond_server.redis_log.wire import Wire

FENCED, NOT_OPEN, DELETED, AHEAD = -1, -2, -3, -4
"""What the script answers instead of how many entries were new."""

_TURNS = 32
"""As many turns of the event loop a trip is put off at most, while more is appended meanwhile."""

_IN_VAIN = 2
"""So many turns that bring nothing end it: a stream takes two, one to close and one to append."""

_log = logging.getLogger("bond.redis")


class Appends:
    """Sends appends. `run` owns the trips to Redis; cancel it to stop."""

    def __init__(self, redis: Redis | RedisCluster, scripts: Scripts, publish: str) -> None:
        self._redis = redis
        self._wire = None if isinstance(redis, RedisCluster) else Wire(redis)
        self._scripts = scripts
        self._publish = publish
        self._waiting: list[Append] = []
        self._some = asyncio.Event()

    def append(
        self, keys: StreamKeys, items: Sequence[tuple[Offset, bytes]], fence: int,
        lost_until: Offset,
    ) -> asyncio.Future[int]:  # fmt: skip
        """Append in one step, see EventLog.append; return what the script will answer.

        Awaiting it raises LogUnavailableError.
        """
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, items, fence, lost_until, done))
        self._some.set()
        return done

    async def run(self) -> None:
        """Send what gathers, until cancelled."""
        try:
            while True:
                await self._some.wait()
                await self._while_more_comes()
                self._some.clear()
                waiting, self._waiting = self._waiting, []
                try:
                    await self._send(waiting)
                except Exception as error:  # noqa: BLE001 -- a bug for some must not end it for all
                    _log.exception("an append to %d streams failed", len(waiting))
                    _refuse((done for *_, done in waiting), _unavailable(error))
                except BaseException:
                    self._waiting += waiting
                    raise
        finally:
            closed = LogUnavailableError("the log was closed; repeat the append")
            _refuse((done for *_, done in self._waiting), closed)
            if self._wire is not None:
                await self._wire.close()

    async def _while_more_comes(self) -> None:
        """Let others append, too: streams whose windows end together do so in turn."""
        seen, in_vain = 0, 0
        for _ in range(_TURNS):
            if len(self._waiting) == seen:
                in_vain += 1
            else:
                seen, in_vain = len(self._waiting), 0
            if in_vain == _IN_VAIN:
                return
            await asyncio.sleep(0)

    async def _send(self, appends: Sequence[Append]) -> None:
        groups = grouped(appends, by_slot=self._wire is None)
        packets = [packet(group, self._publish) for group in groups]
        try:
            replies = await self._run_scripts(packets)
        except LOST as error:
            replies = [error] * len(packets)
        for each, reply in zip(packets, replies, strict=True):
            if isinstance(reply, Exception):
                _refuse(each.done, _unavailable(reply))
                continue
            for done, answer in zip(each.done, reply, strict=True):
                if not done.done():  # else its writer was cancelled meanwhile
                    done.set_result(answer)

    async def _run_scripts(self, packets: Sequence[Packet]) -> list[Any]:
        """Run the script once for each packet, all in one trip, and again where it is unknown."""
        replies = await self._trip(packets)
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            await self._scripts.load()
            again = await self._trip([packets[i] for i in missing])
            for i, reply in zip(missing, again, strict=True):
                replies[i] = reply
        return replies

    async def _trip(self, packets: Sequence[Packet]) -> list[Any]:
        digest = self._scripts.digest("append")
        if self._wire is not None:
            return await self._wire.trip([each.packed(digest) for each in packets])
        # Its client finds the node of each; it takes no scripts in a pipeline.
        calls = (each.words(digest) for each in packets)
        trips = (self._redis.execute_command(*call) for call in calls)
        return await asyncio.gather(*trips, return_exceptions=True)


def _refuse(waiting: Iterable[asyncio.Future[int]], error: Exception) -> None:
    for done in waiting:
        if not done.done():
            done.set_exception(error)


def _unavailable(error: Exception) -> LogUnavailableError:
    return LogUnavailableError(f"Redis did not answer: {type(error).__name__}: {error}")
