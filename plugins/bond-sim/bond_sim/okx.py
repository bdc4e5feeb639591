"""Speak OKX's v5 protocol, public part: spot, swaps and futures.

Source: https://www.okx.com/docs-v5/en/ (tickers, trades, bbo-tbt channels; instruments,
market/ticker, market/trades, market/books, public/time).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web
from attrs import frozen

from bond_sim.books import BookChange, BookState, Level
from bond_sim.clients import Client
from bond_sim.contracts import Contracts
from bond_sim.instruments import Instrument, okx_instrument
from bond_sim.levels import levels
from bond_sim.market import SLOT_NS, Quote, Summary, Trade
from bond_sim.subscriptions import Subscription
from bond_sim.venue import MS, Desk, Seen, at_ns, subscribe

_CHANNELS = {
    "trades": "trades", "tickers": "quotes", "bbo-tbt": "quotes", "books": "book",
    "candle1m": "candles", "funding-rate": "funding", "mark-price": "funding",
    "liquidation-orders": "liquidations",
}  # fmt: skip
_TYPES = {"spot": "SPOT", "swap": "SWAP", "future": "FUTURES"}
_DAY_MS = 86_400_000


def _dumps(message: object) -> str:
    return json.dumps(message, separators=(",", ":"))


@frozen
class Okx:
    """OKX v5."""

    name: str = "okx"
    socket_paths: Sequence[str] = ("/ws/v5/public", "/ws/v5/business")

    def routes(self, desk: Desk) -> Mapping[str, Callable[[web.Request], web.Response]]:
        """Return the REST handlers."""
        return {
            "/api/v5/public/time": lambda _: _ok([{"ts": str(desk.clock.now_ns() // MS)}]),
            "/api/v5/public/instruments": lambda r: _instruments(r, desk),
            "/api/v5/market/ticker": lambda r: _of_one(r, desk, _ticker_rows),
            "/api/v5/market/tickers": lambda r: _tickers(r, desk),
            "/api/v5/market/trades": lambda r: _of_one(r, desk, _trade_rows),
            "/api/v5/market/history-trades": lambda r: _of_one(r, desk, _history_rows),
            "/api/v5/market/books": lambda r: _of_one(r, desk, _book_rows),
            "/api/v5/public/open-interest": lambda r: _of_one(r, desk, _interest_rows),
        }

    def dress(self, path: str) -> Callable[[str, str], str]:
        """Return a frame as it is: it names its channel itself."""
        return lambda _wire, text: text

    def receive(self, text: str, client: Client, desk: Desk) -> list[str]:
        """Do subscribe and unsubscribe, and answer OKX's own text ping."""
        if text == "ping":
            return ["pong"]
        try:
            asked = json.loads(text)
            op, args = (
                asked["op"],
                [(a["channel"], a.get("instId") or a["instType"]) for a in asked["args"]],
            )
        except (ValueError, KeyError, TypeError):
            return [_error("60012", f"Illegal request: {text[:200]}")]
        if op not in ("subscribe", "unsubscribe"):
            return [_error("60012", f"Illegal request: {text[:200]}")]
        answers = []
        for channel, id in args:
            if channel == "liquidation-orders" and id in _TYPES.values():
                answers.append(self._of_type(op, channel, id, client, desk))
                continue
            wire = f"{channel}:{id}"
            if not desk.carried(self.name, wire):
                answers.append(
                    _error("60018", f"Wrong URL or channel:{channel},instId:{id} doesn't exist.")
                )
                continue
            arg = {"channel": channel, "instId": id}
            answers.append(_dumps({"event": op, "arg": arg, "connId": "bond5a1b"}))
            if op == "subscribe":
                answers += subscribe(self, client, wire, desk)
            else:
                desk.clients.unsubscribe(client, wire)
        return answers

    def _of_type(self, op: str, channel: str, kind: str, client: Client, desk: Desk) -> str:
        """Subscribe to all markets of a type, or leave them."""
        for instrument in desk.listed(self.name):
            if _TYPES[instrument.kind] == kind:
                wire = f"{channel}:{instrument.id}"
                if op == "subscribe":
                    desk.clients.subscribe(client, wire)
                else:
                    desk.clients.unsubscribe(client, wire)
        arg = {"channel": channel, "instType": kind}
        return _dumps({"event": op, "arg": arg, "connId": "bond5a1b"})

    def opening(self, wire: str, instrument: Instrument, book: BookState) -> list[str]:
        """Return a `snapshot` of the books channel."""
        return [_book(instrument, book, book.bids, book.asks, -1)]

    def change(self, wire: str, instrument: Instrument, change: BookChange) -> str:
        """Return an `update` of the books channel."""
        return _book(instrument, change.now, change.bids, change.asks, change.before)

    def statement(
        self, wire: str, instrument: Instrument, contracts: Contracts, end_ns: int
    ) -> list[str]:
        """Return a frame of candle1m, funding-rate, mark-price or liquidation-orders."""
        channel = wire.partition(":")[0]
        arg: dict[str, str] = {"channel": channel, "instId": instrument.id}
        rows: list[object] = []
        if channel == "candle1m":
            if m := contracts.minute(instrument, end_ns):
                ms, confirm = str(m.start_ns // MS), "1" if m.is_closed else "0"
                rows = [[ms, m.open, m.high, m.low, m.close, m.volume, "0", "0", confirm]]
        elif channel == "liquidation-orders":
            arg = {"channel": channel, "instType": _TYPES[instrument.kind]}
            rows = _liquidations(instrument, contracts, end_ns)
        elif instrument.kind == "swap":
            s = contracts.stated(instrument, end_ns)
            row = {"instId": instrument.id, "instType": "SWAP", "ts": str(s.at_ns // MS)}
            if channel == "mark-price":
                rows = [row | {"markPx": s.mark_price}]
            else:
                due = str(s.next_funding_ns // MS)
                rows = [row | {"fundingRate": s.funding_rate, "fundingTime": due}]
        return [_dumps({"arg": arg, "data": rows})] if rows else []

    def synthesised(self, wire: str) -> bool:
        """Return whether the synthetic market has this kind of stream."""
        return wire.partition(":")[0] in _CHANNELS

    def about(self, wire: str) -> Subscription:
        """Return what `tickers:BTC-USDT` carries: quotes of BTC-USDT."""
        channel, _, id = wire.partition(":")
        return Subscription(self.name, _CHANNELS.get(channel, channel), id)

    def trade(self, wire: str, instrument: Instrument, trade: Trade) -> str:
        """Return a frame of the trades channel."""
        i, t = instrument.id, trade
        return (
            f'{{"arg":{{"channel":"trades","instId":"{i}"}},"data":[{{"instId":"{i}",'
            f'"tradeId":"{t.id}","px":"{t.price}","sz":"{t.size}","side":"{t.side}",'
            f'"ts":"{t.at_ns // MS}","count":"1"}}]}}'
        )

    def quote(self, wire: str, instrument: Instrument, quote: Quote, summary: Summary) -> str:
        """Return a frame of the tickers or the bbo-tbt channel."""
        channel = wire.partition(":")[0]
        row = _bbo(quote) if channel == "bbo-tbt" else _ticker(instrument, quote, summary)
        return _dumps({"arg": {"channel": channel, "instId": instrument.id}, "data": [row]})

    def recorded(self, message: Any) -> list[tuple[str, Any]]:
        """Return a data frame under its channel, and for `tickers` a `bbo-tbt` frame too."""
        if "data" not in message or "arg" not in message:
            return []
        channel, id = message["arg"]["channel"], message["arg"]["instId"]
        frames = [(f"{channel}:{id}", message)]
        if channel == "tickers":
            rows = [
                {
                    "asks": [[row["askPx"], row["askSz"], "0", "1"]],
                    "bids": [[row["bidPx"], row["bidSz"], "0", "1"]],
                    "ts": row["ts"],
                }
                for row in message["data"]
            ]
            made = {"arg": {"channel": "bbo-tbt", "instId": id}, "data": rows}
            frames.append((f"bbo-tbt:{id}", made))
        return frames

    def seen(self, message: Any) -> Seen:
        """Return the trades of a trades frame, or the quote of a tickers frame."""
        channel, id = message["arg"]["channel"], message["arg"]["instId"]
        if channel == "trades":
            rows = message["data"]
            return Seen(
                id,
                [
                    Trade(int(r["tradeId"]), at_ns(r["ts"]), r["px"], r["sz"], r["side"])
                    for r in rows
                ],
            )
        if channel == "tickers":
            r = message["data"][-1]
            sides = (r["bidPx"], r["bidSz"], r["askPx"], r["askSz"])
            return Seen(id, quote=Quote(int(r["ts"]), at_ns(r["ts"]), *sides))
        return Seen(id)

    def retimed(self, message: Any, shift_ns: int) -> Any:
        """Move every `ts` (ms, as text)."""
        rows = [{**row, "ts": str(int(row["ts"]) + shift_ns // MS)} for row in message["data"]]
        return {**message, "data": rows}

    def read_instrument(self, id: str, tick: str, lot: str) -> Instrument:
        """Read spot, swap and future ids; the decimals seen are the steps."""
        return okx_instrument(id, tick, lot)


def _book(
    i: Instrument, now: BookState, bids: Sequence[Level], asks: Sequence[Level], before: int
) -> str:
    # The checksum is always 0 today: the numbers tell what is missing.
    row = {
        "asks": [[*level, "0", "1"] for level in asks],
        "bids": [[*level, "0", "1"] for level in bids],
        "ts": str(now.at_ns // MS),
        "checksum": 0,
        "seqId": now.number,
        "prevSeqId": before,
    }
    action = "snapshot" if before == -1 else "update"
    arg = {"channel": "books", "instId": i.id}
    return _dumps({"arg": arg, "action": action, "data": [row]})


def _liquidations(i: Instrument, contracts: Contracts, end_ns: int) -> list[object]:
    trades = contracts.liquidations(i, (end_ns - 1) // SLOT_NS)
    details = [
        {
            "bkLoss": "0",
            "bkPx": t.price,
            "ccy": "",
            "posSide": "short" if t.side == "buy" else "long",
            "side": t.side,
            "sz": t.size,
            "ts": str(t.at_ns // MS),
        }
        for t in trades
    ]
    family = f"{i.base}-{i.quote}"
    row = {"details": details, "instFamily": family, "instId": i.id, "instType": _TYPES[i.kind]}
    return [row | {"uly": family}] if details else []


def _interest_rows(desk: Desk, i: Instrument, _: web.Request) -> list[dict[str, object]]:
    if desk.contracts is None or i.kind != "swap":
        return []
    s = desk.contracts.stated(i, desk.clock.now_ns())
    base = float(s.open_interest)
    contracts = base / float(i.contract_size)
    row: dict[str, object] = {"instId": i.id, "instType": "SWAP", "ts": str(s.at_ns // MS)}
    return [row | {"oi": f"{contracts:.0f}", "oiCcy": s.open_interest}]


def _error(code: str, text: str) -> str:
    return _dumps({"event": "error", "code": code, "msg": text, "connId": "bond5a1b"})


def _ok(rows: Sequence[Mapping[str, object]]) -> web.Response:
    return web.json_response({"code": "0", "msg": "", "data": list(rows)})


def _bbo(q: Quote) -> dict[str, object]:
    return {
        "asks": [[q.ask, q.ask_size, "0", "3"]],
        "bids": [[q.bid, q.bid_size, "0", "3"]],
        "ts": str(q.at_ns // MS),
        "seqId": q.number,
    }


def _ticker(i: Instrument, q: Quote | None, s: Summary) -> dict[str, object]:
    # For contracts vol24h counts contracts and volCcy24h base units; for spot, base and quote.
    volumes = (s.base_volume, s.quote_volume)
    if i.kind != "spot":
        per = float(s.last) / float(i.contract_size) if i.inverse else 1 / float(i.contract_size)
        volumes = (f"{float(s.base_volume) * per:.0f}", s.base_volume)
    return {
        "instType": _TYPES[i.kind],
        "instId": i.id,
        "last": s.last,
        "lastSz": s.last_size,
        "askPx": q.ask if q else "",
        "askSz": q.ask_size if q else "",
        "bidPx": q.bid if q else "",
        "bidSz": q.bid_size if q else "",
        "open24h": s.open,
        "high24h": s.high,
        "low24h": s.low,
        "sodUtc0": s.open,
        "sodUtc8": s.open,
        "volCcy24h": volumes[1],
        "vol24h": volumes[0],
        "ts": str(s.at_ns // MS),
    }


def _instruments(request: web.Request, desk: Desk) -> web.Response:
    kind = request.query.get("instType", "SPOT")
    return _ok([_instrument(i) for i in desk.listed("okx") if _TYPES[i.kind] == kind])


def _instrument(i: Instrument) -> dict[str, object]:
    contract = i.kind != "spot"
    underlying = f"{i.base}-{i.quote}" if contract else ""
    return {
        "alias": "",
        "baseCcy": "" if contract else i.base,
        "quoteCcy": "" if contract else i.quote,
        "settleCcy": i.settle,
        "category": "1",
        "ctMult": "1" if contract else "",
        "ctType": ("inverse" if i.inverse else "linear") if contract else "",
        "ctVal": i.contract_size,
        "ctValCcy": (i.quote if i.inverse else i.base) if contract else "",
        "expTime": str(i.expiry_ms) if i.expiry_ms else "",
        "instFamily": underlying,
        "instId": i.id,
        "instType": _TYPES[i.kind],
        "lever": "",
        "listTime": "1548133413000",
        "lotSz": i.lot,
        "minSz": i.lot,
        "optType": "",
        "state": "live",
        "stk": "",
        "tickSz": i.tick,
        "uly": underlying,
    }


_Rows = Callable[[Desk, Instrument, web.Request], Sequence[Mapping[str, object]]]


def _of_one(request: web.Request, desk: Desk, rows: _Rows) -> web.Response:
    instrument = desk.instrument("okx", request.query.get("instId", ""))
    if instrument is None:
        msg = "Instrument ID, Instrument ID code, or Spread ID doesn't exist."
        return web.json_response({"code": "51001", "msg": msg, "data": []})
    return _ok(rows(desk, instrument, request))


def _ticker_rows(desk: Desk, i: Instrument, _: web.Request) -> list[dict[str, object]]:
    now_ns = desk.clock.now_ns()
    summary = desk.market.summary(i, now_ns)
    return [] if summary is None else [_ticker(i, desk.market.quote(i, now_ns), summary)]


def _tickers(request: web.Request, desk: Desk) -> web.Response:
    kind = request.query.get("instType", "SPOT")
    listed = [i for i in desk.listed("okx") if _TYPES[i.kind] == kind]
    return _ok([row for i in listed for row in _ticker_rows(desk, i, request)])


def _trade_rows(desk: Desk, i: Instrument, request: web.Request) -> list[dict[str, object]]:
    return _trades(desk, i, min(int(request.query.get("limit", "100")), 500), None)


def _history_rows(desk: Desk, i: Instrument, request: web.Request) -> list[dict[str, object]]:
    after = request.query.get("after")  # earlier than this trade id: `type` 1, the default
    limit = min(int(request.query.get("limit", "100")), 100)
    return _trades(desk, i, limit, None if after is None else int(after))


def _trades(desk: Desk, i: Instrument, limit: int, below: int | None) -> list[dict[str, object]]:
    return [
        {
            "instId": i.id,
            "side": t.side,
            "sz": t.size,
            "px": t.price,
            "tradeId": str(t.id),
            "ts": str(t.at_ns // MS),
        }
        for t in reversed(desk.market.recent(i, desk.clock.now_ns(), limit, below=below))
    ]


def _book_rows(desk: Desk, i: Instrument, request: web.Request) -> list[dict[str, object]]:
    now_ns = desk.clock.now_ns()
    quote = desk.market.quote(i, now_ns)
    if quote is None:
        return []
    bids, asks = levels(i, quote, int(request.query.get("sz", "1")))
    return [
        {
            "asks": [[*level, "0", "1"] for level in asks],
            "bids": [[*level, "0", "1"] for level in bids],
            "ts": str(quote.at_ns // MS),
            "seqId": quote.number,
        }
    ]
