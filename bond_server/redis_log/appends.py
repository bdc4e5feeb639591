"""Collect the appends of one turn of the event loop and send them to Redis together.

While one packet is under way the next one gathers: the busier it gets, the more an append
shares its trip with others. One stream's appends come one after the other, since its writer
waits for each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
import hiredis
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError, ResponseError

from bond_core.errors import FencedError, LogError, LogUnavailableError
from bond_core.log.offset import Offset
from bond_server.redis_log.connect import LOST
from bond_server.redis_log.keys import StreamKeys
from bond_server.redis_log.scripts import Scripts

_FENCED, _NOT_OPEN, _DELETED, _AHEAD = -1, -2, -3, -4
_MAX_ITEMS = 1000
"""As many entries run in one script at most: Redis does nothing else meanwhile."""

_log = logging.getLogger("bond.redis")


@attrs.define(eq=False)  # frozen would be twice as slow to make, and it is made for each record
class Append:
    """One append that waits for its answer; nobody changes it."""

    stream_id: str
    keys: StreamKeys
    fence: int
    lost_until: Offset
    items: Sequence[tuple[Offset, bytes]]
    done: asyncio.Future[bool]


class Appends:
    """Sends appends. `run` owns the trips to Redis; cancel it to stop."""

    def __init__(self, redis: Redis | RedisCluster, scripts: Scripts, publish: str) -> None:
        self._redis = redis
        self._is_cluster = isinstance(redis, RedisCluster)
        self._scripts = scripts
        self._publish = publish
        self._waiting: list[Append] = []
        self._some = asyncio.Event()

    async def append(
        self, stream_id: str, keys: StreamKeys, items: Sequence[tuple[Offset, bytes]], fence: int,
        lost_until: Offset,
    ) -> bool:  # fmt: skip
        """Append in one step, see EventLog.append; return whether the stream is open at all."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(Append(stream_id, keys, fence, lost_until, items, done))
        self._some.set()
        return await done

    async def run(self) -> None:
        """Send what gathers, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            packet, self._waiting = self._waiting, []
            try:
                await self._send(packet)
            except Exception as error:  # noqa: BLE001 -- a bug for some must not end it for all
                _log.exception("an append to %d streams failed", len(packet))
                _refuse(packet, _unavailable(error))
            finally:
                _refuse(packet, LogUnavailableError("the log was closed; repeat the append"))

    async def _send(self, packet: Sequence[Append]) -> None:
        groups = list(self._groups(packet))
        try:
            replies = await self._run_scripts(groups)
        except LOST as error:
            _refuse(packet, _unavailable(error))
            return
        for group, reply in zip(groups, replies, strict=True):
            if isinstance(reply, Exception):
                _refuse(group, _unavailable(reply))
            else:
                for each, result in zip(group, reply, strict=True):
                    _answer(each, result)

    async def _run_scripts(self, groups: Sequence[Sequence[Append]]) -> list[Any]:
        """Run the script once for each group, all in one packet, and again where it is unknown."""
        replies = await self._trip(groups)
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            await self._scripts.load()
            for i, reply in zip(
                missing, await self._trip([groups[i] for i in missing]), strict=True
            ):
                replies[i] = reply
        return replies

    async def _trip(self, groups: Sequence[Sequence[Append]]) -> list[Any]:
        calls: list[tuple[Any, ...]] = [
            (
                "EVALSHA",
                self._scripts.digest("append"),
                len(group) * 3,
                *_keys(group),
                *self._args(group),
            )
            for group in groups
        ]
        if isinstance(self._redis, RedisCluster):  # it takes no scripts in a pipeline
            trips = (self._redis.execute_command(*call) for call in calls)
            return await asyncio.gather(*trips, return_exceptions=True)
        return await _in_one_packet(self._redis, calls)

    def _args(self, group: Sequence[Append]) -> Iterator[str | int | bytes]:
        yield self._publish
        for each in group:
            yield each.keys.bus
            yield each.fence
            yield str(each.lost_until)
            yield len(each.items)
            for offset, data in each.items:
                yield f"{offset.ms}-{offset.n}"
                yield data

    def _groups(self, packet: Iterable[Append]) -> Iterator[list[Append]]:
        """Yield what one script may do: one slot's, and no more than so many entries."""
        if not self._is_cluster and sum(len(each.items) for each in packet) <= _MAX_ITEMS:
            yield list(packet)
            return
        by_slot: dict[int, list[Append]] = {}
        for each in packet:
            slot = each.keys.partition if self._is_cluster else 0
            by_slot.setdefault(slot, []).append(each)
        for together in by_slot.values():
            group: list[Append] = []
            size = 0
            for each in together:
                if group and size + len(each.items) > _MAX_ITEMS:
                    yield group
                    group, size = [], 0
                group.append(each)
                size += len(each.items)
            yield group


async def _in_one_packet(redis: Redis, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Send commands together and return their replies, an error as itself.

    As redis-py's own pipeline does it, but packed by hiredis: packing is most of what an append
    costs this process.
    """
    connection = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call] # redis-py
    try:
        await connection.send_packed_command([hiredis.pack_command(call) for call in calls])
        replies = []
        for _ in calls:
            try:
                replies.append(await connection.read_response())
            except ResponseError as error:
                replies.append(error)
    except BaseException:
        await connection.disconnect(nowait=True)  # replies may still come: it is of no more use
        raise
    finally:
        await redis.connection_pool.release(connection)
    return replies


def _keys(group: Iterable[Append]) -> Iterator[str]:
    for each in group:
        yield each.keys.log
        yield each.keys.meta
        yield each.keys.ends


def _answer(append: Append, result: int) -> None:
    if append.done.done():  # its writer was cancelled meanwhile
        return
    if result == _FENCED:
        detail = f"stream {append.stream_id} is written by another owner now"
        append.done.set_exception(FencedError(detail))
    elif result == _DELETED:
        append.done.set_exception(LogError(f"stream {append.stream_id} isn't open: it was deleted"))
    elif result == _AHEAD:
        detail = f"a window of stream {append.stream_id} is yet to end, by the clock of Redis"
        append.done.set_exception(LogError(f"{detail}: this machine's is ahead"))
    else:
        append.done.set_result(result != _NOT_OPEN)


def _refuse(packet: Iterable[Append], error: Exception) -> None:
    for each in packet:
        if not each.done.done():
            each.done.set_exception(error)


def _unavailable(error: Exception) -> LogUnavailableError:
    return LogUnavailableError(f"Redis did not answer: {type(error).__name__}: {error}")
