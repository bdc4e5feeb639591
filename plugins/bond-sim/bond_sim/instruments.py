"""List what the simulated venues trade, and read an instrument from a venue's own name for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from attrs import frozen

SPOT_VENUES = ("binance", "okx", "coinbaseexchange", "bybit", "kraken", "coinbase")

VENUES = (*SPOT_VENUES, "binancefutures", "bybitlinear")
"""The venues played here, by their ccxt ids. The linear swaps of Binance and Bybit are venues of
their own, as they call them by the names of their spot markets."""


@frozen
class Instrument:
    """One market of one venue.

    `id` is the venue's name for it, `symbol` the unified one. `tick` and `lot` are decimal
    texts. `contract_size` is in base units where linear, in quote units where inverse, and
    empty for spot. `expiry_ms` is set for futures only.
    """

    venue: str
    id: str
    symbol: str
    base: str
    quote: str
    kind: str = "spot"  # spot, swap or future
    settle: str = ""
    contract_size: str = ""
    tick: str = "0.01"
    lot: str = "0.00001"
    expiry_ms: int | None = None

    @property
    def inverse(self) -> bool:
        """Whether it is settled in its base currency."""
        return self.kind != "spot" and self.settle == self.base


# asset: (price in USD, tick, lot, trades a second, volatility)
ASSETS: dict[str, tuple[float, str, str, float, float]] = {
    "BTC": (91_200.0, "0.1", "0.00001", 7.0, 1.0),
    "ETH": (3_040.0, "0.01", "0.0001", 5.0, 1.3),
    "SOL": (141.0, "0.01", "0.001", 4.0, 1.6),
    "XRP": (2.14, "0.0001", "0.1", 3.0, 1.6),
    "DOGE": (0.1580, "0.00001", "1", 2.5, 1.9),
    "BNB": (902.0, "0.01", "0.001", 2.5, 1.1),
    "LINK": (13.40, "0.001", "0.01", 2.0, 1.7),
    "NEAR": (2.310, "0.001", "0.1", 2.0, 1.9),
    "ADA": (0.4720, "0.0001", "0.1", 2.0, 1.7),
    "AVAX": (14.20, "0.01", "0.01", 2.0, 1.8),
    "LTC": (92.40, "0.01", "0.001", 2.0, 1.4),
    "DOT": (2.850, "0.001", "0.01", 1.5, 1.7),
    "TRX": (0.2810, "0.0001", "0.1", 1.5, 0.8),
    "SUI": (1.650, "0.0001", "0.1", 2.0, 2.0),
}


def spot(venue: str, base: str, quote: str, tick: str = "0.01", lot: str = "0.00001") -> Instrument:
    """Return a spot market, named as the venue names it (`BTCUSDT`, `BTC-USDT`)."""
    between = "" if venue in ("binance", "bybit") else "/" if venue == "kraken" else "-"
    name = f"{base}{between}{quote}"
    return Instrument(venue, name, f"{base}/{quote}", base, quote, tick=tick, lot=lot)


def synthetic_markets() -> list[Instrument]:
    """Return every market of the synthetic venues."""
    markets = []
    for venue in SPOT_VENUES:
        for base, (_, tick, lot, _, _) in ASSETS.items():
            markets.append(spot(venue, base, "USDT", tick, lot))
        markets.append(spot(venue, "ETH", "BTC", "0.00001", "0.0001"))
    for base in ("BTC", "ETH", "SOL"):
        _, tick, lot, _, _ = ASSETS[base]
        markets += [
            spot(venue, base, "USD", tick, lot)
            for venue in ("coinbaseexchange", "coinbase", "kraken")
        ]
        markets += [linear_swap(venue, base) for venue in ("binancefutures", "bybitlinear")]
        markets.append(okx_instrument(f"{base}-USDT-SWAP", tick))
    markets.append(okx_instrument("BTC-USD-SWAP"))
    return markets


def linear_swap(venue: str, base: str) -> Instrument:
    """Return a swap of Binance's futures or Bybit: settled in USDT, its sizes in base units."""
    _, tick, lot, _, _ = ASSETS[base]
    symbol = f"{base}/USDT:USDT"
    return Instrument(venue, f"{base}USDT", symbol, base, "USDT", "swap", "USDT", "1", tick, lot)


# Base units of one linear contract, quote units of one inverse contract, where they are
# not 1 and 10: https://www.okx.com/trade-market/info/swap
_OKX_LINEAR = {"BTC": "0.01", "ETH": "0.1"}
_OKX_INVERSE = {"BTC": "100"}


def okx_instrument(inst_id: str, tick: str = "0.1", lot: str = "") -> Instrument:
    """Read an OKX instrument id: `BTC-USDT`, `UNI-USD-SWAP` or `BTC-USD-220527`.

    Contract sizes are OKX's for BTC and ETH; for other coins 10 USD where inverse, which is
    OKX's rule, and 1 coin where linear, which is right for most. ValueError: another shape.
    """
    parts = inst_id.split("-")
    if len(parts) not in (2, 3):
        raise ValueError(f"not an OKX spot, swap or future instrument: {inst_id!r}")
    base, quote = parts[:2]
    if len(parts) == 2:
        return spot("okx", base, quote, tick, lot or "0.00000001")
    inverse = quote == "USD"
    settle = base if inverse else quote
    size = _OKX_INVERSE.get(base, "10") if inverse else _OKX_LINEAR.get(base, "1")
    symbol, kind, expiry_ms = f"{base}/{quote}:{settle}", "swap", None
    if parts[2] != "SWAP":
        due = dt.datetime.strptime(parts[2] + "08+0000", "%y%m%d%H%z")  # OKX settles at 08:00 UTC
        symbol, kind, expiry_ms = f"{symbol}-{parts[2]}", "future", int(due.timestamp()) * 1000
    lot = lot or ("1" if inverse else "0.01")
    return Instrument("okx", inst_id, symbol, base, quote, kind, settle, size, tick, lot, expiry_ms)


_BINANCE_QUOTES = (
    "FDUSD", "USDT", "BUSD", "USDC", "TUSD", "BIDR", "BTC", "ETH", "BNB", "EUR", "GBP", "TRY",
    "AUD", "BRL", "RUB", "UAH", "NGN", "DAI", "USD", "TRX", "XRP",
)  # fmt: skip


def binance_instrument(name: str, tick: str = "0.01", lot: str = "0.00001") -> Instrument:
    """Read a Binance spot symbol such as `NKNUSDT`. ValueError: no known quote ends it."""
    for quote in _BINANCE_QUOTES:
        if name.endswith(quote) and name != quote:
            return spot("binance", name.removesuffix(quote), quote, tick, lot)
    raise ValueError(f"cannot tell base from quote in Binance symbol {name!r}")


def coinbase_instrument(product: str, tick: str = "0.01", lot: str = "0.00001") -> Instrument:
    """Read a Coinbase Exchange product such as `SKL-GBP`. ValueError: no dash in it."""
    base, dash, quote = product.partition("-")
    if not dash:
        raise ValueError(f"not a Coinbase product: {product!r}")
    return spot("coinbaseexchange", base, quote, tick, lot)


def finest(numbers: Iterable[str]) -> str:
    """Return the smallest decimal step that all these decimal texts are written with."""
    places = max((len(n.partition(".")[2]) for n in numbers), default=0)
    return "1" if places == 0 else f"0.{'0' * (places - 1)}1"
