"""Ask several Nitter instances for the same: the one that works, and the next where it doesn't."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

import attrs

from bond_core.clock import NS
from bond_core.plugin import Context, Fatal, Item, Newsfeed, Retryable
from bond_core.plugin.syndication import NoFeedError

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
        error: What it did last time; None while it works.
    """

    url: str
    resting_until_ns: int = 0
    failures: int = 0
    error: Retryable | Fatal | None = None
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
        self.error = error
        self.resting_until_ns = now_ns + round(pause_s * NS)

    def worked(self) -> None:
        """Forget its failures."""
        self.failures, self.error = 0, None


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
            NoFeedError: What came of the only one is no feed.
            Retryable: None answers; why, of each.
            Fatal: Each refuses, and waiting helps with none.
        """
        empty: list[Instance] = []
        for instance in tuple(self.all):
            if instance.resting_until_ns > ctx.clock.monotonic_ns():
                continue
            try:
                items = await instance.search(ctx, query)
            except NoFeedError as error:
                if len(self.all) == 1:  # nobody else to ask: the same with the next poll
                    raise NoFeedError(f"{instance.host}: {error.detail}") from None
                self._rest(ctx, instance, error)
                continue
            except (Retryable, Fatal) as error:
                self._rest(ctx, instance, error)
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

    def _rest(self, ctx: Context, instance: Instance, error: Retryable | Fatal) -> None:
        instance.failed(error, ctx.clock.monotonic_ns())
        if len(self.all) > 1:
            ctx.log.warning("%s: %s; asking the next", instance.host, error.detail)

    def _none(self, ctx: Context) -> Retryable | Fatal:
        soonest_ns = min(instance.resting_until_ns for instance in self.all)
        pause_s = max(0.0, (soonest_ns - ctx.clock.monotonic_ns()) / NS)
        why = "; ".join(f"{i.host}: {i.error.detail}" for i in self.all if i.error)
        number = "the only instance" if len(self.all) == 1 else f"none of {len(self.all)} instances"
        verb = "does not answer" if len(self.all) == 1 else "answers"
        detail = f"{number} {verb}: {why}"
        if all(isinstance(instance.error, Fatal) for instance in self.all):
            return Fatal(detail, fix="export NITTER_INSTANCES=https://…,https://…")
        return Retryable(detail, retry_after_s=pause_s)
