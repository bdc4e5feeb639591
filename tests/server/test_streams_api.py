from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from tests.server.running import SPEC, serving

SENTENCE = {"natural_language": "BTC price + volume every 1s"}
SEEDS_METRICS = {
    "stream_id", "uptime_sec", "created_at", "msgs_in", "msgs_out", "dropped", "latency_p50_ms",
    "latency_p95_ms", "latency_samples",
}  # fmt: skip


KNOWN = {"allowed_hosts": frozenset({"bond.example.com"})}


def on_a_server(monkeypatch, scenario, **options):
    """Run `scenario(server)` against a server."""

    async def run():
        async with serving(monkeypatch, **options) as server:
            await scenario(server)

    asyncio.run(run())


@pytest.mark.parametrize("body", [SENTENCE, {"spec": SPEC}], ids=["sentence", "spec"])
def test_a_request_becomes_a_stream(monkeypatch, body):
    """
    Both forms give id, addresses, token, spec and what was understood; again, the same stream.
    """

    async def scenario(server):
        first = await server.http.post("/v1/streams", json=body)
        again = await server.http.post("/v1/streams", json=body)
        made = first.json()

        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json()["stream_id"] == made["stream_id"]
        assert len(made["stream_id"]) == 16
        assert made["expires_in_sec"] == 3600
        assert made["spec"]["symbols"] == ["BTC/USDT"]
        assert made["spec"]["interval_sec"] == 1
        assert isinstance(made["understood"], dict)
        assert isinstance(made["warnings"], list)
        token, host = made["access_token"], server.address
        assert made["ws_url"] == f"ws://{host}/ws/{made['stream_id']}?token={token}"
        assert (
            made["sse_url"] == f"http://{host}/v1/streams/{made['stream_id']}/events?token={token}"
        )
        assert first.headers["cache-control"] == "no-store"

    on_a_server(monkeypatch, scenario)


def test_what_stands_beside_the_spec_does_not_change_the_stream(monkeypatch):
    """
    A label or a duration makes no other stream of the same spec.
    """

    async def scenario(server):
        plain = await server.http.post("/v1/streams", json={"spec": SPEC})
        labelled = await server.http.post(
            "/v1/streams", json={"spec": SPEC, "label": "bot", "ephemeral": False}
        )
        assert (plain.status_code, labelled.status_code) == (201, 200), labelled.text
        assert plain.json()["stream_id"] == labelled.json()["stream_id"]

    on_a_server(monkeypatch, scenario)


def test_streams_are_listed_shown_and_deleted(monkeypatch):
    """
    A stream is in the list until it is deleted, and then it is nowhere.
    """

    async def scenario(server):
        made = await server.create()
        where = f"/v1/streams/{made['stream_id']}"

        (listed,) = (await server.http.get("/v1/streams")).json()
        shown = (await server.http.get(where)).json()
        assert listed["stream_id"] == shown["stream_id"] == made["stream_id"]
        assert listed["spec"] == made["spec"]
        assert shown["state"] in ("starting", "running", "failed")
        assert shown["sources"] == {}

        gone = await server.http.delete(where)
        assert (gone.status_code, gone.content) == (204, b"")
        assert (await server.http.get("/v1/streams")).json() == []
        for method, path in [
            ("GET", where), ("DELETE", where), ("GET", f"{where}/metrics"),
            ("POST", f"{where}/token"),
            ("GET", f"{where}/events?token={made['access_token']}"),
        ]:  # fmt: skip
            answer = await server.http.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_stream")

    on_a_server(monkeypatch, scenario)


def test_a_fresh_token_opens_the_stream(monkeypatch):
    """
    The token route gives a token, an address with it, and how long it is good for.
    """

    async def scenario(server):
        made = await server.create()
        answer = await server.http.post(f"/v1/streams/{made['stream_id']}/token")
        fresh = answer.json()

        assert answer.status_code == 200
        assert set(fresh) == {"token", "ws_url", "expires_in_sec"}
        assert fresh["ws_url"].endswith(f"/ws/{made['stream_id']}?token={fresh['token']}")
        async with server.socket(made, token=fresh["token"]) as socket:
            await server.publish(made["stream_id"], (1000, 1))
            assert json.loads(await socket.recv())["id"] == "1000-0"

    on_a_server(monkeypatch, scenario)


def test_metrics_have_the_documented_fields(monkeypatch):
    """
    All fields that were promised are there, under their names, and what clients got beside.
    """

    async def scenario(server):
        made = await server.create()
        async with server.socket(made) as socket:
            await server.publish(made["stream_id"], (1000, 2))
            await socket.recv()
            await socket.recv()
            metrics = (await server.http.get(f"/v1/streams/{made['stream_id']}/metrics")).json()

        assert set(metrics) >= SEEDS_METRICS
        assert metrics["dropped"] == 0
        assert (metrics["clients"], metrics["delivered"]) == (1, 2)

    on_a_server(monkeypatch, scenario)


def test_explaining_creates_nothing(monkeypatch):
    """
    The explanation names the stream that would be, and there is none.
    """

    async def scenario(server):
        answer = await server.http.post("/v1/explain", json=SENTENCE)
        explained = answer.json()

        assert answer.status_code == 200
        assert set(explained) >= {"understood", "assumed", "warnings", "spec", "stream_id"}
        assert (await server.http.get("/v1/streams")).json() == []
        made = (await server.http.post("/v1/streams", json=SENTENCE)).json()
        assert made["stream_id"] == explained["stream_id"]
        assert made["spec"] == explained["spec"]

    on_a_server(monkeypatch, scenario)


def test_what_is_installed_is_listed(monkeypatch):
    """
    Plugins with their state, sources with their venues and the schema of their settings.
    """

    async def scenario(server):
        plugins = (await server.http.get("/v1/plugins")).json()
        (source,) = (await server.http.get("/v1/sources")).json()

        assert {"markets", "builtin"} <= {row["name"] for row in plugins}
        assert source["name"] == "ccxt"
        assert source["venues"] == ["binance", "okx", "bybit"]
        assert source["config"]["type"] == "object"

    on_a_server(monkeypatch, scenario)


def test_health_and_the_front_door(monkeypatch):
    """
    The server says that it lives, that it is ready, what it is, and how to ask it.
    """

    async def scenario(server):
        answers = {
            path: await server.http.get(path)
            for path in ("/", "/health", "/health/live", "/health/ready", "/schema")
        }
        assert {answer.status_code for answer in answers.values()} == {200}
        assert answers["/health"].json()["status"] == "ok"
        assert answers["/"].json()["name"] == "Bond"
        schema = answers["/schema"].json()
        assert schema["openapi"].startswith("3.")
        assert set(schema["paths"]) >= {
            "/v1/streams", "/v1/streams/{stream_id}", "/v1/streams/{stream_id}/token",
            "/v1/streams/{stream_id}/metrics", "/v1/streams/{stream_id}/events", "/v1/explain",
            "/v1/plugins", "/v1/sources", "/health",
        }  # fmt: skip
        assert "requestBody" in schema["paths"]["/v1/streams"]["post"]
        for path in ("/health", "/health/live", "/health/ready"):  # as balancers may ask
            head = await server.http.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert (await server.http.get(path)).json()["status"] == "ok"

    on_a_server(monkeypatch, scenario)


@pytest.mark.parametrize(
    ("settings", "headers", "base"),
    [
        ({"public_ws_base": "wss://s.example.com/ws/", "ws_host": "other:1"}, {}, "wss://s.example.com/ws/"),
        ({"ws_host": "localhost:8080"}, {}, "ws://localhost:8080/ws/"),
        (KNOWN, {"Host": "bond.example.com"}, "ws://bond.example.com/ws/"),
        (KNOWN, {"Host": "bond.example.com", "X-Forwarded-Proto": "https"}, "wss://bond.example.com/ws/"),
    ],
    ids=["public base", "host", "as asked", "as asked through a proxy with TLS"],
)  # fmt: skip
def test_the_address_given_is_the_one_configured(monkeypatch, settings, headers, base):
    """
    PUBLIC_WS_BASE comes before WS_HOST, and that before the host the request asked for.
    """

    async def scenario(server):
        answer = await server.http.post("/v1/streams", json={"spec": SPEC}, headers=headers)
        assert answer.json()["ws_url"].startswith(base)

    on_a_server(monkeypatch, scenario, **settings)


def test_fifty_at_once_are_five_streams(monkeypatch):
    """
    Of 50 different requests sent in parallel at a limit of 5, exactly 5 become streams.
    """

    async def scenario(server):
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(
            base_url=server.http.base_url, limits=limits, trust_env=False, timeout=30
        ) as http:
            answers = await asyncio.gather(
                *(
                    http.post("/v1/streams", json={"spec": SPEC | {"interval_sec": 1 + i}})
                    for i in range(50)
                )
            )
        refused = [answer for answer in answers if answer.status_code == 429]

        assert sorted(a.status_code for a in answers) == [201] * 5 + [429] * 45
        assert len((await server.http.get("/v1/streams")).json()) == 5
        for answer in refused:
            problem = answer.json()
            assert (problem["limit"], problem["used"]) == (5, 5)
            assert problem["fix"]
            assert problem["retryable"] is True
            assert int(answer.headers["retry-after"]) >= 1

    on_a_server(monkeypatch, scenario, max_streams=5)


def test_a_place_is_free_again_after_a_delete(monkeypatch):
    """
    At the limit an existing stream is still found, and a deleted one makes room.
    """

    async def scenario(server):
        made = await server.create()
        assert (await server.create())["stream_id"] == made["stream_id"]
        other = {"spec": SPEC | {"interval_sec": 2}}
        assert (await server.http.post("/v1/streams", json=other)).status_code == 429
        await server.http.delete(f"/v1/streams/{made['stream_id']}")
        assert (await server.http.post("/v1/streams", json=other)).status_code == 201

    on_a_server(monkeypatch, scenario, max_streams=1)
