"""Play X on loopback: the v2 filtered stream, its rules, and recent search, with their refusals.

async with XSimulator(clock=SystemClock(), seed=7) as x:
    ...  # point a client at x.url
    x.refuse("stream", 503)

Built from X's documentation (docs.x.com); it was never compared with X itself.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal

import attrs
from aiohttp import web

from bond_core.clock import NS, Clock
from bond_core.plugin import structure
from bond_core.testing.played import Played
from bond_x.matching import RuleError, cashtags_of, compiled
from bond_x.timeline import Timeline, Written, users_of, written

Place = Literal["stream", "rules", "search"]
_PATHS: Mapping[str, Place] = {
    "/2/tweets/search/stream": "stream",
    "/2/tweets/search/stream/rules": "rules",
    "/2/tweets/search/recent": "search",
}
_WINDOW_S = 900
_PROBLEM = "https://api.twitter.com/2/problems/"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@attrs.frozen
class Options:
    """What the simulated X is like.

    Attributes:
        plan: `pro` has everything; `basic` no stream and no cashtags.
        per_s: Posts about each symbol in a second, on average.
        searches: How many searches are allowed in 15 minutes.
        cap: How many posts may be read in all; None for any number.
        keepalive_s: How often a stream says that it lives.
        per_page: The most posts on a page of search.
    """

    plan: str = "pro"
    per_s: float = 1.0
    searches: int = 60
    cap: int | None = None
    keepalive_s: float = 20.0
    per_page: int = 100


@attrs.frozen
class Refusal:
    """An answer that is given instead of the right one."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]


class XSimulator(Played):
    """X, serving while it is entered.

    Attributes:
        timeline: What is written; a test may `write` more.
        rules: The rules by id: (value, tag).
        asked: Each request: place, and its query or body.
        read: How many posts were given to clients.
    """

    def __init__(
        self, *, clock: Clock, seed: int = 1, options: Mapping[str, object] | None = None
    ) -> None:
        self.options = structure(Options, dict(options or {}))
        self.timeline = Timeline(seed, self.options.per_s)
        self.rules: dict[str, tuple[str, str]] = {}
        self.asked: list[tuple[Place, Any]] = []
        self.read = 0
        self._clock = clock
        self._refusals: dict[Place, list[Refusal]] = {}
        self._open = 0
        self._drops = 0
        self._last_words = b""
        self._searches: list[int] = []
        self._ids = 0
        self._quiet = False

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._open

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str, None]:
        """See Played."""
        app = web.Application(middlewares=[self._guarding()])
        app.router.add_get("/2/tweets/search/stream", self._stream)
        app.router.add_get("/2/tweets/search/stream/rules", self._listed)
        app.router.add_post("/2/tweets/search/stream/rules", self._changed)
        app.router.add_get("/2/tweets/search/recent", self._search)
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            self.drop()
            await runner.cleanup()

    # What a test does

    def write(self, text: str, *, author: str = "somebody", likes: int = 0) -> Written:
        """Let somebody write something now."""
        n = 2048 + len(self.timeline.extra) % 2048
        post = written(self._clock.now_ns(), author, text, likes, n)
        self.timeline.extra.append(post)
        return post

    def quiet(self, quiet: bool = True) -> None:  # noqa: FBT001, FBT002 -- on or off
        """Let streams say nothing at all, not even that they live; or let them speak again."""
        self._quiet = quiet

    def drop(self, words: Mapping[str, Any] | None = None) -> None:
        """End every stream: with these last words, or by cutting it."""
        self._last_words = b"" if words is None else json.dumps(words).encode() + b"\r\n"
        self._drops += 1

    def refuse(
        self, place: Place, status: int, body: Mapping[str, Any] | None = None, *,
        times: int = 1, headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Let the next requests be refused."""
        refusal = Refusal(status, body or {"title": "Refused", "status": status}, headers or {})
        self._refusals.setdefault(place, []).extend([refusal] * times)

    # What X does

    def _guarding(self) -> Any:
        @web.middleware
        async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
            place = _PATHS.get(request.path)
            if place is None:
                return _problem(404, "Not Found Error", "resource-not-found")
            if not request.headers.get("Authorization", "").startswith("Bearer "):
                return _problem(401, "Unauthorized")
            waiting = self._refusals.get(place)
            if waiting:
                refusal = waiting.pop(0)
                return web.json_response(
                    dict(refusal.body), status=refusal.status, headers=dict(refusal.headers)
                )
            if self.options.plan == "basic" and place != "search":
                detail = "this access level has no filtered stream"
                return _problem(403, "Client Forbidden", "client-forbidden", detail=detail)
            return await handler(request)

        return guard

    async def _listed(self, _: web.Request) -> web.Response:
        self.asked.append(("rules", None))
        data = [{"id": id, "value": v, "tag": t} for id, (v, t) in self.rules.items()]
        body: dict[str, Any] = {"meta": {"sent": "now", "result_count": len(data)}}
        return web.json_response(body | ({"data": data} if data else {}))

    async def _changed(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(("rules", body))
        if "delete" in body:
            ids = [id for id in body["delete"]["ids"] if self.rules.pop(id, None)]
            return web.json_response({"meta": {"summary": {"deleted": len(ids)}}})
        data, errors = [], []
        known = {value for value, _ in self.rules.values()}
        for rule in body["add"]:
            value = rule["value"]
            try:
                compiled(value)
                fault = "too long" if len(value) > 1024 else None
            except RuleError as error:
                fault = str(error)
            if value in known:
                errors.append({"title": "DuplicateRule", "value": value})
            elif fault is not None:
                errors.append({"title": "UnprocessableEntity", "value": value, "details": [fault]})
            else:
                self._ids += 1
                self.rules[str(self._ids)] = (value, rule.get("tag", ""))
                data.append({"id": str(self._ids), **rule})
        answer = {"data": data, "errors": errors}
        return web.json_response({k: v for k, v in answer.items() if v}, status=201)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(("stream", dict(request.query)))
        if not self.rules:
            return _problem(409, "ConnectionException", "rule-configuration",
                            connection_issue="RuleConfigurationIssue")  # fmt: skip
        if self._open:
            return _problem(429, "ConnectionException", "streaming-connection",
                            connection_issue="TooManyConnections")  # fmt: skip
        if self._is_spent():
            return self._spent()
        self._open += 1
        answer = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
        try:
            await answer.prepare(request)
            await self._speak(answer, int(request.query.get("backfill_minutes", 0)))
            if self._last_words:
                await answer.write(self._last_words)
            elif request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass
        finally:
            self._open -= 1
        return answer

    async def _speak(self, answer: web.StreamResponse, backfill_minutes: int) -> None:
        """Write posts, and that it lives, until it is dropped or the quota is spent."""
        drops, now_ns = self._drops, self._clock.now_ns()
        from_ns, said_ns = now_ns - backfill_minutes * 60 * NS, now_ns
        while drops == self._drops and not self._is_spent():
            now_ns = self._clock.now_ns()
            if not self._quiet:
                for post in self._matching(from_ns, now_ns):
                    await answer.write(self._line(post))
                    said_ns = now_ns
                if now_ns - said_ns >= self.options.keepalive_s * NS:
                    await answer.write(b"\r\n")
                    said_ns = now_ns
            from_ns = now_ns
            await self._clock.sleep(0.05)

    def _matching(self, from_ns: int, to_ns: int) -> list[Written]:
        symbols = [s for value, _ in self.rules.values() for s in cashtags_of(value)]
        tests = [compiled(value) for value, _ in self.rules.values()]
        posts = self.timeline.between(from_ns, to_ns, list(dict.fromkeys(symbols)))
        return [p for p in posts if any(test(p) for test in tests)]

    def _line(self, post: Written) -> bytes:
        self.read += 1
        matching = [
            {"id": id, "tag": tag} for id, (v, tag) in self.rules.items() if compiled(v)(post)
        ]
        body = {
            "data": post.as_tweet(),
            "includes": {"users": users_of([post])},
            "matching_rules": matching,
        }
        return json.dumps(body).encode() + b"\r\n"

    async def _search(self, request: web.Request) -> web.Response:
        query = request.query
        self.asked.append(("search", dict(query)))
        now_ns = self._clock.now_ns()
        self._searches = [t for t in self._searches if t > now_ns - _WINDOW_S * NS]
        if self._is_spent():
            return self._spent()
        reset = (self._searches[0] if self._searches else now_ns) // NS + _WINDOW_S
        left = self.options.searches - len(self._searches) - 1
        headers = {
            "x-rate-limit-limit": str(self.options.searches),
            "x-rate-limit-remaining": str(max(0, left)),
            "x-rate-limit-reset": str(reset),
        }
        if left < 0:
            return _problem(429, "Too Many Requests", headers=headers)
        self._searches.append(now_ns)
        if self.options.plan == "basic" and "$" in query["query"]:
            return _problem(400, "Invalid Request", "invalid-request", headers=headers,
                            detail="Reference to invalid operator '$'")  # fmt: skip
        try:
            return web.json_response(self._page(query, now_ns), headers=headers)
        except (RuleError, ValueError) as error:
            return _problem(400, "Invalid Request", "invalid-request", detail=str(error))

    def _page(self, query: Mapping[str, str], now_ns: int) -> dict[str, Any]:
        """Return a page, newest first; a token says how many posts came before it."""
        test = compiled(query["query"])
        since = int(query.get("since_id", 0))
        from_ns = now_ns - 3600 * NS
        if "start_time" in query:
            from_ns = round(datetime.fromisoformat(query["start_time"]).timestamp()) * NS
        posts = self.timeline.between(from_ns, now_ns, cashtags_of(query["query"]))
        found = [p for p in reversed(posts) if p.number > since and test(p)]
        skipped = int(query.get("next_token", "0"))
        size = min(int(query.get("max_results", "10")), self.options.per_page)
        page: Sequence[Written] = found[skipped : skipped + size]
        self.read += len(page)
        meta: dict[str, Any] = {"result_count": len(page)}
        if page:
            meta |= {"newest_id": str(page[0].number), "oldest_id": str(page[-1].number)}
        if skipped + size < len(found):
            meta["next_token"] = str(skipped + size)
        body: dict[str, Any] = {"meta": meta}
        if page:
            body |= {"data": [p.as_tweet() for p in page], "includes": {"users": users_of(page)}}
        return body

    def _is_spent(self) -> bool:
        return self.options.cap is not None and self.read >= self.options.cap

    def _spent(self) -> web.Response:
        return _problem(429, "UsageCapExceeded", "usage-capped", period="Monthly", scope="Product",
                        detail="Usage cap exceeded: Monthly product cap")  # fmt: skip


def _problem(
    status: int, title: str, kind: str = "", *, headers: Mapping[str, str] | None = None,
    **more: str,
) -> web.Response:  # fmt: skip
    type_ = _PROBLEM + kind if kind else "about:blank"
    body = {"title": title, "type": type_, "status": status, "detail": title, **more}
    return web.json_response(body, status=status, headers=dict(headers or {}))
