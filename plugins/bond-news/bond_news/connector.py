"""Poll news feeds for items about each asset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bond_core.plugin import Context, Event, Mentions, News, Phrases, PollingConnector
from bond_news.config import NewsConfig
from bond_news.feeds import Feed, Feeds, Fresh


class NewsConnector(PollingConnector):
    """The connector `news`."""

    config: NewsConfig

    def __init__(self, config: NewsConfig) -> None:
        super().__init__(config)
        self._phrases = Phrases(config.query)
        self._feeds: Feeds | None = None

    async def run(self, ctx: Context) -> None:
        """Poll until cancelled; what was read before a break is remembered."""
        if self._feeds is None:
            self._feeds = Feeds(_addresses(self.config, ctx.simulated_at), ctx.clock.now_ns())
        await super().run(ctx)

    async def poll(self, ctx: Context, channel: str, symbols: Sequence[str]) -> Sequence[Event]:
        """Return the items that were not there before, oldest first."""
        if self._feeds is None:
            raise RuntimeError("poll needs the feeds that run makes")
        found, fallen = await self._feeds.fresh(ctx)
        for feed in fallen:
            self._tell(ctx, channel, feed)
        mentions = Mentions(symbols)
        items = (event for fresh in found for event in self._events(fresh, mentions))
        return sorted(items, key=lambda event: event.ts)

    def _events(self, fresh: Fresh, mentions: Mentions) -> Iterator[News]:
        item = fresh.item
        text = item.title
        if item.summary and not item.summary.startswith(item.title):
            text = f"{item.title} · {item.summary}" if item.title else item.summary
        if not self._phrases.are_in(text):
            return
        for symbol in mentions.of(text):
            yield News(
                symbol=symbol,
                ts=item.published_ns or 0,
                text=text,
                publisher=fresh.publisher,
                url=item.link,
                id=item.id,
                venue="news",
            )

    def _tell(self, ctx: Context, channel: str, feed: Feed) -> None:
        """Tell everybody that one feed fell away while others can be read."""
        why = feed.error.detail if feed.error else ""
        now_ns = ctx.clock.now_ns()
        detail = f"{feed.host} can't be read, other feeds can: {why}"
        ctx.log.warning("%s", detail)
        ctx.gap(channel, None, from_ns=now_ns, to_ns=now_ns, detail=detail)


def _addresses(config: NewsConfig, simulated_at: str | None) -> list[str]:
    if simulated_at is not None:
        return [f"{simulated_at}/{name}" for name in ("coin", "chain", "street")]
    return [config.url] if config.url else config.feeds.replace(",", " ").split()
