"""What outlives `bond serve`: which streams there were, their ids, and the tokens for them."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.server.programs import BOND, SIMULATED, bond_serve, create
from tests.server.running import SPEC, closing, in_order


async def listing(program):
    """Return the streams that a server lists."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        return (await http.get(f"http://{program.address}/v1/streams")).json()


def where(program, created, **query):
    """Return a created stream's address at a server that was started later."""
    url = f"ws://{program.address}/ws/{created['stream_id']}"
    return str(httpx.URL(url, params={"token": created["access_token"]} | query))


async def persistent_token(program, created):
    """Return a registered token."""
    url = f"http://{program.address}/v1/streams/{created['stream_id']}/token"
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.post(url, json={"persistent": True})).json()["token"]


async def end(program, number):
    """Send a signal, and wait until the process is gone."""
    program.process.send_signal(number)
    async with asyncio.timeout(30):
        await program.read_to_the_end()
        await program.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_streams_run_again_after_a_restart(tmp_path, number):
    """
    Same ids, same creation, old tokens; a client that resumes is told of the other epoch.
    """

    async def run():
        async with bond_serve(tmp_path) as program:
            created = await create(program)
            lasting = await persistent_token(program, created)
            await create(program, {"spec": SPEC | {"simulate": True, "interval_sec": 2}})
            envelopes = ["bond.v1.json"]
            async with connect(created["ws_url"], subprotocols=envelopes, proxy=None) as socket:
                async with asyncio.timeout(60):
                    hello = json.loads(await socket.recv())
                    last = json.loads(await socket.recv())["id"]
            before = await listing(program)
            await end(program, number)

        async with bond_serve(tmp_path) as program:
            after = await listing(program)
            resumed = where(program, created, after=last, epoch=hello["epoch"])
            async with connect(resumed, subprotocols=envelopes, proxy=None) as socket:
                async with asyncio.timeout(60):
                    told = [json.loads(await socket.recv()) for _ in range(3)]
                    while not told[-1]["d"]["partial"]:  # windows that were over before
                        told.append(json.loads(await socket.recv()))
                    told.append(json.loads(await socket.recv()))
            plain = where(program, created | {"access_token": lasting}, after=last)
            async with connect(plain, proxy=None) as socket, asyncio.timeout(60):
                replay = socket.response.headers["Bond-Replay"]
                first = json.loads(await socket.recv())

        def kept(listed):
            return [{k: v for k, v in one.items() if k != "state"} for one in listed]

        assert len(before) == 2
        assert kept(after) == kept(before)
        assert [each["t"] for each in told] == ["hello", "gap", *["ev"] * (len(told) - 2)]
        assert told[0]["epoch"] != hello["epoch"]
        assert told[0]["recovered"] is False
        assert (told[1]["from"], told[1]["reason"]) == (last, "epoch")
        assert told[1]["to"] == told[2]["id"]
        ids = in_order([last, *(each["id"] for each in told[2:])])
        assert ids == sorted(set(ids))
        assert replay == "truncated"
        assert first["id"] == told[2]["id"]
        # From its snapshot it goes on with a gap; without one it begins anew, with a takeover.
        codes = [
            {n["code"] for n in each["d"]["notices"]} & {"gap", "takeover"} for each in told[2:]
        ]
        assert sum(len(each) for each in codes) == 1
        assert not codes[-1]

    asyncio.run(run())


def test_what_was_deleted_stays_away(tmp_path):
    """
    After a restart it isn't listed, and its token opens nothing.
    """

    async def run():
        async with bond_serve(tmp_path) as program:
            created = await create(program)
            async with httpx.AsyncClient(trust_env=False) as http:
                url = f"http://{program.address}/v1/streams/{created['stream_id']}"
                assert (await http.delete(url)).status_code == 204
            await end(program, signal.SIGKILL)

        async with bond_serve(tmp_path) as program:
            assert await listing(program) == []
            async with connect(where(program, created), proxy=None) as socket:
                assert await closing(socket) == (4404, "stream_deleted")

    asyncio.run(run())


def test_a_stream_that_has_ended_says_so_after_a_restart(tmp_path):
    """
    Whoever comes back with a token hears that it is complete, not that it never was.
    """

    async def run():
        async with bond_serve(tmp_path) as program:
            created = await create(program, SIMULATED | {"duration_sec": 2})
            async with connect(created["ws_url"], proxy=None) as socket:
                assert await closing(socket) == (1000, "complete")
            await end(program, signal.SIGKILL)

        async with bond_serve(tmp_path) as program:
            assert [each["state"] for each in await listing(program)] == ["complete"]
            async with connect(where(program, created), proxy=None) as socket:
                assert await closing(socket) == (1000, "complete")

    asyncio.run(run())


def test_a_second_server_on_the_directory_is_refused(tmp_path):
    """
    It names the process that holds it, and what to do; the first one runs on.
    """

    async def run():
        async with bond_serve(tmp_path) as program:
            said, status = await refused(tmp_path)
            assert status == 1
            assert f"process {program.process.pid} on " in said
            assert "BOND_DATA_DIR" in said
            assert await listing(program) == []

    asyncio.run(run())


@pytest.mark.parametrize("damage", [b"", b'{"version": 1, "streams": {"8f', b"[]"])
def test_a_damaged_registry_is_refused(tmp_path, damage):
    """
    The server doesn't start, says which file, and leaves it as it is.
    """
    path = tmp_path / "streams.json"
    path.write_bytes(damage)

    said, status = asyncio.run(refused(tmp_path))

    assert status == 1
    assert f"{path} is damaged" in said
    assert f"mv {path}" in said
    assert path.read_bytes() == damage


def test_a_stream_that_can_not_run_is_kept(tmp_path):
    """
    Without the plugin it needs, it is listed as failed, and why; with it, it runs again.
    """

    async def run():
        async with bond_serve(tmp_path) as program:
            created = await create(program)
            await end(program, signal.SIGTERM)

        async with bond_serve(tmp_path, BOND_PLUGINS="sim") as program:
            (listed,) = await listing(program)
            assert (listed["stream_id"], listed["state"]) == (created["stream_id"], "failed")
            async with httpx.AsyncClient(trust_env=False) as http:
                url = f"http://{program.address}/v1/streams/{created['stream_id']}"
                shown = (await http.get(url)).json()
                assert "bond-ccxt" in shown["failure"]
            async with connect(where(program, created), proxy=None) as socket:
                assert await closing(socket) == (1011, "internal")

        async with (
            bond_serve(tmp_path) as program,
            connect(where(program, created), proxy=None) as socket,
            asyncio.timeout(60),
        ):
            assert '"price_avg"' in await socket.recv()

    asyncio.run(run())


async def refused(tmp_path):
    """Start a server that refuses to; return what it says, and its status."""
    environ = {"BOND_DATA_DIR": str(tmp_path), "PATH": "", **python_path()}
    process = await asyncio.create_subprocess_exec(
        *BOND, "serve", "--port", "0", stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT, cwd=tmp_path, env=environ,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    return said.decode(), process.returncode


def python_path():
    """Return where the packages are that this process uses."""
    return {"PYTHONPATH": ":".join(path for path in sys.path if path)}
