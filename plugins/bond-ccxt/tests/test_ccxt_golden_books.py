"""Recorded order books, through ccxt.pro and the connector, beside a reading of the file.

The reading here is plain: dictionaries of decimal texts, sorted anew for every update. It shares
nothing with ccxt, nor with the connector. Any recording of the format in the folder is played.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import zlib
from decimal import Decimal
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).parents[3].parent / "shared" / "data" / "recordings"
FOLDER = Path(os.environ.get("BOND_RECORDINGS", _DEFAULT))
HOSTS = {
    "ws.okx.com": "okx",
    "stream.binance.com": "binance",
    "fstream.binance.com": "binance futures",
    "ws-feed.pro.coinbase.com": "coinbaseexchange",
    "ws-feed.exchange.coinbase.com": "coinbaseexchange",
    "advanced-trade-ws.coinbase.com": "coinbase",
    "stream.bybit.com": "bybit",
    "ws.kraken.com": "kraken",
}
QUOTES = ("USDT", "USDC", "BUSD", "FDUSD", "BTC", "ETH", "EUR", "USD", "BNB", "TRY")
MARK = re.compile(r"(wss?://\S+) <-[>]? ?[0-9.]+")
FRAME = re.compile(r"([0-9.]+): ([{\[].*)")


def sessions():
    """Return every recorded WebSocket session of a venue that we know."""
    found = []
    for path in sorted(FOLDER.rglob("*.ws.*")) if FOLDER.is_dir() else ():
        with path.open(encoding="utf-8") as file:
            line = file.readline()
        opened = MARK.match(line)
        host = re.match(r"wss?://([^:/]+)(\S*)", opened[1]) if opened else None
        if host and host[1] in HOSTS:
            found.append(pytest.param(HOSTS[host[1]], path, id=path.name))
    return found


def frames_of(path):
    """Return the received frames of a recording, out of the envelope of combined streams."""
    frames = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := FRAME.fullmatch(line.strip()):
            frame = json.loads(found[2])
            if isinstance(frame, dict):  # lists are the first version of Kraken's protocol
                frames.append(frame["data"] if "stream" in frame else frame)
    return frames


# How each venue writes its books: (market, is it a snapshot, bids, asks, checksum, numbers)


def _okx(frame):
    if frame.get("arg", {}).get("channel") == "books" and "data" in frame:
        for row in frame["data"]:
            sides = ([level[:2] for level in row[side]] for side in ("bids", "asks"))
            yield (frame["arg"]["instId"], frame["action"] == "snapshot", *sides,
                   row.get("checksum"), ())  # fmt: skip


def _coinbase_exchange(frame):
    if frame.get("type") == "snapshot":
        yield frame["product_id"], True, frame["bids"], frame["asks"], None, ()
    elif frame.get("type") == "l2update":
        bids = [c[1:] for c in frame["changes"] if c[0] == "buy"]
        asks = [c[1:] for c in frame["changes"] if c[0] == "sell"]
        yield frame["product_id"], False, bids, asks, None, ()


def _coinbase(frame):
    if frame.get("channel") == "l2_data":
        for event in frame["events"]:
            sides = [
                [(u["price_level"], u["new_quantity"]) for u in event["updates"] if u["side"] == s]
                for s in ("bid", "offer")
            ]
            yield event["product_id"], event["type"] == "snapshot", *sides, None, ()


def _binance(frame):
    if frame.get("e") == "depthUpdate":
        yield frame["s"], False, frame["b"], frame["a"], None, (frame["U"], frame["u"])


def _bybit(frame):
    if re.match(r"orderbook\.(?!1\.)", str(frame.get("topic"))):
        data = frame["data"]
        yield data["s"], frame["type"] == "snapshot", data["b"], data["a"], None, ()


def _kraken(frame):
    if frame.get("channel") == "book" and "data" in frame:
        for row in frame["data"]:
            sides = ([(r["price"], r["qty"]) for r in row[side]] for side in ("bids", "asks"))
            yield row["symbol"], frame["type"] == "snapshot", *sides, None, ()


READ = {
    "okx": _okx, "coinbaseexchange": _coinbase_exchange, "coinbase": _coinbase,
    "binance": _binance, "binance futures": _binance, "bybit": _bybit, "kraken": _kraken,
}  # fmt: skip


def okx_crc(bids, asks):
    """Return CRC32 of the best 25 a side by turns, as OKX documents it, signed."""
    said = []
    for n in range(25):
        said += [":".join(level) for level in (bids[n : n + 1] + asks[n : n + 1])]
    number = zlib.crc32(":".join(said).encode())
    return number - 2**32 if number & 0x80000000 else number


def replayed(venue, frames, snapshots):
    """Return by market what the book's top ten are after every update, and the checksums."""
    books, tops, checked = {}, {}, {"right": 0, "wrong": 0}
    numbers = {}
    for market, snapshot in snapshots.items():
        books[market] = [{Decimal(p): (p, s) for p, s in snapshot[k]} for k in ("bids", "asks")]
        numbers[market] = snapshot["lastUpdateId"]
        tops[market] = [_top(books[market])]
    for frame in frames:
        for market, is_snapshot, bids, asks, checksum, number in READ[venue](frame):
            if is_snapshot:
                books[market] = [{}, {}]
            if market not in books or (number and number[1] <= numbers[market]):
                continue
            for side, changes in zip(books[market], (bids, asks), strict=True):
                for price, size in changes:
                    key = Decimal(str(price))
                    if Decimal(str(size)):
                        side[key] = (price, size)
                    else:
                        side.pop(key, None)
            tops.setdefault(market, []).append(_top(books[market]))
            if checksum and venue == "okx":
                bid, ask = books[market]
                ordered = [[list(bid[k]) for k in sorted(bid, reverse=True)[:25]],
                           [list(ask[k]) for k in sorted(ask)[:25]]]  # fmt: skip
                checked["right" if okx_crc(*ordered) == checksum else "wrong"] += 1
    return tops, checked


def _top(book):
    bids, asks = (sorted(book[0], reverse=True), sorted(book[1]))
    return tuple(
        tuple(tuple(map(float, side[key])) for key in keys[:10])
        for side, keys in zip(book, (bids, asks), strict=True)
    )


def symbol_of(venue, id):
    """Return a unified symbol for a venue's market, and how ccxt would describe the rest."""
    if venue == "okx":
        base, quote, *more = id.split("-")
        if not more:
            return f"{base}/{quote}", {}
        settle = base if quote == "USD" else quote
        expiry = "" if more[0] == "SWAP" else f"-{more[0]}"
        kind = {"type": "future", "swap": False, "future": True} if expiry else {}
        return f"{base}/{quote}:{settle}{expiry}", {
            "contractSize": 1, "settle": settle, "settleId": settle,
            "linear": settle == quote, "inverse": settle == base,
            "subType": "inverse" if settle == base else "linear", **kind,
        }  # fmt: skip
    if venue == "kraken":
        return id, {}
    if "-" in id:
        return id.replace("-", "/"), {}
    quote = next(q for q in QUOTES if id.endswith(q) and id != q)
    spot = f"{id.removesuffix(quote)}/{quote}"
    return (f"{spot}:{quote}", {"contractSize": 1}) if venue == "binance futures" else (spot, {})


def snapshots_of(path, venue):
    """Return the REST snapshots recorded beside a session, by market; the first of each."""
    found = {}
    if not venue.startswith("binance"):
        return found
    name = path.name.partition(".ws.")[0]
    for rest in sorted(path.parent.glob(f"{name}.http.*")):
        for line in rest.read_text(encoding="utf-8").splitlines():
            asked = re.match(r"https://\S+/depth\?symbol=(\w+)\S* -> [0-9.]+: (\{.*)", line)
            if asked:
                answer, _ = json.JSONDecoder().raw_decode(asked[2])
                found.setdefault(asked[1], answer)
    return found


@pytest.mark.parametrize(("venue", "path"), sessions())
def test_recorded_books_are_what_the_file_says(kit, venue, path):
    """
    Best bid and ask, the top ten after every update, and every checksum, of each recording.
    """
    frames = frames_of(path)
    snapshots = snapshots_of(path, venue)
    expected, checked = replayed(venue, frames, snapshots)
    expected = {market: tops for market, tops in expected.items() if tops}
    if not expected:
        pytest.skip(f"{path.name} has no order books that today's {venue} would send")
    names = {market: symbol_of(venue, market) for market in expected}

    def rest(request):
        return snapshots[request.query["symbol"]]

    async def go():
        async with kit.Venue(rest=rest) as there:
            markets = [kit.market(id, symbol, **more) for id, (symbol, more) in names.items()]
            connector = kit.connect(venue.partition(" ")[0], there, markets)
            ctx = kit.Context([kit.Want("book", symbol) for symbol, _ in names.values()])
            kinds = {(m["type"], m["subType"]) for m in markets}
            async with kit.running(connector, ctx):
                await there.until_heard(len(kinds))
                await there.say(*frames)
                await ctx.until(lambda: len(ctx.events("book")) >= sum(map(len, expected.values())))
            return ctx

    ctx = asyncio.run(go())
    assert ctx.gaps == []
    assert checked["wrong"] == 0
    for market, tops in expected.items():
        found = [e for e in ctx.events("book") if e.symbol == names[market][0]]
        assert [(e.bids[:10], e.asks[:10]) for e in found] == tops
        assert [e.ts for e in found] == sorted(e.ts for e in found)
        assert {e.venue for e in found} == {venue.partition(" ")[0]}


def test_the_recordings_have_books():
    """
    The folder holds books with checksums, books with numbers, and books with neither.
    """
    if not FOLDER.is_dir():
        pytest.skip(f"no recordings at {FOLDER}: set BOND_RECORDINGS to the folder with them")
    venues = {param.values[0] for param in sessions()}
    assert {"okx", "binance", "coinbaseexchange"} <= venues
    okx = next(p.values[1] for p in sessions() if p.values[0] == "okx")
    _, checked = replayed("okx", frames_of(okx), {})
    assert checked["right"] >= 290
