"""Faults of processes: `bond serve` in its roles, killed, stopped and replaced, over a real Redis.

Streams are of a simulated venue, and clients are WebSockets at the broker, with envelopes. After
each fault the log is read: a window is there once, or the log says that it is lost.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from contextlib import AsyncExitStack

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.fleet.fleets import hurry, until
from tests.fleet.processes import (
    LEASE_S,
    LONG_S,
    PATIENT_S,
    ROUNDS,
    SEED,
    SIMPLE,
    Client,
    a_spec,
    processes,
    tell,
)
from tests.server.programs import create

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


async def kill_owners(tmp_path, port, times, number, lease_s):
    """Kill the owner again and again; return how long each time nobody owned the stream."""
    took_s, chance = [], random.Random(f"{SEED} {number}")
    roles, variables = ("api", "broker", "worker"), {"BOND_HAND_OVER_SECONDS": PATIENT_S}
    async with processes(tmp_path, port, *roles, lease_s=lease_s, **variables) as (
        fleet,
        (api, broker, _),
    ):
        created = await create(api, SIMPLE)
        stream_id = created["stream_id"]
        async with Client([broker], created) as client:
            await client.records(2)
            for _ in range(times):
                await fleet.start("worker")
                await client.records(2)
                await asyncio.sleep(chance.uniform(0, 1))
                owner = await fleet.owner(stream_id)
                owner.process.send_signal(number)
                since_s = time.monotonic()

                async def is_taken(pid=owner.process.pid):
                    return await fleet.is_owned_by_other(stream_id, pid)

                await until(is_taken, within_s=60)
                took_s.append(time.monotonic() - since_s)
                await client.records(2)
            await client.records(2)
            truth = await fleet.truth(stream_id)
            client.check(truth)
        return took_s, truth, client


@pytest.mark.parametrize("times", [1, pytest.param(ROUNDS, marks=pytest.mark.faults)])
def test_f1_a_killed_owner(tmp_path, redis_port, times):
    """
    Taken over within lease + 1 s; what was lost is told; the next window is partial.
    """
    took_s, truth, client = asyncio.run(
        kill_owners(tmp_path, redis_port, times, signal.SIGKILL, LEASE_S)
    )

    assert max(took_s) <= (LEASE_S + 1) * hurry()
    assert (
        truth.lost <= 4 * times * hurry()
    )  # the lease, a second to close windows, a second to begin
    assert client.got.codes == []
    tell(f"F1: taken over within {max(took_s):.2f} s; {truth.lost} windows lost in {times} kills")


@pytest.mark.parametrize("times", [1, pytest.param(ROUNDS, marks=pytest.mark.faults)])
def test_f2_an_owner_told_to_end(tmp_path, redis_port, times):
    """
    Handed over within 1.5 s; no window is missing, one each time is partial; clients stay.

    A machine with more to do than it has cores for may take longer over it, and loses none. Of
    what takes seconds a window each second may be partial: the next owner began within it.
    """
    took_s, truth, client = asyncio.run(
        kill_owners(tmp_path, redis_port, times, signal.SIGTERM, LONG_S)
    )

    assert truth.lost == 0
    assert client.got.gaps == []
    partial = client.partial.count(True) - 1
    tell(f"F2: handed over within {max(took_s):.2f} s in {times} SIGTERMs; {partial} windows "
         f"partial, {truth.lost} lost")  # fmt: skip
    assert partial <= sum(max(1, int(seconds)) for seconds in took_s)
    assert max(took_s) <= 1.5 * hurry()
    assert client.got.codes == []


def test_a_worker_that_stands_by_leaves_no_hole(tmp_path, redis_port):
    """
    With BOND_STANDBY=1 a killed owner costs no window, and no window is partial but the first.
    """

    async def run():
        async with processes(
            tmp_path, redis_port, "api", "broker", "worker", "worker", BOND_STANDBY="1"
        ) as (fleet, (api, broker, *workers)):
            created = await create(api, SIMPLE)
            async with Client([broker], created) as client:
                await client.records(2)

                async def both_run():
                    return [await streams_running(worker) for worker in workers] == [1, 1]

                await until(both_run)
                await client.records(3)
                (await fleet.owner(created["stream_id"])).process.kill()
                await client.records(6)
                truth = await fleet.truth(created["stream_id"])
                client.check(truth)
                assert truth.lost == 0
                assert client.got.gaps == []
                assert client.partial[1:] == [False] * (len(client.partial) - 1)

    asyncio.run(run())


async def streams_running(program):
    """Return how many streams run in a process, as it says."""
    async with httpx.AsyncClient(trust_env=False) as http:
        said = (await http.get(f"http://{program.address}/metrics")).text
    return next(
        (float(line.split()[-1]) for line in said.splitlines()
         if line.startswith('bond_streams{state="running"}')), 0.0,
    )  # fmt: skip


@pytest.mark.faults
def test_f3_an_owner_that_is_stopped_and_wakes(tmp_path, redis_port):
    """
    Another takes over; the one that wakes writes nothing more, and lets go within a second. It
    is stopped for 15 s; for less in a short round.
    """
    stopped_s = min(15, 3 * ROUNDS)

    async def run():
        async with processes(tmp_path, redis_port, "api", "broker", "worker") as (fleet, programs):
            api, broker, _ = programs
            created = await create(api, SIMPLE)
            stream_id = created["stream_id"]
            async with Client([broker], created) as client:
                await client.records(2)
                await fleet.start("worker")
                await client.records(1)
                owner = await fleet.owner(stream_id)
                owner.process.send_signal(signal.SIGSTOP)
                stopped_at_s = time.monotonic()

                async def is_taken():
                    return await fleet.is_owned_by_other(stream_id, owner.process.pid)

                await until(is_taken, within_s=(LEASE_S + 1) * hurry())
                left_s = stopped_s - (time.monotonic() - stopped_at_s)
                await asyncio.sleep(max(0, left_s))
                await client.records(1)
                owner.process.send_signal(signal.SIGCONT)

                async def is_let_go():
                    return await streams_running(owner) == 0

                await until(is_let_go, within_s=3 * hurry())
                await client.records(4)
                truth = await fleet.truth(stream_id)
                client.check(truth)
                assert truth.lost <= (LEASE_S + 3) * hurry()
                assert await fleet.is_owned_by_other(stream_id, owner.process.pid)

    asyncio.run(run())


@pytest.mark.faults
def test_f28_all_are_replaced_one_after_the_other(tmp_path, redis_port):
    """
    Workers and broker by turns, with clients connected: nothing twice, nothing lost.
    """

    async def run():
        async with processes(
            tmp_path,
            redis_port,
            "api",
            "broker",
            "worker",
            "worker",
            lease_s=LONG_S,
            BOND_HAND_OVER_SECONDS=PATIENT_S,
        ) as (
            fleet,
            (api, broker, *_),
        ):
            made = [await create(api, a_spec(n)) for n in range(4)]
            brokers = [broker]
            async with AsyncExitStack() as stack:
                clients = [
                    await stack.enter_async_context(Client(brokers, made[n % 4])) for n in range(8)
                ]
                for client in clients:
                    await client.records(2)
                for _ in range(ROUNDS):
                    for pid in list(fleet.workers)[:2]:
                        await fleet.start("worker")
                        old = fleet.workers.pop(pid)
                        old.process.terminate()
                        await old.read_to_the_end()
                    brokers.append(await fleet.start("broker"))
                    brokers[-2].process.terminate()
                    await brokers[-2].read_to_the_end()
                    for client in clients:
                        await client.records(2)
                lost, away_s = 0, []
                for n, created in enumerate(made):
                    for client in clients[n::4]:
                        truth = await fleet.truth(created["stream_id"])
                        client.check(truth)
                        away_s += client.away_s
                        assert set(client.got.codes) <= {1012}
                    lost += truth.lost
                away_s.sort()
                assert away_s[int(len(away_s) * 0.95) - 1] < 6 * hurry()
                assert lost == 0
                tell(f"F28: {len(away_s)} reconnects, longest {away_s[-1]:.2f} s; none lost")

    asyncio.run(run())


@pytest.mark.faults
def test_f26_no_more_file_descriptors(tmp_path, redis_port):
    """
    With a limit of 256, clients beyond it are refused; the process lives, and serves again.
    """

    async def run():
        import resource

        async with processes(tmp_path, redis_port, "worker", "api") as (fleet, (_, api)):
            broker = await fleet.start("broker")
            resource.prlimit(broker.process.pid, resource.RLIMIT_NOFILE, (256, 256))
            created = await create(api, SIMPLE)
            url = (f"ws://{broker.address}/ws/{created['stream_id']}"
                   f"?token={created['access_token']}")  # fmt: skip
            async with AsyncExitStack() as stack:
                refused = 0
                for _ in range(300):
                    try:
                        async with asyncio.timeout(2):
                            await stack.enter_async_context(connect(url, proxy=None))
                    except (TimeoutError, OSError, WebSocketException):
                        refused += 1
                        if refused > 3:
                            break
                assert refused
            async with asyncio.timeout(30), connect(url, proxy=None) as socket:
                assert '"price_avg"' in await socket.recv()
            assert broker.process.returncode is None

    asyncio.run(run())
