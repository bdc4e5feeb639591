"""Read what venues state of their markets: candles, liquidations, funding and mark prices.

ccxt.pro subscribes; what it makes of these messages lacks times, or whether a candle is closed,
so they are read here. Formats are the venues' own, from their public documentation:
binance  https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
okx      https://www.okx.com/docs-v5/en/#public-data-websocket (and candlesticks)
bybit    https://bybit-exchange.github.io/docs/v5/websocket/public/ticker (kline, all-liquidation)
kraken   https://docs.kraken.com/api/docs/websocket-v2/ohlc
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bond_ccxt.book_wires import Find
from bond_ccxt.markets import scale_of, unit_of
from bond_ccxt.parse import Side, to_ns
from bond_core.plugin import Candle, Event, Funding, Liquidation

Stated = tuple[str, Event]
"""A channel, and an event of it."""

Read = Callable[[Mapping[str, Any], Find, int], Iterable[Stated] | None]
"""Reads a message, heard at a time in ns; None if it is about something else."""

_MINUTE_NS = 60 * 1_000_000_000
_SIDES: Mapping[str, Side] = {"buy": "buy", "sell": "sell"}
_OTHER: Mapping[str, Side] = {"buy": "sell", "sell": "buy"}


def _number(value: object) -> float | None:
    return None if value is None or value == "" else float(str(value))


def _candle(
    market: Mapping[str, Any], prices: Iterable[Any], volume: Any, *,
    start: object, ts: int, is_closed: bool,
) -> Stated:  # fmt: skip
    opening, high, low, closing = (float(price) for price in prices)
    return "candles", Candle(
        symbol=market["symbol"], ts=ts, length_ns=_MINUTE_NS,
        open=opening, high=high, low=low, close=closing, volume=scale_of(market)(str(volume)),
        is_closed=is_closed, start_ts=to_ns(start), size_unit=unit_of(market),
    )  # fmt: skip


def _liquidation(
    market: Mapping[str, Any], side: Side | None, price: object, size: object, ts: object
) -> Stated:
    return "liquidations", Liquidation(
        symbol=market["symbol"], ts=to_ns(ts) or 0, price=float(str(price)),
        size=scale_of(market)(str(size)), side=side, size_unit=unit_of(market),
    )  # fmt: skip


def _binance(message: Mapping[str, Any], find: Find, _: int) -> Iterable[Stated] | None:
    match message.get("e"):
        case "kline":
            k = message["k"]
            prices = (k["o"], k["h"], k["l"], k["c"])
            ts = to_ns(message["E"]) or 0
            market = find(k["s"])
            return [_candle(market, prices, k["v"], start=k["t"], ts=ts, is_closed=k["x"])]
        case "forceOrder":
            o = message["o"]
            # What was filled, at its average price; an order that wasn't yet, at its limit.
            filled = float(o["z"]) > 0
            price, size = (o["ap"], o["z"]) if filled else (o["p"], o["q"])
            return [_liquidation(find(o["s"]), _SIDES.get(o["S"].lower()), price, size, o["T"])]
        case "markPriceUpdate":
            rate = _number(message.get("r"))
            return [
                ("funding", Funding(
                    symbol=find(message["s"])["symbol"], ts=to_ns(message["E"]) or 0, rate=rate,
                    next_ts=None if rate is None else to_ns(message.get("T")),
                    mark_price=_number(message["p"]),
                )),
            ]  # fmt: skip
    return None


def _okx(message: Mapping[str, Any], find: Find, now_ns: int) -> Iterable[Stated] | None:
    arg = message.get("arg")
    if not isinstance(arg, Mapping):
        return None
    if message.get("event") == "unsubscribe" and arg.get("channel") == "candle1m":
        return ()  # ccxt would look for the candles that it was never shown
    if "data" not in message:
        return None
    rows = message["data"]
    match arg.get("channel"):
        case "candle1m":
            market = find(arg["instId"])
            return [
                _candle(market, row[1:5], row[5], start=row[0], ts=now_ns, is_closed=row[-1] == "1")
                for row in rows
            ]
        case "liquidation-orders":
            return [
                _liquidation(
                    find(row["instId"]), _SIDES.get(each["side"]), each["bkPx"], each["sz"],
                    each["ts"],
                )
                for row in rows
                for each in row["details"]
            ]  # fmt: skip
        case "funding-rate":
            return [
                ("funding", Funding(
                    symbol=find(row["instId"])["symbol"], ts=to_ns(row["ts"]) or now_ns,
                    rate=_number(row["fundingRate"]), next_ts=to_ns(row["fundingTime"]),
                ))
                for row in rows
            ]  # fmt: skip
        case "mark-price":
            return [
                ("funding", Funding(
                    symbol=find(row["instId"])["symbol"], ts=to_ns(row["ts"]) or now_ns,
                    mark_price=_number(row["markPx"]),
                ))
                for row in rows
            ]  # fmt: skip
    return None


def _bybit(message: Mapping[str, Any], find: Find, now_ns: int) -> Iterable[Stated] | None:
    topic = message.get("topic")
    kind, _, rest = topic.partition(".") if isinstance(topic, str) else ("", "", "")
    data = message.get("data")
    match kind:
        case "kline":
            market = find(rest.partition(".")[2])
            return [
                _candle(
                    market, (k["open"], k["high"], k["low"], k["close"]), k["volume"],
                    start=k["start"], ts=to_ns(k["timestamp"]) or now_ns, is_closed=k["confirm"],
                )
                for k in data or ()
            ]  # fmt: skip
        case "allLiquidation":
            # It says which side's position was closed; the order that did is of the other.
            return [
                _liquidation(find(each["s"]), _OTHER.get(each["S"].lower()), each["p"], each["v"],
                             each["T"])
                for each in data or ()
            ]  # fmt: skip
        case "tickers":
            # Only what has changed is in it.
            data = data or {}
            rate, mark = _number(data.get("fundingRate")), _number(data.get("markPrice"))
            if rate is None and mark is None:
                return []
            return [
                ("funding", Funding(
                    symbol=find(data["symbol"])["symbol"], ts=to_ns(message["ts"]) or now_ns,
                    rate=rate, mark_price=mark, next_ts=to_ns(data.get("nextFundingTime")),
                )),
            ]  # fmt: skip
    return None


def _kraken(message: Mapping[str, Any], find: Find, now_ns: int) -> Iterable[Stated] | None:
    if message.get("channel") != "ohlc" or "data" not in message:
        return None
    # The first message has the last 720; of each symbol the newest counts.
    newest = {row["symbol"]: row for row in message["data"]}
    ts = to_ns(message.get("timestamp")) or now_ns
    return [
        _candle(
            find(row["symbol"]), (row["open"], row["high"], row["low"], row["close"]),
            row["volume"], start=row["interval_begin"], ts=ts, is_closed=False,
        )
        for row in newest.values()
    ]  # fmt: skip


STATEMENTS: Mapping[str, Read] = {
    "binance": _binance,
    "okx": _okx,
    "bybit": _bybit,
    "kraken": _kraken,
}
"""By ccxt id."""
