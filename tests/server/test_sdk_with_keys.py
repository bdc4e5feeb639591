"""The SDK against a real server that asks for API keys."""

from __future__ import annotations

import asyncio

import pytest

from bond_server.auth.keys import key_file, make_key
from bond_server.auth.limits import Limits, Rate
from ekko import EkkoClient
from ekko.errors import AuthenticationError, NotFoundError, PermissionDeniedError, RateLimitError
from tests.server.running import SPEC, serving

ALL = ("streams:read", "streams:write", "streams:delete", "tokens:mint", "metrics:read")


def a_key(folder, *scopes, project="desk"):
    """Make a key, and return its text."""
    asked = scopes or ALL
    return make_key(key_file(folder), project=project, scopes=asked, label=None, now_s=1)[0]


def on_a_server(monkeypatch, folder, scenario, **options):
    """Run `scenario(server, client)`, where `client(key)` is the SDK with a key."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, data_dir=folder, **options) as server:

            def client(key=None, **others):
                return EkkoClient(f"http://{server.address}", api_key=key, **others)

            await scenario(server, client)

    asyncio.run(run())


def test_with_a_key_everything_works(monkeypatch, tmp_path):
    """
    Create, list, listen, refresh, measure, delete: with the key alone, and over a revoked token.
    """
    key = a_key(tmp_path)

    async def scenario(server, client):
        async with client(key) as ekko:
            stream = await ekko.create_stream(SPEC)
            assert [s.stream_id for s in await ekko.list_streams()] == [stream.stream_id]
            assert (await ekko.explain(SPEC))["stream_id"] == stream.stream_id
            assert (await ekko.health())["streams"] == 1
            await server.publish(stream.stream_id, (1000, 1), (2000, 1))
            events = ekko.subscribe(stream.stream_id, stream.access_token, after="0-0")
            assert [(await anext(events))["id"] for _ in range(2)] == ["1000-0", "2000-0"]
            # Its token is revoked under it: it asks for a fresh one, and misses nothing.
            headers = {"Authorization": f"Bearer {key}"}
            where = f"/v1/streams/{stream.stream_id}/tokens"
            assert (await server.http.delete(where, headers=headers)).status_code == 204
            await server.publish(stream.stream_id, (3000, 1))
            assert (await anext(events))["id"] == "3000-0"
            await events.aclose()
            token = await ekko.refresh_token(stream.stream_id, persistent=True, label="bot")
            listed = (await server.http.get(where, headers=headers)).json()
            assert [one["label"] for one in listed if one["label"]] == ["bot"]
            assert token.expires_in_sec > 86_400
            assert (await ekko.metrics(stream.stream_id))["stream_id"] == stream.stream_id
            await ekko.delete_stream(stream.stream_id)
            assert await ekko.list_streams() == []

    on_a_server(monkeypatch, tmp_path, scenario)


def test_the_environments_key_is_used(monkeypatch, tmp_path):
    """
    EKKO_API_KEY is enough for the one-line program.
    """
    monkeypatch.setenv("EKKO_API_KEY", a_key(tmp_path))

    async def scenario(server, client):
        events = client().listen(SPEC)
        waiting = asyncio.create_task(anext(events))
        while not (streams := server.bond.streams("desk")) or not streams[0].readers:  # noqa: ASYNC110 -- nobody tells
            await asyncio.sleep(0.01)
        await server.publish(streams[0].stream_id, (1000, 1))
        assert (await waiting)["id"] == "1000-0"
        await events.aclose()

    on_a_server(monkeypatch, tmp_path, scenario)


def test_the_wrong_key_is_a_typed_error(monkeypatch, tmp_path):
    """
    None, a revoked one, too narrow a one, another project's: each its own error, with the fix.
    """
    monkeypatch.delenv("EKKO_API_KEY", raising=False)
    good, narrow = a_key(tmp_path), a_key(tmp_path, "streams:read")
    other = a_key(tmp_path, project="other")

    async def scenario(server, client):
        stream = await client(good).create_stream(SPEC)
        for key, code in ((None, "key_missing"), (f"bk_abcd_{'a' * 43}", "key_invalid")):
            with pytest.raises(AuthenticationError) as refused:
                await client(key).create_stream(SPEC)
            assert refused.value.code == code
            assert "bond keys new" in refused.value.fix
        with pytest.raises(PermissionDeniedError) as refused:
            await client(narrow).create_stream(SPEC)
        assert "streams:write" in str(refused.value)
        with pytest.raises(NotFoundError):
            await client(other).delete_stream(stream.stream_id)
        with pytest.raises(NotFoundError):
            await client(other).refresh_token(stream.stream_id)

    on_a_server(monkeypatch, tmp_path, scenario)


def test_too_many_requests_are_a_typed_error(monkeypatch, tmp_path):
    """
    The SDK waits as long as the server asks and tries again; without retries it says the limit.
    """
    key = a_key(tmp_path)

    async def scenario(server, client):
        patient, hasty = client(key), client(key, retries=0)
        for _ in range(2):
            await hasty.list_streams()
        with pytest.raises(RateLimitError) as refused:
            await hasty.list_streams()
        assert (refused.value.limit, refused.value.retry_after_s) == (2, 1)
        assert await patient.list_streams() == []

    on_a_server(monkeypatch, tmp_path, scenario, limits=Limits(reads=Rate(1, 1, 2)))
