"""What a log promises, whatever it is made of: memory, Redis, a Redis cluster.

    append   idempotent and fenced; one window's entries enter in one step
    read     everything kept after an offset, in order
    watch    a hint that there is more; it may lose, `prev` shows it, `read` repairs it
    follow   the same, where the log can call instead of waking a task

Ids are given by the writer, the log only orders.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import attrs

from bond_core.log.offset import START, Offset


class Entry(NamedTuple):
    """One record in the log. A tuple, as offsets are: one is made for each record, everywhere.

    Attributes:
        offset: Its position.
        prev: The position before it when it was appended, so that a reader can tell a hole.
        data: The record as clients get it: a JSON object in UTF-8.
    """

    offset: Offset
    prev: Offset
    data: bytes


new_entry: Callable[[tuple[Offset, Offset, bytes]], Entry] = partial(tuple.__new__, Entry)
"""Makes an Entry of its three parts, in half the time that its name takes."""


@attrs.frozen(kw_only=True)
class Page:
    """What a read found.

    Attributes:
        entries: In order; empty at the top.
        oldest: The oldest position kept, or None while the log is empty.
        top: The newest position; `START` while nothing was ever appended.
        epoch: Which life of the stream this is, offsets of another life mean nothing here; empty
            where it isn't open.
    """

    entries: tuple[Entry, ...]
    oldest: Offset | None
    top: Offset
    epoch: str


@attrs.frozen(kw_only=True)
class Retention:
    """How much of a stream is kept.

    Attributes:
        seconds: Records younger than this, by their window's end.
        windows: At least this many of the newest windows, however old.
        max_bytes: And never more than this.
    """

    seconds: float = 60.0
    windows: int = 10
    max_bytes: int = 64 * 1024 * 1024


class EventLog(Protocol):
    """Keeps what streams published."""

    async def open_stream(self, stream_id: str, retention: Retention) -> Offset:
        """Make the stream known; return its newest offset, `START` if it is new."""
        ...

    async def append(
        self, stream_id: str, items: Sequence[tuple[Offset, bytes]], *, fence: int = 0,
        lost_until: Offset = START,
    ) -> None:  # fmt: skip
        """Append in one step: readers see all of `items` or none.

        Offsets rise. Items at or below the newest offset are there already and are left out,
        so that a repeated append does no harm. What should be there after the newest offset and
        up to `lost_until` never will be: the first item's `prev` is `lost_until`, so that
        readers see a hole; and see that nobody trimmed it, where its `n` is LAST_N.

        Raises:
            FencedError: A higher fence has been seen: somebody else owns the stream.
            LogUnavailableError: The outcome is unknown; repeat the same append.
            LogError: The stream isn't open: it was deleted, or never opened.
        """
        ...

    async def read(self, stream_id: str, after: Offset, limit: int = 1000) -> Page:
        """Return up to `limit` entries after an offset, from the oldest kept if that is older."""
        ...

    def watch(self, stream_id: str) -> AsyncGenerator[Sequence[Entry], None]:
        """Yield what is appended from now on, appends in order; close with `aclosing`.

        An empty batch says that something may have been missed: read the log. The first batch
        is empty, and comes when the watch hears.
        """
        ...

    async def delete(self, stream_id: str) -> None:
        """Forget the stream; its watchers end."""
        ...


@runtime_checkable
class PushedLog(Protocol):
    """An EventLog that hands on what is appended without a task that waits for it."""

    def follow(
        self, stream_id: str, take: Callable[[Sequence[Entry]], None], over: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """Call `take` with each append, as long as the context lasts, and `over` at the end.

        Both are called inside `append` and `delete`: they must neither raise nor take long.
        """
        ...
