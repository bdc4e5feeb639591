"""What one more of each costs the processes of a fleet: what `docs/scale.md` calculates with.

CPU is read from the kernel, of each process by itself. Figures have no goal: they are a machine's
own, and say what to multiply.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from websockets.asyncio.client import connect

from bond_core.log.offset import Offset
from bond_server.delivery.transport import loop_factory
from bond_server.redis_log.log import RedisLog, redis_log
from tests.benchmarks.figure import Figure
from tests.benchmarks.log import DATA, KEEP
from tests.benchmarks.worker import STREAMS, cpu_of_a_worker
from tests.log.servers import redis_server
from tests.server.programs import bond_serve, create
from tests.server.running import SPEC

CLIENTS = 400
EVERY_S = 0.2
FOR_S = 15.0
BURSTS = 300
_TICKS_S = os.sysconf("SC_CLK_TCK")


def run() -> Iterable[Figure]:
    """Yield every figure."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as (server, port):
        url = f"redis://127.0.0.1:{port}/0"
        for watchers in (0, 2):
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                cost_us = runner.run(_redis_us(url, server.pid, watchers))
            yield _figure(f"Redis, a record, {watchers} brokers", "1 us CPU", cost_us)
        share, rate = cpu_of_a_worker(url, 1)
        yield _figure("worker, a stream of 1 s", "1 us CPU/s", share / min(rate, STREAMS) * 1e6)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            of_broker_us, idle_kib = runner.run(_broker_us(url, Path(folder)))
        yield _figure("broker, a delivery", "1 us CPU", of_broker_us)
        yield _figure("broker, a client", "1 KiB", idle_kib)


async def _redis_us(url: str, pid: int, watchers: int) -> float:
    """Return the server's CPU for a record, in us, with so many processes that listen to all."""
    streams = [f"scale-{n}" for n in range(64)]
    async with redis_log(url) as log, AsyncExitStack() as stack:
        for stream in streams:
            await log.open_stream(stream, KEEP)
        for _ in range(watchers):
            other = await stack.enter_async_context(redis_log(url))
            for stream in streams:
                await stack.enter_async_context(_listening(other, stream))
        since = _cpu_s(pid)
        for n in range(BURSTS):
            await asyncio.gather(*(log.append(s, [(Offset(n + 1, 0), DATA)]) for s in streams))
        cost_us = (_cpu_s(pid) - since) / BURSTS / len(streams) * 1e6
    async with Redis.from_url(url) as redis:
        await redis.flushall()
    return cost_us


@asynccontextmanager
async def _listening(log: RedisLog, stream: str) -> AsyncGenerator[None, None]:
    async def listen() -> None:
        async for _ in log.watch(stream):
            pass

    task = asyncio.create_task(listen())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _broker_us(url: str, folder: Path) -> tuple[float, float]:
    """Return a broker's CPU for a delivery, in us, and its memory for a client, in KiB."""
    environ = {
        "REDIS_URL": url, "BOND_SECRET": "s" * 64, "BOND_MAX_CONNECTIONS_PER_ADDRESS": "5000",
        "BOND_MAX_CONNECTIONS_PER_TOKEN": "5000", "BOND_RATE_CONNECTS": "off",
    }  # fmt: skip
    async with AsyncExitStack() as stack:
        broker, api, _ = [
            await stack.enter_async_context(bond_serve(folder, "--role", role, **environ))
            for role in ("broker", "api", "worker")
        ]
        spec = SPEC | {"simulate": True, "interval_sec": EVERY_S}
        created = await create(api, {"spec": spec})
        path = f"/ws/{created['stream_id']}?token={created['access_token']}"
        before_kib = _memory_kib(broker.process.pid)
        got = [0]
        for _ in range(CLIENTS):
            socket = await stack.enter_async_context(
                connect(f"ws://{broker.address}{path}", proxy=None, max_queue=None)
            )
            await stack.enter_async_context(_reading(socket, got))
        kib = (_memory_kib(broker.process.pid) - before_kib) / CLIENTS
        await asyncio.sleep(2)
        since_s, since_n = _cpu_s(broker.process.pid), got[0]
        await asyncio.sleep(FOR_S)
        return (_cpu_s(broker.process.pid) - since_s) / (got[0] - since_n) * 1e6, kib


@asynccontextmanager
async def _reading(socket: Any, got: list[int]) -> AsyncGenerator[None, None]:
    async def read() -> None:
        async for _ in socket:
            got[0] += 1

    task = asyncio.create_task(read())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_S


def _memory_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def _figure(case: str, against: str, ratio: float) -> Figure:
    return Figure(bench="scale", case=case, against=against, ratio=ratio)
