"""Families of sources and sinks that Bond knows of, whether or not they are installed."""

from __future__ import annotations

# Source type or alias → (what people call it, the plugins that bring it).
_FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ccxt": ("crypto market data", ("bond-ccxt",)),
    "ccxt.ticker": ("crypto tickers", ("bond-ccxt",)),
    "twitter": ("tweets", ("bond-x",)),
    "x.tweets": ("tweets", ("bond-x",)),
    "nitter": ("tweets by Nitter", ("bond-nitter",)),
    "news": ("news", ("bond-news",)),
    "onchain": ("on-chain events", ("bond-solana",)),
    "onchain.grpc": ("on-chain events", ("bond-solana",)),
    "trends": ("search trends", ("bond-trends",)),
    "google.trends": ("search trends", ("bond-trends",)),
    "liquidations": ("liquidations", ("bond-ccxt",)),
    "custom": ("your own WebSocket", ("bond-websocket",)),
    "custom.ws": ("your own WebSocket", ("bond-websocket",)),
    "equities": ("stock prices", ("bond-alpaca", "bond-polygon", "bond-finnhub", "bond-ibkr")),
    "alpaca": ("stock prices by Alpaca", ("bond-alpaca",)),
    "polygon": ("stock prices by Polygon", ("bond-polygon",)),
    "finnhub": ("stock prices by Finnhub", ("bond-finnhub",)),
    "ibkr": ("Interactive Brokers data", ("bond-ibkr",)),
}

_SINKS = ("files", "kafka", "nats", "webhook")


def needs_plugin(source_type: str) -> str | None:
    """Return what to say where a known family has no plugin installed; None for an unknown one."""
    found = _FAMILIES.get(source_type)
    if found is None:
        return None
    what, plugins = found
    verb = "does" if len(plugins) == 1 else "do"
    return f"no installed plugin provides {what}: {' or '.join(plugins)} {verb}"


def needs_sink(sink: str) -> str | None:
    """Return what to say where a known sink isn't installed; None for an unknown one."""
    if sink not in _SINKS:
        return None
    return f"no installed plugin provides the sink {sink}: bond-{sink} does"
