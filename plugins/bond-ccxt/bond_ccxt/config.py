"""The settings of the two connectors."""

from __future__ import annotations

import attrs

from bond_core.plugin import setting


@attrs.frozen
class CcxtConfig:
    """Settings of `ccxt`: one venue over its WebSocket."""

    venue: str = setting(doc="Venue, by its ccxt id", example="binance")
    timeout_s: float = setting(
        default=10.0, ge=1, le=60, advanced=True,
        doc="Seconds to wait for a connection, and for an answer over HTTP",
    )  # fmt: skip
    use_proxy_env: bool = setting(
        default=False, advanced=True,
        doc="Whether to go through the proxy that HTTPS_PROXY names",
    )  # fmt: skip


@attrs.frozen
class TickerConfig(CcxtConfig):
    """Settings of `ccxt.ticker`: one venue asked over HTTP, again and again."""

    every_s: float = setting(default=5.0, ge=0.5, le=3600, doc="Seconds between two polls")
