"""Fetch trades that were missed, over Massive's REST.

Source: https://massive.com/docs/rest/stocks/trades-quotes/trades. Its times are ns, those of the
WebSocket ms: a trade that comes both ways is known by its ms.
"""

from __future__ import annotations

from typing import Any

import attrs

from bond_core.plugin import Context, Fatal, Hole, Page, Trade
from bond_polygon.config import API_HOST, PolygonConfig
from bond_polygon.messages import TradeMessage, trade_of

LIMIT = 5_000
"""Trades of one request; Massive allows ten times as many."""

_MS = 1_000_000


async def fetch(ctx: Context, hole: Hole, config: PolygonConfig) -> Page:
    """Return trades of a hole, the oldest first.

    Raises:
        Retryable: It may be had later.
        Fatal: The key's plan doesn't have them.
    """
    base = f"https://{API_HOST}"
    if ctx.simulated_at is not None:
        base = f"http://{ctx.simulated_at.partition('://')[2]}"
    # Whole milliseconds: the edges of a hole are known no finer.
    params = {
        "timestamp.gte": str(hole.after_ts_ns // _MS * _MS),
        "timestamp.lt": str((hole.until_ts_ns // _MS + 1) * _MS),
        "order": "asc", "sort": "timestamp", "limit": str(LIMIT),
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {config.key.reveal()}"}
    url = f"{base}/v3/trades/{hole.symbol}"
    try:
        answer = await ctx.get_json(url, params=params, headers=headers)
    except Fatal as error:
        if error.http_status == 403:
            raise Fatal("this key's plan has no trades to fetch") from error
        raise
    rows = answer.get("results") or []
    read = [(row, _trade(row, hole.symbol)) for row in rows]
    trades = [trade for _, trade in read if trade is not None]
    if not answer.get("next_url") or not rows:
        return Page(trades)
    # Its last row may be no trade; what comes after it is asked for by its time all the same.
    last_ns = rows[-1]["sip_timestamp"]
    if last_ns // _MS <= hole.after_ts_ns // _MS:
        return Page(trades, rest=hole, end=f"{LIMIT} trades or more were told in one millisecond")
    return Page(trades, rest=attrs.evolve(hole, after_ts_ns=last_ns, after_id=None))


def _trade(row: dict[str, Any], symbol: str) -> Trade | None:
    size = row.get("decimal_size")
    message = TradeMessage(
        sym=symbol, p=row["price"], t=row["sip_timestamp"] // _MS, s=row.get("size", 0),
        ds=None if size is None else str(size), i=row.get("id", ""), x=row.get("exchange", 0),
        c=row.get("conditions") or [], q=row.get("sequence_number", 0),
        trfi=row.get("trf_id") or 0,
    )  # fmt: skip
    return trade_of(message)
