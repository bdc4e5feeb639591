"""Where a `DataStream`'s streams run: in this process, or on a server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from ekko.client import EkkoClient
from ekko.errors import StreamError
from ekko.event import gap_before
from ekko.local import bond_module


class Host(Protocol):
    """Runs streams."""

    async def sources(self) -> Sequence[Mapping[str, Any]]:
        """Return what is installed there, as `/v1/sources` tells it."""
        ...

    def items(self, spec: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield what the stream of a spec brings from now on; a Gap where some was lost.

        Raises:
            StreamError: It ended.
        """
        ...

    async def close(self) -> None:
        """End what runs. It can be used again."""
        ...


class LocalHost:
    """Runs streams in this process, all on one Bond: what several listen to is heard once.

    The Bond lives in a task of its own, since it must be left where it was entered.

    Args:
        credentials: Settings of sources, by `<source>_<setting>`.
    """

    def __init__(self, credentials: Mapping[str, object]) -> None:
        self._credentials = dict(credentials)
        self._owner: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Any] | None = None
        self._leave = asyncio.Event()

    async def sources(self) -> Sequence[Mapping[str, Any]]:
        """See Host."""
        found: Sequence[Mapping[str, Any]] = (await self._bond()).sources()
        return found

    async def items(self, spec: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        """See Host."""
        bond = await self._bond()
        async with bond.reading(spec) as reading:
            stream_id = reading.stream.stream_id
            async with aclosing(aiter(reading)) as all_told:
                async for told in all_told:
                    if told.hole is not None:
                        hole = told.hole
                        yield gap_before(told.record, after=str(hole.after), reason=hole.reason)
                    yield told.record
            raise StreamError(stream_id, reading.failure or "it was ended")

    async def close(self) -> None:
        """See Host."""
        owner, self._owner = self._owner, None
        if owner is not None and owner.get_loop() is asyncio.get_running_loop():
            self._leave.set()
            await asyncio.wait([owner])

    async def _bond(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._owner is None or self._owner.done() or self._owner.get_loop() is not loop:
            self._opened, self._leave = loop.create_future(), asyncio.Event()
            self._owner = loop.create_task(
                _own(self._credentials, self._opened, self._leave), name="ekko local bond"
            )
        assert self._opened is not None  # noqa: S101 - it stands beside the owner
        return await asyncio.shield(self._opened)


async def _own(
    credentials: Mapping[str, object], opened: asyncio.Future[Any], leave: asyncio.Event
) -> None:
    """Run Bond until it is to be left."""
    try:
        module = bond_module("bond_server.embedded")
        async with module.embedded(credentials) as bond:
            opened.set_result(bond)
            await leave.wait()
    except Exception as error:  # whatever it is, who waits gets it
        if opened.done():
            logging.getLogger("ekko").exception("the streams in this process broke")
        else:
            opened.set_exception(error)
    finally:
        opened.cancel()


class RemoteHost:
    """Runs streams on a server."""

    def __init__(self, client: EkkoClient) -> None:
        self._client = client

    async def sources(self) -> Sequence[Mapping[str, Any]]:
        """See Host."""
        return await self._client.list_sources()

    async def items(self, spec: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        """See Host."""
        stream_id = ""
        async with aclosing(self._client.listen(spec)) as events:
            async for event in events:
                stream_id = event.stream_id
                yield event
        raise StreamError(stream_id, "the server ended it")

    async def close(self) -> None:
        """See Host."""
        await self._client.close()
