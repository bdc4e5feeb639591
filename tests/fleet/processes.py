"""`bond serve` in its roles, in processes of their own, and clients that resume."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from bond_server.redis_log.log import redis_log
from tests.fleet.fleets import hurry, owner_of, truth_of, until
from tests.server.journal import Got, check
from tests.server.programs import bond_serve
from tests.server.running import SECRET, SPEC

LEASE_S = 1.0
LONG_S = 10.0
"""The usual lease: what is handed over needs none to end, and a busy machine loses none."""

PATIENT_S = "20"
"""How long a worker that ends may hand over: until the next one is ready, on any machine."""

ROUNDS = int(os.environ.get("BOND_FAULT_ROUNDS", "2"))
"""How often a long test repeats its fault."""

SEED = os.environ.get("BOND_FAULT_SEED", "1")
"""What chance begins with: the same does the same again, another strikes at other moments."""


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
        """Return the worker that owns a stream; while it moves, for a moment nobody does."""
        async with asyncio.timeout(LONG_S * hurry()):
            while (pid := await self.owner_id(stream_id)) not in self.workers:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return self.workers[pid]

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
        self.refused = []
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
            except (OSError, WebSocketException) as error:
                self.refused.append(repr(error))
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
