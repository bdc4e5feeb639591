"""Drive a headless Chromium by its DevTools protocol, as far as a test of `EventSource` needs."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import tempfile
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from websockets.asyncio.client import connect

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
_ENDPOINT = "DevTools listening on "


class Page:
    """A page, and what its console says."""

    def __init__(self, socket):
        self.said = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._session = None

    async def open(self, url):
        """Go to an address, listening to the console from the start."""
        target = await self._ask("Target.createTarget", url="about:blank")
        attached = await self._ask(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        await self._ask("Runtime.enable")
        await self._ask("Page.enable")
        await self._ask("Page.navigate", url=url)

    async def console_until(self, done):
        """Read what the console says until something is as wanted."""
        while not any(map(done, self.said)):
            self._take(json.loads(await self._socket.recv()))
        return self.said

    async def _ask(self, method, **params):
        number = next(self._numbers)
        body = {"id": number, "method": method, "params": params}
        if self._session is not None:
            body["sessionId"] = self._session
        await self._socket.send(json.dumps(body))
        while True:
            said = json.loads(await self._socket.recv())
            if said.get("id") == number:
                assert "error" not in said, said
                return said["result"]
            self._take(said)

    def _take(self, said):
        params = said.get("params", {})
        if said.get("method") == "Runtime.consoleAPICalled":
            words = [str(each.get("value", each.get("type"))) for each in params["args"]]
            self.said.append((params["type"], " ".join(words)))
        elif said.get("method") == "Runtime.exceptionThrown":
            self.said.append(("exception", json.dumps(params["exceptionDetails"])))


@asynccontextmanager
async def chromium(*, mapping):
    """Run Chromium, for which some `host:port` lead elsewhere; gives a page."""
    rules = ", ".join(f"MAP {here} {there}" for here, there in mapping.items())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-dev-shm-usage", "--disable-background-networking", "--no-proxy-server",
            "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
            f"--user-data-dir={Path(folder) / 'profile'}", f"--host-resolver-rules={rules}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            start_new_session=True, env={**os.environ, "HOME": folder},
        )  # fmt: skip
        try:
            async with asyncio.timeout(60):
                said = [line async for line in _until_it_listens(process.stderr)]
            assert said[-1].startswith(_ENDPOINT), "".join(said)
            rest = asyncio.create_task(process.stderr.read())
            endpoint = said[-1].removeprefix(_ENDPOINT).strip()
            async with connect(endpoint, max_size=None, proxy=None) as socket:
                yield Page(socket)
            rest.cancel()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # it has children
            await process.wait()


async def _until_it_listens(stderr):
    while line := await stderr.readline():
        yield line.decode(errors="replace")
        if line.startswith(_ENDPOINT.encode()):
            return
