"""`bond serve` in processes of its own, for tests that end them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from contextlib import asynccontextmanager

import httpx

from tests.server.running import SPEC

BOND = (sys.executable, "-c", "import sys; from bond_server.cli import main; sys.exit(main())")
SIMULATED = {"spec": SPEC | {"simulate": True}}


class Program:
    """A `bond serve` that runs, and all that it says, which is read as it comes."""

    def __init__(self, process, address, said):
        self.process = process
        self.address = address
        self.said = said
        self._reading = asyncio.create_task(self._read())

    async def _read(self):
        while said := await self.process.stdout.read(65_536):
            self.said += said

    async def read_to_the_end(self):
        """Return when it will say no more: it has ended."""
        await asyncio.wait([self._reading])  # who waits may give up: it is read on


@asynccontextmanager
async def bond_serve(tmp_path, *arguments, stderr=asyncio.subprocess.STDOUT, **variables):
    """Run `bond serve` on a free port; kill it if it is still there in the end."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("BOND_")}
    process = await asyncio.create_subprocess_exec(
        *BOND, "serve", "--port", "0", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=stderr,
        env=environ | {"BOND_DATA_DIR": str(tmp_path)} | variables, cwd=tmp_path,
    )  # fmt: skip
    said, address, program = bytearray(), None, None
    try:
        async with asyncio.timeout(60):
            while address is None:
                line = await process.stdout.readline()
                assert line, said.decode()
                said += line
                if line.startswith(b"bond serves http://"):
                    address = line.decode().split("//")[1].strip()
        program = Program(process, address, said)
        yield program
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await (process.communicate() if program is None else program.read_to_the_end())
        await process.wait()


async def create(program, request=SIMULATED):
    """Create a stream whose venue is simulated."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.post(f"http://{program.address}/v1/streams", json=request)
        assert answer.status_code == 201, answer.text
        return answer.json()
