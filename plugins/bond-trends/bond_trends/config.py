"""The settings of the connector."""

from __future__ import annotations

import attrs

from bond_core.plugin import setting

CHANNEL = "trends"
EVERY_S = 10.0


@attrs.frozen
class TrendsConfig:
    """Settings of `trends`: what is looked up, and how often it is told."""

    query: str = setting(
        default="", doc="What is searched for; left out, the asset's name", example="buy bitcoin"
    )
    every_s: float = setting(
        default=EVERY_S, ge=1, le=86400,
        doc="Seconds between two tellings of what is known; Google is asked once an hour",
    )  # fmt: skip
