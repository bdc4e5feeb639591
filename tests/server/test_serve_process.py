"""The program itself: `bond serve` in a process of its own, with clients, and signals."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.server.programs import BOND, bond_serve, create
from tests.server.running import closing


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_signal_ends_it_in_order(tmp_path, number):
    """
    With clients connected that never leave, it tells them, ends within seconds, and with 0.
    """

    async def run():
        async with bond_serve(tmp_path) as program:
            created = await create(program)
            sockets = [await connect(created["ws_url"], proxy=None) for _ in range(3)]
            async with (
                httpx.AsyncClient(trust_env=False) as http,
                http.stream("GET", created["sse_url"]) as events,
            ):
                lines = events.aiter_lines()
                assert await anext(lines) == "retry: 2000"
                program.process.send_signal(number)
                endings = [await closing(one) for one in sockets]
                async for _ in lines:
                    pass
            async with asyncio.timeout(15):
                await program.read_to_the_end()
                status = await program.process.wait()
            assert endings == [(1012, "restart")] * 3
            assert status == 0, program.said.decode()
            assert b"Traceback" not in program.said, program.said.decode()

    asyncio.run(run())


def test_no_token_is_ever_logged(tmp_path):
    """
    At DEBUG, over HTTP, events and WebSocket, in address and header, good and bad: not once.
    """

    async def run():
        async with bond_serve(tmp_path, "--log-level", "debug") as program:
            created = await create(program)
            token = created["access_token"]
            bad = token[:-4] + ("0000" if token[-4:] != "0000" else "1111")
            three_parts = f"{created['stream_id']}.{token}"
            where = f"ws://{program.address}/ws/{created['stream_id']}"
            for presented in (token, bad, three_parts):
                bearer = {"Authorization": f"Bearer {presented}"}
                async with connect(f"{where}?token={presented}", proxy=None):
                    pass
                async with connect(where, additional_headers=bearer, proxy=None):
                    pass
                async with httpx.AsyncClient(trust_env=False) as http:
                    url = f"http://{program.address}/v1/streams/{created['stream_id']}/events"
                    async with http.stream("GET", url, params={"token": presented}):
                        pass
                    async with http.stream("GET", url, headers=bearer):
                        pass
                    await http.get(f"http://{program.address}/nothing?token={presented}")
            program.process.terminate()
            await program.read_to_the_end()
            said = program.said.decode()
            assert "token=***" in said
            assert "Bearer ***" in said
            for presented in (token, bad, three_parts, token.split(".")[1], bad.split(".")[1]):
                assert presented not in said

    asyncio.run(run())


def test_records_of_a_simulated_venue_arrive(tmp_path):
    """
    From a spec over a real connector and a simulated venue to a client of the real program.
    """

    async def run():
        async with bond_serve(tmp_path) as program:
            created = await create(program)
            async with connect(created["ws_url"], proxy=None) as client:
                async with asyncio.timeout(60):
                    frames = [await client.recv() for _ in range(3)]
            assert all('"price_avg"' in frame for frame in frames)
            program.process.terminate()
            await program.read_to_the_end()

    asyncio.run(run())


def test_a_port_that_is_taken_is_said(tmp_path):
    """
    It ends with 1, and names another port that can be tried.
    """

    async def run():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            process = await asyncio.create_subprocess_exec(
                *BOND, "serve", "--port", str(port), stderr=asyncio.subprocess.PIPE, cwd=tmp_path,
                env=dict(os.environ) | {"BOND_DATA_DIR": str(tmp_path)},
            )  # fmt: skip
            _, said = await process.communicate()
            assert process.returncode == 1
            assert f"127.0.0.1 port {port}".encode() in said
            assert b"try: bond serve --port" in said

    asyncio.run(run())
