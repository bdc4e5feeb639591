"""Tokens that must end: registered ones, revoked ones, those of an old secret, while connected."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import time

import pytest
from websockets.asyncio.client import connect

from bond_core.clock import NS, ManualClock
from bond_core.errors import SetupError
from bond_core.settings import Secret
from bond_server.auth.keys import digest_of
from bond_server.auth.limits import Limits
from bond_server.auth.refusals import TooManyError
from bond_server.auth.registry import DAY_S, Registry
from bond_server.auth.tokens import Token, TokenError, Tokens
from tests.server.running import SECRET, SPEC, closing, receive, serving

STREAM, OTHER = "8f2a1c9d4b3e7a10", "0f2a1c9d4b3e7a10"
NOW_S = 1_761_053_405
OLD = "fedcba9876543210" * 4


def on_a_server(monkeypatch, scenario, **options):
    """Create a stream on a server, and run `scenario(server, created)`."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, **options) as server:
            await scenario(server, await server.create())

    asyncio.run(run())


async def get_token(server, created, **asked):
    """Ask for a token of some kind, and return the answer."""
    answer = await server.http.post(f"/v1/streams/{created['stream_id']}/token", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ends(socket):
    """Return how a socket is closed, and after how many seconds."""
    before = time.monotonic()
    ending = await closing(socket)
    return ending, time.monotonic() - before


def refusal(registry, tokens, text):
    """Return the code with which a signed token is refused; None where it counts."""
    try:
        registry.follow()
        registry.check(tokens.verify(STREAM, text))
    except TokenError as error:
        return error.code
    return None


def test_a_long_token_counts_only_while_it_is_registered(tmp_path):
    """
    More than 24 h needs an entry; a revoked one does not come back in its last day.
    """
    clock = ManualClock(NOW_S * NS)
    tokens, registry = Tokens(Secret(SECRET), clock), Registry(tmp_path, clock)
    short, long = tokens.issue(STREAM, ttl_s=DAY_S), tokens.issue(STREAM, ttl_s=3 * DAY_S)

    assert not registry.must_register(short)
    assert refusal(registry, tokens, short.text) is None
    assert registry.must_register(long)
    assert refusal(registry, tokens, long.text) == "token_revoked"
    entry = registry.register(STREAM, long, "bot")
    assert refusal(registry, tokens, long.text) is None
    assert refusal(registry, tokens, f"{STREAM}.{long.text}") is None
    assert not registry.revoke(OTHER, entry.token_id)
    assert registry.revoke(STREAM, entry.token_id)
    asyncio.run(clock.advance(2.5 * DAY_S))
    assert refusal(registry, tokens, long.text) == "token_revoked"
    assert refusal(registry, tokens, f"{STREAM}.{long.text}") == "token_revoked"


def test_what_is_registered_outlives_the_process(tmp_path):
    """
    Entries, denials and marks are read again; the file shows no token, and forgets in time.
    """
    clock = ManualClock(NOW_S * NS)
    tokens, registry = Tokens(Secret(SECRET), clock), Registry(tmp_path, clock)
    kept, gone = (tokens.issue(STREAM, ttl_s=n * DAY_S) for n in (3, 4))
    registry.register(STREAM, kept, "kept")
    registry.revoke(STREAM, registry.register(STREAM, gone, "gone").token_id)
    registry.follow()
    registry.saw(tokens.verify(STREAM, kept.text))
    registry.write_uses()

    again = Registry(tmp_path, clock)
    assert [(t.label, t.last_used_s) for t in again.registered(STREAM)] == [("kept", NOW_S)]
    assert again.registered(OTHER) == []
    assert refusal(again, tokens, kept.text) is None
    assert refusal(again, tokens, gone.text) == "token_revoked"
    said = (tmp_path / "tokens.json").read_text()
    assert digest_of(kept.text) in said
    assert all(text.split(".")[1] not in said for text in (kept.text, gone.text))

    asyncio.run(clock.advance(5 * DAY_S))
    again.revoke_all(OTHER, 60)
    body = json.loads((tmp_path / "tokens.json").read_text())
    assert (body["registered"], body["denied"], list(body["newest_revoked"])) == ({}, {}, [OTHER])


def test_revoke_all_spares_what_is_given_afterwards(tmp_path):
    """
    Whatever was given or seen before fails, longer-lived ones too; a new token opens at once.
    """
    clock = ManualClock(NOW_S * NS)
    tokens, registry = Tokens(Secret(SECRET), clock, ttl_s=60), Registry(tmp_path, clock)
    usual, longer = tokens.issue(STREAM), tokens.issue(STREAM, ttl_s=DAY_S - 5)
    second = tokens.issue_second(STREAM, "local")
    persistent = tokens.issue(STREAM, ttl_s=9 * DAY_S)
    registry.register(STREAM, persistent, None)
    for token in (usual, longer, second):
        registry.saw(tokens.verify(STREAM, token.text))
    elsewhere = tokens.issue(OTHER)

    registry.revoke_all(STREAM, 60)

    for token in (usual, longer, second, persistent):
        assert refusal(registry, tokens, token.text) == "token_revoked"
    later_s = registry.later_than_s(STREAM)
    for fresh in (
        tokens.issue(STREAM, later_than_s=later_s),
        tokens.issue_second(STREAM, "local", later_than_s=later_s),
    ):
        assert refusal(registry, tokens, fresh.text) is None
    registry.check(tokens.verify(OTHER, elsewhere.text))


def test_a_stream_has_so_many_registered_tokens_and_no_more(tmp_path):
    """
    The next is refused with the numbers; a revoked one makes room.
    """
    registry = Registry(tmp_path, ManualClock(NOW_S * NS), most=2)
    first = registry.register(STREAM, Token("1", 1, NOW_S + 9 * DAY_S), None)
    registry.register(STREAM, Token("2", 1, NOW_S + 9 * DAY_S), None)

    with pytest.raises(TooManyError) as refused:
        registry.register(STREAM, Token("3", 1, NOW_S + 9 * DAY_S), None)
    assert (refused.value.limit, refused.value.used) == (2, 2)
    registry.follow()
    registry.revoke(STREAM, first.token_id)
    registry.register(STREAM, Token("3", 1, NOW_S + 9 * DAY_S), None)


def test_a_damaged_file_opens_nothing(tmp_path, caplog):
    """
    What was known stays in force; after a minute long-lived tokens count no more, until the
    file is well again. A server does not start on one.
    """
    clock = ManualClock(NOW_S * NS)
    tokens, registry = Tokens(Secret(SECRET), clock), Registry(tmp_path, clock)
    short, long = tokens.issue(STREAM), tokens.issue(STREAM, ttl_s=9 * DAY_S)
    revoked = tokens.issue(STREAM, ttl_s=9 * DAY_S + 1)
    registry.register(STREAM, long, None)
    registry.revoke(STREAM, registry.register(STREAM, revoked, None).token_id)
    registry.follow()
    good = (tmp_path / "tokens.json").read_bytes()
    (tmp_path / "tokens.json").write_text("{}}")

    assert [refusal(registry, tokens, t.text) for t in (short, long)] == [None, None]
    assert refusal(registry, tokens, revoked.text) == "token_revoked"
    asyncio.run(clock.advance(61))
    assert refusal(registry, tokens, short.text) is None
    assert refusal(registry, tokens, long.text) == "token_revoked"
    assert caplog.text.count("is damaged") == 1
    with pytest.raises(SetupError):
        Registry(tmp_path, clock)
    (tmp_path / "tokens.json").write_bytes(good)
    assert refusal(registry, tokens, long.text) is None


def test_a_persistent_token_is_listed_used_and_revoked(monkeypatch, tmp_path):
    """
    It opens the stream for years, over restarts, until it is revoked, and that closes it.
    """

    async def give(server, created):
        given.update(await get_token(server, created, persistent=True, label="bot"))
        assert given["expires_in_sec"] > 9 * 365 * DAY_S
        assert given["token_id"] == digest_of(given["token"])[:16]

    async def use(server, created):
        where = f"/v1/streams/{created['stream_id']}/tokens"
        async with server.socket(created, token=given["token"]) as socket:
            await server.publish(created["stream_id"], (1000, 1))
            assert await receive(socket, 1) == ["1000-0"]
            listed = (await server.http.get(where)).json()
            assert [(t["token_id"], t["label"]) for t in listed] == [(given["token_id"], "bot")]
            assert listed[0]["last_used_at"] is not None
            assert given["token"] not in json.dumps(listed)
            answer = await server.http.delete(f"{where}/{given['token_id']}")
            assert answer.status_code == 204
            ending, after_s = await ends(socket)
        assert ending == (1008, "token_revoked")
        assert after_s < 1.0
        assert (await server.http.get(where)).json() == []
        again = await server.http.delete(f"{where}/{given['token_id']}")
        assert (again.status_code, again.json()["code"]) == (404, "unknown_token")
        async with server.socket(created, token=given["token"]) as socket:
            assert await closing(socket) == (1008, "token_revoked")

    given: dict = {}
    on_a_server(monkeypatch, give, data_dir=tmp_path)
    on_a_server(monkeypatch, use, data_dir=tmp_path)


def test_a_long_ttl_registers_what_it_gives(monkeypatch):
    """
    With BOND_TOKEN_TTL over 24 h even the token of the create call is registered.
    """

    async def scenario(server, created):
        listed = await server.http.get(f"/v1/streams/{created['stream_id']}/tokens")
        ids = [one["token_id"] for one in listed.json()]
        assert ids == [digest_of(created["access_token"])[:16]]
        async with server.socket(created) as socket:
            await server.publish(created["stream_id"], (1000, 1))
            assert await receive(socket, 1) == ["1000-0"]

    on_a_server(monkeypatch, scenario, token_ttl_s=2 * DAY_S)


def test_one_revoked_while_connected_is_closed_and_no_other(monkeypatch):
    """
    WebSocket and events of the revoked token end within a second and say why; the neighbour's
    stay, also when the revoked one was never registered and is named by its hash.
    """

    async def scenario(server, created):
        other = await get_token(server, created, persistent=True)
        where = f"/v1/streams/{created['stream_id']}"
        digest = hashlib.sha256(created["access_token"].encode()).hexdigest()
        async with (
            server.socket(created) as one,
            server.socket(created, token=other["token"]) as neighbour,
            server.http.stream("GET", created["sse_url"]) as events,
        ):
            lines = events.aiter_lines()
            assert await anext(lines) == "retry: 2000"
            assert (await server.http.delete(f"{where}/tokens/{digest}")).status_code == 204
            ending, after_s = await ends(one)
            rest = [line async for line in lines]
            await server.publish(created["stream_id"], (1000, 1))
            assert await receive(neighbour, 1) == ["1000-0"]
        assert ending == (1008, "token_revoked")
        assert after_s < 1.0
        (said,) = (json.loads(line[6:]) for line in rest if line.startswith("data: "))
        assert (said["code"], said["retryable"]) == ("token_revoked", False)
        again = await server.http.get(created["sse_url"])
        assert (again.status_code, again.json()["code"]) == (401, "token_revoked")

    on_a_server(monkeypatch, scenario)


def test_revoke_all_while_connected(monkeypatch):
    """
    Every kind of listener of the stream is closed within a second, another stream's is not,
    and a token given right afterwards opens.
    """

    async def scenario(server, created):
        second = await get_token(server, created, version=2)
        persistent, another = [await get_token(server, created, persistent=True) for _ in "12"]
        assert persistent["token_id"] != another["token_id"]
        where = f"/v1/streams/{created['stream_id']}"
        ticket = (await server.http.post(f"{where}/ticket")).json()["ticket"]
        elsewhere = (
            await server.http.post("/v1/streams", json={"spec": SPEC | {"interval_sec": 7}})
        ).json()
        sockets = [
            await server.socket(created),
            await server.socket(created, token=f"{created['stream_id']}.{created['access_token']}"),
            await server.socket(created, token=second["token"]),
            await server.socket(created, token=persistent["token"]),
        ]
        url = f"ws://{server.address}/ws/{created['stream_id']}?ticket={ticket}"
        sockets.append(await connect(url, proxy=None))
        async with server.socket(elsewhere) as neighbour:
            assert (await server.http.delete(f"{where}/tokens")).status_code == 204
            endings = [await ends(socket) for socket in sockets]
            assert [ending for ending, _ in endings] == [(1008, "token_revoked")] * 5
            assert sum(after_s for _, after_s in endings) < 1.0
            for asked in ({}, {"version": 2}, {"persistent": True}):
                fresh = await get_token(server, created, **asked)
                async with server.socket(created, token=fresh["token"], after="0-0") as socket:
                    await server.publish(created["stream_id"], (1000, 1))
                    assert await receive(socket, 1) == ["1000-0"]
            await server.publish(elsewhere["stream_id"], (1000, 1))
            assert await receive(neighbour, 1) == ["1000-0"]
        async with server.socket(created) as socket:
            assert await closing(socket) == (1008, "token_revoked")

    on_a_server(monkeypatch, scenario)


def test_another_process_revokes(monkeypatch, tmp_path):
    """
    What a second server over the same data folder revokes ends listeners here within a second.
    """
    program = (
        "import sys; from pathlib import Path\n"
        "from bond_core.clock import SystemClock\n"
        "from bond_server.auth.registry import Registry\n"
        "print(Registry(Path(sys.argv[1]), SystemClock()).revoke(sys.argv[2], sys.argv[3]))"
    )

    async def scenario(server, created):
        given = await get_token(server, created, persistent=True)
        async with server.socket(created, token=given["token"]) as socket:
            command = [sys.executable, "-c", program, tmp_path, created["stream_id"]]
            done = await asyncio.to_thread(
                subprocess.run, [*command, given["token_id"]], check=True, capture_output=True
            )
            assert done.stdout.strip() == b"True"
            ending, after_s = await ends(socket)
        assert ending == (1008, "token_revoked")
        assert after_s < 1.0

    on_a_server(monkeypatch, scenario, data_dir=tmp_path)


def test_the_old_secret_counts_until_its_deadline(monkeypatch):
    """
    Its tokens open, and end when it ends, connected or not; new ones carry the new secret's.
    """
    clock = ManualClock(NOW_S * NS)
    until_s = NOW_S + 100

    async def scenario(server, created):
        old = Tokens(Secret(OLD), clock)
        for token in (old.issue(created["stream_id"]), old.issue_second(created["stream_id"], "x")):
            async with server.socket(created, token=token.text) as socket:
                await server.publish(created["stream_id"], (clock.now_ns() // 1_000_000, 1))
                assert len(await receive(socket, 1)) == 1
                if token.text.startswith("b2"):
                    await clock.advance(until_s - clock.now_ns() / NS + 0.5)
                    assert await closing(socket) == (1008, "token_expired")
                else:
                    await clock.advance(90)
        await clock.advance(1)
        late = old.issue(created["stream_id"])
        async with server.socket(created, token=late.text) as socket:
            assert await closing(socket) == (1008, "token_invalid")
        async with server.socket(created) as socket:
            await server.publish(created["stream_id"], (2_000_000_000_000, 1))
            assert await receive(socket, 1) == ["2000000000000-0"]

    on_a_server(
        monkeypatch, scenario, clock=clock, secret_previous=Secret(OLD),
        secret_previous_until_s=until_s,
    )  # fmt: skip


def test_many_registered_tokens_are_refused_over_http(monkeypatch):
    """
    The limit is 429 with its numbers.
    """

    async def scenario(server, created):
        await get_token(server, created, persistent=True)
        where = f"/v1/streams/{created['stream_id']}/token"
        answer = await server.http.post(where, json={"persistent": True})
        assert (answer.status_code, answer.json()["code"]) == (429, "tokens")
        assert (answer.json()["limit"], answer.json()["used"]) == (1, 1)

    on_a_server(monkeypatch, scenario, limits=Limits(tokens=1))


def test_what_cannot_be_kept_is_not_given(monkeypatch, tmp_path, caplog):
    """
    Where the disk fails a persistent token is 503, without a path in the answer; others work.
    """
    folder = tmp_path / "data"

    async def scenario(server, created):
        folder.write_text("a file where the folder should be")
        where = f"/v1/streams/{created['stream_id']}"
        for method, path, body in (
            ("POST", "/token", {"persistent": True}), ("DELETE", "/tokens", None),
            ("DELETE", f"/tokens/{'0' * 64}", None),
        ):  # fmt: skip
            answer = await server.http.request(method, f"{where}{path}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, "storage")
            assert str(folder) not in answer.text
        assert str(folder) in caplog.text
        assert (await get_token(server, created))["token"]

    on_a_server(monkeypatch, scenario, data_dir=folder)
