"""Read a stream's items and records into messages, one stream at a time."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from ekko.datastream.asking import Asked
from ekko.datastream.candles import Forming
from ekko.datastream.health import DOWN, Health
from ekko.datastream.message import StreamMessage, moment
from ekko.errors import StreamError
from ekko.event import Gap

log = logging.getLogger("ekko")

_CHANNEL = re.compile(r"\.(trades|quotes|candles|bars|book|all_trades)(\.\d+)?$")
"""What a source's name ends in where it is not the first of its venue."""

MOST_NOTICES = 32
"""So many wait for a symbol's next message; of more the newest are kept, and all are logged."""


class Reader:
    """Reads one stream.

    Args:
        asked: What it was asked for.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._health = Health(len(asked.symbols))
        self._notices: dict[str, list[Mapping[str, Any]]] = {s: [] for s in asked.symbols}
        self._quotes: dict[str, Mapping[str, Any]] = {}
        self._forming = Forming(asked.interval_s)

    def read(self, item: Mapping[str, Any]) -> Iterator[StreamMessage]:
        """Yield what an item or record means, for each way its symbol was written.

        Raises:
            StreamError: All sources have failed, or they send what wasn't asked for.
        """
        self._take_notices(item)
        if isinstance(item, Gap):
            self._forming.missed(until=moment(item["window_end"]))
            self._quotes.clear()
            return
        if (sources := item.get("sources")) is not None:
            about = item["symbol"] or ""
            why = self._health.saw(about, sources, moment(item["ts"]))
            if why is not None:
                raise StreamError(item["stream_id"], why)
            self._forget_quotes(sources)
        found = self._record(item) if self._asked.is_built else self._event(item)
        if found is None:
            return
        symbol = item["symbol"]
        notices, self._notices[symbol] = tuple(self._notices[symbol]), []
        for written in self._asked.symbols[symbol]:
            yield StreamMessage(
                symbol=written, stream_type=self._asked.stream_type, notices=notices, raw=item,
                **{"timestamp": moment(item["ts"])} | found,
            )  # fmt: skip

    def _take_notices(self, item: Mapping[str, Any]) -> None:
        for notice in item.get("notices") or ():
            about = notice.get("symbol") or item.get("symbol")
            said = [str(notice[key]) for key in ("source", "detail") if notice.get(key)]
            log.warning("%s: %s", notice.get("code"), ": ".join(said))
            for symbol in [about] if about in self._notices else self._notices:
                waiting = self._notices[symbol]
                waiting.append(notice)
                del waiting[:-MOST_NOTICES]

    def _forget_quotes(self, sources: Mapping[str, Mapping[str, Any]]) -> None:
        """Forget the quotes of sources that are gone or, for their symbol, down: of before."""
        self._quotes = {
            symbol: quote
            for symbol, quote in self._quotes.items()
            if (told := sources.get(quote["source"])) and not _is_down(told, symbol)
        }

    def _event(self, item: Mapping[str, Any]) -> dict[str, Any] | None:
        if item.get("symbol") not in self._notices:
            return None
        match self._asked.stream_type, item["kind"]:
            case "ticker", "quote":
                self._quotes[item["symbol"]] = item
                if self._asked.has_trades or item["last"] is None:
                    return None
                fields = {"price": item["last"], **_best(item)}
            case "ticker", "trade" if item["price"] is not None:
                quote = self._quotes.get(item["symbol"])
                if quote is not None and _provider(quote) != _provider(item):
                    quote = None  # another venue stands in for one of the two
                fields = _trade(item) | ({} if quote is None else _best(quote))
            case "trade", "trade":
                fields = _trade(item)
            case "kline", "candle":
                fields = self._venue_s_candle(item)
            case "depth", "book":
                fields = _book(item)
            case _:
                return None
        fields["provider"] = _provider(item)
        fields["simulated"] = item.get("simulated", False)
        fields["late"] = bool(item.get("late") or item.get("repaired"))
        return fields

    def _venue_s_candle(self, item: Mapping[str, Any]) -> dict[str, Any]:
        if item["length_sec"] != self._asked.interval_s:
            said = f"{item['venue']} sends candles of {item['length_sec']} s"
            raise StreamError(item["stream_id"], f"{said}, and {self._asked.interval} were asked")
        prices = {key: item[key] for key in ("open", "high", "low", "close", "volume")}
        start = item["start"]
        return prices | {
            "price": item["close"], "start": None if start is None else moment(start),
            "interval": self._asked.interval, "is_closed": item["is_closed"], "made_by": "venue",
        }  # fmt: skip

    def _record(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        bar = self._forming.saw(record)
        if bar is None:
            return None
        venues = (record.get("raw_data") or {}).get("sources") or record["sources"]
        return {
            **attrs.asdict(bar), "price": bar.close, "interval": self._asked.interval,
            "provider": ",".join(_CHANNEL.sub("", name) for name in venues), "made_by": "bond",
            "simulated": any(s.get("simulated") for s in record["sources"].values()),
        }  # fmt: skip


def _is_down(told: Mapping[str, Any], symbol: str) -> bool:
    """Whether a source is known to be down for a symbol; its own status is its worst."""
    status = (told.get("symbols") or {}).get(symbol)
    if status is None and told.get("other_symbols"):
        return False  # it may be among those that had no room
    return (status or told["status"]) in DOWN


def _provider(item: Mapping[str, Any]) -> str:
    return _CHANNEL.sub("", item["source"])


def _trade(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "price": item["price"], "volume": item["size"], "side": item["side"],
        "trade_id": item["event_id"],
    }  # fmt: skip


def _best(quote: Mapping[str, Any]) -> dict[str, Any]:
    return {"bid": quote["bid"], "ask": quote["ask"]}


def _book(item: Mapping[str, Any]) -> dict[str, Any]:
    def best(levels: Sequence[Sequence[float]]) -> float | None:
        return levels[0][0] if levels else None

    bids, asks = item["bids"], item["asks"]
    return {"bids": bids, "asks": asks, "bid": best(bids), "ask": best(asks)}
