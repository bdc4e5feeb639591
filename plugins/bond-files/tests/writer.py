"""Write records for ever, and say which were acknowledged: a process for a test to kill.

    python writer.py FOLDER FORMAT FIRST [LIMIT]

LIMIT is the largest file this process may write, in bytes.
"""  # fmt: skip

from __future__ import annotations

import asyncio
import logging
import resource
import sys

from bond_core.clock import SystemClock
from bond_core.plugin.egress import Egress
from bond_core.runtime.errand import Errand
from bond_core.runtime.sink_policy import SinkPolicy
from bond_files.config import FilesConfig
from bond_files.sink import Files


def say(*words: object) -> None:
    """Tell the test."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def main(folder: str, format_: str, first: int, limit: int | None) -> None:
    """Write batches until somebody ends this."""
    ctx = Errand(
        stream_id="8f2a1c9d4b3e7a10", sink_name="files", clock=SystemClock(),
        log=logging.getLogger("writer"), egress=Egress(), policy=SinkPolicy(),
    )  # fmt: skip
    sink = Files(FilesConfig(folder=folder, format=format_, rotate_bytes=20_000))
    await sink.open(ctx)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    n = first
    while True:
        batch = [{"id": f"{n + i}-0", "price_avg": 1.5, "pad": "x" * 400} for i in range(7)]
        try:
            await sink.write(batch, ctx)
        except OSError as error:
            say("refused", error.errno)
            await asyncio.sleep(0.02)
            continue
        say("safe", n + 6)
        n += 7


if __name__ == "__main__":
    words = sys.argv[1:]
    asyncio.run(main(words[0], words[1], int(words[2]), int(words[3]) if words[3:] else None))
