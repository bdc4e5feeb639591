"""Hear X's filtered stream through tweepy: keep its rules, read its lines, say why it ended.

Source: https://docs.x.com/x-api/posts/filtered-stream/introduction.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any, NoReturn

from bond_core.plugin import Context, Fatal, Mentions, Phrases, Retryable, Subscription, plain
from bond_x.config import CHANNEL, XConfig
from bond_x.posts import ASKED, Wanted
from bond_x.refusals import error_of, unreachable
from bond_x.rules import rule_of
from bond_x.session import Noted

TAG = "bond "
"""What the tags of our rules begin with: an app's other rules are left alone."""


class Stream:
    """One connection to the stream.

    Args:
        client: A `tweepy.asynchronous.AsyncStreamingClient` that returns dicts and never retries.
        noted: What its session noted.
        rest: What each rule says beside its symbol.
    """

    def __init__(self, config: XConfig, ctx: Context, client: Any, noted: Noted, rest: str) -> None:
        self._config = config
        self._ctx = ctx
        self._client = client
        self._noted = noted
        self._rest = rest
        self._cashtags = True
        self._why: Exception | None = None
        self._is_ours = asyncio.Event()  # the key's one stream
        self._put: set[str] = set()
        self._wanted = self._wanting(())
        client.on_connect = self._connected
        client.on_data = self._read
        client.on_keep_alive = self._lives
        client.on_request_error = self._refused
        client.on_connection_error = self._broke
        client.on_closed = self._closed
        client.on_exception = self._raised

    async def run(self) -> NoReturn:
        """Listen until cancelled. Raises Retryable, Fatal or NoStreamError, and never returns."""
        known = await self._ctx.wanted.changed(frozenset())
        await self._keep_rules(known)
        listening = asyncio.create_task(self._listen(), name="X stream")
        following = asyncio.create_task(self._follow(known), name="X rules")
        try:
            done, _ = await asyncio.wait(
                {listening, following}, return_when=asyncio.FIRST_COMPLETED
            )
            await next(iter(done))
            raise RuntimeError("neither its lines nor its rules come to an end")
        finally:
            for task in (listening, following):
                task.cancel()
            await asyncio.gather(listening, following, return_exceptions=True)

    async def _follow(self, known: frozenset[Subscription]) -> None:
        await self._is_ours.wait()
        await self._keep_rules(known)  # now without what others have left there
        while True:
            known = await self._ctx.wanted.changed(known)
            await self._keep_rules(known)
            for wanted in known:
                self._ctx.live(wanted.channel, wanted.symbol)

    async def _listen(self) -> None:
        backfill = self._config.backfill_minutes
        missed = any(self._ctx.cursor(w.channel, w.symbol) for w in self._ctx.wanted.current())
        more = {"backfill_minutes": int(backfill)} if backfill and missed else {}
        task: asyncio.Task[None] = self._client.filter(**ASKED, **more)
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        raise self._why or Retryable("the stream of X ended")

    # Rules

    async def _keep_rules(self, wanted: Iterable[Subscription]) -> None:
        """Let X have a rule for each symbol wanted, and none of ours besides.

        Until the stream is ours another source may listen to it: its rules are left alone.
        """
        symbols = sorted({w.symbol for w in wanted})
        self._wanted = self._wanting(symbols)
        answer = await self._asked(self._client.get_rules())
        there = {r["value"]: r["id"] for r in answer.get("data") or () if self._may_drop(r)}
        rules = self._rules(symbols)
        new = {value: symbol for value, symbol in rules.items() if value not in there}
        old = [id for value, id in there.items() if value not in rules]
        if old:  # first, or there may be no room for the new
            await self._asked(self._client.delete_rules(old))
        if new and not await self._added(new) and self._cashtags:
            # Not every plan knows cashtags: what they would bring, names and tags bring in part.
            self._cashtags = False
            self._ctx.log.warning("X takes no rule with a $cashtag from this key: without them")
            await self._keep_rules(wanted)

    async def _added(self, rules: dict[str, str]) -> bool:
        """Add rules; False if X doesn't know an operator of theirs."""
        from tweepy import StreamRule  # noqa: PLC0415 -- it is loaded by now

        add = [StreamRule(value, tag=TAG + symbol) for value, symbol in rules.items()]
        answer = await self._asked(self._client.add_rules(add))
        self._put |= {str(rule["value"]) for rule in answer.get("data") or ()}
        problems = [p for p in answer.get("errors") or () if p.get("title") != "DuplicateRule"]
        if not problems:
            return True
        if self._cashtags and any("$" in str(p.get("value")) for p in problems):
            return False
        for problem in problems:
            symbol = rules.get(str(problem.get("value")), "")
            why = plain(f"{problem.get('title')}: {problem.get('details') or ''}")[:200]
            self._ctx.failed(CHANNEL, symbol, f"X refuses the rule for {symbol}: {why}")
        return True

    async def withdraw(self, session: Any, noted: Noted) -> None:
        """Take back the rules that were put for a stream which another source has.

        On a session of its own: tweepy closes that of a stream which it ends.
        """
        self._client.session, self._noted = session, noted
        answer = await self._asked(self._client.get_rules())
        put = [r["id"] for r in answer.get("data") or () if r["value"] in self._put]
        if put:
            await self._asked(self._client.delete_rules(put))

    def _may_drop(self, rule: dict[str, Any]) -> bool:
        tag = str(rule.get("tag", ""))
        if not tag.startswith(TAG):
            return False
        symbol = tag.removeprefix(TAG)
        ours = (rule_of(symbol, self._rest, cashtags=c) for c in (True, False))
        return self._is_ours.is_set() or rule["value"] in ours

    def _rules(self, symbols: Iterable[str]) -> dict[str, str]:
        return {rule_of(s, self._rest, cashtags=self._cashtags): s for s in symbols}

    async def _asked(self, call: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = await call
        except Exception as error:
            refused = self._noted.take()
            if refused is None:
                raise unreachable(error) from error
            raise error_of(refused, what="rules", now_ns=self._ctx.clock.now_ns()) from None
        return answer

    def _wanting(self, symbols: Iterable[str]) -> Wanted:
        accounts = frozenset(a.removeprefix("@").lower() for a in self._config.accounts)
        return Wanted(Mentions(symbols), accounts, Phrases(self._config.query))

    # What tweepy calls. Whatever is raised here ends the connection and comes to `_raised`.

    async def _connected(self) -> None:
        self._is_ours.set()
        self._ctx.live(CHANNEL)

    async def _lives(self) -> None:
        self._ctx.heartbeat(CHANNEL)

    async def _read(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            posts = list(self._wanted.posts(message))
        except (ValueError, KeyError, TypeError, AttributeError):
            self._ctx.reject("a line of X's stream is no post")
            return
        if "data" not in message and message.get("errors"):
            first = message["errors"][0]
            said = plain(str(first.get("detail") or first.get("title")))[:200]
            raise Retryable(f"X ends the stream: {said}")
        self._ctx.emit(CHANNEL, posts)
        self._ctx.heartbeat(CHANNEL)

    async def _refused(self, status: int) -> None:
        answer = self._noted.take()
        if answer is None:
            raise Retryable(f"X answered {status}")
        raise error_of(answer, what="stream", now_ns=self._ctx.clock.now_ns())

    async def _broke(self) -> None:
        raise Retryable("the connection to X broke, or was silent for too long")

    async def _closed(self, _answer: Any) -> None:
        raise Retryable("X closed the stream")

    async def _raised(self, error: Exception) -> None:
        self._why = error if isinstance(error, (Retryable, Fatal)) else unreachable(error)
