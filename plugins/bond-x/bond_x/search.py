"""Hear X by asking its recent search, again and again, through tweepy.

Source: https://docs.x.com/x-api/posts/search/introduction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bond_core.clock import NS
from bond_core.plugin import Context, Mentions, Phrases, Post, Retryable
from bond_x.config import CHANNEL, XConfig
from bond_x.posts import ASKED, Wanted, newest_id
from bond_x.refusals import error_of, reset_s, unreachable
from bond_x.rules import queries_of
from bond_x.session import Noted

PER_PAGE = 100
PAGES = 5
"""How many pages one search reads: each post that is read is paid for."""

_PATH = "/2/tweets/search/recent"
# X answers of what was written until half a minute ago, and knows no older id than of seven days.
_REACH_NS = 60 * NS
_OLD_NS = 6 * 24 * 3600 * NS


class Search:
    """Searches of one source; it remembers over a break what it has heard."""

    def __init__(self, config: XConfig) -> None:
        self._config = config
        self._newest: int | None = None
        self._newest_ns = 0
        self._since_ns: int | None = None
        self._cashtags = True

    async def run(
        self, ctx: Context, client: Any, noted: Noted, rest: str, *, for_s: float | None = None
    ) -> None:
        """Search for so long, or until cancelled. Raises Retryable or Fatal."""
        began_ns = ctx.clock.monotonic_ns()
        if self._since_ns is None:
            self._since_ns = ctx.clock.now_ns()
        while True:
            started_ns = ctx.clock.monotonic_ns()
            if for_s is not None and started_ns - began_ns >= for_s * NS:
                return
            wanted = ctx.wanted.current()
            symbols = sorted({w.symbol for w in wanted})
            if not symbols:
                await ctx.wanted.changed(wanted)
                continue
            posts = await self._heard(ctx, client, noted, symbols, rest)
            ctx.live(CHANNEL)
            ctx.emit(CHANNEL, posts)
            ctx.heartbeat(CHANNEL)
            self._require_more(ctx, noted)
            passed_s = (ctx.clock.monotonic_ns() - started_ns) / NS
            await ctx.clock.sleep(max(0.0, self._config.every_s - passed_s))

    async def _heard(
        self, ctx: Context, client: Any, noted: Noted, symbols: Sequence[str], rest: str
    ) -> list[Post]:
        """Return what was written since the last search, oldest first."""
        accounts = frozenset(a.removeprefix("@").lower() for a in self._config.accounts)
        wanted = Wanted(Mentions(symbols), accounts, Phrases(self._config.query))
        posts: list[Post] = []
        newest = self._newest
        for query in queries_of(symbols, rest, cashtags=self._cashtags):
            token: str | None = None
            for _ in range(PAGES):
                answer = await self._page(ctx, client, noted, query, token)
                if answer is None:  # the query has what the plan doesn't know: once more, without
                    return await self._heard(ctx, client, noted, symbols, rest)
                try:
                    posts += wanted.posts(answer)
                    newest = max(filter(None, (newest, newest_id(answer))), default=None)
                except (ValueError, KeyError, TypeError, AttributeError):
                    ctx.reject("an answer of X's search can't be read")
                token = (answer.get("meta") or {}).get("next_token")
                if token is None:
                    break
            else:
                self._tell_of_more(ctx)
        if newest != self._newest:
            self._newest, self._newest_ns = newest, ctx.clock.now_ns()
        began_ns = self._since_ns or 0
        return sorted((p for p in posts if p.ts >= began_ns), key=lambda p: p.seq)

    async def _page(
        self, ctx: Context, client: Any, noted: Noted, query: str, token: str | None
    ) -> dict[str, Any] | None:
        """Return one answer; None if X doesn't know cashtags."""
        now_ns = ctx.clock.now_ns()
        since: dict[str, Any] = {"since_id": self._newest}
        if self._newest is None or now_ns - self._newest_ns > _OLD_NS:
            begin = datetime.fromtimestamp((now_ns - _REACH_NS) // NS, UTC)
            since = {"start_time": begin.strftime("%Y-%m-%dT%H:%M:%SZ")}
        if token is not None:
            since["next_token"] = token
        try:
            answer: dict[str, Any] = await client.search_recent_tweets(
                query, max_results=PER_PAGE, **ASKED, **since
            )
        except Exception as error:
            refused = noted.take()
            if refused is None:
                raise unreachable(error) from error
            said = error_of(refused, what="search", now_ns=now_ns)
            if refused.status == 400 and self._cashtags and "$" in query:
                self._cashtags = False
                ctx.log.warning("X takes no search with a $cashtag from this key: without them")
                return None
            if refused.status == 400 and "since_id" in since:
                self._newest = None  # too old for X: from now on again
            raise said from None
        return answer

    def _require_more(self, ctx: Context, noted: Noted) -> None:
        """Raise now if the next search would be refused: until then nothing is heard."""
        headers = noted.limits.get(_PATH, {})
        if headers.get("x-rate-limit-remaining") != "0":
            return
        now_ns = ctx.clock.now_ns()
        pause_s = reset_s(headers, now_ns)
        if pause_s > self._config.every_s:
            raise Retryable("X allows no further search for now", retry_after_s=pause_s)

    def _tell_of_more(self, ctx: Context) -> None:
        now_ns = ctx.clock.now_ns()
        since_ns = max(self._newest_ns, self._since_ns or 0)
        detail = f"more than {PAGES * PER_PAGE} posts since the last search; the older are not read"
        ctx.gap(CHANNEL, None, from_ns=since_ns, to_ns=now_ns, detail=detail)
