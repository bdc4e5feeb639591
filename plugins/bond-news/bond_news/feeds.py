"""Read several feeds at once: what is new in any, and what became of those that can't be read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

import attrs

from bond_core.clock import NS
from bond_core.plugin import Context, Fatal, Item, Newsfeed, Retryable
from bond_core.plugin.syndication import NoFeedError

_TIMEOUT_S = 8.0
_REMEMBERED = 5_000


@attrs.define(eq=False)
class Feed:
    """One feed.

    Attributes:
        since_ns: What was published before is old.
        resting_until_ns: On the clock's monotonic time; it is not asked before.
        error: What it did last time; None while it can be read.
    """

    newsfeed: Newsfeed
    since_ns: int
    resting_until_ns: int = 0
    error: Retryable | Fatal | None = None

    @property
    def host(self) -> str:
        """What it is called in what people read."""
        return urlsplit(self.newsfeed.url).netloc or self.newsfeed.url

    def new_of(self, items: Iterable[Item]) -> list[Item]:
        """Return what was published since, and not seen before, oldest first."""
        is_first = self.newsfeed.is_fresh
        return [
            item
            for item in self.newsfeed.new_of(items)
            # Of what has no time only this is known: it wasn't there, and now it is.
            if (item.published_ns or 0) >= self.since_ns
            or (item.published_ns is None and not is_first)
        ]


@attrs.frozen
class Fresh:
    """An item that is new, and who published it."""

    item: Item
    publisher: str | None


class Feeds:
    """All feeds of a source.

    Args:
        urls: Where they are.
        since_ns: What was published before is old.
    """

    def __init__(self, urls: Iterable[str], since_ns: int) -> None:
        self.all = [Feed(Newsfeed(url), since_ns // NS * NS) for url in dict.fromkeys(urls)]
        self._seen: dict[str, None] = {}

    async def fresh(self, ctx: Context) -> tuple[list[Fresh], list[Feed]]:
        """Return what is new in all feeds, and which feeds failed now that had not before.

        Raises:
            NoFeedError: What came of each is no feed.
            Retryable: None can be read; why, of each.
            Fatal: None can, and waiting helps with none.
        """
        now_ns = ctx.clock.monotonic_ns()
        asked = [feed for feed in self.all if feed.resting_until_ns <= now_ns]
        async with asyncio.TaskGroup() as tasks:
            reading = [tasks.create_task(_read(ctx, feed)) for feed in asked]
        found: list[Fresh] = []
        fallen: list[Feed] = []
        for feed, task in zip(asked, reading, strict=True):
            read = task.result()
            if isinstance(read, (Retryable, Fatal)):
                if feed.error is None:
                    fallen.append(feed)
                feed.error = read
                pause_s = getattr(read, "retry_after_s", None) or 0.0
                feed.resting_until_ns = now_ns + round(pause_s * NS)
                continue
            feed.error = None
            publisher = feed.newsfeed.title or feed.host
            found += [Fresh(item, publisher) for item in feed.new_of(read) if self._is_new(item)]
        if all(feed.error is not None for feed in self.all):
            raise self._none(now_ns)
        return found, fallen

    def _is_new(self, item: Item) -> bool:
        """Whether no other feed had it: publishers share items, and addresses with them."""
        ids = {item.id, (item.link or item.id).partition("?")[0]}
        is_new = not any(id in self._seen for id in ids)
        self._seen |= dict.fromkeys(ids)
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return is_new

    def _none(self, now_ns: int) -> Retryable | Fatal:
        why = "; ".join(f"{f.host}: {f.error.detail}" for f in self.all if f.error)
        one = len(self.all) == 1
        detail = f"the feed can't be read: {why}" if one else (
            f"none of {len(self.all)} feeds can be read: {why}"
        )  # fmt: skip
        if all(isinstance(feed.error, Fatal) for feed in self.all):
            return Fatal(detail)
        if all(isinstance(feed.error, NoFeedError) for feed in self.all):
            return NoFeedError(detail)
        soonest_ns = min(f.resting_until_ns for f in self.all if isinstance(f.error, Retryable))
        return Retryable(detail, retry_after_s=max(0.0, (soonest_ns - now_ns) / NS))


async def _read(ctx: Context, feed: Feed) -> tuple[Item, ...] | Retryable | Fatal:
    try:
        return await feed.newsfeed.fetch(ctx, timeout_s=_TIMEOUT_S)
    except (Retryable, Fatal) as error:
        return error
