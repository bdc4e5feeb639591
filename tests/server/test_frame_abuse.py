"""What clients send that they should not, and connections that never say what they want.

The cases are those of the Autobahn test suite that concern a server which takes no messages:
reserved bits and opcodes, control frames, fragments, text that is no UTF-8, closing.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
import zlib
from contextlib import suppress

import pytest

from bond_core.clock import NS, ManualClock
from bond_server.delivery import transport
from tests.server.journal import nothing_left_behind, open_files, until_true
from tests.server.peers import BINARY, CLOSE, PING, PONG, TEXT, a_peer, connected, ws_path
from tests.server.running import receive, serving

NOW_S = 1_761_053_400
T = NOW_S * 1000


def on_a_server(monkeypatch, scenario, **options):
    """Create a stream on a server, and run `scenario(server, created)`."""

    async def run():
        async with asyncio.timeout(60), serving(monkeypatch, **options) as server:
            created = await server.create()
            async with nothing_left_behind():
                await scenario(server, created)

    asyncio.run(run())


def a_bomb():
    """Return a megabyte that is a kilobyte once deflated."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(b"\0" * 2**20) + deflate.flush(zlib.Z_SYNC_FLUSH)[:-4]


PIECE = {"fin": False}
REFUSED = {
    "5 KiB of text": (1009, [(TEXT, b"x" * 5000)]),
    "5 KiB in pieces": (1009, [(TEXT, b"", PIECE)] + [(0, b"x" * 1000, PIECE)] * 5),
    "16 MiB announced": (1009, [b"\x82\xff" + (2**24).to_bytes(8, "big") + bytes(4)]),
    "2^63 announced": (1009, [b"\x82\xff" + (2**63 - 1).to_bytes(8, "big") + bytes(4)]),
    "no UTF-8": (1007, [(TEXT, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited")]),
    "no UTF-8 in pieces": (1007, [(TEXT, b"\xce", {"fin": False}), (0, b"\xff")]),
    "cut UTF-8": (1007, [(TEXT, b"\xe2\x82")]),
    "reserved bit 1": (1002, [(TEXT, b"x", {"rsv": 0x40})]),
    "reserved bit 2": (1002, [(TEXT, b"x", {"rsv": 0x20})]),
    "reserved bit 3": (1002, [(BINARY, b"x", {"rsv": 0x10})]),
    "deflated, though nobody agreed to it": (1002, [(TEXT, a_bomb(), {"rsv": 0x40})]),
    "opcode 3": (1002, [(3, b"")]),
    "opcode 7": (1002, [(7, b"x")]),
    "opcode 11": (1002, [(11, b"")]),
    "opcode 15": (1002, [(15, b"x")]),
    "not masked": (1002, [(TEXT, b"x", {"masked": False})]),
    "a ping of 126 bytes": (1002, [(PING, b"x" * 126)]),
    "a ping in pieces": (1002, [(PING, b"x", {"fin": False})]),
    "a piece of nothing": (1002, [(0, b"x")]),
    "a text within another": (1002, [(TEXT, b"x", {"fin": False}), (TEXT, b"x")]),
    "close with 1 byte": (1002, [(CLOSE, b"x")]),
    "close with code 999": (1002, [(CLOSE, (999).to_bytes(2, "big"))]),
    "close with code 1005": (1002, [(CLOSE, (1005).to_bytes(2, "big"))]),
    "close with no UTF-8": (1007, [(CLOSE, b"\x03\xe8\xff")]),
    "1000 texts": (1008, [(TEXT, b"x")] * 1000),
    "1000 empty texts in pieces": (1008, [(TEXT, b"", {"fin": False}), (0, b"")] * 1000),
}  # fmt: skip


def test_what_is_refused_has_its_code(monkeypatch, caplog):
    """
    F20: the close code says what was wrong; it is no fault of ours, and others notice nothing.
    """

    async def code_of(server, created, sent):
        async with a_peer(server.address, ws_path(created)) as peer:
            for one in sent:
                if isinstance(one, bytes):
                    peer.writer.write(one)
                else:
                    opcode, payload, *how = one
                    peer.send(opcode, payload, **(how[0] if how else {}))
            return (await peer.texts_to_the_end())[1]

    async def scenario(server, created):
        async with server.socket(created) as other:
            codes = {
                case: await code_of(server, created, sent) for case, (_, sent) in REFUSED.items()
            }
            await server.publish(created["stream_id"], (T, 1))
            assert await receive(other, 1) == [f"{T}-0"]
        wrong = {case: got for case, got in codes.items() if got != REFUSED[case][0]}
        # Whoever still sends when it is refused may be reset before it reads why.
        assert {case: got for case, got in wrong.items() if "1000" not in case} == {}
        assert set(wrong.values()) <= {1006}

    on_a_server(monkeypatch, scenario, clock=ManualClock(NOW_S * NS))
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "sent",
    [
        [(PING, b""), (PING, b"x" * 125), (PING, b"\x00\xff")],
        [(PONG, b""), (PONG, b"unasked")],
        [(TEXT, b"a", {"fin": False}), (PING, b"between"), (0, b"b")],
        [(TEXT, "κόσμε".encode()), (BINARY, b"\x00\xff"), (TEXT, b"")],
        [(TEXT, b"\xce", {"fin": False}), (0, b"\xba")],
    ],
    ids=["pings", "pongs", "a ping between pieces", "texts", "a letter in pieces"],
)
def test_what_is_allowed_is_answered_and_goes_on(monkeypatch, sent):
    """
    F20: pings are answered with what they brought, in order; all the rest is taken and dropped.
    """

    async def scenario(server, created):
        async with a_peer(server.address, ws_path(created)) as peer:
            for opcode, payload, *how in sent:
                peer.send(opcode, payload, **(how[0] if how else {}))
            peer.send(PING, b"the last")
            wanted = [payload for opcode, payload, *_ in sent if opcode == PING] + [b"the last"]
            assert [await peer.frame() for _ in wanted] == [(PONG, one) for one in wanted]
            await server.publish(created["stream_id"], (T, 1))
            assert (await peer.record())["id"] == f"{T}-0"

    on_a_server(monkeypatch, scenario)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_a_goodbye_is_answered(monkeypatch, code):
    """
    F20: with the code that came.
    """

    async def scenario(server, created):
        async with a_peer(server.address, ws_path(created)) as peer:
            peer.send(CLOSE, code.to_bytes(2, "big") + b"so long")
            assert (await peer.texts_to_the_end())[1] == code

    on_a_server(monkeypatch, scenario)


def test_answers_to_pings_do_not_pile_up(monkeypatch):
    """
    F20: a client that sends pings and reads nothing gets no memory for the answers.
    """
    made = []

    class Seen(transport.WebSocketProtocol):
        async def run_asgi(self):
            made.append(self)
            await super().run_asgi()

    monkeypatch.setattr(transport, "WebSocketProtocol", Seen)
    monkeypatch.setattr(transport, "CLOSE_WITHIN_S", 0.2)

    async def scenario(server, created):
        async with a_peer(server.address, ws_path(created), receive_bytes=4096) as peer:
            for _ in range(100):
                for _ in range(400):
                    peer.send(PING, b"x" * 125)
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await peer.writer.drain()
            assert made[0].transport.get_write_buffer_size() < 32_768
            peer.writer.transport.abort()

    on_a_server(monkeypatch, scenario)
    made.clear()
    gc.collect()


def test_whoever_asks_for_nothing_is_cut(monkeypatch):
    """
    F21: hundreds that connect and say nothing, or drip a header, hold nobody up, are no more
    than allowed, and are gone when their time is over.
    """
    monkeypatch.setattr(transport, "REQUEST_WITHIN_S", 0.5)
    monkeypatch.setattr(transport, "MOST_UNFINISHED", 50)

    async def scenario(server, created):
        writers, before = [], open_files()
        for i in range(300):
            _, writer = await connected(server.address)
            if i % 2:
                writer.write(b"GET / HTTP/1.1\r\nX-Drip: ")
            writers.append(writer)
        await until_true(lambda: open_files() <= before + 300 + 55)
        began = time.monotonic()
        async with server.socket(created) as socket:
            await server.publish(created["stream_id"], (T, 1))
            assert await receive(socket, 1) == [f"{T}-0"]
        assert time.monotonic() - began < 1.0
        await until_true(lambda: open_files() <= before + 300 + 5)
        for writer in writers:
            writer.transport.abort()

    on_a_server(monkeypatch, scenario)


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET / HTTP/1.1\r\n", b"POST /v1/streams HTTP/1.1\r\nContent-Length: 100\r\n\r\n{"],
    ids=["nothing", "headers", "body"],
)
def test_a_request_must_come_in_whole(monkeypatch, begun):
    """
    F21: a second request on a connection that has served one, too.
    """
    monkeypatch.setattr(transport, "REQUEST_WITHIN_S", 0.3)

    async def scenario(server, created):
        for first in (b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"):
            if first and not begun:
                continue  # between requests it is uvicorn's own time that counts
            reader, writer = await connected(server.address)
            writer.write(first)
            if first:
                assert b'"ok"' in await reader.readuntil(b"}")
            writer.write(begun)
            with suppress(ConnectionError):
                await reader.read()
            writer.transport.abort()
            await asyncio.sleep(0)

    on_a_server(monkeypatch, scenario)


def test_random_bytes_break_nothing(monkeypatch):
    """
    F20: after the handshake, whatever comes.
    """
    chance = random.Random(20)

    async def scenario(server, created):
        for _ in range(30):
            async with a_peer(server.address, ws_path(created)) as peer:
                peer.writer.write(chance.randbytes(chance.randint(1, 3000)))
                peer.writer.write_eof()
                with suppress(ConnectionError):
                    _, code = await peer.texts_to_the_end()
                    assert code != 1011
        assert (await server.http.get("/health/live")).status_code == 200

    on_a_server(monkeypatch, scenario)
