"""What the processes of a fleet know together: streams, how they do, and which workers live.

Everything is one script each, so that two processes never see half of a change. Every method
raises LogUnavailableError where Redis does not answer.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import msgspec
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from bond_core.errors import LimitError, LogUnavailableError
from bond_core.log.offset import START, Offset
from bond_server.fleet.keys import (
    CHANGES,
    EPOCH,
    HEARD,
    LEAVING,
    REPORTS,
    STREAMS,
    WORKERS,
    project_key,
)
from bond_server.redis_log.connect import LOST
from bond_server.redis_log.heeding import heeding_cancellation
from bond_server.redis_log.keys import keys_of
from bond_server.redis_log.message import offset_of
from bond_server.redis_log.scripts import Scripts
from bond_server.registry.row import Row

_SCRIPTS = (
    "add", "swap", "remove", "restore", "get", "list", "changes", "beat", "leave", "hear", "heard",
    "claim", "release", "report", "peek", "offer",
)  # fmt: skip

_log = logging.getLogger("bond.fleet")


@attrs.frozen
class Kept:
    """A stream's row, and the bytes in which it is kept, by which a change of it is noticed."""

    row: Row
    raw: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Changes:
    """What changed since one looked last.

    Attributes:
        epoch: Which life of the registry this is.
        is_whole: Whether `rows` is everything there is.
        last: To ask on from.
        rows: By id; None where the stream is gone.
    """

    epoch: str
    is_whole: bool
    last: str
    rows: Mapping[str, Kept | None]


@attrs.frozen(kw_only=True)
class Beat:
    """Who lives, at `now_ms`; and whether the lease that was renewed had lasted until then."""

    now_ms: int
    had_it: bool
    workers: frozenset[str]
    leaving: frozenset[str]


@attrs.frozen(kw_only=True)
class Claim:
    """Whether a stream is ours, and where it stands then; else whose it is."""

    fence: int | None = None
    top: Offset = START
    owner: str | None = None


@attrs.frozen(kw_only=True)
class Peek:
    """Who owns a stream, to whom it is offered, whether that one is ready, where it stands."""

    owner: str
    offered_to: str
    is_accepted: bool
    top: Offset


class Shared:
    """See above. One of it for each process."""

    def __init__(self, redis: Redis | RedisCluster) -> None:
        self._redis = redis
        self._scripts = Scripts(redis, _SCRIPTS, __package__)

    async def add(self, row: Row, limit: int) -> Kept | None:
        """Add a stream; return what is there already, None if it was added.

        Raises:
            LimitError: Its project has `limit` streams.
        """
        keys = [STREAMS, project_key(row.project), CHANGES]
        result, found = await self._scripts.run("add", keys, row.stream_id, _encode(row), limit)
        if result == -1:
            used = int(found)
            raise LimitError(
                f"{used} streams run already, {limit} are allowed; "
                "delete one or raise BOND_MAX_STREAMS",
                limit=limit, used=used,
            )  # fmt: skip
        return None if result else _decode(row.stream_id, found)

    async def swap(self, kept: Kept, row: Row) -> bool:
        """Put a row in the place of one that was read; whether that was still there."""
        args = (row.stream_id, kept.raw, _encode(row))
        return bool(await self._scripts.run("swap", [STREAMS, CHANGES], *args))

    async def restore(self, row: Row) -> None:
        """Put back a stream that Redis has lost."""
        keys = [STREAMS, project_key(row.project), CHANGES]
        await self._scripts.run("restore", keys, row.stream_id, _encode(row))

    async def remove(self, row: Row, only: Kept | None = None) -> bool:
        """Remove a stream, or only if it is still this one; whether it was there."""
        keys = [STREAMS, project_key(row.project), CHANGES, REPORTS, HEARD]
        raw = b"" if only is None else only.raw
        return bool(await self._scripts.run("remove", keys, row.stream_id, raw))

    async def get(self, stream_id: str) -> tuple[Kept, dict[str, Any]] | None:
        """Return a stream and what its owner said of it last; None if there is none."""
        found = await self._scripts.run("get", [STREAMS, REPORTS], stream_id)
        return next(_rows_and_reports(found), None)

    async def of_project(self, project: str) -> list[tuple[Kept, dict[str, Any]]]:
        """Return a project's streams as `get` does, the oldest first."""
        found = await self._scripts.run("list", [STREAMS, project_key(project), REPORTS])
        return sorted(_rows_and_reports(found), key=lambda pair: pair[0].row.created_ns)

    async def changes(self, last: str, epoch: str) -> Changes:
        """Return what changed since `last` was the last; everything, for an empty one."""
        keys = [STREAMS, CHANGES, EPOCH]
        fresh = secrets.token_hex(4)
        found = await self._scripts.run("changes", keys, last, epoch, fresh)
        now_epoch, is_whole, now_last, flat = found
        rows: dict[str, Kept | None] = {}
        for name, raw in zip(flat[::2], flat[1::2], strict=True):
            rows[name.decode()] = _decode(name.decode(), raw) if raw else None
        return Changes(
            epoch=now_epoch.decode(), is_whole=bool(is_whole), last=now_last.decode(), rows=rows
        )

    async def touch(self, stream_id: str) -> None:
        """Have everybody look at a stream again."""
        await self._do("XADD", CHANGES, "MAXLEN", "~", 10000, "*", "id", stream_id)

    async def beat(self, worker: str = "", lease_ms: int = 0, *, is_leaving: bool = False) -> Beat:
        """Renew a worker's lease, of which there may be none yet; or only look who lives."""
        keys = [WORKERS, LEAVING]
        now_ms, had_it, workers, leaving = await self._scripts.run(
            "beat", keys, worker, lease_ms, int(is_leaving)
        )
        return Beat(
            now_ms=now_ms,
            had_it=bool(had_it),
            workers=frozenset(each.decode() for each in workers),
            leaving=frozenset(each.decode() for each in leaving),
        )

    async def leave(self, worker: str) -> None:
        """End a worker's lease."""
        await self._scripts.run("leave", [WORKERS, LEAVING], worker)

    async def report(self, said: Mapping[str, bytes]) -> None:
        """Keep what is said of streams, for whoever asks for them elsewhere."""
        if said:
            words = [word for pair in said.items() for word in pair]
            await self._scripts.run("report", [STREAMS, REPORTS], *words)

    async def hear(self, stream_ids: Iterable[str]) -> None:
        """Note that streams have listeners."""
        await self._scripts.run("hear", [HEARD], *stream_ids)

    async def heard(self, stream_ids: Sequence[str]) -> tuple[int, list[int]]:
        """Return the time, and when streams last had listeners, 0 for never; all in ms."""
        now_ms, *found = await self._scripts.run("heard", [HEARD], *stream_ids)
        return now_ms, found

    async def claim(self, stream_id: str, worker: str, may_take_from: str = "") -> Claim:
        """Make a worker a stream's owner, if nobody is, or one it may take it from."""
        found = await self._scripts.run("claim", [keys_of(stream_id).meta], worker, may_take_from)
        if found[0] == 1:
            return Claim(fence=int(found[1]), top=offset_of(found[2]))
        return Claim(owner=found[1].decode() if found[0] == 0 else None)

    async def peek(self, stream_id: str, is_ready: str = "") -> Peek:
        """Look who owns a stream; say beside that a worker is ready for what it was offered."""
        meta = keys_of(stream_id).meta
        owner, offered, top = await self._scripts.run("peek", [meta], is_ready)
        to = offered.decode()
        return Peek(
            owner=owner.decode(), offered_to=to.removesuffix("+"), is_accepted=to.endswith("+"),
            top=offset_of(top),
        )  # fmt: skip

    async def offer(self, stream_id: str, worker: str, to: str) -> None:
        """Offer a stream to another worker, and have it look."""
        await self._scripts.run("offer", [keys_of(stream_id).meta], worker, to)
        await self.touch(stream_id)

    async def release(self, stream_id: str, worker: str) -> None:
        """Let go of a stream, and have everybody look at it."""
        await self._scripts.run("release", [keys_of(stream_id).meta], worker)
        await self.touch(stream_id)

    async def _do(self, *words: Any) -> Any:
        try:
            with heeding_cancellation():
                return await self._redis.execute_command(*words)
        except LOST as error:
            detail = f"Redis did not answer: {type(error).__name__}: {error}"
            raise LogUnavailableError(detail) from error


def _encode(row: Row) -> bytes:
    return msgspec.json.encode(row)


def _decode(stream_id: str, raw: bytes) -> Kept | None:
    try:
        return Kept(msgspec.json.decode(raw, type=Row), raw)
    except msgspec.DecodeError:
        _log.exception("what is kept of stream %s can't be read; it is left as it is", stream_id)
        return None


def _rows_and_reports(found: Sequence[bytes]) -> Iterator[tuple[Kept, dict[str, Any]]]:
    for raw, report in zip(found[::2], found[1::2], strict=True):
        kept = _decode("?", raw) if raw else None
        if kept is not None:
            yield kept, msgspec.json.decode(report) if report else {}
