"""Run a stream in this process, without a server: the only place that touches one of ours."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from os import PathLike
from typing import Any

import attrs

from ekko.errors import LocalModeError
from ekko.event import Event, Gap, gap_before


@attrs.frozen
class _Ended:
    """The last thing handed over: there are no more records."""

    error: Exception | None = None


@attrs.frozen
class _Handover:
    """Where the task that owns the stream leaves records: one ahead of the reader, no more."""

    items: asyncio.Queue[Mapping[str, Any] | _Ended] = attrs.field(factory=asyncio.Queue)
    room: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(1))

    async def run(self, running: AbstractAsyncContextManager[Any]) -> None:
        """Hand every record over, and at last how it ended. The end never has to wait for room."""
        error: Exception | None = None
        try:
            async with running as records:
                async for record in with_gaps(records):
                    await self.room.acquire()
                    self.items.put_nowait(record)
        except Exception as raised:  # noqa: BLE001 - whatever it is, the reader gets it
            error = raised
        finally:
            self.items.put_nowait(_Ended(error))


def local_events(
    text_or_spec: str | Mapping[str, Any], options: Mapping[str, Any]
) -> AsyncGenerator[Event, None]:
    """Yield the records of a stream that runs here, until it ends or nobody asks any more.

    Raises:
        LocalModeError: Bond's server package isn't installed.
    """
    return _handed_over(bond_module("bond_server.local").stream(text_or_spec, **options))


def replayed_events(
    path: str | PathLike[str], text_or_spec: str | Mapping[str, Any] | None, speed: float | None
) -> AsyncGenerator[Event, None]:
    """Yield the records of a recording, as fast as they are taken or at a speed.

    Raises:
        LocalModeError: Bond's server package isn't installed.
    """
    ours = bond_module("bond_server.recordings.replaying")
    return _handed_over(ours.played(path, text_or_spec, speed=speed))


async def _handed_over(
    running: AbstractAsyncContextManager[Any],
) -> AsyncGenerator[Event, None]:
    """Yield the records of what runs in a context.

    The stream lives in one task of its own: a generator may be advanced by one task and closed
    by another, and the stream's own tasks must not notice.
    """
    handover = _Handover()
    owner = asyncio.create_task(handover.run(running), name="ekko local stream")
    try:
        while not isinstance(item := await handover.items.get(), _Ended):
            handover.room.release()
            yield item if isinstance(item, Gap) else Event(item)
        if item.error is not None:
            raise item.error
    finally:
        owner.cancel()
        await asyncio.wait([owner])


def heard_here(
    spec: Mapping[str, Any], hear: Mapping[str, Callable[..., None]], **options: Any
) -> AbstractAsyncContextManager[Any]:
    """Run a stream here that hands over its events beside its records; see bond_server.heard.

    Raises:
        LocalModeError: Bond's server package isn't installed.
    """
    heard: AbstractAsyncContextManager[Any] = bond_module("bond_server.heard").heard(
        spec, hear, **options
    )
    return heard


async def with_gaps(records: AsyncIterable[Any]) -> AsyncGenerator[Mapping[str, Any], None]:
    """Yield records as they are, and a Gap for each hole among them (bond_core.log.cursor)."""
    hole = None
    async for record in records:
        if not isinstance(record, Mapping):
            hole = record
            continue
        if hole is not None:
            yield gap_before(record, after=str(hole.after), reason=hole.reason)
            hole = None
        yield record


def bond_module(module: str) -> Any:
    """Import a module of Bond's; the one way into it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise LocalModeError(error.name or module) from None
