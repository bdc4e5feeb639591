"""Ask several Nitter instances for the same: the one that works, and the next where it doesn't."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

import attrs

from bond_core.clock import NS
from bond_core.plugin import Context, Fatal, Item, Newsfeed, Retryable

FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 900.0
"""How long an instance that failed is left alone: twice as long each time, up to this."""

_TIMEOUT_S = 8.0
_SEARCHES = 64


@attrs.define(eq=False)
class Instance:
    """One instance.

    Attributes:
        url: Its base address.
        resting_until_ns: On the clock's monotonic time; it is not asked before.
        why: What it did last time; empty while it works.
    """

    url: str
    resting_until_ns: int = 0
    failures: int = 0
    why: str = ""
    _feeds: dict[str, Newsfeed] = attrs.field(factory=dict)

    @property
    def host(self) -> str:
        """What it is called in what people read."""
        return urlsplit(self.url).netloc + urlsplit(self.url).path

    async def search(self, ctx: Context, query: str) -> tuple[Item, ...]:
        """Return the newest posts of a search, the newest first. Raises Retryable or Fatal."""
        feed = self._feeds.pop(query, None) or Newsfeed(f"{self.url}/search/rss")
        self._feeds[query] = feed
        if len(self._feeds) > _SEARCHES:
            del self._feeds[next(iter(self._feeds))]
        return await feed.fetch(ctx, params={"f": "tweets", "q": query}, timeout_s=_TIMEOUT_S)

    def failed(self, error: Retryable | Fatal, now_ns: int) -> None:
        """Let it rest for a while, as long as it asks for at least."""
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self.failures, 10))
        pause_s = max(pause_s, getattr(error, "retry_after_s", None) or 0.0)
        self.failures += 1
        self.why = error.detail
        self.resting_until_ns = now_ns + round(pause_s * NS)

    def worked(self) -> None:
        """Forget its failures."""
        self.failures, self.why = 0, ""


class Instances:
    """All of them, the one that worked last in front.

    Args:
        urls: Their base addresses, the preferred first.
    """

    def __init__(self, urls: Iterable[str]) -> None:
        self.all = [Instance(url.rstrip("/")) for url in urls]

    async def search(self, ctx: Context, query: str) -> tuple[Item, ...]:
        """Return the newest posts of a search, from the first instance that has some.

        An instance that lost its access answers with an empty feed, so another is asked before
        nothing is taken for an answer.

        Raises:
            Retryable: None answers; why, of each.
        """
        empty: list[Instance] = []
        for instance in tuple(self.all):
            if instance.resting_until_ns > ctx.clock.monotonic_ns():
                continue
            try:
                items = await instance.search(ctx, query)
            except (Retryable, Fatal) as error:
                instance.failed(error, ctx.clock.monotonic_ns())
                ctx.log.warning("%s: %s; asking the next", instance.host, error.detail)
                continue
            instance.worked()
            if items:
                self._prefer(instance)
                return items
            empty.append(instance)
        if empty:
            return ()
        raise self._none(ctx)

    def _prefer(self, instance: Instance) -> None:
        if self.all[0] is not instance:
            self.all.remove(instance)
            self.all.insert(0, instance)

    def _none(self, ctx: Context) -> Retryable:
        soonest_ns = min(instance.resting_until_ns for instance in self.all)
        pause_s = max(0.0, (soonest_ns - ctx.clock.monotonic_ns()) / NS)
        why = "; ".join(f"{i.host}: {i.why}" for i in self.all)
        number = "the only instance" if len(self.all) == 1 else f"none of {len(self.all)} instances"
        verb = "does not answer" if len(self.all) == 1 else "answers"
        return Retryable(f"{number} {verb}: {why}", retry_after_s=pause_s)
