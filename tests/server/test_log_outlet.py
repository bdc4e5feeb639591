"""Logs that nobody reads stop nobody, and lose no line untold."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
import signal
import sys
from contextlib import contextmanager

import pytest
from websockets.asyncio.client import connect

from bond_server.log_outlet import Outlet
from bond_server.logs import JsonLines, TextLines
from tests.server.programs import bond_serve, create
from tests.server.running import SECRET

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")


@contextmanager
def a_pipe(*, is_full):
    """Give both ends of a pipe."""
    reading, writing = os.pipe()
    try:
        if is_full:
            os.set_blocking(writing, False)
            for size in (4096, 1):
                try:
                    while True:
                        os.write(writing, b"x" * size)
                except BlockingIOError:
                    pass
            os.set_blocking(writing, True)
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


@contextmanager
def a_logger(fd, formatter, **options):
    """Give a logger that writes to a descriptor, and what does so for it."""
    outlet = Outlet(fd, **options)
    outlet.setFormatter(formatter)
    logger = logging.Logger("bond.test")  # noqa: LOG001 -- one of its own, with one handler
    logger.addHandler(outlet)
    try:
        yield logger, outlet
    finally:
        outlet.close()


def read_until(fd, expected):
    """Return what a pipe holds up to where this is seen."""
    said = b""
    while expected not in said:
        said += os.read(fd, 65_536)
    return said.decode().replace("x", "")


def test_a_server_whose_logs_nobody_reads_serves_on_and_ends(tmp_path):
    """
    The pipe behind stderr is full from the start: records come, clients go, it ends with 0.
    """

    async def run(stderr):
        async with (
            asyncio.timeout(60),
            bond_serve(
                tmp_path, "--log-level", "debug", stderr=stderr, BOND_SECRET=SECRET
            ) as program,
        ):
            created = await create(program)
            for _ in range(3):
                async with connect(created["ws_url"], proxy=None) as socket:
                    assert '"price_avg"' in await socket.recv()
            program.process.send_signal(signal.SIGTERM)
            assert await program.process.wait() == 0

    with a_pipe(is_full=True) as (_, writing):
        asyncio.run(run(writing))


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()], ids=["text", "json"])
def test_lines_without_room_are_dropped_and_counted(formatter):
    """
    What was kept comes in its order, then how many are missing, then what came afterwards.
    """
    with (
        a_pipe(is_full=True) as (reading, writing),
        a_logger(writing, formatter, most_bytes=2_000) as (logger, _),
    ):
        for n in range(100):
            logger.info("line %d.", n)
        said = read_until(reading, b"missing here")
        logger.info("line %d.", 100)
        said += read_until(reading, b"line 100.")

    numbers = [int(n) for n in re.findall(r"line (\d+)\.", said)]
    told = [int(n) for n in re.findall(r"(\d+) lines of this log are missing here", said)]
    assert numbers == sorted(set(numbers))
    assert 0 < sum(told) == 101 - len(numbers)
    gaps = [b - a - 1 for a, b in itertools.pairwise(numbers) if b - a > 1]
    assert gaps == told
    first_gap = next(n for a, n in itertools.pairwise(numbers) if n - a > 1)
    assert said.index("missing here") < said.index(f"line {first_gap}.")


def test_a_line_that_could_not_be_written_is_told_when_one_can():
    """
    A descriptor that takes nothing, and then does: the count of what is lost comes first.
    """
    with a_pipe(is_full=False) as (reading, writing):
        taken = os.dup(writing)
        with a_logger(taken, TextLines()) as (logger, outlet):
            os.dup2(reading, taken)  # one that can't be written to
            logger.info("one")
            outlet.flush()
            os.dup2(writing, taken)
            logger.info("two")
            said = read_until(reading, b"two")
        outlet.flush()
        os.close(taken)
    assert "1 lines of this log are missing here" in said.split("two")[0]
    assert "one" not in said


def test_all_is_written_before_a_process_ends(tmp_path):
    """
    As it leaves, what waits is written, if that is soon done.
    """
    program = (
        "import logging.config\n"
        "from bond_server.logs import LogStyle, log_config\n"
        "logging.config.dictConfig(log_config(LogStyle()))\n"
        "for n in range(5000): logging.getLogger('bond.test').info('line %d.', n)\n"
    )

    async def run():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stderr=asyncio.subprocess.PIPE, cwd=tmp_path
        )
        async with asyncio.timeout(60):
            _, said = await process.communicate()
        return said

    numbers = [int(n) for n in re.findall(rb"line (\d+)\.", asyncio.run(run()))]
    assert numbers == list(range(5000))
