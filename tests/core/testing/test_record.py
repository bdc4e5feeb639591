"""The recorder: a cassette of a real session over loopback, and no secret in it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import attrs
import pytest
from websockets.asyncio.server import serve

from bond_core.errors import Retryable
from bond_core.plugin import (
    Capabilities,
    Channel,
    ConnectorSpec,
    PollingConnector,
    Quote,
    Secret,
    Trade,
    WebSocketConnector,
    setting,
)
from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.egress import Egress, EgressPolicy
from bond_core.testing import Answer, Frame, Recorder, load_cassette
from bond_core.testing.leaks import leaks_in
from bond_core.testing.record import SecretInRecordingError, record

CANARY = "canary-77/aa"
QUOTE = {"symbol": "BTC/USDT", "bid": 1.0, "ask": 2.0}


@attrs.frozen
class Config:
    """Settings of what is recorded."""

    url: str = setting(doc="Where")
    key: Secret = setting(doc="The key", env="RECORDED_KEY")
    every_s: float = setting(default=0.05, doc="How often")


class Poll(PollingConnector):
    async def poll(self, ctx, channel, symbols):
        headers = {"Authorization": f"Bearer {self.config.key.reveal()}"}
        asked = {"token": self.config.key.reveal()}
        said = await ctx.get_json(self.config.url, params=asked, headers=headers)
        return [Quote(**said["quote"], ts=1_700_000_000_000_000_000)]


class Push(WebSocketConnector):
    channel = "trades"

    def url(self, ctx):
        return f"{self.config.url}?token={self.config.key.reveal()}"

    async def subscribe(self, ws, ctx, added):
        await ws.send_json({"login": self.config.key.reveal()})

    def parse(self, frame, ctx):
        if isinstance(frame, str):
            yield Trade(symbol="BTC/USDT", ts=json.loads(frame)["ts"], price=1.0, size=1.0)


def spec_of(cls, mode):
    """Return the spec of a connector of this module."""
    name, kind = ("quotes", "quote") if mode == "poll" else ("trades", "trade")
    return ConnectorSpec(
        name="recorded", factory=f"{__name__}:{cls.__name__}", summary="s", config=Config,
        channels=(Channel(name=name, kind=kind, fields=()),),
        capabilities=Capabilities(mode=mode),
    )  # fmt: skip


@asynccontextmanager
async def answering(body):
    """Serve one JSON body; gives the URL."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        text = json.dumps(body).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: id=1\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(text), text)
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/quotes"


@asynccontextmanager
async def pushing(*frames):
    """Serve messages over a WebSocket; gives the URL."""

    async def push(socket):
        await socket.recv()
        for frame in frames:
            await socket.send(frame)
        await socket.wait_closed()

    async with serve(push, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def recorded(cls, mode, url, path, **more):
    """Record what is said there."""
    config = Config(url=url, key=Secret(CANARY))
    egress = Egress(EgressPolicy(private=PRIVATE))
    return await record(
        spec_of(cls, mode), config, ["BTC/USDT"], path, egress=egress, most=4, seconds=5, **more
    )  # fmt: skip


def test_answers_are_recorded_without_what_was_asked_with(tmp_path):
    """
    What the source answered can be played again; key, header and cookie are nowhere in the file.
    """
    path = tmp_path / "cassette.jsonl"

    async def go():
        async with answering({"quote": QUOTE}) as url:
            return await recorded(Poll, "poll", url, path)

    n = asyncio.run(go())
    text = path.read_text()
    assert load_cassette(path) == [Answer({"quote": QUOTE})] * n
    assert n >= 2
    assert '"asked": "GET http://127.0.0.1' in text
    assert '\\"token\\": \\"***\\"' in text
    for part in (CANARY, "canary", "Bearer", "Authorization", "cookie"):
        assert part not in text
    assert leaks_in(text, {"key": CANARY}) == []


def test_messages_are_recorded(tmp_path):
    """
    Text and bytes come back as they were; the token in the address does not.
    """
    path = tmp_path / "cassette.jsonl"
    frames = ('{"ts": 1700000000000000000}', b"\x00\xff", '{"ts": 1700000001000000000}')

    async def go():
        async with pushing(*frames) as url:
            await recorded(Push, "push", url, path)

    asyncio.run(go())
    assert load_cassette(path)[:3] == [Frame(frame) for frame in frames]
    assert "token=***" in path.read_text()
    assert "canary" not in path.read_text()


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"echo": CANARY}, "the secret key"),
        ({"echo": "canary-77%2Faa"}, "the secret key"),
        ({"account": "own-4711"}, "the secret account"),
        ({"authorization": "Basic dXNlcjpwYXNz"}, "an Authorization header"),
        ({"next": "wss://x.example/ws?listenKey=abcd1234"}, "a token in a URL"),
        ({"jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_1"}, "a signed token"),
        ({"url": "https://bond:s3cret@x.example/"}, "a password in a URL"),
        ({"pem": "-----BEGIN EC PRIVATE KEY-----"}, "a private key"),
    ],
    ids=lambda what: next(iter(what)) if isinstance(what, dict) else "",
)
def test_nothing_is_written_where_a_secret_was_said(tmp_path, more, found):
    """
    The source echoes it: no file, and an error that says what it is without saying it.
    """
    path = tmp_path / "cassette.jsonl"

    async def go():
        async with answering({"quote": QUOTE, **more}) as url:
            await recorded(Poll, "poll", url, path, secrets={"account": "own-4711"})

    with pytest.raises(SecretInRecordingError, match=found) as refused:
        asyncio.run(go())

    assert not path.exists()
    assert CANARY not in str(refused.value)
    assert "own-4711" not in str(refused.value)


def test_a_secret_of_the_environment_is_looked_for(tmp_path, monkeypatch):
    """
    Also where the settings were given another: what is in the environment is somebody's.
    """
    monkeypatch.setenv("RECORDED_KEY", "from-the-environment")

    async def go():
        async with answering({"quote": QUOTE, "echo": "from-the-environment"}) as url:
            await recorded(Poll, "poll", url, tmp_path / "cassette.jsonl")

    with pytest.raises(SecretInRecordingError, match="RECORDED_KEY"):
        asyncio.run(go())


def test_what_fails_is_not_recorded(tmp_path):
    """
    An error passes through, and there is no answer to keep.
    """

    class Away:
        async def get_json(self, url, **_):
            raise Retryable("away")

    recorder = Recorder(Away(), {})
    with pytest.raises(Retryable):
        asyncio.run(recorder.get_json("https://x.example/?key=abcdef"))

    assert recorder.lines == [{"asked": "GET https://x.example/?key=***"}]
