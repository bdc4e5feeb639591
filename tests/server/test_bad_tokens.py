"""Ten thousand bad tokens: each refused the same way, cheaply, and none of them ever logged."""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import string
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from bond_core.clock import NS, ManualClock
from bond_core.settings import Secret
from bond_server.auth.access import Access
from bond_server.auth.limits import Limits, Rate
from bond_server.auth.refusals import TooManyError
from bond_server.auth.tokens import TokenError, Tokens
from bond_server.logs import install_redaction
from tests.server.running import SECRET, closing, receive, serving, some_settings

STREAM, OTHER = "8f2a1c9d4b3e7a10", "0f2a1c9d4b3e7a10"
NOW_S = 1_761_053_405
FLOOD = Limits(bad_tokens=Rate(20, 60, 20))
SLOW_FLOOD = Limits(bad_tokens=Rate(20, 86_400, 20))  # however slow the machine, none comes back


def bad_tokens(chance, stream_id=STREAM, now_s=NOW_S):
    """Yield tokens that open nothing, of every kind, without end."""
    ours = Tokens(Secret(SECRET), ManualClock(now_s * NS))
    theirs = Tokens(Secret("x" * 40), ManualClock(now_s * NS))
    first, second = ours.issue(stream_id).text, ours.issue_second(stream_id, "local").text
    hexes, printable = "0123456789abcdef", string.printable
    claims = second.split(".")[2]

    def flipped(text):
        at = chance.randrange(len(text))
        other = chance.choice([c for c in hexes + "." if c != text[at]])
        return text[:at] + other + text[at + 1 :]

    def some(alphabet, count):
        return "".join(chance.choice(alphabet) for _ in range(count))

    def forged_claims():
        said = base64.urlsafe_b64encode(some(printable, 90).encode()).decode().rstrip("=")
        return f"b2.{second.split('.')[1]}.{said}.{some(hexes, 43)}"

    while True:
        yield from (
            some(printable, chance.randrange(80)),
            f"{now_s + chance.randrange(10**6)}.{some(hexes, 16)}",
            first[: chance.randrange(len(first))],
            second[: chance.randrange(len(second))],
            flipped(first),
            flipped(second),
            first.upper() if first.upper() != first else f"{first}!",
            f"{first}{some(printable, 1)}",
            f" {first}",
            f"{first}\0",
            first.replace("1", "\u0661", 1),
            first.replace(".", "\uff0e"),
            "".join(chr(chance.randrange(1, 0xD7FF)) for _ in range(30)),
            "1e9." + some(hexes, 16),
            f"{'9' * chance.choice([13, 4000])}.{some(hexes, 16)}",
            f"{OTHER}.{first}",
            f"{stream_id}.{theirs.issue(stream_id).text}",
            theirs.issue(stream_id).text,
            theirs.issue_second(stream_id, "local").text,
            ours.issue(OTHER).text,
            ours.issue_second(OTHER, "local").text,
            f"b2.{second.split('.')[1]}.{claims}.",
            forged_claims(),
            ours.issue(stream_id, ttl_s=30 * 86_400).text,  # signed, but not registered
            f"bt_{some(string.ascii_letters, 43)}",
            f"bk_abcd_{some(string.ascii_letters, 43)}",
        )


def a_connection(text, address="192.0.2.1"):
    """Return what the verifier looks at of a connection."""
    return SimpleNamespace(
        headers={},
        query_params={"token": text},
        scope={"client": (address, 1), "subprotocols": [], "headers": []},
    )


@pytest.fixture(name="heard")
def _heard():
    """Collect all that the server logs, at DEBUG, as a handler prints it."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record):
            if not record.name.startswith(("httpcore", "httpx", "websockets.client")):
                lines.append(self.format(record))

    root, keep = logging.getLogger(), Keep()
    before = root.level
    install_redaction()
    root.addHandler(keep)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(keep)
    root.setLevel(before)


def shown(texts, lines, stream_id=STREAM):
    """Return those of the texts, long enough to mean anything, that stand in the lines."""
    said = "\n".join(lines)
    telling = {part for text in texts for part in [text, *text.split(".")] if len(part) >= 16}
    known = {stream_id, OTHER}
    return [part for part in telling - known if part in said]


def test_ten_thousand_bad_tokens_at_the_verifier(tmp_path, heard):
    """
    Each is refused as invalid, or as too many: nothing else is raised, they take less
    than 2 ms each, a good one passes in between, and no log holds any of them.
    """
    chance = random.Random(18)
    clock = ManualClock(NOW_S * NS)

    async def run():
        access = Access(some_settings(data_dir=tmp_path, limits=FLOOD), clock)
        good = (await access.issue(STREAM, "local"))[0].text
        kinds, texts = Counter(), []
        before_s = time.process_time()
        for n, text in zip(range(10_000), bad_tokens(chance), strict=False):
            texts.append(text)
            address = f"192.0.2.{n % 250}" if n % 3 else "198.51.100.7"
            try:
                access.admit(a_connection(text, address), STREAM)
                kinds["admitted"] += 1
            except TokenError as error:
                kinds[error.code] += 1
            except TooManyError as error:
                kinds[error.code] += 1
            if n % 100 == 0:
                access.admit(a_connection(good, address), STREAM)
        return kinds, texts, time.process_time() - before_s

    kinds, texts, all_s = asyncio.run(run())
    assert set(kinds) == {"token_invalid", "token_revoked", "bad_tokens"}
    assert sum(kinds.values()) == 10_000
    assert all_s / 10_000 < 0.002
    assert shown(texts, heard) == []


def test_a_megabyte_is_no_token(tmp_path):
    """
    Its length alone refuses it.
    """
    access = Access(some_settings(data_dir=tmp_path), ManualClock(NOW_S * NS))
    for text in ("1" * 1_000_000, "é" * 1_000_000, "b2." + "A" * 1_000_000):
        with pytest.raises(TokenError):
            access.admit(a_connection(text), STREAM)


def test_three_hundred_bad_tokens_through_the_socket(monkeypatch, heard):
    """
    The first twenty see 1008, the rest 429 before the handshake is done; the good client at
    the same address gets every record, and can connect again; nothing is logged.
    """
    chance = random.Random(19)

    async def scenario(server, created):
        tokens = bad_tokens(chance, created["stream_id"], int(time.time()))
        texts = [text for text, _ in zip(tokens, range(300), strict=False)]
        kinds = Counter()
        async with server.socket(created) as good:
            for n, text in enumerate(texts):
                kinds[await outcome(server, created, text)] += 1
                if n % 10 == 0:
                    await server.publish(created["stream_id"], (1000 + n, 1))
            assert len(await receive(good, 30)) == 30
        async with server.socket(created, after="0-0") as again:
            assert len(await receive(again, 30)) == 30
        assert set(kinds) <= {(1008, "token_invalid"), (1008, "token_revoked"), 429}
        assert kinds[429] == 280
        assert shown(texts, heard, created["stream_id"]) == []
        assert not [line for line in heard if "without completing handshake" in line]
        assert created["access_token"] not in "\n".join(heard)
        assert not [line for line in heard if "Traceback" in line]
        events = f"/v1/streams/{created['stream_id']}/events"
        answer = await server.http.get(events, params={"token": "x"})
        assert (answer.status_code, answer.json()["code"]) == (429, "bad_tokens")
        assert int(answer.headers["retry-after"]) >= 1

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, limits=SLOW_FLOOD) as server:
            await scenario(server, await server.create())

    asyncio.run(run())


async def outcome(server, created, text):
    """Return what a client with this token sees: a close code and reason, or an HTTP status."""
    try:
        async with server.socket(created, token=text) as socket:
            return await closing(socket)
    except InvalidStatus as refused:
        answer = refused.response
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    return answer.status_code


def test_a_megabyte_in_the_address_breaks_nothing(monkeypatch, heard):
    """
    The handshake is answered 414 at once, and the next client is served.
    """

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch) as server:
            created = await server.create()
            url = f"ws://{server.address}/ws/{created['stream_id']}?token={'1' * 1_000_000}"
            with pytest.raises((InvalidHandshake, OSError)) as refused:
                await connect(url, proxy=None, open_timeout=5)
            if isinstance(refused.value, InvalidStatus):
                assert refused.value.response.status_code == 414
            async with server.socket(created) as socket:
                await server.publish(created["stream_id"], (1000, 1))
                assert await receive(socket, 1) == ["1000-0"]
        assert "1" * 100 not in "\n".join(heard)

    asyncio.run(run())


def test_the_log_names_a_refused_token_by_its_hash(tmp_path, heard):
    """
    The first eight digits of its SHA-256, so that a user who knows it can find the line.
    """
    access = Access(some_settings(data_dir=tmp_path), ManualClock(NOW_S * NS))
    with pytest.raises(TokenError):
        access.admit(a_connection("abc"), STREAM)

    assert any("sha256 ba7816bf," in line and STREAM in line for line in heard)
