"""Fetching JSON from a server on loopback: what comes back, and what each failure means."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from bond_core.errors import Fatal, Retryable
from bond_core.plugin.egress import parse_url
from bond_core.runtime.http import fetch_json

CANARY = "canary-8f2e"
DATE = "Date: Tue, 21 Oct 2025 13:30:05 GMT"


def answer(status, body="", *headers):
    """Return an HTTP answer in full."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", body]).encode()


def own(url):
    """Return the way to a connector's own host."""
    return attrs.evolve(parse_url(url), is_guarded=False)


def fetch(raw, asked=None, way=own, **options):
    """Return what `fetch_json` makes of an answer, or raise what it raises."""
    served = []

    async def serve(reader, writer):
        served.append(asyncio.current_task())
        request = await reader.readuntil(b"\r\n\r\n")
        if asked is not None:
            asked.append(request.decode())
        writer.write(raw or b"")
        if raw is None:
            await reader.read()  # until the client gives up
        writer.close()
        await writer.wait_closed()

    async def go():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            try:
                return await fetch_json(
                    way(f"http://127.0.0.1:{port}/v1?v=2"), params={"key": CANARY}, **options
                )
            finally:
                await asyncio.gather(*served, return_exceptions=True)

    return asyncio.run(go())


def test_json_comes_back():
    """Parameters and headers are sent, and the body is decoded."""
    asked = []

    assert fetch(answer(200, '{"a": [1.5]}'), asked, headers={"X-Key": "k"}) == {"a": [1.5]}
    assert asked[0].startswith(f"GET /v1?v=2&key={CANARY} HTTP/1.1")
    assert "X-Key: k" in asked[0]


@pytest.mark.parametrize(
    ("status", "headers", "pause_s"),
    [
        (429, ["Retry-After: 7"], 7.0),
        (429, [DATE, "Retry-After: Tue, 21 Oct 2025 13:31:05 GMT"], 60.0),
        (503, [DATE, "Retry-After: Tue, 21 Oct 2025 13:00:00 GMT"], 0.0),
        (503, ["Retry-After: soon"], None),
        (503, ["Retry-After: -5"], None),
        (500, [], None),
        (502, [], None),
        (408, [], None),
    ],
)
def test_what_may_pass_is_retryable(status, headers, pause_s):
    """With the pause that the server asks for, in seconds or as a date."""
    with pytest.raises(Retryable, match=f"127.0.0.1 answered {status}") as caught:
        fetch(answer(status, "", *headers))

    assert caught.value.retry_after_s == pause_s


@pytest.mark.parametrize(
    "raw", [answer(401), answer(404), answer(301, "", "Location: /x"), answer(200, "<html>")]
)
def test_what_will_not_pass_is_fatal(raw):
    """A refusal, a page that moved, an answer that isn't JSON."""
    with pytest.raises(Fatal):
        fetch(raw)


@pytest.mark.parametrize("raw", [b"", b"not http\r\n\r\n", None], ids=["closed", "junk", "silent"])
def test_no_answer_is_retryable(raw):
    """A connection that closes, speaks something else, or stays silent."""
    with pytest.raises(Retryable, match="can't be reached"):
        fetch(raw, timeout_s=0.2)


@pytest.mark.parametrize("raw", [answer(401), answer(503), answer(200, "x"), b""])
def test_errors_name_the_host_and_nothing_secret(raw):
    """Neither the query nor what lies behind the error carries a key into a log."""
    with pytest.raises((Fatal, Retryable)) as caught:
        fetch(raw, headers={"Authorization": CANARY})

    assert CANARY not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"


@pytest.mark.parametrize("raw", [b"", b"not http\r\n\r\n", None], ids=["closed", "junk", "silent"])
def test_to_a_user_every_failed_connection_is_the_same(raw):
    """What happened on the way is not told where a user may have chosen the way."""
    with pytest.raises(Retryable) as caught:
        fetch(raw, way=parse_url, timeout_s=0.2)

    assert str(caught.value) == "127.0.0.1 can't be reached"


def test_what_a_user_points_at_may_not_be_packed():
    """Packed answers are not asked for, and not unpacked where they come all the same."""
    asked = []

    with pytest.raises(Fatal, match="encoding"):
        fetch(answer(200, "{}", "Content-Encoding: gzip"), asked, way=parse_url)
    assert "accept-encoding: identity" in asked[0].lower()


def test_a_body_is_bounded(monkeypatch):
    """What is larger than any answer should be is not read to its end."""
    monkeypatch.setattr("bond_core.runtime.http.MAX_BODY", 1000)

    with pytest.raises(Fatal, match="more than"):
        fetch(answer(200, "1" * 2000))


@pytest.mark.parametrize(
    "headers", [{"X-A": "1\r\nHost: evil"}, {"X A": "1"}, {"X-A": "\u20ac"}, {"Host": "evil"}]
)
def test_headers_stay_headers(headers):
    """A value that would end its header, or name another host, is not sent."""
    with pytest.raises(Fatal, match="header"):
        fetch(answer(200, "{}"), headers=headers)


def test_the_url_is_in_no_log(caplog):
    """Whatever the library logs of a request, the key in its query is not in it."""
    caplog.set_level("DEBUG")

    fetch(answer(200, "{}"))

    assert CANARY not in caplog.text
