"""Read each venue's order-book messages, and tell whether one follows the one before it.

Formats and rules are the venues' own, from their public documentation:
binance  https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
         ("How to manage a local order book correctly"), and likewise for its futures
okx      https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel
bybit    https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook
kraken   https://docs.kraken.com/api/docs/websocket-v2/book
coinbase https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
coinbaseexchange https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import attrs
import msgspec

from bond_ccxt.book import Book, Texts, Update, kraken_checksum, okx_checksum
from bond_ccxt.parse import to_ns

Fit = Literal["follows", "repeats"] | None
"""Whether an update follows a book, repeats what is in it, or (None) leaves something out."""

Find = Callable[[str], Mapping[str, Any]]
"""Returns the market that the venue calls so, on the connection that is being read."""


@attrs.frozen(kw_only=True)
class BookWire:
    """How a venue tells of its books.

    Attributes:
        read: Returns the updates in a message; None if it is about something else.
        fit: See Fit; called for what is no snapshot.
        checksum: Computes what an update's `checksum` should be.
        depth: How many levels the venue keeps us told of, so that we let go of others; None
            where it tells of every change.
        by_rest: Whether the first state comes over HTTP, and not with the messages.
        prepare: Changes what ccxt's exchange object would do about books by itself.
        told_depth: Returns the symbol and the number of levels that a message confirms, where
            the venue does not say which levels have left the others.
        begins: How the text of such a message begins, where `decode` is to read it and not
            ccxt; a message that begins otherwise is read by ccxt.
        decode: Reads the text so that nothing is lost that `checksum` needs.
        numbered: Whether messages of one connection are numbered, `sequence_num`.
    """

    read: Callable[[Mapping[str, Any], Find], Iterable[Update] | None]
    fit: Callable[[Book, Update], Fit]
    checksum: Callable[[Book], int] | None = None
    depth: int | None = None
    by_rest: bool = False
    prepare: Callable[[Any], None] = lambda _: None
    told_depth: Callable[[Mapping[str, Any]], tuple[str, int] | None] = lambda _: None
    begins: str | None = None
    decode: Callable[[str], Mapping[str, Any]] = msgspec.json.decode
    numbered: bool = False

    @property
    def is_unchecked(self) -> bool:
        """Whether nothing in the messages would show that one is missing."""
        return self.fit is _follows and self.checksum is None and not self.numbered


def _binance(message: Mapping[str, Any], find: Find) -> Iterable[Update] | None:
    if message.get("e") != "depthUpdate":
        return None
    return (
        Update(
            symbol=find(message["s"])["symbol"],
            bids=message["b"],
            asks=message["a"],
            ts=to_ns(message.get("T", message["E"])),  # futures have the time of the match too
            first=message["U"],
            last=message["u"],
            before=message.get("pu"),
        ),
    )


def _binance_fit(book: Book, update: Update) -> Fit:
    """Binance's rules 4 to 6; `pu` is in futures only."""
    number, first, last = book.number or 0, update.first or 0, update.last or 0
    if last <= number:
        return "repeats"
    if update.before is None:
        return "follows" if first <= number + 1 else None
    # The first one after a snapshot began before it.
    return "follows" if update.before == number or first <= number else None


def _okx(message: Mapping[str, Any], find: Find) -> Iterable[Update] | None:
    arg = message.get("arg")
    if not isinstance(arg, Mapping) or arg.get("channel") != "books" or "data" not in message:
        return None
    symbol = find(arg["instId"])["symbol"]
    return [
        Update(
            symbol=symbol,
            bids=[(level[0], level[1]) for level in row["bids"]],
            asks=[(level[0], level[1]) for level in row["asks"]],
            is_snapshot=message["action"] == "snapshot",
            ts=to_ns(row["ts"]),
            last=row.get("seqId"),
            before=row.get("prevSeqId"),
            # It is 0 where the venue doesn't compute it any more.
            checksum=row.get("checksum") or None,
        )
        for row in message["data"]
    ]


def _okx_fit(book: Book, update: Update) -> Fit:
    """After maintenance a number may be smaller than the one before it; that is no break."""
    if update.before is None or update.before == book.number:
        return "follows"
    is_old = update.last is not None and book.number is not None and update.last <= book.number
    return "repeats" if is_old else None


def _bybit(message: Mapping[str, Any], find: Find) -> Iterable[Update] | None:
    topic = message.get("topic")
    if not isinstance(topic, str) or not topic.startswith("orderbook."):
        return None
    if topic.startswith("orderbook.1."):  # quotes are made of it
        return None
    data = message["data"]
    return (
        Update(
            symbol=find(data["s"])["symbol"],
            bids=data["b"],
            asks=data["a"],
            # A service that was restarted begins anew at 1, whatever the message says.
            is_snapshot=message["type"] == "snapshot" or data["u"] == 1,
            ts=to_ns(message.get("cts", message.get("ts"))),
            last=data["u"],
        ),
    )


def _by_ones(book: Book, update: Update) -> Fit:
    number, last = book.number or 0, update.last or 0
    return "follows" if last == number + 1 else "repeats" if last <= number else None


def _kraken(message: Mapping[str, Any], find: Find) -> Iterable[Update] | None:
    if message.get("channel") != "book" or "data" not in message:
        return None
    updates = []
    for row in message["data"]:
        market = find(row["symbol"])
        write = _digits(market)
        updates.append(
            Update(
                symbol=market["symbol"],
                bids=[write(level) for level in row.get("bids", ())],
                asks=[write(level) for level in row.get("asks", ())],
                is_snapshot=message["type"] == "snapshot",
                ts=to_ns(row.get("timestamp")),
                checksum=row.get("checksum"),
            )
        )
    return updates


def _kraken_depth(message: Mapping[str, Any]) -> tuple[str, int] | None:
    result = message.get("result")
    if message.get("method") != "subscribe" or not isinstance(result, Mapping):
        return None
    is_book = result.get("channel") == "book" and "depth" in result
    return (result["symbol"], int(result["depth"])) if is_book else None


_exactly = msgspec.json.Decoder(float_hook=Decimal).decode
"""Reads JSON with its numbers as they were written, `0.10000000` and not 0.1."""


def _digits(market: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Texts]:
    """Return what writes a level as the venue did.

    What ccxt has read has lost its last zeros: the market's number of decimals says them.
    """
    info = market.get("info") or {}
    steps = market["precision"]
    places = _places(info.get("pair_decimals"), steps["price"])
    size_places = _places(info.get("lot_decimals"), steps["amount"])

    def write(number: Any, decimals: int) -> str:
        return f"{number:f}" if isinstance(number, Decimal) else f"{number:.{decimals}f}"

    return lambda level: (write(level["price"], places), write(level["qty"], size_places))


def _places(said: object, step: float) -> int:
    if said is not None:
        return int(str(said))
    exponent = Decimal(repr(step)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _follows(_: Book, __: Update) -> Fit:
    return "follows"


def _coinbase(message: Mapping[str, Any], find: Find) -> Iterable[Update] | None:
    if message.get("channel") != "l2_data":
        return None
    updates = []
    for event in message["events"]:
        changes: dict[str, list[Texts]] = {"bid": [], "offer": []}
        for change in event["updates"]:
            changes[change["side"]].append((change["price_level"], change["new_quantity"]))
        updates.append(
            Update(
                symbol=find(event["product_id"])["symbol"],
                bids=changes["bid"],
                asks=changes["offer"],
                is_snapshot=event["type"] == "snapshot",
                ts=to_ns(message.get("timestamp")),
                last=message.get("sequence_num"),
            )
        )
    return updates


def _exchange(message: Mapping[str, Any], find: Find) -> Iterable[Update] | None:
    match message.get("type"):
        case "snapshot":
            bids: Sequence[Texts] = message["bids"]
            asks: Sequence[Texts] = message["asks"]
        case "l2update":
            changes = message["changes"]
            bids = [(price, size) for side, price, size in changes if side == "buy"]
            asks = [(price, size) for side, price, size in changes if side == "sell"]
        case _:
            return None
    return (
        Update(
            symbol=find(message["product_id"])["symbol"],
            bids=bids,
            asks=asks,
            is_snapshot=message["type"] == "snapshot",
            ts=to_ns(message.get("time")),
        ),
    )


def _no_snapshots(exchange: Any) -> None:
    """Keep ccxt from fetching snapshots, in tasks that nobody owns: ours are enough."""
    exchange.handle_order_book_subscription = lambda *_: None


def _no_login(exchange: Any) -> None:
    """Keep ccxt from asking for keys: `level2_batch` needs none."""
    exchange.authenticate = lambda *_: {}


BOOK_WIRES: Mapping[str, BookWire] = {
    "binance": BookWire(read=_binance, fit=_binance_fit, by_rest=True, prepare=_no_snapshots),
    "okx": BookWire(read=_okx, fit=_okx_fit, checksum=okx_checksum),
    "bybit": BookWire(read=_bybit, fit=_by_ones),
    "kraken": BookWire(
        read=_kraken,
        fit=_follows,
        checksum=kraken_checksum,
        depth=100,
        told_depth=_kraken_depth,
        begins='{"channel":"book"',
        decode=_exactly,
    ),
    "coinbase": BookWire(read=_coinbase, fit=_follows, numbered=True),
    # No numbers and no checksums: only a crossed book shows that something was missed.
    "coinbaseexchange": BookWire(read=_exchange, fit=_follows, prepare=_no_login),
}
"""By ccxt id."""
