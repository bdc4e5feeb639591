"""F29: clients that come and go, and faults at random, for as long as it is told.

Redis keeps its file. Of what the log held, all is collected as it is written, since what is kept
is as short as usual: so memory that grows has no excuse.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import attrs
import pytest

from bond_core.errors import LogUnavailableError
from bond_core.log.offset import START, parse_offset
from bond_server.redis_log.log import redis_log
from tests.fleet.fleets import hurry, truth_in, until
from tests.fleet.processes import SEED, Client, a_spec, processes, tell
from tests.fleet.test_redis_faults_of_a_fleet import KEPT
from tests.log.servers import free_ports, redis_server
from tests.server.programs import create

MINUTES = float(os.environ.get("BOND_SOAK_MINUTES", "1"))
STREAMS, CLIENTS = 4, 16
LONG_ENOUGH_MIN = 20
"""Below it memory still settles, and says nothing of what it does in an hour."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Collector:
    """Reads all that the log of a stream ever holds, while it holds it."""

    def __init__(self, url, stream_id):
        self.url = url
        self.stream_id = stream_id
        self.entries = []

    async def run(self):
        async with redis_log(self.url) as log:
            while True:
                with suppress(LogUnavailableError):
                    await self.read(log)
                await asyncio.sleep(2)

    async def read(self, log):
        while True:
            after = self.entries[-1].offset if self.entries else START
            page = await log.read(self.stream_id, after)
            self.entries += page.entries
            if not page.entries:
                return


async def comes_and_goes(client, chance):
    """Listen for a random while, leave for another, and resume."""
    while True:
        listening = asyncio.create_task(client._listen())
        try:
            await asyncio.sleep(chance.uniform(0.1, 5))
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        await asyncio.sleep(chance.uniform(0, 1))


class Server:
    """A Redis that can be killed and started again."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_ports(1)[0]
        self._running = None
        self.process = None

    def start(self):
        self._running = redis_server(self.folder, *KEPT, port=self.port)
        self.process, _ = self._running.__enter__()

    def stop(self):
        self._running.__exit__(None, None, None)


def used(pid):
    """Return a process's memory in MiB, and its open files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    rss = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return rss / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def slope_mib_per_h(samples):
    """Return how memory grows over the second half of what was sampled."""
    half = samples[len(samples) // 2 :]
    return statistics.linear_regression([at / 3600 for at, *_ in half], [m for _, m, _ in half])[0]


async def soak(folder, server, seen):
    """Run a fleet with clients and faults; return the clients and the collectors."""
    chance = random.Random(SEED)
    async with processes(
        folder, server.port, "api", "broker", "worker", "worker", BOND_RING_SECONDS="60"
    ) as (fleet, (api, broker, *_)):
        made = [await create(api, a_spec(n)) for n in range(STREAMS)]
        collectors = [Collector(fleet.url, one["stream_id"]) for one in made]
        clients = [Client([broker], made[n % STREAMS]) for n in range(CLIENTS)]
        async with AsyncExitStack() as stack:
            for work in (
                *(one.run() for one in collectors),
                *(comes_and_goes(c, random.Random(f"{SEED} {n}")) for n, c in enumerate(clients)),
            ):
                task = asyncio.create_task(work)
                stack.push_async_callback(asyncio.gather, task, return_exceptions=True)
                stack.callback(task.cancel)
            end_s = time.monotonic() + MINUTES * 60
            while time.monotonic() < end_s:
                await asyncio.sleep(chance.uniform(4, 8))
                for name, program in (("api", api), ("broker", broker)):
                    seen.used[name].append((time.monotonic(), *used(program.process.pid)))
                seen.done.append(await a_fault(fleet, server, chance))
            await have_come_to_the_top(fleet, made, clients)
        await asyncio.sleep(3)
        async with redis_log(fleet.url) as log:
            for one in collectors:
                await one.read(log)
        return clients, collectors


async def have_come_to_the_top(fleet, made, clients):
    """Wait until all clients, who come and go on, have what the log holds now."""
    async with redis_log(fleet.url) as log:
        for n, created in enumerate(made):
            top = (await log.read(created["stream_id"], START, 1)).top

            async def have(n=n, top=top):
                last = [client.got.last or "0-0" for client in clients[n::STREAMS]]
                return all(parse_offset(one) >= top for one in last)

            await until(have, within_s=30 * hurry())


async def a_fault(fleet, server, chance):
    """Have something happen, or nothing; return what."""
    what = chance.choice(["a worker is killed", "a worker leaves", "Redis is killed",
                          "listeners are cut off", "nothing"])  # fmt: skip
    if what.startswith("a worker"):
        await fleet.start("worker")
        process = fleet.workers.pop(chance.choice(list(fleet.workers)[:-1])).process
        (process.kill if what.endswith("killed") else process.terminate)()
    elif what == "Redis is killed":
        server.process.kill()
        await asyncio.to_thread(server.process.wait)
        await asyncio.sleep(chance.uniform(0, 2))
        await asyncio.to_thread(server.start)
    elif what == "listeners are cut off":
        await fleet.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    return what


@attrs.define
class Seen:
    """What was done, and what the processes used: when, MiB, open files."""

    done: list[str] = attrs.field(factory=list)
    used: dict[str, list] = attrs.field(factory=lambda: {"api": [], "broker": []})


@pytest.mark.soak
def test_f29_faults_at_random_and_clients_that_come_and_go(tmp_path):
    """
    Every client has every record once or was told; nothing grows: memory, files, streams.
    """
    server, seen = Server(tmp_path / "redis"), Seen()
    server.start()
    try:
        clients, collectors = asyncio.run(soak(tmp_path, server, seen))
    finally:
        server.stop()

    lost = 0
    for n, collector in enumerate(collectors):
        truth = truth_in(collector.entries, collector.stream_id, every_s=1.0)
        truth.written.data = {name: json.loads(raw) for name, raw in truth.written.data.items()}
        lost += truth.lost
        for client in clients[n::STREAMS]:
            client.check_against(truth.written)
            assert len(client.got.records) > MINUTES * 20, client.refused[-3:]
    kills = seen.done.count("a worker is killed")
    assert lost <= 4 * STREAMS * kills
    tell(f"F29: {len(seen.done)} turns in {MINUTES:g} min: {Counter(seen.done)}; {lost} windows "
         "lost, and told")  # fmt: skip
    for name, samples in seen.used.items():
        check_use(name, samples)


def check_use(name, samples):
    """What a process uses does not grow."""
    files = [count for *_, count in samples]
    assert max(files[len(files) // 2 :]) <= max(files[: len(files) // 2]) + CLIENTS
    slope, memory = slope_mib_per_h(samples), [mib for _, mib, _ in samples]
    tell(f"F29: {name} {memory[0]:.0f} to {memory[-1]:.0f} MiB, {slope:+.1f} MiB/h at the end")
    if MINUTES >= LONG_ENOUGH_MIN:
        assert slope < 1, "memory grows"
