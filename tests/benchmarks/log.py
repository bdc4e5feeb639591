"""What the log costs, beside what redis-py costs when it is used as its documentation shows.

CPU is that of this process: the client's side, on the event loop that the server runs on, and with
what a serving process does about garbage (`tune_for_serving`), redis-py's rounds too. Records
have 300 bytes. Bursts are 64 streams that append one record each within one turn of the loop, each
from a task that is made for it; what 64 tasks cost that do nothing is told beside it, and so is a
burst of tasks that live on, as a stream's does. Or it is one stream whose window has 64 records. A
server that can't be started is reported as absent.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import redis._parsers as parsers
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

from bond_core.log.event_log import Retention
from bond_core.log.memory import MemoryLog
from bond_core.log.offset import START, Offset
from bond_server.delivery.transport import loop_factory
from bond_server.process import tune_for_serving
from bond_server.redis_log.log import RedisLog, redis_log
from tests.benchmarks.figure import Figure
from tests.benchmarks.worker import cpu_of_a_worker
from tests.log.servers import redis_server

T = TypeVar("T")

ROUNDS = 5
STREAMS = 64
BURSTS = 40
DATA = b'{"symbol":"BTC/USDT",' + b'"x":1,' * 46 + b'"y":2}'
ENTRIES = 10_000
SEEN = 300
KEEP = Retention(seconds=3600, windows=10**6)

_APPEND_US, _READ_US, _MEMORY_US, _WORKER_CORES = 5.0, 3.0, 2.0, 0.25


def run() -> Iterable[Figure]:
    """Yield every figure of the benchmark."""
    with _as_served():
        yield from _figures()


@contextmanager
def _as_served() -> Iterator[None]:
    before = gc.get_threshold()
    tune_for_serving()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _figures() -> Iterable[Figure]:
    memory, item = _run(_in_memory())
    yield _us("append in memory", memory, _MEMORY_US)
    yield _ratio("of it, making what is appended", "append in memory", item / memory)
    try:
        with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as (_, port):
            yield from _with_server(f"redis://127.0.0.1:{port}/0")
    except FileNotFoundError:
        yield Figure(bench="log", case="append", against="redis-py", ratio=None, goal=1 / 20)


def _with_server(url: str) -> Iterable[Figure]:
    names = ("append", "tasks", "living", "window", "xadd", "read", "xrange")
    took: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name, measured in _run(_one_round(url)).items():
            took[name].append(measured)
    append, tasks, living, window, xadd, read, xrange = map(statistics.median, took.values())
    yield _us("append in bursts", append, _APPEND_US)
    yield _ratio("append in bursts", "redis-py XADD", append / xadd).at_most(1 / 20)
    yield _ratio("of it, tasks that do nothing", "append in bursts", tasks / append)
    yield _ratio("append in bursts, tasks live on, us a record", "1 us CPU", living)
    yield _ratio("append in bursts, tasks live on", "redis-py XADD", living / xadd)
    yield _us("append of a window", window, _APPEND_US)
    yield _ratio("append of a window", "redis-py XADD", window / xadd).at_most(1 / 20)
    yield _us("read", read, _READ_US)
    yield _ratio("read", "redis-py, no hiredis", read / xrange).at_most(1 / 4)
    seen, bare = _seen_elsewhere(url, _watcher, _append), _seen_elsewhere(url, _xreader, _xadd)
    yield _ratio("append to seen, p50", "XADD to XREAD", seen / bare).at_most(2)
    yield _ratio("append to seen, p50", "1 ms", seen / 1e6)
    for trades_per_s in (1, 10):
        share, rate = cpu_of_a_worker(url, trades_per_s)
        case = f"1,000 streams, {trades_per_s} trades/s"
        yield _ratio(case, "a core", share).at_most(_WORKER_CORES)
        yield _ratio(case, "1,000 records/s", rate / 1000).at_least(0.99)


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(work)


async def _in_memory() -> tuple[float, float]:
    """Return what an append costs, and what of it the list is that is appended."""
    log = MemoryLog()
    await log.open_stream("s", Retention(seconds=10, windows=10))
    appends, items, each = [], [], 20_000
    for first in range(0, ROUNDS * each, each):
        since = time.process_time_ns()
        for n in range(first, first + each):
            await log.append("s", [(Offset(n + 1, 0), DATA)])
        between = time.process_time_ns()
        for n in range(first, first + each):
            _ = [(Offset(n + 1, 0), DATA)]
        appends.append((between - since) / each / 1000)
        items.append((time.process_time_ns() - between) / each / 1000)
    return statistics.median(appends), statistics.median(items)


async def _one_round(url: str) -> dict[str, float]:
    async with redis_log(url) as log, _plain(url) as plain:
        streams = [f"bench-{i}" for i in range(STREAMS)]
        for stream in streams:
            await log.delete(stream)
            await log.open_stream(stream, KEEP)

        async def burst(n: int) -> None:
            await asyncio.gather(*(log.append(s, [(Offset(n + 1, 0), DATA)]) for s in streams))

        async def tasks(_: int) -> None:
            await asyncio.gather(*(_nothing() for _ in streams))

        async def living(stream: str) -> None:
            for n in range(BURSTS, 2 * BURSTS):
                await log.append(stream, [(Offset(n + 1, 0), DATA)])

        async def all_living(_: int) -> None:
            await asyncio.gather(*map(living, streams))

        async def window(n: int) -> None:
            items = [(Offset(n + 1, i), DATA) for i in range(STREAMS)]
            await log.append("bench-window", items)

        async def one_by_one(n: int) -> None:
            for stream in streams:
                await plain.xadd(f"plain-{stream}", {"d": DATA})

        append = await _cpu_us(burst, BURSTS) / STREAMS
        idle = await _cpu_us(tasks, BURSTS) / STREAMS
        lives_on = await _cpu_us(all_living, 1) / STREAMS / BURSTS
        await log.delete("bench-window")
        await log.open_stream("bench-window", KEEP)
        at_once = await _cpu_us(window, BURSTS) / STREAMS
        xadd = await _cpu_us(one_by_one, BURSTS // 8) / STREAMS
        costs = {"append": append, "tasks": idle, "living": lives_on}
        return costs | {"window": at_once, "xadd": xadd} | await _reading(log, plain)


async def _nothing() -> None:
    """Do nothing, as a task."""


async def _reading(log: RedisLog, plain: Redis) -> dict[str, float]:
    await log.delete("read")
    await log.open_stream("read", KEEP)
    await log.append("read", [(Offset(n + 1, 0), DATA) for n in range(ENTRIES)])
    key = (await plain.keys("bond:*:log:read"))[0]

    async def ours(_: int) -> None:
        at = START
        while (page := await log.read("read", at)).entries:
            at = page.entries[-1].offset

    async def theirs(_: int) -> None:
        at = "0-0"
        while found := await plain.xrange(key, f"({at}", count=1000):
            at = found[-1][0].decode()

    return {
        "read": await _cpu_us(ours, 2) / ENTRIES,
        "xrange": await _cpu_us(theirs, 1) / ENTRIES,
    }


async def _cpu_us(step: Callable[[int], Awaitable[None]], times: int) -> float:
    """Return the CPU of one step, in us."""
    await step(-1) if times > 2 else None
    since = time.process_time_ns()
    for n in range(times):
        await step(n)
    return (time.process_time_ns() - since) / times / 1000


@asynccontextmanager
async def _plain(url: str) -> AsyncGenerator[Redis, None]:
    """Give redis-py with its own parser, which is what it has without hiredis."""
    pool = ConnectionPool.from_url(url, parser_class=parsers._AsyncRESP2Parser, protocol=2)
    async with Redis.from_pool(pool) as plain:
        yield plain


def _seen_elsewhere(
    url: str,
    reader: Callable[[str, Connection], None],
    writer: Callable[[str, Connection], Awaitable[None]],
) -> float:
    """Return how long it takes from before an append until another process has it, p50 in ns."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=reader, args=(url, theirs))
    child.start()
    try:
        asyncio.run(writer(url, ours))
        return statistics.median(ours.recv() for _ in range(SEEN))
    finally:
        child.kill()
        child.join()


def _watcher(url: str, told: Connection) -> None:
    async def watch() -> None:
        async with redis_log(url) as log:
            await log.open_stream("seen", KEEP)
            async with aclosing(log.watch("seen")) as appended:
                async for entries in appended:
                    if not entries:
                        told.send("ready")
                    for entry in entries:
                        told.send(time.monotonic_ns() - int(entry.data))

    asyncio.run(watch())


async def _append(url: str, told: Connection) -> None:
    async with redis_log(url) as log:
        await log.open_stream("seen", KEEP)
        await asyncio.to_thread(told.recv)
        for n in range(SEEN):
            now = b"%d" % time.monotonic_ns()
            await log.append("seen", [(Offset(n + 1, 0), now)])
            await asyncio.sleep(0.002)


def _xreader(url: str, told: Connection) -> None:
    async def read() -> None:
        async with Redis.from_url(url, protocol=2) as plain:
            told.send("ready")
            at = "$"
            while True:
                for _, found in await plain.xread({"bare": at}, block=10_000):
                    for at, fields in found:  # noqa: B007 -- it reads on from the last
                        told.send(time.monotonic_ns() - int(fields[b"d"]))

    asyncio.run(read())


async def _xadd(url: str, told: Connection) -> None:
    async with Redis.from_url(url, protocol=2) as plain:
        await asyncio.to_thread(told.recv)
        await asyncio.sleep(0.1)
        for _ in range(SEEN):
            await plain.xadd("bare", {"d": b"%d" % time.monotonic_ns()})
            await asyncio.sleep(0.002)


def _us(case: str, took_us: float, goal_us: float) -> Figure:
    return _ratio(f"{case}, us a record", "1 us CPU", took_us).at_most(goal_us)


def _ratio(case: str, against: str, ratio: float) -> Figure:
    return Figure(bench="log", case=case, against=against, ratio=ratio)
