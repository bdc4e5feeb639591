"""Fetch trades that were missed, over Alpaca's REST.

Source: https://docs.alpaca.markets/reference/stocktrades-1 and .../cryptotrades-1.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import msgspec

from bond_alpaca.config import CryptoConfig
from bond_alpaca.messages import Times, TradeMessage, trade_of
from bond_alpaca.plugin import DATA_HOST
from bond_core.plugin import Context, Fatal, Hole, Page

LIMIT = 5_000
"""Trades of one request; Alpaca allows twice as many."""

_NS = 1_000_000_000


async def fetch(ctx: Context, hole: Hole, config: CryptoConfig, feed: str) -> Page:
    """Return trades of a hole, the oldest first.

    Raises:
        Retryable: It may be had later.
        Fatal: The key's plan doesn't have them.
    """
    is_crypto = feed == "crypto"
    path = "/v1beta3/crypto/us/trades" if is_crypto else "/v2/stocks/trades"
    params = {
        "symbols": hole.symbol, "start": written(hole.after_ts_ns),
        "end": written(hole.until_ts_ns), "limit": str(LIMIT), "sort": "asc",
    }  # fmt: skip
    if not is_crypto:
        params["feed"] = feed
    headers = {
        "APCA-API-KEY-ID": config.key.reveal(), "APCA-API-SECRET-KEY": config.secret.reveal()
    }  # fmt: skip
    base = f"https://{DATA_HOST}"
    if ctx.simulated_at is not None:
        base = f"http://{ctx.simulated_at.partition('://')[2]}"
    try:
        answer = await ctx.get_json(base + path, params=params, headers=headers)
    except Fatal as error:
        if error.http_status == 403:
            raise Fatal(f"this key's plan has no trades of the feed {feed} to fetch") from error
        raise
    return _page(answer, hole)


def written(ns: int) -> str:
    """Return a time as Alpaca reads it, to the nanosecond."""
    seconds, fraction = divmod(ns, _NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def _page(answer: Any, hole: Hole) -> Page:
    times = Times()
    rows = (answer.get("trades") or {}).get(hole.symbol) or []
    read = [msgspec.convert({"T": "t", "S": hole.symbol, **row}, TradeMessage) for row in rows]
    trades = [trade for row in read if (trade := trade_of(row, times)) is not None]
    if not answer.get("next_page_token") or not read:
        return Page(trades)
    # Its last row may be no trade; what comes after it is asked for by its time all the same.
    return Page(trades, rest=attrs.evolve(hole, after_ts_ns=times.ns(read[-1].t), after_id=None))
