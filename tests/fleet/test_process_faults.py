"""Faults of processes: `bond serve` in its roles, killed, stopped and replaced, over a real Redis.

Streams are of a simulated venue, and clients are WebSockets at the broker, with envelopes. After
each fault the log is read: a window is there once, or the log says that it is lost.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from bond_server.redis_log.log import redis_log
from tests.fleet.fleets import owner_of, truth_of, until
from tests.server.journal import Got, check
from tests.server.programs import bond_serve, create
from tests.server.running import SECRET, SPEC

LEASE_S = 1.0
LONG_S = 10.0
"""The usual lease: what is handed over needs none to end, and a busy machine loses none."""

ROUNDS = int(os.environ.get("BOND_FAULT_ROUNDS", "2"))
"""How often a long test repeats its fault."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


class Fleet:
    """An api and a broker, workers that come and go, and clients of their streams."""

    def __init__(self, folder, port, stack, lease_s, **variables):
        self._folder = folder
        self._stack = stack
        self.redis = Redis(port=port)
        self.url = f"redis://127.0.0.1:{port}/0"
        self._environ = {
            "REDIS_URL": self.url, "BOND_LEASE_SEC": f"{lease_s:g}", "BOND_SECRET": SECRET,
            "BOND_RING_SECONDS": "86400", "BOND_MAX_STREAMS": "50", "BOND_DRAIN_SECONDS": "0.5",
            **variables,
        }  # fmt: skip
        self.workers = {}

    async def start(self, role, *arguments, **variables):
        """Start a process; one that is a worker is noted by its id."""
        program = await self._stack.enter_async_context(
            bond_serve(self._folder, "--role", role, *arguments, **(self._environ | variables))
        )
        if role in ("worker", "all"):
            self.workers[program.process.pid] = program
        return program

    async def owner(self, stream_id):
        """Return the worker that owns a stream."""
        return self.workers.get(await self.owner_id(stream_id))

    async def owner_id(self, stream_id):
        """Return the process id of the worker that owns a stream."""
        name = await owner_of(self.redis, stream_id)
        return int(name.split("-")[-2]) if name else None

    async def is_owned_by_other(self, stream_id, pid):
        """Whether a living worker but this one owns a stream."""
        owner = await self.owner_id(stream_id)
        return owner is not None and owner != pid

    async def truth(self, stream_id):
        """Return what the log holds."""
        async with redis_log(self.url) as log:
            return await truth_of(log, stream_id, every_s=1.0)


@asynccontextmanager
async def processes(folder, port, *roles, lease_s=LEASE_S, **variables):
    """Run a process of each role."""
    async with AsyncExitStack() as stack:
        fleet = Fleet(folder, port, stack, lease_s, **variables)
        stack.push_async_callback(fleet.redis.aclose)
        yield fleet, [await fleet.start(role) for role in roles]


class Client:
    """Listens to a stream, resumes whenever it is cut off, and notes what it gets."""

    def __init__(self, brokers, created):
        self.brokers = brokers
        self.created = created
        self.got = Got()
        self.partial = []
        self.away_s = []
        self._epoch = ""

    async def __aenter__(self):
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *exc):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self):
        cut_s = None
        while True:
            broker = self.brokers[-1]
            query = {"token": self.created["access_token"], "after": self.got.last or "0-0",
                     "epoch": self._epoch}  # fmt: skip
            url = httpx.URL(f"ws://{broker.address}/ws/{self.created['stream_id']}", params=query)
            try:
                async with connect(str(url), subprotocols=["bond.v1.json"], proxy=None) as socket:
                    while True:
                        frame = json.loads(await socket.recv())
                        if cut_s is not None:
                            self.away_s.append(time.monotonic() - cut_s)
                            cut_s = None
                        self._take(frame)
            except ConnectionClosed as closed:
                self.got.codes.append(closed.rcvd.code if closed.rcvd else 1006)
            except OSError:
                pass
            cut_s = cut_s or time.monotonic()
            await asyncio.sleep(0.05)

    def _take(self, frame):
        if frame["t"] == "hello":
            self._epoch = frame["epoch"]
        elif frame["t"] == "gap":
            self.got.gaps.append((frame["from"], frame["to"]))
        elif frame["t"] == "ev":
            # The record's own bytes are between the envelope's; equal objects do for equal bytes.
            self.got.records.append((frame["id"], frame["d"]))
            self.partial.append(frame["d"]["partial"])

    async def records(self, more, within_s=30):
        """Wait for so many more."""
        goal = len(self.got.records) + more

        async def are_there():
            return len(self.got.records) >= goal

        await until(are_there, within_s)

    def check(self, truth):
        """Check what it got against the log, as far as it has come."""
        truth.written.data = {name: json.loads(raw) for name, raw in truth.written.data.items()}
        self.check_against(truth.written)

    def check_against(self, written):
        """Check what it got against records that were read already."""
        check(written, [self.got])


def a_spec(n=0):
    """Return a spec that differs from others."""
    return {"spec": SPEC | {"simulate": True, "corrections_sec": n + 1, "late": "update"}}


def tell(what):
    """Say what was seen, for whoever runs it to see: `-s` shows it."""
    sys.stdout.write(f"\n{what}\n")


SIMPLE = {"spec": SPEC | {"simulate": True}}


async def kill_owners(tmp_path, port, times, number, lease_s):
    """Kill the owner again and again; return how long each time nobody owned the stream."""
    took_s, chance = [], random.Random(number)
    roles = ("api", "broker", "worker")
    async with processes(tmp_path, port, *roles, lease_s=lease_s) as (fleet, (api, broker, _)):
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

                await until(is_taken, within_s=LEASE_S + 3)
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

    assert max(took_s) <= LEASE_S + 1
    assert truth.lost <= 4 * times  # the lease, a second to close windows, a second to begin
    assert client.got.codes == []
    tell(f"F1: taken over within {max(took_s):.2f} s; {truth.lost} windows lost in {times} kills")


@pytest.mark.parametrize("times", [1, pytest.param(ROUNDS, marks=pytest.mark.faults)])
def test_f2_an_owner_told_to_end(tmp_path, redis_port, times):
    """
    Handed over within 1.5 s; no window is missing, one each time is partial; clients stay.
    """
    took_s, truth, client = asyncio.run(
        kill_owners(tmp_path, redis_port, times, signal.SIGTERM, LONG_S)
    )

    assert max(took_s) <= 1.5
    assert truth.lost == 0
    assert client.got.gaps == []
    assert client.got.codes == []
    tell(f"F2: handed over within {max(took_s):.2f} s in {times} SIGTERMs, no window lost")


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

                await until(is_taken, within_s=LEASE_S + 1)
                left_s = stopped_s - (time.monotonic() - stopped_at_s)
                await asyncio.sleep(max(0, left_s))
                await client.records(1)
                owner.process.send_signal(signal.SIGCONT)

                async def is_let_go():
                    return await streams_running(owner) == 0

                await until(is_let_go, within_s=3)
                await client.records(4)
                truth = await fleet.truth(stream_id)
                client.check(truth)
                assert truth.lost <= LEASE_S + 3
                assert await fleet.is_owned_by_other(stream_id, owner.process.pid)

    asyncio.run(run())


@pytest.mark.faults
def test_f28_all_are_replaced_one_after_the_other(tmp_path, redis_port):
    """
    Workers and broker by turns, with clients connected: nothing twice, nothing lost untold.
    """

    async def run():
        async with processes(
            tmp_path, redis_port, "api", "broker", "worker", "worker", lease_s=LONG_S
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
                assert away_s[int(len(away_s) * 0.95) - 1] < 6
                assert lost == 0
                tell(f"F28: {len(away_s)} reconnects, 95 of 100 within {away_s[-1]:.2f} s")

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
