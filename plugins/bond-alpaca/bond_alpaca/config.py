"""The settings of both connectors."""

from __future__ import annotations

import attrs

from bond_core.plugin import Secret, setting

FEEDS = ("iex", "sip", "boats", "test")
"""What may be listened to. What comes a quarter of an hour late fits in no window of now."""


@attrs.frozen
class CryptoConfig:
    """Settings of `alpaca.crypto`."""

    key: Secret = setting(doc="Id of an Alpaca API key", env="ALPACA_API_KEY")
    secret: Secret = setting(doc="Secret of that key", env="ALPACA_SECRET_KEY")


@attrs.frozen
class StocksConfig(CryptoConfig):
    """Settings of `alpaca`."""

    feed: str = setting(
        default="iex", choices=FEEDS, env="ALPACA_FEED",
        doc="Which feed the key's plan has: iex (free) or sip (all exchanges), mostly",
    )  # fmt: skip
