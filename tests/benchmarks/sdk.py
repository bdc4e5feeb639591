"""What the SDK costs a reader: from the socket to the user's `async for`.

One server process sends the same records as fast as they are taken, once to the bare `websockets`
client with `json.loads`, once to `EkkoClient.subscribe`. CPU of the reading process a record, and
the ratio of the two; both take turns in the same run.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from ekko import EkkoClient
from tests.benchmarks.figure import Figure

RECORDS = 20_000
ROUNDS = 7
AT_MOST = 3.0
CASES = ("plain", "enveloped")
_PATIENCE_S = 120
_BARE = "websockets + json.loads"
_ENVELOPES = Subprotocol("bond.v1.json")


def run(case: str | None = None) -> Iterable[Figure]:
    """Yield a subscription's CPU a record, by what the server speaks, against the bare client's."""
    for speaks in CASES if case is None else (case,):
        bare_s, ours_s = _measured(enveloped=speaks == "enveloped")
        case_name = f"subscribe, {speaks}"
        figure = Figure(bench="sdk", case=case_name, against=_BARE, ratio=ours_s / bare_s)
        yield figure.at_most(AT_MOST)


def _measured(*, enveloped: bool) -> tuple[float, float]:
    """Return the median CPU seconds of the bare client and of the SDK for all records."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, enveloped), daemon=True)
    server.start()
    try:
        if not ours.poll(_PATIENCE_S):
            raise TimeoutError("the server did not start")
        port = ours.recv()
        bare, sdk = [], []
        for _ in range(ROUNDS):
            bare.append(_cpu_s(_read_bare(port)))
            sdk.append(_cpu_s(_read_sdk(port)))
        return statistics.median(bare), statistics.median(sdk)
    finally:
        server.kill()
        server.join()


def _cpu_s(reading: Any) -> float:
    async def bounded() -> float:
        async with asyncio.timeout(_PATIENCE_S):
            began = time.process_time()
            assert await reading == RECORDS
            return time.process_time() - began

    return asyncio.run(bounded())


async def _read_bare(port: int) -> int:
    """Read as the seed's SDK did: every frame is a record."""
    count = 0
    url = f"ws://127.0.0.1:{port}/ws/8f2a1c9d4b3e7a10?token=t&from=now-60s"
    async with connect(url, compression=None, proxy=None) as socket:
        async for frame in socket:
            record = json.loads(frame)
            count += record["price_avg"] is not None
    return count


async def _read_sdk(port: int) -> int:
    count = 0
    client = EkkoClient(ws_url=f"ws://127.0.0.1:{port}")
    async for event in client.subscribe("8f2a1c9d4b3e7a10", "t", from_="now-60s"):
        count += event["price_avg"] is not None
    return count


def _serve(told: Connection, enveloped: bool) -> None:
    frames = [_frame(n, enveloped=enveloped) for n in range(1, RECORDS + 1)]

    async def answer(socket: ServerConnection) -> None:
        # The bare client asks for no envelopes, and gets the records alone.
        asked = socket.subprotocol == _ENVELOPES
        for frame in frames if asked or not enveloped else plain:
            await socket.send(frame)
        await socket.close(1000, "complete")

    plain = [_frame(n, enveloped=False) for n in range(1, RECORDS + 1)]

    async def run() -> None:
        def speaks(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
            return _ENVELOPES if enveloped and _ENVELOPES in offered else None

        async with serve(
            answer, "127.0.0.1", 0, compression=None, select_subprotocol=speaks
        ) as server:
            told.send(server.sockets[0].getsockname()[1])
            await server.serve_forever()

    asyncio.run(run())


def _frame(n: int, *, enveloped: bool) -> str:
    """Return a record of one market with two venues, as the server sends it: about 900 bytes."""
    record_id = f"{1_761_053_405_000 + 1000 * n}-0"
    venue = {"status": "live", "coverage": 1.0, "count": 9, "lag_ms": 38, "late": 0,
             "duplicates": 0, "gaps": 0, "rejected": 0}  # fmt: skip
    record = {
        "id": record_id, "stream_id": "8f2a1c9d4b3e7a10", "symbol": "BTC/USDT",
        "timeframe": "1s", "rev": 0, "partial": False, "ts": "2025-10-21T13:30:05Z",
        "window_start": "2025-10-21T13:30:04Z", "window_end": "2025-10-21T13:30:05Z",
        "price_avg": 68123.5, "price_open": 68110.0, "price_high": 68456.2, "price_low": 67890.1,
        "price_close": 68120.0, "vwap": 68119.2, "bid_avg": 68122.1, "ask_avg": 68125.0,
        "volume_sum": 134.2, "trades": 15, "sources": {"binance": venue, "okx": venue},
        "notices": [], "raw_data": {"trades": 15, "sources": ["binance", "okx"]},
    }  # fmt: skip
    message = {"t": "ev", "id": record_id, "d": record} if enveloped else record
    return json.dumps(message, separators=(",", ":"))
