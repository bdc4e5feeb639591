"""How many subscriptions at TWS the clients of one contract cost: real clients of a real server."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from bond_core.clock import SystemClock
from bond_core.runtime.binding import Defaults
from bond_core.settings import Secret
from bond_server.cli.serve import serve_bond
from bond_server.delivery.listening import listening_socket
from bond_server.local import Bond
from bond_server.settings import ServerSettings

_AAPL = 265598
_PATIENCE_S = 60.0


async def upstreams_of(clients: int) -> int:
    """Let so many clients hear a tick of one contract; return what TWS was asked for meanwhile.

    Raises:
        ModuleNotFoundError: bond-ibkr isn't installed.
    """
    from bond_ibkr.simulator import TwsSimulator

    tws = TwsSimulator(clock=SystemClock(), seed=7, options={"per_s": 50.0})
    async with (
        asyncio.timeout(_PATIENCE_S), tws, _server(tws.port) as url, _http(url) as http,
        AsyncExitStack() as stack,
    ):  # fmt: skip
        asked = [http.stream("GET", f"/stream/{_AAPL}") for _ in range(clients)]
        heard = await asyncio.gather(*map(stack.enter_async_context, asked))
        await asyncio.gather(*map(_a_tick, heard))
        return sum(what == "subscribe" for what, *_ in tws.asked)


async def _a_tick(answer: httpx.Response) -> None:
    async for line in answer.aiter_lines():
        if line.startswith('data: {"type":"tick"'):
            return
    raise RuntimeError(f"{answer.status_code}: no tick came")


def _http(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=_PATIENCE_S, limits=limits)


@asynccontextmanager
async def _server(tws_port: int) -> AsyncIterator[str]:
    """Run a server whose TWS is at a port; gives its address."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("IB_STREAM_PORTS", str(tws_port))
        settings = ServerSettings(
            secret=Secret("0123456789abcdef" * 4), data_dir=Path(folder), drain_s=0
        )
        async with Bond(seed=7, defaults=Defaults()) as bond:
            bound = listening_socket("127.0.0.1", 0)
            is_up = asyncio.Event()
            serving = asyncio.create_task(serve_bond(bond, settings, bound, ready=is_up.set))
            try:
                await is_up.wait()
                yield f"http://127.0.0.1:{bound.getsockname()[1]}"
            finally:
                serving.cancel()
                await asyncio.wait([serving])
