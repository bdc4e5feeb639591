"""Poll Nitter for posts about each asset."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from bond_core.clock import NS
from bond_core.plugin import (
    Context,
    Event,
    Fatal,
    Item,
    Mentions,
    Phrases,
    PollingConnector,
    Post,
)  # fmt: skip
from bond_nitter.config import NitterConfig
from bond_nitter.instances import Instances
from bond_nitter.posts import post_of
from bond_nitter.query import query_of

_WHOLE_PAGE = 15
"""A feed has up to 20 posts: so many, and none of them known, means that some were missed."""

_REMEMBERED = 5_000


@attrs.define
class _Heard:
    """What was heard of one asset.

    Attributes:
        since_ns: What was written before is old.
        polled_ns: When it was asked for last; None before the first time.
        numbers: The newest posts, by number, whichever instance they came from.
    """

    since_ns: int
    polled_ns: int | None = None
    numbers: dict[str, None] = attrs.field(factory=dict)

    def is_new(self, number: str) -> bool:
        """Whether a post was not heard before; from now on it was."""
        if number in self.numbers:
            return False
        self.numbers[number] = None
        if len(self.numbers) > _REMEMBERED:
            del self.numbers[next(iter(self.numbers))]
        return True


class NitterConnector(PollingConnector):
    """The connector `nitter`."""

    config: NitterConfig

    def __init__(self, config: NitterConfig) -> None:
        super().__init__(config)
        self._phrases = Phrases(config.query)
        self._accounts = frozenset(a.removeprefix("@").lower() for a in config.accounts)
        self._heard: dict[str, _Heard] = {}
        self._instances: Instances | None = None

    async def run(self, ctx: Context) -> None:
        """Poll until cancelled; what was heard before a break is remembered."""
        if self._instances is None:
            self._instances = Instances(_addresses(self.config, ctx.simulated_at))
        await super().run(ctx)

    async def poll(self, ctx: Context, channel: str, symbols: Sequence[str]) -> Sequence[Event]:
        """Return the posts that were not heard before, oldest first."""
        if self._instances is None:
            raise RuntimeError("poll needs the instances that run makes")
        posts: list[Post] = []
        try:
            for symbol in symbols:
                query = query_of(symbol, self.config.accounts, self.config.query)
                items = await self._instances.search(ctx, query)
                posts += self._new(ctx, channel, symbol, items)
        except BaseException:
            ctx.emit(channel, posts)  # what the others said is heard all the same
            raise
        return posts

    def _new(self, ctx: Context, channel: str, symbol: str, items: Sequence[Item]) -> list[Post]:
        now_ns = ctx.clock.now_ns()
        heard = self._heard.setdefault(symbol, _Heard(now_ns // NS * NS))
        mentions = Mentions([symbol])
        found: list[Post] = []
        known = unread = 0
        for item in items:
            try:
                post = post_of(symbol, item)
            except ValueError:
                unread += 1
                continue
            if post is None:
                continue
            if not heard.is_new(post.id or ""):
                known += 1
            elif post.ts >= heard.since_ns and self._is_wanted(post, mentions):
                found.append(post)
        if unread:
            ctx.reject("an item of Nitter's feed is no post", n=unread)
        if heard.polled_ns is not None and not known and len(items) >= _WHOLE_PAGE:
            detail = f"more posts about {symbol} than a feed has; the older were not heard"
            ctx.gap(channel, symbol, from_ns=heard.polled_ns, to_ns=now_ns, detail=detail)
        heard.polled_ns = now_ns
        return sorted(found, key=lambda post: post.seq)

    def _is_wanted(self, post: Post, mentions: Mentions) -> bool:
        if self._accounts and (post.author or "").lower() not in self._accounts:
            return False
        return self._phrases.are_in(post.text) and bool(mentions.of(post.text))


def _addresses(config: NitterConfig, simulated_at: str | None) -> list[str]:
    if simulated_at is not None:
        return [f"{simulated_at}/{name}" for name in ("one", "two", "three")]
    urls = [url.strip() for url in config.instances.split(",") if url.strip()]
    if not urls:
        raise Fatal(
            "NITTER_INSTANCES names no instance", fix="export NITTER_INSTANCES=https://…,https://…"
        )
    return urls
