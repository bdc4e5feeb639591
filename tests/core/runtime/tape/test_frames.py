"""What venues say, as it came and when; without what logs in."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import attrs
import pytest

from bond_core.clock import ManualClock
from bond_core.runtime.hiding import Hiding
from bond_core.runtime.tape.frames import Frames, _Noting, without_tokens
from bond_core.settings import Secret

SECRET = "s3cr/t+key="


@attrs.frozen
class Config:
    key: Secret = attrs.field(factory=lambda: Secret(SECRET))


class Out:
    """A source that repeats whatever it was told, key included."""

    sdk = None

    async def get_json(self, url: str, **_: Any) -> Any:
        return {"asked": len(url), "half": "\ud800"}

    get_text = get_json

    async def post_json(self, url: str, value: Any, **_: Any) -> Any:
        return value

    @asynccontextmanager
    async def ws(self, url: str, **_: Any) -> Any:
        yield Socket([f'{{"hello": {json.dumps(SECRET)}}}', b"\xff" + SECRET.encode() + b"\x00"])


class Socket:
    def __init__(self, said: list[str | bytes]) -> None:
        self.said = said
        self.send = self.send_json = lambda _: None

    async def recv(self) -> str | bytes:
        return self.said.pop(0)


def test_all_that_is_said_is_kept_with_its_time_and_nothing_that_logs_in():
    """Frames, binary ones and answers; a key that the source repeats is blotted out in each."""
    clock = ManualClock(5)
    frames = Frames(clock)
    frames.hide = Hiding(Config())
    out = _Noting(Out(), frames, "acme", "acme x")

    async def hear() -> None:
        url = f"wss://me:{quote(SECRET, safe='')}@acme.test/v1?token=abcdefgh&x=1"
        async with out.ws(url) as socket:
            assert SECRET in await socket.recv()
            await clock.advance(1)
            assert SECRET.encode() in await socket.recv()
        assert (await out.get_json("https://acme.test/?api_key=abcdefgh"))["asked"]
        await out.post_json("https://acme.test/", {"mine": SECRET})

    asyncio.run(hear())
    text = frames.lines().decode()
    lines = [json.loads(line) for line in text.splitlines()]

    assert SECRET not in text
    assert json.dumps(SECRET)[1:-1] not in text
    assert "abcdefgh" not in text
    assert lines[0] == {"opened": [1, 5, "acme", "wss://***@acme.test/v1?token=***&x=1", "acme x"]}
    assert lines[1] == {"frame": [1, 5, '{"hello": "***"}']}
    assert lines[2]["bytes"][:2] == [1, 1_000_000_005]
    assert base64.b64decode(lines[2]["bytes"][2]) == b"\xff***\x00"
    assert lines[3] == {"closed": [1, 1_000_000_005]}
    assert [next(iter(line)) for line in lines[4:]] == ["answer", "answer"]
    assert frames.count == 4
    assert frames.lines() == b""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.test/a?b=1", "https://x.test/a?b=1"),
        ("GET https://x.test/a?b=1&apiKey=k#c", "GET https://x.test/a?b=1&apiKey=***#c"),
        ("wss://x.test/ws?listenKey=abc", "wss://x.test/ws?listenKey=***"),
        ("https://me:pw@x.test/", "https://***@x.test/"),
        ("wss://x.test/?x-access-token=1&sig=2", "wss://x.test/?x-access-token=***&sig=***"),
    ],
)
def test_what_is_called_like_a_token_is_blotted_out(url, shown):
    """Wherever it stands in the query, and whoever logs in in front of the host."""
    assert without_tokens(url) == shown
