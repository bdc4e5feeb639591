"""Turn what a `DataStream` is asked for into specs: which source, which feeds, which windows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import attrs

from ekko.datastream.message import StreamType
from ekko.datastream.symbols import is_market, unified

INTERVALS: Mapping[str, int] = {
    "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200,
    "4h": 14400, "6h": 21600, "8h": 28800, "12h": 43200, "1d": 86400,
}  # fmt: skip
"""The lengths of candles, in seconds."""

CRYPTO: Mapping[str, Any] = {"type": "ccxt", "exchanges": ["binance"], "fallback": ["okx", "bybit"]}
"""Who is asked for a market when no provider is named: one venue, so that prices are of one."""

STOCKS: Mapping[str, Any] = {"type": "equities"}
"""Who is asked for a share: the first of alpaca, polygon, finnhub and ibkr that has its key."""

STEP_S = 1
"""How often a candle that Bond builds is told while it is open, in seconds."""

MOST_SYMBOLS = 500
"""How many one stream may have."""

_OWN_MINUTES = {"binance", "okx", "bybit", "kraken", "alpaca", "alpaca.crypto", "polygon"}
"""Who sends candles of a minute; of any other length or by anybody else Bond builds them."""

_LEVELS = 10
_STATUS_S = 2


@attrs.frozen(kw_only=True)
class Asked:
    """One stream to ask for.

    Attributes:
        spec: What it is to Bond.
        symbols: By unified symbol, how it was written.
        stream_type: What its messages are.
        interval: The length of candles.
        is_built: Whether Bond builds the candles, from trades.
        has_trades: Whether prices are those of trades; else they are last prices in quotes.
    """

    spec: Mapping[str, Any]
    symbols: Mapping[str, tuple[str, ...]]
    stream_type: StreamType
    interval: str | None = None
    is_built: bool = False
    has_trades: bool = True

    @property
    def interval_s(self) -> int:
        """How long its candles are, in seconds."""
        return INTERVALS[self.interval or "1m"]


def asked_for(
    symbols: Iterable[str],
    stream_type: str,
    interval: str | None,
    provider: str | None,
    sources: Sequence[Mapping[str, Any]],
) -> list[Asked]:
    """Return the streams that bring all of `symbols`: one for each source that is needed.

    Args:
        symbols: As their users write them.
        stream_type: `ticker`, `trade`, `kline` or `depth`.
        interval: Of candles; None is `1m`.
        provider: A venue or a source; None chooses by symbol.
        sources: What is installed, as `/v1/sources` tells it.

    Raises:
        ValueError: One of them makes no sense, and what would.
    """
    check(stream_type, interval)
    written: dict[str, list[str]] = {}
    for symbol in symbols:
        names = written.setdefault(unified(symbol), [])
        if symbol not in names:
            names.append(symbol)
    if not written:
        raise ValueError("no symbols are asked for")
    named, kinds = None, _ANY
    if provider is not None:
        named = _named(provider, stream_type, sources)
        kinds = next(source["kinds"] for source in sources if source["name"] == named["type"])
        _check_feeds(stream_type, provider, kinds)
    groups: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for symbol in written:
        if named is not None:
            _check_kind(symbol, written[symbol][0], named, sources)
        source = named or (CRYPTO if is_market(symbol) else STOCKS)
        if source is STOCKS and stream_type == "depth":
            raise ValueError(f"{symbol} is a share, and nobody who has shares has depth")
        groups.setdefault(source["type"], (source, []))[1].append(symbol)
    found = []
    for source, unis in groups.values():
        for i in range(0, len(unis), MOST_SYMBOLS):
            some = {symbol: tuple(written[symbol]) for symbol in unis[i : i + MOST_SYMBOLS]}
            found.append(_asked(source, some, stream_type, interval, kinds))
    return found


def check(stream_type: str, interval: str | None) -> None:
    """Refuse a type of stream or an interval that there isn't.

    Raises:
        ValueError: Says which there are.
    """
    if stream_type not in get_args(StreamType):
        known = ", ".join(get_args(StreamType))
        raise ValueError(f"stream_type is one of {known}; was {stream_type!r}")
    if interval is None:
        return
    if stream_type != "kline":
        raise ValueError(f'interval is for stream_type="kline", not for {stream_type!r}')
    if interval not in INTERVALS:
        raise ValueError(f"interval is one of {', '.join(INTERVALS)}; was {interval!r}")


def _asked(
    source: Mapping[str, Any],
    symbols: Mapping[str, tuple[str, ...]],
    stream_type: Any,
    interval: str | None,
    kinds: Sequence[str],
) -> Asked:
    spec: dict[str, Any] = {"sources": [dict(source)], "symbols": list(symbols)}
    if stream_type == "kline":
        interval = interval or "1m"
        is_own = "trade" not in kinds or (interval == "1m" and _sends_minutes(source))
        is_built = not is_own
        spec |= _built(interval) if is_built else {"fields": ["candle_close"], **_RAW}
        return Asked(
            spec=spec, symbols=symbols, stream_type=stream_type, interval=interval,
            is_built=is_built,
        )  # fmt: skip
    spec |= _RAW
    if stream_type == "trade":
        spec["fields"] = ["trades"]
    elif stream_type == "depth":
        spec |= {"fields": ["bids", "asks"], "depth": _LEVELS}
    return Asked(spec=spec, symbols=symbols, stream_type=stream_type, has_trades="trade" in kinds)


_ANY = ("trade", "quote", "book", "candle")

_CARRY: Mapping[str, tuple[str, ...]] = {
    "ticker": ("trade", "quote"), "trade": ("trade",), "kline": ("trade", "candle"),
    "depth": ("book",),
}  # fmt: skip
"""By type of stream, the kinds of events of which one at least is needed."""

_RAW: Mapping[str, Any] = {"mode": "raw", "interval_sec": _STATUS_S}


def _built(interval: str) -> dict[str, Any]:
    """Return the windows that candles are built of: their own, and steps to tell them by."""
    prices = ["price_open", "price_high", "price_low", "price_close"]
    return {
        "interval_sec": STEP_S,
        "timeframes": [f"{STEP_S}s", interval],
        "fields": [*prices, "volume_sum", "trades"],
        "fill": "skip",
    }


def _sends_minutes(source: Mapping[str, Any]) -> bool:
    names = source.get("exchanges") or [source["type"]]
    return _OWN_MINUTES.issuperset(names)


def _named(
    provider: str, stream_type: str, sources: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Return the source that a provider's name means: itself, or a venue of one that fits."""
    name = provider.strip().lower()
    for source in sources:
        if name == source["name"] or name in source["aliases"]:
            return {"type": source["name"]}
    having = [s for s in sources if name in s["venues"] or name in s["venue_aliases"]]
    if having:
        fitting = [s for s in having if set(_CARRY[stream_type]).intersection(s["kinds"])]
        source = (fitting or having)[0]
        venue = source["venue_aliases"].get(name, name)
        return {"type": source["name"], "exchanges": [venue]}
    known = list(dict.fromkeys(n for s in sources for n in (s["name"], *s["venues"])))
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
    raise ValueError(f"no installed source or venue is called {provider!r}; {hint}")


def _check_feeds(stream_type: str, provider: str, kinds: Sequence[str]) -> None:
    if not set(_CARRY[stream_type]).intersection(kinds):
        can = [name for name, needed in _CARRY.items() if set(needed).intersection(kinds)]
        has = f"it has {', '.join(can)}" if can else "nor anything else for a DataStream"
        raise ValueError(f"{provider} has no {stream_type}; {has}")


def _check_kind(
    symbol: str, written: str, named: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]
) -> None:
    takes = next(s["default_symbol"] for s in sources if s["name"] == named["type"])
    if takes == "market" and not is_market(symbol):
        name = (named.get("exchanges") or [named["type"]])[0]
        raise ValueError(
            f"{name} has markets such as BTCUSDT; {written!r} doesn't say what it is priced in"
        )
    if takes == "stock" and is_market(symbol):
        raise ValueError(f"{named['type']} has shares such as AAPL, not the market {written!r}")
