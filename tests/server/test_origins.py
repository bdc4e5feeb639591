"""Which pages may use the server, and under which names it may be reached."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bond_core.log.offset import START
from bond_server.auth.keys import key_file, make_key
from bond_server.auth.origins import Origins, parse_origins
from tests.server.running import SPEC, closing, receive, serving

APP, EVIL = "https://app.example.com", "https://evil.example"


def on_a_server(monkeypatch, scenario, **options):
    """Run `scenario(server)`."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, **options) as server:
            await scenario(server)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("origin", "host", "is_loopback", "accepted"),
    [
        (None, "x", False, True),
        (APP, "x", False, True),
        (APP.upper(), "x", False, True),
        ("https://app.example.com:8443", "x", False, False),
        ("http://app.example.com", "x", False, False),
        ("https://app.example.com.evil.example", "x", False, False),
        ("https://own.example", "own.example", False, True),
        ("https://own.example", "own.example:443", False, True),
        ("http://own.example:8000", "own.example:8000", False, True),
        ("http://own.example", "own.example:8000", False, False),
        ("http://localhost:3000", "127.0.0.1:8000", True, True),
        ("http://127.0.0.1:3000", "localhost:8000", True, True),
        ("http://[::1]:3000", "localhost:8000", True, True),
        ("http://app.localhost", "localhost:8000", True, True),
        ("http://localhost:3000", "own.example", False, False),
        ("http://localhost.evil.example", "localhost:8000", True, False),
        ("http://127.0.0.1.evil.example", "localhost:8000", True, False),
        (EVIL, "localhost:8000", True, False),
        ("null", "localhost:8000", True, False),
        ("", "localhost:8000", True, False),
        ("file://", "localhost:8000", True, False),
        (f"{APP}/", "x", False, False),
        (f"{APP}@evil.example", "x", False, False),
    ],
)
def test_origins_are_compared_whole(origin, host, is_loopback, accepted):
    """
    Scheme, name and port, all of them; the server's own and this machine's beside the listed.
    """
    origins = Origins(allowed=frozenset({APP}), is_loopback=is_loopback)

    assert origins.accepts_origin(origin, host) is accepted


@pytest.mark.parametrize(
    ("host", "on_loopback", "elsewhere"),
    [
        ("localhost", True, True), ("LOCALHOST:8000", True, True), ("127.0.0.1:8000", True, True),
        ("[::1]:8000", True, True), ("192.168.1.5", True, True), ("bond:8000", True, True),
        ("bond.localhost", True, True), ("known.example", True, True),
        ("evil.example", False, True), ("evil.example:8000", False, True),
        ("127.0.0.1.evil.example", False, True), ("x@localhost", False, True),
    ],
)  # fmt: skip
def test_a_strangers_name_does_not_lead_here(host, on_loopback, elsewhere):
    """
    On loopback, and where nobody is asked for a key, only names that no stranger can own.
    """
    here = Origins(hosts=frozenset({"known.example"}), is_loopback=True)
    there = Origins(is_loopback=False)

    assert here.accepts_host([host], is_open=False) is on_loopback
    assert here.accepts_host([host, "localhost"], is_open=False) is on_loopback
    assert there.accepts_host([host], is_open=False) is elsewhere
    assert there.accepts_host([host], is_open=True) is (on_loopback and host != "known.example")
    assert here.accepts_host([], is_open=True)


@pytest.mark.parametrize("text", ["app.example.com", "https://", "ws://a.b", "https://a.b/c", "**"])
def test_what_is_no_origin_is_refused(text):
    """
    An origin is a scheme, a name and perhaps a port.
    """
    with pytest.raises(ValueError, match=r".*"):
        parse_origins([text])


def test_a_page_elsewhere_cannot_act(monkeypatch):
    """
    It creates nothing, reads no answer and opens no socket; a page of an allowed origin can.
    """

    async def scenario(server):
        evil, app = {"Origin": EVIL}, {"Origin": APP}
        # What a page can send without a preflight: a form's content type.
        simple = {"Content-Type": "text/plain", **evil}
        body = b'{"natural_language": "BTC price every 1s"}'
        answer = await server.http.post("/v1/streams", content=body, headers=simple)
        assert (answer.status_code, answer.json()["code"]) == (403, "origin")
        assert "BOND_ALLOWED_ORIGINS" in answer.json()["fix"]
        assert server.bond.streams("local") == []
        seen = await server.http.get("/v1/streams", headers=evil)
        assert "access-control-allow-origin" not in seen.headers
        assert seen.headers["vary"] == "Origin"

        made = await server.http.post("/v1/streams", json={"spec": SPEC}, headers=app)
        assert (made.status_code, made.headers["access-control-allow-origin"]) == (201, APP)
        created = made.json()
        async with connect(created["ws_url"], origin=EVIL, proxy=None) as socket:
            assert await closing(socket) == (1008, "origin")
        for origin in (APP, "http://localhost:3000", f"http://{server.address}", None):
            async with connect(created["ws_url"], origin=origin, proxy=None) as socket:
                top = (await server.bond.log.read(created["stream_id"], START, 1)).top
                await server.publish(created["stream_id"], (top.ms + 1000, 1))
                assert len(await receive(socket, 1)) == 1

    on_a_server(monkeypatch, scenario, allowed_origins=frozenset({APP}))


def test_a_preflight_is_answered(monkeypatch, tmp_path):
    """
    Allowed pages learn what they may send, without a key; others are refused.
    """
    make_key(key_file(tmp_path), project="p", scopes=["admin"], label=None, now_s=1)

    async def scenario(server):
        asks = {"Access-Control-Request-Method": "DELETE"}
        answer = await server.http.options("/v1/streams/x", headers={"Origin": APP, **asks})
        assert answer.status_code == 204
        assert "DELETE" in answer.headers["access-control-allow-methods"]
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert answer.headers["access-control-allow-origin"] == APP
        answer = await server.http.options("/v1/streams/x", headers={"Origin": EVIL, **asks})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        # An error has the headers too, or a page could not read what was wrong.
        answer = await server.http.get("/v1/streams", headers={"Origin": APP})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, APP)

    on_a_server(monkeypatch, scenario, allowed_origins=frozenset({APP}), data_dir=tmp_path)


def test_a_rebound_name_gets_nowhere(monkeypatch):
    """
    A page whose own domain was pointed here is refused by that name, over HTTP and WebSocket.
    """

    async def scenario(server):
        created = await server.create()
        rebound = {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}
        for method, path in (("GET", "/v1/streams"), ("POST", "/v1/streams"), ("GET", "/health")):
            answer = await server.http.request(method, path, headers=rebound)
            assert (answer.status_code, answer.json()["code"]) == (421, "host")
        host, port = server.address.split(":")
        url = created["ws_url"].replace(server.address, "evil.example:8000")
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, host=host, port=int(port), proxy=None)
        assert refused.value.response.status_code == 421
        url = created["ws_url"].replace(server.address, "known.example")
        async with connect(url, host=host, port=int(port), proxy=None) as socket:
            await server.publish(created["stream_id"], (1000, 1))
            assert await receive(socket, 1) == ["1000-0"]

    on_a_server(monkeypatch, scenario, allowed_hosts=frozenset({"known.example"}))
