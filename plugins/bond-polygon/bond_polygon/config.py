"""The settings of the connector."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from bond_core.plugin import Secret, setting

FEEDS: Mapping[str, str] = {
    "realtime": "socket.massive.com",
    "business": "business.massive.com",
    "fullmarket": "fullmarket-business.massive.com",
}
"""Host of each feed. What comes a quarter of an hour late fits in no window of now."""

API_HOST = "api.massive.com"


@attrs.frozen
class PolygonConfig:
    """Settings of `polygon`."""

    key: Secret = setting(doc="A Polygon (Massive) API key", env="POLYGON_API_KEY")
    feed: str = setting(
        default="realtime", choices=tuple(FEEDS), env="POLYGON_FEED",
        doc="Which feed the key's plan has",
    )  # fmt: skip
    bars: str = setting(
        default="minute", choices=("minute", "second"), env="POLYGON_BARS",
        doc="Which aggregates the channel bars brings",
    )  # fmt: skip
