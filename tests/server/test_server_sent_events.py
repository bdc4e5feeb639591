from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from bond_core.clock import NS, ManualClock
from bond_core.log.event_log import Retention
from tests.server.running import serving

NOW_S = 1_761_053_400
T = NOW_S * 1000

pytestmark = pytest.mark.usefixtures("delivery")


def on_a_server(monkeypatch, scenario, **options):
    """Create a stream on a server, and run `scenario(server, created)`."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, **options) as server:
            await scenario(server, await server.create())

    asyncio.run(run())


def listening(server, created, *, headers=None, **query):
    """Return a connection to a stream's events, to be entered."""
    url = f"/v1/streams/{created['stream_id']}/events"
    params = {"token": created["access_token"]} | query
    return server.http.stream("GET", url, params=params, headers=headers)


async def blocks(response):
    """Yield each block of lines that an empty line ends."""
    lines = []
    async for line in response.aiter_lines():
        if line:
            lines.append(line)
        elif lines:
            yield lines
            lines = []


async def take(found, count):
    """Return the next blocks."""
    return [await anext(found) for _ in range(count)]


def test_records_arrive_as_unnamed_events(monkeypatch):
    """
    Each record is an event with its id; before the first it says how soon to come back.
    """

    async def scenario(server, created):
        async with listening(server, created) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["cache-control"] == "no-cache"
            assert "content-length" not in response.headers
            found = blocks(response)
            assert await take(found, 1) == [["retry: 2000"]]
            await server.publish(created["stream_id"], (T, 2))
            first, second = await take(found, 2)
            assert [first[0], second[0]] == [f"id: {T}-0", f"id: {T}-1"]
            assert json.loads(first[1].removeprefix("data: "))["id"] == f"{T}-0"
            assert len(first) == 2

    on_a_server(monkeypatch, scenario)


@pytest.mark.parametrize(
    ("headers", "query", "first"),
    [
        ({}, {"after": f"{T}-0"}, f"{T}-1"),
        ({}, {"from": "now-60s"}, f"{T}-0"),
        ({"Last-Event-ID": f"{T}-1"}, {}, f"{T + 1000}-0"),
        ({"Last-Event-ID": f"{T}-1"}, {"after": "0-0"}, f"{T + 1000}-0"),
        ({}, {"lastEventId": f"{T}-1", "after": "0-0"}, f"{T + 1000}-0"),
    ],
    ids=["after", "from", "header", "header before query", "in the query"],
)
def test_a_client_goes_on_where_it_was(monkeypatch, headers, query, first):
    """
    Last-Event-ID wins over `after`, as a browser's reconnect needs it; so does what scripts that
    stand in for a browser's EventSource write in the query instead.
    """

    async def scenario(server, created):
        await server.publish(created["stream_id"], (T, 2), (T + 1000, 1))
        async with listening(server, created, headers=headers, **query) as response:
            assert response.headers["bond-replay"] == "full"
            async for block in blocks(response):
                if block[0].startswith("id: "):
                    assert block[0] == f"id: {first}"
                    break

    on_a_server(monkeypatch, scenario, clock=ManualClock((NOW_S + 5) * NS))


def test_a_hole_is_told(monkeypatch):
    """
    What is not kept any more is a `gap` with its ends, before the oldest record.
    """

    async def scenario(server, created):
        ids = await server.publish(created["stream_id"], *((T + i * 1000, 1) for i in range(5)))
        async with listening(server, created, after=ids[0]) as response:
            assert response.headers["bond-replay"] == "truncated"
            found = [b for b in await take(blocks(response), 3) if b != ["retry: 2000"]]
            gap = json.loads(found[0][1].removeprefix("data: "))
            assert found[0][0] == "event: gap"
            assert gap == {"from": ids[0], "to": ids[3], "reason": "trimmed"}
            assert found[1][0] == f"id: {ids[3]}"

    on_a_server(monkeypatch, scenario, retention=Retention(seconds=0, windows=2))


def test_a_comment_every_15_seconds(monkeypatch):
    """
    A quiet stream shows that it lives.
    """
    clock = ManualClock(NOW_S * NS)

    async def scenario(server, created):
        async with listening(server, created) as response:
            found = blocks(response)
            assert await take(found, 1) == [["retry: 2000"]]
            for beat in (1, 2):
                await clock.advance(15)
                assert await take(found, 1) == [[f": hb {T + beat * 15_000}"]]

    on_a_server(monkeypatch, scenario, clock=clock)


def _problem(code):
    return {"code": code, "retryable": False, "docs": f"/v1/errors/{code}"}


@pytest.mark.parametrize(
    ("what", "event", "data"),
    [
        ("delete", "problem", _problem("stream_deleted")),
        ("end", "complete", {}),
        ("expire", "problem", _problem("token_expired")),
    ],
)
def test_an_end_has_a_name(monkeypatch, what, event, data):
    """
    A deleted stream, its own end and an expired token are told apart, and end the response.
    """
    clock = ManualClock(NOW_S * NS)

    async def scenario(server, created):
        async with listening(server, created) as response:
            found = blocks(response)
            await take(found, 1)
            if what == "delete":
                await server.http.delete(f"/v1/streams/{created['stream_id']}")
            elif what == "end":
                await server.bond.complete(server.bond.find(created["stream_id"]))
            else:
                await clock.advance(60 + 31)
            last = [block async for block in found if not block[0].startswith(":")]
        assert last[-1][0] == f"event: {event}"
        assert json.loads(last[-1][1].removeprefix("data: ")) == data

    on_a_server(monkeypatch, scenario, clock=clock, token_ttl_s=60)


def test_a_server_that_ends_ends_its_events(monkeypatch):
    """
    A response without end does not hold the server back.
    """

    async def scenario(server, created):
        async with listening(server, created) as response:
            found = blocks(response)
            await take(found, 1)
            server.task.cancel()
            assert [block async for block in found] == []
        await asyncio.wait([server.task], timeout=5)
        assert server.task.done()

    on_a_server(monkeypatch, scenario)


def test_a_client_that_leaves_is_forgotten(monkeypatch):
    """
    After a client has gone nothing stands on the stream any more.
    """

    async def scenario(server, created):
        async with listening(server, created) as response:
            await take(blocks(response), 1)
            assert server.bond.find(created["stream_id"]).readers == 1
        await server.metrics_when(created, lambda metrics: metrics["clients"] == 0)
        assert server.bond.find(created["stream_id"]).readers == 0

    on_a_server(monkeypatch, scenario)


def test_a_token_may_come_as_a_bearers(monkeypatch):
    """
    `Authorization: Bearer` opens it as the query does.
    """

    async def scenario(server, created):
        url = f"/v1/streams/{created['stream_id']}/events"
        headers = {"Authorization": f"Bearer {created['access_token']}"}
        async with server.http.stream("GET", url, headers=headers) as response:
            assert response.status_code == 200

    on_a_server(monkeypatch, scenario)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"token": "1761053465.f1189e3ca7ce6df8"}, 401, "token_invalid"),
        ({"token": ""}, 401, "token_invalid"),
        ({"from": "yesterday"}, 422, "bad_from"),
        ({"after": "x"}, 422, "bad_from"),
        ({"afer": "1-2"}, 422, "bad_query"),
        ({"slow": "conflate"}, 422, "bad_query"),
    ],
)
def test_what_is_refused_is_a_problem_document(monkeypatch, query, status, code):
    """
    Before the stream begins errors are ordinary answers, with a fix.
    """

    async def scenario(server, created):
        async with listening(server, created, **query) as response:
            problem = json.loads(await response.aread())
            assert (response.status_code, problem["code"]) == (status, code)
            assert problem["fix"]

    on_a_server(monkeypatch, scenario)


def test_an_expired_token_is_refused(monkeypatch):
    """
    It was good once, which is said, and how to get another.
    """
    clock = ManualClock(NOW_S * NS)

    async def scenario(server, created):
        await clock.advance(91)
        async with listening(server, created) as response:
            problem = json.loads(await response.aread())
            assert (response.status_code, problem["code"]) == (401, "token_expired")
            assert problem["fix"] == f"POST /v1/streams/{created['stream_id']}/token"

    on_a_server(monkeypatch, scenario, clock=clock, token_ttl_s=60)


def test_the_sse_address_given_out_works_as_it_is(monkeypatch):
    """
    What the create call returns can be pasted into curl.
    """

    async def scenario(server, created):
        async with (
            httpx.AsyncClient(trust_env=False) as http,
            http.stream("GET", created["sse_url"]) as response,
        ):
            assert response.status_code == 200

    on_a_server(monkeypatch, scenario)
