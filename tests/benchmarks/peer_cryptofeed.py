"""Time cryptofeed's parsers: run by a Python that has cryptofeed, and need not have Bond.

Each line of stdin, `{"venue": "okx", "id": "BTC-USDT", "text": …, "count": 4000}`, is answered by
how many seconds of process time so many frames took, from text to cryptofeed's own trade at a
callback. What can't be read is answered by `null`, and why.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from types import SimpleNamespace
from typing import Any

_EXCHANGES = {
    "binance": ("Binance", "stream"), "okx": ("OKX", "public"), "bybit": ("Bybit", "spot"),
    "coinbase": ("Coinbase", "ws"),
}  # fmt: skip
_MARKET = {"coinbase": ("BTC-USD", "BTC-USD"), "bybit": ("BTC-USDT", "BTC/USDT")}


class Peer:
    """An exchange of cryptofeed's that knows one market, and counts its trades."""

    def __init__(self, venue: str, id: str) -> None:
        name, path = _EXCHANGES[venue]
        exchanges: Any = importlib.import_module("cryptofeed.exchanges")
        symbols: Any = importlib.import_module("cryptofeed.symbols")
        made = getattr(exchanges, name)
        symbol, id = _MARKET.get(venue, ("BTC-USDT", id))
        symbols.Symbols.set(made.id, {symbol: id}, {"instrument_type": {symbol: "spot"}})
        self.heard = 0
        self._conn = SimpleNamespace(address=f"wss://x/{path}", uuid="")
        self._feed = made(
            symbols=[symbol], channels=["trades"], callbacks={"trades": self._on_trade}
        )

    async def _on_trade(self, trade: object, receipt_s: float) -> None:
        self.heard += 1

    async def read(self, text: str, count: int) -> float:
        """Read a frame so often; return the seconds that took."""
        before, began = self.heard, time.process_time()
        for _ in range(count):
            await self._feed.message_handler(text, self._conn, 1_786_538_760.2)
        taken = time.process_time() - began
        if self.heard - before != count:
            raise RuntimeError(f"{self.heard - before} trades were read of {count} frames")
        return taken


def main() -> None:
    """Answer until there are no more lines."""
    peers: dict[str, Peer] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        venue = asked["venue"]
        try:
            peer = peers[venue] = peers.get(venue) or Peer(venue, asked["id"])
            answer = [asyncio.run(peer.read(asked["text"], asked["count"])), ""]
        except Exception as error:  # noqa: BLE001 -- the one who asks says it
            answer = [None, f"{type(error).__name__}: {error}"]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
