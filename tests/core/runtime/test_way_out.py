"""What a connector may use of the outside world beside JSON and sockets: POST, text, SDKs, pace."""

from __future__ import annotations

import asyncio
import json

import pytest

from bond_core.clock import ManualClock, settle
from bond_core.errors import Fatal, PluginError, Retryable
from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.context import Kept
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_core.runtime.outside import Budget, Outside
from bond_core.testing.loopback_http import LoopbackHttp, Reply


def out(**options):
    """Return a way out that may reach this machine."""
    egress = Egress(EgressPolicy(private=PRIVATE))
    return Outside(egress, own=(), simulated_at=None, clock=ManualClock(), **options)


def asking(status, body, ask):
    """Ask a server that answers so; return what came, and the request as it was."""
    requests = []

    async def answer(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = [line for line in head.lower().split("\r\n") if line.startswith("content-length")]
        sent = await reader.readexactly(int(size[0].split(":")[1])) if size else b""
        requests.append((head, sent))
        length = f"Content-Length: {len(body)}\r\n\r\n".encode()
        writer.write(f"HTTP/1.1 {status} X\r\n".encode() + length + body)
        await writer.drain()
        writer.close()

    async def go():
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            return await ask(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")

    return asyncio.run(go()), requests[0]


@pytest.mark.parametrize(
    ("body", "came"), [(b'{"a": 1}', {"a": 1}), (b"", None), (b"ok", "ok"), (b" \n", None)]
)
def test_json_is_posted(body, came):
    """The value goes as JSON; the answer comes as JSON, as text, or as nothing."""
    got, (head, sent) = asking(200, body, lambda url: out().post_json(url, {"x": [1, "ä"]}))

    assert got == came
    assert head.startswith("POST /v1 HTTP/1.1")
    assert "content-type: application/json" in head.lower()
    assert json.loads(sent) == {"x": [1, "ä"]}


@pytest.mark.parametrize(("status", "error"), [(503, Retryable), (429, Retryable), (400, Fatal)])
def test_a_refused_post_says_what_to_do(status, error):
    """As with every request: what may pass is tried again, the rest is not."""
    with pytest.raises(error):
        asking(status, b"", lambda url: out().post_json(url, {}))


def test_what_is_no_json_is_not_posted():
    """NaN is told before anything is sent."""
    with pytest.raises(ValueError, match="JSON"):
        asyncio.run(out().post_json("http://127.0.0.1:1/", float("nan")))


def test_text_is_fetched():
    """RSS, CSV: as UTF-8, whatever is no UTF-8 replaced."""
    got, (head, _) = asking(
        200, "<rss>ä\xff".encode() + b"\xff", lambda url: out().get_text(url, params={"q": "1"})
    )

    assert got == "<rss>äÿ\ufffd"
    assert head.startswith("GET /v1?q=1 ")


def test_what_has_not_changed_is_fetched_once():
    """What is kept is asked for on condition; 304 gives it back, anything else takes its place."""
    versions = ["one", "one", "two"]

    def answer(asked):
        version = versions[len(server.asked) - 1]
        etag = f'"{version}"'
        if asked.headers.get("if-none-match") == etag:
            return Reply(304, b"", {"ETag": etag})
        return Reply(200, version.encode(), {"ETag": etag, "Last-Modified": "yesterday"})

    server = LoopbackHttp(answer)

    async def go():
        kept = Kept()
        async with server:
            got = [await out().get_text(server.url, kept=kept) for _ in versions]
        return got, [asked.headers for asked in server.asked], kept

    got, headers, kept = asyncio.run(go())
    assert got == versions
    assert "if-none-match" not in headers[0]
    assert headers[2]["if-none-match"] == '"one"'
    assert headers[2]["if-modified-since"] == "yesterday"
    assert kept.etag == '"two"'


def test_a_304_that_nobody_asked_for_is_refused():
    """Without anything kept there is nothing that it could stand for."""
    with pytest.raises(Fatal, match="304"):
        asking(304, b"", lambda url: out().get_text(url, kept=Kept()))


def test_an_sdk_is_imported_or_stood_in_for():
    """A stand-in wins; what isn't installed is said."""
    way = out(sdks={"vendor:Client": dict})

    assert way.sdk("vendor:Client") is dict
    assert way.sdk("json") is json
    assert way.sdk("json:loads") is json.loads
    with pytest.raises(PluginError, match="no_such_vendor"):
        way.sdk("no_such_vendor")


def test_no_minute_sees_more_requests_than_allowed():
    """Ten at once under thirty a minute: the first at once, then one every two seconds."""

    async def go():
        clock = ManualClock(0)
        budget, passed = Budget(clock, 30), []

        async def ask():
            await budget.wait()
            passed.append(clock.now_ns() / 1e9)

        asking = [asyncio.create_task(ask()) for _ in range(10)]
        await settle()
        await clock.advance(30)
        await asyncio.gather(*asking)
        await ask()
        return passed

    assert asyncio.run(go()) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 30]
